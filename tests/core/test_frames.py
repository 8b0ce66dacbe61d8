"""Frames and series of pandas and polars in the Python API: classes are matched by the names of columns."""

import subprocess
import sys

import numpy as np
import pandas as pd
import polars as pl
import pytest

import xent_cli
from xent_cli.errors import InputError, RowError

RNG = np.random.default_rng(5)
LOGITS = RNG.normal(size=(40, 3))
LABELS = RNG.integers(0, 3, 40)
NAMES = np.array(["cat", "dog", "fox"])
TEXTS = NAMES[LABELS]
TRUTH = np.log(np.exp(LOGITS).sum(1)) - LOGITS[np.arange(40), LABELS]
WEIGHT = {"cat": 1.0, "dog": 3.0, "fox": 0.5}


def frame_of(library, columns):
    return library.DataFrame(columns)


@pytest.fixture(params=[pd, pl], ids=["pandas", "polars"])
def library(request):
    return request.param


@pytest.fixture(params=[[0, 1, 2], [2, 0, 1]], ids=["in order", "in another order"])
def frame(library, request):
    """Return logits with classes as column names, in a given order of columns."""
    return frame_of(library, {NAMES[place]: LOGITS[:, place] for place in request.param})


def loss(logits, labels, **options):
    return xent_cli.sparse_softmax_cross_entropy(logits, labels, **options)


@pytest.mark.parametrize("kind", ["series", "categories", "list", "array", "objects", "padded", "upper"])
def test_labels_of_text_name_columns(library, frame, kind):
    labels = {
        "series": library.Series("y", TEXTS.tolist()) if library is pl else pd.Series(TEXTS, name="y"),
        "categories": pl.Series("y", TEXTS.tolist()).cast(pl.Categorical)
        if library is pl
        else pd.Series(TEXTS, dtype="category"),
        "list": TEXTS.tolist(),
        "array": TEXTS,
        "objects": TEXTS.astype(object),
        "padded": [f" {text} " for text in TEXTS],
        "upper": [text.upper() for text in TEXTS],
    }[kind]
    np.testing.assert_allclose(loss(frame, labels), TRUTH, rtol=1e-13)
    assert xent_cli.evaluate(frame, labels).mean_loss == pytest.approx(TRUTH.mean(), rel=1e-13)


@pytest.mark.parametrize("stem", ["logit_{}", "{} score", "p({})"])
def test_what_all_columns_share_is_not_part_of_a_name(library, stem):
    frame = frame_of(library, {stem.format(name): LOGITS[:, place] for place, name in enumerate(NAMES)})
    np.testing.assert_allclose(loss(frame, TEXTS), TRUTH, rtol=1e-13)


def test_a_frame_gives_gradients_in_the_order_of_its_columns(library):
    frame = frame_of(library, {NAMES[place]: LOGITS[:, place] for place in (2, 0, 1)})
    _, found = xent_cli.softmax_cross_entropy_with_grad(frame, TEXTS)
    _, expected = xent_cli.softmax_cross_entropy_with_grad(LOGITS, LABELS)
    np.testing.assert_allclose(found, expected[:, [2, 0, 1]], atol=1e-15)


def test_whole_numbers_are_positions_of_named_columns(library, frame):
    expected = loss(np.asarray(frame), LABELS)
    series = library.Series(LABELS) if library is pd else pl.Series("y", LABELS)
    np.testing.assert_array_equal(loss(frame, series), expected)
    np.testing.assert_array_equal(loss(frame, series.to_numpy()), expected)


def test_columns_numbered_in_another_order_are_found_by_number(library):
    frame = frame_of(library, {f"logit_{place}": LOGITS[:, place] for place in (2, 0, 1)})
    np.testing.assert_allclose(loss(frame, LABELS), TRUTH, rtol=1e-13)
    with_padding = np.where(np.arange(40) == 3, -100, LABELS)
    assert np.flatnonzero(np.isnan(loss(frame, with_padding, ignore_index=-100))).tolist() == [3]


def test_labels_from_1_name_columns_from_1_or_are_refused(library):
    frame = frame_of(library, {f"class_{place + 1}": LOGITS[:, place] for place in range(3)})
    np.testing.assert_allclose(loss(frame, LABELS + 1), TRUTH, rtol=1e-13)
    np.testing.assert_allclose(loss(frame, LABELS), TRUTH, rtol=1e-13)
    with pytest.raises(InputError, match="ambiguous labels"):
        loss(frame, np.full(40, 2))
    with pytest.raises(InputError, match="labels name no columns"):
        loss(frame, LABELS * 4)


def test_rows_of_probabilities_go_by_name(library, frame):
    soft = RNG.dirichlet(np.ones(3), 40)
    turned = frame_of(library, {f"prob_{NAMES[place]}": soft[:, place] for place in (1, 2, 0)})
    expected = (soft * (np.log(np.exp(LOGITS).sum(1))[:, None] - LOGITS)).sum(1)
    np.testing.assert_allclose(xent_cli.softmax_cross_entropy(frame, turned), expected, rtol=1e-12)
    np.testing.assert_allclose(xent_cli.softmax_cross_entropy(LOGITS, soft), expected, rtol=1e-12)
    other = frame_of(library, {name: soft[:, place] for place, name in enumerate(["cat", "cow", "fox"])})
    with pytest.raises(InputError, match="labels of different classes"):
        xent_cli.softmax_cross_entropy(frame, other)


@pytest.mark.parametrize("form", [dict, lambda weights: pd.Series(weights).sample(frac=1, random_state=1)])
def test_class_weights_go_by_name(frame, form):
    expected = TRUTH * [WEIGHT[text] for text in TEXTS]
    np.testing.assert_allclose(loss(frame, TEXTS, class_weight=form(WEIGHT)), expected, rtol=1e-13)
    with pytest.raises(InputError, match="class weights of different classes"):
        loss(frame, TEXTS, class_weight=form(WEIGHT | {"cow": 1.0}))


def test_class_weights_by_number_need_no_names():
    expected = loss(LOGITS, LABELS, class_weight=[1.0, 3.0, 0.5])
    np.testing.assert_array_equal(loss(LOGITS, LABELS, class_weight={2: 0.5, 0: 1.0, 1: 3.0}), expected)


def test_an_index_in_another_order_is_refused_with_the_line_that_puts_it_right():
    frame = pd.DataFrame(LOGITS, columns=NAMES, index=[f"s{i}" for i in range(40)])
    labels = pd.Series(TEXTS, index=frame.index)
    with pytest.raises(InputError, match="labels are in a different order") as caught:
        loss(frame, labels[::-1])
    assert caught.value.found == "row 0 is s0 in the logits and s39 in the labels"
    np.testing.assert_allclose(loss(frame, labels[::-1].loc[frame.index]), TRUTH, rtol=1e-13)
    with pytest.raises(InputError, match="sample weights are in a different order"):
        xent_cli.evaluate(frame, labels, sample_weight=pd.Series(1.0, frame.index[::-1]))


def test_an_index_of_other_names_is_not_an_order():
    frame = pd.DataFrame(LOGITS, columns=NAMES, index=range(100, 140))
    np.testing.assert_allclose(loss(frame, pd.Series(TEXTS)), TRUTH, rtol=1e-13)


def test_a_frame_that_holds_its_labels_too_is_refused(library, frame):
    whole = frame.with_columns(pl.Series("label", LABELS)) if library is pl else frame.assign(label=LABELS)
    for labels in (whole["label"], LABELS):
        with pytest.raises(InputError, match="columns that are not classes") as caught:
            loss(whole, labels)
        assert "drop" in caught.value.hint
    texts = frame.with_columns(pl.Series("name", TEXTS.tolist())) if library is pl else frame.assign(name=TEXTS)
    with pytest.raises(InputError, match="column is not numeric") as caught:
        loss(texts, LABELS)
    assert caught.value.where == 'column "name"'


@pytest.mark.parametrize("dtype", ["Float64", "float32", "Int64"])
def test_nullable_and_narrow_dtypes_are_numbers(dtype):
    frame = pd.DataFrame(np.arange(6).reshape(2, 3), columns=NAMES).astype(dtype)
    expected = loss(np.arange(6.0).reshape(2, 3), [0, 2])
    np.testing.assert_allclose(loss(frame, pd.Series([0, 2], dtype="Int64")), expected, rtol=1e-13)


@pytest.mark.parametrize("missing", [None, float("nan"), pd.NA])
def test_a_label_that_is_missing_is_reported(frame, missing):
    labels = pd.Series(TEXTS, dtype=object)
    labels[7] = missing
    with pytest.raises(RowError, match="missing label") as caught:
        loss(frame, labels)
    assert caught.value.row == 7


def test_a_label_that_names_no_column_is_reported_with_the_nearest(frame):
    with pytest.raises(RowError, match="label names no class") as caught:
        loss(frame, ["cat"] * 39 + ["dgo"])
    assert (caught.value.row, caught.value.hint) == (39, 'did you mean "dog"?')
    with pytest.raises(InputError, match="labels are not numbers"):
        loss(LOGITS, TEXTS)


def test_bool_labels_mean_the_affirmative_column():
    truth = RNG.integers(0, 2, 40).astype(bool)
    for names in (["False", "True"], ["no", "yes"]):
        frame = pd.DataFrame(LOGITS[:, :2], columns=names)
        expected = loss(LOGITS[:, :2], truth.astype(int))
        np.testing.assert_array_equal(loss(frame, truth), expected)
        np.testing.assert_allclose(loss(frame[names[::-1]], truth), expected, rtol=1e-13)


def test_two_columns_of_one_name_are_refused():
    with pytest.raises(InputError, match="two columns with the same name"):
        loss(pd.DataFrame(LOGITS, columns=["a", "b", "a"]), LABELS)


def test_neither_library_is_imported_for_it():
    code = "import xent_cli, sys; xent_cli.evaluate([[1.0, 2.0]], [1]); print({'pandas', 'polars'} & set(sys.modules))"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True).stdout == "set()\n"
