"""Tiles: the rows that a kernel works on at a time, in one of two layouts, and sums over their classes."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING

import numpy as np

from xent_cli.core.scratch import counting_up, flat, scratch

if TYPE_CHECKING:
    from collections.abc import Iterator

    from numpy.typing import DTypeLike

    from xent_cli.core.array_types import AnyArray, FloatArray, IntArray

# Up to this many classes a tile is stored as [k, n], so that NumPy's inner loops run across samples; calling them once
# for each short row would take three times as long at k = 10. Only k decides, so no digit depends on the blocking.
_MOST_CLASSES_FIRST = 255
# Two threads wait for each other between NumPy calls, so tiles are larger than would suit a single thread. A kernel
# that keeps little besides the tile can take twice as much, if its rows are longer than 32 logits.
_TILE_BYTES, _LOSS_ONLY_TILE_BYTES = 2 << 20, 4 << 20
_SHORT_ROW = 32
# From 24 classes on, rows are transposed 512 at a time: 0.5 ns a logit instead of 0.8 at 100 classes. 256 rows are a
# tenth faster in one thread and a tenth slower in two.
_WIDE_ROW, _ROWS_TRANSPOSED = 24, 512
# To subtract one value per sample [n] from a tile [n, k], NumPy first copies that value across each row, through a
# buffer, and that costs more than the subtraction. It does not use a buffer that is shorter than a row.
_BUFFER_SIZE = 64
# Rows of up to this many values are left to NumPy's own sum, which adds them in an order that depends only on k.
_NUMPY_SUMS = 32


def class_axis(num_classes: int) -> int:
    """Return the axis of the classes in a tile: 0 for few classes, 1 for many."""
    return 0 if num_classes <= _MOST_CLASSES_FIRST else 1


def rows_per_tile(num_classes: int, *, loss_only: bool = False) -> int:
    """Return how many samples make a tile; `loss_only` if the caller keeps nothing else of that size."""
    size = _LOSS_ONLY_TILE_BYTES if loss_only and num_classes > _SHORT_ROW else _TILE_BYTES
    return max(1, size // (8 * num_classes))


def load(rows: AnyArray, axis: int, dtype: DTypeLike, name: str) -> AnyArray:
    """Copy `rows` [n, k] into scratch memory as a tile whose classes are on `axis`."""
    if axis == 1:
        tile = scratch(name, rows.shape, dtype)
        np.copyto(tile, rows, casting="unsafe")
        return tile
    n, k = rows.shape
    tile = scratch(name, (k, n), dtype)
    # Transposing reads each row k times, so take few enough rows that they stay in the cache meanwhile.
    step = _ROWS_TRANSPOSED if k >= _WIDE_ROW and rows.strides[0] > rows.strides[1] else n
    for first in range(0, n, step):
        some = slice(first, first + step)
        np.copyto(tile[:, some], rows[some].T, casting="unsafe")
    return tile


def per_sample(values: AnyArray, axis: int) -> AnyArray:
    """Shape one value per sample [n] so that it broadcasts over the classes of a tile."""
    return values if axis == 0 else values[:, np.newaxis]


def per_class(values: AnyArray, axis: int) -> AnyArray:
    """Shape one value per class [k] so that it broadcasts over the samples of a tile."""
    return values[:, np.newaxis] if axis == 0 else values


def flat_index(tile: AnyArray, index: IntArray, axis: int) -> IntArray:
    """Return the position of class ``index[i]`` of each sample i in the flattened tile."""
    n = tile.shape[1 - axis]
    places: IntArray
    if axis == 0:
        places = index * n
        places += counting_up(n)
    else:
        places = counting_up(n) * tile.shape[1]
        places += index
    return places


def gather(tile: AnyArray, index: IntArray, out: AnyArray) -> None:
    """Copy the values at positions `index` of the flattened tile to `out`."""
    values = flat(tile)
    if values.dtype == out.dtype:
        values.take(index, out=out, mode="clip")  # in any other mode NumPy makes a copy first
    else:
        out[:] = values.take(index)


@contextmanager
def unbuffered() -> Iterator[None]:
    """Let ufuncs of this thread broadcast without a copy; those that convert a dtype become slow.

    Infinity and NaN are results here, not mistakes: inf - inf is NaN, and so is the loss of such a row.
    """
    with np.errstate(invalid="ignore", over="ignore"):  # also restores the buffer size
        np.setbufsize(_BUFFER_SIZE)
        yield


def pairwise_sum(tile: AnyArray, axis: int, *, may_overwrite: bool = False) -> FloatArray:
    """Sum over the classes, as float64 [n]; the order of additions depends only on the number of classes.

    The tile is folded in half again and again, so that a sum has log2(k) roundings behind it instead of k. With classes
    on axis 0 it is folded down to one row: NumPy would add row after row, and a single column in yet another order.
    With classes on axis 1, NumPy sums what is left once rows are short.

    Parameters
    ----------
    may_overwrite
        Whether the tile is no longer needed, so that it can be folded in place.
    """
    sums: FloatArray
    if axis == 1:
        if not tile.flags.c_contiguous:  # NumPy would add in a different order
            tile = np.ascontiguousarray(tile)
        width = tile.shape[1]
        if width > _NUMPY_SUMS:
            half = width // 2
            folded = tile if may_overwrite else scratch("folded", (len(tile), width - half), tile.dtype)
            np.add(tile[:, :half], tile[:, width - half :], out=folded[:, :half])
            if width % 2 and not may_overwrite:
                folded[:, half] = tile[:, half]
            tile, width = folded, width - half
            while width > _NUMPY_SUMS:
                half = width // 2
                np.add(tile[:, :half], tile[:, width - half : width], out=tile[:, :half])
                width -= half
        sums = np.add.reduce(tile[:, :width], axis=1).astype(np.float64, copy=False)
        return sums
    k = len(tile)
    if k == 1:
        sums = tile[0].astype(np.float64)
        return sums
    half = k // 2
    folded = tile if may_overwrite else scratch("folded", (k - half, tile.shape[1]), tile.dtype)
    np.add(tile[:half], tile[k - half :], out=folded[:half])
    if k % 2 and not may_overwrite:
        folded[half] = tile[half]
    k -= half
    while k > 1:
        half = k // 2
        np.add(folded[:half], folded[k - half : k], out=folded[:half])
        k -= half
    sums = folded[0].astype(np.float64)
    return sums
