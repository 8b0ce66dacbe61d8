"""Log-ratios of two distributions and the terms of their Kullback-Leibler divergence.

The derivation is at the end of this file.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from xent_cli.core.kernel.compensated_sum import distances
from xent_cli.core.kernel.tiles import pairwise_sum

if TYPE_CHECKING:
    from xent_cli.core.array_types import FloatArray

# Below this the closed form of x + exp(-x) - 1 cancels, and nine terms of its series are exact to rounding.
_SERIES_BOUND = 0.125
_SERIES = (1 / 2, -1 / 6, 1 / 24, -1 / 120, 1 / 720, -1 / 5040, 1 / 40320, -1 / 362880, 1 / 3628800)


def log_ratios(
    z: FloatArray,
    t: FloatArray,
    log_p: FloatArray,
    log_q: FloatArray,
    temperature: float,
    teacher_temperature: float = 1.0,
) -> FloatArray:
    """Compute log(q/p) from differences of logits, so that large logits do not cost digits.

    Parameters
    ----------
    z, t
        [n, k] logits of p, divided by `temperature`, and of q, divided by `teacher_temperature`.
    log_p, log_q
        [n, k] logarithms of the two distributions.

    Returns
    -------
    [n, k]; exactly 0 where the logits differ by a constant in each row, inf or -inf where only q or only p is above 0,
    and 0 where neither is.

    Examples
    --------
    >>> z = np.array([[100.0, 1.0], [0.0, 0.0]])
    >>> log_p = np.array([[-1e-43, -99.0], [-np.log(2), -np.log(2)]])
    >>> log_ratios(z, z + 7.0, log_p, log_p, 1.0).tolist()
    [[0.0, 0.0], [0.0, 0.0]]
    """
    likeliest = z.argmax(axis=1)[:, np.newaxis]
    apart, apart_rest = distances(z, np.take_along_axis(z, likeliest, axis=1), temperature)
    taught, taught_rest = distances(t, np.take_along_axis(t, likeliest, axis=1), teacher_temperature)
    log_peak = np.take_along_axis(log_p, likeliest, axis=1)
    neither = (z == -np.inf) & (t == -np.inf)
    with np.errstate(invalid="ignore", over="ignore"):
        plain = log_q - log_p
        u = (taught - apart) + (taught_rest - apart_rest)
        u[neither] = plain[neither] = 0.0
        p = np.exp(log_p)
        moved = np.where(np.abs(u) < 1.0, p * np.expm1(u), np.exp(taught + log_peak) - p)
        shift = np.log1p(pairwise_sum(moved))[:, np.newaxis]
        overflowed = (np.isinf(u) & np.isfinite(z) & np.isfinite(t)).any(axis=1, keepdims=True)
        return np.where(np.isfinite(shift) & ~overflowed, u - shift, plain)


def divergence_terms(x: FloatArray, p: FloatArray, q: FloatArray) -> FloatArray:
    """Compute terms of KL(q || p) that are each >= 0: ``q (x + exp(-x) - 1) = q x - q + p`` with x = log(q/p).

    Their sum is the divergence if p and q each sum to 1.

    Examples
    --------
    >>> p, q = np.array([[0.5, 0.5]]), np.array([[1.0, 0.0]])
    >>> with np.errstate(divide="ignore"):
    ...     divergence_terms(np.log(q / p), p, q).sum() == np.log(2)
    np.True_
    """
    small, middle = np.abs(x) < _SERIES_BOUND, x >= -1.0
    series = np.zeros_like(x)
    s = np.where(small, x, 0.0)
    for coefficient in reversed(_SERIES):
        series = series * s + coefficient
    with np.errstate(invalid="ignore", over="ignore"):
        # exp(-x) in place of p / q: the rounding of p and q would be magnified by the cancellation.
        terms = np.where(middle, q * (x + np.expm1(-x)), q * x - q + p)
    terms = np.where(q == 0, p, terms)
    return np.where(small, q * s * s * series, np.maximum(terms, 0.0))


# Derivation
# ----------
# Let r be the most probable class of p and u_j = (t_j - t_r)/T' - (z_j - z_r)/T. Then q_j/p_j = exp(u_j)/S with
# S = sum p_i exp(u_i) = 1 + sum p_i (exp(u_i) - 1), so x_j = u_j - log1p(sum of p_i expm1(u_i)). Each u_j is accurate,
# because the rounding errors of the differences are added to it. If |u_i| is large, p_i may underflow and exp(u_i)
# overflow; there p_i exp(u_i) = exp((t_i - t_r)/T') p_r. If that overflows too, or q_r is 0, the two distributions are
# so far apart that the plain difference of their logarithms is accurate.
#
# KL = sum q_j f(x_j) with f(x) = x + exp(-x) - 1 and f'(x) = 1 - exp(-x), so errors e_j of x_j change it by
# sum (q_j - p_j) e_j. An error common to all classes, such as that of the shift, cancels to first order.
