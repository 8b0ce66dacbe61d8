"""Files and objects that are opened once, and read at any offset by several readers at a time."""

from __future__ import annotations

import io
import os
from typing import TYPE_CHECKING, Any, Protocol

if TYPE_CHECKING:
    from _typeshed import WriteableBuffer


class Opened(Protocol):
    """A file or an object that this process has open.

    Fields
    ------
    head
        The first bytes that have been read so far, decompressed if the file is compressed.
    enough
        Whether these are all bytes, or enough to recognise the format.
    shared
        Whether several threads may read from it at once.
    held
        All bytes of a small object, or None.
    footer
        The parsed metadata at the end of a Parquet file; None before that, and for any other file.
    """

    head: bytes
    enough: bool
    shared: bool
    held: bytes | None
    footer: Any

    @property
    def closed(self) -> bool:
        """Whether it is closed."""

    def release(self) -> None:
        """Release scarce resources, such as file descriptors, once one of many inputs has been described."""

    def size(self) -> int:
        """Number of bytes."""

    def read_at(self, target: memoryview, offset: int) -> int:
        """Read into memory from an offset; a short read does not mean the end of the file, an empty one does."""

    def bytes_at(self, size: int, offset: int) -> bytes:
        """Read bytes from an offset, without a copy."""


class OpenedFile:
    """A local file, open until `close`, or until nothing refers to it; see `Opened`."""

    shared = True
    held: bytes | None = None

    def __init__(self, path: str) -> None:
        self._number = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
        self.head = b""
        self.enough = False
        self.footer: Any = None

    def __del__(self) -> None:
        self.close()

    @property
    def closed(self) -> bool:
        """See `Opened`."""
        return getattr(self, "_number", -1) < 0

    def release(self) -> None:
        """See `Opened`: a process may have few files open."""
        self.close()

    def close(self) -> None:
        """Close it, and forget its first bytes."""
        if not self.closed:
            number, self._number, self.head, self.footer = self._number, -1, b"", None
            os.close(number)

    def status(self) -> os.stat_result:
        """Result of `fstat`."""
        return os.fstat(self._number)

    def size(self) -> int:
        """See `Opened`."""
        return self.status().st_size

    def read_at(self, target: memoryview, offset: int) -> int:
        """See `Opened`."""
        return os.preadv(self._number, [target], offset)

    def bytes_at(self, size: int, offset: int) -> bytes:
        """See `Opened`."""
        return os.pread(self._number, size, offset)


class View(io.RawIOBase):
    """A stream with a separate offset; to close it does not close the file that it reads from."""

    def __init__(self, opened: Opened) -> None:
        self._opened = opened
        self._place = 0

    def readable(self) -> bool:
        """Return True."""
        return True

    def seekable(self) -> bool:
        """Return True."""
        return True

    def seek(self, offset: int, whence: int = os.SEEK_SET) -> int:
        """Move to another offset."""
        if whence == os.SEEK_END:
            offset += self._opened.size()
        elif whence == os.SEEK_CUR:
            offset += self._place
        if offset < 0:
            raise OSError("negative offset")
        self._place = offset
        return offset

    def tell(self) -> int:
        """Return the offset."""
        return self._place

    def read(self, size: int = -1) -> bytes:
        """Read some bytes, or all that are left."""
        if size < 0:
            return self.readall()
        found = self._opened.bytes_at(size, self._place)
        self._place += len(found)
        return found

    def readinto(self, target: WriteableBuffer) -> int:
        """Read into memory."""
        got = self._opened.read_at(memoryview(target).cast("B"), self._place)
        self._place += got
        return got
