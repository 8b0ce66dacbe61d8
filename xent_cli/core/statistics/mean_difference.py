"""The mean of the differences of paired losses, its standard error, and what a test of it resamples."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from xent_cli.core.totals.exact_sum import ExactSum, standard_deviation
from xent_cli.core.totals.group_sums import sums_by_group
from xent_cli.core.totals.moments import Moments

if TYPE_CHECKING:
    from xent_cli.core.array_types import FloatArray, IntArray


class MeanDifference(NamedTuple):
    """The mean difference, candidate - baseline, in nats.

    Fields
    ------
    mean_baseline, mean_candidate, delta, std, error, design_effect
        As in `PairedComparison`.
    not_finite
        Positions of the pairs whose difference is not finite; if there are any, `std` and `error` are NaN.
    members, counts
        [G] what a test resamples, and the share of each in the divisor (None if all are 1): differences times weights
        or, with clusters, the sums of these over clusters.
    influence
        [G] contribution of each member to the error of `delta`.
    """

    mean_baseline: float
    mean_candidate: float
    delta: float
    std: float
    error: float
    design_effect: float
    not_finite: IntArray
    members: FloatArray
    counts: FloatArray | None
    influence: FloatArray


def mean_difference(
    baseline: FloatArray,
    candidate: FloatArray,
    weight: FloatArray | None,
    divisor: FloatArray | None,
    cluster: IntArray | None,
) -> MeanDifference:
    """Return the mean of candidate - baseline, with its standard error; the arguments are those of `compare_losses`."""
    n = baseline.size
    with np.errstate(invalid="ignore", over="ignore"):
        difference = candidate - baseline
    not_finite = np.flatnonzero(~np.isfinite(difference))
    weighted = weight is not None or divisor is not None
    total = ExactSum.of(_first(divisor, weight)) if weighted else ExactSum.of_count(n)
    before, after = _mean(baseline, weight, total), _mean(candidate, weight, total)
    if not_finite.size:
        nan = math.nan
        return MeanDifference(before, after, after - before, nan, nan, nan, not_finite, difference, None, difference)
    # From exact sums of the losses, because their differences are rounded.
    units = ExactSum.of(_product(candidate, weight)).units - ExactSum.of(_product(baseline, weight)).units
    delta, std = ExactSum(units) / total, math.nan
    members, counts, influence = difference, None, difference
    if n > 1 and not weighted:
        spread = standard_deviation(ExactSum.of(difference), ExactSum.of_squares(difference), n)
        std = spread * math.sqrt(n / (n - 1))
    elif n > 1 and total.units:
        members, counts = _product(difference, weight), _first(divisor, weight)
        influence = members - counts * delta
        std = _length(influence, members) * n / (float(total) * math.sqrt(n - 1))
    error, effect = std / math.sqrt(n), math.nan
    if cluster is not None:
        alone, effect = error, 1.0 if error > 0.0 else math.nan
        size = int(cluster.max()) + 1
        if size < n:
            members, counts, error = _over_clusters(members, counts, cluster, size)
            influence = members - counts * delta
            effect = (error / alone) ** 2 if alone > 0.0 else math.nan
    return MeanDifference(before, after, delta, std, error, effect, not_finite, members, counts, influence)


def _over_clusters(
    values: FloatArray, divisor: FloatArray | None, cluster: IntArray, size: int
) -> tuple[FloatArray, FloatArray, float]:
    """Return the sums of values [n] and of their divisors over clusters, each rounded once, and the standard error."""
    order = np.argsort(cluster, kind="stable")
    starts = np.searchsorted(cluster[order], np.arange(size))
    moments = Moments.of_runs(values[order], None if divisor is None else divisor[order], starts)
    if divisor is None:
        counts = np.bincount(cluster).astype(np.float64)
    else:
        counts = np.array([float(ExactSum(units)) for units in sums_by_group(cluster, divisor, size)])
    sums = np.array([float(ExactSum(units)) for units in sums_by_group(cluster, values, size)])
    return sums, counts, moments.standard_error()


def _mean(loss: FloatArray, weight: FloatArray | None, total: ExactSum) -> float:
    finite = np.isfinite(loss)
    if finite.all():
        return ExactSum.of(_product(loss, weight)) / total
    with np.errstate(invalid="ignore"):
        return float(loss[~finite].sum())  # NaN or an infinity


def _product(values: FloatArray, weight: FloatArray | None) -> FloatArray:
    return values if weight is None else values * weight


def _first(divisor: FloatArray | None, weight: FloatArray | None) -> FloatArray:
    found = weight if divisor is None else divisor
    assert found is not None
    return found


def _length(influence: FloatArray, difference: FloatArray) -> float:
    """Return the root of the sum of squares; 0 if that is only the rounding error of equal differences."""
    if np.abs(influence).max() <= 4 * np.finfo(np.float64).eps * np.abs(difference).max():
        return 0.0
    return math.sqrt(float(ExactSum.of_squares(influence)))
