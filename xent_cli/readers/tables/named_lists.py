"""Lists of scores whose classes are named in each row: by a list of names in another column, or in each item."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa

from xent_cli.errors import UnreadableRowError
from xent_cli.readers.columns.cells.named_scores import NAME_KEYS, SCORE_KEYS
from xent_cli.readers.tables.column_types import LISTS, flat, is_text, kind_of, to_numpy

if TYPE_CHECKING:
    from xent_cli.core.array_types import AnyArray, BoolArray
    from xent_cli.readers.columns.column_plan import ColumnPlan


def item_keys(column: pa.DataType) -> tuple[str, str] | None:
    """Return the fields of the name and of the score in lists of structs; None for any other type."""
    if not any(is_list(column) for is_list in LISTS) or not pa.types.is_struct(column.value_type):
        return None
    fields = {field.name: field.type for field in column.value_type}
    name = next((key for key in NAME_KEYS if key in fields and is_text(fields[key])), None)
    score = next((key for key in SCORE_KEYS if key in fields and kind_of(fields[key]) == "number"), None)
    return None if name is None or score is None else (name, score)


def as_maps(column: pa.ChunkedArray) -> pa.ChunkedArray:
    """Turn lists of structs with a name and a score into maps; any other column is returned unchanged."""
    keys = item_keys(column.type)
    if keys is None:
        return column
    lists = whole(column)
    fields = dict(zip([field.name for field in lists.type.value_type], flat(lists).flatten(), strict=True))
    return _maps(lengths_of(lists), fields[keys[0]], fields[keys[1]], nulls_of(lists))


def with_names(table: pa.Table, plan: ColumnPlan, role: str, start: int) -> pa.Table:
    """Return a table in which the list of scores and the list of their names are one column of maps.

    Raises
    ------
    UnreadableRowError
        At a row with a different number of names than scores.
    """
    if plan.named_by is None:
        return table
    name = plan.values[0]
    names, scores = whole(table[plan.named_by]), whole(table[name])
    # A row that lacks one of them is missing.
    missing = nulls_of(names) | nulls_of(scores)
    if missing.any():
        kept = pa.array(~missing)
        names, scores = names.filter(kept), scores.filter(kept)
    sizes, others = lengths_of(scores), lengths_of(names)
    if (sizes != others).any():
        bad = np.flatnonzero(sizes != others)
        row = int(np.flatnonzero(~missing)[bad[0]])
        found = f'{sizes[bad[0]]} scores and {others[bad[0]]} names in "{plan.named_by}"'
        expected = "a name for each score"
        raise UnreadableRowError(
            "scores without names", start + row, role, found, expected, "", "", name, others=len(bad) - 1
        )
    lengths = np.zeros(len(missing), np.int64)
    lengths[~missing] = sizes
    maps = _maps(lengths, flat(names), flat(scores), missing)
    return table.set_column(table.schema.get_field_index(name), name, maps)


def whole(column: pa.ChunkedArray) -> pa.Array:
    """Return a column as one array."""
    array = column.combine_chunks()
    return array.chunk(0) if isinstance(array, pa.ChunkedArray) else array


def nulls_of(array: pa.Array) -> BoolArray:
    """Return which values are missing."""
    nulls: BoolArray = array.is_null().to_numpy(zero_copy_only=False)
    return nulls


def lengths_of(lists: pa.Array) -> AnyArray:
    """Return the length of each list; 0 for a missing one."""
    if pa.types.is_fixed_size_list(lists.type):
        lengths = np.full(len(lists), lists.type.list_size)
    elif pa.types.is_list_view(lists.type) or pa.types.is_large_list_view(lists.type):
        lengths = to_numpy(lists.sizes)
    else:
        lengths = np.diff(to_numpy(lists.offsets))
    return np.where(nulls_of(lists), 0, lengths)


def _maps(lengths: AnyArray, names: pa.Array, scores: pa.Array, missing: BoolArray) -> pa.ChunkedArray:
    if names.null_count:  # a score without a class gets a key that is the name of no class
        names = names.fill_null("")
    if pa.types.is_string_view(names.type):
        names = names.cast(pa.large_string())
    offsets = np.concatenate([[0], np.cumsum(lengths)]).astype(np.int32)
    nowhere = np.append(missing, False)  # the last offset is the end of the last map
    return pa.chunked_array([pa.MapArray.from_arrays(pa.array(offsets, mask=nowhere), names, scores)])
