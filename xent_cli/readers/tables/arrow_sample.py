"""What the schema and the first rows of an Arrow or Parquet file say about its columns."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pyarrow as pa

from xent_cli.readers.columns import sample as say
from xent_cli.readers.columns.cells.named_scores import are_named, named_lists
from xent_cli.readers.columns.sample import TableSample
from xent_cli.readers.tables.cells import holds_rows
from xent_cli.readers.tables.column_types import LISTS, stored_as, to_numpy
from xent_cli.readers.tables.table_source import texts_ahead

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from xent_cli.core.array_types import AnyArray
    from xent_cli.readers.tables.table_source import Table

# Most numbers of maps in a sample.
_MOST_NUMBERS = 1 << 16


def sample_of(bare: Table, schema: pa.Schema, first: Callable[[Sequence[str]], pa.Table]) -> TableSample:
    """Describe a table by its schema.

    Parameters
    ----------
    bare
        The table before any column is chosen.
    first
        Reads the first rows of some columns.
    """

    def rows(names: Sequence[str]) -> Mapping[str, Sequence[Any] | AnyArray]:
        table = first(list(dict.fromkeys([*names, *(named if named is not None and named[0] in names else ())])))
        found = {name: _values(table[name]) for name in names}
        if named is not None and named[0] in found:
            pairs = zip(table[named[0]].to_pylist(), table[named[1]].to_pylist(), strict=True)
            found[named[0]] = [dict(zip(n, s, strict=True)) if are_named(n, s) else None for s, n in pairs]
        return found

    fields = [(field.name, field.type) for field in schema]
    # Thousands of columns share a few types.
    by_type = {each: (kind_of_type(each), str(each)) for each in {each for _, each in fields}}
    kinds = {name: by_type[each][0] for name, each in fields}
    named = _named_by(kinds, first)
    if named is not None:
        kinds = {name: kind if name != named[0] else say.MAP for name, kind in kinds.items() if name != named[1]}
    return TableSample(
        bare.source.name,
        kinds,
        rows,
        lambda name: texts_ahead(bare, name),
        index_columns=_index_columns(schema),
        named_by=named,
        label_names=_class_labels(schema),
        types={name: by_type[each][1] for name, each in fields},
    )


def _named_by(kinds: Mapping[str, str], first: Callable[[Sequence[str]], pa.Table]) -> tuple[str, str] | None:
    """Find the list of scores and the list of their names in each row; see `named_lists`."""
    texts = [name for name, kind in kinds.items() if kind == say.TEXTS]
    floats = [name for name, kind in kinds.items() if kind == say.FLOATS] if texts else []
    if not floats:
        return None
    pair = named_lists(first([*texts, *floats]).to_pylist())
    return None if pair is None else pair[::-1]


def kind_of_type(column: pa.DataType) -> str:
    """Return the kind of a column with this type.

    Examples
    --------
    >>> [kind_of_type(each) for each in (pa.list_(pa.float32()), pa.dictionary(pa.int8(), pa.string()), pa.null())]
    ['list', 'text', 'other']
    """
    types, column = pa.types, stored_as(column)
    if types.is_dictionary(column):
        return kind_of_type(column.value_type)
    if types.is_boolean(column):
        return say.BOOL
    if types.is_integer(column) or types.is_floating(column) or types.is_decimal(column):
        return say.NUMBER
    if types.is_string(column) or types.is_large_string(column) or types.is_string_view(column):
        return say.TEXT
    if types.is_temporal(column):
        return say.DATE
    if any(is_list(column) for is_list in LISTS) and not types.is_struct(column.value_type):
        inner = column.value_type
        if types.is_integer(inner):
            return say.WHOLES
        return {say.NUMBER: say.FLOATS, say.TEXT: say.TEXTS}.get(kind_of_type(inner), say.OTHER)
    return holds_rows(column) or say.OTHER


def _values(column: pa.ChunkedArray) -> Sequence[Any] | AnyArray:
    # Text that is not UTF-8 is left to the run, which reports its row.
    if kind_of_type(column.type) == say.TEXT and not _is_unicode(column):
        return [None] * len(column)
    if kind_of_type(column.type) == say.VECTOR:
        return [next((cell.as_py() for cell in column if cell.is_valid), None)]
    if kind_of_type(column.type) == say.MAP:
        return _first_cells(column)
    plain = pa.types.is_integer(column.type) or pa.types.is_floating(column.type)
    values: Sequence[Any] | AnyArray = to_numpy(column) if plain and not column.null_count else column.to_pylist()
    return values


def _first_cells(column: pa.ChunkedArray) -> list[Any]:
    """Return one row, and more up to a limit on their numbers: a thousand as Python objects may not fit into memory."""
    found: list[Any] = []
    size = 0
    for cell in column:
        value = cell.as_py()
        found.append(value)
        size += len(value or ())
        if value is not None and size > _MOST_NUMBERS:
            break
    return found


def _is_unicode(column: pa.ChunkedArray) -> bool:
    try:
        column.validate(full=True)
    except pa.ArrowInvalid:
        return False
    return True


def _index_columns(schema: pa.Schema) -> frozenset[str]:
    """Return the columns that pandas wrote as the index."""
    described = _json(schema, b"pandas").get("index_columns")
    found = described if isinstance(described, list) else []
    return frozenset(name for name in found if isinstance(name, str))


def _class_labels(schema: pa.Schema) -> dict[str, tuple[str, ...]]:
    """Return the class names of each integer column, as the datasets library writes them."""
    info = _json(schema, b"huggingface").get("info")
    features = info.get("features") if isinstance(info, dict) else None
    found = {}
    for name, feature in (features if isinstance(features, dict) else {}).items():
        names = feature.get("names") if isinstance(feature, dict) and feature.get("_type") == "ClassLabel" else None
        if isinstance(names, list) and names and all(isinstance(each, str) for each in names):
            found[name] = tuple(names)
    return found


def _json(schema: pa.Schema, key: bytes) -> dict[str, Any]:
    try:
        described = json.loads((schema.metadata or {}).get(key, b"{}"))
    except (ValueError, RecursionError):
        return {}
    return described if isinstance(described, dict) else {}
