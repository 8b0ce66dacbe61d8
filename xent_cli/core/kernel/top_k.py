"""Rank of the label among the logits, from which top-k accuracy is counted."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np

from xent_cli.core.kernel.tiles import rows_per_tile, tile_of

if TYPE_CHECKING:
    from xent_cli.core.array_types import AnyArray, FloatArray, IntArray

# A label with a probability above a half is ranked first.
_FIRST_FOR_CERTAIN = math.log(2) - 1e-6


def label_ranks(logits: AnyArray, index: IntArray, label_loss: FloatArray | None = None) -> IntArray:
    """Rank class ``index[i]`` among the classes of row i, from 0; a tie goes to the lower class index.

    Parameters
    ----------
    logits
        [n, k] logits, or any monotonic function of them.
    index
        [n], each in [0, k).
    label_loss
        [n] -log softmax of that class, if known: rows in which it decides the rank are skipped.

    Returns
    -------
    [n] int64; the largest int64 for a row with NaN, so that it is a hit for no k.

    Examples
    --------
    >>> import numpy as np
    >>> label_ranks(np.array([[3.0, 1.0, 3.0], [3.0, 1.0, 3.0]]), np.array([2, 1])).tolist()
    [1, 2]
    """
    n, k = logits.shape
    ranks = np.zeros(n, np.int64)
    rows = np.arange(n) if label_loss is None else np.flatnonzero(~(label_loss < _FIRST_FOR_CERTAIN))
    step = rows_per_tile(k)
    for first in range(0, rows.size, step):
        some = rows[first : first + step]
        # Not by `take`, which copies all of an array whose classes are not adjacent first.
        ranks[some] = _tile_ranks(logits[some], index[some])
    return ranks


def _tile_ranks(logits: AnyArray, index: IntArray) -> IntArray:
    # Logits are only compared, so float32 is enough for types that it represents exactly.
    dtype = np.float64 if logits.dtype.itemsize > 4 or logits.dtype.kind in "iu" else np.float32
    z = tile_of(logits, dtype)
    own = z[np.arange(len(z)), index][:, np.newaxis]
    ahead = _count(z > own)
    tied = np.flatnonzero(_count(z >= own) - ahead > 1)
    if tied.size:
        rows = logits[tied].astype(dtype)
        label = index[tied, np.newaxis]
        equal = rows == np.take_along_axis(rows, label, axis=1)
        ahead[tied] += np.count_nonzero(equal & (np.arange(z.shape[1]) < label), axis=1)
    ahead[np.isnan(z.max(axis=1))] = np.iinfo(np.int64).max
    return ahead


def _count(mask: AnyArray) -> IntArray:
    # Bytes add up fast, and a byte can hold the sum of up to 255 of them.
    width = np.uint8 if mask.shape[1] <= 255 else np.uint32
    counts: IntArray = np.add.reduce(mask.view(np.uint8), axis=1, dtype=width).astype(np.int64)
    return counts
