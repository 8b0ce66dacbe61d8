"""The distribution of the losses, in few enough bars to show in a picture."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from xent_cli.core.totals.quantiles import SHIFT, ZERO

if TYPE_CHECKING:
    from collections.abc import Iterator

    from xent_cli.core.array_types import FloatArray, IntArray
    from xent_cli.core.totals.quantiles import QuantileState

# Losses beyond these limits are counted but not drawn: the coordinates of the picture would overflow.
TINY, HUGE = 2.0**-300, 2.0**300
# Most bars of a histogram in a picture.
BARS = 40
# If the losses span more than this factor, the axis is logarithmic.
_DECADE = 10.0


class Bar(NamedTuple):
    """Number of losses that are at least `low` and below `high`, in nats."""

    low: float
    high: float
    samples: int


@dataclass(frozen=True, slots=True)
class Histogram:
    """Counts of losses, which depend on the losses alone and not on their order or partition.

    Fields
    ------
    bars
        Adjacent bars of the losses that are drawn, ascending; their edges are round numbers to within 0.4 %.
    logarithmic
        Whether the bars have equal width on a logarithmic axis.
    n_tiny, n_huge, n_nan
        Losses below 2**-300 (5e-91), which are mostly 0; losses from 2**300 (2e90) on, mostly infinite; and NaN.
    """

    bars: tuple[Bar, ...] = ()
    logarithmic: bool = False
    n_tiny: int = 0
    n_huge: int = 0
    n_nan: int = 0

    @property
    def size(self) -> int:
        """Number of losses."""
        return sum(bar.samples for bar in self.bars) + self.n_tiny + self.n_huge + self.n_nan


def edge_texts(histogram: Histogram) -> list[str]:
    """Write the edges of the bars with as few digits as tell them apart, but at least two.

    Examples
    --------
    >>> edge_texts(Histogram((Bar(0.00998, 0.1001, 3), Bar(0.1001, 1.0, 9))))
    ['0.01', '0.1', '1']
    """
    edges = [*(bar.low for bar in histogram.bars[:1]), *(bar.high for bar in histogram.bars)]
    texts: list[str] = []
    for digits in range(2, 18):
        texts = [f"{edge:.{digits}g}" for edge in edges]
        if len(set(texts)) == len(edges):
            break
    return texts


def histogram(losses: QuantileState, most: int) -> Histogram:
    """Put losses into at most `most` bars.

    Examples
    --------
    >>> from xent_cli.core.totals.quantiles import QuantileState
    >>> [tuple(bar) for bar in histogram(QuantileState.of(np.array([1.0, 1.5, 3.5])), 4).bars]
    [(1.0, 2.0, 2), (2.0, 3.0, 0), (3.0, 4.0, 1)]
    """
    if losses.size == 0:
        return Histogram()
    bins = losses.bins()
    below = np.append(0, np.cumsum(bins.counts))

    def between(keys: IntArray) -> IntArray:
        """Count the losses with a key from each of `keys` on and below the next."""
        return np.diff(below[np.searchsorted(bins.keys, keys)])

    tiny, huge, infinite = (_key(edge) for edge in (TINY, HUGE, math.inf))
    n_tiny, n_drawn, n_huge, n_nan = between(np.array([0, tiny, huge, infinite + 1, 2 * ZERO])).tolist()
    if n_drawn == 0:
        return Histogram((), False, n_tiny, n_huge, n_nan)
    drawn = bins.keys[np.searchsorted(bins.keys, tiny) : np.searchsorted(bins.keys, huge)]
    first, last = int(drawn[0]), int(drawn[-1])
    # An edge that is closer to a round number than the counts can resolve is placed on that number.
    low, high = _edge(first) * 1.004, _edge(last + 1) / 1.004
    logarithmic = high > _DECADE * low
    keys = _keys(_edges(low, high, most, logarithmic))
    keys = np.array([min(keys[0], first), *keys[1:-1], max(keys[-1], last + 1)])
    edges = [_edge(int(key)) for key in keys]
    if edges[0] == TINY and not logarithmic:
        edges[0] = 0.0  # it is shown as the round number
    bars = tuple(Bar(low, high, int(n)) for low, high, n in zip(edges, edges[1:], between(keys), strict=False))
    return Histogram(bars, logarithmic, n_tiny, n_huge, n_nan)


def _edges(low: float, high: float, most: int, logarithmic: bool) -> FloatArray:
    """Choose at most ``most + 1`` round numbers around the losses."""
    if logarithmic:
        for decades in (1 / 20, 1 / 10, 1 / 5, 1 / 3, 1 / 2, 1, 2, 5, 10, 20, 50, 100):
            first, last = math.floor(math.log10(low) / decades), math.ceil(math.log10(high) / decades)
            if last - first <= most:
                break
        return np.asarray(10.0 ** (np.arange(first, last + 1) * decades))
    for step in _round_steps(max(high - low, low / 256) / most):
        first = math.floor(low / step)
        last = max(math.ceil(high / step), first + 1)
        if last - first <= most:
            break
    return np.asarray(np.arange(first, last + 1) * step)


def _round_steps(least: float) -> Iterator[float]:
    power = 10.0 ** math.floor(math.log10(least))
    for factor in (1, 2, 5, 10, 20, 50):
        yield factor * power


def _keys(edges: FloatArray) -> IntArray:
    """Return the nearest key for each edge, without duplicates."""
    near = (edges.view(np.uint64) + np.uint64(1 << (SHIFT - 1))) >> np.uint64(SHIFT)
    keys: IntArray = np.unique(np.clip(near.astype(np.int64) + ZERO, _key(TINY), _key(HUGE)))
    return keys


def _edge(key: int) -> float:
    return float(np.uint64((key - ZERO) << SHIFT).view(np.float64))


def _key(edge: float) -> int:
    return int(np.float64(edge).view(np.uint64) >> np.uint64(SHIFT)) + ZERO
