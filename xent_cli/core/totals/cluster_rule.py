"""Which cluster each sample belongs to."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from xent_cli.core.totals.cluster_totals import ClusterTotals
from xent_cli.core.totals.moments import Moments
from xent_cli.errors import RowError

if TYPE_CHECKING:
    from collections.abc import Hashable, Sequence

    from xent_cli.core.array_types import AnyArray, BoolArray, FloatArray, IntArray
    from xent_cli.core.totals.cluster_totals import Kind
    from xent_cli.core.totals.group_totals import Scored


class ClusterRule(NamedTuple):
    """How samples fall into clusters: by a column, or by their numbers.

    By number, the samples of an input form runs, one for each shard. Within a run, every `steps` consecutive samples
    are one cluster; after `counts` clusters the sequence starts again at the first, or never if `counts` is 0.

    Fields
    ------
    name
        The name used in messages: "axis 0", 'column "doc"'.
    column
        Index of the column among the groups of a block, or None.
    starts
        First sample of each run, ascending from 0.
    steps, counts
        Samples per cluster and clusters before the sequence repeats, for each run.
    firsts
        Number of the first cluster of each run.
    together
        Whether the samples of a cluster of the column are known to follow one another.

    Examples
    --------
    >>> ClusterRule("axis 0", steps=(3,)).clusters(1, 5).tolist()  # of an array [2, 3, num_classes]
    [0, 0, 1, 1, 1]
    >>> ClusterRule("axis 1", steps=(1,), counts=(3,)).clusters(1, 5).tolist()
    [1, 2, 0, 1, 2]
    """

    name: str
    column: int | None = None
    starts: tuple[int, ...] = (0,)
    steps: tuple[int, ...] = (1,)
    counts: tuple[int, ...] = (0,)
    firsts: tuple[int, ...] = (0,)
    together: bool = False

    @property
    def contiguous(self) -> bool:
        """Whether the samples of a cluster follow one another."""
        return self.together or (self.column is None and not any(self.counts))

    def clusters(self, start: int, size: int, groups: AnyArray | None = None) -> AnyArray:
        """Return the cluster of each of `size` samples from `start` on: numbers, or texts from `groups` [n, m]."""
        if self.column is not None:
            assert groups is not None
            return groups[:, self.column]
        found: IntArray
        samples = np.arange(start, start + size)
        if len(self.starts) == 1:
            found = samples // self.steps[0]
            return found % self.counts[0] if self.counts[0] else found
        run = np.searchsorted(np.array(self.starts), samples, "right") - 1
        steps, counts, firsts = (np.array(sides)[run] for sides in (self.steps, self.counts, self.firsts))
        found = (samples - np.array(self.starts)[run]) // steps
        found = firsts + np.where(counts > 0, found % np.maximum(counts, 1), found)
        return found


class ClusteredBlock(NamedTuple):
    """The clusters of the samples of a block that have a loss.

    Fields
    ------
    start, size
        First sample and number of samples of the block, including those without a loss.
    clusters
        [n] numbers or texts.
    """

    rule: ClusterRule
    start: int
    size: int
    clusters: AnyArray

    @classmethod
    def of(
        cls, rule: ClusterRule, start: int, clusters: AnyArray, scored: BoolArray | None, what: str = "cluster"
    ) -> ClusteredBlock:
        """Leave out the samples that are not scored.

        Parameters
        ----------
        clusters
            [m] the cluster of every sample of the block.
        scored
            [m] True for samples with a loss, or None if all have one.
        what
            What clusters are called in errors.

        Raises
        ------
        RowError
            If a column has no value for a sample that counts.
        """
        kept = clusters if scored is None else clusters[scored]
        if rule.column is not None:
            missing: BoolArray = kept == np.array(None)
            if missing.any():
                row = int(np.argmax(missing))
                row = row if scored is None else int(np.flatnonzero(scored)[row])
                expected = f"the {what} of each sample that counts, in {rule.name}"
                raise RowError(f"missing {what}", start + row, "groups", "nothing", expected, code="missing-cluster")
        return cls(rule, start, len(clusters), kept)

    def totals(
        self,
        samples: Scored,
        groups: Sequence[tuple[IntArray, Sequence[Hashable]]] = (),
        *,
        kind: Kind = Moments,
        divisor: FloatArray | None = None,
        shared: bool = False,
    ) -> ClusterTotals:
        """Total losses over clusters, for all samples or by group; NaN and infinite losses count as 0.

        Parameters
        ----------
        kind, shared
            As in `ClusterTotals`.
        divisor
            [n] used instead of the divisor of the mean.
        """
        value = samples.loss if samples.product is None else samples.product
        finite = np.isfinite(value)
        value = value if finite.all() else np.where(finite, value, 0.0)
        rule = self.rule
        return ClusterTotals.of(
            self.start,
            self.size,
            self.clusters,
            value,
            samples.divisor if divisor is None else divisor,
            name=rule.name,
            contiguous=rule.contiguous,
            groups=groups,
            kind=kind,
            shared=shared,
        )


class DocumentUnits(NamedTuple):
    """The document of each sample of a block that has a loss, and [n] the number of units of that document."""

    members: ClusteredBlock
    units: FloatArray
