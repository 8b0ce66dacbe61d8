"""Arrays whose samples lie apart or interleaved: classes on an axis before the last, slices, permuted axes."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import accumulate
from operator import mul
from typing import TYPE_CHECKING

from xent_cli.readers.arrays.array_source import ArraySource
from xent_cli.readers.arrays.strided_rows import StridedRows, memory_of
from xent_cli.readers.storage.reading import is_url
from xent_cli.readers.storage.stored import Stored

if TYPE_CHECKING:
    from collections.abc import Iterator

    from xent_cli.core.block import Part
    from xent_cli.readers.options import RunNeeds

# Where there are fewer slabs than this, a slab is read a few times over, each time for some of its samples, so that
# threads share it. Longer runs of a class than this are not worth more memory.
_SLABS_ENOUGH, _TIMES_READ, _RUN_BYTES = 4, 3, 16 << 10


@dataclass(frozen=True, slots=True)
class StridedArray(ArraySource):
    """An array with strides: those of its layout, or those that follow from its order; see `Source`.

    Samples whose classes are interleaved make a slab, [k, b] in the file for b samples.
    """

    def parts(self, first: int = 0) -> Iterator[tuple[int, int, Part]]:
        """See `Source`; a part is several slabs, or an even share of the samples of one."""
        k = 1 if self.axis is None else self.layout.shape[self.axis]
        slab, total = self._slab(), self.layout.num_samples(self.axis)
        shared = total < _SLABS_ENOUGH * slab and not self._remote
        step = samples_at_once(slab, k, self.layout.dtype.itemsize, self.needs, shared=shared)
        stride = max(slab, step)
        for begin in range(0, total, stride):
            end = min(total, begin + stride)
            for start in range(begin, end, step):
                stop = min(end, start + step)
                yield first + start, stop - start, self.rows(start, stop)

    def rows(self, start: int, stop: int) -> Part:
        """See `Source`."""
        layout, axis, strides = self.layout, self.axis, self._strides()
        k, class_stride = 1, 1
        if axis is not None:
            k, class_stride = layout.shape[axis], strides[axis]
            strides = strides[:axis] + strides[axis + 1 :]
        return StridedRows(
            self.role, self.needs.buffer_name, self.file, layout.dtype.str, layout.offset, layout.sample_shape(axis),
            strides, k, class_stride, start, stop, axis is None, *memory_of(self.needs, remote=self._remote),
        )  # fmt: skip

    @property
    def _remote(self) -> bool:
        return isinstance(self.file, Stored) and is_url(self.file.path)

    def _strides(self) -> tuple[int, ...]:
        """How many values apart neighbours along each axis lie."""
        shape = self.layout.shape
        if self.layout.strides is not None:
            return self.layout.strides
        if self.layout.fortran_order:
            return tuple(accumulate(shape[:-1], mul, initial=1))
        return tuple(accumulate(shape[:0:-1], mul, initial=1))[::-1]

    def _slab(self) -> int:
        """How many consecutive samples have their values of one class before those of the next."""
        if self.axis is None:
            return 1
        strides, samples = self._strides(), 1
        for axis in reversed(range(len(strides))):
            if axis != self.axis and strides[axis] < strides[self.axis]:
                samples *= self.layout.shape[axis]
            elif axis != self.axis and self.layout.shape[axis] > 1:
                break
        return max(1, samples)


def samples_at_once(slab: int, num_classes: int, itemsize: int, needs: RunNeeds, *, shared: bool = True) -> int:
    """How many samples a task reads, given how many there are in a slab: several slabs, or an even share of one.

    Parameters
    ----------
    shared
        Whether several tasks are to share a slab, even if there is memory for all of it.

    Examples
    --------
    >>> from xent_cli.readers.options import RunNeeds
    >>> samples_at_once(49, 1000, 4, RunNeeds())  # 42 slabs
    2058
    >>> samples_at_once(50, 229_000, 4, RunNeeds())  # a third of a slab
    17
    """
    row_bytes = max(1, num_classes) * itemsize
    step = max(1, needs.task_bytes // row_bytes)
    if step >= slab:
        return step - step % slab
    share = min(-(-slab // _TIMES_READ), _RUN_BYTES // itemsize) if shared else slab
    step = max(step, min(share, needs.slab_bytes // row_bytes))
    return -(-slab // -(-slab // step))
