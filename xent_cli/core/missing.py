"""Two kinds of NaN in an array of losses: of a sample that has no loss, and of one whose loss is not a number.

An array has no null. Both are NaN to whoever reads them, and told apart by the bits that a NaN has to spare.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from xent_cli.core.array_types import BoolArray, FloatArray

# Quiet NaN whose payload is "xent" and a number.
_IGNORED, _UNDEFINED = 0x7FF8_7865_6E74_0000, 0x7FF8_7865_6E74_0001


def mark(loss: FloatArray, ignored: BoolArray | None) -> FloatArray:
    """Losses [n], copied, with NaN where they are NaN and where the sample is ignored; `told` knows which is which.

    Examples
    --------
    >>> marked = mark(np.array([1.0, np.nan, 3.0]), np.array([False, False, True]))
    >>> marked.tolist()
    [1.0, nan, nan]
    >>> [kind.tolist() for kind in told(marked)]
    [[False, False, True], [False, False, False]]
    """
    marked = loss.astype(np.float64)
    bits = marked.view(np.uint64)
    bits[np.isnan(marked)] = _UNDEFINED
    if ignored is not None:
        bits[ignored] = _IGNORED
    return marked


def told(loss: FloatArray) -> tuple[BoolArray, BoolArray]:
    """Which of the losses [n] are those of ignored samples, and which are NaN of neither kind, that may be either."""
    bits = loss.view(np.uint64)
    ignored: BoolArray = bits == _IGNORED
    return ignored, np.isnan(loss) & ~ignored & (bits != _UNDEFINED)
