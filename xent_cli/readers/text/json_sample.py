"""What the first lines of JSON Lines show about their keys."""

from __future__ import annotations

from functools import cached_property
from typing import TYPE_CHECKING, Any

from xent_cli.errors import InputError
from xent_cli.readers.columns.cells.cell_text import row_of_cell
from xent_cli.readers.columns.cells.named_scores import scores_by_name
from xent_cli.readers.columns.sample import SAMPLED_ROWS
from xent_cli.readers.text.csv_dialect import kind_of_texts
from xent_cli.readers.text.json_records import SNIFFED_LINES, is_number, row_of

if TYPE_CHECKING:
    from collections.abc import Sequence

    from xent_cli.readers.storage.interface import Bytes
    from xent_cli.readers.text.json_reshape import Reshape

# Most bytes of the lines that are read before the run.
_HEAD_BYTES = 1 << 20


class FirstRecords:
    """The first lines, parsed on demand; a last line that is cut off is left out."""

    def __init__(self, source: Bytes, body: int, records: list[dict[str, Any]], reshape: Reshape) -> None:
        self._source = source
        self._reshape = reshape
        self._body = body
        self._few = records

    @cached_property
    def _records(self) -> list[dict[str, Any]]:
        head = self._source.peek(_HEAD_BYTES)
        if len(head) < _HEAD_BYTES and head.count(b"\n") < SNIFFED_LINES:
            return self._few  # all lines
        rows = _first_rows(self._source, self._body)
        return [record for record in map(self._reshape.record, rows) if record is not None] or self._few

    def columns(self, names: Sequence[str]) -> dict[str, list[Any]]:
        """Return the values of some keys."""
        return {name: [record.get(name) for record in self._records] for name in names}


def _first_rows(source: Bytes, body: int) -> list[Any]:
    """Return the complete first lines, up to the first that is not JSON."""
    head = source.peek(_HEAD_BYTES)
    lines = head[body:].split(b"\n")
    whole = lines[: SAMPLED_ROWS if len(head) < _HEAD_BYTES else min(SAMPLED_ROWS, len(lines) - 1)]
    found = (row_of(line, "") for line in whole)
    return [row for row in found if not isinstance(row, InputError)]


def kind_of_values(values: list[Any]) -> str:
    """Return what a key can be used as, by its first values: a kind of column in `TableSample`.

    Examples
    --------
    >>> kind_of_values([[1, 2.5]]), kind_of_values([[1, 2]]), kind_of_values([None, True]), kind_of_values([["a"]])
    ('list', 'list of integers', 'bool', 'list of text')
    """
    held = [value for value in values if value is not None]
    if not held:
        return "other"
    if isinstance(held[0], list) and held[0] and isinstance(held[0][0], dict):
        return "map" if scores_by_name(held[0]) is not None else "other"
    if isinstance(held[0], list):
        items = [item for value in held if isinstance(value, list) for item in value if item is not None]
        if items and all(isinstance(item, str) for item in items):
            return "list of text"
        if not held[0] or not all(item is None or is_number(item) for item in held[0]):
            return "other"
        return "list of integers" if all(type(item) is int for item in items) else "list"
    if isinstance(held[0], dict):
        try:
            return "map" if row_of_cell(held[0]).keys else "vector"
        except ValueError:
            return "other"
    if isinstance(held[0], bool):
        return "bool"
    if not isinstance(held[0], str):
        return "number" if is_number(held[0]) else "other"
    return kind_of_texts([value for value in held if isinstance(value, str)])


def type_of_value(value: object) -> str:
    """Return the name of its JSON type."""
    words = {dict: "object", list: "array", str: "string", bool: "boolean", int: "number", float: "number"}
    return words.get(type(value), "null")
