"""Whether rows are probability distributions: the one rule for every input, format and command."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from xent_cli.core.checks.rounding import Rounding
from xent_cli.core.kernel.tiles import pairwise_sum

if TYPE_CHECKING:
    from xent_cli.core.array_types import AnyArray, BoolArray, FloatArray

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
        """What to divide by for distributions, 1 or 100; None where that makes them of fewer than nearly all rows.

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
    unit = Rounding.of(rows).unit if unit is None else unit
    figures = RowFigures.of(rows)
    figures = figures.take(figures.speaking)
    fractions, percents = (int(np.count_nonzero(figures.are_distributions(unit, scale))) for scale in (1.0, 100.0))
    return Distributions(len(figures.total), fractions, percents)


class RowFigures(NamedTuple):
    """What tells whether rows are distributions.

    Fields
    ------
    lowest, highest, total
        [n] the entries' extremes and their sum; NaN in a row with NaN.
    num_classes
        Entries a row.
    """

    lowest: FloatArray
    highest: FloatArray
    total: FloatArray
    num_classes: int

    @classmethod
    def of(cls, rows: AnyArray) -> RowFigures:
        """Figures of rows [n, k]."""
        if not rows.size:
            none = np.zeros(len(rows))
            return cls(none, none, none, rows.shape[1])
        with np.errstate(invalid="ignore", over="ignore"):
            lowest, highest = (found.astype(np.float64) for found in (rows.min(axis=1), rows.max(axis=1)))
            return cls(lowest, highest, pairwise_sum(rows.astype(np.float64), 1), rows.shape[1])

    def take(self, rows: AnyArray) -> RowFigures:
        """Those of some rows."""
        return RowFigures(self.lowest[rows], self.highest[rows], self.total[rows], self.num_classes)

    def join(self, other: RowFigures) -> RowFigures:
        """Both, in order."""
        lowest, highest, sums = (np.concatenate(pair) for pair in zip(self[:3], other[:3], strict=True))
        return RowFigures(lowest, highest, sums, self.num_classes)

    @property
    def speaking(self) -> BoolArray:
        """Which rows say anything: those that are neither NaN nor all zero."""
        says: BoolArray = ~np.isnan(self.highest) & ((self.lowest != 0) | (self.highest != 0))
        return says

    def within(self, unit: float, scale: float = 1.0) -> BoolArray:
        """In which rows every entry divided by `scale` lies in [0, 1 + u/2], in digits down to `unit`."""
        inside: BoolArray = (self.lowest >= 0) & (self.highest <= scale * highest_entry(_scaled(unit, scale)))
        return inside

    def are_distributions(self, unit: float, scale: float = 1.0) -> BoolArray:
        """Which rows are distributions when divided by `scale`, in digits down to `unit`.

        Every entry lies in [0, 1 + u/2], and the sum is 1 within max(0.001, min(k u/2, 0.5)).

        Examples
        --------
        >>> import numpy as np
        >>> RowFigures.of(np.array([[0.5, 0.5], [1.5, -0.5], [0.9, 0.2]])).are_distributions(0.0).tolist()
        [True, False, False]
        """
        # The sum of numbers with few digits has rounding errors of its own.
        most = sum_tolerance(self.num_classes, _scaled(unit, scale)) * (1 + 1e-9)
        with np.errstate(invalid="ignore"):
            normal: BoolArray = np.abs(self.total / scale - 1.0) <= most
        return self.within(unit, scale) & normal

    @property
    def hopeless(self) -> BoolArray:
        """Which rows are no distributions whatever their digits, and would be none as percentages."""
        with np.errstate(invalid="ignore"):
            near: BoolArray = np.zeros(len(self.total), np.bool_)
            for scale in (1.0, 100.0):
                near |= (self.highest <= 2 * scale) & (np.abs(self.total / scale - 1.0) <= _MOST_OFF + 1e-6)
            return ~(near & (self.lowest >= 0))


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


def _scaled(unit: float, scale: float) -> float:
    """Unit of what is divided by `scale`; whole numbers are not fractions that were rounded to whole ones."""
    return 0.0 if unit >= scale else unit / scale
