"""Text cut into pieces at line ends that stand outside quotes, and how many rows a piece has."""

from __future__ import annotations

import csv
import io
import re
from typing import TYPE_CHECKING

import numpy as np

from xent_cli.errors import InputError
from xent_cli.readers.storage import fill

if TYPE_CHECKING:
    from collections.abc import Iterator

    from xent_cli.readers.storage import Stream

# Each piece becomes about as much memory again several times over; 4 MiB are parsed in some 15 ms.
_PIECE_BYTES = 4 << 20
# A row of 128,000 classes takes 3 MB of text; whatever is longer is no table.
LONGEST_LINE = 16 << 20


def pieces(stream: Stream, offset: int, name: str, *, quoted: bool = True) -> Iterator[tuple[int, bytes]]:
    """Cut a stream, read up to `offset`, at line ends; blank lines at its end are left out.

    Parameters
    ----------
    quoted
        Whether line ends inside double quotes belong to a cell.

    Raises
    ------
    InputError
        Where a line is too long to be one.
    """
    rest = b""
    while True:
        buffer = bytearray(len(rest) + _PIECE_BYTES)
        buffer[: len(rest)] = rest
        got = fill(stream, memoryview(buffer)[len(rest) :])
        chunk = bytes(memoryview(buffer)[: len(rest) + got])
        if not got:
            last = chunk.rstrip(b"\r\n")
            if last:
                yield offset, last
            return
        cut = _last_line_end(chunk) if quoted else chunk.rfind(b"\n") + 1
        # Line ends are held back with what follows, in case nothing does.
        body = len(chunk[:cut].rstrip(b"\r\n"))
        if body:
            end = body + (2 if chunk[body : body + 2] == b"\r\n" else 1)
            yield offset, chunk[:end]
            offset += end
            rest = chunk[end:]
        else:
            rest = chunk
            if len(rest) > LONGEST_LINE:
                raise too_long(name, rest, offset)


def too_long(name: str, text: bytes, offset: int) -> InputError:
    """What to say of text without an end."""
    blank = not text.strip(b"\r\n")
    what = "blank lines without end" if blank else "line too long"
    found = f"{len(text) >> 20} MiB of them" if blank else f"no line end in {len(text) >> 20} MiB"
    hint = "" if blank else "is a quote left open, or is this no text?"
    return InputError(what, f"{name} after byte {offset}", found=found, hint=hint)


def _last_line_end(chunk: bytes) -> int:
    """Length of the chunk up to its last line end outside quotes; 0 where it has none."""
    cut = chunk.rfind(b"\n") + 1
    inside = chunk.count(b'"', 0, cut) % 2
    while cut and inside:
        # The last quote before it is open, and so is every line end after that one.
        before = chunk.rfind(b"\n", 0, chunk.rfind(b'"', 0, cut)) + 1
        inside ^= chunk.count(b'"', before, cut) % 2
        cut = before
    return cut


def row_lines(piece: bytes, delimiter: str, single_column: bool) -> list[int]:
    """Line of the piece, from 0, on which each of its rows begins."""
    reader = csv.reader(io.StringIO(piece.decode(errors="replace"), newline=""), delimiter=delimiter)
    lines, line = [], 0
    for cells in reader:
        if cells or single_column:
            lines.append(line)
        line = reader.line_num
    return lines


def count_rows(piece: bytes, delimiter: str, single_column: bool) -> tuple[int, int]:
    """Rows and lines of a piece; a blank line is a row only where there is a single column to be empty."""
    # One comparison serves both questions; searching for two line ends in a row takes as long as parsing.
    ends = np.frombuffer(piece, np.uint8) == ord("\n")
    lines = int(np.count_nonzero(ends)) + (not piece.endswith(b"\n"))
    if b'"' in piece:
        reader = csv.reader(io.StringIO(piece.decode(errors="replace"), newline=""), delimiter=delimiter)
        return sum(1 for cells in reader if cells or single_column), lines
    blank = piece.startswith((b"\n", b"\r\n")) or bool((ends[1:] & ends[:-1]).any())
    blank = blank or (b"\r" in piece and b"\n\r\n" in piece)
    if single_column or not blank:
        return lines, lines
    return lines - len(re.findall(rb"^\r?\n", piece, re.MULTILINE)), lines
