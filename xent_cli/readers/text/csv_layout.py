"""Layout of delimited text: what precedes the rows, what separates the cells, how numbers are written."""

from __future__ import annotations

import io
import re
from itertools import islice
from typing import TYPE_CHECKING, NamedTuple

from xent_cli.errors import InputError
from xent_cli.readers.columns.words import kind_of_stem
from xent_cli.readers.storage.reading import BOM
from xent_cli.readers.text.csv_dialect import SNIFFED_ROWS, delimiter_of, is_header
from xent_cli.readers.text.number_marks import NUMBER, NumberMarks, marks_of
from xent_cli.readers.text.text_chunks import csv_reader, too_long

if TYPE_CHECKING:
    from collections.abc import Sequence

    from xent_cli.readers.storage.interface import Bytes

_SNIFF_BYTES = 1 << 20
# The first line is parsed in Python: a million names take two seconds, 128,000 are 2 MB.
_MOST_HEADER = 4 << 20
_COMMENTS = re.compile(r"(?:#[^\n]*(?:\n|\Z))*")
# The line that tells Excel the delimiter.
_SEP = re.compile(r'"?sep=(.)"?\r?\n', re.IGNORECASE)


class CsvLayout(NamedTuple):
    """Where the rows of a text begin, and how to split them into cells.

    Fields
    ------
    source
        The text, with exactly one blank between cells if they are separated by blanks.
    names
        Names of the columns; their positions if no line names them.
    has_header
        Whether a line names the columns.
    header_lines, body
        Number of lines, and of bytes, before the rows.
    """

    source: Bytes
    delimiter: str
    marks: NumberMarks
    names: tuple[str, ...]
    has_header: bool
    header_lines: int
    body: int


def layout_of(source: Bytes, header: bool | None) -> tuple[CsvLayout, str, list[list[str]]]:
    """Detect the layout from the first lines; also return the text from the first row on, and the cells of some rows.

    Parameters
    ----------
    header
        Whether there is a line of names; None to detect it.

    Raises
    ------
    InputError
        If the file is empty or not text, or begins with comments that do not name the columns.
    """
    text, body = _beginning(source)
    sep = _SEP.match(text)
    before = sep.end() if sep else 0
    comments = _COMMENTS.match(text, before)
    assert comments is not None
    rest = text[comments.end() :]
    delimiter = sep[1] if sep else delimiter_of(source.name, rest)
    if delimiter == " " and not sep:
        from xent_cli.readers.text.rewritten import with_one_blank

        source = with_one_blank(source)
        text, body = _beginning(source)
        comments = _COMMENTS.match(text)
        assert comments is not None
        rest = text[comments.end() :]
    reader = csv_reader(io.StringIO(rest, newline=""), delimiter=delimiter)
    first_row = next(reader, [])
    first_lines = reader.line_num
    if not first_row:
        raise InputError("empty file", source.name, found="no first line", expected="rows of numbers")
    first_rows = [first_row, *islice(reader, SNIFFED_ROWS)]
    marks = marks_of(first_rows)
    first, *others = map(marks.plain_row, first_rows)
    names, skipped = None, ""
    if comments[0] and header is None:
        names = _names_in(comments[0], delimiter, first)
        if names is None and not is_header(first, others):
            line = text[:before].count("\n") + 1
            hint = "leave such lines out: grep -v '^#'"
            found = comments[0].splitlines()[0][:40]
            raise InputError("comment line", f"{source.name} line {line}", found=found, hint=hint)
    has_header = names is not None
    if names is None:
        has_header = header if header is not None else is_header(first, others)
        if has_header:
            names = _with_row_names(rest, first_row, others)
            # A line end within quotes is part of a name.
            skipped = "".join(islice(io.StringIO(rest, newline=""), first_lines))
    ahead = text[: comments.end()] + skipped
    layout = CsvLayout(
        source,
        delimiter,
        marks,
        tuple(names) if names is not None else tuple(str(i) for i in range(len(first))),
        has_header,
        ahead.count("\n") + (ahead[-1:] not in ("", "\n")),
        body + len(ahead.encode()),
    )
    return layout, rest[len(skipped) :], others if skipped else [first, *others[: SNIFFED_ROWS - 1]]


def _names_in(comments: str, delimiter: str, first: Sequence[str]) -> list[str] | None:
    """Return the column names in the last of some comments, as numpy.savetxt writes them; None if it has none."""
    line = comments.splitlines()[-1].removeprefix("#").strip(" " if delimiter == "\t" else " \t")
    names = next(csv_reader([line], delimiter=delimiter, skipinitialspace=True), [])
    fits = len(names) == len(first) and not all(map(NUMBER.fullmatch, names))
    # A line of names below it names the columns.
    return names if fits and any(map(NUMBER.fullmatch, first)) else None


def _with_row_names(text: str, names: list[str], rows: Sequence[Sequence[str]]) -> list[str]:
    """Return the names, with "" before them if the first column holds row names, which R writes without a column name.

    If it could also be the last column that has no name, that is only done if names and row names are in quotes, as R
    writes them, or if the first name means scores.
    """
    if len(names) < 2 or not rows or any(len(row) != len(names) + 1 or not row[-1].strip() for row in rows if row):
        return names
    first = [row[0] for row in rows if row]
    counted = first in ([str(i) for i in range(start, start + len(first))] for start in (0, 1))
    distinct = not any(map(NUMBER.fullmatch, first)) and len(set(first)) == len(first)
    quoted = all(line.startswith('"') for line in text.split("\n")[:2])
    certain = quoted or kind_of_stem(names[0]) is not None
    return ["", *names] if certain and (counted or distinct) else names


def _beginning(source: Bytes) -> tuple[str, int]:
    """Return enough text to detect the columns, at least two lines, and its offset."""
    size = _SNIFF_BYTES
    head = source.peek(size)
    while b"\0" not in head and len(head) == size and head.count(b"\n") < 2:
        if size >= _MOST_HEADER:
            raise too_long(source.name, head, 0)
        size *= 2
        head = source.peek(size)
    if b"\0" in head:
        hint = "is it UTF-16? iconv -f utf-16 -t utf-8" if head[1:64:2].count(b"\0") > 16 else ""
        raise InputError("not a text file", source.name, found="NUL bytes", expected="UTF-8 text", hint=hint)
    body = len(BOM) if head.startswith(BOM) else 0
    try:
        return head[body:].decode(), body
    except UnicodeDecodeError as error:
        if body + error.start < len(head) - 4:  # otherwise the last character is cut
            hint = "save it as UTF-8: iconv -f latin1 -t utf-8"
            found = f"bytes that are not UTF-8: {head[body + error.start : body + error.start + 4]!r}"
            raise InputError("not a text file", source.name, found=found, expected="UTF-8", hint=hint) from None
        return head[body : body + error.start].decode(), body
