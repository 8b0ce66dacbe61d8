"""Tables with one row per class, read whole: delimited text, JSON, JSON Lines, Parquet and Arrow."""

from __future__ import annotations

import csv
import io
import json
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from xent_cli.errors import InputError
from xent_cli.readers.storage.locate import locate
from xent_cli.readers.storage.pipe import seekable
from xent_cli.readers.storage.reading import read_up_to, reading
from xent_cli.readers.storage.zipped_table import zipped_table
from xent_cli.readers.text.csv_dialect import delimiter_of
from xent_cli.readers.text.number_marks import NUMBER
from xent_cli.readers.text.rewritten import in_utf8
from xent_cli.readers.text.text_chunks import csv_reader

if TYPE_CHECKING:
    from collections.abc import Sequence

    from xent_cli.readers.storage.interface import Bytes
    from xent_cli.readers.storage.locate import Located

# A million rows of 64 bytes.
_MOST_BYTES = 64 << 20
_TABLES = {b"PAR1": "parquet", b"ARROW1": "arrow", b"\xff\xff\xff\xff": "arrow"}
_NPY = b"\x93NUMPY"
_ZIP = b"PK\3\4"
_MARK_BYTES = 4
_NAME_AND_NUMBER = re.compile(rf"(.*[^\s:=])(?:\s*[:=]\s*|\s+)({NUMBER.pattern})", re.IGNORECASE)

Cell = str | None


@dataclass(frozen=True, slots=True)
class ShortTable:
    """Cells as text; None if missing.

    Fields
    ------
    names
        Column names, if the format has them; None for delimited text, whose first row may hold them.
    rows
        The rows, all of the same width.
    places
        The place of each row, for errors: ``line 3``.
    """

    path: str
    names: tuple[str, ...] | None
    rows: tuple[tuple[Cell, ...], ...]
    places: tuple[str, ...]

    @property
    def width(self) -> int:
        """How many columns there are."""
        return len(self.rows[0]) if self.rows else 0

    def where(self, row: int) -> str:
        """Name a row."""
        return f"{self.path} {self.places[row]}"

    def column(self, place: int) -> list[Cell]:
        """The cells of a column."""
        return [cells[place] for cells in self.rows]

    def headed(self) -> ShortTable:
        """The same table with the first row as column names."""
        names = tuple((cell or "").strip() for cell in self.rows[0])
        return ShortTable(self.path, names, self.rows[1:], self.places[1:])


def read_whole(path: str | Located, expected: str) -> bytes:
    """Read all bytes of one small file.

    Raises
    ------
    InputError
        If there is no such file, or it is not one small file.
    """
    located = locate(path)
    with reading(located.name), unpacked(located.files[0]).stream() as stream:
        data = read_up_to(stream, _MOST_BYTES + 1)
    if located.sharded or len(data) > _MOST_BYTES:
        found = "several files" if located.sharded else "more than 64 MiB"
        raise InputError("not one small file", located.name, found=found, expected=f"one file of {expected}")
    return data


def unpacked(source: Bytes) -> Bytes:
    """Return the content of a small file: UTF-16 and UTF-32 converted to UTF-8, or the table in a zip archive."""
    head = source.peek(_MARK_BYTES)
    if head == _ZIP and (table := zipped_table(seekable(source))) is not None:
        source, head = table, table.peek(_MARK_BYTES)
    return in_utf8(source, head)


def as_text(path: str, data: bytes) -> str:
    """Bytes as UTF-8, or `InputError`."""
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        found = f"bytes that are not UTF-8 on line {line}"
        raise InputError("not a text file", path, found=found, expected="UTF-8") from None


def is_json(text: str) -> bool:
    """Whether text begins like a JSON object or array."""
    return text.lstrip().startswith(("{", "["))


def parse_json(path: str, text: str) -> Any:
    """Parse a JSON document, with objects as `Pairs`; several documents become one list.

    Raises
    ------
    InputError
        If it is not JSON; repeated keys are left for the caller to refuse.
    """
    decoder = json.JSONDecoder(object_pairs_hook=Pairs)
    found, place = [], 0
    text = text.strip()
    while place < len(text):
        try:
            value, place = decoder.raw_decode(text, place)
        except ValueError as error:
            at = getattr(error, "pos", place)
            where = f"{path} line {text.count(chr(10), 0, at) + 1}"
            raise InputError("not JSON", where, found=str(error).split(":")[0].lower(), expected="JSON") from None
        except RecursionError:
            raise InputError("not JSON", path, found="brackets nested too deeply", expected="JSON") from None
        found.append(value)
        while place < len(text) and text[place].isspace():
            place += 1
    return found[0] if len(found) == 1 else found


class Pairs(list[tuple[str, Any]]):
    """A JSON object as written: a key may occur twice."""


def short_table(path: str, data: bytes) -> ShortTable:
    """Detect the format of a small file and parse it.

    Raises
    ------
    InputError
        If the file holds no table.
    """
    table = next((name for magic, name in _TABLES.items() if data.startswith(magic)), None)
    if table is not None:
        return _of_arrow(path, data, table)
    if data.startswith(_NPY):
        return _of_records(path, data)
    if b"\0" in data:
        raise InputError("not a text file", path, found="NUL bytes", expected="UTF-8 text")
    text = as_text(path, data)
    if not text.strip():
        raise InputError("empty file", path, found="no first line")
    return of_json(path, parse_json(path, text)) if is_json(text) else of_text(path, text)


def of_json(path: str, value: Any) -> ShortTable:
    """Read a JSON document as a table.

    Raises
    ------
    InputError
        If the document is not a table.
    """
    if isinstance(value, Pairs):
        if value and all(isinstance(held, Pairs | list) for _, held in value):
            return _of_columns(path, value)
        rows: list[tuple[Any, ...]] = list(value)
        return _table(path, ("key", "value"), rows, [f'key "{key}"' for key, _ in value])
    if not isinstance(value, list):
        raise InputError("no table", path, found=f"the JSON value {_cell(value)}", expected="an object or an array")
    items = [f"item {number}" for number in range(len(value))]
    if value and all(isinstance(row, Pairs) for row in value):
        names = tuple(dict.fromkeys(key for row in value for key, _ in row))
        records = [dict(row) for row in value]
        return _table(path, names, [tuple(record.get(name) for name in names) for record in records], items)
    if value and all(isinstance(row, list) and not isinstance(row, Pairs) for row in value):
        return _table(path, None, [tuple(row) for row in value], items)
    return _table(path, None, [(item,) for item in value], items)


def of_text(path: str, text: str) -> ShortTable:
    """Read delimited text as a table; names and numbers may also be separated by a colon or blanks."""
    found = delimiter_of(path, text)
    delimiter = "," if found == " " else found  # blanks are split below
    reader = csv_reader(io.StringIO(text, newline=""), delimiter=delimiter)
    rows, places = [], []
    line = 1
    try:
        for cells in reader:
            if cells:
                rows.append(tuple(cells))
                places.append(f"line {line}")
            line = reader.line_num + 1
    except csv.Error as error:
        raise InputError("cannot read delimited text", f"{path} line {line}", found=str(error)) from None
    if len(rows) == 1 and len(rows[0]) == 1 and len(rows[0][0].split()) > 1:
        rows = [tuple(rows[0][0].split())]
    elif rows and all(len(cells) == 1 for cells in rows):
        parted = [_NAME_AND_NUMBER.fullmatch(cells[0]) for cells in rows]
        if all(parted):
            rows = [(match[1], match[2]) for match in parted if match]
    return _table(path, None, rows, places)


def _of_columns(path: str, columns: Pairs) -> ShortTable:
    """Read a table stored column by column, as pandas writes a frame."""
    held = [values if not isinstance(values, Pairs) else [value for _, value in values] for _, values in columns]
    if len({len(values) for values in held}) != 1:
        found = ", ".join(f'{len(values)} in "{name}"' for (name, _), values in zip(columns, held, strict=True))
        raise InputError("columns of different length", path, found=found)
    rows = list(zip(*held, strict=True))
    return _table(path, tuple(name for name, _ in columns), rows, [f"row {number}" for number in range(len(rows))])


def _of_arrow(path: str, data: bytes, format_name: str) -> ShortTable:
    import pyarrow as pa

    from xent_cli.readers.columnar.arrow_blocks import refuse_open_end, refuse_unlisted

    try:
        if format_name == "parquet":
            import pyarrow.parquet as pq

            file = pq.ParquetFile(pa.BufferReader(data))
            table = file.read()
            if table.num_rows != file.metadata.num_rows:
                raise pa.ArrowInvalid(f"{table.num_rows} rows of {file.metadata.num_rows}")
        elif data.startswith(b"ARROW1"):
            refuse_unlisted(pa.BufferReader(data))
            table = pa.ipc.open_file(pa.BufferReader(data)).read_all()
        else:
            stream = pa.BufferReader(data)
            table = pa.ipc.open_stream(stream).read_all()
            refuse_open_end(data[: stream.tell()][-8:], data[stream.tell() :][:1])
        table.validate(full=True)
        columns = [column.to_pylist() for column in table.columns]
    except (pa.ArrowException, OSError, ValueError) as error:
        found = str(error).split("\n")[0]
        raise InputError("damaged file", path, found=found, expected=f"a {format_name} file") from None
    rows = list(zip(*columns, strict=True))
    return _table(path, tuple(table.column_names), rows, [f"row {number}" for number in range(len(rows))])


def is_records(path: str, head: bytes) -> bool:
    """Whether a file that begins with these bytes is a structured array, whose fields are columns."""
    if not head.startswith(_NPY):
        return False
    from xent_cli.readers.arrays.npy import read_header

    return read_header(path, head).dtype.names is not None


def _of_records(path: str, data: bytes) -> ShortTable:
    import numpy as np

    try:
        array = np.load(io.BytesIO(data), allow_pickle=False).reshape(-1)
    except (ValueError, EOFError, OSError, MemoryError):
        raise InputError("damaged .npy file", path, expected="a structured array") from None
    names = array.dtype.names or ()
    columns = [
        [each.decode(errors="replace") if isinstance(each, bytes) else each for each in array[name].tolist()]
        for name in names
    ]
    rows = list(zip(*columns, strict=True))
    return _table(path, tuple(names), rows, [f"row {number}" for number in range(len(rows))])


def _table(
    path: str, names: tuple[str, ...] | None, rows: Sequence[tuple[Any, ...]], places: Sequence[str]
) -> ShortTable:
    if not rows or not rows[0]:
        raise InputError("empty file", path, found="no rows")
    odd = next((number for number, cells in enumerate(rows) if len(cells) != len(rows[0])), None)
    if odd is not None:
        found = f"{len(rows[odd])} cells"
        raise InputError("wrong number of cells", f"{path} {places[odd]}", found=found, expected=str(len(rows[0])))
    return ShortTable(path, names, tuple(tuple(map(_cell, cells)) for cells in rows), tuple(places))


def _cell(value: Any) -> Cell:
    return value if value is None or isinstance(value, str) else str(value)
