"""Id columns of tables: which column names the samples, and how to read it."""

from __future__ import annotations

import re
import shlex
from dataclasses import replace
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from xent_cli.core.checks.same_samples import plain_id
from xent_cli.readers.columns.column_plan import ColumnPlan
from xent_cli.readers.columns.roles import role_named
from xent_cli.readers.columns.words import ID, INDEX, plain_name
from xent_cli.readers.shards import Shards, with_shards
from xent_cli.readers.tables.table_source import Table

if TYPE_CHECKING:
    from collections.abc import Iterator

    from xent_cli.core.array_types import AnyArray
    from xent_cli.readers.interface import Source

# Names under which pandas writes an index without a name: to Arrow and, if it was read as a column before, to text.
_NAMELESS_INDEX = re.compile(r"|unnamed_0|index_level_0")
# This many row numbers are compared first, before all of them are read.
_LOOKED_AT = 1024


class SharedId(NamedTuple):
    """The columns that name the samples of two tables."""

    ours: str
    theirs: str


def shared_id(ours: Source, theirs: Source, asked: str | None) -> SharedId | None:
    """Return the names of the id columns of both tables, or None; they may differ only in case and punctuation.

    Id columns come before row numbers, which mean something only if both tables number the same rows.

    Parameters
    ----------
    asked
        The column that the user named.
    """
    if not isinstance(ours, Table | Shards) or not isinstance(theirs, Table | Shards):
        return None
    mine, others = ours.info.plan, theirs.info.plan
    if mine is None or others is None:
        return None
    if asked is not None:
        there = column_in(others, asked)
        return SharedId(asked, there) if asked in mine.columns and there is not None else None
    free = _free(mine)
    roles = {name: role_named(name) for name in free}
    numbers = [name for name in free if roles[name] == INDEX]
    for name in (*(name for name in free if roles[name] == ID), *numbers):
        there = column_in(others, name)
        if there is None and _nameless_index(mine) == name:
            there = _nameless_index(others)
        if there is None or there not in _free(others):
            continue
        if name not in numbers or number_the_same(ids_alone(ours, name), ids_alone(theirs, there)):
            return SharedId(name, there)
    return None


def column_in(plan: ColumnPlan | None, name: str) -> str | None:
    """Return the column with a name, or the only one that differs just in case and punctuation, or None."""
    if plan is None or name in plan.columns:
        return None if plan is None else name
    wanted = plain_name(name)
    found = [column for column in plan.columns if plain_name(column) == wanted]
    return found[0] if len(found) == 1 else None


def _nameless_index(plan: ColumnPlan) -> str | None:
    """Return the index without a name, which each format writes under a different name."""
    found = [column for column in plan.columns if _NAMELESS_INDEX.fullmatch(plain_name(column))]
    return found[0] if len(found) == 1 else None


def _free(plan: ColumnPlan) -> list[str]:
    """Return the columns that have no role yet."""
    taken = {*plan.values, plan.label, plan.weight, plan.mask, plan.units, *plan.by}
    return [name for name in plan.columns if name not in taken]


def number_the_same(ours: Source, theirs: Source) -> bool:
    """Whether two columns of row numbers begin with the same numbers, or contain the same numbers in any order.

    Only a part of each is in memory at a time; pipes are not read.
    """
    if not ours.info.rereadable or not theirs.info.rereadable:
        return False
    firsts = [_first_ids(source) for source in (ours, theirs)]
    size = min(len(first) for first in firsts)
    if [plain_id(value) for value in firsts[0][:size]] == [plain_id(value) for value in firsts[1][:size]]:
        return True
    return _digest(ours) == _digest(theirs)


def in_one_order(ours: Source, theirs: Source) -> bool:
    """Whether two tables have the same ids in the same order, up to the end of the shorter one."""
    plans = (one.info.plan for one in (ours, theirs))
    pairs = zip((ours, theirs), plans, strict=True)
    streams = [_ids_of(ids_alone(one, plan.id)) for one, plan in pairs if plan is not None and plan.id is not None]
    return all(plain_id(one) == plain_id(other) for one, other in zip(*streams, strict=False))


def _ids_of(source: Source) -> Iterator[object]:
    for _, _, part in source.parts():
        ids = part.read().ids
        assert ids is not None
        yield from ids


def _first_ids(source: Source) -> AnyArray:
    found = next((part.read().ids for _, _, part in source.parts()), None)
    return np.empty(0, object) if found is None else found[:_LOOKED_AT]


def _digest(source: Source) -> tuple[int, int]:
    """Return the number of ids, and a checksum that does not depend on their order."""
    count = total = 0
    for _, size, part in source.parts():
        ids = part.read().ids
        assert ids is not None
        count += size
        total = (total + sum(hash(plain_id(value)) for value in ids)) % (1 << 64)
    return count, total


def with_ids(source: Source, name: str) -> Source:
    """Return the table, set to read its ids."""
    assert source.info.plan is not None
    return with_plan(source, source.info.plan._replace(id=name))


def ids_alone(source: Source, name: str) -> Source:
    """Return the table, set to read its ids and nothing else."""
    assert source.info.plan is not None
    return with_plan(source, ColumnPlan(id=name, columns=source.info.plan.columns))


def with_plan(source: Source, plan: ColumnPlan) -> Source:
    """Return the same table with different columns to read; no rows may have been read yet."""
    if isinstance(source, Shards):
        return with_shards(source, (with_plan(shard, plan) for shard in source.shards))
    assert isinstance(source, Table)
    return replace(source, plan=plan, width=source.width if plan.is_list else len(plan.values))


def without_labels(source: Source) -> Source:
    """Return the table without its column of labels."""
    plan = source.info.plan
    return source if plan is None or plan.label is None else with_plan(source, plan._replace(label=None))


def nameless(source: Source) -> bool:
    """Whether a table has no header, so that its columns are named by number."""
    first = source.shards[0] if isinstance(source, Shards) else source
    return getattr(first, "header_lines", 1) == 0


def join_hint(column: str) -> str:
    """Return the hint for rows that are in different orders."""
    same = f'"{column}"' if column.strip() else "number in the column without a name"
    return f"--join {shlex.quote(column)} puts the rows together that have the same {same}"
