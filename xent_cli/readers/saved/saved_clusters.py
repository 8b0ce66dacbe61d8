"""Which cluster each of the samples of two saved results belongs to."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Protocol

import numpy as np

from xent_cli.core.totals.cluster_rule import ClusterRule
from xent_cli.errors import InputError, UsageError
from xent_cli.readers.saved.align import SavedClusters
from xent_cli.readers.saved.group_by import column_of, no_such_column
from xent_cli.readers.saved.row_order import row_name

if TYPE_CHECKING:
    from xent_cli.core.array_types import AnyArray, IntArray
    from xent_cli.readers.saved.align import AlignedLosses
    from xent_cli.readers.saved.saved_results import SavedResults

_CLUSTER = "cluster"


class Choice(Protocol):
    """The user's choice of clusters."""

    @property
    def kind(self) -> str:
        """One of "none", "every", "axis" and "column"."""

    @property
    def name(self) -> str:
        """The column."""

    @property
    def number(self) -> int:
        """The axis, or how many samples."""


def saved_clusters(
    choice: Choice | None, baseline: SavedResults, candidate: SavedResults, both: AlignedLosses
) -> SavedClusters | None:
    """Return the clusters of aligned samples, None if samples are independent.

    By default, they come from a column `cluster` of either file, or from the first of several axes of an array.

    Raises
    ------
    InputError
        If a column is missing or has no value for a sample, or the clusters of the two files differ.
    UsageError
        If the choice is an axis that neither file has.
    """
    if choice is None:
        return _in_rows(baseline, candidate, both) or _along(None, baseline, candidate, both)
    if choice.kind == "none":
        return None
    if choice.kind == "every":
        sample = both.rows if baseline.sample is None else baseline.sample[both.rows]
        return SavedClusters(f"every {choice.number:,} samples", numbered(sample // choice.number))
    if choice.kind == "axis":
        return _along(choice.number, baseline, candidate, both)
    name = choice.name
    for result, rows in ((baseline, both.rows), (candidate, both.candidate_rows)):
        values = column_of(name, result, rows)
        if values is not None:
            return SavedClusters(f'column "{name}"', numbered(_complete(values, name, result, rows)))
    raise no_such_column(name, [baseline, candidate], "--cluster")


def clusters_of_candidate(candidate: SavedResults, both: AlignedLosses) -> SavedClusters | None:
    """Return the clusters in the rows of the candidate alone."""
    if candidate.clusters is None:
        return None
    values = _complete(candidate.clusters[both.candidate_rows], _CLUSTER, candidate, both.candidate_rows)
    return SavedClusters(f'column "{_CLUSTER}"', numbered(values))


def _in_rows(baseline: SavedResults, candidate: SavedResults, both: AlignedLosses) -> SavedClusters | None:
    """Return the clusters in the rows of either file; if both have them, they must agree."""
    pairs = ((baseline, both.rows), (candidate, both.candidate_rows))
    found = [
        numbered(_complete(result.clusters[rows], _CLUSTER, result, rows))
        for result, rows in pairs
        if result.clusters is not None
    ]
    if not found:
        return None
    if len(found) == 2 and (found[0] != found[1]).any():
        row = int(np.argmax(found[0] != found[1]))
        raise InputError(
            "different clusters",
            f'{candidate.path} {row_name(baseline, int(both.rows[row]))}, column "{_CLUSTER}"',
            found=f"with sample {int(np.argmax(found[1] == found[1][row]))} of those compared",
            expected=f"with sample {int(np.argmax(found[0] == found[0][row]))}, as in {baseline.path}",
            hint="compute both with the same --cluster, or name one here: --cluster COLUMN, every:N or none",
        )
    return SavedClusters(f'column "{_CLUSTER}"', found[0])


def _along(
    asked: int | None, baseline: SavedResults, candidate: SavedResults, both: AlignedLosses
) -> SavedClusters | None:
    """Return the clusters along an axis of an array, by default the first of several axes."""
    pairs = ((baseline, both.rows), (candidate, both.candidate_rows))
    shapes = [(tuple(side or 0 for side in result.shape), rows) for result, rows in pairs if result.shape]
    shape, rows = shapes[0] if shapes else ((0,), both.rows)
    if asked is None and len(shape) < 2:
        return None
    axis = asked or 0
    if not -len(shape) <= axis < len(shape):
        paths = " and ".join(dict.fromkeys((baseline.path, candidate.path)))
        found = "rows have one axis" if len(shape) == 1 else f"losses have axes 0 to {len(shape) - 1}"
        raise UsageError(f"--cluster axis:{axis}: the {found} in {paths}")
    axis %= len(shape)
    inner = math.prod(shape[axis + 1 :])
    rule = ClusterRule(f"axis {axis}", steps=(inner,), counts=(shape[axis] if axis else 0,))
    return SavedClusters(rule.name, numbered(rule.clusters(0, int(rows.max()) + 1)[rows]))


def numbered(values: AnyArray) -> IntArray:
    """Number distinct values from 0 in order of appearance.

    Examples
    --------
    >>> numbered(np.array([7, 3, 7, 5])).tolist(), numbered(np.array(["b", "a"], object)).tolist()
    ([0, 1, 0, 2], [0, 1])
    """
    if values.dtype.kind == "O":
        known: dict[object, int] = {}
        return np.fromiter((known.setdefault(value, len(known)) for value in values.tolist()), np.int64, values.size)
    _, first, places = np.unique(values, return_index=True, return_inverse=True)
    order = np.empty(first.size, np.int64)
    order[np.argsort(first)] = np.arange(first.size)
    found: IntArray = order[places]
    return found


def _complete(values: AnyArray, name: str, result: SavedResults, rows: IntArray) -> AnyArray:
    """Return the values of a column, which every sample must have."""
    if values.dtype.kind == "O":
        missing = np.array([value is None for value in values.tolist()])
        if missing.any():
            where = f"{result.path} {row_name(result, int(rows[np.argmax(missing)]))}"
            found = f'nothing in column "{name}"'
            raise InputError("missing cluster", where, found=found, expected="the cluster of each sample that counts")
    return values
