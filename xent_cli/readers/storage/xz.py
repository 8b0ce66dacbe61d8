"""Decompress .xz as a stream: Arrow has no codec for it, and Python's lzma module sets no memory limit by default."""

from __future__ import annotations

import io
import lzma
from typing import TYPE_CHECKING

from xent_cli.errors import InputError

if TYPE_CHECKING:
    from _typeshed import WriteableBuffer

    from xent_cli.readers.storage.interface import Stream

# xz -9 needs 65 MiB; a header may ask for gigabytes.
_MOST_MEMORY = 512 << 20
_READ_BYTES = 1 << 18


class Unxz(io.RawIOBase):
    """The bytes of one or several .xz streams, one after another; errors name the file."""

    def __init__(self, file: Stream, name: str) -> None:
        self._file = file
        self._name = name
        self._held = b""
        self._decoder = lzma.LZMADecompressor(lzma.FORMAT_XZ, _MOST_MEMORY)

    def readable(self) -> bool:
        """Return True."""
        return True

    def readinto(self, target: WriteableBuffer) -> int:
        """Read into memory."""
        view = memoryview(target).cast("B")
        while len(view):
            if self._decoder.eof and not self._next():
                return 0
            more = self._fill() if self._decoder.needs_input else b""
            if self._decoder.needs_input and not more:
                raise InputError("damaged .xz file", self._name, "an end within a stream", "a whole file")
            try:
                part = self._decoder.decompress(more, len(view))
            except lzma.LZMAError as error:
                raise InputError("damaged .xz file", self._name, found=str(error)) from None
            if part:
                view[: len(part)] = part
                return len(part)
        return 0

    def close(self) -> None:
        """Close it."""
        self._file.close()
        super().close()

    def _fill(self) -> bytes:
        held, self._held = self._held, b""
        return held or self._file.read(_READ_BYTES) or b""

    def _next(self) -> bool:
        """Whether another stream follows the one that has ended; there may be zero padding between them."""
        self._held = self._decoder.unused_data
        while not self._held.strip(b"\0"):
            self._held = self._file.read(_READ_BYTES) or b""
            if not self._held:
                return False
        self._held = self._held.lstrip(b"\0")
        self._decoder = lzma.LZMADecompressor(lzma.FORMAT_XZ, _MOST_MEMORY)
        return True
