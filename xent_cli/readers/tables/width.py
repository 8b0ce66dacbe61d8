"""The number of classes in the rows of a table, and their dtype, from its schema."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa

from xent_cli.readers.tables.column_types import dtype_of, kind_of, stored_as
from xent_cli.readers.tables.partitions import label_type

if TYPE_CHECKING:
    from collections.abc import Callable

    from xent_cli.readers.columns.column_plan import ColumnPlan


def width_and_dtype(
    schema: pa.Schema, plan: ColumnPlan, first_length: Callable[[str], int]
) -> tuple[int, np.dtype[Any]]:
    """Return the width and dtype of the values of a plan, or the dtype of its labels if it has no values.

    Parameters
    ----------
    first_length
        Returns the length of the first list of a column, for which a row must be read; 0 if there are no rows.
    """
    if not plan.values:
        label = label_type(schema, plan)
        if label is None:
            return 0, np.dtype(np.float64)
        return 0, dtype_of(label) if kind_of(label) == "number" else np.dtype(object)
    if plan.top_k is not None:
        return plan.top_k.width, np.dtype(np.float64)
    if plan.cells:
        return plan.cells, np.dtype(np.float64)
    types = {schema.field(name).type for name in plan.values}
    if not plan.is_list:
        dtypes = {dtype_of(each) for each in types}
        return len(plan.values), dtypes.pop() if len(dtypes) == 1 else np.dtype(np.float64)
    column = stored_as(types.pop())
    fixed = pa.types.is_fixed_size_list(column)
    return column.list_size if fixed else first_length(plan.values[0]), dtype_of(column.value_type)
