"""The first rows that count, on which an input is judged before any of it is used."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from xent_cli.core.checks.distributions import FEWEST_ROWS, NEARLY_ALL, ROWS_JUDGED, Distributions, RowFigures
from xent_cli.core.checks.rounding import Rounding
from xent_cli.core.counted_rows import weights_and_left_out
from xent_cli.core.labels import either, ignored_labels

if TYPE_CHECKING:
    from xent_cli.core.array_types import AnyArray, BoolArray
    from xent_cli.core.block import Block
    from xent_cli.core.options import LossOptions

# With so many rows that are none, nearly all of those judged can no longer be distributions.
_TOO_MANY = ROWS_JUDGED - int(NEARLY_ALL * ROWS_JUDGED)
# Looked at first, and then four times as many each time: most inputs are no distributions, and a few rows tell.
_FIRST_LOOK = 16
# Counts and grades stay within fewer whole numbers than this; quantised outputs are spread over 256.
_MUCH_OF_256 = 64
# Rows that say nothing, as padding does, are passed over; a file of nothing else is not read twice, nor kept.
_MOST_SILENT_ROWS, _MOST_SILENT_ENTRIES = 1 << 16, 1 << 24


class FirstRows:
    """What one input holds in its first rows that count and say anything, up to 1,024.

    Attributes
    ----------
    logarithms
        Whether the rows are log-probabilities: figures are of their exponentials.
    whole
        Whether all of the rows are needed, and not only whether they are distributions.
    figures
        Of each row, or None before the first.
    samples
        Their numbers.
    rounding
        Of all entries.
    highest, lowest
        Of all entries, as they stand.
    integers, dtypes
        Whether every array that they came in was one of integers, and the names of their types.
    """

    def __init__(self, *, logarithms: bool = False, whole: bool = True) -> None:
        self.logarithms = logarithms
        self.whole = whole
        self.clear()

    def clear(self) -> None:
        """Forget all rows."""
        self.figures: RowFigures | None = None
        self.samples: list[int] = []
        self.rounding = Rounding()
        self.highest, self.lowest = -np.inf, np.inf
        self.dtypes: set[str] = set()
        self.integers = True
        self._hopeless = 0
        self._silent, self._most_silent = 0, _MOST_SILENT_ROWS

    @property
    def enough(self) -> bool:
        """Whether more rows would change nothing."""
        if len(self.samples) >= ROWS_JUDGED or self._silent >= self._most_silent:
            return True
        return not self.whole and self._hopeless > _TOO_MANY

    def add(self, rows: AnyArray, samples: AnyArray) -> None:
        """Look at rows [n, k] that count, which come after those before, and have these numbers."""
        width = max(1, rows.shape[1])
        self._most_silent = min(_MOST_SILENT_ROWS, max(ROWS_JUDGED, _MOST_SILENT_ENTRIES // width))
        done, step = 0, _FIRST_LOOK
        while done < len(rows) and not self.enough:
            some = rows[done : done + step]
            self._look(some, samples[done : done + step])
            done, step = done + step, 4 * step

    def _look(self, rows: AnyArray, samples: AnyArray) -> None:
        self.dtypes.add(rows.dtype.name)
        self.integers &= rows.dtype.kind in "iu"
        with np.errstate(under="ignore", over="ignore"):
            figures = RowFigures.of(np.exp(rows.astype(np.float64)) if self.logarithms else rows)
        says = np.flatnonzero(figures.speaking)
        # The same rows, in whichever blocks they come.
        silent_before = self._silent + says - np.arange(says.size)
        self._silent += len(rows) - says.size
        says = says[silent_before < self._most_silent][: ROWS_JUDGED - len(self.samples)]
        figures = figures.take(says)
        kept = rows if says.size == len(rows) else rows[says]
        self.figures = figures if self.figures is None else self.figures.join(figures)
        self.samples += samples[says].tolist()
        self.rounding = self.rounding.merge(Rounding.of(kept))
        self._hopeless += int(np.count_nonzero(figures.hopeless))
        if kept.size:
            self.highest = max(self.highest, float(kept.max()))
            self.lowest = min(self.lowest, float(kept.min()))

    @property
    def quantised(self) -> bool:
        """Whether these are integers of eight bits, or whole numbers that take up much of their range."""
        if self.dtypes and self.dtypes <= {"int8", "uint8"}:
            return True
        fits = (self.lowest >= 0 and self.highest <= 255) or (self.lowest >= -128 and self.highest <= 127)
        spread = self.highest - self.lowest >= _MUCH_OF_256
        return self.rounding.whole and fits and spread and len(self.samples) >= FEWEST_ROWS

    def distributions(self) -> Distributions:
        """How many of the rows are distributions."""
        if self.figures is None:
            return Distributions()
        unit = self.rounding.unit
        fractions, percents = (self.figures.are_distributions(unit, scale) for scale in (1.0, 100.0))
        return Distributions(len(self.samples), int(np.count_nonzero(fractions)), int(np.count_nonzero(percents)))


def rows_that_count(block: Block, options: LossOptions) -> BoolArray:
    """Which rows [n] of a block count: neither masked nor ignored, and with a label by position."""
    _, left_out = weights_and_left_out(block, options)
    left_out = either(left_out, block.unscored)
    if options.labels == "sparse":
        ignored = ignored_labels(block.labels, options.ignore_index, ignore_missing=options.ignore_missing)
        left_out = either(left_out, ignored)
    return np.ones(len(block.logits), np.bool_) if left_out is None else ~left_out
