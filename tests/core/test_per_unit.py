"""Losses per unit of two models that split the same documents into different tokens."""

import math

import mpmath
import numpy as np
import pytest
import scipy.stats
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from xent_cli.core.statistics.paired_test import compare_losses
from xent_cli.core.statistics.per_unit import compare_per_unit

SIZES = st.integers(2, 12)
NATS = st.floats(0, 1e3, allow_subnormal=False)
UNITS = st.integers(1, 500).map(float)


@st.composite
def models(draw):
    n = draw(SIZES)
    return tuple((draw(arrays(float, n, elements=NATS)), draw(arrays(float, n, elements=UNITS))) for _ in range(2))


def by_definition(baseline, candidate):
    """Compute the ratios in bits and the standard error of their difference, in 50 digits."""
    with mpmath.workdps(50):
        rows = [[list(map(mpmath.mpf, values.tolist())) for values in model] for model in (baseline, candidate)]
        ratios = [sum(loss) / sum(units) for loss, units in rows]
        count = len(rows[0][0])
        distances = [
            (rows[1][0][g] - ratios[1] * rows[1][1][g]) / sum(rows[1][1])
            - (rows[0][0][g] - ratios[0] * rows[0][1][g]) / sum(rows[0][1])
            for g in range(count)
        ]
        error = mpmath.sqrt(mpmath.mpf(count) / (count - 1) * sum(d**2 for d in distances))
        return *(float(ratio / mpmath.log(2)) for ratio in ratios), float(error / mpmath.log(2))


@given(models())
def test_ratios_and_their_interval_are_those_of_the_definition(pair):
    found = compare_per_unit(*pair)
    before, after, error = by_definition(*pair)
    assert found.baseline == pytest.approx(before, rel=1e-14)
    assert found.candidate == pytest.approx(after, rel=1e-14)
    assert found.delta == pytest.approx(after - before, rel=1e-12, abs=1e-13 * max(before, after, 1))
    if error > 1e-9 * max(before, after, 1e-9):
        reach = scipy.stats.t.ppf(0.975, found.n - 1) * error
        np.testing.assert_allclose(found.high - found.low, 2 * reach, rtol=1e-5)
        assert found.p == pytest.approx(2 * scipy.stats.t.sf(abs(found.delta) / error, found.n - 1), rel=1e-4)


@given(models())
def test_with_one_unit_a_document_it_is_the_paired_t_test_of_their_losses(pair):
    ones = np.ones(pair[0][0].size)
    found = compare_per_unit((pair[0][0], ones), (pair[1][0], ones))
    paired = compare_losses(pair[0][0], pair[1][0])
    scale = max(pair[0][0].max(), pair[1][0].max(), 1.0)
    assert found.delta * math.log(2) == pytest.approx(paired.delta, rel=1e-9, abs=1e-12 * scale)
    if paired.std > 1e-9 * scale:
        assert found.low * math.log(2) == pytest.approx(paired.low, rel=1e-6, abs=1e-9 * scale)


def test_the_same_losses_differ_by_nothing_and_have_no_interval():
    one = np.array([3.0, 4.0]), np.array([5.0, 7.0])
    found = compare_per_unit(one, one)
    assert (found.delta, found.significant) == (0.0, None)
    single = compare_per_unit((np.array([1.0]), np.array([2.0])), (np.array([2.0]), np.array([2.0])))
    assert math.isnan(single.low)
    infinite = compare_per_unit(one, (np.array([np.inf, 1.0]), one[1]))
    assert math.isnan(infinite.low)
