import json
import pickle
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

import xent_cli
from xent_cli.core.python_api.arguments import called_with
from xent_cli.core.python_api.evaluation import summary_of
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


def test_the_size_of_blocks_changes_no_figure():
    rng = np.random.default_rng(0)
    logits, labels = rng.normal(size=(500, 7)), rng.integers(0, 7, 500)
    whole = xent_cli.evaluate(logits, labels, top_k=(1, 5))
    call = called_with(logits, labels, block_values=50)
    assert len(call.blocks) > 50
    assert summary_of(call, (1, 5)) == whole


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


def test_an_unknown_name_is_an_attribute_error():
    with pytest.raises(AttributeError):
        xent_cli.no_such_function  # noqa: B018


TWO, THREE = [[0.5, 1.0, 0.0], [0.0, 2.0, 1.0]], [[0.5, 1.0, 0.0], [0.0, 2.0, 1.0], [3.0, 0.0, 0.0]]
REFUSED = {
    "ignore_index with dense labels": (TWO, [[0, 0.5, 0.5], [1, 0, 0]], {"ignore_index": 0}),
    "no classes": (np.zeros((3, 0)), np.zeros(3), {}),
    "no rows": (np.zeros((0, 3)), np.zeros(0), {}),
    "shapes do not fit": (TWO, [0, 1, 2], {}),
    "ragged logits": ([[1.0, 2.0], [3.0]], [0, 1], {}),
    "ragged labels": (TWO, [[0], [1, 2]], {}),
    "dtype not supported": (np.ones((2, 3), complex), [0, 1], {}),
    "masked labels": (TWO, np.ma.masked_equal([0, 9], 9), {}),
    "masked logits": (np.ma.masked_equal(TWO, 2.0), [0, 1], {}),
    "ambiguous labels": ([0.3, -1.0, 2.0], [1, 0, 1], {}),
    "whole-number labels that are not a distribution": (TWO, [[3, 0, 1], [0, 2, 0]], {}),
    "label out of range": (TWO, [0, 3], {}),
    "label is not a whole number": (TWO, [0, 0.5], {}),
    "invalid soft label": (TWO, [[0.5, 0.5, 0.0], [1.5, -0.5, 0.0]], {}),
    "wrong number of class weights": (TWO, [0, 1], {"class_weight": [1.0, 2.0]}),
    "invalid class weight": (TWO, [0, 1], {"class_weight": [1.0, 2.0, np.nan]}),
    "wrong number of sample weights": (np.zeros((2, 3, 4)), np.zeros((2, 3)), {"sample_weight": np.ones((3, 2))}),
    "invalid sample weight": (TWO, [0, 1], {"sample_weight": [1.0, -1.0]}),
    "nothing left to average": (TWO, [-100, -100], {"ignore_index": -100}),
    "nothing left to average, weights": (TWO, [0, 1], {"class_weight": [0.0, 0.0, 1.0]}),
}
MISUSED = {
    "label_smoothing is out of range": {"label_smoothing": 1.0},
    "temperature is out of range": {"temperature": np.inf},
    "precision is out of range": {"precision": "float16"},
    "axis 2 is out of range": {"axis": 2},
    "ignore_index is not a whole number": {"ignore_index": 1.5},
    "top_k is out of range": {"top_k": (0,)},
}


@pytest.mark.parametrize("what", REFUSED)
def test_arrays_without_a_mean_are_refused_in_terms_of_arguments(what):
    logits, labels, options = REFUSED[what]
    with pytest.raises(InputError) as refused:
        xent_cli.evaluate(logits, labels, **options)
    assert refused.value.what == what.partition(",")[0]
    assert "--" not in str(refused.value)


@pytest.mark.parametrize("what", MISUSED)
def test_invalid_arguments_are_refused_in_terms_of_arguments(what):
    with pytest.raises(UsageError) as refused:
        xent_cli.evaluate(TWO, [0, 1], **MISUSED[what])
    assert refused.value.what == what
    assert "--" not in str(refused.value)


@pytest.mark.parametrize("labels", [[0, 7], [0, -1], [0, 255], [[0.5, 0.5, 0.0], [np.nan, 0.0, 1.0]]])
@pytest.mark.parametrize(
    "function", [xent_cli.evaluate, xent_cli.softmax_cross_entropy_with_grad, xent_cli.sparse_softmax_cross_entropy]
)
def test_no_error_speaks_of_the_command_line(function, labels):
    with pytest.raises(InputError) as refused:
        function(TWO, labels)
    assert "--" not in str(refused.value)


@pytest.mark.parametrize(
    ("labels", "hint"),
    [
        ([0, 255], "if 255 marks samples without a label, pass ignore_index=255"),
        ([-1, 1], "labels of -1 and 1 are those of 0 and 1: (labels + 1) // 2"),
        ([0, 3], "are these the labels of these logits?"),
        ([[0.5, 0.5, 0.0], [-1.0, 1.0, 0.5]], "dense labels are probabilities"),
    ],
)
def test_an_error_says_what_to_do_in_arguments_of_the_function(labels, hint):
    with pytest.raises(InputError) as refused:
        xent_cli.evaluate(TWO, labels)
    assert refused.value.hint == hint


def test_an_error_carries_a_stable_code_and_its_values():
    with pytest.raises(InputError) as refused:
        xent_cli.evaluate(TWO, [0, 3])
    assert refused.value.code == "label-out-of-range"
    assert refused.value.data == {"label": 3, "num_classes": 3, "first_class": 0, "kind": ""}
    assert pickle.loads(pickle.dumps(refused.value)).data == refused.value.data


def test_what_may_be_meant_is_a_warning_of_the_summary():
    assert xent_cli.evaluate(TWO, [0, 1]).warnings == ()
    one_hot = np.eye(3)[[0, 1, 2, 0]]
    (warning,) = xent_cli.evaluate(one_hot, [0, 1, 2, 0]).warnings
    assert warning.code == "logits-look-softmaxed"
    assert "--" not in warning.message
    codes = {w.code for w in xent_cli.evaluate(TWO, [[0.5, 0.5, 0.5], [0.1, 0.0, 0.0]]).warnings}
    assert codes == {"soft-labels-do-not-sum-to-1"}
    odd = xent_cli.evaluate([[0.0, -np.inf], [np.nan, 0.0]], [1, 0])
    assert {w.code for w in odd.warnings} == {"nan-loss", "infinite-loss"}
    assert "warnings" not in odd.as_dict()


def test_explicitly_dense_labels_need_be_no_distribution():
    votes = [[3, 0, 1], [0, 2, 0]]
    found = xent_cli.softmax_cross_entropy(TWO, votes)
    log_p = np.log(np.exp(TWO) / np.exp(TWO).sum(axis=1, keepdims=True))
    np.testing.assert_allclose(found, -(votes * log_p).sum(axis=1), rtol=1e-14)
    assert xent_cli.softmax_cross_entropy([1.0, 0.0], [0, 1]) == pytest.approx(np.log1p(np.e), rel=1e-14)


@pytest.mark.parametrize("shape", [(2,), (2, 3), (2, 3, 1)])
def test_sample_weights_have_the_shape_of_the_samples_or_of_their_first_axis(shape):
    rng = np.random.default_rng(0)
    logits, labels, weight = rng.normal(size=(2, 3, 4)), rng.integers(0, 4, (2, 3)), rng.random(shape)
    loss = xent_cli.sparse_softmax_cross_entropy(logits, labels)
    each = np.broadcast_to(weight[:, np.newaxis] if shape == (2,) else weight.reshape(2, 3), (2, 3))
    expected = (loss * each).sum() / each.sum()
    assert xent_cli.evaluate(logits, labels, sample_weight=weight).mean_loss == pytest.approx(expected, rel=1e-14)


def test_several_labels_may_be_ignored():
    expected = xent_cli.evaluate(TWO[:1], [0]).mean_loss
    for ignored in ((7, 8), [7, 8], {7, 8}, np.array([7, 8])):
        found = xent_cli.evaluate(THREE, [0, 7, 8], ignore_index=ignored)
        assert (found.mean_loss, found.n_ignored) == (expected, 2)


@pytest.mark.parametrize("shape", [(2,), (2, 3), (2, 3, 1)])
@pytest.mark.parametrize("form", ["sparse", "dense"])
def test_samples_that_a_mask_leaves_out_are_not_checked(form, shape):
    rng = np.random.default_rng(1)
    logits = rng.normal(size=(2, 3, 4))
    mask = np.arange(int(np.prod(shape))).reshape(shape) % 2 == 0
    each = np.broadcast_to(mask[:, np.newaxis] if shape == (2,) else mask.reshape(2, 3), (2, 3))
    labels = rng.integers(0, 4, (2, 3)) if form == "sparse" else rng.dirichlet(np.ones(4), (2, 3))
    z = logits.astype(np.longdouble)
    log_p = z - np.log(np.exp(z).sum(-1, keepdims=True))
    target = np.eye(4)[labels] if form == "sparse" else labels
    expected = np.where(each, -(target * log_p).sum(-1), np.nan).astype(float)
    logits[~each] = np.nan
    labels[~each] = 99 if form == "sparse" else -1
    function = xent_cli.sparse_softmax_cross_entropy if form == "sparse" else xent_cli.softmax_cross_entropy
    np.testing.assert_allclose(function(logits, labels, mask=mask), expected, rtol=1e-14)
    loss, gradient = xent_cli.softmax_cross_entropy_with_grad(logits, labels, mask=mask.astype(np.int8))
    np.testing.assert_allclose(loss, expected, rtol=1e-14)
    np.testing.assert_allclose(gradient, np.where(each[..., None], np.exp(log_p) - target, 0).astype(float), atol=1e-14)
    found = xent_cli.evaluate(logits, labels, mask=mask)
    assert found.mean_loss == pytest.approx(np.nanmean(expected), rel=1e-14)
    assert (found.n_samples, found.n_ignored) == (each.sum(), each.size - each.sum())


def test_several_labels_are_ignored_in_every_function_that_takes_indices():
    logits = np.random.default_rng(2).normal(size=(4, 3))
    labels = [0, -100, -7, 2]
    alone = xent_cli.sparse_softmax_cross_entropy(logits[[0, 3]], [0, 2])
    for ignored in ((-100, -7), [-7, -100], np.array([-100, -7])):
        found = xent_cli.sparse_softmax_cross_entropy(logits, labels, ignore_index=ignored)
        np.testing.assert_array_equal(found, [alone[0], np.nan, np.nan, alone[1]])
        loss, gradient = xent_cli.softmax_cross_entropy_with_grad(logits, labels, ignore_index=ignored)
        np.testing.assert_array_equal(loss, found)
        assert not gradient[1:3].any()
        assert xent_cli.evaluate(logits, labels, ignore_index=ignored).mean_loss == pytest.approx(
            alone.mean(), rel=1e-15
        )


@pytest.mark.parametrize(
    ("mask", "what"),
    [([1, 0, 1], "wrong number of entries of the mask"), ([0.5, 1], "invalid mask"), ([False, False], "nothing left")],
)
def test_invalid_masks_are_refused_in_terms_of_arguments(mask, what):
    with pytest.raises(InputError, match=what):
        xent_cli.evaluate(TWO, [0, 1], mask=mask)


def test_counts_in_rows_that_count_are_not_a_distribution_whatever_stands_under_a_mask():
    votes = np.array([[np.nan, 0.0, 1.0], [0, 2, 0]])
    with pytest.raises(InputError, match="sample 1"):
        xent_cli.evaluate(TWO, votes, mask=[False, True])


def test_names_of_no_class_under_a_mask_do_no_harm():
    frame = pd.DataFrame(TWO, columns=["ant", "bee", "cow"])
    for labels in (["zebra", "bee"], [None, "bee"], pd.Series([np.nan, "bee"])):
        found = xent_cli.sparse_softmax_cross_entropy(frame, labels, mask=[False, True])
        np.testing.assert_array_equal(found, [np.nan, xent_cli.sparse_softmax_cross_entropy(frame, ["ant", "bee"])[1]])
