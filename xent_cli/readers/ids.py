"""Tables that name their samples: which column does, and what it takes to read it."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from xent_cli.readers.columns import ColumnPlan
from xent_cli.readers.shards import Shards
from xent_cli.readers.table import Table

if TYPE_CHECKING:
    from xent_cli.readers.interface import Source


def shared_id(ours: Source, theirs: Source, asked: str | None) -> str | None:
    """Name of the column that names the samples in both, or None.

    Parameters
    ----------
    asked
        The column that the user says is that.
    """
    if ours.plan is None or theirs.plan is None or not isinstance(theirs, Table | Shards):
        return None
    there = set(theirs.plan.columns)
    return next((name for name in id_columns(ours.plan, asked) if name in there), None)


def id_columns(plan: ColumnPlan, asked: str | None) -> list[str]:
    """The columns that name samples, the one asked for alone."""
    if asked is not None:
        return [name for name in plan.columns if name == asked]
    return [name for name in plan.columns if name == "id"]


def with_ids(source: Source, name: str) -> Source:
    """A table that brings its ids."""
    assert source.plan is not None
    return with_plan(source, replace(source.plan, id=name))


def ids_alone(source: Source, name: str) -> Source:
    """A table that brings its ids and nothing else."""
    assert source.plan is not None
    return with_plan(source, ColumnPlan(id=name, columns=source.plan.columns))


def with_plan(source: Source, plan: ColumnPlan) -> Source:
    """A table of which other columns are read; nothing of it may have been read yet."""
    if isinstance(source, Shards):
        return replace(source, shards=tuple(with_plan(shard, plan) for shard in source.shards))
    assert isinstance(source, Table)
    return replace(source, plan=plan, width=source.width if plan.is_list else len(plan.values))


def nameless(source: Source) -> bool:
    """Whether the names of a table's columns are their numbers, for it has no header."""
    first = source.shards[0] if isinstance(source, Shards) else source
    return getattr(first, "header_lines", 1) == 0
