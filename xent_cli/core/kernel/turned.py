"""Rows for the kernels from arrays whose class axis is not the last: [k, n] in memory copied as [n, k]."""

from __future__ import annotations

from typing import TYPE_CHECKING

from xent_cli.core.kernel.variants import compiled_module, variants

if TYPE_CHECKING:
    from xent_cli.core.array_types import AnyArray

# Item sizes that compiled code can copy, in bytes, and the number of values from which calling it pays off.
_SIZES = frozenset({2, 4, 8})
_WORTH_A_CALL = 1 << 12


def turn(source: AnyArray, target: AnyArray) -> None:
    """Copy an array into one of the same shape whose last two axes are swapped in memory.

    NumPy takes three times as long: it writes through the cache, one value at a time.

    Parameters
    ----------
    source
        [..., k, n], contiguous along the last axis.
    target
        [..., k, n] as well, but contiguous along the axis of k.

    Examples
    --------
    >>> import numpy as np
    >>> rows = np.empty((2, 3))
    >>> turn(np.array([[0.0, 3.0], [1.0, 4.0], [2.0, 5.0]]), rows.T)
    >>> rows.tolist()
    [[0.0, 1.0, 2.0], [3.0, 4.0, 5.0]]
    """
    size = source.itemsize
    compiled = variants() and size in _SIZES and source.strides[-1] == size and target.strides[-2] == size
    if not compiled or (source.ndim > 2 and source[0].size < _WORTH_A_CALL):
        target[...] = source
    elif source.ndim > 2:
        for some, into in zip(source, target, strict=True):
            turn(some, into)
    else:
        bits = f"u{size}"
        compiled_module().turn(source.view(bits), target.view(bits).T)
