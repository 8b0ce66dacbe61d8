"""Student's t distribution: two-sided p and quantile, accurate for any number of degrees of freedom."""

from __future__ import annotations

import math
from functools import cache
from statistics import NormalDist
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from xent_cli.core.array_types import FloatArray

# From here on, the series for the ratio of gamma functions is accurate to the last digits.
_SERIES_FROM = 32.0
# The tail is integrated until the integrand has fallen by a factor of e**-45, panel by panel.
_FALL = 45.0
_PANELS, _NODES = 16, 20


def two_sided_p(t: float, df: int) -> float:
    """Probability that a Student t variable is at least as far from 0 as `t`.

    ``p = 2 / B(df/2, 1/2) * integral of cos(angle)**(df - 1)`` from ``atan(t / sqrt(df))`` to a right angle.

    Parameters
    ----------
    t
        Any value; the sign does not matter.
    df
        Degrees of freedom, at least 1.

    Notes ----- The integrand is smooth, so Gauss-Legendre quadrature is accurate to rounding. The usual method, a
    continued fraction for the incomplete beta function, loses as many digits as `df` has.

    Examples
    --------
    >>> round(two_sided_p(1.0, 1), 15)  # a quarter of Cauchy's distribution lies above 1
    0.5
    >>> two_sided_p(0.0, 9)
    1.0
    """
    if math.isnan(t):
        return math.nan
    square = t * t / df
    if math.isinf(square):
        return 0.0
    power = (df - 1) / 2
    begin = math.log1p(square)
    end = math.expm1(min(begin + _FALL / power, 700.0)) if power else math.inf
    # Measure angles from the nearer end of the range, so that small differences keep their digits.
    steep = square > 1.0
    first, last = (math.atan(1 / root if steep else root) for root in (math.sqrt(square), math.sqrt(end)))
    edges = np.linspace(first, last, _PANELS + 1)
    nodes, weights = _rule()
    half = np.diff(edges)[:, None] / 2
    angle = edges[:-1, None] + half * (1.0 + nodes)
    fall = -2.0 * np.log(np.sin(angle)) if steep else np.log1p(np.tan(angle) ** 2)
    integral = abs(float((np.exp(-power * (fall - begin)) * weights * half).sum()))
    return min(1.0, 2.0 * _gamma_ratio(df / 2) / math.sqrt(math.pi) * math.exp(-power * begin) * integral)


def quantile(confidence: float, df: int) -> float:
    """Distance from 0 within which a Student t variable stays with probability `confidence`.

    Newton's method starts from the normal quantile, which is below the answer; the tail is convex, so no step goes too
    far.

    Examples
    --------
    >>> round(quantile(0.5, 1), 12)
    1.0
    >>> round(quantile(0.95, 9), 6)
    2.262157
    """
    alpha = 1.0 - confidence
    t = -NormalDist().inv_cdf(alpha / 2)
    scale = _gamma_ratio(df / 2) / math.sqrt(df * math.pi)
    for _ in range(200):
        density = scale * math.exp(-(df + 1) / 2 * math.log1p(t * t / df))
        step = (two_sided_p(t, df) - alpha) / (2.0 * density)
        t += step
        if abs(step) <= 1e-15 * t:
            break
    return t


@cache
def _rule() -> tuple[FloatArray, FloatArray]:
    return np.polynomial.legendre.leggauss(_NODES)


def _gamma_ratio(a: float) -> float:
    """Gamma(a + 1/2) / Gamma(a), without the cancellation of a difference of large log-gammas."""
    factor = 1.0
    while a < _SERIES_FROM:
        factor *= a / (a + 0.5)
        a += 1.0
    u = 1.0 / a
    # DLMF 5.11.13, in powers of 1/a.
    series = 1.0 + u * (-1 / 8 + u * (1 / 128 + u * (5 / 1024 + u * (-21 / 32768 + u * (-399 / 262144)))))
    series += u**6 * (869 / 4194304 + u * 39325 / 33554432)
    return factor * math.sqrt(a) * series
