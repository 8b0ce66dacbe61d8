"""The first rows of delimited text, taken apart when they are asked for."""

from __future__ import annotations

import csv
import io
from functools import cached_property
from itertools import islice
from typing import TYPE_CHECKING

from xent_cli.readers.columns.sample import SAMPLED_ROWS

if TYPE_CHECKING:
    from collections.abc import Sequence

# Of a text as long as this the last line may not be whole.
_MAY_BE_CUT = (1 << 20) - 64


class FirstRows:
    """The first rows of the text, but for lines that are cut or of another length."""

    def __init__(self, text: str, delimiter: str, names: tuple[str, ...], has_header: bool) -> None:
        self._text = text
        self._delimiter = delimiter
        self._places = {name: place for place, name in enumerate(names)}
        self._skipped = int(has_header)

    @cached_property
    def _rows(self) -> list[list[str]]:
        reader = csv.reader(io.StringIO(self._text, newline=""), delimiter=self._delimiter)
        rows = [row for row in islice(reader, SAMPLED_ROWS + 1) if row]
        if len(self._text) >= _MAY_BE_CUT and len(rows) > 1 + self._skipped:
            rows.pop()
        return [row for row in rows[self._skipped :] if len(row) == len(self._places)]

    def columns(self, names: Sequence[str]) -> dict[str, list[str | None]]:
        """Cells of some columns."""
        places = [self._places[name] for name in names]
        return {name: [row[i] or None for row in self._rows] for name, i in zip(names, places, strict=True)}
