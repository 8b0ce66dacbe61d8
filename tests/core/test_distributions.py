import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from xent_cli.core.checks.distributions import RowFigures, count_distributions
from xent_cli.core.checks.rounding import Rounding

RNG = np.random.default_rng(16)


def softmaxed(n, k, spread=3.0):
    z = RNG.normal(size=(n, k)) * spread
    e = np.exp(z - z.max(axis=1, keepdims=True))
    return e / e.sum(axis=1, keepdims=True)


@pytest.mark.parametrize("k", [2, 3, 10, 101, 1000])
@pytest.mark.parametrize("digits", [2, 3, 4, 6])
def test_probabilities_rounded_to_any_number_of_digits_are_distributions(k, digits):
    rows = softmaxed(200, k).round(digits)
    assert count_distributions(rows).scale == 1.0
    assert count_distributions((100 * rows).round(digits)).scale == 100.0


@pytest.mark.parametrize("k", [2, 3, 10, 101, 1000])
@pytest.mark.parametrize("dtype", [np.float16, np.float32, np.float64])
def test_a_softmax_is_a_distribution_in_every_float_type(k, dtype):
    assert count_distributions(softmaxed(200, k).astype(dtype)).scale == 1.0


@pytest.mark.parametrize("stored", [np.float32, np.float64])
@pytest.mark.parametrize("k", [2, 10, 1000])
def test_a_softmax_in_half_precision_is_known_in_whatever_type_it_is_stored(k, stored):
    rows = softmaxed(200, k).astype(np.float32)
    bfloat16 = (rows.view(np.uint32) & 0xFFFF0000).view(np.float32)
    for halves in (bfloat16, rows.astype(np.float16)):
        assert count_distributions(halves.astype(stored)).scale == 1.0


@pytest.mark.parametrize("k", [2, 3, 10, 1000])
@pytest.mark.parametrize("digits", [1, 2, 17])
def test_logits_are_not_distributions(k, digits):
    rows = (RNG.normal(size=(500, k)) * 3).round(digits)
    assert count_distributions(rows).scale is None
    assert count_distributions(np.abs(rows) + 0.6).scale is None


def test_independent_sigmoids_are_not_distributions():
    assert count_distributions(1 / (1 + np.exp(-RNG.normal(size=(500, 5))))).scale is None


def test_one_hot_rows_are_distributions_and_votes_are_not():
    assert count_distributions(np.eye(4, dtype=np.int64)).scale == 1.0
    assert count_distributions(RNG.integers(0, 9, size=(50, 4)) + 1).scale is None


def test_rows_that_cannot_be_judged_are_left_out():
    rows = np.vstack([softmaxed(20, 3), np.zeros((30, 3)), np.full((30, 3), np.nan)])
    assert count_distributions(rows) == (20, 20, 0)
    assert count_distributions(np.zeros((9, 3))).scale is None


def test_nearly_all_rows_must_be_distributions():
    rows = softmaxed(1000, 3)
    rows[:10] = [1.0, 2.0, 3.0]
    assert count_distributions(rows).scale == 1.0
    rows[10] = [1.0, 2.0, 3.0]
    assert count_distributions(rows).scale is None


def test_eight_rows_are_enough_for_a_verdict():
    assert not count_distributions(softmaxed(7, 3)).sure
    assert count_distributions(softmaxed(8, 3)).sure


@pytest.mark.parametrize("entry", [-1e-9, 1.001, np.inf, -np.inf])
def test_an_entry_below_0_or_above_1_is_not_a_probability(entry):
    assert not RowFigures.of(np.array([[entry, 1.0 - entry]])).are_distributions(0.0)[0]


@pytest.mark.parametrize(
    ("total", "unit", "fits"), [(1.001, 0.0, True), (1.0011, 0.0, False), (0.985, 0.01, True), (0.98, 0.01, False)]
)
def test_the_sum_may_be_off_by_half_a_unit_a_class(total, unit, fits):
    assert RowFigures.of(np.array([[0.5, 0.25, total - 0.75]])).are_distributions(unit)[0] == fits


def test_a_sum_is_never_off_by_more_than_a_half():
    rows = np.full((1, 1000), 0.0004)
    assert not RowFigures.of(rows).are_distributions(0.01)[0]


def unit_of(*values, dtype=np.float64):
    return Rounding.of(np.array(values, dtype)).unit


def test_the_finest_decimal_of_all_counts():
    assert unit_of(0.1, 0.123) == 0.001
    assert unit_of(*[0.7] * 40, 0.29) == 0.01
    assert unit_of(*[0.7] * 40, 1 / 3) == 0.0
    assert unit_of(1.0, 0.0) == unit_of(1, 0, dtype=np.int64) == 1.0
    assert unit_of(0.33, 0.67, dtype=np.float32) == 0.01
    assert unit_of(0.33, 0.67, dtype=np.float16) == 0.01
    assert unit_of(1 / 3, 2 / 3, dtype=np.float16) == 2.0**-11
    assert unit_of(1e-9, 0.5) == 0.0


def test_a_row_that_is_hopeless_is_not_a_distribution_in_any_digits():
    rows = np.vstack([softmaxed(100, 4), 100 * softmaxed(100, 4), RNG.normal(size=(200, 4)), RNG.random((200, 4)) * 3])
    figures = RowFigures.of(rows)
    fits = np.zeros(len(rows), bool)
    for unit in (0.0, 1e-3, 0.01, 0.1, 1 / 128):
        fits |= figures.are_distributions(unit) | figures.are_distributions(unit, 100.0)
    assert not (fits & figures.hopeless).any()
    assert figures.hopeless[200:].mean() > 0.5


@settings(max_examples=50, deadline=None)
@given(st.integers(0, 40), st.integers(0, 60))
def test_figures_of_parts_join_to_those_of_the_whole(first, second):
    rows = np.vstack([softmaxed(60, 4), RNG.normal(size=(60, 4))])
    a, b = rows[first : first + 30], rows[second : second + 50]
    both, whole = RowFigures.of(a).join(RowFigures.of(b)), RowFigures.of(np.vstack([a, b]))
    for ours, theirs in zip(both[:3], whole[:3], strict=True):
        assert np.array_equal(ours, theirs)
    assert Rounding.of(a).merge(Rounding.of(b)) == Rounding.of(np.vstack([a, b]))


@pytest.mark.parametrize("dtype", [np.float16, np.float32, np.float64, np.int8])
def test_rows_of_zeros_have_the_figures_that_they_have_beside_others(dtype):
    rows = np.zeros((5, 7), dtype)
    rows[::2] *= -1
    beside = RowFigures.of(np.concatenate([rows, np.ones((1, 7), dtype)])).take(np.arange(5))
    alone = RowFigures.of(rows)
    assert alone.num_classes == beside.num_classes
    for found, expected in zip(alone[:3], beside[:3], strict=True):
        assert found.dtype == expected.dtype == np.float64
        assert found.tolist() == expected.tolist() == [0.0] * 5
    assert not alone.judgeable.any()
