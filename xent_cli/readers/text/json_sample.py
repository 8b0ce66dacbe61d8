"""What the first lines of JSON Lines say of their keys."""

from __future__ import annotations

from functools import cached_property
from typing import TYPE_CHECKING, Any

from xent_cli.readers.columns.sample import SAMPLED_ROWS
from xent_cli.readers.tables.cell_text import row_of_cell
from xent_cli.readers.text.json_records import is_number, record_of

if TYPE_CHECKING:
    from collections.abc import Sequence

    from xent_cli.readers.storage.stored import Bytes

# Of what is looked at ahead.
_HEAD_BYTES = 1 << 20


class FirstRecords:
    """The first lines, parsed when they are asked for; where the last one is cut it is left out."""

    def __init__(self, source: Bytes, body: int, records: list[dict[str, Any]]) -> None:
        self._source = source
        self._body = body
        self._few = records

    @cached_property
    def _records(self) -> list[dict[str, Any]]:
        return records_of(self._source, self._body, SAMPLED_ROWS) or self._few

    def columns(self, names: Sequence[str]) -> dict[str, list[Any]]:
        """Values of some keys."""
        return {name: [record.get(name) for record in self._records] for name in names}


def records_of(source: Bytes, body: int, most: int) -> list[dict[str, Any]]:
    """The first lines that are whole, as far as they are objects."""
    head = source.peek(_HEAD_BYTES)
    lines = head[body:].split(b"\n")
    found = (record_of(line, "") for line in lines[: most if len(head) < _HEAD_BYTES else min(most, len(lines) - 1)])
    return [record for record in found if isinstance(record, dict)]


def kind_of_values(values: list[Any]) -> str:
    """What a key can serve as, by its first values: a kind of column of `column_sample`.

    Examples
    --------
    >>> kind_of_values([[1, 2.5]]), kind_of_values([[1, 2]]), kind_of_values([None, True]), kind_of_values([["a"]])
    ('list', 'list of integers', 'bool', 'list of text')
    """
    held = [value for value in values if value is not None]
    if not held:
        return "other"
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
    return "number" if is_number(held[0]) else "text" if isinstance(held[0], str) else "other"


def type_of_value(value: object) -> str:
    """What JSON calls it."""
    words = {dict: "object", list: "array", str: "string", bool: "boolean", int: "number", float: "number"}
    return words.get(type(value), "null")
