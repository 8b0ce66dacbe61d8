"""Columns that come from the names of folders, such as split=test: one value for all rows of a file."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

from xent_cli.errors import InputError
from xent_cli.readers.columns.sample import NUMBER, TEXT, as_text

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from xent_cli.core.array_types import AnyArray
    from xent_cli.readers.columns.column_plan import ColumnPlan
    from xent_cli.readers.columns.sample import TableSample
    from xent_cli.readers.interface import Classes
    from xent_cli.readers.options import ReadOptions
    from xent_cli.readers.storage.folders import Partition

    Planned = tuple[ColumnPlan, tuple[str, ...] | None]
    Planner = Callable[[TableSample, str, ReadOptions, Classes], Planned]


def plan_with_partitions(
    sample: TableSample, role: str, options: ReadOptions, classes: Classes, plan_table: Planner
) -> Planned:
    """Plan the columns of a table together with those from folder names; a column of the file takes precedence.

    Raises
    ------
    InputError
        If the user asks for logits, a mask, weights or units from a folder name.
    """
    said = tuple(each for each in options.known.partitions if each.name not in sample.kinds)
    options = options._replace(known=options.known._replace(partitions=()))
    plan, names = plan_table(_with(sample, said) if said else sample, role, options, classes)
    constants = tuple((each.name, each.value) for each in said)
    for column in (*plan.values, plan.mask, plan.weight, plan.units):
        if column in dict(constants):
            raise InputError(
                "a folder name cannot give logits, a mask, weights or units",
                sample.path,
                found=f'"{column}", which is part of a folder\'s name',
                expected="a column of the file",
                hint="name the folders that count, as in a pattern",
            )
    return plan._replace(constants=constants), names


def _with(sample: TableSample, said: Sequence[Partition]) -> TableSample:
    found = {each.name: each for each in said}
    kinds = {each.name: TEXT if any(isinstance(value, str) for value in each.values) else NUMBER for each in said}

    def rows(names: Sequence[str]) -> Mapping[str, Sequence[Any] | AnyArray]:
        inner = [name for name in names if name not in found]
        held = dict(sample.rows(inner or list(sample.kinds)[:1]))
        size = max(map(len, held.values()), default=0)
        return {name: [found[name].value] * size if name in found else held[name] for name in names}

    def ahead(name: str) -> frozenset[str] | None:
        if name not in found:
            return sample.ahead(name)
        return frozenset("" if value is None else as_text(value) for value in found[name].values)

    types = {**sample.types, **dict.fromkeys(found, "part of a folder's name")}
    return replace(
        sample, kinds={**sample.kinds, **kinds}, rows=rows, ahead=ahead, types=types, folders=frozenset(found)
    )
