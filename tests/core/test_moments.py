"""Standard errors over clusters: the formula, statsmodels' numbers, and the same bits for any partition."""

import json
import math
from fractions import Fraction
from pathlib import Path

import mpmath
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from xent_cli.core.totals.exact_sum import standard_deviation, standard_error
from xent_cli.core.totals.moments import Moments
from xent_cli.core.totals.total_losses import total_losses

CASES = json.loads((Path(__file__).parents[1] / "oracles" / "clusters.json").read_text())["means"]
UNIT = Fraction(1, 1 << 1074)
finite = st.floats(allow_nan=False, allow_infinity=False)
ordinary = st.floats(0, 30)


def brute_force(values, divisors, sizes):
    """Compute the sums as fractions, from the definition."""
    found = dict.fromkeys(("value", "divisor", "squares", "cross", "divisor_squares"), Fraction(0))
    first = 0
    for size in sizes:
        part = slice(first, first + size)
        v, d = sum(map(Fraction, values[part])), sum(map(Fraction, divisors[part]))
        found["value"] += v
        found["divisor"] += d
        found["squares"] += v * v
        found["cross"] += v * d
        found["divisor_squares"] += d * d
        first += size
    return found


@pytest.mark.parametrize("kind", [ordinary, finite])
@pytest.mark.parametrize("weighted", [False, True])
def test_sums_over_runs_are_exact(kind, weighted):
    @given(st.data())
    def law(data):
        sizes = data.draw(st.lists(st.integers(1, 5), min_size=1, max_size=8))
        n = sum(sizes)
        values = data.draw(st.lists(kind, min_size=n, max_size=n))
        weights = data.draw(st.lists(st.floats(0, 1e3), min_size=n, max_size=n)) if weighted else None
        starts = np.cumsum([0, *sizes[:-1]])
        found = Moments.of_runs(np.array(values), None if weights is None else np.array(weights), starts)
        wanted = brute_force(values, [1.0] * n if weights is None else weights, sizes)
        assert found.clusters == len(sizes)
        for name, exact in wanted.items():
            unit = UNIT if name in ("value", "divisor") else UNIT * UNIT
            assert getattr(found, name) * unit == exact, name

    law()


def test_values_of_very_different_magnitudes_are_summed_as_whole_numbers():
    values = np.array([1e300, 1e-300, 1.0, 1e-320, 1e150, 1e-150] * 4)
    found = Moments.of_runs(values, None, np.arange(0, 24, 3))
    assert found == sum((Moments.of_runs(values[i : i + 3], None, np.array([0])) for i in range(0, 24, 3)), Moments())


@pytest.mark.parametrize("case", CASES, ids=lambda case: f"{len(case['values'])}-{case['weights'] is not None}")
def test_standard_errors_are_those_of_statsmodels(case):
    order = np.argsort(case["groups"], kind="stable")
    groups, values = np.array(case["groups"])[order], np.array(case["values"])[order]
    starts = np.flatnonzero(np.diff(groups, prepend=-1))
    weights = None if case["weights"] is None else np.array(case["weights"])[order]
    # Sums of weights times values, as in a weighted mean.
    found = Moments.of_runs(values if weights is None else values * weights, weights, starts)
    assert found.standard_error() == pytest.approx(case["se"], rel=1e-14)


def test_a_standard_error_is_correctly_rounded_where_the_formula_cancels():
    values = 1e8 + np.arange(12) * 2.0**-20
    found = Moments.of_runs(values, None, np.arange(0, 12, 3)).standard_error()
    with mpmath.workdps(60):
        exact = [mpmath.mpf(v) for v in values.tolist()]
        mean = sum(exact) / 12
        parts = [sum(exact[i : i + 3]) - 3 * mean for i in range(0, 12, 3)]
        wanted = mpmath.sqrt(mpmath.mpf(4) / 3 * sum(u * u for u in parts)) / 12
    assert found == pytest.approx(float(wanted), rel=4e-16)


@given(st.lists(finite.filter(lambda x: abs(x) < 1e300), min_size=2, max_size=30))
def test_clusters_of_one_sample_give_students_standard_error_bit_for_bit(values):
    array = np.array(values)
    totals = total_losses("", array)
    alone = standard_error(standard_deviation(totals.sums, totals.squares, array.size), array.size)
    assert Moments.of_runs(array, None, np.arange(array.size)).standard_error() == alone
    assert Moments.of_rows(array, np.ones(array.size)).standard_error() == alone


def test_many_runs_are_summed_in_pieces():
    values = np.random.default_rng(1).exponential(size=100_000)
    whole = Moments.of_runs(values, values, np.arange(0, 100_000, 2))
    halves = (Moments.of_runs(part, part, np.arange(0, 50_000, 2)) for part in np.split(values, 2))
    assert whole == sum(halves, Moments())
    assert whole.clusters == 50_000


def test_one_cluster_or_no_weight_has_no_standard_error():
    assert math.isnan(Moments().standard_error())
    assert math.isnan(Moments.of_runs(np.array([1.0, 2.0]), None, np.array([0])).standard_error())
    assert math.isnan(Moments.of_rows(np.zeros(3), np.zeros(3)).standard_error())


@given(st.lists(st.tuples(ordinary, ordinary), min_size=1, max_size=20), st.randoms())
def test_moments_add_up_in_any_order(pairs, random):
    rows = [Moments.of_rows(np.array([v]), np.array([d])) for v, d in pairs]
    values, divisors = (np.array(column) for column in zip(*pairs, strict=True))
    random.shuffle(rows)
    assert sum(rows, Moments()) == Moments.of_rows(values, divisors)
