"""Exact sums of float64 values, the same for any order and any partition."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeVar

import numpy as np

from xent_cli.core.kernel.variants import compiled_module, variants, why_not_compiled

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray

# The square of the smallest subnormal number is 2**-2148: every float64 and its square is a multiple of that.
_UNIT_EXPONENT = 2148
_UNIT = 1 << _UNIT_EXPONENT
# 2**16 values of at most 2**e, truncated to multiples of 2**(e - 35), have a sum of at most 51 bits: exact in float64.
_CHUNK = 1 << 16
_HEADROOM = 17
# For this few values, Python's integers are faster than NumPy.
_FEW = 16
# From this many values on, compiled code is faster, and other threads can run meanwhile.
_MANY = 1024
# Values beyond these are rescaled first: sigma would overflow, or the low half of a square would underflow.
_HUGE, _HUGE_SQUARE, _TINY_SQUARE = 2.0**960, 2.0**450, 2.0**-450
_RESCALE = 600
_VELTKAMP = 2.0**27 + 1.0


T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class ExactSum:
    """An exact sum of finite float64 values, as a whole number of units of 2**-2148.

    `ExactSum()` is the identity of ``+``, and ``+`` is associative and commutative, so any partition of the values
    gives the same sum to the last bit.

    References
    ----------
    Rump, Ogita & Oishi, "Accurate floating-point summation part I", SIAM J. Sci. Comput. 31, 2008.
    Demmel & Nguyen, "Parallel reproducible summation", IEEE Trans. Comput. 64, 2015.

    Examples
    --------
    >>> import numpy as np
    >>> float(ExactSum.of(np.array([1e16, 1.0, -1e16])))
    1.0
    """

    units: int = 0

    @classmethod
    def of(cls, values: NDArray[np.float64]) -> ExactSum:
        """Sum finite `values` of any shape."""
        flat = values.reshape(-1)
        if flat.size <= _FEW:
            return cls(sum(_units(value) for value in flat.tolist()))
        parts = _compiled_parts(flat, squares=False)
        if parts is not None:
            return cls(sum(map(_units, parts)))
        units = sum(_sum_chunk(flat[i : i + _CHUNK]) for i in range(0, flat.size, _CHUNK))
        return cls(units)

    @classmethod
    def of_count(cls, count: int) -> ExactSum:
        """Return the sum that equals a whole number."""
        return cls(count * _UNIT)

    @classmethod
    def of_squares(cls, values: NDArray[np.float64]) -> ExactSum:
        """Sum the exact squares of finite `values`."""
        if values.size <= _FEW:
            return cls(sum(_square_units(value) for value in values.reshape(-1).tolist()))
        parts = _compiled_parts(values.reshape(-1), squares=True)
        if parts is not None:
            return cls(sum(map(_units, parts)))
        # In chunks, so that intermediate arrays stay in the cache.
        chunks = (values[first : first + _CHUNK] for first in range(0, values.size, _CHUNK))
        return cls(sum(map(_square_chunk, chunks)))

    @classmethod
    def of_products(cls, a: NDArray[np.float64], b: NDArray[np.float64]) -> ExactSum:
        """Sum the exact products of finite `a` [n] and `b` [n].

        Examples
        --------
        >>> import numpy as np
        >>> float(ExactSum.of_products(np.array([2.0**60, 3.0]), np.array([2.0**-60, -0.25])))
        0.25
        """
        if a.size <= _FEW:
            return cls(sum(map(_product_units, a.tolist(), b.tolist())))
        chunks = (slice(first, first + _CHUNK) for first in range(0, a.size, _CHUNK))
        return cls(sum(_product_chunk(a[chunk], b[chunk]) for chunk in chunks))

    def __add__(self, other: ExactSum) -> ExactSum:
        return ExactSum(self.units + other.units)

    def __float__(self) -> float:
        return _divide(self.units, _UNIT)

    def __truediv__(self, other: ExactSum | int) -> float:
        """Divide, rounding once; NaN for a divisor of 0."""
        divisor = other if isinstance(other, ExactSum) else ExactSum.of_count(other)
        return _divide(self.units, divisor.units)


def either(a: T | None, b: T | None, both: Callable[[T, T], T]) -> T | None:
    """Return `both` of two totals, or the one that is not None.

    Examples
    --------
    >>> either(1, None, max), either(1, 2, max)
    (1, 2)
    """
    return b if a is None else a if b is None else both(a, b)


def standard_deviation(total: ExactSum, squares: ExactSum, count: int) -> float:
    """Compute the population standard deviation sqrt(E[x**2] - E[x]**2), correctly rounded.

    The difference is computed in whole numbers, so equal values give exactly 0.

    Examples
    --------
    >>> import numpy as np
    >>> x = np.array([2.0, 4.0])
    >>> standard_deviation(ExactSum.of(x), ExactSum.of_squares(x), 2)
    1.0
    """
    if count == 0:
        return math.nan
    numerator = squares.units * count * _UNIT - total.units**2
    denominator = (count * _UNIT) ** 2
    return square_root(numerator, denominator)


def standard_error(deviation: float, count: int) -> float:
    """Return the standard error of the mean of `count` values from their population standard deviation.

    Examples
    --------
    >>> standard_error(2.0, 5)  # 2 sqrt(5 / 4) / sqrt(5)
    1.0
    """
    return deviation * math.sqrt(count / (count - 1)) / math.sqrt(count) if count > 1 else math.nan


def square_root(numerator: int, denominator: int) -> float:
    """Return the root of a fraction of whole numbers, correctly rounded.

    Examples
    --------
    >>> square_root(9, 4)
    1.5
    """
    if numerator == 0:
        return 0.0
    # The root of 2**(2k) times the variance has at least 64 bits; a sticky bit after them makes the final rounding
    # correct.
    k = max(0, (denominator.bit_length() - numerator.bit_length()) // 2 + 66)
    scaled, remainder = divmod(numerator << (2 * k), denominator)
    root = math.isqrt(scaled)
    sticky = 1 if remainder or root * root != scaled else 0
    return _divide(2 * root + sticky, 1 << (k + 1))


def square_parts(x: NDArray[np.float64]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Split squares exactly into a rounded square and its error, if neither leaves the normal range (Dekker, 1971).

    Examples
    --------
    >>> import numpy as np
    >>> square, rest = square_parts(np.array([1.0 + 2.0**-30]))
    >>> float(square[0] - 1.0), float(rest[0]) == 2.0**-60
    (1.862645149230957e-09, True)
    """
    high = x * _VELTKAMP
    high = high - (high - x)
    low = x - high
    square = x * x
    return square, ((high * high - square) + 2.0 * high * low) + low * low


def product_parts(a: NDArray[np.float64], b: NDArray[np.float64]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Split products of factors in the usual range exactly into a rounded product and its error (Dekker, 1971)."""
    product = a * b
    a_high, b_high = (x * _VELTKAMP - (x * _VELTKAMP - x) for x in (a, b))
    a_low, b_low = a - a_high, b - b_high
    return product, ((a_high * b_high - product) + a_high * b_low + a_low * b_high) + a_low * b_low


def usual_factors(x: NDArray[np.float64]) -> NDArray[np.bool_]:
    """Whether no product of two such numbers leaves the range in which `product_parts` is exact."""
    size = np.abs(x)
    found: NDArray[np.bool_] = ((size >= _TINY_SQUARE) & (size < _HUGE_SQUARE)) | (x == 0)
    return found


def scales(values: NDArray[np.float64]) -> list[tuple[NDArray[np.bool_], int]]:
    """Group values by the power of two that scales them exactly before they are squared."""
    size = np.abs(values)
    huge, tiny = size >= _HUGE_SQUARE, size < _TINY_SQUARE
    parts = [(~(huge | tiny), 0), (huge, -_RESCALE), (tiny, _RESCALE)]
    return [(chosen, power) for chosen, power in parts if chosen.any()]


def rescaled(units: Any, power: int) -> Any:
    """Undo the scaling of values by a power of two in sums of their squares, an int or an array."""
    return units >> (2 * power) if power > 0 else units << (-2 * power)


def _divide(numerator: int, denominator: int) -> float:
    if denominator == 0:
        return math.nan
    try:
        return numerator / denominator  # Python rounds the quotient of two ints once, to nearest
    except OverflowError:
        return math.inf if (numerator > 0) == (denominator > 0) else -math.inf


def _units(value: float) -> int:
    numerator, denominator = value.as_integer_ratio()
    return numerator << (_UNIT_EXPONENT - denominator.bit_length() + 1)


def _square_units(value: float) -> int:
    numerator, denominator = value.as_integer_ratio()
    return numerator * numerator << (_UNIT_EXPONENT - 2 * denominator.bit_length() + 2)


def _product_units(a: float, b: float) -> int:
    (p, q), (r, s) = a.as_integer_ratio(), b.as_integer_ratio()
    return p * r << (_UNIT_EXPONENT - q.bit_length() - s.bit_length() + 2)


def _compiled_parts(values: NDArray[np.float64], *, squares: bool) -> list[float] | None:
    """Return numbers that add up to the exact sum of values or squares; None if compiled code would not help."""
    if values.size < _MANY or why_not_compiled():
        return None
    parts: list[float] | None = compiled_module().exact_sum(variants()[0], np.ascontiguousarray(values), squares)
    return parts


def _sum_chunk(values: NDArray[np.float64]) -> int:
    if values.size == 0:
        return 0
    x = values.copy()
    top = float(np.abs(x).max())
    if top >= _HUGE:
        huge = np.abs(x) >= _HUGE
        return (_sum_chunk(np.ldexp(x[huge], -_RESCALE)) << _RESCALE) + _sum_chunk(x[~huge])
    units = 0
    q = np.empty_like(x)
    while top:
        sigma = math.ldexp(1.5, math.frexp(top)[1] + _HEADROOM)
        np.add(x, sigma, out=q)
        np.subtract(q, sigma, out=q)
        units += _units(float(q.sum()))
        np.subtract(x, q, out=x)
        top = float(max(x.max(), -x.min()))
    return units


def _square_chunk(values: NDArray[np.float64]) -> int:
    total = 0
    for chosen, power in scales(values):
        x = values if power == 0 and chosen.all() else np.ldexp(values[chosen], power)
        total += rescaled(_sum_squares(x), power)
    return total


def _product_chunk(a: NDArray[np.float64], b: NDArray[np.float64]) -> int:
    usual = usual_factors(a) & usual_factors(b)
    total = 0
    if not usual.all():
        total = sum(map(_product_units, a[~usual].tolist(), b[~usual].tolist()))
        a, b = a[usual], b[usual]
    product, rest = product_parts(a, b)
    return total + ExactSum.of(product).units + ExactSum.of(rest).units


def _sum_squares(x: NDArray[np.float64]) -> int:
    square, rest = square_parts(x)
    return ExactSum.of(square).units + ExactSum.of(rest).units
