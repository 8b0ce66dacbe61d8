"""Checks the footer of an Arrow file against its batches, and that a stream is complete.

Arrow reads only what the footer lists: batches that it leaves out or lists twice would go unnoticed.
"""

from __future__ import annotations

import io
import struct
from typing import TYPE_CHECKING

import pyarrow as pa

if TYPE_CHECKING:
    from collections.abc import Iterator

_MARK = b"\xff\xff\xff\xff"
_END = _MARK + bytes(4)
_MAGIC_BYTES, _TRAILER_BYTES = 8, 10
_DICTIONARY, _BATCH = 2, 3
# Field numbers in the flatbuffer tables, in the order of Arrow's specification.
_HEADER_TYPE, _BODY_LENGTH = 1, 3
_DICTIONARIES, _RECORD_BATCHES = 2, 3
_BLOCK_BYTES = 24
# No schema message is shorter than the first, and hardly any is longer than the second.
_SHORTEST, _LONGEST = 64, 1 << 24


def refuse_unlisted(file: pa.NativeFile) -> None:
    """Refuse a file whose footer does not list each of its batches once and in order.

    Raises
    ------
    pyarrow.ArrowInvalid
        If it does not.
    """
    held: dict[int, list[int]] = {_DICTIONARY: [], _BATCH: []}
    try:
        listed, end = _listed(file)
        first = min(listed[_DICTIONARY] + listed[_BATCH], default=end)
        for kind, offset in _messages(file, _after_schema(file, min(first, end)), end):
            held.setdefault(kind, []).append(offset)
    except struct.error:
        raise pa.ArrowInvalid("a footer or a message that ends within a number") from None
    for kind, what in ((_BATCH, "record batches"), (_DICTIONARY, "dictionaries")):
        if listed[kind] != held[kind]:
            there, expected = len(held[kind]), len(listed[kind])
            counted = f"{expected} {what} and {there} are there" if there != expected else f"{what} in other places"
            raise pa.ArrowInvalid(f"its footer lists {counted}")


class Followed(io.BufferedReader):
    """A stream that remembers the last bytes it returned."""

    last = b""

    def read(self, size: int | None = -1, /) -> bytes:
        """Read bytes, and keep the last ones that were read."""
        found = super().read(size)
        self.last = (self.last + found[-8:])[-8:]
        return found


def refuse_open_end(last: bytes, following: bytes) -> None:
    """Refuse a stream without an end marker, or with bytes after it.

    Parameters
    ----------
    last
        The eight bytes up to where it stopped.
    following
        The bytes after them.

    Raises
    ------
    pyarrow.ArrowInvalid
        If rows may be missing.
    """
    if last != _END:
        raise pa.ArrowInvalid("no mark at its end, which a writer puts there when it is closed: rows may be missing")
    if following:
        raise pa.ArrowInvalid("bytes after the mark at its end, as where two streams were joined")


def _listed(file: pa.NativeFile) -> tuple[dict[int, list[int]], int]:
    """Return the offsets of the batches and dictionaries in the footer, and the offset of the footer."""
    size = file.size()
    length = int.from_bytes(file.read_at(_TRAILER_BYTES, size - _TRAILER_BYTES)[:4], "little")
    begin = size - _TRAILER_BYTES - length
    if begin < _MAGIC_BYTES:
        raise pa.ArrowInvalid(f"a footer of {length} bytes in a file of {size}")
    footer = file.read_at(length, begin)
    fields = ((_DICTIONARY, _DICTIONARIES), (_BATCH, _RECORD_BATCHES))
    return {kind: _blocks(footer, field) for kind, field in fields}, begin


def _blocks(footer: bytes, field: int) -> list[int]:
    """Offsets of the blocks in a vector of the footer."""
    with_vector = _field(footer, field)
    if with_vector is None:
        return []
    vector = with_vector + _unsigned(footer, with_vector)
    first = vector + 4
    count = _unsigned(footer, vector)
    if first + count * _BLOCK_BYTES > len(footer):
        raise pa.ArrowInvalid(f"a footer that lists {count} blocks in {len(footer)} bytes")
    return [struct.unpack_from("<q", footer, first + i * _BLOCK_BYTES)[0] for i in range(count)]


def _after_schema(file: pa.NativeFile, first: int) -> int:
    """Return where to look for messages: after the schema, which Polars writes without its length."""
    begun = file.read_at(min(_LONGEST, max(0, first - _MAGIC_BYTES)), _MAGIC_BYTES)
    if begun[:4] == _MARK or int.from_bytes(begun[:4], "little") >= _SHORTEST:
        return _MAGIC_BYTES
    marks = (at for at in range(0, len(begun), 8) if begun[at : at + 4] == _MARK)
    return _MAGIC_BYTES + next(marks, first - _MAGIC_BYTES)


def _messages(file: pa.NativeFile, at: int, end: int) -> Iterator[tuple[int, int]]:
    """Yield the kind and offset of each message before the footer."""
    while at + 8 <= end:
        prefix = file.read_at(8, at)
        begin = at + 8 if prefix[:4] == _MARK else at + 4  # before 2019 there was no continuation marker
        length = int.from_bytes(prefix[4:] if prefix[:4] == _MARK else prefix[:4], "little")
        if length == 0:
            return
        if length > end - begin:
            raise pa.ArrowInvalid(f"a message of {length} bytes at byte {at}, {end - begin} before the footer")
        message = file.read_at(length, begin)
        kind, body = _field(message, _HEADER_TYPE), _field(message, _BODY_LENGTH)
        yield 0 if kind is None else message[kind], at
        at = begin + length + (0 if body is None else struct.unpack_from("<q", message, body)[0])
        if at < begin:
            raise pa.ArrowInvalid("a message with fewer than no bytes")


def _field(buffer: bytes, number: int) -> int | None:
    """Return the offset of a field in the root table of a flatbuffer, or None if the field is absent."""
    table = _unsigned(buffer, 0)
    vtable = table - struct.unpack_from("<i", buffer, table)[0]
    if vtable < 0:
        raise pa.ArrowInvalid("a table before its beginning")
    (size,) = struct.unpack_from("<H", buffer, vtable)
    place = 4 + 2 * number
    if place + 2 > size:
        return None
    (offset,) = struct.unpack_from("<H", buffer, vtable + place)
    return table + offset if offset else None


def _unsigned(buffer: bytes, at: int) -> int:
    number: int = struct.unpack_from("<I", buffer, at)[0]
    return number
