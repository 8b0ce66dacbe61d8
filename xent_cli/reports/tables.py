"""Tables on a terminal, made to fit its width without ever breaking a number."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from rich import box
from rich.cells import cell_len, set_cell_size
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from xent_cli.errors import printable

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Sequence

_NUMBER = re.compile(r"[-+]?(\d[\d.]*(e[-+]?\d+)?|inf|nan)( %)?")
# What a column of numbers shows if there is no number.
_NO_NUMBER = {"", "…", "...", "~", "n/a", "ignored", "true", "false"}
_DECIMAL = re.compile(r"(?<![\w.])([-+]?)(\d+\.\d+)(e[-+]?\d+)?(?![\w.])")
_FEW_DIGITS = 4
# Blanks at the left of each column but the first, and around it.
_GAP, _EDGE = 3, 2
# Length that texts are cut to before numbers lose digits, and after that.
_SHORT_TEXT, _SHORTEST_TEXT = 24, 8


class PipeConsole(Console):
    """A console that leaves a closed pipe to the caller; rich would exit with 1, which is reserved for verdicts."""

    def on_broken_pipe(self) -> None:
        """Raise the error again."""
        raise BrokenPipeError


def print_table(
    console: Console,
    heads: Sequence[str],
    rows: Iterable[Sequence[str]],
    *,
    expendable: Sequence[str] = (),
    all_digits: bool = False,
    styles: Sequence[str | None] = (),
    sections: Collection[int] = (),
) -> None:
    """Print a table: numbers to the right, text to the left.

    If it is wider than the console, long texts are cut to 24 characters, then numbers are rounded to four digits (not
    with `all_digits`), then the `expendable` columns are left out one by one, which a line below says, and then
    texts are cut further.

    Parameters
    ----------
    heads, rows
        Plain text, escaped here.
    styles
        Style of each row.
    sections
        Rows that have a line below them.
    """
    heads = [printable(head) for head in heads]
    cells = [[printable(cell) for cell in row] + [""] * (len(heads) - len(row)) for row in rows]
    numeric = [_is_numeric([row[place] for row in cells]) for place in range(len(heads))]
    _cut(heads, cells, numeric, console, _SHORT_TEXT)
    if not all_digits and _width(heads, cells) > console.width:
        for row in cells:
            row[:] = [_shortened(cell) if numeric[place] else cell for place, cell in enumerate(row)]
    left_out = []
    for name in map(printable, expendable):
        if name in heads and _width(heads, cells) > console.width:
            left_out.append(name)
            place = heads.index(name)
            del heads[place], numeric[place]
            for row in cells:
                del row[place]
    _cut(heads, cells, numeric, console, _SHORTEST_TEXT)
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False)
    for head, is_number in zip(heads, numeric, strict=True):
        table.add_column(escape(head), justify="right" if is_number else "left", no_wrap=True)
    for place, row in enumerate(cells):
        style = styles[place] if place < len(styles) else None
        table.add_row(*map(escape, row), style=style, end_section=place in sections)
    width = console.width
    # rich would squeeze the columns of a table that is still too wide; the terminal wraps its lines instead.
    console.width = max(width, _width(heads, cells))
    console.print(table)
    console.width = width
    if left_out:
        console.print(f"not shown for lack of room: {escape(', '.join(left_out))}", soft_wrap=True)


def _is_numeric(column: Sequence[str]) -> bool:
    words = [text for text in column if text not in _NO_NUMBER]
    return all(_NUMBER.fullmatch(text) or text.startswith(("[", "~")) for text in words)


def _width(heads: Sequence[str], rows: Sequence[Sequence[str]]) -> int:
    columns = zip(heads, *rows, strict=True)
    return sum(max(map(cell_len, column)) for column in columns) + _GAP * (len(heads) - 1) + _EDGE


def _shortened(cell: str) -> str:
    """Round every number of a cell to four significant digits.

    Examples
    --------
    >>> _shortened("[+0.160726, +0.354783]"), _shortened("+3506.46 %"), _shortened("360"), _shortened("2.97e-07")
    ('[+0.1607, +0.3548]', '+3506 %', '360', '2.97e-07')
    """
    return _DECIMAL.sub(lambda found: found[1] + f"{float(found[2] + (found[3] or '')):.{_FEW_DIGITS}g}", cell)


def _cut(
    heads: Sequence[str], rows: Sequence[list[str]], numeric: Sequence[bool], console: Console, shortest: int
) -> None:
    """Cut the texts of the widest columns of text until the table fits, or they have the `shortest` length."""
    mark = "..." if console.options.ascii_only else "…"
    while (excess := _width(heads, rows) - console.width) > 0:
        widths = {
            place: max(cell_len(row[place]) for row in rows)
            for place, is_number in enumerate(numeric)
            if not is_number and rows
        }
        place = max(widths, key=lambda p: widths[p], default=-1)
        if place < 0 or widths[place] <= max(shortest, cell_len(heads[place])):
            return
        room = max(shortest, cell_len(heads[place]), widths[place] - excess)
        for row in rows:
            if cell_len(row[place]) > room:
                row[place] = set_cell_size(row[place], room - len(mark)).rstrip() + mark


def safe(text: str) -> str:
    """Escape text from a file, so that neither control characters nor markup reach the terminal."""
    return escape(printable(text))
