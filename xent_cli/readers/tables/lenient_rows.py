"""Rows of a table with a mask or weights: missing values and bad labels are allowed where a sample does not count."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa

from xent_cli.core.labels.check_labels import NO_LABEL
from xent_cli.errors import RowError, UnreadableRowError
from xent_cli.readers.numbered_labels import places_of
from xent_cli.readers.tables.arrow_columns import decoded, plain_rows
from xent_cli.readers.tables.column_types import stored_as, to_numpy
from xent_cli.readers.tables.marks import mask_of

if TYPE_CHECKING:
    from xent_cli.core.array_types import AnyArray, BoolArray
    from xent_cli.core.block import Rows
    from xent_cli.readers.columns.column_plan import Reading


def lenient_rows(table: pa.Table, reading: Reading, start: int) -> Rows:
    """Convert a table: `absent` says where logits are missing, `NO_LABEL` replaces anything that is not a label.

    The mask or weights that say which samples count are here or in another file.

    Raises
    ------
    RowError
        At an invalid entry of the mask, and at an error in the one sample that is to be judged.
    """
    plan = reading.plan
    mask = None if plan.mask is None else mask_of(decoded(table[plan.mask]), start)
    strict = reading._replace(plan=plan._replace(mask=None, lenient=False, judged=None))
    if plan.judged is not None and start <= plan.judged < start + table.num_rows:
        plain_rows(table.slice(plan.judged - start, 1), strict, plan.judged)
    try:
        rows = plain_rows(table, strict, start)
    except UnreadableRowError:
        rows = _mended(table, strict, start)
    if mask is None:
        return rows
    return rows._replace(mask=mask, weights=None if rows.weights is None else np.where(mask == 0, 0, rows.weights))


def _mended(table: pa.Table, strict: Reading, start: int) -> Rows:
    plan = strict.plan
    absent = None
    if plan.values:
        table, absent = _with_values(table, strict)
        plan = plan._replace(cells=0)
    if plan.weight is not None and table[plan.weight].null_count:
        weight = decoded(table[plan.weight]).cast(pa.float64()).fill_null(np.nan)
        table = _with(table, plan.weight, weight)
    rows = plain_rows(table, strict._replace(plan=plan._replace(label=None)), start)
    if plan.label is not None:
        labels, unscored = _labels(table, strict)
        rows = rows._replace(labels=labels, unscored=unscored)
    return rows if absent is None or not absent.any() else rows._replace(absent=absent)


def _with_values(table: pa.Table, strict: Reading) -> tuple[pa.Table, BoolArray]:
    """Replace missing values by zeros, and return which rows had any."""
    absent = np.zeros(table.num_rows, np.bool_)
    if strict.plan.cells:
        from xent_cli.readers.tables.cells import readable_cells

        name = strict.plan.values[0]
        rows, absent = readable_cells(decoded(table[name]), strict.plan.keys, strict.width)
        lists = pa.FixedSizeListArray.from_arrays(pa.array(rows.ravel()), strict.width)
        return _with(table, name, pa.chunked_array([lists])), absent
    for name in strict.plan.values:
        column = table[name]
        if strict.plan.is_list:
            lists = column.to_pylist()
            whole = [row is not None and len(row) == strict.width and None not in row for row in lists]
            absent |= ~np.array(whole, np.bool_)
            kept = [row if good else [0] * strict.width for row, good in zip(lists, whole, strict=True)]
            table = _with(table, name, pa.chunked_array([pa.array(kept, pa.list_(stored_as(column.type).value_type))]))
        elif column.null_count:
            absent |= _nulls(column)
            column = decoded(column)
            column = column.cast(pa.float64()) if pa.types.is_decimal(column.type) else column
            table = _with(table, name, column.fill_null(0))
    return table, absent


def _labels(table: pa.Table, strict: Reading) -> tuple[AnyArray, BoolArray | None]:
    """Return the labels, with `NO_LABEL` for anything else, and which samples may lack one."""
    plan = strict.plan
    assert plan.label is not None
    column = decoded(table[plan.label])
    if pa.types.is_string(column.type) or pa.types.is_large_string(column.type):
        return _of_words(column, strict)
    missing = _nulls(column)
    raw = to_numpy(column.fill_null(0))
    raw = raw.astype(np.int64) if raw.dtype.kind == "b" else raw
    bad = np.zeros(raw.size, np.bool_) if plan.ignore_missing else missing
    if plan.numbers:
        bad = (bad | ~np.isin(raw, [*plan.numbers, *plan.ignored])) & ~(missing & plan.ignore_missing)
        raw = places_of(np.where(bad | missing, plan.numbers[0], raw), plan.numbers, plan.ignored, 0)
    wide = np.float64 if raw.dtype.kind == "f" else np.int64
    return np.where(bad, NO_LABEL, raw).astype(wide), missing if plan.ignore_missing and missing.any() else None


def _of_words(column: pa.ChunkedArray, strict: Reading) -> tuple[AnyArray, BoolArray | None]:
    """Do the same for text, converting each distinct word once."""
    plan = strict.plan
    encoded = column.combine_chunks().dictionary_encode()
    encoded = encoded.combine_chunks() if isinstance(encoded, pa.ChunkedArray) else encoded
    words = [*encoded.dictionary.to_pylist(), None]
    values = plan._replace(values=(), is_list=False, weight=None, units=None, id=None, by=())
    single = strict._replace(plan=values)
    index, without = np.full(len(words), NO_LABEL), np.zeros(len(words), np.bool_)
    for place, word in enumerate(words):
        try:
            found = plain_rows(pa.table({plan.label: pa.array([word], column.type)}), single, 0)
        except RowError:
            continue
        assert found.labels is not None
        index[place] = found.labels[0] if found.labels[0] == np.rint(found.labels[0]) else NO_LABEL
        without[place] = found.unscored is not None and found.unscored[0]
    places = to_numpy(encoded.indices.fill_null(len(words) - 1))
    unscored: BoolArray = without[places]
    return index[places], unscored if unscored.any() else None


def _nulls(column: pa.ChunkedArray) -> BoolArray:
    nulls: BoolArray = column.is_null().combine_chunks().to_numpy(zero_copy_only=False)
    return nulls


def _with(table: pa.Table, name: str, column: pa.ChunkedArray) -> pa.Table:
    return table.set_column(table.schema.get_field_index(name), name, column)
