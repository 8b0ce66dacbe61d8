import json
from pathlib import Path

import numpy as np
import pytest

import xent_cli
from xent_cli.errors import InputError, RowError, UsageError

FRAMEWORKS = json.loads((Path(__file__).parents[1] / "oracles" / "frameworks.json").read_text())


def test_the_example_of_tensorflow_gives_its_losses():
    logits, dense, sparse = [[1.0, 2.0, 3.0], [4.0, 5.0, 6.0]], [[0, 0, 1], [1, 0, 0]], [2, 0]
    expected = [0.40760596444438, 2.40760596444438]
    np.testing.assert_allclose(xent_cli.softmax_cross_entropy(logits, dense), expected, rtol=1e-14)
    np.testing.assert_allclose(xent_cli.sparse_softmax_cross_entropy(logits, sparse), expected, rtol=1e-14)
    assert xent_cli.evaluate(logits, sparse).mean_loss == pytest.approx(1.40760596444438, rel=1e-14)


def losses_of(case, logits, labels):
    options = {name: value for name, value in case["options"].items() if name != "axis"}
    dense = np.shape(labels) == np.shape(logits)
    function = xent_cli.softmax_cross_entropy if dense else xent_cli.sparse_softmax_cross_entropy
    return function(logits, labels, axis=case["options"].get("axis", -1), **options)


@pytest.mark.parametrize("case", FRAMEWORKS["cases"], ids=lambda case: case["name"])
def test_losses_are_the_truth_that_frameworks_agree_on(case):
    logits = np.array(case["logits"], np.float32)
    expected = [np.nan if x is None else float(x) for x in np.ravel(case["truth"]["loss"])]
    np.testing.assert_allclose(losses_of(case, logits, np.array(case["labels"])).ravel(), expected, rtol=1e-13)


@pytest.mark.parametrize(
    "row", FRAMEWORKS["confident"], ids=lambda row: f"{row['dtype']}-{row['classes']}-{row['margin']}"
)
def test_confident_losses_keep_the_digits_that_frameworks_lose(row):
    logits = np.zeros(row["classes"], row["dtype"])
    logits[0] = row["margin"]
    assert float(xent_cli.sparse_softmax_cross_entropy(logits, 0)) == pytest.approx(row["truth"], rel=1e-14)


@pytest.mark.parametrize("axis", [0, 1, 2, -1, -3])
def test_any_axis_gives_the_losses_of_the_moved_array(axis):
    rng = np.random.default_rng(0)
    logits = rng.normal(size=(4, 5, 6))
    last = np.moveaxis(logits, axis, -1)
    labels = rng.integers(0, last.shape[-1], last.shape[:-1])
    loss, gradient = xent_cli.softmax_cross_entropy_with_grad(logits, labels, axis=axis)
    expected_loss, expected = xent_cli.softmax_cross_entropy_with_grad(last, labels)
    np.testing.assert_array_equal(loss, expected_loss)
    np.testing.assert_array_equal(gradient, np.moveaxis(expected, -1, axis))


def test_blocks_are_of_no_consequence(monkeypatch):
    rng = np.random.default_rng(0)
    logits, labels = rng.normal(size=(500, 7)), rng.integers(0, 7, 500)
    whole = xent_cli.evaluate(logits, labels, top_k=(1, 5))
    monkeypatch.setattr("xent_cli.core.functions._BLOCK_VALUES", 50)
    assert xent_cli.evaluate(logits, labels, top_k=(1, 5)) == whole


def test_an_ignored_sample_is_nan_and_its_gradient_0():
    loss, gradient = xent_cli.softmax_cross_entropy_with_grad([[0.0, 0.0], [1.0, 2.0]], [0, -100], ignore_index=-100)
    assert np.isnan(loss).tolist() == [False, True]
    assert not gradient[1].any()


@pytest.mark.parametrize(
    ("error", "options"),
    [
        (UsageError, {"label_smoothing": 1.0}),
        (UsageError, {"temperature": 0.0}),
        (UsageError, {"axis": 2}),
        (InputError, {"class_weight": [1.0]}),
        (InputError, {"class_weight": [1.0, -1.0]}),
    ],
)
def test_options_out_of_range_are_refused(error, options):
    with pytest.raises(error):
        xent_cli.sparse_softmax_cross_entropy([[0.0, 0.0]], [0], **options)


def test_a_bad_label_is_refused_with_its_row():
    with pytest.raises(RowError, match="label out of range"):
        xent_cli.sparse_softmax_cross_entropy([[0.0, 0.0]], [2])


def test_bfloat16_is_read_as_what_it_is():
    ml_dtypes = pytest.importorskip("ml_dtypes")
    logits = np.array([[1.5, 2.0]], ml_dtypes.bfloat16)
    assert xent_cli.sparse_softmax_cross_entropy(logits, [0]) == xent_cli.sparse_softmax_cross_entropy(
        [[1.5, 2.0]], [0]
    )


def test_the_summary_is_the_public_type():
    assert isinstance(xent_cli.evaluate([[0.0, 0.0]], [0]), xent_cli.LossSummary)


def test_only_what_is_public_can_be_had():
    with pytest.raises(AttributeError):
        xent_cli.no_such_function  # noqa: B018
