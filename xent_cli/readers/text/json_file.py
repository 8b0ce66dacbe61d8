"""Open JSON of both kinds: one row per line, or one document, whose rows become such lines in a temporary file."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from xent_cli.errors import InputError
from xent_cli.readers.storage.pipe import written_to_disk
from xent_cli.readers.storage.reading import BOM, read_up_to
from xent_cli.readers.storage.stored import Stored
from xent_cli.readers.text.json_document import is_one_record, parse_document, rows_of_document, text_of
from xent_cli.readers.text.jsonl import open_jsonl
from xent_cli.readers.text.text_chunks import LONGEST_LINE

if TYPE_CHECKING:
    from collections.abc import Iterator

    from xent_cli.readers.interface import Classes
    from xent_cli.readers.options import ReadOptions
    from xent_cli.readers.storage.interface import Bytes
    from xent_cli.readers.text.jsonl import JsonlSource

_CHUNK_BYTES = 1 << 20


def open_json(source: Bytes, head: bytes, role: str, options: ReadOptions, classes: Classes) -> JsonlSource:
    """Open lines or a document in a role; see `Opener`.

    Raises
    ------
    InputError
        If it is not JSON, is one document beyond the limit, or holds no table.
    """
    if not is_document(source):
        return open_jsonl(source, head, role, options, classes)
    lines = written_to_disk(source.name, _lines(source, options.run.document_bytes))
    found = open_jsonl(lines, lines.peek(len(head)), role, options, classes)
    return replace(found, format="json", document=True)


def is_document(source: Bytes) -> bool:
    """Whether the text is one document: its first line is not a complete row followed by others."""
    size = 1 << 16
    while True:
        head = source.peek(size)
        text = head.removeprefix(BOM).lstrip()
        line, end, rest = text.partition(b"\n")
        if end or len(head) < size:
            break
        if size >= LONGEST_LINE:
            return True
        size = min(4 * size, LONGEST_LINE)
    line = line.strip()
    if line.endswith((b"{", b"[", b",")):
        return True
    try:
        value = json.loads(line)
    except (ValueError, RecursionError):
        return False  # reported with its line number later
    if rest.strip():
        return not isinstance(value, list | dict)
    return isinstance(value, list) or not is_one_record(value)


def _lines(source: Bytes, most_bytes: int) -> Iterator[bytes]:
    value = read_document(source, most_bytes)
    rows = rows_of_document(source.name, value)
    empty = True
    for row in rows:
        empty = False
        yield f"{text_of(row)}\n".encode()
    if empty:
        raise InputError(
            "empty file", source.name, "a document without rows", '{"logits": [[0.1, 2.5]], "labels": [1]}'
        )


def read_document(source: Bytes, most_bytes: int) -> Any:
    """Parse a document, or several concatenated ones as a list.

    Raises
    ------
    InputError
        If it is not JSON in UTF-8, or has more bytes than that.
    """
    if not source.rereadable:
        # The bytes of a pipe come only once, so they are counted while they are written to disk.
        source = written_to_disk(source.name, _counted(source, most_bytes))
    size = _size(source, most_bytes)
    with source.stream() as stream:
        data = read_up_to(stream, size)
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        found = f"bytes that are not UTF-8: {data[error.start : error.start + 4]!r}"
        hint = "save it as UTF-8: iconv -f latin1 -t utf-8"
        raise InputError("not JSON", source.name, found, "UTF-8 text", hint) from None
    del data
    return parse_document(source.name, text)


def _size(source: Bytes, most_bytes: int) -> int:
    """Count the decompressed bytes without keeping them, so that a document that is too large takes no memory."""
    if isinstance(source, Stored) and not source.codec:
        size = source.size()
        if size > most_bytes:
            raise _too_large(source.name, source.peek(_CHUNK_BYTES), most_bytes)
        return size
    return sum(map(len, _counted(source, most_bytes)))


def _counted(source: Bytes, most_bytes: int) -> Iterator[bytes]:
    """Yield the bytes in chunks, and raise an error if they are too many for a document."""
    head, size = b"", 0
    with source.stream() as stream:
        while chunk := read_up_to(stream, _CHUNK_BYTES):
            head = head or chunk
            size += len(chunk)
            if size > most_bytes:
                raise _too_large(source.name, head, most_bytes)
            yield chunk


def _too_large(name: str, head: bytes, most_bytes: int) -> InputError:
    kind = "a JSON array" if head.removeprefix(BOM).lstrip().startswith(b"[") else "a JSON object"
    inner = ".[]" if kind == "a JSON array" else "[.logits, .labels] | transpose[] | {logits: .[0], label: .[1]}"
    return InputError(
        "JSON document too large",
        name,
        found=f"{kind} of more than {most_bytes >> 20} MiB, which is read whole",
        expected="JSON Lines, which are read chunk by chunk",
        hint=f"jq -c '{inner}' '{name}' > rows.jsonl",
    )
