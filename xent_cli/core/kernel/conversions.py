"""Conversions between float32 and dtypes of 16 bits, faster than in NumPy and ml_dtypes, and sums in these dtypes."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from xent_cli.core.kernel.variants import compiled_module, variants

if TYPE_CHECKING:
    from xent_cli.core.array_types import AnyArray

# Pairs that compiled code converts, by the numbers of their dtypes in `c/kernel.h`.
_KINDS = {"float64": 0, "float32": 1, "float16": 2, "bfloat16": 3}


def convert(source: AnyArray, target: AnyArray) -> None:
    """Copy an array into another of the same shape, rounding to the dtype of that: to nearest, ties to even.

    Examples
    --------
    >>> import numpy as np
    >>> halves = np.empty(3, np.float16)
    >>> convert(np.array([1 / 3, 1e6, -2.0**-25], np.float32), halves)
    >>> halves.tolist()
    [0.333251953125, inf, -0.0]
    """
    kinds = _KINDS.get(source.dtype.name), _KINDS.get(target.dtype.name)
    flat = source.flags.c_contiguous and target.flags.c_contiguous and source.dtype.isnative and target.dtype.isnative
    # One is float32, and the other has 16 bits.
    if not variants() or None in kinds or 0 in kinds or (kinds[0] == 1) == (kinds[1] == 1) or not flat:
        with np.errstate(all="ignore"):
            np.copyto(target, source, casting="unsafe")
        return
    compiled_module().convert(variants()[0], _plain(source), kinds[0], _plain(target), kinds[1])


def sum_in_turn(terms: AnyArray) -> AnyArray | None:
    """Sum terms [n, k] of one sign over k, from left to right, rounding to their dtype after every addition.

    Returns
    -------
    [n] of their dtype, or None where compiled code does not add them.

    Examples
    --------
    >>> import numpy as np
    >>> found = sum_in_turn(np.array([[2048.0, 1.0, 1.0]], np.float16))
    >>> found is None or found.tolist() == [2048.0]
    True
    """
    kind = _KINDS.get(terms.dtype.name)
    if not variants() or kind is None or not terms.flags.c_contiguous or not terms.dtype.isnative:
        return None
    sums = np.empty(len(terms), np.float64 if kind == 0 else np.float32)
    compiled_module().sum_in_turn(variants()[0], terms.view(np.uint16) if kind > 1 else terms, kind, sums)
    if kind < 2:
        return sums
    narrow = np.empty(len(terms), terms.dtype)
    convert(sums, narrow)
    return narrow


def _plain(array: AnyArray) -> AnyArray:
    """View values in a row; bfloat16, which NumPy does not know, as its 16 bits."""
    return (array.view(np.uint16) if array.itemsize == 2 else array).reshape(-1)
