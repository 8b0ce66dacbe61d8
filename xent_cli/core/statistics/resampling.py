"""Resampled means of paired differences, by bootstrap and by flipping signs, in bounded memory."""

from __future__ import annotations

import math
from statistics import NormalDist
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from xent_cli.core.array_types import FloatArray

# Number of random draws held in memory at a time.
_MOST_AT_ONCE = 1 << 21
# Relative difference up to which two distances count as equal, because sums are rounded.
_TIE = 1e-13


def bootstrap_means(
    difference: FloatArray,
    resamples: int,
    seed: int,
    divisor: FloatArray | None = None,
    *,
    most_at_once: int = _MOST_AT_ONCE,
) -> FloatArray:
    """Compute the means of `resamples` samples of size n, drawn with replacement from `difference` [n].

    With a `divisor` [n], each sum is divided by the sum of the divisors drawn. The n times `resamples` draws are those
    of ``scipy.stats.bootstrap(..., rng=numpy.random.default_rng(seed))``.
    """
    rng = np.random.default_rng(seed)
    n = difference.size
    step = max(1, most_at_once // n)
    sums, counts = np.zeros(resamples), np.zeros(resamples)
    for first in range(0, resamples, step):
        rows = min(step, resamples - first)
        for column in range(0, n, most_at_once):
            drawn = rng.integers(0, n, (rows, min(most_at_once, n - column)))
            sums[first : first + rows] += difference[drawn].sum(axis=1)
            if divisor is not None:
                counts[first : first + rows] += divisor[drawn].sum(axis=1)
    # If all divisors drawn are 0, so is the sum.
    return sums / n if divisor is None else np.divide(sums, counts, out=np.zeros(resamples), where=counts > 0)


def bca_interval(centred: FloatArray, mean: float, means: FloatArray, confidence: float) -> tuple[float, float]:
    """Compute the bias-corrected and accelerated bootstrap interval of a mean.

    Parameters
    ----------
    centred, mean
        [n] the sample minus its mean (with weights, the contribution of each member to the error), and the mean.
    means
        Resampled means, from `bootstrap_means`.

    Returns
    -------
    Lower and upper end; NaN if all resampled means are on one side of `mean`.

    References
    ----------
    Efron & Tibshirani, "An Introduction to the Bootstrap", 1993, chapter 14.
    """
    normal = NormalDist()
    share = (np.count_nonzero(means < mean) + np.count_nonzero(means <= mean)) / (2 * means.size)
    if not 0.0 < share < 1.0:
        return math.nan, math.nan
    bias = normal.inv_cdf(share)
    centred = centred / np.abs(centred).max()
    # The jackknife of a mean in closed form.
    acceleration = float((centred**3).sum()) / (6.0 * float((centred**2).sum()) ** 1.5)
    tail = normal.inv_cdf((1.0 - confidence) / 2)
    levels = [normal.cdf(bias + z / (1.0 - acceleration * z)) for z in (bias + tail, bias - tail)]
    low, high = np.quantile(means, levels)
    return float(low), float(high)


def bootstrap_p(mean: float, means: FloatArray) -> float:
    """Compute the two-sided p of a mean of 0, ``(c + 1) / (resamples + 1)``.

    c is the number of resampled means that are at least as far from the observed `mean` as that is from 0.
    """
    far = int(np.count_nonzero(np.abs(means - mean) >= abs(mean) * (1.0 - _TIE)))
    return (far + 1) / (means.size + 1)


def sign_flip_p(
    difference: FloatArray, resamples: int, seed: int, *, most_at_once: int = _MOST_AT_ONCE
) -> tuple[float, bool]:
    """Compute the two-sided p of a mean of 0, if both signs of each difference are equally likely.

    Returns
    -------
    p, and whether it is exact: if there are at most `resamples` ways to flip n signs, all are tried, and p is the share
    of means at least as far from 0 as the observed one. Otherwise signs are drawn at random, and
    ``p = (c + 1) / (resamples + 1)``.

    Examples
    --------
    >>> import numpy as np
    >>> sign_flip_p(np.array([1.0, 2.0, 4.0]), 9999, 0)  # two of eight: no flip, and every flip
    (0.25, True)
    """
    n = difference.size
    # Comparing sums is comparing means, and sums of scaled differences neither overflow nor underflow.
    scaled = difference / np.abs(difference).max()
    limit = abs(float(scaled.sum())) * (1.0 - _TIE)
    if n < 63 and 1 << n <= resamples:
        flips = np.arange(1 << n)[:, None] >> np.arange(n) & 1
        return float(np.count_nonzero(np.abs((1.0 - 2.0 * flips) @ scaled) >= limit)) / (1 << n), True
    rng = np.random.default_rng(seed)
    step = max(1, most_at_once // n)
    total = float(scaled.sum())
    far = 0
    for first in range(0, resamples, step):
        rows = min(step, resamples - first)
        flipped = np.zeros(rows)
        for column in range(0, n, most_at_once):
            part = scaled[column : column + most_at_once]
            bits = np.unpackbits(rng.integers(0, 256, (rows, (part.size + 7) // 8), np.uint8), axis=1, count=part.size)
            flipped += bits.astype(np.float64) @ part
        far += int(np.count_nonzero(np.abs(total - 2.0 * flipped) >= limit))
    return (far + 1) / (resamples + 1), False
