"""Quantiles of losses that merge: exact up to four million rows, a fine histogram of them beyond."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from numpy.typing import NDArray

EXACT_ROWS = 4_000_000
# The top 20 bits of a float64 are its sign, exponent and 8 bits of fraction: bins 1/256 wide, centres 0.2 % off.
SHIFT = 44
# The bin of 0, the first of those that are not negative.
ZERO = 1 << 19
_NAN = ZERO + 0x7FF80
# So many losses wait to be counted together: a block of long rows has few, and each merge goes through all bins.
_WAITING = 1 << 16


class Bins(NamedTuple):
    """How many losses there are for each value of the top 20 bits, where there are any.

    Fields
    ------
    keys
        [m] the values, ascending as the losses do.
    counts
        [m] at least 1 each.
    """

    keys: NDArray[np.uint32]
    counts: NDArray[np.int64]

    @classmethod
    def of(cls, parts: Sequence[NDArray[np.float64]]) -> Bins:
        """Count losses."""
        keys = np.empty(sum(part.size for part in parts), np.uint32)
        first = 0
        for part in parts:
            _write_keys(part, keys[first : first + part.size])
            first += part.size
        keys.sort()  # in place: of four million, a copy is what a run needs most memory for
        begins = np.append(0, np.flatnonzero(keys[1:] != keys[:-1]) + 1)[: keys.size]
        return cls(keys[begins], np.diff(begins, append=keys.size))

    def merge(self, other: Bins) -> Bins:
        """Both, as one."""
        keys, place = np.unique(np.concatenate([self.keys, other.keys]), return_inverse=True)
        counts = np.zeros(keys.size, np.int64)
        np.add.at(counts, place, np.concatenate([self.counts, other.counts]))
        return Bins(keys, counts)


@dataclass(frozen=True, slots=True, eq=False)
class QuantileState:
    """What is kept of the losses: all of them while they are few, then counts by the top bits of their pattern.

    Which of the two is decided by the number of rows alone, so that every partition ends in the same quantiles.
    NaN ranks above +inf.

    Fields
    ------
    size
        How many losses.
    parts
        The losses themselves, but for those in the histogram.
    histogram, counted
        The bins of the others, and how many these are; None and 0 while all are kept.
    """

    size: int = 0
    parts: tuple[NDArray[np.float64], ...] = ()
    histogram: Bins | None = None
    counted: int = 0

    @classmethod
    def of(cls, losses: NDArray[np.float64]) -> QuantileState:
        """Keep `losses` [n]."""
        return cls().merge(cls(losses.size, (losses,)))

    def merge(self, other: QuantileState) -> QuantileState:
        """Both, as one."""
        size = self.size + other.size
        parts = self.parts + other.parts
        if size <= EXACT_ROWS:
            return QuantileState(size, parts)
        counted = self.counted + other.counted
        histogram = self.histogram or other.histogram
        if self.histogram and other.histogram:
            histogram = self.histogram.merge(other.histogram)
        if histogram is None or size - counted > _WAITING:
            parts, counted, histogram = (), size, _with(histogram, parts)
        return QuantileState(size, parts, histogram, counted)

    @property
    def exact(self) -> bool:
        """Whether `quantiles` returns the true values."""
        return self.histogram is None

    def quantiles(self, levels: Sequence[float]) -> list[float]:
        """Quantiles with linear interpolation between order statistics, as `numpy.quantile` has them.

        Examples
        --------
        >>> import numpy as np
        >>> QuantileState.of(np.array([3.0, 1.0, 2.0, 4.0])).quantiles([0.5, 1.0])
        [2.5, 4.0]
        """
        if self.size == 0:
            return [math.nan for _ in levels]
        at = self._order_statistics()
        return [_interpolate(at, (self.size - 1) * level) for level in levels]

    def _order_statistics(self) -> Callable[[int], float]:
        """Return the function that gives the k-th smallest loss, k from 0."""
        if self.histogram is None:
            ascending = np.sort(np.concatenate(self.parts))
            return lambda k: float(ascending[k])
        bins = self.bins()
        cumulative = np.cumsum(bins.counts)
        return lambda k: _bin_centre(int(bins.keys[np.searchsorted(cumulative, k, side="right")]))

    def bins(self) -> Bins:
        """How many losses there are for each value of the top 20 bits."""
        return _with(self.histogram, self.parts)


def _with(histogram: Bins | None, parts: Sequence[NDArray[np.float64]]) -> Bins:
    """Count `parts` too."""
    found = Bins.of(parts)
    return found if histogram is None else histogram.merge(found)


def _write_keys(losses: NDArray[np.float64], keys: NDArray[np.uint32]) -> None:
    """Bin of each loss, ascending with the loss; a NaN of any sign counts as the highest."""
    np.right_shift(losses.view(np.uint64), np.uint64(SHIFT), out=keys, casting="unsafe")
    negative = keys >= ZERO
    keys ^= np.uint32(ZERO)
    # Negative patterns descend as the value ascends: flip them below the positive half.
    np.subtract(np.uint32(ZERO - 1), keys, out=keys, where=negative)
    np.putmask(keys, np.isnan(losses), np.uint32(_NAN))


def _bin_centre(key: int) -> float:
    positive = key >= ZERO
    pattern = (key - ZERO if positive else ZERO - 1 - key) << SHIFT
    size = float(np.uint64(pattern).view(np.float64))
    # The bins of inf and NaN hold nothing else, that of 0 nothing above 1e-310; any other is told by its middle.
    if 0.0 < size < math.inf:
        size = float(np.uint64(pattern + (1 << (SHIFT - 1))).view(np.float64))
    return size if positive else -size


def _interpolate(at: Callable[[int], float], position: float) -> float:
    lower = int(position)
    fraction = position - lower
    low = at(lower)
    if fraction == 0.0:
        return low
    high = at(lower + 1)
    if low == high:
        return low  # also inf and inf, where the difference is NaN
    if math.isinf(high) or math.isinf(low):
        return low + high  # anything between a number and an infinity is that infinity, from whichever end
    # From the nearer end, as numpy.quantile does, so that the digits are the same.
    return low + fraction * (high - low) if fraction < 0.5 else high - (high - low) * (1.0 - fraction)
