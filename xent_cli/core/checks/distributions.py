"""Whether rows are probability distributions: one rule for every input, format and command."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from xent_cli.core.checks.rounding import Rounding
from xent_cli.core.kernel.tiles import pairwise_sum

if TYPE_CHECKING:
    from xent_cli.core.array_types import AnyArray, BoolArray, FloatArray

# An input is judged by its first 1,024 rows that count, and classified only if there are at least `FEWEST_ROWS`.
ROWS_JUDGED = 1024
FEWEST_ROWS = 8
# A share of rows this high is not a coincidence.
NEARLY_ALL = 0.99
# How far a sum may be from 1 for any number of digits: enough for a softmax in single precision, summed in any order.
_SUM_TOLERANCE = 1e-3
# A sum that is further from 1 than this is never explained by rounding.
_MOST_OFF = 0.5
# How far above 1 a probability computed as exp(log p) may be.
_ROUNDING = 1e-6


class Distributions(NamedTuple):
    """How many rows are distributions.

    Fields
    ------
    counted
        Rows that can be judged: without NaN, and not all zero.
    fractions
        Rows that are distributions.
    percents
        Rows that are distributions when divided by 100.
    """

    counted: int = 0
    fractions: int = 0
    percents: int = 0

    @property
    def sure(self) -> bool:
        """Whether there are enough rows to judge by."""
        return self.counted >= FEWEST_ROWS

    @property
    def scale(self) -> float | None:
        """Divisor that makes nearly all rows distributions, 1 or 100; None if there is none.

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
    """Count the distributions among rows [n, k], which must not include masked or ignored ones.

    Parameters
    ----------
    unit
        Unit of the last digit of the numbers; None to detect it.

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
    figures = figures.take(figures.judgeable)
    fractions, percents = (int(np.count_nonzero(figures.are_distributions(unit, scale))) for scale in (1.0, 100.0))
    return Distributions(len(figures.total), fractions, percents)


class RowFigures(NamedTuple):
    """Figures that decide whether rows are distributions.

    Fields
    ------
    lowest, highest, total
        [n] lowest entry, highest entry and sum of each row; NaN for a row with NaN.
    num_classes
        Number of entries in a row.
    """

    lowest: FloatArray
    highest: FloatArray
    total: FloatArray
    num_classes: int

    @classmethod
    def of(cls, rows: AnyArray) -> RowFigures:
        """Compute the figures of rows [n, k]."""
        if not rows.size:
            none = np.zeros(len(rows))
            return cls(none, none, none, rows.shape[1])
        with np.errstate(invalid="ignore", over="ignore"):
            lowest, highest = (found.astype(np.float64) for found in (rows.min(axis=1), rows.max(axis=1)))
            if not (lowest.any() or highest.any()):  # padding, of which many rows are looked at
                return cls(lowest, highest, np.zeros(len(rows)), rows.shape[1])
            return cls(lowest, highest, pairwise_sum(rows.astype(np.float64)), rows.shape[1])

    def take(self, rows: AnyArray) -> RowFigures:
        """Return the figures of some rows."""
        return RowFigures(self.lowest[rows], self.highest[rows], self.total[rows], self.num_classes)

    def join(self, other: RowFigures) -> RowFigures:
        """Concatenate the figures of both."""
        lowest, highest, sums = (np.concatenate(pair) for pair in zip(self[:3], other[:3], strict=True))
        return RowFigures(lowest, highest, sums, self.num_classes)

    @property
    def judgeable(self) -> BoolArray:
        """Which rows can be judged: those without NaN that are not all zero."""
        judgeable: BoolArray = ~np.isnan(self.highest) & ((self.lowest != 0) | (self.highest != 0))
        return judgeable

    def within(self, unit: float, scale: float = 1.0) -> BoolArray:
        """Which rows have all entries, divided by `scale`, in [0, 1 + u/2], with u the `unit` of the last digit."""
        inside: BoolArray = (self.lowest >= 0) & (self.highest <= scale * highest_entry(_scaled(unit, scale)))
        return inside

    def are_distributions(self, unit: float, scale: float = 1.0) -> BoolArray:
        """Which rows are distributions when divided by `scale`, with `unit` the unit of the last digit.

        Every entry lies in [0, 1 + u/2], and the sum is 1 within max(0.001, min(k u/2, 0.5)).

        Examples
        --------
        >>> import numpy as np
        >>> RowFigures.of(np.array([[0.5, 0.5], [1.5, -0.5], [0.9, 0.2]])).are_distributions(0.0).tolist()
        [True, False, False]
        """
        # Sums of rounded decimals have binary rounding errors too.
        most = sum_tolerance(self.num_classes, _scaled(unit, scale)) * (1 + 1e-9)
        with np.errstate(invalid="ignore"):
            normal: BoolArray = np.abs(self.total / scale - 1.0) <= most
        return self.within(unit, scale) & normal

    @property
    def hopeless(self) -> BoolArray:
        """Which rows are not distributions for any number of digits, not even as percentages."""
        with np.errstate(invalid="ignore"):
            near: BoolArray = np.zeros(len(self.total), np.bool_)
            for scale in (1.0, 100.0):
                near |= (self.highest <= 2 * scale) & (np.abs(self.total / scale - 1.0) <= _MOST_OFF + 1e-6)
            return ~(near & (self.lowest >= 0))


def sum_tolerance(k: int, unit: float) -> float:
    """Return how far the sum of k probabilities rounded to `unit` may be from 1.

    Examples
    --------
    >>> sum_tolerance(3, 0.0), sum_tolerance(3, 0.01), sum_tolerance(1000, 0.01)
    (0.001, 0.015, 0.5)
    """
    return max(_SUM_TOLERANCE, min(k * unit / 2, _MOST_OFF))


def highest_entry(unit: float) -> float:
    """Return the highest value that a probability rounded to `unit` may have."""
    return 1.0 + max(unit / 2, _ROUNDING)


def _scaled(unit: float, scale: float) -> float:
    """Return the unit after division by `scale`; 0 for whole numbers, which are not rounded fractions."""
    return 0.0 if unit >= scale else unit / scale
