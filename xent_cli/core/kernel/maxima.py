"""The maxima of a tile of logits: where they are, and how they are left out of a sum of exponentials."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from xent_cli.core.scratch import flat, scratch

if TYPE_CHECKING:
    from xent_cli.core.array_types import AnyArray, FloatArray, IntArray

# Up to this many classes, to mask the maxima of a tile costs less than to look each of them up.
MASKED = 32


def first_maximum(rows: AnyArray) -> IntArray | None:
    """Class of the first maximum of each row [n, k], where it is wanted and NumPy finds it at full speed, else None."""
    plain = rows.flags.c_contiguous and rows.dtype.isnative and rows.dtype.kind == "f" and rows.dtype.itemsize >= 4
    return rows.argmax(1) if plain and rows.shape[1] > MASKED else None


def take_out_peaks(e: AnyArray, at_peak: IntArray | None) -> AnyArray | None:
    """Set the e of the first maximum to 0, so that small ones keep their digits when they are summed.

    Where it is not known which that is, all that are 1 are set to 0, and returned as a tile of ones and zeros.
    """
    if at_peak is not None:
        flat(e)[at_peak] = 0
        return None
    peaks = np.floor(e, out=scratch("peaks", e.shape, e.dtype))  # 0 <= e <= 1: twice as fast as a mask
    np.subtract(e, peaks, out=e)
    return peaks


def add_ties(peaks: AnyArray, others: FloatArray) -> None:
    """Add the other maxima beside the first, for each sample."""
    ones = np.equal(peaks, 1, out=scratch("ones", peaks.shape, np.bool_))
    # Bytes add up fast, and hold the number of classes here; a row without a maximum has no sum to add to.
    counts = np.add.reduce(ones.view(np.uint8), axis=0, dtype=np.uint8)
    if counts.max() > 1:
        others += counts - 1.0


def restore_peaks(e: AnyArray, at_peak: IntArray | None, peaks: AnyArray | None) -> AnyArray:
    """Undo `take_out_peaks`, in place."""
    if peaks is None:
        flat(e)[at_peak] = 1
        return e
    return np.add(e, peaks, out=e)
