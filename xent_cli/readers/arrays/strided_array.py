"""Arrays whose samples lie apart or interleaved: classes on an axis before the last, slices, permuted axes."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from itertools import accumulate
from operator import mul
from typing import TYPE_CHECKING

import numpy as np

from xent_cli.core.kernel.streamed_logits import LANES
from xent_cli.readers.arrays.array_source import ArraySource
from xent_cli.readers.arrays.slab_pieces import SlabPieces
from xent_cli.readers.arrays.strided_rows import FEW_CLASSES, StridedRows, is_contiguous, memory_of
from xent_cli.readers.storage.reading import is_url
from xent_cli.readers.storage.stored import Stored

if TYPE_CHECKING:
    from collections.abc import Iterator

    from xent_cli.core.block import Part
    from xent_cli.readers.options import RunNeeds

# With fewer slabs than `_SLABS_ENOUGH`, each is read `_TIMES_READ` times, for different samples each time, so that
# threads can share it. To read more than `_RUN_BYTES` of a class at once is not worth the memory.
_SLABS_ENOUGH, _TIMES_READ, _RUN_BYTES = 4, 3, 16 << 10
# If there are fewer slabs than this for each thread to stream, threads share each slab. The kernel takes `LANES`
# samples at a time.
_SLABS_A_THREAD = 4
# Dtypes that the compiled kernel reads as they are; the last is bfloat16.
_STREAMED = frozenset(np.dtype(name).str for name in ("f2", "f4", "f8", "V2"))


@dataclass(frozen=True, slots=True)
class StridedArray(ArraySource):
    """An array with strides: those of its layout, or those that follow from its order; see `Source`.

    Samples whose classes are interleaved form a slab: [k, b] in the file for b samples.
    """

    def parts(self, first: int = 0) -> Iterator[tuple[int, int, Part]]:
        """See `Source`; a part is several slabs, or an even share of the samples of one."""
        k = 1 if self.axis is None else self.layout.shape[self.axis]
        slab, total = self._slab(), self.layout.num_samples(self.axis)
        shared = total < _SLABS_ENOUGH * slab and not self._remote
        if self._can_stream(slab, k):
            yield from self._streamed(slab, first)
            return
        step = samples_at_once(slab, k, self.layout.dtype.itemsize, self.needs, shared=shared)
        stride = max(slab, step)
        for begin in range(0, total, stride):
            end = min(total, begin + stride)
            for start in range(begin, end, step):
                stop = min(end, start + step)
                yield first + start, stop - start, self.rows(start, stop)

    def streamed(self, threads: int) -> StridedArray:
        """Return the same array for a run that only wants losses: slabs that are too large for memory are streamed."""
        return replace(self, needs=self.needs._replace(streams=threads))

    def _streamed(self, slab: int, first: int) -> Iterator[tuple[int, int, Part]]:
        """Yield parts for a run that only wants losses: whole slabs or, if there are few, a share for every thread."""
        total, threads = self.layout.num_samples(self.axis), self.needs.streams
        slabs = total // slab
        shares = threads // math.gcd(slabs, threads) if slabs < _SLABS_A_THREAD * threads else 1
        share = min(-(-slab // shares), _RUN_BYTES // self.layout.dtype.itemsize)
        step = -(-share // LANES) * LANES
        for begin in range(0, total, slab):
            for start in range(begin, begin + slab, step):
                stop = min(start + step, begin + slab)
                whole = self.rows(start, stop)
                places = np.unravel_index(start, whole.shape) if whole.shape else ()
                base = sum(int(place) * stride for place, stride in zip(places, whole.strides, strict=True))
                yield first + start, stop - start, SlabPieces(whole, base)

    def _can_stream(self, slab: int, k: int) -> bool:
        """Whether only losses are wanted, and slabs are too large for memory but hold their samples in order."""
        layout, axis, strides = self.layout, self.axis, self._strides()
        if not self.needs.streams or axis is None or self._remote or slab < LANES or k <= FEW_CLASSES:
            return False
        if slab * k * layout.dtype.itemsize <= self.needs.task_bytes or layout.dtype.str not in _STREAMED:
            return False
        inner = [i for i in range(len(strides)) if i != axis and strides[i] < strides[axis]]
        return is_contiguous(tuple(layout.shape[i] for i in inner), tuple(strides[i] for i in inner))

    def rows(self, start: int, stop: int) -> StridedRows:
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
        """Distance between neighbours along each axis, counted in values."""
        shape = self.layout.shape
        if self.layout.strides is not None:
            return self.layout.strides
        if self.layout.fortran_order:
            return tuple(accumulate(shape[:-1], mul, initial=1))
        return tuple(accumulate(shape[:0:-1], mul, initial=1))[::-1]

    def _slab(self) -> int:
        """Number of consecutive samples whose values of one class are stored before those of the next class."""
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
