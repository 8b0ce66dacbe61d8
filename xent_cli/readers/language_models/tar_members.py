"""The members of a tar archive, found by reading its headers alone; nothing is extracted.

Only plain files are accepted, because links and paths could lead outside the archive.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from xent_cli.errors import InputError
from xent_cli.readers.storage.reading import read_up_to, reading

if TYPE_CHECKING:
    from collections.abc import Iterator

    from xent_cli.readers.storage.stored import Stored

_BLOCK = 512
_MAGIC, _MAGIC_AT = b"ustar", 257
# Name, size, checksum and type in a header.
_NAME, _SIZE, _SUM, _TYPE = slice(0, 100), slice(124, 136), slice(148, 156), slice(156, 157)
_PREFIX = slice(345, 500)
_FILES = (b"0", b"\0")
_KINDS = {
    b"1": "a hard link",
    b"2": "a symbolic link",
    b"3": "a device",
    b"4": "a device",
    b"5": "a folder",
    b"6": "a pipe",
    b"x": "a header in another format (pax)",
    b"g": "a header in another format (pax)",
    b"L": "a header in another format (GNU)",
    b"K": "a header in another format (GNU)",
}
_MOST_MEMBERS = 1_000_000
# The advice for any damage to an archive.
HINT = "write the file again"


class TarMember(NamedTuple):
    """A file in an archive: its name, the offset of its bytes, and their number."""

    name: str
    start: int
    size: int


def is_tar(head: bytes) -> bool:
    """Whether a file begins with the header of a tar archive."""
    return head.startswith(_MAGIC, _MAGIC_AT)


def tar_members(source: Stored) -> Iterator[TarMember]:
    """Yield the files of an archive in order.

    Raises
    ------
    InputError
        If the archive is damaged or cut short, or holds anything but files in no folder.
    """
    length, place = source.size(), 0
    with source.open() as stream:
        for _ in range(_MOST_MEMBERS):
            with reading(source.name):
                stream.seek(place)
                header = read_up_to(stream, _BLOCK)
            if not header.strip(b"\0") and len(header) == _BLOCK:
                return
            if len(header) < _BLOCK:
                found = f"{length} bytes, and no end of the archive"
                raise InputError("truncated tar archive", source.name, found, hint=HINT)
            member = _member(source.name, header, place)
            place = member.start + -(-member.size // _BLOCK) * _BLOCK
            if member.start + member.size > length:
                found = f"{member.name} of {member.size} bytes at {member.start}, in a file of {length}"
                raise InputError("truncated tar archive", source.name, found, hint=HINT)
            yield member
    raise InputError("too many members", source.name, f"more than {_MOST_MEMBERS}", hint="write smaller archives")


def _member(path: str, header: bytes, place: int) -> TarMember:
    kind = header[_TYPE]
    sums = sum(header[: _SUM.start]) + 8 * ord(" ") + sum(header[_SUM.stop :])
    if not is_tar(header) or _octal(header[_SUM]) != sums:
        raise InputError("damaged tar archive", path, f"no header at byte {place}", hint=HINT)
    name = header[_NAME].split(b"\0")[0].decode("utf-8", "replace")
    if kind not in _FILES:
        found = f"{_KINDS.get(kind, 'a member of another kind')} called {name}"
        raise InputError("not a file in a tar archive", path, found, "plain files", HINT)
    if "/" in name or "\\" in name or name in ("", ".", "..") or header[_PREFIX].strip(b"\0"):
        raise InputError("a path in a tar archive", path, f'"{name}"', "names without folders", HINT)
    size = _octal(header[_SIZE])
    if size < 0:
        raise InputError("damaged tar archive", path, f"no size of {name}", hint=HINT)
    return TarMember(name, place + _BLOCK, size)


def _octal(field: bytes) -> int:
    """Parse a number of a header, which is octal; -1 if it is not one."""
    text = field.strip(b" \0")
    try:
        return int(text, 8) if text.isdigit() else -1
    except ValueError:
        return -1
