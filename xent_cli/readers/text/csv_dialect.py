"""Detect the delimiter, the header and the kinds of columns from the first lines of delimited text."""

from __future__ import annotations

import re
from collections import deque
from pathlib import PurePath
from typing import TYPE_CHECKING

from xent_cli.readers.columns.sample import BOOL, FLOATS, MAP, TEXT, TEXTS, WHOLES
from xent_cli.readers.text.number_marks import NUMBER, may_be_number
from xent_cli.readers.text.text_chunks import csv_reader

if TYPE_CHECKING:
    from collections.abc import Sequence

SNIFFED_ROWS = 32
# Number of columns that are examined together.
_BLOCK = 256
_WHOLE = re.compile(r"\s*[-+]?\d+\s*")
_ACROSS_BLANKS = re.compile(r",\d+\s+[-+]?\d*,\d")
_BETWEEN_BLANKS = re.compile(r'"(?:[^"]|"")*"|\S+')
_NOTHING = ("", "na", "n/a", "null", "none")
# From the strictest to the one that accepts anything; a column gets the first type that accepts its first cell.
LABEL_TYPES = ("bool", "int64", "float64", "string")
# Their NumPy dtypes.
DTYPES = {"bool": "bool", "int64": "int64", "float64": "float64", "string": "object", "list": "int64"}
# A label in a list, or a one-hot vector.
LISTED = "list"


def delimiter_of(name: str, text: str) -> str:
    r"""Detect the delimiter: the first that splits the first lines into equally many cells; a .tsv file has tabs.

    A blank means runs of blanks, if these separate two or more columns of numbers and nothing else does. The first line
    may then have one cell fewer: R leaves out the name of the column of row names.

    Examples
    --------
    >>> delimiter_of("t.csv", "a;b\n0,5;1\n"), delimiter_of("t.txt", "a  b\n0.5  1\n2    3\n")
    (';', ' ')
    >>> delimiter_of("t.txt", "Iris setosa\nIris virginica\n")
    ','
    """
    if {".tsv", ".tab"} & set(PurePath(name).suffixes):
        return "\t"
    lines = _first_lines(text)
    counts = {mark: _counts(lines, mark) for mark in "\t;|,"}
    alike = [mark for mark, found in counts.items() if found and found[0] > 1 and len(set(found)) == 1]
    if _are_separated_by_blanks(lines, alike):
        return " "
    # The comma comes last: it may be a decimal comma in numbers.
    return alike[0] if alike else max(",\t;|", key=lambda mark: counts[mark][:1])


def _counts(lines: Sequence[str], mark: str) -> list[int]:
    """Return how many cells each line has."""
    if not any('"' in line for line in lines):
        return [line.count(mark) + 1 for line in lines]
    return [len(cells) for cells in csv_reader(lines, delimiter=mark)]


def _are_separated_by_blanks(lines: Sequence[str], alike: Sequence[str]) -> bool:
    """Whether blanks separate columns of numbers, given the characters that split all lines into equally many cells."""
    # Decimal commas split lines too, but then a cell contains the end of one number and the beginning of the next.
    if alike and (alike != [","] or not all(_ACROSS_BLANKS.search(line) for line in lines[1:] or lines)):
        return False
    rows = [_BETWEEN_BLANKS.findall(line) for line in lines]
    if not rows or any("[" in cell or "]" in cell for row in rows for cell in row):
        return False
    names, *below = rows if len(rows) > 1 else [rows[0], rows[0]]
    width = len(below[0])
    if any(len(row) != width for row in below) or len(names) not in (width, width - 1):
        return False
    numeric = (all(_is_nothing(row[i]) or may_be_number(row[i]) for row in below) for i in range(width))
    return sum(numeric) > 1


def _first_lines(text: str) -> list[str]:
    lines = text.splitlines()[:SNIFFED_ROWS]
    return [line for line in (lines[:-1] if len(lines) > 2 else lines) if line.strip()]


def _is_nothing(cell: str) -> bool:
    return cell.strip().lower() in _NOTHING


def _is_array(cell: str) -> bool:
    if cell.lstrip()[:1] not in ("[", "("):
        return False
    from xent_cli.readers.columns.cells.cell_text import cell_value

    return isinstance(cell_value(cell), list)


def is_header(first: Sequence[str], rows: Sequence[Sequence[str]]) -> bool:
    """Whether the first line names columns: it has text in a cell, or numbers the columns above rows that do not.

    Examples
    --------
    >>> is_header(["cat", "1"], []), is_header(["0.5", ""], []), is_header(["0", "1"], [["0.5", "2.25"]])
    (True, False, True)
    >>> is_header(["", "0"], [["0", "2"], ["1", "0"]]), is_header(["0", "1"], [["2", "1"]])
    (True, False)
    """
    filled = False
    for place, cell in enumerate(first):
        if NUMBER.fullmatch(cell):
            filled = True
        elif not _is_nothing(cell) and not (
            _is_array(cell) and rows and _is_array("".join(rows[0][place : place + 1]))
        ):
            return True  # a cell with an array above other arrays is not a name
    if not filled:
        return False
    unnamed = not first[0].strip()
    counted = first[1:] if unnamed else first
    start = counted[0].strip() if counted else ""
    if start not in ("0", "1") or [cell.strip() for cell in counted] != [
        str(i) for i in range(int(start), int(start) + len(counted))
    ]:
        return False
    below = [cell for row in rows for cell in row[unnamed:] if cell.strip()]
    if unnamed and rows and [row[0].strip() for row in rows if row] == [str(i) for i in range(len(rows))]:
        return True
    return len(counted) > 1 and bool(below) and not all(_WHOLE.fullmatch(cell) for cell in below)


def kind_of_cells(cells: list[str]) -> str:
    """Return what a column can be used as; one bad cell must not turn a class column into text."""
    if not cells:
        return "number"
    numbers = 0
    for cell in cells:
        numbers += not cell or may_be_number(cell)
        if 2 * numbers >= len(cells):
            return "number"
    held = [cell for cell in cells if cell.strip()]
    return BOOL if all(cell.strip().lower() in ("true", "false") for cell in held) else kind_of_texts(held)


def columns_of_numbers(columns: Sequence[Sequence[str]]) -> list[bool]:
    """Return which columns certainly hold only numbers with a decimal point.

    A block of columns is parsed at once, so False only means that something in the block is not such a number. A
    regular expression for each cell takes ten times as long: half a second for the header of a vocabulary.

    Examples
    --------
    >>> columns_of_numbers([["0.5", "nan"], ["-1e3", "2"]]), columns_of_numbers([["1_0"]]), columns_of_numbers([[]])
    ([True, True], [False], [False])
    """
    found = []
    for start in range(0, len(columns), _BLOCK):
        block = columns[start : start + _BLOCK]
        found += [_all_are_numbers(block)] * len(block)
    return found


def _all_are_numbers(columns: Sequence[Sequence[str]]) -> bool:
    if not all(columns) or any("_" in "".join(cells) for cells in columns):
        return False
    try:
        for cells in columns:
            deque(map(float, cells), 0)
    except ValueError:
        return False
    return True


def kind_of_texts(cells: Sequence[str]) -> str:
    """Return what a column of text holds: lists of numbers, lists of names, maps, or plain text.

    Examples
    --------
    >>> kind_of_texts(["[0.5, 1]", "[2, 1]"]), kind_of_texts(["[0 1]"]), kind_of_texts(["cat"])
    ('list', 'list of integers', 'text')
    """
    from xent_cli.readers.columns.cells.cell_text import cell_value, is_cut_short

    values = [cell_value(cell) for cell in cells]
    if isinstance(values[0], dict):
        return MAP
    if not isinstance(values[0], list):
        return FLOATS if is_cut_short(cells[0]) else TEXT
    items = [item for value in values if isinstance(value, list) for item in value]
    if not items:
        return TEXT
    if isinstance(items[0], str):
        return TEXTS
    return WHOLES if all(isinstance(item, int) for item in items) else FLOATS


def label_types_from(label_type: str) -> tuple[str, ...]:
    """Return a label type, and the more general ones to fall back on."""
    return (LISTED,) if label_type == LISTED else LABEL_TYPES[LABEL_TYPES.index(label_type) :]


def label_type_of(cell: str | None) -> str:
    """Return the first of `LABEL_TYPES` that accepts the first label."""
    if cell is None:
        return "int64"
    if re.fullmatch(r"\s*[-+]?\d{1,18}\s*", cell):
        return "int64"
    return "float64" if NUMBER.fullmatch(cell) else "string"
