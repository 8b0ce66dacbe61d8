"""Arrow tables to rows of logits, labels, weights and ids: what CSV, Parquet and Arrow files have in common."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa

from xent_cli.core.block import Rows
from xent_cli.errors import InputError, MissingValueError, RowError, UnreadableRowError
from xent_cli.readers.tables.column_types import dtype_of, flat, is_text, kind_of, to_numpy
from xent_cli.readers.tables.marks import present

if TYPE_CHECKING:
    from collections.abc import Iterable

    from xent_cli.core.array_types import AnyArray
    from xent_cli.readers.columns.column_plan import ColumnPlan, Reading


def plain_rows(table: pa.Table, reading: Reading, start: int) -> Rows:
    """Convert a table in which every row counts; see `rows_of`."""
    plan, role, width, class_names = reading.plan, reading.role, reading.width, reading.class_names
    fields = {role: _values(table, plan, width, role, start)} if plan.values else {}
    if plan.label is not None:
        labels = table[plan.label]
        if plan.ignore_missing:
            labels, missing = present(decoded(labels), class_names)
            if missing is not None:
                fields["unscored"] = missing
        fields["labels"] = _labels(labels, class_names, plan.spelt, start)
        if plan.numbers and (class_names is None or not is_text(labels.type)):
            from xent_cli.readers.numbered_labels import places_of

            fields["labels"] = places_of(fields["labels"], plan.numbers, plan.ignored, start)
    if plan.weight is not None:
        fields["weights"] = _numbers(table[plan.weight], "weights", start)
    if plan.units is not None:
        fields["units"] = _numbers(table[plan.units], "units", start)
    if plan.id is not None:
        fields["ids"] = _texts(table, plan.id, role, start).to_numpy(zero_copy_only=False)
    if plan.by:
        fields["groups"] = np.empty((table.num_rows, len(plan.by)), object)
        for place, name in enumerate(plan.by):
            fields["groups"][:, place] = _shared_texts(_texts(table, name, role, start))
    return Rows(**fields)


def _values(table: pa.Table, plan: ColumnPlan, width: int, role: str, start: int) -> AnyArray:
    if not plan.is_list:
        return _wide_values(table, plan.values, role, start, missing=plan.values_only)
    if not plan.cells:
        return _list_values(table[plan.values[0]], width, role, start, missing=plan.values_only)
    from xent_cli.readers.tables.cells import values_of_cells

    return values_of_cells(decoded(table[plan.values[0]]), plan.keys, width, role, start, missing=plan.values_only)


def _texts(table: pa.Table, name: str, role: str, start: int) -> pa.ChunkedArray:
    """Return a column as text, with null for a missing value."""
    column = table[name]
    try:
        texts = decoded(column)
        if is_text(texts.type):
            _refuse_bytes(texts, role, start, name)
        return texts.cast(pa.string())
    except (pa.ArrowInvalid, pa.ArrowNotImplementedError):
        raise InputError(
            "column is not text", f'column "{name}"', found=f"type {column.type}", expected="text, numbers or dates"
        ) from None


def _refuse_bytes(texts: pa.ChunkedArray, role: str, start: int, name: str = "") -> None:
    """Refuse text that is not UTF-8: Arrow does not validate text from Parquet and JSON until it is used."""
    try:
        texts.validate(full=True)
    except pa.ArrowInvalid:
        held = [None if text is None else bytes(text) for text in texts.cast(pa.large_binary()).to_pylist()]
        bad = [row for row, text in enumerate(held) if text is not None and not _is_text(text)]
        found, hint = (repr(held[bad[0]]), "save it as UTF-8") if bad else ("a damaged column", "write it again")
        row, others = (bad[0], len(bad) - 1) if bad else (0, 0)
        details = "text is not UTF-8", start + row, role, found, "UTF-8", hint, "", name
        raise UnreadableRowError(*details, others=others) from None


def _is_text(text: bytes) -> bool:
    try:
        text.decode()
    except UnicodeDecodeError:
        return False
    return True


def _shared_texts(column: pa.ChunkedArray) -> AnyArray:
    """Return the texts [n] of a column with few distinct ones, creating each string once."""
    encoded = column.combine_chunks().dictionary_encode()
    encoded = encoded.combine_chunks() if isinstance(encoded, pa.ChunkedArray) else encoded
    words = np.array([*encoded.dictionary.to_pylist(), None], object)
    texts: AnyArray = words[to_numpy(encoded.indices.fill_null(len(words) - 1))]
    return texts


def _wide_values(table: pa.Table, names: tuple[str, ...], role: str, start: int, *, missing: bool) -> AnyArray:
    """Stack columns as [k, n] and return the transpose: the kernel accepts either layout."""
    batches = table.to_batches()
    if len(batches) == 1:
        # One call for all columns: a thousand separate calls take a thousand times as long.
        wanted, held = list(names), batches[0].schema.names
        first = held.index(names[0])
        # Arrow looks up names one by one, but positions at once.
        together = held[first : first + len(wanted)] == wanted
        columns = batches[0].select([*range(first, first + len(wanted))] if together else wanted)
        if len(set(columns.schema.types)) == 1:
            try:
                stacked: AnyArray = columns.to_tensor(row_major=False).to_numpy()
                return stacked
            except (pa.ArrowTypeError, pa.ArrowNotImplementedError):  # nulls, or not plain numbers
                pass
    dtypes = {dtype_of(table.schema.field(name).type) for name in names}
    dtype = dtypes.pop() if len(dtypes) == 1 else np.dtype(np.float64)
    out = np.empty((len(names), table.num_rows), dtype)
    for row, name in zip(out, names, strict=True):
        row[:] = _numbers(table[name], role, start, missing=missing)
    return out.T


def _list_values(column: pa.ChunkedArray, width: int, role: str, start: int, *, missing: bool) -> AnyArray:
    array = column.combine_chunks() if column.num_chunks != 1 else column.chunk(0)
    if isinstance(array, pa.ChunkedArray):
        array = array.chunk(0)
    if isinstance(array, pa.ExtensionArray):
        array = array.storage
    # pyarrow.compute is not used, because its import takes longer than reading a small table.
    if pa.types.is_fixed_size_list(array.type):
        lengths = np.full(len(array), array.type.list_size)
    elif pa.types.is_list_view(array.type) or pa.types.is_large_list_view(array.type):
        # Rows of a view may lie in any order and share values. Arrow's cast to lists forgets the last offset.
        lengths = to_numpy(array.sizes)
    else:
        lengths = np.diff(to_numpy(array.offsets))
    values = flat(array)
    if array.null_count or (values.null_count and not (missing and pa.types.is_floating(values.type))):
        bad = array.is_null().to_numpy(zero_copy_only=False)
        of_row = np.repeat(np.flatnonzero(~bad), lengths[~bad])
        bad[of_row[values.is_null().to_numpy(zero_copy_only=False)]] = True
        found = "null" if array[int(np.argmax(bad))].as_py() is None else "null in the list"
        raise _missing(bad, start, role, found, "a list of numbers")
    if not width and len(array):
        raise UnreadableRowError(
            "empty list", start, role, "no values", "a number for each class", others=len(array) - 1
        )
    if (lengths != width).any():
        bad = lengths != width
        row = int(np.argmax(bad))
        found = f"{lengths[row]} values"
        others = int(np.count_nonzero(bad)) - 1
        raise UnreadableRowError("list of the wrong length", start + row, role, found, f"{width}", others=others)
    return to_numpy(values).reshape(-1, width)


def _labels(
    column: pa.ChunkedArray, class_names: tuple[str, ...] | None, spelt: tuple[str, ...], start: int
) -> AnyArray:
    column = decoded(column)
    if not is_text(column.type):
        return _numbers(column, "labels", start)
    refuse_nulls([("", column)], "labels", start)
    _refuse_bytes(column, "labels", start)
    if class_names is None:
        return _parsed_labels(column, start)
    import pyarrow.compute as pc

    index = pc.index_in(column, value_set=_arrow_texts(class_names).cast(column.type))
    if index.null_count:
        from xent_cli.readers.class_names import NameIndex

        known = NameIndex(class_names, spelt)
        words = pc.unique(column.filter(pc.is_null(index)))
        places = pa.array([known.place(word) for word in words.to_pylist()], pa.int32())
        index = pc.coalesce(index, pc.take(places, pc.index_in(column, value_set=words)))
    if index.null_count:
        row = int(np.argmax(index.is_null().to_numpy(zero_copy_only=False)))
        from xent_cli.readers.class_names import unknown_name

        raise unknown_name(column[row].as_py(), class_names, start + row, index.null_count - 1)
    return to_numpy(index)


def _arrow_texts(values: Iterable[str]) -> pa.Array:
    """Return an Arrow array of texts; not by `pa.array`, which imports pandas, in a tenth of a second."""
    encoded = [value.encode() for value in values]
    ends = np.cumsum([0, *map(len, encoded)]).astype(np.int64)
    return pa.LargeStringArray.from_buffers(len(encoded), pa.py_buffer(ends), pa.py_buffer(b"".join(encoded)))


def decoded(column: pa.ChunkedArray) -> pa.ChunkedArray:
    """Return plain values in place of a dictionary or of views, for which Arrow lacks most functions."""
    if pa.types.is_dictionary(column.type):
        # A dictionary of views cannot be cast, but it is short, so its values are converted first.
        chunks = [_plain(chunk.dictionary).take(chunk.indices) for chunk in column.chunks]
        return pa.chunked_array(chunks, None if chunks else pa.string())
    return _plain(column)


def _plain(values: pa.Array | pa.ChunkedArray) -> pa.Array | pa.ChunkedArray:
    return values.cast(pa.large_string()) if pa.types.is_string_view(values.type) else values


def _parsed_labels(column: pa.ChunkedArray, start: int) -> AnyArray:
    """Parse class indices that are stored as text."""
    try:
        return to_numpy(column.cast(pa.float64()))
    except pa.ArrowInvalid:
        texts = column.to_pylist()
        bad = {text for text in set(texts) if not _is_number(text)}
        row = next(row for row, text in enumerate(texts) if text in bad)
        raise UnreadableRowError(
            "label is not a number",
            start + row,
            "labels",
            found=f'"{texts[row]}"',
            expected="a class index",
            hint="names of classes need columns of those names, or --class-names",
            others=sum(text in bad for text in texts) - 1,
        ) from None


def _is_number(text: str) -> bool:
    try:
        pa.scalar(text).cast(pa.float64())
    except pa.ArrowInvalid:
        return False
    return True


def _numbers(column: pa.ChunkedArray, role: str, start: int, *, missing: bool = False) -> AnyArray:
    column = decoded(column)
    refuse_nulls([("", column)], role, start, missing=missing)
    if kind_of(column.type) != "number":
        raise RowError("column is not numeric", start, role, found=f"type {column.type}", expected="numbers")
    return to_numpy(column)


def refuse_nulls(
    columns: Iterable[tuple[str, pa.Array | pa.ChunkedArray]], role: str, start: int, *, missing: bool = False
) -> None:
    """Refuse rows that have no value in one of some named columns.

    Parameters
    ----------
    missing
        Whether missing values are allowed; Arrow turns them into NaN.

    Raises
    ------
    MissingValueError
        At the first of them, in the first such column.
    """
    names = []
    first: AnyArray | None = None
    for name, column in columns:
        if column.null_count and not (missing and pa.types.is_floating(column.type)):
            first = np.full(len(column), -1) if first is None else first
            names.append(name)
            first[column.is_null().to_numpy(zero_copy_only=False) & (first < 0)] = len(names) - 1
    if first is not None:
        bad = first >= 0
        raise _missing(bad, start, role, "null", "a value in every row", names[first[np.argmax(bad)]])


def _missing(bad: AnyArray, start: int, role: str, found: str, expected: str, column: str = "") -> MissingValueError:
    row, others = int(np.argmax(bad)), int(np.count_nonzero(bad)) - 1
    return MissingValueError("missing value", start + row, role, found, expected, column=column, others=others)
