"""Uncompressed members of zip archives, which can be read in place."""

from __future__ import annotations

import io
from typing import IO, TYPE_CHECKING, Any

from xent_cli.errors import InputError
from xent_cli.readers.storage.reading import is_url

if TYPE_CHECKING:
    from zipfile import ZipInfo

    from xent_cli.readers.storage.stored import Stored

# The local header up to the name; its last four bytes are the lengths of the name and of the extra field.
_HEADER_BYTES = 30


def opened(source: Stored) -> io.BufferedReader:
    """Open an archive for small reads at any offset."""
    file: Any = source.open()
    if is_url(source.path):
        from xent_cli.readers.storage.held_ends import HeldEnds

        file = HeldEnds(file)
    return io.BufferedReader(file)


def data_offset(name: str, file: IO[bytes], size: int, member: ZipInfo) -> int:
    """Return where the bytes of a stored member begin: after its local header, which contains its own length.

    Parameters
    ----------
    name
        Of the archive, for messages.
    size
        Of the archive, in bytes.

    Raises
    ------
    InputError
        If there is no such member, or it does not fit into the file.
    """
    file.seek(member.header_offset)
    header = file.read(_HEADER_BYTES)
    start = member.header_offset + _HEADER_BYTES
    start += int.from_bytes(header[26:28], "little") + int.from_bytes(header[28:30], "little")
    if not header.startswith(b"PK\3\4") or start + member.file_size > size:
        found = f"no member {member.filename} where the archive says"
        raise InputError("damaged zip archive", name, found=found, hint="write it again")
    return start
