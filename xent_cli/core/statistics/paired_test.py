"""The mean difference of two models' losses on the same samples, its interval, and the samples that changed most."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

import numpy as np

from xent_cli.core.intervals.student_t import quantile, two_sided_p
from xent_cli.core.statistics.mean_difference import mean_difference
from xent_cli.core.statistics.resampling import bca_interval, bootstrap_means, bootstrap_p, sign_flip_p

if TYPE_CHECKING:
    from xent_cli.core.array_types import FloatArray, IntArray
    from xent_cli.core.statistics.mean_difference import MeanDifference

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
    found = mean_difference(baseline, candidate, weight, divisor, cluster)
    low = high = p = math.nan
    exact = False
    if found.error > 0.0 and found.std > 0.0:
        low, high, p, exact = _interval(found, test, confidence, resamples, seed)
    drawn = test != "t" and not exact
    return PairedComparison(
        n=baseline.size,
        mean_baseline=found.mean_baseline,
        mean_candidate=found.mean_candidate,
        delta=found.delta,
        std=found.std,
        low=low,
        high=high,
        p=p,
        confidence=confidence,
        test=test,
        resamples=resamples if drawn else None,
        seed=seed if drawn else None,
        n_not_finite=found.not_finite.size,
        first_not_finite=int(found.not_finite[0]) if found.not_finite.size else None,
        error=found.error,
        n_clusters=None if cluster is None else int(cluster.max()) + 1,
        design_effect=found.design_effect,
    )


def _interval(
    found: MeanDifference, test: Test, confidence: float, resamples: int, seed: int
) -> tuple[float, float, float, bool]:
    """Return the ends of the interval, p, and whether p is exact."""
    members, delta = found.members, found.delta
    if test == "bootstrap":
        # Sums of the largest numbers would overflow; scaling by a power of two is exact.
        scale = _SHRUNK if float(np.abs(members).max()) > _HUGE else 1.0
        resampled = bootstrap_means(members * scale, resamples, seed, found.counts)
        centred = members * scale - delta * scale if found.counts is None else found.influence * scale
        low, high = (end / scale for end in bca_interval(centred, delta * scale, resampled, confidence))
        return low, high, bootstrap_p(delta * scale, resampled), False
    df = members.size - 1
    reach = quantile(confidence, df) * found.error
    p, exact = (two_sided_p(delta / found.error, df), False) if test == "t" else sign_flip_p(members, resamples, seed)
    return delta - reach, delta + reach, p, exact


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
