"""Arrays that come through a pipe or a decompressor: read in order, a block of samples at a time."""

from __future__ import annotations

import math
import weakref
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np

from xent_cli.core.block import Rows
from xent_cli.core.scratch import flat
from xent_cli.errors import InputError
from xent_cli.readers.arrays.array_source import Layout, info_of, place, too_much, widen
from xent_cli.readers.storage.reading import fill, read_up_to, reading

if TYPE_CHECKING:
    from collections.abc import Iterator

    from xent_cli.core.array_types import AnyArray
    from xent_cli.core.block import Part
    from xent_cli.readers.interface import SourceInfo
    from xent_cli.readers.options import RunNeeds
    from xent_cli.readers.storage.interface import Bytes

# Most unused arrays that a pool keeps.
_MOST_FREE = 16


@dataclass(frozen=True, slots=True)
class StreamedArray:
    """An array whose samples are read in order; see `Source`, and `ArraySource` for the fields."""

    source: Bytes
    format: str
    role: str
    layout: Layout
    axis: int | None
    needs: RunNeeds

    info: SourceInfo = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        info = info_of(
            self.source.name, self.format, self.role, self.layout, self.axis, rereadable=self.source.rereadable
        )
        object.__setattr__(self, "info", info)

    def parts(self, first: int = 0) -> Iterator[tuple[int, int, Part]]:
        """See `Source`; each part holds its samples."""
        layout, total = self.layout, self.layout.num_samples(self.axis)
        shape = () if self.axis is None else (layout.shape[self.axis],)
        step = max(1, self.needs.task_bytes // max(1, math.prod(shape) * layout.dtype.itemsize))
        with self.source.stream() as stream:
            head = bytearray(layout.offset)
            fill(stream, memoryview(head))
            pool = _Pool((step, *shape), layout.dtype)
            for start in range(0, total, step):
                size = min(step, total - start)
                values = pool.take()[:size]
                target = flat(values).view(np.uint8).data
                with reading(self.source.name):
                    if fill(stream, target) < len(target):
                        raise InputError(
                            "array ended early",
                            self.source.name,
                            found=f"fewer than {start + size} samples",
                            expected=f"{total}, as its header says",
                        )
                rows = Rows(**{self.role: widen(values)})
                del values, target
                yield first + start, size, rows
                del rows
            # The checksum of a compressed file is verified at its end.
            if read_up_to(stream, 1):
                raise too_much(self.source.name, "more bytes", f"an end after {total} samples")

    def rows(self, start: int, stop: int) -> Part | None:
        """See `Source`."""
        return None

    def where(self, row: int, role: str, first: int = 0) -> str:
        """See `Source`."""
        return place(self.source.name, row, row - first, self.layout.sample_shape(self.axis))


class _Pool:
    """Arrays of one shape, whose memory is reused once nothing refers to them.

    Touching the pages of new memory for each part would take a tenth of a run.
    """

    def __init__(self, shape: tuple[int, ...], dtype: np.dtype[Any]) -> None:
        self._shape, self._dtype = shape, dtype
        self._free: list[AnyArray] = []

    def take(self) -> AnyArray:
        """Return an uninitialised array."""
        memory = self._free.pop() if self._free else np.empty(self._shape, self._dtype)
        loan = _Loan(memory)
        weakref.finalize(loan, self._give_back, memory).atexit = False
        return np.asarray(loan).view(self._dtype)

    def _give_back(self, memory: AnyArray) -> None:
        if len(self._free) < _MOST_FREE:
            self._free.append(memory)


class _Loan:
    """The base of all views of an array from the pool, which gets the memory back when the last view is gone."""

    def __init__(self, memory: AnyArray) -> None:
        self.__array_interface__ = memory.__array_interface__
