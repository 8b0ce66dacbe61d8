"""The maxima of a tile of logits: where they are, and how they are kept out of a sum of exponentials."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from xent_cli.core.scratch import flat, scratch

if TYPE_CHECKING:
    from xent_cli.core.array_types import AnyArray, FloatArray, IntArray

# Up to this many classes, masking all maxima of a tile is faster than finding the first maximum of every row.
MASKED = 32


def first_maximum(rows: AnyArray) -> IntArray | None:
    """Return the class of the first maximum of each row [n, k], or None where finding it would be slow or is useless.

    It is slow for layouts and dtypes that NumPy's argmax has no fast loop for, and of no use for up to `MASKED`
    classes.
    """
    fast = rows.flags.c_contiguous and rows.dtype.isnative and rows.dtype.kind == "f" and rows.dtype.itemsize >= 4
    return rows.argmax(1) if fast and rows.shape[1] > MASKED else None


def remove_maxima(exponentials: AnyArray, first_maxima: IntArray | None) -> AnyArray | None:
    """Set the exponential of the first maximum, exp(0) = 1, to 0, so that small terms keep their digits in the sum.

    If `first_maxima` is None, all that are 1 are set to 0 and returned as a tile of ones and zeros.
    """
    if first_maxima is not None:
        flat(exponentials)[first_maxima] = 0
        return None
    # All are in [0, 1], so the floor marks the ones: twice as fast as a mask.
    ones = np.floor(exponentials, out=scratch("maxima", exponentials.shape, exponentials.dtype))
    np.subtract(exponentials, ones, out=exponentials)
    return ones


def add_tied_maxima(ones: AnyArray, sum_without_max: FloatArray) -> None:
    """Add exp(0) = 1 to the sum of each sample for every maximum after the first."""
    maxima = np.equal(ones, 1, out=scratch("is maximum", ones.shape, np.bool_))
    # Bytes add up fast, and a byte can hold the number of classes here. A row with NaN has no maximum and stays as it
    # is.
    counts = np.add.reduce(maxima.view(np.uint8), axis=0, dtype=np.uint8)
    if counts.max() > 1:
        sum_without_max += counts - 1.0


def restore_maxima(exponentials: AnyArray, first_maxima: IntArray | None, ones: AnyArray | None) -> AnyArray:
    """Undo `remove_maxima`, in place."""
    if ones is None:
        flat(exponentials)[first_maxima] = 1
        return exponentials
    return np.add(exponentials, ones, out=exponentials)
