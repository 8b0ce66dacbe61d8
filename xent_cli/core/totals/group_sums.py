"""Counts and exact sums by group, for all groups at once."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np

from xent_cli.core.totals.exact_sum import ExactSum, product_parts, rescaled, scales, square_parts, usual_factors

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from xent_cli.core.array_types import BoolArray, FloatArray, IntArray

# `ExactSum` uses units of 2**-2148 because it also holds squares. Units of 2**-1108 take 150 bytes a group instead of
# 300, and there may be as many groups as tokens in a vocabulary.
_UNIT_EXPONENT, _TO_EXACT_SUM = 1108, 1040
# As in exact_sum.py: sigma would overflow beyond this.
_HUGE, _RESCALE = 2.0**960, 600


def _none(dtype: Any) -> Any:
    return field(default_factory=lambda: np.empty(0, dtype))


@dataclass(frozen=True, slots=True, eq=False)
class GroupSums:
    """Number of values, number of hits and exact sum for each group seen.

    `GroupSums()` is the identity of `merge`, which is associative and commutative: any partition of the values gives
    the same bits. Its size depends on the number m of groups seen, not on the number of values.

    Fields
    ------
    groups
        [m] numbers of the groups, ascending.
    counts, hits
        [m] number of values, and how many of them are hits.
    special
        [m] sum of the values that are not finite: 0 if there are none, else inf or NaN.
    units
        [m] whole numbers: the sum of the finite values in units of 2**-1108.
    """

    groups: IntArray = _none(np.int64)
    counts: IntArray = _none(np.int64)
    hits: IntArray = _none(np.int64)
    special: FloatArray = _none(np.float64)
    units: NDArray[np.object_] = _none(np.object_)

    @classmethod
    def of(cls, group: IntArray, values: FloatArray, hit: BoolArray) -> GroupSums:
        """Sum values [n] by their groups [n], and count hits [n].

        Examples
        --------
        >>> import numpy as np
        >>> sums = GroupSums.of(np.array([7, 2, 7]), np.array([1e16, 3.0, 1.0]), np.array([True, False, False]))
        >>> sums.groups.tolist(), sums.counts.tolist(), sums.hits.tolist(), sums.means()
        ([2, 7], [1, 2], [0, 1], [3.0, 5000000000000000.0])
        """
        groups, at = np.unique(group, return_inverse=True)
        m = groups.size
        finite = np.isfinite(values)
        all_finite = bool(finite.all())
        with np.errstate(invalid="ignore"):
            special = np.bincount(at, np.where(finite, 0.0, values), minlength=m)
        return cls(
            groups.astype(np.int64),
            np.bincount(at, minlength=m).astype(np.int64),
            np.bincount(at[hit], minlength=m).astype(np.int64),
            special.astype(np.float64),
            _sum(at, values, m) if all_finite else _sum(at[finite], values[finite], m),
        )

    def merge(self, other: GroupSums) -> GroupSums:
        """Return the sums of both."""
        few, many = sorted((self, other), key=lambda part: part.groups.size)
        groups, theirs = many.groups, np.searchsorted(many.groups, few.groups)
        # A block is small compared with all blocks before it; groups have to be sorted again only if it has a new one.
        known = bool(groups.size) and bool((groups[np.minimum(theirs, groups.size - 1)] == few.groups).all())
        if not known:
            groups = np.union1d(groups, few.groups)
            theirs = np.searchsorted(groups, few.groups)
        mine = slice(None) if known else np.searchsorted(groups, many.groups)

        def added(name: str) -> Any:
            values = getattr(many, name)
            both = np.zeros(groups.size, values.dtype)
            both[mine] = values
            with np.errstate(invalid="ignore"):
                both[theirs] += getattr(few, name)
            return both

        return GroupSums(groups, added("counts"), added("hits"), added("special"), added("units"))

    def totals(self) -> list[ExactSum]:
        """Return the exact sum of the finite values of each group."""
        return [ExactSum(units << _TO_EXACT_SUM) for units in self.units]

    def means(self) -> list[float]:
        """Return the mean of each group, rounded once; NaN or inf if a value is."""
        return [
            float(special) if special != 0 else total / int(count)
            for total, count, special in zip(self.totals(), self.counts, self.special, strict=True)
        ]


def sums_by_group(at: NDArray[np.integer[Any]], values: FloatArray, num_groups: int) -> NDArray[np.object_]:
    """Sum finite values [n] exactly, by their groups `at` [n], in units of `ExactSum`.

    Examples
    --------
    >>> import numpy as np
    >>> units = sums_by_group(np.array([1, 0, 1, 1]), np.array([1e16, 3.0, 1.0, -1e16]), 2)
    >>> [float(ExactSum(group)) for group in units]
    [3.0, 1.0]
    """
    units: NDArray[np.object_] = _sum(at, values, num_groups) << _TO_EXACT_SUM
    return units


def squares_by_group(at: NDArray[np.integer[Any]], values: FloatArray, num_groups: int) -> NDArray[np.object_]:
    """Sum the exact squares; see `sums_by_group`."""
    units = np.zeros(num_groups, np.object_)
    for chosen, power in scales(values):
        part, x = (at, values) if chosen.all() else (at[chosen], values[chosen])
        for half in square_parts(np.ldexp(x, power) if power else x):
            units += rescaled(sums_by_group(part, half, num_groups), power)
    return units


def products_by_group(
    at: NDArray[np.integer[Any]], a: FloatArray, b: FloatArray, num_groups: int
) -> NDArray[np.object_]:
    """Sum the exact products of finite `a` [n] and `b` [n]; see `sums_by_group`.

    Examples
    --------
    >>> units = products_by_group(np.array([1, 0, 1]), np.array([1e16, 3.0, 4.0]), np.array([2.0, 0.5, 1.0]), 2)
    >>> [float(ExactSum(group)) for group in units]
    [1.5, 2.0000000000000004e+16]
    """
    units = np.zeros(num_groups, np.object_)
    plain = usual_factors(a) & usual_factors(b)
    for group, x, y in zip(at[~plain].tolist(), a[~plain], b[~plain], strict=True):
        units[group] += ExactSum.of_products(x[None], y[None]).units
    at = at[plain]
    for half in product_parts(a[plain], b[plain]):
        units += sums_by_group(at, half, num_groups)
    return units


def _sum(at: NDArray[np.integer[Any]], values: FloatArray, num_groups: int) -> NDArray[np.object_]:
    """Sum finite values exactly by group, in units of 2**-1108."""
    huge = np.abs(values) >= _HUGE
    if not huge.any():
        return _sum_usual(at, values, num_groups)
    units = _sum_usual(at[~huge], values[~huge], num_groups)
    units += _sum_usual(at[huge], np.ldexp(values[huge], -_RESCALE), num_groups) << _RESCALE
    return units


def _sum_usual(at: NDArray[np.integer[Any]], values: FloatArray, num_groups: int) -> NDArray[np.object_]:
    """Split the leading bits off all values, add those without rounding, and repeat with the rest."""
    units = np.zeros(num_groups, np.object_)
    if not values.size:
        return units
    x = values.copy()
    top = float(np.abs(x).max())
    # A group has fewer than 2**(h - 1) values, each of at most 2**e and truncated to multiples of 2**(e + h - 52):
    # their sum has 51 bits and is exact in float64. No value has a bit below 2**-1074.
    headroom = int(np.bincount(at).max()).bit_length() + 1
    while top:
        exponent = math.frexp(top)[1]
        sigma = math.ldexp(1.5, exponent + headroom)
        leading = (x + sigma) - sigma
        sums = np.bincount(at, leading, minlength=num_groups)
        unit = max(exponent + headroom - 52, -_UNIT_EXPONENT)
        # In two steps, because at the lower end of the range the power of two itself would overflow.
        whole = np.ldexp(np.ldexp(sums, 600), -unit - 600) if unit < -600 else np.ldexp(sums, -unit)
        units += whole.astype(np.int64).astype(np.object_) << (unit + _UNIT_EXPONENT)
        x -= leading
        top = float(np.abs(x).max())
    return units
