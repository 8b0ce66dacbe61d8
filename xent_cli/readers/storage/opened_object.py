"""An object behind a URL, opened once and read at any offset by every thread of this process."""

from __future__ import annotations

from typing import Any
from urllib.parse import urlsplit

import pyarrow as pa

from xent_cli.readers.storage.remote import asking
from xent_cli.readers.storage.time_limit import within

# Enough for the header of any array: a request costs far more than the bytes it returns.
_HEAD_BYTES = (1 << 16) + 12
# Arrow first reads the end of a Parquet file.
_TAIL_BYTES = 1 << 16
_PARQUET = b"PAR1"
# Objects of up to this size are kept once they are fetched: even a thousand of them take little memory.
_HELD_BYTES = 1 << 14


class OpenedObject:
    """An open object and the bytes already fetched from it; see `Opened`.

    Fields
    ------
    file
        The file as Arrow opened it.
    shared
        Whether several threads may read from it at once.
    tail
        The last bytes, if they have been fetched.
    held
        All bytes, if they are few; then nothing is requested again.
    """

    def __init__(self, file: pa.NativeFile, url: str, seconds: float, size: int | None = None, *, shared: bool) -> None:
        self.file = file
        self.shared = shared
        self.head = b""
        self.tail = b""
        self.footer: Any = None
        self._url = url
        self._seconds = seconds
        self._size: int = self._asked(file.size) if size is None else size
        if urlsplit(url).path.lower().endswith(".parquet"):
            # The footer of a Parquet file is at its end, next to the magic bytes.
            self.tail = self._fetched(min(_TAIL_BYTES, self._size), max(0, self._size - _TAIL_BYTES))
            self.head = _PARQUET if self.tail.endswith(_PARQUET) else b""
        if self._size <= len(self.tail):
            self.head = self.tail
        elif not self.head:
            self.head = self._fetched(min(_HEAD_BYTES, self._size), 0)
        self.enough = bool(self.tail) or len(self.head) == self._size
        self.held = self.head if len(self.head) == self._size <= _HELD_BYTES else None
        if self.held is not None:
            self.file = pa.BufferReader(self.held)

    @property
    def closed(self) -> bool:
        """See `Opened`."""
        return bool(self.file.closed)

    def release(self) -> None:
        """See `Opened`: bytes are kept only of small objects, and an object stays open only if threads may share it."""
        if self.held is not None:
            return
        self.head, self.tail, self.footer = b"", b"", None
        if not self.shared:
            self.file.close()

    def size(self) -> int:
        """See `Opened`."""
        return self._size

    def read_at(self, target: memoryview, offset: int) -> int:
        """See `Opened`."""
        found = self.bytes_at(len(target), offset)
        target[: len(found)] = found
        return len(found)

    def bytes_at(self, size: int, offset: int) -> bytes:
        """See `Opened`; bytes that have been fetched are not fetched again."""
        found = self.head[offset : offset + size]
        return found or self._fetched(min(size, max(0, self._size - offset)), offset)

    def _fetched(self, size: int, offset: int) -> bytes:
        return bytes(self._asked(lambda: self.file.read_at(size, offset))) if size else b""

    def _asked(self, function: Any) -> Any:
        with asking(self._url, self._seconds):
            return within(self._seconds, self._url, function)
