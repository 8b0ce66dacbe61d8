"""Samples of an array stored with strides: slices, permuted axes and repeated values, in bounded memory."""

from __future__ import annotations

import math
from dataclasses import dataclass
from itertools import accumulate
from operator import mul
from typing import TYPE_CHECKING

import numpy as np

from xent_cli.core.block import Rows
from xent_cli.core.scratch import flat, scratch
from xent_cli.readers.arrays.array_source import ArraySource, widen
from xent_cli.readers.storage.identity import shrunk
from xent_cli.readers.storage.reading import fill, is_url, reading
from xent_cli.readers.storage.stored import Stored

if TYPE_CHECKING:
    from collections.abc import Iterator

    from xent_cli.core.array_types import AnyArray
    from xent_cli.core.block import Part
    from xent_cli.readers.storage.interface import Stream
    from xent_cli.readers.storage.pipe import Copied

# Gaps of up to this many bytes between values are read too: another call or request would take longer.
_GAP_BYTES, _REMOTE_GAP_BYTES = 32 << 10, 1 << 20


@dataclass(frozen=True, slots=True)
class StridedArray(ArraySource):
    """An array with strides: those of its layout, or those of Fortran order; see `Source`."""

    def rows(self, start: int, stop: int) -> Part:
        """See `Source`."""
        layout, axis = self.layout, self.axis
        strides = layout.strides
        if strides is None:  # in Fortran order
            strides = tuple(accumulate(layout.shape[:-1], mul, initial=1))
        k, class_stride = 1, 1
        if axis is not None:
            k, class_stride = layout.shape[axis], strides[axis]
            strides = strides[:axis] + strides[axis + 1 :]
        remote = isinstance(self.file, Stored) and is_url(self.file.path)
        gap = min(_REMOTE_GAP_BYTES if remote else _GAP_BYTES, self.needs.step_bytes // 8)
        return StridedRows(
            self.role, self.needs.buffer_name, self.file, layout.dtype.str, layout.offset, layout.sample_shape(axis),
            strides, k, class_stride, start, stop, axis is None, self.needs.step_bytes, gap,
        )  # fmt: skip


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
        Number of classes, and how far apart they lie.
    stretch_bytes
        The longest stretch of the file that is held beside the samples picked out of it.
    gap_bytes
        The longest gap between values that is read along with them.
    """

    role: str
    buffer_name: str
    file: Stored | Copied
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
    gap_bytes: int

    def read(self) -> Rows:
        """Read the samples as [n, k], or [n] where a sample is one number."""
        values = scratch(self.buffer_name, (self.stop - self.start, self.k), self.dtype)
        done = 0
        with self.file.open() as file:
            for base, shape, strides in boxes(self.shape, self.strides, self.start, self.stop):
                size = math.prod(shape)
                box = flat(values[done : done + size]).reshape(*shape, self.k)
                self._copy(file, base, box, (*strides, self.class_stride))
                done += size
        values = widen(values)
        return Rows(**{self.role: values[:, 0] if self.scalar else values})

    def _copy(self, file: Stream, base: int, target: AnyArray, strides: tuple[int, ...]) -> None:
        """Fill `target` with strided values from `base`: from one stretch of the file, or from several."""
        item = target.itemsize
        reach = [(side - 1) * stride for side, stride in zip(target.shape, strides, strict=True)]
        for axis, stride in enumerate(strides):
            if stride == 0 and target.shape[axis] > 1:  # one value in the file, repeated
                first = _cut(target, axis, 0, 1)
                self._copy(file, base, first, strides)
                target[...] = first
                return
        stretch = sum(reach) + 1
        widest = max(range(len(reach)), key=reach.__getitem__)
        within = stretch - reach[widest]
        gap = (strides[widest] - within) * item
        together = gap <= self.gap_bytes
        if stretch == 1 or (together and stretch * item <= self.stretch_bytes):
            self._pick(file, base, target, strides, stretch)
            return
        step = max(1, (self.stretch_bytes // item - within) // strides[widest] + 1) if together else 1
        for start in range(0, target.shape[widest], step):
            part = _cut(target, widest, start, start + step)
            self._copy(file, base + start * strides[widest], part, strides)

    def _pick(self, file: Stream, base: int, target: AnyArray, strides: tuple[int, ...], stretch: int) -> None:
        """Read one stretch of the file and pick the values out of it."""
        direct = stretch == target.size and target.flags.c_contiguous and is_contiguous(target.shape, strides)
        memory = target if direct else scratch("stretch", (stretch,), target.dtype)
        file.seek(self.offset + base * target.itemsize)
        view = flat(memory).view(np.uint8).data
        with reading(self.file.name):
            if fill(file, view) < len(view):
                raise shrunk(self.file.name)
        if not direct:
            steps = [stride * target.itemsize for stride in strides]
            target[...] = np.ndarray(target.shape, target.dtype, memory, 0, steps)


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
