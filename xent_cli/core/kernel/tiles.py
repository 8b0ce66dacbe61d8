"""Tiles: the rows that NumPy works on at a time, and sums over their classes."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import DTypeLike

    from xent_cli.core.array_types import AnyArray, FloatArray

# Small enough for the cache; large enough that two threads seldom wait for each other between NumPy calls.
_TILE_BYTES = 2 << 20
# NumPy's inner loops run along memory, and calling them for each short row takes three times as long at 10 classes. Up
# to this many classes, the values of one class are adjacent in memory. No digit depends on it.
_FEW_CLASSES = 255


def rows_per_tile(num_classes: int) -> int:
    """Return how many samples make a tile."""
    return max(1, _TILE_BYTES // (8 * num_classes))


def tile_of(rows: AnyArray, dtype: DTypeLike) -> AnyArray:
    """Copy `rows` [n, k] to an array [n, k] in the order of memory that is fastest for k classes."""
    return np.array(rows, dtype, order="F" if rows.shape[1] <= _FEW_CLASSES else "C")


def pairwise_sum(values: FloatArray) -> FloatArray:
    """Sum over the classes [n, k]; the order of additions depends only on the number of classes.

    The array is folded in half again and again, so that a sum has log2(k) roundings behind it instead of k.

    Examples
    --------
    >>> pairwise_sum(np.array([[1.0, 2.0, 3.0], [0.5, 0.25, 0.25]])).tolist()
    [6.0, 1.0]
    """
    folded = values.copy(order="K")
    while folded.shape[1] > 1:
        half = folded.shape[1] // 2
        folded[:, :half] += folded[:, folded.shape[1] - half :]
        folded = folded[:, : folded.shape[1] - half]
    return folded[:, 0].copy()
