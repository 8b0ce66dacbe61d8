"""The distribution of the losses, in few enough bars to look at."""

from __future__ import annotations

import math
import sys
from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Iterator

    from xent_cli.core.block import FloatArray, IntArray
    from xent_cli.core.quantiles import QuantileState

# The counts of `QuantileState` are by the top 20 bits of a float64: the second half are the positive ones.
_SHIFT, _ZERO = 44, 1 << 19
_INFINITE = _ZERO + (0x7FF << 8)
# From here on the axis is logarithmic.
_DECADE = 10.0


class Bar(NamedTuple):
    """How many losses are at least `low` and below `high`, in nats."""

    low: float
    high: float
    samples: int


@dataclass(frozen=True, slots=True)
class Histogram:
    """Counts of losses; it hangs on the losses alone, not on their order or partition.

    Fields
    ------
    bars
        Of the finite losses above 0, side by side, ascending; their edges are round numbers to within 0.4 %.
    logarithmic
        Whether the bars are of equal width on a logarithmic axis: where the losses span more than a decade.
    n_zero, n_inf, n_nan
        Losses of 0 (or below it, as log-probs above 0 give), infinite ones, and NaN.
    """

    bars: tuple[Bar, ...] = ()
    logarithmic: bool = False
    n_zero: int = 0
    n_inf: int = 0
    n_nan: int = 0

    @property
    def size(self) -> int:
        """How many losses there are."""
        return sum(bar.samples for bar in self.bars) + self.n_zero + self.n_inf + self.n_nan


def histogram(losses: QuantileState, most: int) -> Histogram:
    """Put losses into at most `most` bars.

    Examples
    --------
    >>> from xent_cli.core.quantiles import QuantileState
    >>> [tuple(bar) for bar in histogram(QuantileState.of(np.array([1.0, 1.5, 3.5])), 4).bars]
    [(1.0, 2.0, 2), (2.0, 3.0, 0), (3.0, 4.0, 1)]
    """
    if losses.size == 0:
        return Histogram()
    counts = losses.counts()
    special = int(counts[: _ZERO + 1].sum()), int(counts[_INFINITE]), int(counts[_INFINITE + 1 :].sum())
    positive = counts[_ZERO + 1 : _INFINITE]
    seen = np.flatnonzero(positive)
    if seen.size == 0:
        return Histogram((), False, *special)
    first, last = int(seen[0]) + _ZERO + 1, int(seen[-1]) + _ZERO + 1
    low, high = max(_edge(first), sys.float_info.min), min(_edge(last + 1), sys.float_info.max)
    logarithmic = high / low > _DECADE
    keys = _keys(_edges(low, high, most, logarithmic))
    keys[0], keys[-1] = min(keys[0], first), max(keys[-1], last + 1)
    sums = np.add.reduceat(np.append(counts, 0), keys)[:-1]
    bars = (Bar(_edge(int(a)), _edge(int(b)), int(n)) for a, b, n in zip(keys, keys[1:], sums, strict=False))
    return Histogram(tuple(bars), logarithmic, *special)


def _edges(low: float, high: float, most: int, logarithmic: bool) -> FloatArray:
    """At most ``most + 1`` round numbers around the losses."""
    if logarithmic:
        for decades in (1 / 20, 1 / 10, 1 / 5, 1 / 3, 1 / 2, 1, 2, 5, 10, 20, 50, 100, 200, 700):
            first, last = math.floor(math.log10(low) / decades), math.ceil(math.log10(high) / decades)
            if last - first <= most:
                break
        # Beyond either end of float64 there is nothing.
        exponents = np.clip(np.arange(first, last + 1) * decades, -307.0, 308.0)
        return np.asarray(10.0**exponents)
    for step in _round_steps((high - low) / most):
        first, last = math.floor(low / step), math.ceil(high / step)
        if last - first <= most:
            break
    return np.asarray(np.arange(max(first, 0), last + 1) * step)


def _round_steps(least: float) -> Iterator[float]:
    power = 10.0 ** math.floor(math.log10(least))
    for factor in (1, 2, 5, 10, 20, 50):
        yield factor * power


def _keys(edges: FloatArray) -> IntArray:
    """Where each edge stands among the counts, to the nearest; each once."""
    near = (edges.view(np.uint64) + np.uint64(1 << (_SHIFT - 1))) >> np.uint64(_SHIFT)
    keys: IntArray = np.unique(np.clip(near.astype(np.int64) + _ZERO, _ZERO + 1, _INFINITE))
    return keys


def _edge(key: int) -> float:
    return float(np.uint64((key - _ZERO) << _SHIFT).view(np.float64)) if key > _ZERO + 1 else 0.0
