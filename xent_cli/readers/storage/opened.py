"""A local file that is opened once and read at any place by everybody who reads it."""

from __future__ import annotations

import io
import os
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from _typeshed import WriteableBuffer


class Opened:
    """An open file, until `close` or until nobody holds it.

    Fields
    ------
    head
        The first bytes, decompressed, as far as they have been looked at.
    """

    def __init__(self, path: str) -> None:
        self._number = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
        self.head = b""

    def __del__(self) -> None:
        self.close()

    @property
    def closed(self) -> bool:
        """Whether it can be read no more."""
        return getattr(self, "_number", -1) < 0

    def close(self) -> None:
        """Close it, and forget its first bytes."""
        if not self.closed:
            number, self._number, self.head = self._number, -1, b""
            os.close(number)

    def status(self) -> os.stat_result:
        """What the system says of it."""
        return os.fstat(self._number)

    def read_at(self, target: memoryview, offset: int) -> int:
        """Read into memory from some place; less than fits where the file ends."""
        return os.preadv(self._number, [target], offset)


class View(io.RawIOBase):
    """A stream over an open file with a place of its own; to close it does not close the file."""

    def __init__(self, file: Opened) -> None:
        self._file = file
        self._place = 0

    def readable(self) -> bool:
        """Yes."""
        return True

    def seekable(self) -> bool:
        """Yes."""
        return True

    def seek(self, offset: int, whence: int = os.SEEK_SET) -> int:
        """Go to another place."""
        if whence == os.SEEK_END:
            offset += self._file.status().st_size
        elif whence == os.SEEK_CUR:
            offset += self._place
        if offset < 0:
            raise OSError("a place before the beginning")
        self._place = offset
        return offset

    def tell(self) -> int:
        """Say at which place it is."""
        return self._place

    def readinto(self, target: WriteableBuffer) -> int:
        """Read into memory."""
        got = self._file.read_at(memoryview(target).cast("B"), self._place)
        self._place += got
        return got
