"""What the first lines of delimited text tell: delimiter, header, and what a column can serve as."""

from __future__ import annotations

import csv
import re
from pathlib import PurePath
from typing import TYPE_CHECKING

from xent_cli.errors import InputError
from xent_cli.readers.storage.stored import BOM
from xent_cli.readers.text.text_chunks import too_long

if TYPE_CHECKING:
    from collections.abc import Sequence

    from xent_cli.readers.storage.stored import Bytes

_SNIFF_BYTES = 1 << 20
SNIFFED_ROWS = 32
# The first line is taken apart in Python: a million names take two seconds, 128,000 are 2 MB.
_MOST_HEADER = 4 << 20
NUMBER = re.compile(r"\s*[-+]?(\d+\.?\d*([eE][-+]?\d+)?|\.\d+([eE][-+]?\d+)?|nan|inf(inity)?)\s*", re.IGNORECASE)
_WHOLE = re.compile(r"\s*[-+]?\d+\s*")
_NOTHING = ("", "na", "n/a", "null", "none")
DECIMAL_COMMA = re.compile(r"\s*[-+]?\d+,\d+\s*")
# From the strictest to the one that takes anything; a column is read as the first that takes its first cell.
LABEL_TYPES = ("bool", "int64", "float64", "string")
# What NumPy calls them.
DTYPES = {"bool": "bool", "int64": "int64", "float64": "float64", "string": "object"}


def beginning(source: Bytes) -> tuple[str, int]:
    """Enough text to tell the columns, at least two lines of it, and where it begins."""
    size = _SNIFF_BYTES
    head = source.peek(size)
    while b"\0" not in head and len(head) == size and head.count(b"\n") < 2:
        if size >= _MOST_HEADER:
            raise too_long(source.name, head, 0)
        size *= 2
        head = source.peek(size)
    if b"\0" in head:
        raise InputError("not a text file", source.name, found="NUL bytes", expected="UTF-8 text")
    body = len(BOM) if head.startswith(BOM) else 0
    try:
        text = head[body:].decode()
    except UnicodeDecodeError as error:
        if body + error.start < len(head) - 4:  # else the last character is cut
            found = "bytes that are not UTF-8"
            raise InputError("not a text file", source.name, found=found, expected="UTF-8") from None
        text = head[body : body + error.start].decode()
    if text.startswith("#"):
        hint = "leave such lines out: grep -v '^#'"
        raise InputError("comment line", f"{source.name} line 1", found=text[:40].splitlines()[0], hint=hint)
    return text, body


def delimiter_of(name: str, text: str) -> str:
    """Tell the delimiter: the first that cuts all of the first lines into as many cells; a .tsv file has tabs."""
    if {".tsv", ".tab"} & set(PurePath(name).suffixes):
        return "\t"
    lines = text.splitlines()[:SNIFFED_ROWS]
    lines = [line for line in (lines[:-1] if len(lines) > 2 else lines) if line]
    counts = {mark: [len(cells) for cells in csv.reader(lines, delimiter=mark)] for mark in "\t;|,"}
    alike = [mark for mark, found in counts.items() if found and found[0] > 1 and len(set(found)) == 1]
    # The comma comes last: it may stand in numbers, for a decimal point.
    return alike[0] if alike else max(",\t;|", key=lambda mark: counts[mark][:1])


def is_header(first: Sequence[str], rows: Sequence[Sequence[str]]) -> bool:
    """Whether the first line names columns: a cell of it is text, or it counts them over numbers that do not count.

    Examples
    --------
    >>> is_header(["cat", "1"], []), is_header(["0.5", ""], []), is_header(["0", "1"], [["0.5", "2.25"]])
    (True, False, True)
    >>> is_header(["", "0"], [["0", "2"], ["1", "0"]]), is_header(["0", "1"], [["2", "1"]])
    (True, False)
    """
    filled = [cell for cell in first if cell.strip().lower() not in _NOTHING]
    if not all(NUMBER.fullmatch(cell) for cell in filled):
        return True
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
    """What a column can serve as; one bad cell must not turn a class into a column of text."""
    if not cells:
        return "number"
    numbers = 0
    for cell in cells:
        numbers += not cell or NUMBER.fullmatch(cell) is not None or DECIMAL_COMMA.fullmatch(cell) is not None
        if 2 * numbers >= len(cells):
            return "number"
    return "bool" if all(cell.strip().lower() in ("true", "false") for cell in cells if cell) else "text"


def label_type_of(cell: str | None) -> str:
    """The first of `LABEL_TYPES` that takes the first label."""
    if cell is None:
        return "int64"
    if re.fullmatch(r"\s*[-+]?\d{1,18}\s*", cell):
        return "int64"
    return "float64" if NUMBER.fullmatch(cell) else "string"
