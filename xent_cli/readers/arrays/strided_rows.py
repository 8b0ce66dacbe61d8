"""Recipe for samples whose values are not contiguous in the file, read in bounded memory."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from itertools import pairwise
from typing import TYPE_CHECKING, Any

import numpy as np

from xent_cli.core.block import Rows
from xent_cli.core.kernel.turned import turn
from xent_cli.core.scratch import flat, scratch
from xent_cli.readers.arrays.array_source import widen
from xent_cli.readers.storage.identity import shrunk
from xent_cli.readers.storage.reading import fill, reading

if TYPE_CHECKING:
    from collections.abc import Iterator

    from xent_cli.core.array_types import AnyArray
    from xent_cli.readers.options import RunNeeds
    from xent_cli.readers.storage.interface import Stream
    from xent_cli.readers.storage.pipe import Copied, Spill
    from xent_cli.readers.storage.stored import Stored

# Gaps of up to this many bytes between values are read along with them: another call or request would take longer.
_GAP_BYTES, _REMOTE_GAP_BYTES = 32 << 10, 1 << 20
# Axes are swapped in pieces of this size, which fit in the cache.
_PIECE_BYTES = 768 << 10
# Rows that start a multiple of this many bytes apart share so few lines of the cache that they push each other out.
_CROWDED_BYTES, _LINE_BYTES = 512, 64
# Rows of up to this many classes keep the order of the file: the kernels take them apart by class anyway.
FEW_CLASSES = 128


def memory_of(needs: RunNeeds, *, remote: bool = False) -> tuple[int, int, int]:
    """Return the last three fields of `StridedRows`."""
    stretch = needs.step_bytes
    gap = min(_REMOTE_GAP_BYTES if remote else _GAP_BYTES, stretch // 8)
    return stretch, stretch if remote else min(_PIECE_BYTES, stretch), gap


@dataclass(frozen=True, slots=True)
class StridedRows:
    """Recipe for samples `start` to `stop` of an array stored with strides.

    A `Part`: what `read` returns is valid until the same thread reads into `buffer_name` again.

    Fields
    ------
    offset
        Of the first value, in bytes.
    shape, strides
        Of the axes of samples; strides, here and of the classes, are in values.
    k, class_stride
        Number of classes, and the distance between them.
    stretch_bytes
        The longest stretch of the file that is in memory at once, besides the samples picked out of it.
    piece_bytes
        How many bytes of values are read before their axes are swapped.
    gap_bytes
        The longest gap between values that is read along with them.
    """

    role: str
    buffer_name: str
    file: Stored | Copied | Spill
    dtype: str
    offset: int
    shape: tuple[int, ...]
    strides: tuple[int, ...]
    k: int
    class_stride: int
    start: int
    stop: int
    scalar: bool
    stretch_bytes: int
    piece_bytes: int
    gap_bytes: int

    def cut(self, start: int, stop: int) -> StridedRows:
        """Return the recipe for other samples of the array."""
        return replace(self, start=start, stop=stop)

    def read(self) -> Rows:
        """Read the samples as [n, k], or [n] where a sample is one number."""
        n, k = self.stop - self.start, self.k
        few = k <= FEW_CLASSES
        memory = scratch(self.buffer_name, (k, n) if few else (n, k), self.dtype)
        values = memory.T if few else memory
        done = 0
        with self.file.open() as file:
            for base, shape, strides in boxes(self.shape, self.strides, self.start, self.stop):
                size = math.prod(shape)
                box = values[done : done + size].reshape(*shape, k)
                assert np.may_share_memory(box, values) or not box.size  # to split an axis takes no copy
                self._copy(file, base, box, (*strides, self.class_stride))
                done += size
        values = widen(values)
        return Rows(**{self.role: values[:, 0] if self.scalar else values})

    def _copy(self, file: Stream, base: int, target: AnyArray, strides: tuple[int, ...]) -> None:
        """Fill `target` with strided values from `base`."""
        if not target.size:
            return
        for axis, stride in enumerate(strides):
            if stride == 0 and target.shape[axis] > 1:  # one value in the file, repeated
                first = _cut(target, axis, 0, 1)
                self._copy(file, base, first, strides)
                target[...] = first
                return
        long = [axis for axis, side in enumerate(target.shape) if side > 1]
        order = sorted(long, key=lambda axis: -strides[axis])
        short = [axis for axis in range(target.ndim) if axis not in order]
        sides = [target.shape[axis] for axis in order]
        self._place(file, base, target.transpose(order + short).reshape(sides), tuple(strides[axis] for axis in order))

    def _place(self, file: Stream, base: int, target: AnyArray, strides: tuple[int, ...]) -> None:
        """Do the same if the axes of `target` are in the order of the file, in memory of any order."""
        if all(outer >= inner for outer, inner in pairwise(target.strides)):
            self._fetch(file, base, target, strides)
            return
        if target[0].nbytes > self.piece_bytes and target.ndim > 2:
            for i, part in enumerate(target):
                self._place(file, base + i * strides[0], part, strides[1:])
            return
        step = max(1, self.piece_bytes // target[0].nbytes)
        for start in range(0, len(target), step):
            part = target[start : start + step]
            held = _held(part.shape, part.dtype)
            self._fetch(file, base + start * strides[0], held, strides)
            turn(held, part)

    def _fetch(self, file: Stream, base: int, target: AnyArray, strides: tuple[int, ...]) -> None:
        """Do the same if memory is in the order of the file: from one stretch of the file, or from several."""
        item = target.itemsize
        if target.flags.c_contiguous and is_contiguous(target.shape, strides):
            self._read(file, base, target)
            return
        reach = [(side - 1) * stride for side, stride in zip(target.shape, strides, strict=True)]
        stretch = sum(reach) + 1
        widest = max(range(len(reach)), key=reach.__getitem__)
        within = stretch - reach[widest]
        together = (strides[widest] - within) * item <= self.gap_bytes
        if together and stretch * item <= self.stretch_bytes:
            memory = scratch("stretch", (stretch,), target.dtype)
            self._read(file, base, memory)
            target[...] = np.ndarray(target.shape, target.dtype, memory, 0, [stride * item for stride in strides])
            return
        step = max(1, (self.stretch_bytes // item - within) // strides[widest] + 1) if together else 1
        for start in range(0, target.shape[widest], step):
            part = _cut(target, widest, start, start + step)
            self._fetch(file, base + start * strides[widest], part, strides)

    def _read(self, file: Stream, base: int, target: AnyArray) -> None:
        """Fill contiguous memory from one place in the file."""
        file.seek(self.offset + base * target.itemsize)
        view = flat(target).view(np.uint8).data
        with reading(self.file.name):
            if fill(file, view) < len(view):
                raise shrunk(self.file.name)


def _held(shape: tuple[int, ...], dtype: np.dtype[Any]) -> AnyArray:
    """Allocate memory for a piece of the file, whose rows do not displace one another in the cache."""
    row_bytes = shape[-1] * dtype.itemsize
    lines = _LINE_BYTES // dtype.itemsize if row_bytes % _CROWDED_BYTES == 0 else 0
    return scratch("piece", (*shape[:-1], shape[-1] + lines), dtype)[..., : shape[-1]]


def boxes(
    shape: tuple[int, ...], strides: tuple[int, ...], start: int, stop: int
) -> Iterator[tuple[int, tuple[int, ...], tuple[int, ...]]]:
    """Cut a run of samples, counted in C order, into boxes: where each begins, its shape and its strides.

    Examples
    --------
    >>> list(boxes((3, 4), (4, 1), 2, 9))
    [(2, (2,), (1,)), (4, (1, 4), (4, 1)), (8, (1,), (1,))]
    """
    if not shape:
        yield 0, (), ()
        return
    inner = math.prod(shape[1:])
    low, high = -(-start // inner), stop // inner
    if start < low * inner:  # begins in the middle of an outer index
        end = min(stop, low * inner)
        for base, sides, steps in boxes(shape[1:], strides[1:], start - (low - 1) * inner, end - (low - 1) * inner):
            yield (low - 1) * strides[0] + base, sides, steps
        if end == stop:
            return
    if low < high:
        yield low * strides[0], (high - low, *shape[1:]), strides
    if high * inner < stop:
        for base, sides, steps in boxes(shape[1:], strides[1:], 0, stop - high * inner):
            yield high * strides[0] + base, sides, steps


def _cut(target: AnyArray, axis: int, start: int, stop: int) -> AnyArray:
    """Some of the indices along one axis."""
    return target[(*(slice(None),) * axis, slice(start, stop))]


def is_contiguous(shape: tuple[int, ...], strides: tuple[int, ...]) -> bool:
    """Whether the values are contiguous in C order.

    Examples
    --------
    >>> is_contiguous((2, 1, 3), (3, 99, 1)), is_contiguous((2, 3), (1, 2))
    (True, False)
    """
    expected = 1
    for side, stride in zip(reversed(shape), reversed(strides), strict=True):
        if side > 1 and stride != expected:
            return False
        expected *= side
    return True
