"""The first and the last rows of a run as a table on a terminal."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from xent_cli.core.number_text import rounded
from xent_cli.reports.tables import print_table
from xent_cli.writers.row_text import row_texts, rows_between

if TYPE_CHECKING:
    from rich.console import Console

    from xent_cli.core.evaluate import BlockLoss
    from xent_cli.core.row_columns import RowFormat

# Number of rows shown from either end; more would scroll the summary off the screen.
_ENDS = 5


@dataclass(slots=True)
class TableWriter:
    """Keeps the first and the last rows of a run, and prints them at the end."""

    console: Console
    columns: RowFormat
    _head: list[list[str]] = field(default_factory=list)
    _tail: deque[list[str]] = field(default_factory=lambda: deque(maxlen=_ENDS))
    _rows: int = 0

    def write(self, rows: BlockLoss) -> None:
        """See `RowWriter`."""
        self._rows += rows.size
        wanted = _ENDS - len(self._head)
        if wanted > 0:
            self._head += self._cells(rows_between(rows, 0, min(wanted, rows.size)))
        self._tail.extend(self._cells(rows_between(rows, max(0, rows.size - _ENDS), rows.size)))

    def finish(self) -> None:
        """See `RowWriter`."""
        rest = self._rows - len(self._head)
        tail = list(self._tail)[-rest:] if rest > 0 else []
        gap = [["..." if self.console.options.ascii_only else "…"]] if rest > len(tail) else []
        names = self.columns.names
        print_table(self.console, names, [*self._head, *gap, *tail], expendable=names[names.index("loss") + 1 :][::-1])
        if rest > len(tail):
            self.console.print(f"{rest - len(tail)} of {self._rows} samples not shown; -f tsv or -o FILE has them all")

    def _cells(self, rows: BlockLoss) -> list[list[str]]:
        # A loss that is only bounded is not ignored.
        missing = "ignored" if rows.ends is None else "not known"
        texts = row_texts(rows, self.columns, rounded, missing=missing, quote=str)
        found = [list(cells) for cells in zip(*texts, strict=True)]
        if rows.ends is not None and rows.left_out is not None:
            for row in rows.left_out.nonzero()[0].tolist():
                found[row] = ["ignored" if cell == missing else cell for cell in found[row]]
        return found
