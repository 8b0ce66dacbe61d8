"""Rows of a table of which a column says that they do not count: what is missing or no label there does no harm."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa

from xent_cli.core.counted import numbered
from xent_cli.core.labels import NO_LABEL
from xent_cli.readers.arrow_columns import decoded, plain_rows, refuse_nulls
from xent_cli.readers.column_types import kind_of, to_numpy
from xent_cli.readers.marks import mask_of

if TYPE_CHECKING:
    from xent_cli.core.block import AnyArray, IntArray, Rows
    from xent_cli.readers.columns import Reading


def masked_rows(table: pa.Table, reading: Reading, start: int) -> Rows:
    """Convert a table with a mask.

    Logits are read where they stand all the same: under a shift they go with the label of another row.

    Raises
    ------
    RowError
        At what is missing or cannot be read in a row that counts.
    """
    plan = reading.plan
    assert plan.mask is not None
    mask = mask_of(decoded(table[plan.mask]), start)
    kept = np.flatnonzero(mask != 0)
    if kept.size == table.num_rows:
        return replace(plain_rows(table, replace(reading, plan=replace(plan, mask=None)), start), mask=mask)
    lenient = replace(plan, mask=None, label=None, weight=None, values_only=True)
    rows = plain_rows(table, replace(reading, plan=lenient), start)
    some = table.take(pa.Array.from_buffers(pa.int64(), kept.size, [None, pa.py_buffer(kept)]))
    with numbered(start, kept):
        if plan.values and not plan.is_list and not plan.values_only:
            refuse_nulls(((name, some[name]) for name in plan.values), reading.role, 0)
        single = replace(plan, mask=None, values=(), is_list=False, id=None, by=())
        found = plain_rows(some, replace(reading, plan=single), 0)
    fields = {}
    if found.labels is not None and plan.label is not None:
        fields["labels"] = _among(decoded(table[plan.label]), found.labels, kept)
    for name, fill in (("weights", 0), ("unscored", False)):
        values = getattr(found, name)
        if values is not None:
            fields[name] = np.full(table.num_rows, fill, values.dtype)
            fields[name][kept] = values
    return replace(rows, mask=mask, **fields)


def _among(column: pa.ChunkedArray, labels: AnyArray, kept: IntArray) -> AnyArray:
    """Labels of the rows that count among the others, which keep theirs where it is a number."""
    if kind_of(column.type) == "number":
        if not column.null_count:
            return to_numpy(column)
        every = to_numpy(column.cast(pa.float64()).fill_null(np.nan)).copy()
    else:
        every = np.full(len(column), NO_LABEL, np.int64 if labels.dtype.kind in "iu" else np.float64)
    every[kept] = labels
    return every
