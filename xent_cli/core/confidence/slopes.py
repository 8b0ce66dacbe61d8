"""How the mean loss changes with the inverse temperature: slopes and curvatures of rows, and their exact totals."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from xent_cli.core.kernel.tiles import pairwise_sum, rows_per_tile, tile_of
from xent_cli.core.totals.exact_sum import ExactSum
from xent_cli.core.totals.group_sums import sums_by_group

if TYPE_CHECKING:
    from typing import Any

    from numpy.typing import NDArray

    from xent_cli.core.array_types import AnyArray, FloatArray, IntArray
    from xent_cli.core.totals.cluster_totals import ClusterTotals
    from xent_cli.core.totals.moments import Moments


class Slopes(NamedTuple):
    """First and second derivatives of the losses of n rows at m inverse temperatures.

    Fields
    ------
    first, second
        [m, n] nats per unit of the inverse temperature, and per unit squared.
    below
        [n] whether the label is below the highest logit of its row.
    """

    first: FloatArray
    second: FloatArray
    below: NDArray[np.bool_]


def slopes(rows: AnyArray, labels: IntArray, betas: tuple[float, ...]) -> Slopes:
    """Differentiate the loss of each row with respect to the inverse temperature b.

    With p the softmax of b z, the loss is ``l(b) = log(sum_j exp(b z_j)) - b z_y``, its slope is ``l'(b) = sum_j p_j
    (z_j - z_y)``, with 0 times -inf = 0, and its curvature ``l''(b)`` the variance of z under p, so l is convex.

    Parameters
    ----------
    rows
        [n, k] logits; the highest of a row and that of the label are finite.
    labels
        [n] int64, each in [0, k).
    betas
        m values of b >= 0; at 0, all classes whose logit is not -inf are equally likely.

    Examples
    --------
    >>> found = slopes(np.array([[1.0, 0.0]]), np.array([0]), (0.0,))
    >>> found.first.tolist(), found.second.tolist(), found.below.tolist()
    ([[-0.5]], [[0.25]], [False])
    """
    n, k = rows.shape
    first, second = np.empty((len(betas), n)), np.empty((len(betas), n))
    below = np.empty(n, np.bool_)
    step = rows_per_tile(k)
    for start in range(0, n, step):
        part = slice(start, start + step)
        with np.errstate(over="ignore", invalid="ignore"):
            z = tile_of(rows[part], np.float64)
            z -= z.max(axis=1, keepdims=True)
            own = z[np.arange(len(z)), labels[part]]
            below[part] = own < 0
            impossible = np.isneginf(z)
            any_impossible = bool(impossible.any())
            if any_impossible:
                z[impossible] = 0.0
            for i, beta in enumerate(betas):
                terms = np.exp(beta * z)
                if any_impossible:
                    terms[impossible] = 0.0
                whole = pairwise_sum(terms)
                terms *= z
                mean = pairwise_sum(terms) / whole
                terms *= z
                first[i, part] = mean - own
                second[i, part] = np.maximum(pairwise_sum(terms) / whole - mean * mean, 0.0)
    return Slopes(first, second, below)


@dataclass(frozen=True, slots=True, eq=False)
class SlopeTotals:
    """Exact sums of slopes and curvatures for each of m inverse temperatures, by fold.

    `merge` is associative and commutative: any partition of the samples gives the same bits.

    Fields
    ------
    betas
        [m] inverse temperatures.
    first, second
        [m, K] sums for K folds, each derivative times the weight of its sample, in the units of `ExactSum`.
    divisor
        [K] sums of the weights, or numbers of samples, in the same units.
    counts
        [K] numbers of samples.
    below
        [K] numbers of samples whose label is below the highest logit of its row.
    moments, clusters
        Sums of the slopes at the first inverse temperature, for their standard error over samples and over clusters;
        or None.
    """

    betas: tuple[float, ...]
    first: NDArray[np.object_]
    second: NDArray[np.object_]
    divisor: NDArray[np.object_]
    counts: IntArray
    below: IntArray
    moments: Moments | None = None
    clusters: ClusterTotals | None = None

    @classmethod
    def of(
        cls, betas: tuple[float, ...], found: Slopes, fold: IntArray, folds: int, weight: FloatArray | None
    ) -> SlopeTotals:
        """Total rows; `fold` [n] is the fold of each, `weight` [n] its weight, or None."""

        def total(values: FloatArray) -> NDArray[np.object_]:
            return sums_by_group(fold, values if weight is None else values * weight, folds)

        counts = np.bincount(fold, minlength=folds).astype(np.int64)
        divisor = counts.astype(np.object_) * ExactSum.of_count(1).units
        if weight is not None:
            divisor = sums_by_group(fold, weight, folds)
        return cls(
            betas,
            _stacked([total(row) for row in found.first]),
            _stacked([total(row) for row in found.second]),
            divisor,
            counts,
            np.bincount(fold[found.below], minlength=folds).astype(np.int64),
        )

    def merge(self, other: SlopeTotals) -> SlopeTotals:
        """Return the sums of both, at the same inverse temperatures."""
        moments, clusters = self.moments, self.clusters
        if other.moments is not None:
            moments = other.moments if moments is None else moments + other.moments
        if other.clusters is not None:
            clusters = other.clusters if clusters is None else clusters.merge(other.clusters)
        return replace(
            self,
            first=self.first + other.first,
            second=self.second + other.second,
            divisor=self.divisor + other.divisor,
            counts=self.counts + other.counts,
            below=self.below + other.below,
            moments=moments,
            clusters=clusters,
        )

    def means(self, left_out: int | None = None) -> list[tuple[float, float, float]]:
        """Return b with the slope and curvature of the mean loss at each b, leaving out the samples of a fold."""

        def kept(units: NDArray[np.object_]) -> Any:
            whole = units.sum(axis=-1)
            return whole if left_out is None else whole - units[..., left_out]

        divisor = ExactSum(kept(self.divisor))
        rows = zip(self.betas, kept(self.first), kept(self.second), strict=True)
        return [(beta, ExactSum(a) / divisor, ExactSum(b) / divisor) for beta, a, b in rows]


def _stacked(rows: list[NDArray[np.object_]]) -> NDArray[np.object_]:
    return np.array(rows, np.object_).reshape(len(rows), -1)
