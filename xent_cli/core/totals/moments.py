"""Exact sums over clusters of samples, and the standard error of a mean that follows from them."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from xent_cli.core.totals.exact_sum import ExactSum, square_root, standard_error
from xent_cli.core.totals.group_sums import sums_by_group

if TYPE_CHECKING:
    from xent_cli.core.array_types import FloatArray, IntArray

# Every float64 is a multiple of 2**-1074, and every product of two is a multiple of 2**-2148, the unit of `ExactSum`.
ONE = 1 << 1074
# As in group_sums.py: sigma would overflow beyond this.
_HUGE = 2.0**960
# Sums of losses nearly always split into three parts. Losses of very different magnitudes need more, and each pair of
# parts costs a product: beyond this many parts, whole numbers are faster.
_MOST_PARTS = 6
_MOST_RUNS = 1 << 15


@dataclass(frozen=True, slots=True)
class Moments:
    """Exact sums over clusters of a value v_c and a divisor d_c, whose ratio ``sum(v) / sum(d)`` is a mean.

    Usually v_c is the sum of the losses in a cluster and d_c their number. `Moments()` is the identity of ``+``, which
    is associative and commutative: any partition of the clusters gives the same bits.

    Fields
    ------
    clusters
        Number of clusters.
    value, divisor
        sum(v_c) and sum(d_c), in units of 2**-1074.
    squares, cross, divisor_squares
        sum(v_c**2), sum(v_c d_c) and sum(d_c**2), in units of 2**-2148.
    """

    clusters: int = 0
    value: int = 0
    divisor: int = 0
    squares: int = 0
    cross: int = 0
    divisor_squares: int = 0

    @classmethod
    def of_cluster(cls, value: int, divisor: int) -> Moments:
        """Return the sums of one cluster, from its value and its divisor in units of 2**-1074."""
        return cls(1, value, divisor, value * value, value * divisor, divisor * divisor)

    @classmethod
    def of_rows(cls, value: FloatArray, divisor: FloatArray) -> Moments:
        """Return the sums for samples that are clusters of their own: finite values [n] and divisors [n].

        Examples
        --------
        >>> import numpy as np
        >>> round(Moments.of_rows(np.array([0.0, 3.0, 6.0]), np.ones(3)).standard_error(), 9)  # sqrt(18 / (3 * 2))
        1.732050808
        """
        return cls(
            value.size,
            ExactSum.of(value).units >> 1074,
            ExactSum.of(divisor).units >> 1074,
            ExactSum.of_squares(value).units,
            ExactSum.of_products(value, divisor).units,
            ExactSum.of_squares(divisor).units,
        )

    @classmethod
    def of_runs(cls, value: FloatArray, divisor: FloatArray | None, starts: IntArray) -> Moments:
        """Return the sums for runs of consecutive samples, each run a cluster.

        Parameters
        ----------
        value, divisor
            [n] finite; a divisor of None stands for ones.
        starts
            First sample of each run, ascending from 0.

        Examples
        --------
        >>> import numpy as np
        >>> two = Moments.of_runs(np.array([1.0, 3.0, 8.0]), None, np.array([0, 2]))
        >>> two.clusters, two.value // ONE, two.squares // ONE**2, two.cross // ONE**2
        (2, 12, 80, 16)
        """
        if starts.size > _MOST_RUNS:  # in pieces, so that intermediate arrays stay in the cache
            ends = [*starts[_MOST_RUNS::_MOST_RUNS].tolist(), value.size]
            pieces = zip([0, *ends], ends, range(0, starts.size, _MOST_RUNS), strict=False)
            found = cls()
            for begin, end, first in pieces:
                some = None if divisor is None else divisor[begin:end]
                found += cls.of_runs(value[begin:end], some, starts[first : first + _MOST_RUNS] - begin)
            return found
        sizes = np.diff(starts, append=value.size)
        parts, weights = _parts(value, starts), [sizes.astype(np.float64)]
        if divisor is not None:
            weights = _parts(divisor, starts)
        if not 0 < len(parts) <= _MOST_PARTS or not 0 < len(weights) <= _MOST_PARTS:
            at = np.repeat(np.arange(starts.size), sizes)
            sums = sums_by_group(at, value, starts.size) >> 1074
            counts = sizes.astype(np.object_) * ONE
            if divisor is not None:
                counts = sums_by_group(at, divisor, starts.size) >> 1074
            return sum(map(cls.of_cluster, sums, counts), cls())
        return cls(
            starts.size,
            sum(ExactSum.of(part).units for part in parts) >> 1074,
            sum(ExactSum.of(part).units for part in weights) >> 1074,
            _dot(parts, parts),
            _dot(parts, weights),
            _dot(weights, weights),
        )

    def __add__(self, other: Moments) -> Moments:
        return Moments(
            self.clusters + other.clusters,
            self.value + other.value,
            self.divisor + other.divisor,
            self.squares + other.squares,
            self.cross + other.cross,
            self.divisor_squares + other.divisor_squares,
        )

    def standard_error(self) -> float:
        """Return the standard error of the mean m = sum(v) / sum(d); NaN for fewer than two clusters.

        ``sqrt(G / (G - 1) * sum((v_c - m d_c)**2)) / sum(d)`` for G clusters. If every sample is a cluster, this is
        Student's standard error; with weights it is the sandwich estimate, not the model-based error of weighted
        least squares. The sum is exact, and its root is rounded once.

        References
        ----------
        Liang & Zeger, Biometrika 73, 1986; Cameron & Miller, J. Human Resources 50, 2015 (CR1 without regressors);
        Miller, "Adding error bars to evals", arXiv 2411.00640, 2024.

        Examples
        --------
        >>> two = Moments.of_cluster(1 * ONE, 1 * ONE) + Moments.of_cluster(3 * ONE, 1 * ONE)
        >>> two.standard_error()  # the mean is 2, and both clusters are 1 away: sqrt(2 / 1 * (1 + 1)) / 2
        1.0
        """
        total, size, count = self.value, self.divisor, self.clusters
        if count < 2 or size == 0:
            return math.nan
        # sum((v - m d)**2) times sum(d)**2, in which the cancellation is exact.
        distance = size * (size * self.squares - 2 * total * self.cross) + total * total * self.divisor_squares
        # The same steps as for Student's standard error, so that clusters of one sample give the same bits.
        return standard_error(square_root(count * distance, size**4), count)


def _parts(values: FloatArray, starts: IntArray) -> list[FloatArray]:
    """Split the exact sums of runs into float64 parts that add up to them; [] if there are too many.

    Leading bits are split off all values and added without rounding, as in `group_sums`.
    """
    x = values.copy()
    top = float(np.abs(x).max(initial=0.0))
    if top >= _HUGE:
        return []
    longest = int(np.diff(starts, append=values.size).max())
    headroom = longest.bit_length() + 1
    parts: list[FloatArray] = []
    while top and len(parts) <= _MOST_PARTS:
        sigma = math.ldexp(1.5, math.frexp(top)[1] + headroom)
        leading = (x + sigma) - sigma
        parts.append(np.add.reduceat(leading, starts))
        x -= leading
        top = float(np.abs(x).max())
    return parts or [np.zeros(starts.size)]


def _dot(a: list[FloatArray], b: list[FloatArray]) -> int:
    """Return the exact sum of products of values that are given as parts, in units of 2**-2148."""
    if a is b:
        squares = sum(ExactSum.of_squares(x).units for x in a)
        return squares + 2 * sum(ExactSum.of_products(x, y).units for i, x in enumerate(a) for y in a[:i])
    return sum(ExactSum.of_products(x, y).units for x in a for y in b)
