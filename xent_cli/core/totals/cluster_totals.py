"""Mergeable sums over clusters of samples; only clusters that may still grow are kept in memory."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from itertools import pairwise
from operator import attrgetter
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from xent_cli.core.totals.group_sums import sums_by_group
from xent_cli.core.totals.moments import ONE, Moments
from xent_cli.errors import InputError

if TYPE_CHECKING:
    from collections.abc import Hashable, Iterable, Iterator, Mapping, Sequence

    from numpy.typing import NDArray

    from xent_cli.core.array_types import AnyArray, FloatArray, IntArray
    from xent_cli.core.totals.group_means import GroupMeans

    Kind = type[Moments] | type[GroupMeans]
    # For each group of samples, the sum of divisors and the sum of values, in units of 2**-1074.
    Piece = Mapping[Hashable, tuple[int, int]]

EVERY = None  # the group of all samples
# The same limit as for the values of `--by`: each open cluster takes memory, in every block and in merged totals.
MOST_OPEN = 10_000


class Span(NamedTuple):
    """Consecutive samples whose sums are known.

    Fields
    ------
    start, stop
        Range of the samples.
    first, last
        The clusters at either end; None if no sample counts.
    by_text, by_length
        Whether the clusters ascend as text, and by length and then text, as 9 comes before 10.
    """

    start: int
    stop: int
    first: Any = None
    last: Any = None
    by_text: bool = True
    by_length: bool = True

    def joined(self, after: Span) -> Span:
        """Join this span with the one that begins where it ends."""
        if self.last is None or after.first is None:
            own = self if after.first is None else after
            return own._replace(start=self.start, stop=after.stop)
        same = self.last == after.first
        return Span(
            self.start,
            after.stop,
            self.first,
            after.last,
            self.by_text and after.by_text and (same or _text(self.last) < _text(after.first)),
            self.by_length and after.by_length and (same or _length(self.last) < _length(after.first)),
        )


@dataclass(frozen=True, slots=True, eq=False)
class ClusterTotals:
    """Sums over clusters, for all samples or for each of some groups of them; see `Moments` and `GroupMeans`.

    `ClusterTotals()` is the identity of `merge`, which is associative and commutative: any partition of the samples
    gives the same bits. A cluster whose samples follow one another is closed once the samples after it are known, and
    then takes no memory; this is the case along an axis and for a sorted column. In any other order, all clusters stay
    open, and their number is limited.

    Fields
    ------
    name
        What defines the clusters, for errors: `column "doc"`.
    contiguous
        Whether the samples of each cluster are known to follow one another.
    most_open
        How many clusters may be open before those of a sorted column are closed.
    kind
        What is summed over clusters: `Moments` or `GroupMeans`.
    shared
        Whether the divisor of a sample belongs to its whole cluster, such as the bytes of a document, and counts once.
    spans
        The samples seen, in ascending order.
    open
        Sums of the clusters that may still grow.
    closed
        For each group, the sums over clusters that are complete.
    """

    name: str = ""
    contiguous: bool = True
    most_open: int = MOST_OPEN
    kind: Kind = Moments
    shared: bool = False
    spans: tuple[Span, ...] = ()
    open: Mapping[Hashable, Piece] = field(default_factory=dict)
    closed: Mapping[Hashable, Any] = field(default_factory=dict)

    @classmethod
    def of(
        cls,
        start: int,
        size: int,
        clusters: AnyArray,
        value: FloatArray,
        divisor: FloatArray | None = None,
        *,
        name: str = "",
        contiguous: bool = True,
        groups: Sequence[tuple[IntArray, Sequence[Hashable]]] = (),
        most_open: int = MOST_OPEN,
        kind: Kind = Moments,
        shared: bool = False,
    ) -> ClusterTotals:
        """Total the samples `start` to `start + size`.

        Parameters
        ----------
        clusters
            [n] the cluster of each sample that counts, numbers or texts, in the order of the samples.
        value, divisor
            [n] finite: usually losses times weights, and weights; a divisor of None stands for ones.
        groups
            Total the samples of each group instead of all together: each entry is [n] the number of the group of each
            sample, and the groups by number. A sample may be in one group of each entry.

        Raises
        ------
        InputError
            If there are more than `most_open` clusters in no order.

        Examples
        --------
        >>> import numpy as np
        >>> totals = ClusterTotals.of(0, 3, np.array([7, 7, 8]), np.array([1.0, 3.0, 8.0]))
        >>> totals = totals.merge(ClusterTotals.of(3, 1, np.array([8]), np.array([2.0])))
        >>> totals.moments().clusters, totals.moments().standard_error()  # sums 4 and 10, of two samples each
        (2, 1.5)
        """
        empty = cls(name, contiguous, most_open, kind, shared)
        if not clusters.size:
            return replace(empty, spans=(Span(start, start + size),))
        starts = _starts(clusters)
        begin, end = clusters[[0, -1]].tolist()
        orders, ordered = (False, False), contiguous
        if not contiguous:
            heads = clusters[starts].tolist()
            orders = _ascend(map(_text, heads)), _ascend(map(_length, heads))
            ordered = any(orders) and starts.size > most_open
        span = Span(start, start + size, begin, end, *orders)
        closed: dict[Hashable, Any] = {}
        if ordered and starts.size > 2 and not groups:
            first, last = int(starts[1]), int(starts[-1])
            inner = slice(first, last)
            weights = None if divisor is None else divisor[inner]
            if shared and weights is not None:
                weights = np.where(np.isin(np.arange(first, last), starts), weights, 0.0)
            closed[EVERY] = kind.of_runs(value[inner], weights, starts[1:-1] - first)
            outer = np.concatenate([np.arange(first), np.arange(last, clusters.size)])
            clusters, value = clusters[outer], value[outer]
            divisor = None if divisor is None else divisor[outer]
            starts = _starts(clusters)
        heads = clusters[starts].tolist()
        known = {cluster: number for number, cluster in enumerate(dict.fromkeys(heads))}
        numbered = np.fromiter(map(known.__getitem__, heads), np.int64, starts.size)
        at = np.repeat(numbered, np.diff(starts, append=clusters.size))
        pieces: dict[Hashable, dict[Hashable, tuple[int, int]]] = {cluster: {} for cluster in known}
        names = list(known)
        for numbers, found in groups or ((np.zeros(at.size, np.int64), (EVERY,)),):
            for cluster, group, piece in _pieces(at, numbers, len(found), value, divisor, shared):
                pieces[names[cluster]][found[group]] = piece
        return replace(empty, spans=(span,), open=pieces, closed=closed)._settled()

    def merge(self, other: ClusterTotals) -> ClusterTotals:
        """Return the sums of both.

        Raises
        ------
        InputError
            If there are more than `most_open` clusters in no order.
        """
        if not self.spans or not other.spans:
            return self if self.spans else other
        spans: list[Span] = []
        for span in sorted((*self.spans, *other.spans), key=attrgetter("start")):
            spans[-1:] = [spans[-1].joined(span)] if spans and spans[-1].stop == span.start else [*spans[-1:], span]
        few, many = sorted((self, other), key=lambda part: len(part.open))
        opened = dict(many.open)
        for cluster, piece in few.open.items():
            opened[cluster] = _added(opened[cluster], piece, self.shared) if cluster in opened else piece
        closed = dict(self.closed)
        for group, moments in other.closed.items():
            closed[group] = closed[group] + moments if group in closed else moments
        return replace(self, spans=tuple(spans), open=opened, closed=closed)._settled()

    def of_group(self, group: Hashable) -> ClusterTotals:
        """Return totals in which one group stands for all samples."""
        return ClusterTotals(self.name, closed={EVERY: self.moments(group)})

    def moments(self, group: Hashable = EVERY) -> Moments:
        """Return the sums over all clusters that have a sample in a group, where `kind` is `Moments`."""
        return self._total(group)  # type: ignore[no-any-return]

    def means(self) -> GroupMeans:
        """Return the sums over all clusters, where `kind` is `GroupMeans`."""
        return self._total(EVERY)  # type: ignore[no-any-return]

    def _total(self, group: Hashable) -> Any:
        pieces = (piece[group] for piece in self.open.values() if group in piece)
        found = (self.kind.of_cluster(value, divisor) for divisor, value in pieces)
        return sum(found, self.closed.get(group, self.kind()))

    def _settled(self) -> ClusterTotals:
        """Return the same totals with all complete clusters closed."""
        if not self.contiguous:
            in_order = _in_order(self.spans)
            if self.closed and not in_order:
                raise self._too_many()
            if len(self.open) <= self.most_open:
                return self
            if not in_order:
                raise self._too_many()
        ends = {cluster for span in self.spans for cluster in (span.first, span.last)}
        done = self.open.keys() - ends
        if not done:
            return self
        closed = dict(self.closed)
        for cluster in done:
            for group, (divisor, value) in self.open[cluster].items():
                closed[group] = closed.get(group, self.kind()) + self.kind.of_cluster(value, divisor)
        kept = {cluster: piece for cluster, piece in self.open.items() if cluster in ends}
        return replace(self, open=kept, closed=closed)

    def _too_many(self) -> InputError:
        what = "clusters" if self.kind is Moments else "groups"
        return InputError(
            f"too many unordered {what}",
            self.name,
            found=f"more than {self.most_open:,} {what} whose samples do not follow one another in ascending order",
            expected=f"ascending {what}, or {self.most_open:,} at most",
            code="too-many-clusters",
        )


def _starts(clusters: AnyArray) -> IntArray:
    """Return the first sample of each run of one cluster."""
    return np.flatnonzero(np.concatenate([[True], clusters[1:] != clusters[:-1]]))


def _text(cluster: Any) -> str:
    return str(cluster)


def _length(cluster: Any) -> tuple[int, str]:
    text = str(cluster)
    return len(text), text


def _ascend(keys: Iterable[Any]) -> bool:
    return all(a < b for a, b in pairwise(keys))


def _in_order(spans: tuple[Span, ...]) -> bool:
    """Whether clusters ascend, by text or by length and then text, within each span and from each span to the next."""
    if len(spans) == 1:
        return spans[0].by_text or spans[0].by_length
    whole = spans[0]
    for span in spans[1:]:
        whole = whole.joined(span)
    return whole.by_text or whole.by_length


def _added(a: Piece, b: Piece, shared: bool) -> Piece:
    both = dict(a)
    for group, (divisor, value) in b.items():
        d, v = both.get(group, (0, 0))
        both[group] = max(d, divisor) if shared else d + divisor, v + value
    return both


def _pieces(
    at: IntArray, numbers: IntArray, m: int, value: FloatArray, divisor: FloatArray | None, shared: bool
) -> Iterator[tuple[int, int, tuple[int, int]]]:
    """Yield cluster, group and sums for each combination of a cluster and one of m groups that has samples."""
    pairs, first, where = np.unique(at * m + numbers, return_index=True, return_inverse=True)
    values: NDArray[np.object_] = sums_by_group(where, value, pairs.size) >> 1074
    divisors: NDArray[np.object_] = np.bincount(where).astype(np.object_) * ONE
    if divisor is not None:
        each, units = (np.arange(pairs.size), divisor[first]) if shared else (where, divisor)
        divisors = sums_by_group(each, units, pairs.size) >> 1074
    for pair, d, v in zip(pairs.tolist(), divisors, values, strict=True):
        yield *divmod(pair, m), (d, v)
