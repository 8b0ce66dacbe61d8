import math
import pickle

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from xent_cli.core.labels.check_labels import bad_labels, check_dense, check_sparse, check_weights
from xent_cli.core.options import LossOptions
from xent_cli.errors import InputError, RowError


def refusal(labels, num_classes=10, **options):
    with pytest.raises(RowError) as caught:
        check_sparse(np.asarray(labels), num_classes, **options)
    return caught.value


@pytest.mark.parametrize("dtype", ["i1", "u1", "i2", "u2", "i4", "u4", "i8", "u8", "f2", "f4", "f8", ">i4", ">f4"])
def test_whole_numbers_of_any_dtype_are_class_indices(dtype):
    found = check_sparse(np.array([0, 9, 3], dtype), 10)
    assert found.label.tolist() == [0, 9, 3]
    assert found.label.dtype == np.int64
    assert found.ignored is None


def test_bools_are_the_classes_0_and_1():
    assert check_sparse(np.array([True, False]), 2).label.tolist() == [1, 0]
    assert check_sparse(np.array([False]), 1).label.tolist() == [0]
    assert refusal([False, True], num_classes=1).row == 1
    assert check_sparse(np.array([True, False]), 1, ignore_index=(1,)).ignored.tolist() == [True, False]


@pytest.mark.parametrize("shape", [(4,), (4, 1)])
def test_bools_are_refused_as_labels_of_more_than_two_classes(shape):
    with pytest.raises(RowError, match="labels are true and false") as raised:
        check_sparse(np.array([True, False, True, True]).reshape(shape), 3, start=7)
    assert raised.value.row == 7
    assert check_sparse(np.empty(0, np.bool_), 3).label.size == 0


def test_a_column_of_labels_is_a_row_of_them():
    assert check_sparse(np.array([[2], [0]]), 3).label.tolist() == [2, 0]


def test_no_labels_are_valid():
    assert check_sparse(np.array([], np.float64), 3).label.shape == (0,)


@pytest.mark.parametrize(
    ("labels", "row", "found"),
    [
        ([0, 10, 11], 1, "10"),
        ([0, 1, -1], 2, "-1"),
        ([0.0, 1.0, 10.0], 2, "10"),
        (np.array([1, 2**63], np.uint64), 1, "9223372036854775808"),
        (np.array([2**53 + 1]), 0, "9007199254740993"),
        (np.array([1 - 2**63]), 0, "-9223372036854775807"),
        (np.array([0, 255], np.uint8), 1, "255"),
    ],
)
def test_a_label_out_of_range_is_named_with_its_row_and_the_range(labels, row, found):
    error = refusal(labels, start=1000)
    assert (error.what, error.row, error.role) == ("label out of range", 1000 + row, "labels")
    assert (error.where, error.found, error.expected) == (f"sample {1000 + row}", found, "0..9 (there are 10 classes)")
    # A label that may be a class is never suggested as ignored, nor is one of several values out of range.
    assert error.code == "label-out-of-range"
    assert error.data == {
        "label": int(found),
        "num_classes": 10,
        "first_class": 0,
        "kind": "" if found == "10" else "padding",
    }


def test_what_nan_becomes_as_an_integer_is_a_missing_label():
    error = refusal(np.array([1, -(2**63)]))
    assert (error.what, error.row) == ("missing label", 1)
    assert "nothing, or -9223372036854775808" in error.found


@pytest.mark.parametrize(
    ("labels", "row", "found"),
    [
        ([0.0, 1.5], 1, "1.5"),
        ([0.0, math.inf], 1, "inf"),
        ([0.0, -math.inf], 1, "-inf"),
        (np.array([0.5], np.float16), 0, "0.5"),
        (np.array([1, 2.25], np.float32), 1, "2.25"),
    ],
)
def test_a_label_that_is_not_a_whole_number_is_named_with_its_row(labels, row, found):
    error = refusal(labels)
    assert (error.what, error.row, error.found) == ("label is not a whole number", row, found)
    assert error.expected == "0..9 (there are 10 classes)"
    assert (error.code, error.data["num_classes"]) == ("label-not-whole", 10)


@pytest.mark.parametrize("dtype", [np.float16, np.float32, np.float64])
def test_a_label_of_nan_is_missing(dtype):
    error = refusal(np.array([1, np.nan], dtype))
    assert (error.what, error.row, error.found, error.code) == ("missing label", 1, "nan", "missing-label")


def test_labels_that_are_not_numbers_are_refused_by_dtype():
    for labels in (np.array(["a"]), np.array([1j]), np.array([object()])):
        with pytest.raises(InputError, match=f"labels are not numbers\n  found dtype {labels.dtype}"):
            check_sparse(labels, 3, ignore_index=(1,))


def test_ignored_labels_are_marked_and_made_safe():
    found = check_sparse(np.array([2, -100, 0, -100]), 3, ignore_index=(-100,))
    assert found.label.tolist() == [2, 0, 0, 0]
    assert found.ignored.tolist() == [False, True, False, True]


def test_a_class_that_is_ignored_is_out_whether_or_not_it_is_in_range():
    assert check_sparse(np.array([0, 1, 2]), 3, ignore_index=(1,)).ignored.tolist() == [False, True, False]
    assert check_sparse(np.array([0, 1, 2]), 3, ignore_index=(7,)).ignored is None


@pytest.mark.parametrize("dtype", ["u1", "u8", "i1", "f2", "f4"])
@pytest.mark.parametrize("ignore_index", [-100, 255, 100_000, 2**63])
def test_an_ignored_index_beyond_the_dtype_matches_nothing(dtype, ignore_index):
    labels = np.array([0, 1, 100], dtype)
    assert check_sparse(labels, 200, ignore_index=(ignore_index,)).ignored is None


def test_an_ignored_index_within_the_dtype_matches():
    assert check_sparse(np.array([2**63, 1], np.uint64), 3, ignore_index=(2**63,)).ignored.tolist() == [True, False]
    assert check_sparse(np.array([-100.0, 1.0], np.float16), 3, ignore_index=(-100,)).ignored.tolist() == [True, False]
    assert check_sparse(np.array([-1, 1], np.int8), 3, ignore_index=(-1,)).ignored.tolist() == [True, False]


def test_an_invalid_label_among_ignored_ones_is_still_refused():
    assert refusal([-100, 3, -1], num_classes=3, ignore_index=(-100,)).row == 1


def test_a_sample_without_a_label_is_not_checked():
    unscored = np.array([False, True, True])
    found = check_sparse(np.array([1.0, math.nan, -7.5]), 3, unscored=unscored)
    assert found.label.tolist() == [1, 0, 0]
    assert found.ignored.tolist() == [False, True, True]
    assert check_sparse(np.array([1, -100, 2]), 3, ignore_index=(-100,), unscored=unscored).ignored.tolist() == [
        False,
        True,
        True,
    ]
    assert refusal([5, 0, 0], num_classes=3, unscored=unscored).row == 0


@pytest.mark.parametrize("num_classes", [2049, 4096, 70_000])
def test_half_precision_labels_are_held_against_the_true_number_of_classes(num_classes):
    labels = np.array([2048, -1], np.float16)
    assert check_sparse(labels, num_classes, ignore_index=(-1,)).label.tolist() == [2048, 0]


@given(st.lists(st.integers(-5, 15), max_size=30), st.integers(1, 12), st.sampled_from([(), (-1,), (3, -1)]))
def test_all_bad_labels_are_found_and_the_first_is_refused(labels, num_classes, ignore_index):
    bad = [i for i, y in enumerate(labels) if y not in ignore_index and not 0 <= y < num_classes]
    found = bad_labels(np.array(labels, np.int64), num_classes, LossOptions(ignore_index=ignore_index), 50)
    assert found.tolist() == [50 + i for i in bad]
    if bad:
        assert refusal(np.array(labels, np.int64), num_classes, ignore_index=ignore_index, start=50).row == 50 + bad[0]
    else:
        check_sparse(np.array(labels, np.int64), num_classes, ignore_index=ignore_index)


@pytest.mark.parametrize(
    "labels", [np.array([[0.5, 0.5]]), np.array([[0, 3]]), np.array([[True, False]]), np.zeros((0, 3)), np.ones((2, 1))]
)
def test_rows_of_numbers_that_are_not_negative_are_soft_labels(labels):
    check_dense(labels)


@pytest.mark.parametrize("value", [-0.25, math.nan, math.inf, -math.inf])
def test_a_soft_label_that_is_negative_or_not_finite_is_named_with_row_and_class(value):
    labels = np.full((4, 3), 0.5)
    labels[2, 1] = value
    labels[3, 0] = value
    with pytest.raises(RowError) as caught:
        check_dense(labels, start=100)
    error = caught.value
    assert (error.what, error.row, error.role) == ("invalid soft label", 102, "labels")
    assert (error.found, error.expected) == (f"{value} for class 1", "a finite number >= 0")
    assert error.code == "invalid-soft-label"


def test_a_negative_integer_is_not_a_soft_label():
    with pytest.raises(RowError, match="found -1 for class 0"):
        check_dense(np.array([[-1, 2]]))


def test_soft_labels_that_are_not_numbers_are_refused_by_dtype():
    with pytest.raises(InputError, match="found dtype <U1, expected class probabilities"):
        check_dense(np.array([["a", "b"]]))


def test_weights_become_float64():
    assert check_weights(np.array([[1], [0]], np.int8)).tolist() == [1.0, 0.0]
    assert check_weights(np.array([0.5], ">f2")).dtype == np.float64


@pytest.mark.parametrize("value", [-1.0, math.nan, math.inf])
def test_a_weight_that_is_negative_or_not_finite_is_named_with_its_row(value):
    with pytest.raises(RowError) as caught:
        check_weights(np.array([1.0, value, value]), start=7)
    assert (caught.value.row, caught.value.found, caught.value.expected) == (8, str(value), "a finite number >= 0")


def test_an_error_comes_back_whole_from_a_worker():
    error = pickle.loads(pickle.dumps(refusal([0, 12])))
    assert (type(error), error.row, error.found, str(error)) == (RowError, 1, "12", str(refusal([0, 12])))


@pytest.mark.parametrize(("value", "found"), [(1e20, "about 1e+20"), (-(2.0**53), "about -9.0072e+15"), (-4.0, "-4")])
def test_a_label_that_no_float_holds_exactly_is_reported_as_what_it_is(value, found):
    with pytest.raises(RowError, match="label out of range") as caught:
        check_sparse(np.array([0.0, value]), 3)
    assert (caught.value.row, caught.value.found) == (1, found)
    assert (caught.value.data["kind"] == "padding") == (found == "-4")
