"""Totals of losses for each value of a column."""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from xent_cli.core.totals.group_totals import GroupTotals, Scored
from xent_cli.core.totals.grouped_sums import GroupedSums
from xent_cli.errors import InputError

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator, Mapping, Sequence, Sized

    from numpy.typing import NDArray

    from xent_cli.core.array_types import AnyArray, BoolArray
    from xent_cli.core.totals.cluster_rule import ClusteredBlock, DocumentUnits
    from xent_cli.core.totals.cluster_totals import ClusterTotals
    from xent_cli.core.totals.loss_totals import LossTotals
    from xent_cli.core.totals.summary import LossSummary

# A column with more values than this does not describe groups, and every value takes memory.
MOST_VALUES = 10_000
# This many samples are kept before they are totalled: to total a block takes time for every value of the column,
# however few rows it has.
_WHOLE = re.compile(r"-?[0-9]{1,18}")
_MOST_WAITING = 1 << 20


class _Waiting(NamedTuple):
    """Samples that have not been totalled yet.

    Fields
    ------
    at, ignored
        [c, n] for each of c columns, the number of the value of each scored sample and of each ignored one.
    samples
        The scored samples.
    """

    at: NDArray[np.uint16]
    samples: Scored
    ignored: NDArray[np.uint16]


@dataclass(frozen=True, slots=True, eq=False)
class LossSlices:
    """Totals of losses for each value of some columns; they merge like `LossTotals`.

    Fields
    ------
    columns
        Names of the columns.
    values
        For each column, the number of every value seen; None stands for a missing value.
    totalled
        For each column, totals by the number of the value.
    waiting
        Samples that are not in the totals yet.
    figures
        Whether more than the mean is wanted.
    most_waiting
        How many samples may wait.
    clusters
        Sums over clusters for each column and value, or None if samples are independent.
    documents
        Sums over documents of losses and of the units that their samples share, or None.
    """

    columns: tuple[str, ...]
    values: tuple[Mapping[str | None, int], ...]
    totalled: tuple[GroupTotals, ...] = ()
    waiting: tuple[_Waiting, ...] = ()
    figures: bool = True
    most_waiting: int = _MOST_WAITING
    clusters: ClusterTotals | None = None
    documents: ClusterTotals | None = None

    def merge(self, other: LossSlices) -> LossSlices:
        """Return the totals of both.

        Raises
        ------
        InputError
            If a column has more than `MOST_VALUES` values.
        """
        values, places = [], []
        for name, ours, theirs in zip(self.columns, self.values, other.values, strict=True):
            known = dict(ours)
            new = [value for value in theirs if value not in known]
            known.update(zip(new, range(len(known), len(known) + len(new)), strict=True))
            places.append(_numbers(theirs, known))
            _refuse_many(name, len(known))
            values.append(known)
        waiting = self.waiting + tuple(_renumbered(cut, places) for cut in other.waiting)
        # Values that only waiting samples have are numbered after those that are totalled.
        found = [
            part.placed(at[: part.low.size], len(known))
            for part, at, known in zip(other.totalled, places, values, strict=False)
        ]
        most = min(self.most_waiting, other.most_waiting)
        both = ((self.clusters, other.clusters), (self.documents, other.documents))
        sums = [b if a is None else a if b is None else a.merge(b) for a, b in both]
        totals = self._with(found, values)
        merged = LossSlices(self.columns, tuple(values), totals, waiting, self.figures, most, *sums)
        return merged._settled() if sum(cut.samples.loss.size for cut in waiting) > most else merged

    @property
    def totals(self) -> tuple[Mapping[str | None, LossTotals], ...]:
        """Totals by value, for each column."""
        triples = zip(self.columns, self.values, self._settled().totalled, strict=True)
        return tuple(
            {value: self._clustered(part.total(number), (name, value)) for value, number in values.items()}
            for name, values, part in triples
        )

    def _clustered(self, totals: LossTotals, group: tuple[str, str | None]) -> LossTotals:
        """Return the totals of a slice, including the sums over its clusters and its documents."""
        if self.documents is not None:
            totals = totals._replace(grouped=GroupedSums(unit_sums=self.documents.of_group(group)))
        return totals if self.clusters is None else totals._replace(clusters=self.clusters.of_group(group))

    def summaries(self) -> Iterator[tuple[str, str | None, LossSummary]]:
        """Yield column, value and figures of each slice: numbers in order, then text by code point, None last."""
        for name, totals in zip(self.columns, self.totals, strict=True):
            whole = all(value is None or _WHOLE.fullmatch(value) for value in totals)
            for value in sorted(totals, key=lambda text: (text is None, int(text or 0) if whole else 0, text or "")):
                yield name, value, totals[value].summarize()

    def _settled(self) -> LossSlices:
        """Return the same slices with all waiting samples totalled."""
        if not self.waiting:
            return self
        at = np.concatenate([cut.at for cut in self.waiting], axis=1)
        ignored = np.concatenate([cut.ignored for cut in self.waiting], axis=1)
        samples = Scored.concatenate([cut.samples for cut in self.waiting])
        found = [
            GroupTotals.of(at[c], samples, ignored[c], len(values), figures=self.figures)
            for c, values in enumerate(self.values)
        ]
        return replace(self, totalled=self._with(found, self.values), waiting=())

    def _with(self, found: Sequence[GroupTotals], values: Sequence[Sized]) -> tuple[GroupTotals, ...]:
        """Merge newly found totals into these."""
        if not self.totalled or not found:
            return self.totalled or tuple(found)
        parts = zip(self.totalled, found, values, strict=True)
        return tuple(
            ours.placed(np.arange(ours.low.size, dtype=np.uint16), len(m)).merge(theirs) for ours, theirs, m in parts
        )


def slices_of(
    columns: tuple[str, ...],
    groups: AnyArray,
    samples: Scored,
    scored: BoolArray | None,
    *,
    figures: bool = True,
    clustered: ClusteredBlock | None = None,
    documents: DocumentUnits | None = None,
) -> LossSlices:
    """Group the samples of a block by the values of columns.

    Parameters
    ----------
    columns
        Names of the m columns.
    groups
        [n, m] texts or None.
    samples
        Samples that have a loss, in order.
    scored
        [n] True for these samples, or None if all have a loss.
    figures
        Whether more than the mean is wanted.
    clustered
        The clusters of these samples, or None.
    documents
        The documents of these samples and their units, or None.

    Raises
    ------
    InputError
        If a column has more than `MOST_VALUES` values.

    Examples
    --------
    >>> samples = Scored(np.arange(3), np.array([1.0, 4.0, 2.0]), None, None, {})
    >>> slices = slices_of(("split",), np.array([["b"], ["a"], ["b"]], object), samples, None)
    >>> [(value, summary.mean_loss) for _, value, summary in slices.summaries()]
    [('a', 4.0), ('b', 1.5)]
    """
    known, numbered = [], []
    for name, column in zip(columns, groups.T, strict=True):
        values = column.tolist()
        known.append({value: number for number, value in enumerate(dict.fromkeys(values))})
        _refuse_many(name, len(known[-1]))
        numbered.append(_numbers(values, known[-1]))
    at = np.array(numbered)
    cut = _Waiting(at, samples, at[:, :0]) if scored is None else _Waiting(at[:, scored], samples, at[:, ~scored])
    clusters = shared = None
    if clustered is not None or documents is not None:
        keys = ([(name, value) for value in values] for name, values in zip(columns, known, strict=True))
        numbers = (row.astype(np.int64) for row in cut.at)
        every = tuple(zip(numbers, keys, strict=True))
        clusters = None if clustered is None else clustered.totals(samples, every)
        if documents is not None:
            shared = documents.members.totals(samples, every, divisor=documents.units, shared=True)
    return LossSlices(columns, tuple(known), waiting=(cut,), figures=figures, clusters=clusters, documents=shared)


def _numbers(values: Collection[str | None], known: Mapping[str | None, int]) -> NDArray[np.uint16]:
    """Return the number of each value; 16 bits are enough for `MOST_VALUES`."""
    return np.fromiter(map(known.__getitem__, values), np.uint16, len(values))


def _renumbered(cut: _Waiting, places: Sequence[NDArray[np.uint16]]) -> _Waiting:
    """Renumber values."""

    def other(at: NDArray[np.uint16]) -> NDArray[np.uint16]:
        return np.array([place[row] for place, row in zip(places, at, strict=True)])

    return _Waiting(other(cut.at), cut.samples, other(cut.ignored))


def slice_name(column: str, value: object) -> str:
    """Return the prefix that names a slice in the name of a metric.

    Examples
    --------
    >>> slice_name("split", "test"), slice_name("split", None)
    ('slice:split=test', 'slice:split=')
    """
    return f"slice:{column}={'' if value is None else value}"


def _refuse_many(column: str, count: int) -> None:
    if count > MOST_VALUES:
        raise InputError(
            "too many slices",
            f'column "{column}"',
            found=f"more than {MOST_VALUES:,} values",
            expected="a value that many samples share",
            code="too-many-slices",
        )
