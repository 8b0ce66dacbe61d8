"""Quantiles of losses that merge: exact up to four million rows, a fine histogram of them beyond."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from numpy.typing import NDArray

EXACT_ROWS = 4_000_000
# The top 20 bits of a float64 are its sign, exponent and 8 bits of fraction: bins 1/256 wide, centres 0.2 % off.
_SHIFT = 44
_BINS = 1 << 20
# So many losses wait to be counted together: to count each block would cost more than the losses of its 8 MB.
_WAITING = 1 << 20
# So many are counted at once.
_COUNTED = 1 << 18


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
        How many losses fall into each bin, and how many that are; None and 0 while all are kept.
    """

    size: int = 0
    parts: tuple[NDArray[np.float64], ...] = ()
    histogram: NDArray[np.int64] | None = None
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
        held = [state.histogram for state in (self, other) if state.histogram is not None]
        histogram = held[0] + held[1] if len(held) == 2 else held[0] if held else np.zeros(_BINS, np.int64)
        counted = self.counted + other.counted
        if not held or size - counted > _WAITING:
            return QuantileState(size, (), histogram + _count(parts), size)
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
        cumulative = np.cumsum(self.counts())
        return lambda k: _bin_centre(int(np.searchsorted(cumulative, k, side="right")))

    def counts(self) -> NDArray[np.int64]:
        """How many losses there are for each value of the top 20 bits, [2**20] ascending with the loss."""
        counted = _count(self.parts)
        return counted if self.histogram is None else counted + self.histogram


def _count(parts: Sequence[NDArray[np.float64]]) -> NDArray[np.int64]:
    """How many of the losses fall into each bin."""
    counts = np.zeros(_BINS, np.int64)
    for losses in _batches(parts):
        counts += np.bincount(_order_key(losses), minlength=_BINS)
    return counts


def _batches(parts: Sequence[NDArray[np.float64]]) -> Iterator[NDArray[np.float64]]:
    """Join parts as long as they are few: for all four million losses at once, their keys would take 140 MB."""
    held: list[NDArray[np.float64]] = []
    size = 0
    for part in parts:
        for first in range(0, part.size, _COUNTED):
            piece = part[first : first + _COUNTED]
            if size + piece.size > _COUNTED:
                yield np.concatenate(held)
                held, size = [], 0
            held.append(piece)
            size += piece.size
    if held:
        yield np.concatenate(held)


def _order_key(losses: NDArray[np.float64]) -> NDArray[np.intp]:
    """Bin of each loss, ascending with the loss; a NaN of any sign counts as the highest."""
    bits = np.where(np.isnan(losses), np.float64(np.nan), losses).view(np.uint64)
    negative = bits >> np.uint64(63) == 1
    # Negative patterns descend as the value ascends: flip them below the positive half.
    key = np.where(negative, ~bits, bits | np.uint64(1 << 63)) >> np.uint64(_SHIFT)
    return key.astype(np.intp)


def _bin_centre(key: int) -> float:
    positive = key >= _BINS // 2
    pattern = (key - _BINS // 2 if positive else _BINS // 2 - 1 - key) << _SHIFT
    size = float(np.uint64(pattern).view(np.float64))
    # The bins of inf and NaN hold nothing else, that of 0 nothing above 1e-310; any other is told by its middle.
    if 0.0 < size < math.inf:
        size = float(np.uint64(pattern + (1 << (_SHIFT - 1))).view(np.float64))
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
