"""Add the columns that come from the names of folders to the rows of a file."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pyarrow as pa

if TYPE_CHECKING:
    from xent_cli.readers.columns.column_plan import ColumnPlan


def with_constants(table: pa.Table, plan: ColumnPlan) -> pa.Table:
    """Return rows of a file with those columns in use that come from folder names."""
    for name, value in plan.constants:
        if name in plan.singles:
            column = pa.repeat(pa.scalar(value, _type_of(value)), table.num_rows)
            place = table.schema.get_field_index(name)
            table = table.append_column(name, column) if place < 0 else table.set_column(place, name, column)
    return table


def label_type(schema: pa.Schema, plan: ColumnPlan) -> pa.DataType | None:
    """Return the type of the label column, from the file or its folders; None if there is none."""
    if plan.label is None:
        return None
    constants = dict(plan.constants)
    return _type_of(constants[plan.label]) if plan.label in constants else schema.field(plan.label).type


def _type_of(value: str | int | None) -> pa.DataType:
    return pa.int64() if isinstance(value, int) else pa.string()
