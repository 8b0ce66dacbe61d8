"""Tiles: the rows a kernel holds at once, in one of two layouts, and sums over classes that no blocking can change."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING

import numpy as np

from xent_cli.core.scratch import counting_up, flat, scratch

if TYPE_CHECKING:
    from collections.abc import Iterator

    from numpy.typing import DTypeLike

    from xent_cli.core.array_types import AnyArray, FloatArray, IntArray

# Up to this many classes a tile is held as [k, n]: loops then run across samples, and a short row costs no call of its
# own, three times faster at k = 10. The choice hangs on k alone, so that no digit depends on how rows are blocked.
_BY_CLASS = 255
# Two threads wait for one another between calls, so tiles are larger than one thread alone would like them; where rows
# are longer than 32 logits little is held beside them.
_TILE_BYTES, _LONE_TILE_BYTES = 2 << 20, 4 << 20
_SHORT = 32
# Rows of so many classes and more are turned so many at a time: 0.8 to 0.5 ns a logit at 100 classes. Half as many are
# a tenth faster in one thread, and as much slower in two.
_WIDE, _TURNED = 24, 512
# A value for each sample [n] against a tile [n, k] is no one stride, and NumPy copies it out to the shape of the tile
# first, in pieces of its buffer, which costs more than the subtraction; a buffer shorter than a row it does not use.
_BUFFER = 64
# Rows of up to this many values are summed by NumPy: three additions and three pairs of them, one after the other.
_REDUCED = 32


def class_axis(num_classes: int) -> int:
    """Axis of the classes in a tile: 0 for few classes, 1 for many."""
    return 0 if num_classes <= _BY_CLASS else 1


def rows_per_tile(num_classes: int, *, alone: bool = False) -> int:
    """How many samples make a tile; `alone` where the caller holds one of them and little beside."""
    size = _LONE_TILE_BYTES if alone and num_classes > _SHORT else _TILE_BYTES
    return max(1, size // (8 * num_classes))


def load(rows: AnyArray, axis: int, dtype: DTypeLike, name: str) -> AnyArray:
    """Copy `rows` [n, k] into scratch memory, in the layout of `axis`."""
    if axis == 1:
        tile = scratch(name, rows.shape, dtype)
        np.copyto(tile, rows, casting="unsafe")
        return tile
    n, k = rows.shape
    tile = scratch(name, (k, n), dtype)
    # Class after class is picked out of few rows at a time, which stay in the cache for it.
    step = _TURNED if k >= _WIDE and rows.strides[0] > rows.strides[1] else n
    for first in range(0, n, step):
        some = slice(first, first + step)
        np.copyto(tile[:, some], rows[some].T, casting="unsafe")
    return tile


def spread(values: AnyArray, axis: int) -> AnyArray:
    """Shape a value for each sample [n] so that it broadcasts over the classes of a tile."""
    return values if axis == 0 else values[:, np.newaxis]


def spread_classes(values: AnyArray, axis: int) -> AnyArray:
    """Shape a value for each class [k] so that it broadcasts over the samples of a tile."""
    return values[:, np.newaxis] if axis == 0 else values


def flat_index(tile: AnyArray, index: IntArray, axis: int) -> IntArray:
    """Where class ``index[i]`` of sample i stands in the flattened tile."""
    n = tile.shape[1 - axis]
    places: IntArray
    if axis == 0:
        places = index * n
        places += counting_up(n)
    else:
        places = counting_up(n) * tile.shape[1]
        places += index
    return places


def gather(tile: AnyArray, index: IntArray, into: AnyArray) -> None:
    """Copy what stands at `index` of the flattened tile."""
    values = flat(tile)
    if values.dtype == into.dtype:
        values.take(index, out=into, mode="clip")  # any other mode would take them aside first
    else:
        into[:] = values.take(index)


@contextmanager
def unbuffered() -> Iterator[None]:
    """Let ufuncs of this thread broadcast without a copy; those that convert a dtype become slow.

    What is infinite or not a number is a result here: inf - inf is NaN, and so is the loss of such a row.
    """
    with np.errstate(invalid="ignore", over="ignore"):  # which restores the buffer size too
        np.setbufsize(_BUFFER)
        yield


def total(tile: AnyArray, axis: int, *, spare: bool = False) -> FloatArray:
    """Sum over the classes, as float64 [n]; the order of additions depends on the number of classes alone.

    `spare` says that the tile is not needed any more, and may be folded where it stands.

    The tile is folded in half again and again, so that a sum has log2(k) roundings behind it instead of k. Down the
    classes it is folded to the end: NumPy would add one after the other, and for a single sample in yet another order.
    Rows are folded while they are long, and what is left is NumPy's to sum.
    """
    sums: FloatArray
    if axis == 1:
        if not tile.flags.c_contiguous:  # NumPy would add in another order
            tile = np.ascontiguousarray(tile)
        width = tile.shape[1]
        if width > _REDUCED:
            half = width // 2
            folded = tile if spare else scratch("folded", (len(tile), width - half), tile.dtype)
            np.add(tile[:, :half], tile[:, width - half :], out=folded[:, :half])
            if width % 2 and not spare:
                folded[:, half] = tile[:, half]
            tile, width = folded, width - half
            while width > _REDUCED:
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
    folded = tile if spare else scratch("folded", (k - half, tile.shape[1]), tile.dtype)
    np.add(tile[:half], tile[k - half :], out=folded[:half])
    if k % 2 and not spare:
        folded[half] = tile[half]
    k -= half
    while k > 1:
        half = k // 2
        np.add(folded[:half], folded[k - half : k], out=folded[:half])
        k -= half
    sums = folded[0].astype(np.float64)
    return sums
