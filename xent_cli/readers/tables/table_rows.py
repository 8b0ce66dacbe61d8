"""Convert rows of an Arrow table to logits, labels, weights, ids and groups."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import pyarrow as pa

from xent_cli.errors import MissingValueError, RowError
from xent_cli.readers.storage.reading import first_line
from xent_cli.readers.tables.arrow_columns import plain_rows, refuse_nulls

if TYPE_CHECKING:
    from xent_cli.core.block import Rows
    from xent_cli.readers.columns.column_plan import Reading


class TableRows(NamedTuple):
    """Recipe for rows that are in memory as an Arrow table; `read` converts them where the work is done."""

    table: pa.Table
    reading: Reading
    start: int

    def read(self) -> Rows:
        """Convert the rows."""
        return rows_of(self.table, self.reading, self.start)


def rows_of(table: pa.Table, reading: Reading, start: int) -> Rows:
    """Convert a table.

    Raises
    ------
    RowError
        At an empty cell, a list of the wrong length, or a name that is not a class.
    """
    plan, role = reading.plan, reading.role
    lenient = plan.lenient or plan.mask is not None
    try:
        if plan.constants:
            from xent_cli.readers.tables.partitions import with_constants

            table = with_constants(table, plan)
        if plan.named_by is not None:
            from xent_cli.readers.tables.named_lists import with_names

            table = with_names(table, plan, role, start)
        if plan.top_k is not None:
            from xent_cli.readers.tables.top_k_columns import top_k_rows

            rest = plan._replace(values=(), is_list=False, cells=0, named_by=None, top_k=None, constants=())
            rest = rest._replace(label=None) if plan.top_k.scored else rest
            if plan.top_k.scored:
                from xent_cli.readers.tables.scored_labels import label_rows

                top_k = label_rows(table, reading, plan.top_k, start)
            else:
                top_k = top_k_rows(table, reading, plan.top_k, start, lenient=lenient)
            return rows_of(table, reading._replace(plan=rest), start)._replace(**top_k.given())
        if plan.label is not None and pa.types.is_nested(table.schema.field(plan.label).type):
            from xent_cli.readers.tables.listed_labels import with_single_labels

            table = with_single_labels(table, plan.label, reading.width, start, lenient=lenient)
        if lenient:
            from xent_cli.readers.tables.lenient_rows import lenient_rows

            return lenient_rows(table, reading, start)
        return plain_rows(table, reading, start)
    except pa.ArrowException as error:  # for example an index beyond its dictionary
        raise RowError("damaged column", start, role, first_line(error), "whole columns", "write it again") from None
    except MissingValueError:
        if not plan.is_list:
            # A later column may have an earlier bad row, and rows are counted, not cells.
            refuse_nulls(((name, table[name]) for name in plan.needed), role, start, missing=plan.values_only)
        raise
