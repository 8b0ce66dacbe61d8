import math
import struct
from collections import Counter

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from xent_cli.core.totals.quantiles import Bins, QuantileState

LEVELS = [0.0, 0.01, 0.5, 0.9, 0.95, 0.99, 1.0]
WITHIN = 1 / 512 + 1e-15  # half of a bin of 1/256, which is the documented 0.2 %

losses = st.lists(st.floats(min_value=0.0, max_value=1e9), min_size=1, max_size=80)
positive = st.lists(st.floats(min_value=1e-300, max_value=1e9), min_size=1, max_size=80)
any_loss = st.one_of(st.floats(min_value=0.0), st.just(math.nan), st.just(math.inf))


def same(a, b):
    return [str(x) for x in a] == [str(x) for x in b]


def cut(xs, size, **limits):
    return [QuantileState.of(np.array(xs[i : i + size]), **limits) for i in range(0, len(xs), size)]


def merged(states):
    total = QuantileState()
    for state in states:
        total = total.merge(state)
    return total


@given(losses, st.lists(st.floats(0.0, 1.0), min_size=1, max_size=5))
def test_exact_quantiles_are_those_of_numpy_to_the_last_bit(xs, levels):
    state = QuantileState.of(np.array(xs))
    assert state.exact
    assert state.quantiles([*LEVELS, *levels]) == np.quantile(xs, [*LEVELS, *levels]).tolist()


@pytest.mark.parametrize("n", [1, 2, 3, 10, 99, 100, 101, 12_345])
def test_exact_quantiles_are_those_of_numpy_for_any_number_of_rows(n):
    x = np.random.default_rng(n).exponential(size=n)
    assert QuantileState.of(x).quantiles(LEVELS) == np.quantile(x, LEVELS).tolist()


@given(losses, st.integers(1, 9))
def test_no_partition_changes_an_exact_quantile(xs, size):
    assert merged(cut(xs, size)).quantiles(LEVELS) == QuantileState.of(np.array(xs)).quantiles(LEVELS)


def between(xs, level):
    """Return both order statistics around a quantile."""
    ascending = sorted(xs)
    position = (len(xs) - 1) * level
    return ascending[math.floor(position)], ascending[math.ceil(position)]


@pytest.mark.parametrize("most_waiting", [0, 4])
class TestHistogramFromThreeRows:
    def state(self, xs, most_waiting):
        return QuantileState.of(np.array(xs, dtype=np.float64), exact_rows=2, most_waiting=most_waiting)

    @given(positive.filter(lambda xs: len(xs) > 2), st.floats(0.0, 1.0))
    def test_quantiles_are_within_a_fifth_of_a_percent(self, most_waiting, xs, level):
        state = self.state(xs, most_waiting)
        assert not state.exact
        low, high = between(xs, level)
        (found,) = state.quantiles([level])
        assert low * (1 - WITHIN) <= found <= high * (1 + WITHIN)

    def test_quantiles_of_many_losses_are_within_a_fifth_of_a_percent(self, most_waiting):
        x = np.random.default_rng(0).lognormal(-2.0, 3.0, 100_000)
        found = np.array(self.state(x, most_waiting).quantiles(LEVELS))
        assert np.max(np.abs(found / np.quantile(x, LEVELS) - 1)) <= WITHIN

    @settings(max_examples=40)
    @given(st.lists(any_loss, min_size=3, max_size=40), st.integers(1, 5), st.randoms(use_true_random=False))
    def test_no_partition_and_no_order_changes_a_count(self, most_waiting, xs, size, random):
        whole = self.state(xs, most_waiting)
        states = cut(xs, size, exact_rows=2, most_waiting=most_waiting)
        random.shuffle(states)
        total = merged(states)
        assert total.size == whole.size
        assert not total.exact
        levels = np.linspace(0, 1, len(xs)).tolist()
        assert same(total.quantiles(levels), whole.quantiles(levels))

    @settings(max_examples=40)
    @given(*[st.lists(any_loss, max_size=6)] * 3)
    def test_merging_is_associative_and_commutative_and_has_an_identity(self, most_waiting, a, b, c):
        x, y, z = (self.state(xs, most_waiting) for xs in (a, b, c))
        assert same(x.merge(y).merge(z).quantiles(LEVELS), x.merge(y.merge(z)).quantiles(LEVELS))
        assert same(x.merge(y).quantiles(LEVELS), y.merge(x).quantiles(LEVELS))
        assert same(x.merge(QuantileState()).quantiles(LEVELS), x.quantiles(LEVELS))

    @pytest.mark.parametrize("value", [0.0, math.inf, -math.inf])
    def test_values_without_a_neighbour_are_returned_as_they_are(self, most_waiting, value):
        assert self.state(np.full(9, value), most_waiting).quantiles([0.0, 0.5, 1.0]) == [value] * 3

    def test_nan_ranks_above_inf_whatever_its_sign(self, most_waiting):
        state = self.state([math.nan, 1.0, math.inf, math.copysign(math.nan, -1.0), 2.0], most_waiting)
        low, second, third, fourth, fifth = state.quantiles([0.0, 0.25, 0.5, 0.75, 1.0])
        assert (low, second) == pytest.approx((1.0, 2.0), rel=WITHIN)
        assert third == math.inf
        assert math.isnan(fourth)
        assert math.isnan(fifth)

    def test_negative_values_rank_below_positive_ones(self, most_waiting):
        state = self.state([-3.0, 2.0, -1.0, 5.0, 0.0], most_waiting)
        assert state.quantiles([0.0, 0.25, 0.5, 0.75, 1.0]) == pytest.approx([-3.0, -1.0, 0.0, 2.0, 5.0], rel=WITHIN)


def test_the_number_of_rows_alone_decides_when_losses_are_counted():
    x = np.arange(5.0)
    assert QuantileState.of(x[:4], exact_rows=4).exact
    assert not QuantileState.of(x, exact_rows=4).exact
    assert not merged(cut(x, 1, exact_rows=4)).exact
    assert not QuantileState.of(x[:1], exact_rows=4).merge(QuantileState.of(x[1:], exact_rows=4)).exact


def test_nan_ranks_above_inf_and_leaves_the_lower_quantiles_alone():
    state = QuantileState.of(np.array([math.nan, 1.0, math.inf, 2.0, 3.0]))
    low, median, third, high = state.quantiles([0.0, 0.5, 0.75, 1.0])
    assert (low, median, third) == (1.0, 3.0, math.inf)
    assert math.isnan(high)


def test_a_quantile_between_two_infinite_losses_is_infinite():
    assert QuantileState.of(np.array([1.0, math.inf, math.inf])).quantiles([0.9]) == [math.inf]


@pytest.mark.parametrize("exact_rows", [10, 2])
@pytest.mark.parametrize("level", [0.51, 0.6, 0.75, 0.9, 0.99])
def test_between_a_number_and_an_infinity_lies_that_infinity_from_whichever_end(level, exact_rows):
    def quantile(level, *losses):
        state = QuantileState.of(np.array(losses), exact_rows=exact_rows)
        assert state.exact == (exact_rows > 2)
        return state.quantiles([level])

    assert quantile(level, 1.0, math.inf, 2.0) == [math.inf]
    assert quantile(1 - level, 1.0, -math.inf, 2.0) == [-math.inf]
    assert math.isnan(*quantile(level, 1.0, math.nan, 2.0))
    assert math.isnan(*quantile(level, 1.0, math.nan, math.inf))


def test_no_losses_have_no_quantiles():
    assert all(math.isnan(value) for value in QuantileState().quantiles(LEVELS))


def rank(loss):
    """Return the top 20 bits as a number that ascends with the loss; any NaN has that of the positive quiet NaN."""
    (bits,) = struct.unpack(">q", struct.pack(">d", abs(math.nan) if math.isnan(loss) else loss))
    return (bits >> 44) + 2**19 if bits >= 0 else 2**19 - 1 - ((bits & (2**63 - 1)) >> 44)


@given(st.lists(st.lists(st.one_of(st.floats(), st.sampled_from([0.5, 0.501, -0.0, -math.nan])), max_size=9)))
def test_losses_are_counted_by_the_top_20_bits_of_their_pattern(parts):
    bins = Bins.of([np.array(part) for part in parts])
    counted = Counter(rank(loss) for part in parts for loss in part)
    assert list(zip(bins.keys.tolist(), bins.counts.tolist(), strict=True)) == sorted(counted.items())


@given(*[st.lists(any_loss, max_size=20)] * 2)
def test_counts_of_two_parts_add_up_to_those_of_both(a, b):
    a, b = np.array(a, float), np.array(b, float)
    found, expected = Bins.of([a]).merge(Bins.of([b])), Bins.of([np.concatenate([a, b])])
    np.testing.assert_array_equal(found.keys, expected.keys)
    np.testing.assert_array_equal(found.counts, expected.counts)


def test_many_losses_are_counted_in_as_many_bins_as_they_fall_into():
    state = merged(cut(np.random.default_rng(0).exponential(size=4_200_000), 1 << 20))
    assert not state.exact
    assert state.bins().counts.sum() == 4_200_000
    assert state.bins().keys.size < 10_000
