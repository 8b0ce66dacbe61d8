"""The first rows of delimited text, taken apart when they are asked for."""

from __future__ import annotations

import csv
import io
from functools import cached_property
from itertools import islice
from typing import TYPE_CHECKING, Any

from xent_cli.readers.columns.cells.cell_text import cell_value
from xent_cli.readers.columns.sample import SAMPLED_ROWS
from xent_cli.readers.text.csv_dialect import SNIFFED_ROWS

if TYPE_CHECKING:
    from collections.abc import Sequence

    from xent_cli.readers.text.csv_layout import CsvLayout

# Of a text as long as this the last line may not be whole.
_MAY_BE_CUT = (1 << 20) - 64


class FirstRows:
    """The first rows of a text, but for lines that are cut or of another length."""

    def __init__(self, layout: CsvLayout, text: str) -> None:
        self._layout = layout
        self._text = text
        self._places = {name: place for place, name in enumerate(layout.names)}

    @cached_property
    def few(self) -> dict[str, list[str]]:
        """Cells of every column in a few rows, as far as these have as many."""
        rows = [row for row in islice(self._reader(), SNIFFED_ROWS) if row]
        return {name: [self._plain(row[i]) for row in rows if i < len(row)] for name, i in self._places.items()}

    def columns(self, names: Sequence[str]) -> dict[str, list[Any]]:
        """Cells of some columns, lists and maps among them as Python has them."""
        return {name: [self._value(row[self._places[name]]) for row in self._rows] for name in names}

    @cached_property
    def _rows(self) -> list[list[str]]:
        rows = [row for row in islice(self._reader(), SAMPLED_ROWS) if row]
        if len(self._text) >= _MAY_BE_CUT and len(rows) > 1:
            rows.pop()
        return [row for row in rows if len(row) == len(self._places)]

    def _reader(self) -> Any:
        return csv.reader(io.StringIO(self._text, newline=""), delimiter=self._layout.delimiter)

    def _plain(self, cell: str) -> str:
        return self._layout.marks.plain(cell)

    def _value(self, cell: str) -> Any:
        return cell_value(self._plain(cell)) if cell else None
