import math
import sys

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from xent_cli.core.totals.histogram import HUGE, TINY, edge_texts, histogram
from xent_cli.core.totals.quantiles import QuantileState

losses = st.lists(
    st.one_of(
        st.floats(min_value=0.0),
        st.floats(0.0, 20.0),
        st.sampled_from([0.0, 5e-324, 1e-310, 1e-300, sys.float_info.max, math.inf, math.nan]),
    ),
    max_size=60,
)


def made(xs, most=40):
    return histogram(QuantileState.of(np.array(xs, float)), most)


@given(losses, st.integers(2, 60))
def test_every_loss_is_counted_once_where_it_belongs(xs, most):
    found = made(xs, most)
    assert found.size == len(xs)
    assert found.n_nan == sum(map(math.isnan, xs))
    assert len(found.bars) <= most
    assert found.n_tiny == sum(x < TINY for x in xs)
    assert found.n_huge == sum(x >= HUGE for x in xs)
    for bar in found.bars:
        assert bar.samples == sum(TINY <= x < HUGE and bar.low <= x < bar.high for x in xs)
    assert all(a.high == b.low and a.low < a.high for a, b in zip(found.bars, found.bars[1:], strict=False))
    edges = edge_texts(found)
    assert len(set(edges)) == len(edges)


@given(losses, st.integers(1, 9))
def test_no_partition_changes_a_histogram(xs, size):
    state = QuantileState()
    for first in range(0, len(xs), size):
        state = state.merge(QuantileState.of(np.array(xs[first : first + size], float)))
    assert histogram(state, 20) == made(xs, 20)


def test_losses_over_decades_have_a_logarithmic_axis_and_others_a_linear_one():
    wide, narrow = made([1e-6, 0.5, 3.0], 10), made([1.2, 2.0, 3.7], 10)
    assert (wide.logarithmic, narrow.logarithmic) == (True, False)
    assert edge_texts(wide) == ["1e-06", "1e-05", "0.0001", "0.001", "0.01", "0.1", "1", "10"]
    widths = [bar.high - bar.low for bar in narrow.bars]
    assert max(widths) / min(widths) < 1.2
    ratios = [bar.high / bar.low for bar in wide.bars]
    assert ratios == pytest.approx([10.0] * len(ratios), rel=0.01)


def test_equal_losses_are_one_bar():
    (bar,) = made([0.7] * 5).bars
    assert bar.samples == 5
    assert bar.low <= 0.7 < bar.high


def test_losses_of_nothing_but_zero_and_worse_have_no_bar():
    found = made([0.0, -1.0, math.inf, math.nan])
    assert (found.bars, found.n_tiny, found.n_huge, found.n_nan) == ((), 2, 1, 1)
    assert made([]).size == 0
