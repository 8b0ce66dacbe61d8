"""Rows of a file together with the columns that come from the names of its folders."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pyarrow as pa

if TYPE_CHECKING:
    from xent_cli.readers.columns.column_plan import ColumnPlan


def with_constants(table: pa.Table, plan: ColumnPlan) -> pa.Table:
    """Rows of a file, with the columns in use that its folder names give."""
    for name, value in plan.constants:
        if name in plan.singles:
            column = pa.repeat(pa.scalar(value, _type_of(value)), table.num_rows)
            place = table.schema.get_field_index(name)
            table = table.append_column(name, column) if place < 0 else table.set_column(place, name, column)
    return table


def label_type(schema: pa.Schema, plan: ColumnPlan) -> pa.DataType | None:
    """Type of the label column, from the file or its folders; None if there is none."""
    if plan.label is None:
        return None
    constants = dict(plan.constants)
    return _type_of(constants[plan.label]) if plan.label in constants else schema.field(plan.label).type


def _type_of(value: str | int | None) -> pa.DataType:
    return pa.int64() if isinstance(value, int) else pa.string()
