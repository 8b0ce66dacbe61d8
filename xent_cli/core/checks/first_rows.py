"""The first rows that count, by which an input is judged before it is used."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from xent_cli.core.checks.distributions import FEWEST_ROWS, NEARLY_ALL, ROWS_JUDGED, Distributions, RowFigures
from xent_cli.core.checks.rounding import Rounding
from xent_cli.core.counted_rows import weights_and_left_out
from xent_cli.core.labels.check_labels import either, ignored_labels

if TYPE_CHECKING:
    from xent_cli.core.array_types import AnyArray, BoolArray
    from xent_cli.core.block import Block
    from xent_cli.core.options import LossOptions

# Once this many rows are not distributions, it is impossible that nearly all of those judged are.
_TOO_MANY = ROWS_JUDGED - int(NEARLY_ALL * ROWS_JUDGED)
# Number of rows examined first, and then four times as many each time: for most inputs, a few rows show that they are
# not distributions.
_FIRST_STEP = 16
# Counts and grades span fewer whole numbers than this; quantised outputs span most of 256.
_LEAST_SPAN = 64
# Rows with this many entries in total are examined at a time, because figures are computed in float64.
_MOST_ENTRIES = 1 << 21
# Rows that cannot be judged, such as padding, are skipped up to these limits, as an input may contain nothing else: so
# many rows, and so many entries; or as many rows as are judged, up to four times the entries.
_MOST_SKIPPED_ROWS, _MOST_SKIPPED_ENTRIES = 1 << 16, 1 << 24


class FirstRows:
    """The first rows of an input that count and can be judged, up to 1,024.

    Attributes
    ----------
    logarithms
        Whether the rows are log-probabilities, whose exponentials are judged.
    whole
        Whether all of these rows are needed, or only whether they are distributions.
    figures
        Figures of each row, or None before the first.
    samples
        Sample numbers of the rows.
    rounding
        The precision that all entries may have been rounded to.
    highest, lowest
        Extremes of all entries.
    integers, dtypes
        Whether all arrays added had an integer dtype, and the names of their dtypes.
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
        self._skipped, self._most_skipped = 0, _MOST_SKIPPED_ROWS

    @property
    def enough(self) -> bool:
        """Whether more rows would change nothing."""
        if len(self.samples) >= ROWS_JUDGED or self._skipped >= self._most_skipped:
            return True
        return not self.whole and self._hopeless > _TOO_MANY

    def add(self, rows: AnyArray, samples: AnyArray) -> None:
        """Add rows [n, k] that count, in order, with their sample numbers."""
        width = max(1, rows.shape[1])
        limit = max(1, _MOST_SKIPPED_ENTRIES // width)
        self._most_skipped = min(_MOST_SKIPPED_ROWS, max(limit, min(ROWS_JUDGED, 4 * limit)))
        done, step, most = 0, _FIRST_STEP, max(1, _MOST_ENTRIES // width)
        while done < len(rows) and not self.enough:
            step = min(step, most)
            self._add(rows[done : done + step], samples[done : done + step])
            done, step = done + step, 4 * step

    def _add(self, rows: AnyArray, samples: AnyArray) -> None:
        self.dtypes.add(rows.dtype.name)
        self.integers &= rows.dtype.kind in "iu"
        with np.errstate(under="ignore", over="ignore"):
            figures = RowFigures.of(np.exp(rows.astype(np.float64)) if self.logarithms else rows)
        judged = np.flatnonzero(figures.judgeable)
        # The same rows must be kept for any partition into blocks.
        skipped_before = self._skipped + judged - np.arange(judged.size)
        self._skipped += len(rows) - judged.size
        judged = judged[skipped_before < self._most_skipped][: ROWS_JUDGED - len(self.samples)]
        figures = figures.take(judged)
        kept = rows if judged.size == len(rows) else rows[judged]
        self.figures = figures if self.figures is None else self.figures.join(figures)
        self.samples += samples[judged].tolist()
        self.rounding = self.rounding.merge(Rounding.of(kept))
        self._hopeless += int(np.count_nonzero(figures.hopeless))
        if kept.size:
            self.highest = max(self.highest, float(kept.max()))
            self.lowest = min(self.lowest, float(kept.min()))

    @property
    def quantised(self) -> bool:
        """Whether these are 8-bit integers, or whole numbers that span much of that range."""
        if self.dtypes and self.dtypes <= {"int8", "uint8"}:
            return True
        fits = (self.lowest >= 0 and self.highest <= 255) or (self.lowest >= -128 and self.highest <= 127)
        wide = self.highest - self.lowest >= _LEAST_SPAN
        return self.rounding.whole and fits and wide and len(self.samples) >= FEWEST_ROWS

    def distributions(self) -> Distributions:
        """Count the distributions among the rows."""
        if self.figures is None:
            return Distributions()
        unit = self.rounding.unit
        fractions, percents = (self.figures.are_distributions(unit, scale) for scale in (1.0, 100.0))
        return Distributions(len(self.samples), int(np.count_nonzero(fractions)), int(np.count_nonzero(percents)))


def look_at(block: Block, options: LossOptions, logits: FirstRows, labels: FirstRows | None = None) -> BoolArray:
    """Add the rows of a block that count to the first rows of each input; return which they are, [n]."""
    counts = rows_that_count(block, options)
    places = np.flatnonzero(counts)
    every = places.size == counts.size
    logits.add(block.logits if every else block.logits[places], block.start + places)
    if labels is not None and block.labels.ndim == 2:
        labels.add(block.labels if every else block.labels[places], block.start + places)
    return counts


def rows_that_count(block: Block, options: LossOptions) -> BoolArray:
    """Find the rows [n] of a block that count: not masked, not ignored, and with a label."""
    _, left_out = weights_and_left_out(block, options)
    left_out = either(left_out, block.unscored)
    if options.labels == "sparse":
        ignored = ignored_labels(block.labels, options.ignore_index, ignore_missing=options.ignore_missing)
        left_out = either(left_out, ignored)
    return np.ones(len(block.logits), np.bool_) if left_out is None else ~left_out
