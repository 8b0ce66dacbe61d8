"""Arrow's files and members of archives as streams for the readers; errors name the file."""

from __future__ import annotations

import io
import os
import sys
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, NamedTuple

from xent_cli.errors import InputError
from xent_cli.readers.storage.reading import first_line, is_url, reading

if TYPE_CHECKING:
    import zipfile
    from collections.abc import Iterator

    import pyarrow as pa
    from _typeshed import WriteableBuffer

# The local header up to the name; its last four bytes are the lengths of the name and of the extra field.
_HEADER_BYTES = 30


class Native(io.RawIOBase):
    """An Arrow file with the interface of a Python one; errors name the file.

    Parameters
    ----------
    url
        URL of the bytes, if they come from a network.
    seconds
        How long the network may be silent.
    """

    def __init__(self, file: pa.NativeFile, name: str, url: str = "", seconds: float = 0.0) -> None:
        self._file = file
        self._name = name
        self._url = url if is_url(url) else ""
        self._seconds = seconds

    def readable(self) -> bool:
        """Return True."""
        return True

    def seekable(self) -> bool:
        """Whether Arrow can move to another offset."""
        return bool(self._file.seekable())

    def seek(self, offset: int, whence: int = os.SEEK_SET) -> int:
        """Move to another offset."""
        return int(self._asked(self._file.seek, offset, whence))

    def tell(self) -> int:
        """Return the offset."""
        return int(self._file.tell())

    def readinto(self, target: WriteableBuffer) -> int:
        """Read into memory."""
        return int(self._asked(self._file.readinto, target))

    def read(self, size: int = -1) -> bytes:
        """Read some bytes."""
        return self._asked(self._file.read, None if size < 0 else size)  # type: ignore[no-any-return]

    def _asked(self, function: Any, *arguments: Any) -> Any:
        if not self._url:
            with reading(self._name):
                return function(*arguments)
        from xent_cli.readers.storage.remote import asking
        from xent_cli.readers.storage.time_limit import within

        with asking(self._url, self._seconds):
            return within(self._seconds, self._url, lambda: function(*arguments))

    def close(self) -> None:
        """Close it."""
        if not self.closed:
            self._file.close()
        super().close()


def zip_failures() -> tuple[type[Exception], ...]:
    """Return the exceptions of zipfile for archives that are damaged, encrypted, or of a newer version."""
    import struct
    import zipfile
    import zlib

    damaged = zipfile.BadZipFile, zipfile.LargeZipFile, zlib.error, struct.error, EOFError
    lzma = sys.modules.get("lzma")
    coded = (lzma.LZMAError,) if lzma is not None else ()
    return (*damaged, *coded, NotImplementedError, RuntimeError, OSError, ValueError, KeyError, OverflowError)


class Packed(NamedTuple):
    """A member of a zip archive as its directory describes it, so that the directory is read once for all of them."""

    name: str
    header_offset: int
    packed_bytes: int
    num_bytes: int
    checksum: int
    method: int

    @classmethod
    def of(cls, info: zipfile.ZipInfo) -> Packed:
        """Take what an entry of the directory says."""
        sizes = info.header_offset, info.compress_size, info.file_size
        return cls(info.filename, *sizes, info.CRC, info.compress_type)


class Member(io.RawIOBase):
    """A deflated member of a zip archive; errors name it."""

    def __init__(self, archive: io.BufferedReader, member: Packed, name: str) -> None:
        self._failures = zip_failures()
        self._name = name
        self._damaged = "damaged .npz file" if member.name.endswith(".npy") else "damaged zip archive"
        self._archive = archive
        with self._named():
            self._stream = _unpacked(archive, member)

    def readable(self) -> bool:
        """Return True."""
        return True

    def readinto(self, target: WriteableBuffer) -> int:
        """Read into memory."""
        with self._named():
            return int(self._stream.readinto(target))

    def close(self) -> None:
        """Close it."""
        self._archive.close()
        super().close()

    @contextmanager
    def _named(self) -> Iterator[None]:
        try:
            with reading(self._name):
                yield
        except self._failures as error:
            raise InputError(self._damaged, self._name, found=first_line(error)) from None


def _unpacked(archive: io.BufferedReader, member: Packed) -> zipfile.ZipExtFile:
    """Return a stream of the content of a member, which follows its local header."""
    import zipfile

    archive.seek(member.header_offset)
    header = archive.read(_HEADER_BYTES)
    if len(header) < _HEADER_BYTES or not header.startswith(b"PK\3\4"):
        raise zipfile.BadZipFile(f"no member {member.name} where the archive says")
    lengths = int.from_bytes(header[26:28], "little") + int.from_bytes(header[28:30], "little")
    archive.seek(member.header_offset + _HEADER_BYTES + lengths)
    info = zipfile.ZipInfo(member.name)
    info.compress_size, info.file_size = member.packed_bytes, member.num_bytes
    info.CRC, info.compress_type = member.checksum, member.method
    return zipfile.ZipExtFile(archive, "r", info)
