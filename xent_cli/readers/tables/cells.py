"""Columns of Arrow whose cells hold a row of numbers: vectors of Spark, maps from class to value, arrays as text."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa

from xent_cli.errors import MissingValueError, UnreadableRowError, listing
from xent_cli.readers.columns.cells.cell_text import VECTOR, CellError, dense, row_of_cell
from xent_cli.readers.columns.sample import as_text
from xent_cli.readers.tables.column_types import flat, kind_of, to_numpy
from xent_cli.readers.tables.named_lists import as_maps, item_keys

if TYPE_CHECKING:
    from xent_cli.core.array_types import AnyArray, BoolArray, FloatArray


def values_of_cells(
    column: pa.ChunkedArray, keys: tuple[str, ...], width: int, role: str, start: int, *, missing: bool
) -> AnyArray:
    """Return the numbers [n, k] in the cells of a column; with `missing`, a missing cell becomes NaN.

    Raises
    ------
    RowError
        At a cell that is missing, or is not a number for each class.
    """
    column = as_maps(column)
    out, nulls, bad = _read(column, keys, width)
    if nulls.any() and not missing:
        row, others = int(np.argmax(nulls)), int(np.count_nonzero(nulls)) - 1
        raise MissingValueError("missing value", start + row, role, "null", "a value in every row", others=others)
    if bad.any():
        row, others = int(np.argmax(bad)), int(np.count_nonzero(bad)) - 1
        raise _unreadable(column[row].as_py(), keys, width, role, start + row, others)
    return out


def readable_cells(column: pa.ChunkedArray, keys: tuple[str, ...], width: int) -> tuple[FloatArray, BoolArray]:
    """Return the numbers [n, k] of the cells that hold a row of numbers, zeros for the rest, and which cells do."""
    out, nulls, bad = _read(as_maps(column), keys, width)
    bad = bad | nulls
    out[bad] = 0
    return np.ascontiguousarray(out), bad


def _read(column: pa.ChunkedArray, keys: tuple[str, ...], width: int) -> tuple[FloatArray, BoolArray, BoolArray]:
    """Return the numbers, which cells are missing, and which are bad."""
    array = column.combine_chunks()
    array = array.chunk(0) if isinstance(array, pa.ChunkedArray) else array
    nulls = array.is_null().to_numpy(zero_copy_only=False)
    if not nulls.any():
        out, bad = _values(array, keys, width)
        return out, nulls, bad
    kept = np.flatnonzero(~nulls)
    out, bad = np.full((len(array), width), np.nan), nulls.copy()
    out[kept], bad[kept] = _values(array.take(pa.array(kept)), keys, width)
    return out, nulls, bad & ~nulls


def _values(array: pa.Array, keys: tuple[str, ...], width: int) -> tuple[FloatArray, BoolArray]:
    """Return the numbers of cells that are not missing, and which cells are bad."""
    types = pa.types
    if types.is_map(array.type):
        return _of_maps(array, keys)
    if types.is_struct(array.type):
        vectors = {field.name for field in array.type} >= VECTOR and not keys
        return _of_vectors(array, width) if vectors else _of_fields(array, keys)
    out = np.full((len(array), width), np.nan)
    bad = np.zeros(len(array), np.bool_)
    for row, text in enumerate(array.to_pylist()):
        try:
            out[row] = dense(row_of_cell(text), keys, width)
        except ValueError:
            bad[row] = True
    return out, bad


def _of_fields(array: pa.Array, keys: tuple[str, ...]) -> tuple[FloatArray, BoolArray]:
    """Read structs with a field for each class."""
    columns = dict(zip([field.name for field in array.type], array.flatten(), strict=True))
    out = np.full((len(keys), len(array)), np.nan)
    bad = np.zeros(len(array), np.bool_)
    for values, name in zip(out, keys, strict=True):
        column = columns[name]
        if column.null_count:
            bad |= column.is_null().to_numpy(zero_copy_only=False)
        else:
            values[:] = to_numpy(column)
    return out.T, bad


def _of_maps(array: pa.Array, keys: tuple[str, ...]) -> tuple[FloatArray, BoolArray]:
    offsets = to_numpy(array.offsets)
    low, size = int(offsets[0]), int(offsets[-1] - offsets[0])
    n, k = len(array), len(keys)
    rows = np.repeat(np.arange(n), np.diff(offsets))
    words = array.keys.slice(low, size).dictionary_encode()
    known = {key: place for place, key in enumerate(keys)}
    places = np.array([known.get(as_text(word), -1) for word in words.dictionary.to_pylist()], np.int64)
    items = array.items.slice(low, size)
    place = places[to_numpy(words.indices)] if size else np.empty(0, np.int64)
    wrong = place < 0
    if items.null_count:
        wrong |= items.is_null().to_numpy(zero_copy_only=False)
    bad = np.zeros(n, np.bool_)
    bad[rows[wrong]] = True
    out = np.full((n, k), np.nan)
    if items.null_count == 0:
        out[rows[~wrong], place[~wrong]] = to_numpy(items)[~wrong]
    seen = np.bincount(rows[~wrong] * k + place[~wrong], minlength=n * k).reshape(n, k)
    return out, bad | (seen != 1).any(axis=1)


def _of_vectors(array: pa.Array, width: int) -> tuple[FloatArray, BoolArray]:
    """Read Spark's vectors, dense (type 1) and sparse (type 0)."""
    n = len(array)
    fields = dict(zip([field.name for field in array.type], array.flatten(), strict=True))
    kinds, sizes = (_integers(fields[name]) for name in ("type", "size"))
    counts, values, lost = _lists(fields["values"])
    places_of_row, places, lost_places = _lists(fields["indices"])
    sparse = (kinds == 0) & (sizes == width) & (places_of_row == counts)
    good = (sparse | ((kinds == 1) & (counts == width))) & ~lost & ~(lost_places & (kinds == 0))
    sparse &= good
    out = np.zeros((n, width))
    rows = np.repeat(np.arange(n), counts)
    full = good & ~sparse
    out[full] = values[full[rows]].reshape(-1, width)
    rows, values = rows[sparse[rows]], values[sparse[rows]]
    places = places[np.repeat(sparse, places_of_row)].astype(np.int64)
    wrong = (places < 0) | (places >= width)
    wrong[1:] |= (rows[1:] == rows[:-1]) & (np.diff(places) <= 0)
    good[rows[wrong]] = False
    out[rows[~wrong], places[~wrong]] = values[~wrong]
    return out, ~good


def _integers(column: pa.Array) -> AnyArray:
    """Return integers, with -1 in place of null."""
    return to_numpy(column) if not column.null_count else to_numpy(column.fill_null(-1))


def _lists(column: pa.Array) -> tuple[AnyArray, AnyArray, BoolArray]:
    """Return the length of each list, all their numbers concatenated, and which lists have a missing number."""
    nulls = column.is_null().to_numpy(zero_copy_only=False)
    counts = np.where(nulls, 0, np.diff(to_numpy(column.offsets)))
    values = flat(column)
    lost = np.zeros(len(column), np.bool_)
    if values.null_count:
        lost[np.repeat(np.arange(len(column)), counts)[values.is_null().to_numpy(zero_copy_only=False)]] = True
        values = values.fill_null(0)
    return counts, to_numpy(values), lost


def _unreadable(
    cell: object, keys: tuple[str, ...], width: int, role: str, sample: int, others: int
) -> UnreadableRowError:
    expected = f"a number for each of {listing(keys)}" if keys else f"{width} numbers"
    found, hint = repr(cell), "every row needs a number for each class, the same classes in all of them"
    try:
        row = row_of_cell(cell)
        dense(row, keys, width)
    except CellError as error:
        found, hint = error.found, error.hint or hint
    except ValueError:
        pass
    return UnreadableRowError("not a row of numbers", sample, role, found, expected, hint, others=others)


def holds_rows(column: pa.DataType) -> str:
    """Return what the cells of a nested type hold: "vector", "map" of numbers by name, or "" for anything else."""
    types = pa.types
    if item_keys(column) is not None:
        return "map"
    if types.is_map(column):
        return "map" if kind_of(column.item_type) == "number" else ""
    if not types.is_struct(column) or not column.num_fields:
        return ""
    fields = {field.name: field.type for field in column}
    if len(fields) < column.num_fields:
        return ""
    if fields.keys() == VECTOR and types.is_list(fields["values"]) and types.is_list(fields["indices"]):
        return "vector"
    numbers = (kind_of(each) == "number" and not types.is_boolean(each) for each in fields.values())
    return "map" if all(numbers) else ""
