"""Write arrays: losses as one .npy array, and gradients shaped like the logits."""

from __future__ import annotations

import io
import mmap
import os
import sys
from typing import TYPE_CHECKING, BinaryIO

import numpy as np

from xent_cli.core.kernel.turned import turn
from xent_cli.core.nan_kinds import mark

if TYPE_CHECKING:
    from xent_cli.core.array_types import AnyArray, FloatArray
    from xent_cli.core.evaluate import BlockLoss
    from xent_cli.core.row_columns import RowFormat

# Pages of a slab of gradients up to this size stay mapped until it is complete: each block writes to all of them.
_MAPPED_BYTES = 64 << 20


class NpyWriter:
    """Losses as float64, in the shape of the logits without the class axis; ignored samples have a special NaN.

    If the number of rows is known only at the end and the stream cannot seek, all losses are kept, 8 bytes each.
    """

    def __init__(self, stream: BinaryIO, columns: RowFormat) -> None:
        self._stream = stream
        self._shape = columns.shape
        self._rows = 0
        self._kept: list[FloatArray] = []
        self._patch = self._shape is None and _can_rewrite(stream)
        self._start = stream.tell() if self._patch else 0
        if self._shape is not None or self._patch:
            stream.write(npy_header((0,) if self._shape is None else self._shape, np.dtype(np.float64)))

    def write(self, rows: BlockLoss) -> None:
        """See `RowWriter`."""
        assert rows.loss is not None
        self._rows += rows.size
        loss = mark(rows.loss, rows.ignored)
        if self._shape is None and not self._patch:
            self._kept.append(loss)
        else:
            self._stream.write(loss.astype("<f8", copy=False).tobytes())

    def finish(self) -> None:
        """See `RowWriter`."""
        if self._patch:
            self._stream.seek(self._start)
            self._stream.write(npy_header((self._rows,), np.dtype(np.float64)))
            self._stream.seek(0, os.SEEK_END)
        elif self._shape is None:
            self._stream.write(npy_header((self._rows,), np.dtype(np.float64)))
            for loss in self._kept:
                self._stream.write(loss.astype("<f8", copy=False).tobytes())


class GradientWriter:
    """Writes a gradient [n, k] block by block into an array of any rank and class axis.

    Parameters
    ----------
    stream
        A stream that can seek.
    shape, axis
        Shape and class axis of the logits; the first side is None if the number of rows is known only at the end.
    """

    def __init__(self, stream: BinaryIO, shape: tuple[int | None, ...], axis: int, dtype: np.dtype[np.generic]) -> None:
        self._stream = stream
        self._shape = shape
        self._axis = axis
        self._dtype = dtype
        self._rows = 0
        known = tuple(side or 0 for side in shape)
        self._offset = stream.write(npy_header(known, dtype))
        self._array: AnyArray | None = None
        if axis != len(shape) - 1:
            # The values of a sample are not contiguous: view the array as [a, k, b] and place each sample.
            sides = int(np.prod(known[:axis])), known[axis], int(np.prod(known[axis + 1 :]))
            stream.flush()
            size = self._offset + int(np.prod(sides)) * dtype.itemsize
            getattr(getattr(stream, "raw", None), "reserve", stream.truncate)(size)
            self._memory = mmap.mmap(stream.fileno(), size)
            self._array = np.frombuffer(self._memory, dtype, -1, self._offset).reshape(sides)

    def write(self, rows: BlockLoss) -> None:
        """Place the gradient of one block; blocks come in order."""
        gradient = rows.gradient
        assert gradient is not None
        self._rows += rows.size
        if self._array is None:
            self._stream.write(np.ascontiguousarray(_narrowed(gradient, self._dtype)).view(np.uint8).data)
            return
        samples, done = self._array.shape[2], 0
        while done < rows.size:  # whole slabs [k, b] at once, and the first and last samples of others
            a, low = divmod(rows.start + done, samples)
            slabs = (rows.size - done) // samples if low == 0 else 0
            size = slabs * samples or min(samples - low, rows.size - done)
            some = _narrowed(gradient[done : done + size], self._dtype)
            if slabs:
                target = self._array[a : a + slabs].swapaxes(1, 2)
                turn(some.reshape(target.shape), target)
            else:
                turn(some, self._array[a, :, low : low + size].T)
            done += size
        ended = (rows.start + rows.size) % samples == 0 or self._array[0].nbytes > _MAPPED_BYTES
        if ended and hasattr(self._memory, "madvise"):  # written pages would count as memory of this process
            self._memory.madvise(mmap.MADV_DONTNEED)

    def finish(self) -> None:
        """Complete the file."""
        if self._array is not None:
            self._memory.flush()
        elif self._shape[0] is None:
            self._stream.seek(0)
            self._stream.write(npy_header((self._rows, *self._shape[1:]), self._dtype))


def _can_rewrite(stream: BinaryIO) -> bool:
    """Whether bytes can be overwritten: not on a pipe, nor in a file that the shell opened with ``>>``."""
    if sys.platform == "win32" or not stream.seekable():
        return stream.seekable()
    from fcntl import F_GETFL, fcntl

    try:
        return not fcntl(stream.fileno(), F_GETFL) & os.O_APPEND
    except io.UnsupportedOperation:
        return True


def _narrowed(gradient: AnyArray, dtype: np.dtype[np.generic]) -> AnyArray:
    """Round float32 to bfloat16, its upper half, to nearest with ties to even, if the file holds bfloat16."""
    if dtype.kind != "V":
        return gradient
    bits = gradient.view(np.uint32)
    rounded = bits + (0x7FFF + ((bits >> 16) & 1))
    upper = np.where(np.isnan(gradient), 0x7FC0, rounded >> 16).astype("<u2")
    return upper.view(dtype)


def npy_header(shape: tuple[int | None, ...], dtype: np.dtype[np.generic]) -> bytes:
    """Return the header of a C-ordered .npy file, whose length depends only on dtype and rank."""
    buffer = io.BytesIO()
    descr = np.lib.format.dtype_to_descr(dtype)
    np.lib.format.write_array_header_1_0(buffer, {"descr": descr, "fortran_order": False, "shape": shape})
    return buffer.getvalue()
