"""Several tests at once: p values adjusted so that a false positive among them is as rare as in a single test."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence


def holm(values: Sequence[float]) -> list[float]:
    """Return p values adjusted by Holm's method, in the order given; NaN stays NaN and does not count as a test.

    The k-th smallest of m values becomes ``min(1, (m - k + 1) p)``, but never less than the adjusted value before it.
    If values below alpha are called significant, the probability of any false positive is at most alpha.

    References
    ----------
    Holm, "A simple sequentially rejective multiple test procedure", Scand. J. Statist. 6, 1979.

    Examples
    --------
    >>> [round(p, 2) for p in holm([0.04, 0.01, 0.03])]  # 3 * 0.01, 2 * 0.03, and 0.04 raised to 0.06
    [0.06, 0.03, 0.06]
    """
    order = sorted((p, place) for place, p in enumerate(values) if not math.isnan(p))
    adjusted, least = [math.nan] * len(values), 0.0
    for before, (p, place) in enumerate(order):
        least = max(least, min(1.0, (len(order) - before) * p))
        adjusted[place] = least
    return adjusted
