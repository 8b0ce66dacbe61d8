"""Two kinds of NaN in an array of losses: for a sample without a loss, and for a loss that is not a number.

An array has no null. Every reader sees NaN in both cases; the unused bits of a NaN tell xent which is which.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from xent_cli.core.array_types import BoolArray, FloatArray

# Quiet NaNs with the payload "xent" and a number.
_IGNORED, _UNDEFINED = 0x7FF8_7865_6E74_0000, 0x7FF8_7865_6E74_0001


def mark(loss: FloatArray, ignored: BoolArray | None) -> FloatArray:
    """Copy losses [n], with a NaN for ignored samples that `kinds_of_nan` tells from the NaN of an undefined loss.

    Examples
    --------
    >>> marked = mark(np.array([1.0, np.nan, 3.0]), np.array([False, False, True]))
    >>> marked.tolist()
    [1.0, nan, nan]
    >>> [kind.tolist() for kind in kinds_of_nan(marked)]
    [[False, False, True], [False, False, False]]
    """
    marked = loss.astype(np.float64)
    bits = marked.view(np.uint64)
    bits[np.isnan(marked)] = _UNDEFINED
    if ignored is not None:
        bits[ignored] = _IGNORED
    return marked


def kinds_of_nan(loss: FloatArray) -> tuple[BoolArray, BoolArray]:
    """Find the losses [n] of ignored samples, and those with an ordinary NaN, which may be of either kind."""
    bits = loss.view(np.uint64)
    ignored: BoolArray = bits == _IGNORED
    return ignored, np.isnan(loss) & ~ignored & (bits != _UNDEFINED)
