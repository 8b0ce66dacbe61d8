"""Cut text into chunks at line ends outside quotes, and count the rows of each."""

from __future__ import annotations

import csv
import io
import re
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from xent_cli.core.scratch import scratch
from xent_cli.errors import InputError
from xent_cli.readers.storage.identity import shrunk
from xent_cli.readers.storage.reading import read_up_to
from xent_cli.readers.storage.stored import Stored

if TYPE_CHECKING:
    from _csv import Reader
    from collections.abc import Iterable, Iterator

    from xent_cli.readers.storage.interface import Bytes

# A row of 128,000 classes takes 3 MB of text; anything much longer is not a table.
LONGEST_LINE = 16 << 20


class Chunk(NamedTuple):
    """Consecutive lines: a recipe for their text.

    Fields
    ------
    file
        The file from which the text can be read again, or None if it came through a pipe or a decompressor.
    offset, length
        Its offset and length in the file, in bytes.
    quoted
        Whether it contains a double quote.
    carriage_returns
        Whether it contains a carriage return.
    text
        The text, which is kept within a process, and sent to another process only if there is no file.
    """

    file: Stored | None
    offset: int
    length: int
    quoted: bool
    carriage_returns: bool
    text: memoryview | None = None

    def read(self) -> memoryview:
        """Return the text."""
        if self.text is not None:
            return self.text
        assert self.file is not None
        with self.file.open() as file:
            file.seek(self.offset)
            text = read_up_to(file, self.length)
        if len(text) < self.length:
            raise shrunk(self.file.name)
        return memoryview(text)

    def count(self, word: bytes) -> int:
        """Count occurrences of some bytes in the text."""
        text = self.read()
        held: bytes = text.obj  # type: ignore[assignment]
        return held.count(word, 0, len(text))

    def __reduce__(self) -> tuple[object, ...]:
        held = bytes(self.read()) if self.file is None else None
        return _unpickled, (self.file, self.offset, self.length, self.quoted, self.carriage_returns, held)


def _unpickled(file: Stored | None, offset: int, length: int, quoted: bool, returns: bool, held: bytes | None) -> Chunk:
    return Chunk(file, offset, length, quoted, returns, None if held is None else memoryview(held))


def chunks_of(source: Bytes, offset: int, size: int, *, quoted: bool = True, columns: int = 1) -> Iterator[Chunk]:
    """Cut the text after `offset` at line ends; blank lines at the end are left out.

    Parameters
    ----------
    size
        About how long a chunk is, in bytes.
    quoted
        Whether line ends inside double quotes belong to a cell.
    columns
        Number of columns: each costs some microseconds per chunk, so chunks are larger if there are many.

    Raises
    ------
    InputError
        If a line is too long to be a line of a table.
    """
    file = source if isinstance(source, Stored) and not source.codec else None
    size = max(size, min(4 * size, columns << 11))
    rest = b""
    with source.stream() as stream:
        read_up_to(stream, offset)
        while True:
            more = read_up_to(stream, size)
            held = rest + more if rest else more
            cut = _last_line_end(held, quoted) if more else len(held)
            end = _without_blank_lines(held, cut)
            if end:
                text = memoryview(held)[:end]
                yield Chunk(file, offset, end, held.find(b'"', 0, end) >= 0, held.find(b"\r", 0, end) >= 0, text)
            offset += end
            rest = held[end:]
            if not more:
                return
            if len(rest) > LONGEST_LINE:
                raise too_long(source.name, rest, offset)


def _without_blank_lines(held: bytes, cut: int) -> int:
    """Return the end of the last line before `cut` that is not blank; blank lines wait, as nothing may follow them."""
    if cut and held[cut - 1 : cut] == b"\n" and held[cut - 2 : cut - 1] not in (b"\n", b"\r"):
        return cut
    body = len(held[:cut].rstrip(b"\r\n"))
    if not body:
        return 0
    return min(cut, body + (2 if held[body : body + 2] == b"\r\n" else 1))


def too_long(name: str, text: bytes, offset: int) -> InputError:
    """Return the error for a line that is too long, or for endless blank lines."""
    blank = not text.strip(b"\r\n")
    what = "blank lines without end" if blank else "line too long"
    found = f"{len(text) >> 20} MiB of them" if blank else f"no line end in {len(text) >> 20} MiB"
    hint = "" if blank else "a quote may be left open, or the file may not be text"
    return InputError(what, f"{name} after byte {offset}", found=found, hint=hint)


def _last_line_end(held: bytes, quoted: bool) -> int:
    """Return the length of the text up to its last line end (outside quotes, if `quoted`); 0 if there is none."""
    cut = held.rfind(b"\n") + 1
    inside = held.count(b'"', 0, cut) % 2 if quoted else 0
    while cut and inside:
        # The last quote before it is open, so every line end after that quote is quoted.
        before = held.rfind(b"\n", 0, held.rfind(b'"', 0, cut)) + 1
        inside ^= held.count(b'"', before, cut) % 2
        cut = before
    return cut


def row_lines(text: memoryview, delimiter: str, single_column: bool) -> list[int]:
    """Return the number of the line, from 0, on which each row begins."""
    lines, line = [], 0
    reader = csv_reader(as_lines(text), delimiter=delimiter)
    for cells in reader:
        if cells or single_column:
            lines.append(line)
        line = reader.line_num
    return lines


def count_rows(piece: Chunk, delimiter: str, single_column: bool) -> tuple[int, int]:
    """Count rows and lines of a piece; a blank line is a row only if there is a single column, which is then empty."""
    text = piece.read()
    # One comparison finds all line ends; to search for two consecutive ones separately takes as long as parsing.
    ends = scratch("line ends", (len(text),), np.bool_)
    np.equal(np.frombuffer(text, np.uint8), ord("\n"), out=ends)
    lines = int(np.count_nonzero(ends)) + (text[-1] != ord("\n"))
    if piece.quoted:
        reader = csv_reader(as_lines(text), delimiter=delimiter)
        return sum(1 for cells in reader if cells or single_column), lines
    if single_column:
        return lines, lines
    both = scratch("line ends in a row", (len(text) - 1,), np.bool_)
    blank = bool(np.logical_and(ends[1:], ends[:-1], out=both).any()) or text[0] in b"\r\n"
    if not blank and not piece.carriage_returns:
        return lines, lines
    return lines - len(re.findall(rb"^\r?\n", text, re.MULTILINE)), lines


def csv_reader(lines: Iterable[str], *, delimiter: str, skipinitialspace: bool = False) -> Reader:
    """Return Python's csv reader, for cells as long as a line may be.

    By default it fails at cells beyond 128 KiB. That limit belongs to the process, so it is only ever raised: other
    threads may be reading at the same time.
    """
    if csv.field_size_limit() < LONGEST_LINE:
        csv.field_size_limit(LONGEST_LINE)
    return csv.reader(lines, delimiter=delimiter, skipinitialspace=skipinitialspace)


def as_lines(text: memoryview) -> io.StringIO:
    """Return the lines of a text for Python's csv reader."""
    return io.StringIO(bytes(text).decode(errors="replace"), newline="")
