"""A remote file whose first and last bytes are kept in memory: zip archives are parsed by small reads at both ends."""

from __future__ import annotations

import io
import os
from typing import TYPE_CHECKING

from xent_cli.readers.storage.reading import read_up_to

if TYPE_CHECKING:
    from _typeshed import WriteableBuffer

    from xent_cli.readers.storage.interface import Stream

_HELD_BYTES = 64 << 10


class HeldEnds(io.RawIOBase):
    """A stream that requests each of its ends once, however many small reads there are.

    Parameters
    ----------
    file
        Read at any place; it is closed with this stream.
    """

    def __init__(self, file: Stream) -> None:
        self._file = file
        self._size = file.seek(0, os.SEEK_END)
        self._place = 0
        self._held: dict[int, bytes] = {}

    def readable(self) -> bool:
        """Return True."""
        return True

    def seekable(self) -> bool:
        """Return True."""
        return True

    def seek(self, offset: int, whence: int = os.SEEK_SET) -> int:
        """Move to another offset."""
        base = {os.SEEK_SET: 0, os.SEEK_CUR: self._place, os.SEEK_END: self._size}[whence]
        if base + offset < 0:
            raise ValueError(f"place {base + offset} is before the beginning")
        self._place = base + offset
        return self._place

    def tell(self) -> int:
        """Return the offset."""
        return self._place

    def readinto(self, target: WriteableBuffer) -> int:
        """Read into memory; a read stops short where the bytes in memory end."""
        view = memoryview(target).cast("B")
        tail = max(0, self._size - _HELD_BYTES)
        if self._place < _HELD_BYTES or self._place >= tail:
            start = 0 if self._place < _HELD_BYTES else tail
            if start not in self._held:
                self._file.seek(start)
                self._held[start] = read_up_to(self._file, _HELD_BYTES)
            found = self._held[start][self._place - start : self._place - start + len(view)]
            view[: len(found)] = found
            got = len(found)
        else:
            self._file.seek(self._place)
            got = self._file.readinto(view) or 0
        self._place += got
        return got

    def close(self) -> None:
        """Close the file too."""
        if not self.closed:
            self._file.close()
        super().close()
