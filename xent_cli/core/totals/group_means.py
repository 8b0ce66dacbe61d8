"""Exact sums, over groups of samples, of their mean losses and of their perplexities."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from xent_cli.core.totals.exact_sum import ExactSum
from xent_cli.core.totals.group_sums import sums_by_group

if TYPE_CHECKING:
    from xent_cli.core.array_types import FloatArray, IntArray

_ONE = 1 << 1074
# Number of groups summed at a time: the exact sum of a group takes 200 bytes.
_CHUNK = 1 << 14


@dataclass(frozen=True, slots=True)
class GroupMeans:
    """Sums over groups of m_g = sum(v) / sum(d), the mean of a group, and of exp(m_g), each rounded once.

    `GroupMeans()` is the identity of ``+``, which is associative and commutative: any partition of the groups gives
    the same bits. A group whose divisors are all 0 has no mean, and is left out.

    Fields
    ------
    groups
        Number of groups.
    means, perplexities
        Exact sums over groups; the second leaves out infinite perplexities.
    n_infinite
        How many perplexities are infinite.
    """

    groups: int = 0
    means: ExactSum = ExactSum()
    perplexities: ExactSum = ExactSum()
    n_infinite: int = 0

    @classmethod
    def of_cluster(cls, value: int, divisor: int) -> GroupMeans:
        """Return the sums of one group, from its value and its divisor in units of 2**-1074."""
        return cls.of_means([value / divisor]) if divisor else cls()

    @classmethod
    def of_runs(cls, value: FloatArray, divisor: FloatArray | None, starts: IntArray) -> GroupMeans:
        """Return the sums for runs of consecutive samples, each run a group; arguments are as for `Moments.of_runs`.

        Examples
        --------
        >>> import numpy as np
        >>> found = GroupMeans.of_runs(np.array([1.0, 3.0, 8.0]), None, np.array([0, 2]))
        >>> found.groups, found.macro_loss()  # means 2 and 8
        (2, 5.0)
        """
        stops = np.append(starts[1:], value.size)
        found = cls()
        for first in range(0, starts.size, _CHUNK):
            begins, ends = starts[first : first + _CHUNK], stops[first : first + _CHUNK]
            part = slice(int(begins[0]), int(ends[-1]))
            weights = None if divisor is None else divisor[part]
            found += cls.of_means(_means(value[part], weights, ends - begins))
        return found

    @classmethod
    def of_means(cls, means: list[float]) -> GroupMeans:
        """Return the sums for groups with these means, all finite."""
        powers = np.array([_power(mean) for mean in means])
        finite = np.isfinite(powers)
        infinite = int(powers.size - np.count_nonzero(finite))
        return cls(len(means), ExactSum.of(np.array(means)), ExactSum.of(powers[finite]), infinite)

    def __add__(self, other: GroupMeans) -> GroupMeans:
        return GroupMeans(
            self.groups + other.groups,
            self.means + other.means,
            self.perplexities + other.perplexities,
            self.n_infinite + other.n_infinite,
        )

    def macro_loss(self) -> float:
        """Return the mean of the groups' means; NaN without groups."""
        return self.means / self.groups

    def macro_perplexity(self) -> float:
        """Return the mean of the groups' perplexities; NaN without groups."""
        return math.inf if self.n_infinite else self.perplexities / self.groups


def _means(value: FloatArray, divisor: FloatArray | None, sizes: IntArray) -> list[float]:
    """Return the means of runs of samples, each rounded once, without those whose divisors are all 0."""
    at = np.repeat(np.arange(sizes.size), sizes)
    sums = (sums_by_group(at, value, sizes.size) >> 1074).tolist()
    if divisor is None:
        return [total / (size * _ONE) for total, size in zip(sums, sizes.tolist(), strict=True)]
    divisors = (sums_by_group(at, divisor, sizes.size) >> 1074).tolist()
    return [total / weight for total, weight in zip(sums, divisors, strict=True) if weight]


def _power(mean: float) -> float:
    try:
        return math.exp(mean)
    except OverflowError:
        return math.inf
