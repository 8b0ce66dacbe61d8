"""Values that each hold for several consecutive samples, such as [batch] weights over [batch, time]."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from xent_cli.core.block import Rows

if TYPE_CHECKING:
    from collections.abc import Iterator

    from xent_cli.core.block import Part
    from xent_cli.readers.interface import Source, SourceInfo


def repeat(source: Source, times: int, task_bytes: int) -> Repeated:
    """Repeat each row of a source `times` times; rows that can only be read in order are kept in memory."""
    held = None
    if source.rows(0, 1) is None:
        parts = [part.read().copied() for _, _, part in source.parts()]
        held = Rows.concatenate(parts)
    count = source.info.num_rows
    if count is None and held is not None:
        count = held.size
    return Repeated(source, times, count or 0, max(1, task_bytes // 8), held)


@dataclass(frozen=True, slots=True, eq=False, repr=False)
class Repeated:
    """A source whose rows are each repeated for `times` samples; see `Source`.

    Fields
    ------
    count
        Number of rows before they are repeated.
    step
        Number of samples in a part.
    held
        All rows, if they can only be read in order; they are few compared with the samples.
    """

    source: Source
    times: int
    count: int
    step: int
    held: Rows | None = None

    @property
    def info(self) -> SourceInfo:
        """See `Source`."""
        info = self.source.info
        shape = (self.count,) if info.sample_shape is None else info.sample_shape
        num_rows = self.count * self.times
        return info._replace(num_rows=num_rows, sample_shape=(*shape, self.times), rereadable=True)

    def parts(self, first: int = 0) -> Iterator[tuple[int, int, Part]]:
        """See `Source`."""
        total = self.count * self.times
        for start in range(0, total, self.step):
            size = min(self.step, total - start)
            yield first + start, size, self.rows(start, start + size)

    def rows(self, start: int, stop: int) -> Part:
        """See `Source`."""
        low, high = start // self.times, -(-stop // self.times)
        part = self.source.rows(low, high) if self.held is None else self.held.cut(slice(low, high))
        assert part is not None
        return RepeatedRows(part, self.times, start - low * self.times, stop - start)

    def where(self, row: int, role: str, first: int = 0) -> str:
        """See `Source`."""
        return self.source.where(first + (row - first) // self.times, role, first)


class RepeatedRows(NamedTuple):
    """Recipe for `size` samples: rows repeated `times` times, without the first `skipped` samples."""

    part: Part
    times: int
    skipped: int
    size: int

    def read(self) -> Rows:
        """Read and repeat."""
        rows = self.part.read()
        samples = np.arange(self.skipped, self.skipped + self.size) // self.times
        fields = {name: getattr(rows, name) for name in Rows._fields if getattr(rows, name) is not None}
        return Rows(**{name: values[samples] for name, values in fields.items()})
