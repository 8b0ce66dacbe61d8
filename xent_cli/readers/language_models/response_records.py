"""The records of a file of responses: the lines of JSON Lines, or those of one JSON document."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from xent_cli.errors import InputError
from xent_cli.readers.storage.reading import BOM, reading
from xent_cli.readers.text.json_file import is_document, read_document

if TYPE_CHECKING:
    from collections.abc import Iterator

    from xent_cli.readers.storage.interface import Bytes

_CHUNK_BYTES = 1 << 20


def records_of(source: Bytes, most_bytes: int) -> Iterator[tuple[str, int, Any]]:
    """Yield each record of lines, of a list in one document or of a single document, with its place and line number.

    A line may be a list of records, such as the responses to several prompts at once.

    Raises
    ------
    InputError
        If it is not JSON, or a document or a line has more bytes than that.
    """
    if is_document(source):
        value = read_document(source, most_bytes)
        for number, record in enumerate(value if isinstance(value, list) else [value]):
            yield f"{source.name} record {number}", number + 1, record
        return
    for number, line in enumerate(lines_of(source, most_bytes), 1):
        if not line.strip():
            continue
        place = f"{source.name} line {number}"
        record = value_of(line, place)
        if not isinstance(record, list):
            yield place, number, record
            continue
        for index, one in enumerate(record):
            yield f"{place} record {index}", number, one


def value_of(line: bytes, place: str) -> Any:
    """Return the JSON of a line.

    Raises
    ------
    InputError
        If it is not JSON.
    """
    try:
        return json.loads(line)
    except RecursionError:
        raise InputError("not JSON", place, "brackets nested too deep", "one record a line") from None
    except UnicodeDecodeError:
        raise InputError("not JSON", place, "bytes that are not UTF-8", "UTF-8 text") from None
    except ValueError as error:
        raise InputError("not JSON", place, str(error)[:80], "one whole record a line") from None


def lines_of(source: Bytes, most_bytes: int) -> Iterator[bytes]:
    """Yield the lines of a text.

    Raises
    ------
    InputError
        If one has more bytes than that.
    """
    rest, first = bytearray(), True
    with reading(source.name), source.stream() as stream:
        while chunk := stream.read(_CHUNK_BYTES):
            rest += chunk
            if len(rest) > most_bytes:
                found, expected = f"a line of more than {most_bytes >> 20} MiB", "one record a line"
                raise InputError("line too long", source.name, found, expected)
            if b"\n" not in chunk:
                continue
            *lines, last = bytes(rest).split(b"\n")
            rest = bytearray(last)
            for line in lines:
                yield line.removeprefix(BOM) if first else line
                first = False
    if rest:
        yield bytes(rest).removeprefix(BOM) if first else bytes(rest)
