"""Whether rows are probability distributions: the one rule for every input, format and command."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from xent_cli.core.tiles import total

if TYPE_CHECKING:
    from xent_cli.core.block import AnyArray, BoolArray, FloatArray

# An input is judged on so many of its rows that count, and said to be of one kind from so many on.
ROWS_JUDGED = 1024
FEWEST_ROWS = 8
# A share of rows this high is no accident.
NEARLY_ALL = 0.99
# What a sum may be off by whatever the digits: those of a softmax in single precision, summed in any order.
_SUM_TOLERANCE = 1e-3
# Rounding never explains more than this.
_MOST_OFF = 0.5
# A probability that was computed as exp(log p) may be above 1 by so much.
_ROUNDING = 1e-6
_UNITS = {"bfloat16": 1 / 128, "float16": 2.0**-11}
# From seven digits on rounding does not show in a sum of any number of classes that there is.
_MOST_DIGITS = 6


class Distributions(NamedTuple):
    """How many rows are distributions.

    Fields
    ------
    counted
        Rows that say anything: neither NaN nor all zero.
    fractions
        Those that are distributions as they stand.
    percents
        Those that are when divided by 100.
    """

    counted: int = 0
    fractions: int = 0
    percents: int = 0

    @property
    def sure(self) -> bool:
        """Whether there are enough rows for a verdict."""
        return self.counted >= FEWEST_ROWS

    @property
    def scale(self) -> float | None:
        """What to divide by for distributions, 1 or 100; None where nearly all rows would have to be, and are not.

        Examples
        --------
        >>> Distributions(100, fractions=99).scale, Distributions(100, fractions=98).scale, Distributions().scale
        (1.0, None, None)
        """
        if not self.counted:
            return None
        if self.fractions >= NEARLY_ALL * self.counted:
            return 1.0
        return 100.0 if self.percents >= NEARLY_ALL * self.counted else None

    def merge(self, other: Distributions) -> Distributions:
        """Both, as one."""
        return Distributions(*(a + b for a, b in zip(self, other, strict=True)))


def count_distributions(rows: AnyArray, unit: float | None = None) -> Distributions:
    """Count the distributions among rows [n, k]; masked and ignored rows must have been left out.

    Parameters
    ----------
    unit
        Of the last digit that the numbers were written with; None where that is to be seen from them.

    Examples
    --------
    >>> import numpy as np
    >>> thirds = np.array([[0.33, 0.33, 0.33], [1.0, 0.0, 0.0], [0.0, 0.0, 0.0]])
    >>> count_distributions(thirds)
    Distributions(counted=2, fractions=2, percents=0)
    >>> count_distributions(thirds, 0.0).scale
    >>> count_distributions(np.array([[50, 50], [33.3, 66.7]])).scale
    100.0
    """
    if unit is None:
        unit = unit_of(rows)
    counts = says_anything(rows)
    kept = rows if counts.all() else rows[counts]
    return Distributions(
        len(kept),
        int(np.count_nonzero(are_distributions(kept, unit))),
        int(np.count_nonzero(are_distributions(kept, unit, 100.0))),
    )


def are_distributions(rows: AnyArray, unit: float, scale: float = 1.0) -> BoolArray:
    """Which rows [n, k] are distributions when divided by `scale`, of digits down to `unit`.

    Every entry lies in [0, 1 + u/2], and the sum is 1 within max(0.001, min(k u/2, 0.5)).

    Examples
    --------
    >>> import numpy as np
    >>> are_distributions(np.array([[0.5, 0.5], [1.5, -0.5], [0.9, 0.2]]), 0.0).tolist()
    [True, False, False]
    """
    if not rows.size:
        return np.zeros(len(rows), np.bool_)
    unit = 0.0 if unit >= scale else unit / scale
    within: BoolArray = (rows.min(axis=1) >= 0) & (rows.max(axis=1) <= scale * highest_entry(unit))
    found = within.copy()
    sums = row_sums(rows if within.all() else rows[within], scale)
    # The sum of numbers with few digits has rounding errors of its own.
    found[within] = np.abs(sums - 1.0) <= sum_tolerance(rows.shape[1], unit) * (1 + 1e-9)
    return found


def row_sums(rows: AnyArray, scale: float = 1.0) -> FloatArray:
    """Sums of rows [n, k] in float64, divided by `scale`."""
    return total(rows.astype(np.float64), 1) / scale


def sum_tolerance(k: int, unit: float) -> float:
    """How far from 1 the sum of k probabilities may be that were rounded to `unit`.

    Examples
    --------
    >>> sum_tolerance(3, 0.0), sum_tolerance(3, 0.01), sum_tolerance(1000, 0.01)
    (0.001, 0.015, 0.5)
    """
    return max(_SUM_TOLERANCE, min(k * unit / 2, _MOST_OFF))


def highest_entry(unit: float) -> float:
    """Highest probability there is, rounded to `unit`."""
    return 1.0 + max(unit / 2, _ROUNDING)


def says_anything(rows: AnyArray) -> BoolArray:
    """Which rows [n, k] are neither NaN nor all zero."""
    counts = rows.any(axis=1)
    if rows.dtype.kind == "f":
        counts &= ~np.isnan(rows).any(axis=1)
    return np.asarray(counts)


def unit_of(rows: AnyArray) -> float:
    """Unit of the last digit of numbers: of a half-precision dtype, or the finest decimal among them; 0 of many.

    Examples
    --------
    >>> import numpy as np
    >>> unit_of(np.array([[0.25, 0.7], [1.0, 0.0]])), unit_of(np.array([[1 / 3, 2 / 3]])), unit_of(np.array([[0, 1]]))
    (0.01, 0.0, 1.0)
    """
    if rows.dtype.kind != "f":
        return 1.0
    if rows.dtype.name in _UNITS:
        return _UNITS[rows.dtype.name]
    values: Any = rows.ravel()
    # Nearly always the first few numbers tell.
    for some in (values[:16], values):
        finite = some[np.isfinite(some)]
        digits = next((d for d in range(_MOST_DIGITS + 1) if (np.round(finite, d) == finite).all()), None)
        if digits is None:
            return 0.0
    return float(10.0 ** -(digits or 0))


def unit_of_dtype(name: str) -> float:
    """Unit of probabilities near 1 in a dtype of this name, 0 where it is finer than any sum shows.

    Examples
    --------
    >>> unit_of_dtype("bfloat16"), unit_of_dtype("float64")
    (0.0078125, 0.0)
    """
    return _UNITS.get(name, 0.0)
