"""The first rows of delimited text, split into cells on demand."""

from __future__ import annotations

import io
from functools import cached_property
from itertools import islice
from typing import TYPE_CHECKING, Any

from xent_cli.errors import InputError
from xent_cli.readers.columns.sample import FLOATS, MAP, NUMBER, SAMPLED_ROWS, TEXT, TEXTS, WHOLES
from xent_cli.readers.columns.words import kind_of_stem
from xent_cli.readers.text.csv_dialect import SNIFFED_ROWS, columns_of_numbers, kind_of_cells
from xent_cli.readers.text.text_chunks import csv_reader

if TYPE_CHECKING:
    from collections.abc import Sequence

    from xent_cli.readers.text.csv_layout import CsvLayout

# How an array, a vector or a map begins as text.
_BRACKETS = frozenset("[({atnDS")
# In a text of at least this length the last line may be cut off.
_MAY_BE_CUT = (1 << 20) - 64


def hint_at_length(found: int, expected: int) -> str:
    """Return the hint for a row with a different number of cells than the header."""
    hint = "is the delimiter right, or a cell with one in it not quoted?"
    if found != expected + 1:
        return hint
    return f"{hint} Or has a column no name? R writes one for its row names after col.names = NA"


class FirstRows:
    """The first rows of a text, without lines that are cut off or have a different number of cells.

    Parameters
    ----------
    few
        The cells of `SNIFFED_ROWS` rows, or of all rows if there are fewer.
    """

    def __init__(self, layout: CsvLayout, text: str, few: list[list[str]]) -> None:
        self._layout = layout
        self._text = text
        self._few = few
        self._places = {name: place for place, name in enumerate(layout.names)}

    @cached_property
    def few(self) -> dict[str, list[str]]:
        """Return the cells of every column in a few rows; a short row has no cell in the last columns."""
        rows = [row for row in self._few if row]
        *whole, last = rows or [[]]
        if whole and len(last) <= len(self._places) and all(len(row) == len(self._places) for row in whole):
            columns = list(map(list, zip(*whole, strict=True)))
            for column, cell in zip(columns, last, strict=False):  # a line that is cut off ends early
                column.append(cell)
            return dict(zip(self._places, columns, strict=True))
        return {name: [row[i] for row in rows if i < len(row)] for name, i in self._places.items()}

    @cached_property
    def kinds(self) -> dict[str, str]:
        """Return what each column can be used as.

        Several numbers in a cell without brackets are scores if a name says so.
        """
        found = {}
        numbers = columns_of_numbers([*self.few.values()])
        for name, cells, plain in zip(self.few, self.few.values(), numbers, strict=True):
            if plain:
                found[name] = NUMBER
                continue
            found[name] = kind_of_cells(cells)
            if found[name] == FLOATS and kind_of_stem(name) is None and _are_bare(cells):
                found[name] = TEXT
        return found

    def refuse_other_length(self, name: str) -> None:
        """Refuse a text whose first rows all have a different number of cells than the header.

        Raises
        ------
        InputError
            At the first of them.
        """
        first = next((row for row in self._few if row), None)
        if first is not None and len(first) != len(self._places) and not self._rows:
            where = f"{name} line {self._layout.header_lines + 1} (sample 0)"
            hint = hint_at_length(len(first), len(self._places))
            raise InputError("wrong number of cells", where, f"{len(first)} cells", f"{len(self._places)}", hint)

    def columns(self, names: Sequence[str]) -> dict[str, list[Any]]:
        """Return the cells of some columns, with lists and maps as Python objects."""
        return {name: self._values(name) for name in names}

    def _values(self, name: str) -> list[Any]:
        place = self._places[name]
        if self.kinds[name] not in (FLOATS, WHOLES, TEXTS, MAP):
            return [row[place] or None for row in self._rows]
        from xent_cli.readers.columns.cells.cell_text import cell_value

        return [cell_value(row[place]) if row[place] else None for row in self._rows]

    @cached_property
    def _rows(self) -> list[list[str]]:
        rows = [row for row in self._few if row]
        if len(self._few) == SNIFFED_ROWS:
            reader = csv_reader(io.StringIO(self._text, newline=""), delimiter=self._layout.delimiter)
            rows = [self._layout.marks.plain_row(row) for row in islice(reader, SAMPLED_ROWS) if row]
        if len(self._text) >= _MAY_BE_CUT and len(rows) > 1:
            rows.pop()
        return [row for row in rows if len(row) == len(self._places)]


def _are_bare(cells: Sequence[str]) -> bool:
    """Whether no cell begins with a bracket, or with the name of an array."""
    return not any(cell.lstrip()[:1] in _BRACKETS for cell in cells if cell.strip())
