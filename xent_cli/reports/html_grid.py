"""Tables of a page: cells have a maximum size, and rows that do not fit are counted."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

from markupsafe import escape

from xent_cli.errors import printable

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

# Maximum rows and bytes of a table; all tables and pictures together stay below 300 KiB.
MOST_ROWS, ROOM, _CELL, _EMPTY = 60, 15_500, 60, 10
# Enough room to show at least 30 slices.
ROOM_OF_SLICES = 17_500
_LONGEST = 80
# A text that is longer is broken into lines, which must not be as short as its words.
_LONG, _TEXT, _LONG_TEXT = 24, "text", "text long"


class Cell(NamedTuple):
    """Text of a cell; `kind` is a class of the style sheet, and `share` in [0, 1] a bar below it, or shades "heat"."""

    text: str
    share: float | None = None
    kind: str = ""


class Grid(NamedTuple):
    """A table whose first column heads the rows.

    `beyond` is the number of rows that did not fit; a `wide` table takes the full width of the page; columns of words
    (`left`, by number) begin at one line, as columns of figures end at one.
    """

    caption: str
    heads: tuple[str, ...]
    rows: list[tuple[Cell, ...]]
    beyond: int
    wide: bool = False
    left: frozenset[int] = frozenset()


def grid_of(
    caption: str, heads: Sequence[str], rows: Iterable[tuple[Cell, ...]], *, wide: bool = False, room: int = ROOM
) -> Grid:
    """Keep the rows that fit, count the others, and leave out columns that are empty in all of them."""
    kept: list[tuple[Cell, ...]] = []
    beyond = 0
    for row in rows:
        room -= sum(len(escape(cell.text).encode()) + _CELL if cell.text else _EMPTY for cell in row)
        if room < 0 or len(kept) == MOST_ROWS:
            beyond += 1
            room = -1
        else:
            kept.append(row)
    used = [
        place
        for place in range(len(heads))
        if not place or not kept or any(row[place].text or row[place].kind == "heat" for row in kept)
    ]
    kept = [tuple(row[place] for place in used) for row in kept]
    left = frozenset(place for place in range(1, len(used)) if any(_is_word(row[place]) for row in kept))
    wide = wide or any(cell.kind == _LONG_TEXT for row in kept for cell in row[1:])  # too much for half a page
    return Grid(caption, tuple(heads[place] for place in used), kept, beyond, wide, left)


def _is_word(cell: Cell) -> bool:
    """Whether a cell holds a name and no number."""
    if cell.kind not in (_TEXT, _LONG_TEXT, "pass", "fail"):
        return False
    try:
        float(cell.text or "0")
    except ValueError:
        return True
    return False


def share_of(value: Any, top: float) -> float | None:
    """Return the length of a bar, or None for a value without one."""
    return None if not 0 <= value < float("inf") or not top else value / top


def number(value: float | int | bool | None) -> str:
    """Write a figure for people."""
    if value is None:
        return ""
    if isinstance(value, bool):
        return "yes" if value else "no"
    return f"{value:.6g}" if isinstance(value, float) else f"{value:,}"


def class_cell(label: int | None, names: tuple[str, ...] | None, first: int = 0) -> Cell:
    """Return the name of a class, or its number if it has no name; `first` is the number of the first class."""
    if label is None:
        return Cell("")
    return cell(str(label) if names is None or not 0 <= label - first < len(names) else names[label - first])


def cell(text: str) -> Cell:
    """Return a cell with text from a file."""
    shown = short(text, _LONGEST)
    return Cell(shown, kind=_LONG_TEXT if len(shown) > _LONG else _TEXT)


def short(text: str, longest: int) -> str:
    """Return text from a file on one line, without control characters, shortened if long."""
    shown = printable(text[: longest + 1])  # one character more than fits is enough: a name may have megabytes
    return shown if len(shown) <= longest else f"{shown[:longest]}…"
