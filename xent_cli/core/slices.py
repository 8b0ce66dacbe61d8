"""Totals for each value of a column."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from xent_cli.errors import InputError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from xent_cli.core.block import AnyArray, IntArray
    from xent_cli.core.summary import LossSummary
    from xent_cli.core.totals import LossTotals

# More values than this are no groups to look at, and each costs memory.
MOST_VALUES = 10_000


@dataclass(frozen=True, slots=True)
class LossSlices:
    """What is kept of the losses for each value of some columns; merges as `LossTotals` do.

    Fields
    ------
    columns
        Their names.
    totals
        For each column, the totals by value; None is the value of samples that have none.
    """

    columns: tuple[str, ...]
    totals: tuple[Mapping[str | None, LossTotals], ...]

    def merge(self, other: LossSlices) -> LossSlices:
        """Both, as one.

        Raises
        ------
        InputError
            Where a column has more than `MOST_VALUES` values.
        """
        merged = []
        for name, ours, theirs in zip(self.columns, self.totals, other.totals, strict=True):
            both = dict(ours)
            for value, totals in theirs.items():
                both[value] = both[value].merge(totals) if value in both else totals
            _refuse_many(name, len(both))
            merged.append(both)
        return LossSlices(self.columns, tuple(merged))

    def summaries(self) -> Iterator[tuple[str, str | None, LossSummary]]:
        """Column, value and figures of each slice: columns as they come, values by code point, none last."""
        for name, totals in zip(self.columns, self.totals, strict=True):
            for value in sorted(totals, key=lambda text: (text is None, text or "")):
                yield name, value, totals[value].summarize()


def slices_of(columns: tuple[str, ...], groups: AnyArray, total: Callable[[IntArray], LossTotals]) -> LossSlices:
    """Total the samples of a block by the values of columns.

    Parameters
    ----------
    columns
        Names of the m columns.
    groups
        [n, m] texts or None.
    total
        Totals the samples at some places of the block, which ascend.

    Raises
    ------
    InputError
        Where a column has more than `MOST_VALUES` values.

    Examples
    --------
    >>> groups = np.array([["b"], ["a"], ["b"]], object)
    >>> slices_of(("split",), groups, lambda places: places.tolist()).totals
    ({'b': [0, 2], 'a': [1]},)
    """
    found = []
    for name, values in zip(columns, groups.T, strict=True):
        codes: dict[str | None, int] = {}
        index = np.fromiter((codes.setdefault(value, len(codes)) for value in values.tolist()), np.intp, len(values))
        _refuse_many(name, len(codes))
        # So few values fit 16 bits, for which NumPy has a sort that takes one look at each.
        order = np.argsort(index.astype(np.uint16), kind="stable")
        places = np.split(order, np.cumsum(np.bincount(index, minlength=len(codes)))[:-1])
        found.append({value: total(where) for value, where in zip(codes, places, strict=True)})
    return LossSlices(columns, tuple(found))


def slice_name(column: str, value: object) -> str:
    """How a slice is called where a metric of it is named.

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
            hint="is this an id column? --by wants one that names groups",
        )
