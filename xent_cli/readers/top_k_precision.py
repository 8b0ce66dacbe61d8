"""How far off the k highest of each row may be: what their values were rounded to before they were stored.

The dtype of an array says it, or the values themselves: all numbers of a text may be those of float32, or end at the
fourth decimal.
"""

from __future__ import annotations

from decimal import Decimal
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

if TYPE_CHECKING:
    from xent_cli.core.array_types import AnyArray, BoolArray, FloatArray, IntArray

# Number of values that are examined, from the first on.
_MOST_SEEN = 4096
# Values with fewer decimals were probably typed by hand; values with more digits than these come from float64, or from
# float32.
_FEWEST_DECIMALS, _MOST_DIGITS, _DIGITS_OF_SINGLE = 3, 12, 7
# Share of the values that must have all of the decimals or digits: of numbers rounded to so many, nine in ten do.
_MOST = 0.8
# A probability of fewer units of its last decimal than this says little, so its class is treated as not listed.
_FEW_UNITS = 10


class Precision(NamedTuple):
    """Bounds on the error of a value: the larger of the two holds.

    Fields
    ------
    relative, absolute
        As a share of the value, and as a number. Both are 0 if values are taken to be exact.
    """

    relative: float = 0.0
    absolute: float = 0.0

    def coarser(self, other: Precision) -> Precision:
        """Return the larger error of both, of each kind."""
        return Precision(max(self.relative, other.relative), max(self.absolute, other.absolute))

    def widths(self, values: FloatArray, held: BoolArray, *, probs: bool) -> FloatArray:
        """Return how far off the logarithms of each row [n, m] may be; `held` are the entries that count."""
        if not any(self):
            return np.zeros(len(values))
        with np.errstate(divide="ignore", invalid="ignore"):
            if probs:
                lost = -np.log1p(-np.minimum(0.5, self.absolute / values))
                off = np.where(values > 0, np.maximum(self.relative, lost), 0.0)
            else:
                off = np.where(np.isfinite(values), np.maximum(np.abs(values) * self.relative, self.absolute), 0.0)
        found: FloatArray = np.where(held, off, 0.0).max(axis=1, initial=0.0)
        return found

    @property
    def least(self) -> float:
        """A probability below this is hardly distinguishable from 0."""
        return 2 * _FEW_UNITS * self.absolute


# Half a unit of the last bit, and half the smallest number. Values stored as float64 are taken to be exact.
_OF_DTYPE = {
    "bfloat16": Precision(1.01 * 2.0**-8, 2.0**-134),
    "float16": Precision(1.01 * 2.0**-11, 2.0**-25),
    "float32": Precision(1.01 * 2.0**-24, 2.0**-150),
}
# The dtype is recognised only if some value needs this many bits of its significand.
_TELLING_BITS = {"bfloat16": 7, "float16": 9}


def precision_of(dtype: str) -> Precision:
    """Return the precision of a dtype by its name."""
    return _OF_DTYPE.get(dtype, Precision())


def precision_seen(values: AnyArray) -> Precision:
    """Return the precision that values were rounded to, if the values show it.

    Examples
    --------
    >>> exact = np.log([0.3, 0.6]), np.array([-0.5, -0.7]), np.array([0.375, 0.125])
    >>> [any(precision_seen(values)) for values in exact]
    [False, False, False]
    >>> precision_seen(np.log([0.3, 0.6]).astype(np.float32).astype(np.float64)) == precision_of("float32")
    True
    >>> precision_seen(np.array([-0.2231, -11.6094])).absolute
    5e-05
    """
    some = np.abs(values[np.isfinite(values)][:_MOST_SEEN].astype(np.float64))
    some = some[some > 0]
    if not some.size:
        return Precision()
    held = [(dtype, bits) for dtype in _OF_DTYPE if (bits := _bits_in(some, dtype))]
    if held and held[0][0] != "float32":
        dtype, bits = held[0]
        return precision_of(dtype) if bits >= _TELLING_BITS[dtype] else Precision()
    texts = [str(np.float32(value)) if held else repr(value) for value in some.tolist()]
    numbers = [Decimal(text).normalize().as_tuple() for text in texts]
    decimals = np.array([-int(number.exponent) for number in numbers])
    digits = np.array([len(number.digits) for number in numbers])
    if held and digits.max() > _DIGITS_OF_SINGLE:
        return precision_of("float32")
    if min(digits.max(), decimals.max()) > _MOST_DIGITS or decimals.max() < _FEWEST_DECIMALS:
        return Precision()
    return _of_decimals(decimals, digits).coarser(_of_texts(some))


def _bits_in(values: FloatArray, dtype: str) -> int:
    """Return how many bits of the significand values need; 0 if one is not exact in the dtype."""
    with np.errstate(over="ignore", under="ignore"):
        single = values.astype(np.float32)
        half = single.astype(np.float16).astype(np.float32) if dtype == "float16" else single
    patterns = single.view(np.uint32)
    if (half != values).any() or (dtype == "bfloat16" and (patterns & 0xFFFF).any()):
        return 0
    significands = (patterns & 0x7FFFFF) | 0x800000
    return int((24 - np.log2(significands & -significands.astype(np.int64))).max())


def _of_decimals(decimals: IntArray, digits: IntArray) -> Precision:
    """What numbers were rounded to that have so many decimals and digits: a number of either, or one of these."""
    fixed, significant = (np.mean(counts == counts.max()) >= _MOST for counts in (decimals, digits))
    absolute, relative = 0.5 * 10.0 ** -int(decimals.max()), 0.5 * 10.0 ** (1 - int(digits.max()))
    return Precision(0.0 if fixed and not significant else relative, 0.0 if significant and not fixed else absolute)


def _of_texts(values: FloatArray) -> Precision:
    """The shortest text of a float16 or a float32 has more digits than are right."""
    for dtype in (np.float16, np.float32):
        if all(float(str(dtype(value))) == value for value in values.tolist()):
            return _OF_DTYPE[dtype.__name__]
    return Precision()
