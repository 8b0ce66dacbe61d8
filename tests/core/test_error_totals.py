"""Absolute, relative and ULP errors, compared with NumPy's own steps and ml_dtypes; and the laws of their totals."""

import math

import ml_dtypes
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from xent_cli.core.verify.error_totals import ErrorTotals, compare
from xent_cli.core.verify.tolerance import Tolerance
from xent_cli.core.verify.ulp import round_to, ulp_distance

DTYPES = {
    "float16": np.dtype(np.float16),
    "bfloat16": np.dtype(ml_dtypes.bfloat16),
    "float32": np.dtype(np.float32),
    "float64": np.dtype(np.float64),
}
EXACT = Tolerance("float64", 0.0, 0.0)
floats = st.floats(width=64)


def bits(values, dtype):
    """Return the bits of values as whole numbers."""
    return values.astype(dtype).view(f"u{dtype.itemsize}").tolist()


@pytest.mark.parametrize("name", DTYPES)
@given(value=floats | st.floats(-10, 10) | st.floats(-1e-38, 1e-38) | st.floats(-1e-7, 1e-7))
def test_rounding_to_a_type_is_that_of_the_type_itself(name, value):
    with np.errstate(all="ignore"):
        dtype = DTYPES[name]
        x = np.array([value])
        if name == "bfloat16":  # ml_dtypes rounds twice, through float32: compare only where that is exact
            x = x.astype(np.float32).astype(np.float64)
        np.testing.assert_array_equal(round_to(x, name), x.astype(dtype).astype(np.float64))


def test_a_float64_is_rounded_to_bfloat16_once():
    """The value is 2**-40 above the middle of two numbers; float32 would lose that, and round down to the even one."""
    middle = 1 + 2.0**-8
    assert round_to(np.array([middle, middle + 2.0**-40]), "bfloat16").tolist() == [1.0, 1 + 2.0**-7]


@pytest.mark.parametrize("name", DTYPES)
@given(value=st.floats(-100, 100), steps=st.integers(0, 50))
def test_a_number_of_steps_is_the_same_number_of_ulp(name, value, steps):
    dtype = DTYPES[name]
    here = np.array([value]).astype(dtype)
    there = here
    for _ in range(steps):
        there = np.nextafter(there, np.array([np.inf], dtype))
        if not there[0]:  # the last step from the negative numbers ends at -0, which equals 0
            there = np.zeros(1, dtype)
    a, b = here.astype(np.float64), there.astype(np.float64)
    assert ulp_distance(a, b, name).tolist() == ulp_distance(b, a, name).tolist() == [steps]


@pytest.mark.parametrize("name", DTYPES)
def test_the_two_zeros_are_0_ulp_apart(name):
    assert ulp_distance(np.array([-0.0]), np.array([0.0]), name).tolist() == [0]


@pytest.mark.parametrize("name", DTYPES)
def test_from_the_lowest_to_the_highest_number_no_count_overflows(name):
    limits = ml_dtypes.finfo(DTYPES[name])
    low, high = np.array([float(limits.min)]), np.array([float(limits.max)])
    assert ulp_distance(low, high, name).tolist() == [2 * bits(high, DTYPES[name])[0]]


@pytest.mark.parametrize(
    ("dtype", "rtol", "atol"),
    [("float16", 1e-3, 1e-5), ("bfloat16", 1.6e-2, 1e-5), ("float32", 1.3e-6, 1e-5), ("float64", 1e-7, 1e-7)],
)
def test_defaults_are_those_of_torch_testing_assert_close(dtype, rtol, atol):
    assert Tolerance.of(dtype) == Tolerance(dtype, rtol, atol)
    assert Tolerance.of(dtype, rtol=0.5) == Tolerance(dtype, 0.5, atol)
    assert Tolerance.of(dtype, atol=0.5, scale=1000) == Tolerance(dtype, rtol, 0.5)


def test_the_default_for_the_gradient_of_a_mean_shrinks_with_it_down_to_the_smallest_number():
    assert Tolerance.of("float32", scale=1e6).atol == pytest.approx(1e-11)
    assert Tolerance.of("float16", scale=1e6).atol == float(np.finfo(np.float16).smallest_subnormal)
    assert Tolerance.of("float32", scale=0.5).atol == 1e-5


@given(
    st.lists(st.floats(-1e3, 1e3), min_size=1, max_size=20),
    st.floats(0, 1e-3),
    st.floats(0, 1e-3),
    st.floats(-3, 3),
)
def test_the_verdict_of_finite_values_is_the_inequality(expected, rtol, atol, factor):
    truth = np.array(expected)
    found = truth + factor * (atol + rtol * np.abs(truth))
    totals = compare(found, truth, Tolerance("float64", rtol, atol))
    off = np.abs(found - truth) > atol + rtol * np.abs(truth)
    assert (totals.n_values, totals.n_mismatched) == (len(truth), np.count_nonzero(off))
    assert totals.max_abs.value == np.abs(found - truth).max()
    assert totals.passed == (not off.any())


def test_what_cannot_be_nearer_in_its_type_is_equal_whatever_the_tolerance():
    truth = np.array([1 / 3, 1e-9, 7e4])
    found = np.array([0.333251953125, 0.0, np.inf], np.float16)
    assert compare(found, truth, Tolerance("float16", 0.0, 0.0)).passed
    assert compare(found, truth, Tolerance("float16", 0.0, 0.0, max_ulp=0)).passed
    assert not compare(found, truth, Tolerance("float32", 0.0, 0.0)).passed


@pytest.mark.parametrize("tolerance", [Tolerance("float32", 1e9, 1e9), Tolerance("float32", 0, 0, max_ulp=1 << 40)])
@pytest.mark.parametrize(
    ("found", "expected", "same"),
    [
        (math.nan, math.nan, True),
        (math.inf, math.inf, True),
        (-math.inf, -math.inf, True),
        (math.inf, -math.inf, False),
        (math.nan, 1.0, False),
        (1.0, math.nan, False),
        (math.inf, 1.0, False),
        (3.4e38, math.inf, False),
    ],
)
def test_nan_and_infinities_are_equal_to_their_like_alone(found, expected, same, tolerance):
    totals = compare(np.array([found]), np.array([expected]), tolerance)
    assert totals.passed == same
    assert totals.n_nonfinite == (not same)
    assert totals.max_abs is None
    assert totals.max_ulp is None


def test_units_in_the_last_place_count_to_the_limit_and_no_further():
    truth = np.array([2.0, 2.0])
    found = np.array([2.0 + 2**-21, 2.0 - 2**-22])  # 2 steps up; 2 steps down, which are half as long
    assert compare(found, truth, Tolerance("float32", 0, 0, max_ulp=2)).passed
    totals = compare(found, truth, Tolerance("float32", 0, 0, max_ulp=1))
    assert (totals.n_mismatched, totals.max_ulp.value, totals.max_ulp.sample) == (2, 2, 0)


def test_an_ignored_loss_may_be_0_or_nan_and_its_gradient_0():
    ignored = np.array([True, True, True, False])
    found = np.array([0.0, np.nan, 0.25, 1.0])
    totals = compare(found, np.array([np.nan, np.nan, np.nan, 1.0]), EXACT, start=10, ignored=ignored)
    assert (totals.n_rows, totals.n_ignored, totals.n_mismatched, totals.n_ignored_mismatched) == (1, 3, 0, 1)
    assert not totals.passed
    assert (totals.worst[0].sample, totals.worst[0].found, totals.worst[0].expected) == (12, 0.25, 0.0)
    gradient = np.array([[0.0, -0.0], [0.0, np.nan], [0.0, 0.0], [1.0, 1.0]])
    totals = compare(gradient, np.where(ignored[:, None], 0.0, gradient), EXACT, ignored=ignored)
    assert (totals.n_values, totals.n_ignored_mismatched) == (2, 1)
    assert (totals.worst[0].sample, totals.worst[0].column) == (1, 1)


def test_the_worst_rows_of_a_gradient_are_listed_with_their_worst_class():
    truth = np.zeros((100, 4))
    found = truth.copy()
    found[[3, 50, 50, 70], [1, 2, 3, 0]] = 0.1, 0.2, -0.4, 0.3
    totals = compare(found, truth, Tolerance("float64", 0.0, 0.01), top=2)
    assert [(row.sample, row.column, row.found) for row in totals.worst] == [(50, 3, -0.4), (70, 0, 0.3)]
    assert (totals.n_mismatched, totals.n_mismatched_rows, totals.share) == (4, 3, 0.01)
    assert totals.max_rel is None
    assert (totals.max_abs.value, totals.max_abs.sample, totals.max_abs.column) == (0.4, 50, 3)


values = st.sampled_from([0.0, -0.0, 1.0, 1.0 + 2**-52, 1.5, -2.0, math.nan, math.inf, -math.inf, 1e-320])


@st.composite
def runs(draw):
    n, k = draw(st.integers(1, 12)), draw(st.integers(1, 3))
    shape = (n,) if k == 1 else (n, k)
    found, expected = (
        np.array(draw(st.lists(values, min_size=n * k, max_size=n * k))).reshape(shape) for _ in range(2)
    )
    ignored = np.array(draw(st.lists(st.booleans(), min_size=n, max_size=n)))
    tolerance = draw(st.sampled_from([EXACT, Tolerance("float32", 0.1, 0.1), Tolerance("float64", 0, 0, max_ulp=1)]))
    cuts = sorted(draw(st.sets(st.integers(1, n), max_size=4)) | {n})
    return found, expected, ignored, tolerance, cuts, draw(st.permutations(range(len(cuts))))


def told(totals):
    """Return everything that totals hold, with NaN as text, because it is not equal to itself."""
    return repr(totals)


@given(runs())
def test_any_partition_of_the_rows_in_any_order_ends_in_the_same_totals(run):
    found, expected, ignored, tolerance, cuts, order = run
    whole = compare(found, expected, tolerance, ignored=ignored, top=3)
    spans = list(zip([0, *cuts], cuts, strict=False))
    merged = ErrorTotals(top=3)
    for i in order:
        a, b = spans[i]
        part = compare(found[a:b], expected[a:b], tolerance, start=a, ignored=ignored[a:b], top=3)
        merged = merged.merge(part)
    assert told(merged) == told(whole)


@given(runs())
def test_empty_totals_are_the_identity(run):
    found, expected, ignored, tolerance, _, _ = run
    totals = compare(found, expected, tolerance, ignored=ignored)
    assert told(totals.merge(ErrorTotals())) == told(ErrorTotals().merge(totals)) == told(totals)
    assert ErrorTotals().passed


def test_tiles_inside_a_block_make_no_difference():
    rng = np.random.default_rng(0)
    truth = rng.normal(size=(9000, 11))
    found = truth.copy()
    found[8191, 7] += 1
    found[[0, 4000, 8999], 2] = np.nan
    whole = compare(found, truth, EXACT, start=5)
    rows = [compare(found[i : i + 1], truth[i : i + 1], EXACT, start=5 + i) for i in (0, 4000, 8191, 8999)]
    assert [row.sample for row in whole.worst] == [5, 4005, 9004, 8196]
    assert whole.n_mismatched == sum(row.n_mismatched for row in rows) == 4
    assert (whole.n_rows, whole.n_values) == (9000, 99000)
