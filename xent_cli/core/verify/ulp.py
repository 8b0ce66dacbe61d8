"""Units in the last place: rounding to a float type, and the distance of two of its numbers."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from xent_cli.core.array_types import AnyArray, FloatArray

_NATIVE = {"float16": (np.float16, np.int16), "float32": (np.float32, np.int32), "float64": (np.float64, np.int64)}
# bfloat16: bits of the significand, exponent of the smallest subnormal, and the largest finite number.
_BFLOAT16 = 8, -133, 3.3895313892515355e38


def round_to(values: AnyArray, dtype: str) -> FloatArray:
    """Round float64 values once to a float type, to nearest with ties to even, and return them as float64.

    Examples
    --------
    >>> round_to(np.array([1.01, 1e-8, 7e4]), "float16").tolist()
    [1.009765625, 0.0, inf]
    >>> round_to(np.array([1.01, 1 + 2**-8 + 2**-40, 3.4e38]), "bfloat16").tolist()
    [1.0078125, 1.0078125, inf]
    """
    x = values.astype(np.float64, copy=False)
    if dtype == "float64":
        return x
    with np.errstate(over="ignore", under="ignore"):
        if dtype != "bfloat16":
            return x.astype(_NATIVE[dtype][0]).astype(np.float64)
        # Going through float32 would round twice.
        significand, smallest, largest = _BFLOAT16
        unit = np.maximum(np.frexp(x)[1] - significand, smallest)
        rounded = np.ldexp(np.rint(np.ldexp(x, -unit)), unit)
        return np.where(np.abs(rounded) > largest, np.copysign(np.inf, x), rounded)


def ulp_distance(a: FloatArray, b: FloatArray, dtype: str) -> NDArray[np.uint64]:
    """Count the steps from `a` to `b`, where each step leads to the next number of a float type.

    Parameters
    ----------
    a, b
        Numbers of that type (see `round_to`), as float64. 0 and -0 are the same, and inf is one step from the largest
        number. The result for NaN is meaningless.

    Examples
    --------
    >>> ulp_distance(np.array([1.0, -0.0]), np.array([1.0009765625, 2.0**-24]), "float16").tolist()
    [1, 1]
    """
    here, there = _place(a, dtype), _place(b, dtype)
    # Unsigned, because there are more float64 numbers than int64 can count.
    high, low = np.maximum(here, there), np.minimum(here, there)
    return high.view(np.uint64) - low.view(np.uint64)


def _place(values: FloatArray, dtype: str) -> NDArray[np.int64]:
    """Number the values of a float type in ascending order, with 0 for 0."""
    with np.errstate(over="ignore", under="ignore"):
        if dtype == "bfloat16":
            bits = (values.astype(np.float32).view(np.int32) >> 16).astype(np.int64)
            width = 16
        else:
            float_type, integer_type = _NATIVE[dtype]
            bits = values.astype(float_type).view(integer_type).astype(np.int64)
            width = np.dtype(integer_type).itemsize * 8
    return np.where(bits < 0, -(1 << (width - 1)) - bits, bits)
