"""Recipe for samples that are stored class by class: read in the order of the file, some classes at a time."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from xent_cli.core.block import Rows
from xent_cli.core.kernel.streamed_logits import StreamedLogits
from xent_cli.core.scratch import scratch
from xent_cli.readers.arrays.array_source import widen
from xent_cli.readers.storage.identity import shrunk
from xent_cli.readers.storage.reading import fill, reading

if TYPE_CHECKING:
    from collections.abc import Iterator

    from xent_cli.core.array_types import AnyArray
    from xent_cli.readers.arrays.strided_rows import StridedRows
    from xent_cli.readers.storage.interface import Stream


class SlabPieces(NamedTuple):
    """Recipe for samples that follow each other in the file, class by class: nothing is read until a kernel asks.

    A `Part`; what it yields is valid until the same thread reads the next piece.

    Fields
    ------
    whole
        The same samples as rows.
    base
        Offset of the first class of the first sample, counted in values.
    """

    whole: StridedRows
    base: int

    def read(self) -> Rows:
        """Return logits that are read while they are used."""
        whole = self.whole
        dtype = widen(np.empty(0, whole.dtype)).dtype
        logits: Any = StreamedLogits(self, (whole.stop - whole.start, whole.k), dtype)
        return Rows(**{whole.role: logits})

    def rows(self, start: int, stop: int) -> AnyArray:
        """Read rows [m, k], counted from the first sample."""
        whole = self.whole
        found = whole.cut(whole.start + start, whole.start + stop).read().logits
        assert found is not None
        return found

    def pieces(self, multiple: int, width: int) -> Iterator[tuple[int, AnyArray]]:
        """See `StreamedLogits`; beyond the n samples are those of the next class, or what was in memory before."""
        whole = self.whole
        n, item = whole.stop - whole.start, np.dtype(whole.dtype).itemsize
        through = (whole.class_stride - n) * item <= whole.gap_bytes  # also what lies between the samples
        apart = whole.class_stride if through else n
        step = min(max(1, whole.piece_bytes // (apart * item * multiple)) * multiple, whole.k)
        memory = scratch("piece", ((step - 1) * apart + width,), whole.dtype)
        piece = np.ndarray((step, width), whole.dtype, memory, 0, (apart * item, item))
        content = memory.view(np.uint8).data
        with whole.file.open() as file, reading(whole.file.name):
            for first in range(0, whole.k, step):
                count = min(step, whole.k - first)
                at = whole.offset + (self.base + first * whole.class_stride) * item
                if through:
                    self._fill(file, at, content[: ((count - 1) * apart + n) * item])
                else:
                    for j in range(count):
                        target = content[j * apart * item : (j * apart + n) * item]
                        self._fill(file, at + j * whole.class_stride * item, target)
                yield first, widen(piece[:count])

    def _fill(self, file: Stream, at: int, target: memoryview) -> None:
        file.seek(at)
        if fill(file, target) < len(target):
            raise shrunk(self.whole.file.name)
