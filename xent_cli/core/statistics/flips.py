"""Samples that only one of two models predicts right, and whether their imbalance may be chance."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from xent_cli.core.intervals.student_t import gamma_ratio

if TYPE_CHECKING:
    from xent_cli.core.array_types import BoolArray

# Within the first number of standard deviations, the terms of a binomial tail fall below 1e-16 of the first term; a
# tail that begins further out than the second number is 0 in float64.
_TERMS, _FARTHEST = 9.0, 80.0


@dataclass(frozen=True, slots=True)
class Flips:
    """Samples that one of two models predicts right and the other wrong.

    Fields
    ------
    n
        Number of samples compared.
    wrong_to_right, right_to_wrong
        How many samples only the candidate predicts right, and how many only the baseline does.
    p
        Exact two-sided p of McNemar's test, from `mcnemar_p`. It treats samples as independent.
    clustered
        Whether samples come in clusters, which this p does not take into account.
    """

    n: int
    wrong_to_right: int
    right_to_wrong: int
    p: float
    clustered: bool = False


def flips_of(baseline: BoolArray, candidate: BoolArray, *, clustered: bool = False) -> Flips:
    """Count the flips between two models; the arrays [n] are True where a prediction is right.

    Examples
    --------
    >>> flips_of(np.array([True, False, False, True]), np.array([True, True, True, False]))
    Flips(n=4, wrong_to_right=2, right_to_wrong=1, p=1.0, clustered=False)
    """
    gained = int(np.count_nonzero(candidate & ~baseline))
    lost = int(np.count_nonzero(baseline & ~candidate))
    return Flips(baseline.size, gained, lost, mcnemar_p(gained, lost), clustered)


def mcnemar_p(gained: int, lost: int) -> float:
    """Exact two-sided p of McNemar's test: how often fair coin flips are at least this uneven.

    ``p = min(1, 2 sum_{i <= k} C(n, i) / 2**n)`` with n = gained + lost and k the smaller of the two; 1 if nothing
    flips.

    References
    ----------
    McNemar, "Note on the sampling error of the difference between correlated proportions or percentages", Psychometrika
    12, 1947.

    Examples
    --------
    >>> mcnemar_p(0, 5), mcnemar_p(3, 3), mcnemar_p(0, 0)  # 2 / 2**5; even; nothing
    (0.0625, 1.0, 1.0)
    """
    n, k = gained + lost, min(gained, lost)
    if 2 * k >= n - 1:
        return 1.0
    half, deviation = n // 2, math.sqrt(n) / 2
    if half - k > _FARTHEST * deviation:
        return 0.0
    # C(2m, m) / 4**m = Gamma(m + 1/2) / (sqrt(pi) Gamma(m + 1)), and each other term by its ratio to its neighbour.
    central = 1.0 / (math.sqrt(math.pi) * gamma_ratio(half + 0.5))
    central *= (n / (n + 1)) if n % 2 else 1.0
    falling = np.arange(half, k, -1, dtype=np.float64)
    first = central * math.exp(float(np.log(falling / (n + 1 - falling)).sum()))
    rest = np.arange(k, max(0, k - int(_TERMS * deviation) - 64), -1, dtype=np.float64)
    return min(1.0, 2.0 * first * (1.0 + float(np.cumprod(rest / (n + 1 - rest)).sum())))
