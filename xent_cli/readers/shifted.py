"""Labels that belong to logits of other steps of the same sequence."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from xent_cli.core.block import Rows

if TYPE_CHECKING:
    from xent_cli.readers.interface import Source


@dataclass(frozen=True, slots=True)
class ShiftedRows:
    """Recipe for the labels that logits `start` to `stop` score, `shift` steps on in the same sequence."""

    source: Source
    start: int
    stop: int
    shift: int
    time_steps: int

    def read(self) -> Rows:
        """Read the labels; samples whose step lies outside the sequence are unscored."""
        total = self.source.num_rows or 0
        low, high = max(0, self.start + self.shift), min(total, self.stop + self.shift)
        samples = np.arange(self.start, self.stop)
        step = samples % self.time_steps + self.shift
        unscored = (step < 0) | (step >= self.time_steps)
        part = self.source.rows(low, high) if low < high else None
        found = None if part is None else part.read().labels
        shape = (self.stop - self.start, *self.source.row_shape)
        labels = np.zeros(shape, self.source.dtype if found is None else found.dtype)
        if found is not None:
            first = low - self.shift - self.start
            labels[first : first + len(found)] = found
        labels[unscored] = 0
        return Rows(labels=labels, unscored=unscored)
