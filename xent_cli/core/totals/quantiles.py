"""Quantiles of losses, as a state that merges: exact up to four million rows, from a fine histogram beyond."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from numpy.typing import NDArray

EXACT_ROWS = 4_000_000
# The top 20 bits of a float64 are its sign, exponent and 8 bits of fraction: bins 1/256 wide, centres 0.2 % off.
SHIFT = 44
# The bin of 0, which is the first bin of values that are not negative.
ZERO = 1 << 19
_NAN = ZERO + 0x7FF80
# This many losses are kept before they are counted: a block of long rows has few, and every merge visits all bins.
_MOST_WAITING = 1 << 16


class Bins(NamedTuple):
    """Counts of losses by the top 20 bits of their pattern; bins without losses are left out.

    Fields
    ------
    keys
        [m] the top 20 bits as numbers that ascend with the losses.
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
        keys.sort()  # in place: a copy of four million keys would set the peak memory of a run
        begins = np.append(0, np.flatnonzero(keys[1:] != keys[:-1]) + 1)[: keys.size]
        return cls(keys[begins], np.diff(begins, append=keys.size))

    def merge(self, other: Bins) -> Bins:
        """Return the counts of both."""
        keys, place = np.unique(np.concatenate([self.keys, other.keys]), return_inverse=True)
        counts = np.zeros(keys.size, np.int64)
        np.add.at(counts, place, np.concatenate([self.counts, other.counts]))
        return Bins(keys, counts)


class QuantileState(NamedTuple):
    """The losses themselves while they are few, then counts by the top bits of their pattern.

    The number of rows alone decides between the two, so every partition ends in the same quantiles. NaN ranks above
    +inf.

    Fields
    ------
    size
        Number of losses.
    parts
        The losses that are not in the histogram yet.
    histogram, counted
        Bins of the other losses, and their number; None and 0 while all losses are kept.
    exact_rows
        Number of losses up to which quantiles are exact.
    most_waiting
        Beyond that, how many losses may be kept before they are counted.
    """

    size: int = 0
    parts: tuple[NDArray[np.float64], ...] = ()
    histogram: Bins | None = None
    counted: int = 0
    exact_rows: int = EXACT_ROWS
    most_waiting: int = _MOST_WAITING

    @classmethod
    def of(
        cls, losses: NDArray[np.float64], *, exact_rows: int = EXACT_ROWS, most_waiting: int = _MOST_WAITING
    ) -> QuantileState:
        """Return the state of `losses` [n]."""
        nothing = cls(exact_rows=exact_rows, most_waiting=most_waiting)
        return nothing.merge(cls(losses.size, (losses,)))

    def merge(self, other: QuantileState) -> QuantileState:
        """Return the state of the losses of both."""
        size = self.size + other.size
        parts = self.parts + other.parts
        exact_rows = min(self.exact_rows, other.exact_rows)
        most_waiting = min(self.most_waiting, other.most_waiting)
        if size <= exact_rows:
            return QuantileState(size, parts, exact_rows=exact_rows, most_waiting=most_waiting)
        counted = self.counted + other.counted
        histogram = self.histogram or other.histogram
        if self.histogram and other.histogram:
            histogram = self.histogram.merge(other.histogram)
        if histogram is None or size - counted > most_waiting:
            parts, counted, histogram = (), size, _with(histogram, parts)
        return QuantileState(size, parts, histogram, counted, exact_rows, most_waiting)

    @property
    def exact(self) -> bool:
        """Whether `quantiles` returns exact values."""
        return self.histogram is None

    def quantiles(self, levels: Sequence[float]) -> list[float]:
        """Quantiles with linear interpolation between order statistics, as in `numpy.quantile`.

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
        """Return a function from k to the k-th smallest loss, k from 0."""
        if self.histogram is None:
            ascending = np.sort(np.concatenate(self.parts))
            return lambda k: float(ascending[k])
        bins = self.bins()
        cumulative = np.cumsum(bins.counts)
        return lambda k: _bin_centre(int(bins.keys[np.searchsorted(cumulative, k, side="right")]))

    def bins(self) -> Bins:
        """Count all losses by the top 20 bits of their pattern."""
        return _with(self.histogram, self.parts)


def exponents(bins: Bins) -> tuple[NDArray[np.float64], NDArray[np.int64]]:
    """Return the middle of each bin, with the sign of its values (also -0.0), and its count."""
    middles = np.array([_bin_centre(key) for key in bins.keys.tolist()], np.float64)
    return middles, bins.counts


def _with(histogram: Bins | None, parts: Sequence[NDArray[np.float64]]) -> Bins:
    """Add `parts` to the counts."""
    found = Bins.of(parts)
    return found if histogram is None else histogram.merge(found)


def _write_keys(losses: NDArray[np.float64], keys: NDArray[np.uint32]) -> None:
    """Write the key of each loss; keys ascend with the losses, and NaN of either sign has the highest."""
    np.right_shift(losses.view(np.uint64), np.uint64(SHIFT), out=keys, casting="unsafe")
    negative = keys >= ZERO
    keys ^= np.uint32(ZERO)
    # Patterns of negative numbers descend as their values ascend: reverse them, below the positive half.
    np.subtract(np.uint32(ZERO - 1), keys, out=keys, where=negative)
    np.putmask(keys, np.isnan(losses), np.uint32(_NAN))


def _bin_centre(key: int) -> float:
    positive = key >= ZERO
    pattern = (key - ZERO if positive else ZERO - 1 - key) << SHIFT
    size = float(np.uint64(pattern).view(np.float64))
    # The bins of inf and NaN hold nothing else, and that of 0 holds nothing above 1e-310; other bins are represented by
    # their middle.
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
        return low  # two infinities too, whose difference is NaN
    if math.isinf(high) or math.isinf(low):
        return low + high  # anything between a number and an infinity is that infinity, at either end
    # From the nearer end, as in numpy.quantile, so that the digits are the same.
    return low + fraction * (high - low) if fraction < 0.5 else high - (high - low) * (1.0 - fraction)
