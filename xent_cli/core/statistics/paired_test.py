"""The mean difference of two models' losses on the same samples, its interval, and the samples that changed most."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

import numpy as np

from xent_cli.core.intervals.student_t import quantile, two_sided_p
from xent_cli.core.statistics.resampling import bca_interval, bootstrap_means, bootstrap_p, sign_flip_p
from xent_cli.core.totals.exact_sum import ExactSum, standard_deviation
from xent_cli.core.totals.group_sums import sums_by_group
from xent_cli.core.totals.moments import Moments

if TYPE_CHECKING:
    from xent_cli.core.array_types import FloatArray, IntArray

    Test = Literal["t", "bootstrap", "permutation"]

DEFAULT_RESAMPLES = 9999
DEFAULT_SEED = 0
# Power at which the minimum detectable difference is stated.
_POWER = 0.8
_HUGE, _SHRUNK = 2.0**900, 2.0**-128


@dataclass(frozen=True, slots=True)
class PairedComparison:
    """The mean of per-sample differences, candidate - baseline, in nats.

    Fields
    ------
    n
        Number of pairs of losses.
    mean_baseline, mean_candidate
        Weighted means if there are weights; NaN or inf if any loss is.
    delta
        Mean difference, correctly rounded: 0 if the losses are the same, for any order of the samples.
    std
        Sample standard deviation of the differences, with divisor n - 1; with weights, the root of n times the standard
        error.
    low, high
        Confidence interval of `delta`: Student's t, or BCa with the bootstrap. NaN if `std` is 0 or unknown: one pair,
        equal differences, or a loss that is not finite.
    p
        Two-sided p of a mean difference of 0; NaN if there is no interval.
    confidence
        Confidence level of the interval.
    test
        "t", "bootstrap" or "permutation".
    resamples, seed
        None for "t", and if every permutation was tried.
    n_not_finite, first_not_finite
        Number of pairs with a NaN or infinite loss, and the position of the first, or None.
    error
        Standard error of `delta`, over clusters if there are any; NaN if it is unknown, as for a single cluster.
    n_clusters
        Number of clusters, or None if pairs are independent.
    design_effect
        Factor by which clusters multiply the variance of `delta`; NaN without clusters, or if there is no variance.
    """

    n: int
    mean_baseline: float
    mean_candidate: float
    delta: float
    std: float
    low: float
    high: float
    p: float
    confidence: float
    test: Test
    resamples: int | None
    seed: int | None
    n_not_finite: int
    first_not_finite: int | None
    error: float = math.nan
    n_clusters: int | None = None
    design_effect: float = math.nan

    @property
    def delta_percent(self) -> float:
        """Difference in percent of the baseline."""
        return percent(self.delta, self.mean_baseline)

    @property
    def mde(self) -> float:
        """The minimum detectable difference: a true difference of this size is significant in 80 of 100 comparisons.

        ``(t(1 - alpha / 2) + t(0.8)) * error`` with quantiles of Student's t; NaN if there is no standard error.
        """
        if not self.error > 0.0:
            return math.nan
        df = (self.n if self.n_clusters is None else self.n_clusters) - 1
        return (quantile(self.confidence, df) + quantile(2.0 * _POWER - 1.0, df)) * self.error

    @property
    def significant(self) -> bool | None:
        """Whether the interval excludes 0; None without an interval."""
        return None if math.isnan(self.low) else not self.low <= 0.0 <= self.high


def compare_losses(
    baseline: FloatArray,
    candidate: FloatArray,
    *,
    test: Test = "t",
    confidence: float = 0.95,
    resamples: int = DEFAULT_RESAMPLES,
    seed: int = DEFAULT_SEED,
    weight: FloatArray | None = None,
    divisor: FloatArray | None = None,
    cluster: IntArray | None = None,
) -> PairedComparison:
    """Compare two models by their losses on the same samples.

    Parameters
    ----------
    baseline, candidate
        [n] nats, n >= 1, in the same order, without ignored samples.
    test
        "t": Student's paired t. "bootstrap": differences are drawn with replacement; the interval is BCa, and p is the
        share of resampled means at least as far from the observed mean as that is from 0. "permutation": p from random
        signs of the differences, or from all signs if there are no more than `resamples`; the interval is that of t.
    confidence
        Confidence level, in (0, 1).
    resamples, seed
        Number of random draws, and seed of the generator, for "bootstrap" and "permutation".
    weight, divisor
        [n] weight of each loss in the sum, and in the number that the sum is divided by; None if all are 1. The
        standard error of the mean m is then the sandwich estimate, from the sum of ``(weight * difference - divisor *
        m)**2``.
    cluster
        [n] number of the cluster of each pair, from 0 in order of appearance, or None if pairs are independent. With
        clusters, only these are taken as independent: the standard error is that of `Moments`, t has one degree of
        freedom less than there are clusters, the bootstrap draws whole clusters, and the permutation test flips one
        sign per cluster. Clusters of one pair each give the same bits as no clusters.

    Raises
    ------
    ValueError
        If the lengths differ, or there are no losses.

    Examples
    --------
    >>> import numpy as np
    >>> both = compare_losses(np.array([1.0, 2.0, 3.0]), np.array([1.5, 2.5, 4.5]))
    >>> round(both.delta, 6), round(both.p, 6)  # differences 0.5, 0.5, 1.5: t = 2.5 with 2 degrees of freedom
    (0.833333, 0.129612)
    >>> compare_losses(np.array([1.0, 2.0]), np.array([1.0, 2.0])).delta
    0.0
    >>> pairs = np.array([0, 0, 1, 1])  # differences of 1 in one cluster and 3 in the other: t = 2 with one degree
    >>> two = compare_losses(np.zeros(4), np.array([1.0, 1.0, 3.0, 3.0]), cluster=pairs)
    >>> two.error, round(two.p, 6)
    (1.0, 0.295167)
    """
    if baseline.shape != candidate.shape or baseline.ndim != 1 or baseline.size == 0:
        raise ValueError(f"losses of shapes {baseline.shape} and {candidate.shape}: expected [n] and [n], n > 0")
    n = baseline.size
    with np.errstate(invalid="ignore", over="ignore"):
        difference = candidate - baseline
    odd = ~np.isfinite(difference)
    weighted = weight is not None or divisor is not None
    total = ExactSum.of_count(n) if divisor is None and weight is None else ExactSum.of(_first(divisor, weight))
    means = _mean(baseline, weight, total), _mean(candidate, weight, total)
    delta, std = means[1] - means[0], math.nan
    low = high = p = math.nan
    exact = False
    # The values that are resampled, and their shares of the divisor: one entry per cluster.
    members, counts = difference, None
    influence = difference
    if not odd.any():
        # From exact sums of the losses, because their differences are rounded.
        units = ExactSum.of(_product(candidate, weight)).units - ExactSum.of(_product(baseline, weight)).units
        delta = ExactSum(units) / total
        if n > 1 and not weighted:
            spread = standard_deviation(ExactSum.of(difference), ExactSum.of_squares(difference), n)
            std = spread * math.sqrt(n / (n - 1))
        elif n > 1 and total.units:
            members, counts = _product(difference, weight), _first(divisor, weight)
            influence = members - counts * delta
            std = _length(influence, members) * n / (float(total) * math.sqrt(n - 1))
    error, size, effect = std / math.sqrt(n), n, math.nan
    if cluster is not None:
        size = int(cluster.max()) + 1
        alone, effect = error, 1.0 if error > 0.0 else math.nan
        if size < n and not odd.any():
            members, counts, error = _over_clusters(members, counts, cluster, size)
            influence = members - counts * delta
            effect = (error / alone) ** 2 if alone > 0.0 else math.nan
    if error > 0.0 and std > 0.0:
        if test == "bootstrap":
            # Sums of the largest numbers would overflow; scaling by a power of two is exact.
            scale = _SHRUNK if float(np.abs(members).max()) > _HUGE else 1.0
            resampled = bootstrap_means(members * scale, resamples, seed, counts)
            centred = members * scale - delta * scale if counts is None else influence * scale
            low, high = (end / scale for end in bca_interval(centred, delta * scale, resampled, confidence))
            p = bootstrap_p(delta * scale, resampled)
        else:
            reach = quantile(confidence, size - 1) * error
            low, high = delta - reach, delta + reach
            p = two_sided_p(delta / error, size - 1)
        if test == "permutation":
            p, exact = sign_flip_p(members, resamples, seed)
    drawn = test != "t" and not exact
    return PairedComparison(
        n=n,
        mean_baseline=means[0],
        mean_candidate=means[1],
        delta=delta,
        std=std,
        low=low,
        high=high,
        p=p,
        confidence=confidence,
        test=test,
        resamples=resamples if drawn else None,
        seed=seed if drawn else None,
        n_not_finite=int(np.count_nonzero(odd)),
        first_not_finite=int(np.argmax(odd)) if odd.any() else None,
        error=error,
        n_clusters=None if cluster is None else size,
        design_effect=effect,
    )


def largest_moves(baseline: FloatArray, candidate: FloatArray, top: int) -> IntArray:
    """Return the positions of the largest changes, largest first, ties in sample order, without unchanged losses.

    Examples
    --------
    >>> import numpy as np
    >>> largest_moves(np.array([1.0, 2.0, 3.0]), np.array([1.5, 2.0, 1.0]), 5).tolist()
    [2, 0]
    """
    with np.errstate(invalid="ignore", over="ignore"):
        distance = np.abs(candidate - baseline)
    still = (baseline == candidate) | (np.isnan(baseline) & np.isnan(candidate))
    distance[still] = -1.0
    distance[np.isnan(distance)] = math.inf
    order = np.argsort(-distance, kind="stable")[:top]
    return order[distance[order] > 0.0].astype(np.int64)


def percent(delta: float, baseline: float) -> float:
    """Return a difference in percent of the baseline; NaN for a baseline of 0.

    Examples
    --------
    >>> percent(0.5, 2.0), percent(0.0, 0.0)
    (25.0, 0.0)
    """
    if delta == 0.0:
        return 0.0
    return 100.0 * delta / abs(baseline) if baseline else math.nan


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
