"""How far a distribution is from another: log-ratios of the two, and the terms of the Kullback-Leibler divergence.

The derivation stands at the foot of this file.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from xent_cli.core.kernel.compensated_sum import distances
from xent_cli.core.kernel.tiles import total

if TYPE_CHECKING:
    from xent_cli.core.array_types import FloatArray

# Below this the series of x + exp(-x) - 1 is exact to rounding after its ninth term, and the closed form cancels.
_SMALL = 0.125
_SERIES = (1 / 2, -1 / 6, 1 / 24, -1 / 120, 1 / 720, -1 / 5040, 1 / 40320, -1 / 362880, 1 / 3628800)


def log_ratios(z: FloatArray, t: FloatArray, log_p: FloatArray, log_q: FloatArray, temperature: float) -> FloatArray:
    """Logarithms of q/p, from the differences of the logits: no digit is lost to the size of these.

    Parameters
    ----------
    z, t
        [n, k] logits of p, divided by `temperature`, and of q.
    log_p, log_q
        [n, k] logarithms of softmax(z / temperature) and softmax(t).

    Returns
    -------
    [n, k]; exactly 0 where the two are the same but for a constant in each row, inf and -inf where only q or p is
    possible, and 0 where neither is.

    Examples
    --------
    >>> z = np.array([[100.0, 1.0], [0.0, 0.0]])
    >>> log_p = np.array([[-1e-43, -99.0], [-np.log(2), -np.log(2)]])
    >>> log_ratios(z, z + 7.0, log_p, log_p, 1.0).tolist()
    [[0.0, 0.0], [0.0, 0.0]]
    """
    likeliest = z.argmax(axis=1)[:, np.newaxis]
    apart, apart_rest = distances(z, np.take_along_axis(z, likeliest, axis=1), temperature)
    taught, taught_rest = distances(t, np.take_along_axis(t, likeliest, axis=1), 1.0)
    log_peak = np.take_along_axis(log_p, likeliest, axis=1)
    neither = (z == -np.inf) & (t == -np.inf)
    with np.errstate(invalid="ignore", over="ignore"):
        plain = log_q - log_p
        u = (taught - apart) + (taught_rest - apart_rest)
        u[neither] = plain[neither] = 0.0
        p = np.exp(log_p)
        moved = np.where(np.abs(u) < 1.0, p * np.expm1(u), np.exp(taught + log_peak) - p)
        shift = np.log1p(total(moved, 1))[:, np.newaxis]
        overflowed = (np.isinf(u) & np.isfinite(z) & np.isfinite(t)).any(axis=1, keepdims=True)
        return np.where(np.isfinite(shift) & ~overflowed, u - shift, plain)


def divergence_terms(x: FloatArray, p: FloatArray, q: FloatArray) -> FloatArray:
    """Terms of KL(q || p) that are each >= 0, ``q (x + exp(-x) - 1) = q x - q + p`` with x = log(q/p).

    Their sum is the divergence where p and q each sum to 1.

    Examples
    --------
    >>> p, q = np.array([[0.5, 0.5]]), np.array([[1.0, 0.0]])
    >>> with np.errstate(divide="ignore"):
    ...     divergence_terms(np.log(q / p), p, q).sum() == np.log(2)
    np.True_
    """
    small, middle = np.abs(x) < _SMALL, x >= -1.0
    series = np.zeros_like(x)
    s = np.where(small, x, 0.0)
    for coefficient in reversed(_SERIES):
        series = series * s + coefficient
    with np.errstate(invalid="ignore", over="ignore"):
        # With exp(-x) in place of p / q, what is lost of p and q is not multiplied by the cancellation.
        terms = np.where(middle, q * (x + np.expm1(-x)), q * x - q + p)
    terms = np.where(q == 0, p, terms)
    return np.where(small, q * s * s * series, np.maximum(terms, 0.0))


# Derivation
# ----------
# With r the class that p has most of, and u_j = (t_j - t_r) - (z_j - z_r)/T, q_j/p_j is exp(u_j)/S with
# S = sum p_i exp(u_i) = 1 + sum p_i (exp(u_i) - 1), so x_j = u_j - log1p(sum of p_i expm1(u_i)). Each u_j has all its
# digits, for the differences are taken with what their rounding leaves out. Where |u_i| is large p_i may underflow and
# exp(u_i) overflow: there p_i exp(u_i) = exp(t_i - t_r) p_r. Where that overflows too, or q_r is 0, the two are so far
# apart that the difference of their logarithms has all digits.
#
# KL = sum q_j f(x_j) with f(x) = x + exp(-x) - 1 and f'(x) = 1 - exp(-x), so errors e_j of x_j cost
# sum (q_j - p_j) e_j: one that is the same for all classes, as that of the shift is, costs nothing but its square.
