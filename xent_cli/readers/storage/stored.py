"""Bytes on a disk or in a bucket: a recipe that any thread or process can open."""

from __future__ import annotations

import io
import os
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

from xent_cli.readers.storage.codecs import codec_of, decompressed
from xent_cli.readers.storage.identity import Identity, of_path, of_status, refuse_another, refuse_another_file, watch
from xent_cli.readers.storage.opened import OpenedFile, View
from xent_cli.readers.storage.reading import is_url, read_up_to, reading, timeout

if TYPE_CHECKING:
    from collections.abc import Iterator

    import pyarrow as pa

    from xent_cli.readers.storage.interface import Stream
    from xent_cli.readers.storage.opened import Opened
    from xent_cli.readers.storage.streams import Packed

# The first bytes of pointer files, which a repository stores in place of large ones.
_POINTERS = frozenset({b"vers", b"outs", b"md5:", b"/ann"})
# Enough to recognise a format, and for the header of an array that numpy.save wrote.
_HEAD_BYTES = 4096
# First bytes are kept up to this size; if more are asked for, they are read again.
_MOST_KEPT = 4 << 20


@dataclass(frozen=True, slots=True)
class Stored:
    """A file on a disk, or an object behind a URL.

    Fields
    ------
    name
        The name that the user knows it by.
    path
        Of a local file, or a URL.
    codec
        "gzip", "bz2", "zstd" or "xz"; "" for a file that can be read at any offset.
    member
        The member of a zip archive, with "zip" for `codec`; or None.
    rereadable
        As in `Bytes`.
    identity
        Identity of the file when it was described: if it has changed when it is opened, it is refused. None for a copy
        of ours.
    timeout
        How long a network may be silent, in seconds.
    opened
        The file or object, if this process has it open.
    """

    name: str
    path: str
    codec: str = ""
    member: Packed | None = None
    rereadable: bool = True
    identity: Identity | None = None
    timeout: float = field(default_factory=timeout.get)
    opened: Opened | None = field(default=None, compare=False, repr=False)

    def __reduce__(self) -> tuple[object, ...]:
        """Pickle the recipe without the open file; a file read by another process is checked again at the end."""
        if self.opened is not None and self.opened.held is not None:
            from xent_cli.readers.storage.remote import look

            watch(self.name, self.path, self.identity, look)
        held = self.name, self.path, self.codec, self.member, self.rereadable, self.identity, self.timeout
        return Stored, held

    def open(self) -> Stream:
        """Open for reading at any offset, unbuffered and without decompression."""
        opened = self.opened if self.opened is not None and not self.opened.closed else None
        if is_url(self.path):
            if opened is not None:
                return View(opened)
            from xent_cli.readers.storage.streams import Native

            return Native(self.arrow(), self.name, self.path, self.timeout)
        with reading(self.name):
            file = opened if isinstance(opened, OpenedFile) else OpenedFile(self.path)
            if self.identity is not None:
                refuse_another_file(self.name, self.identity, file.status())
            return View(file)

    def arrow(self) -> pa.NativeFile:
        """Open for Arrow."""
        import pyarrow as pa

        if self.opened is not None and self.opened.held is not None:
            return pa.BufferReader(self.opened.held)
        with reading(self.name):
            if is_url(self.path):
                from xent_cli.readers.storage.remote import of_object, open_remote

                file = open_remote(self.path, self.timeout)
                found = None if self.identity is None else of_object(file, self.path, self.timeout)
            else:
                file = pa.OSFile(self.path)
                found = None if self.identity is None else of_path(self.path)
            with closed_at_fault(file):
                refuse_another(self.name, self.identity, found)
            return file

    def arrow_here(self) -> pa.NativeFile:
        """Open for a few reads by Arrow, each of which takes the interpreter lock; a file that is open here is used."""
        if is_url(self.path) or self.opened is None or self.opened.closed:
            return self.arrow()
        import pyarrow as pa

        return pa.PythonFile(self.open(), "r")

    def stream(self) -> Stream:
        """See `Bytes`."""
        if self.member is not None:
            from xent_cli.readers.storage.streams import Member

            return Member(io.BufferedReader(self.open()), self.member, self.name)  # type: ignore[arg-type]
        if not self.codec:
            return self.open()
        return decompressed(self.arrow_here(), self.codec, self.name, self.path, self.timeout)

    def peek(self, size: int) -> bytes:
        """See `Bytes`; bytes already peeked at are kept while the file is open here."""
        opened = self.opened if not self.member else None
        if opened is not None and opened.head and (len(opened.head) >= size or (opened.enough and not self.codec)):
            return opened.head[:size]
        with self.stream() as stream:
            head = read_up_to(stream, size)
        if opened is not None and not opened.closed and size <= _MOST_KEPT:
            opened.head = head
        return head

    def size(self) -> int:
        """Number of bytes as stored; checked wherever the file is opened."""
        if self.identity is not None and self.identity.place and self.identity.size is not None:
            return self.identity.size
        if not is_url(self.path):
            with reading(self.name):
                return os.stat(self.path).st_size  # noqa: PTH116 (noticeably faster for a thousand files)
        with self.open() as file:
            return file.seek(0, os.SEEK_END)


def recognised(source: Stored) -> Stored:
    """Recognise the compression of a file, and note its identity, so that a change is refused.

    The file stays open, so that it is opened once however often its beginning is read.
    """
    if is_url(source.path):
        from xent_cli.readers.storage.opened_object import OpenedObject
        from xent_cli.readers.storage.remote import described, look

        identity, file, shared = described(source.path, source.timeout)
        remote = OpenedObject(file, source.path, source.timeout, identity.size, shared=shared)
        if remote.held is None:  # else all bytes came in one response, so they are of one version
            watch(source.name, source.path, identity, look)
        found, head = replace(source, identity=identity, opened=remote), remote.head
    else:
        with reading(source.name):
            opened = OpenedFile(source.path)
            found = replace(source, identity=of_status(opened.status()), opened=opened)
            head = opened.head = found.peek(_HEAD_BYTES)
        watch(source.name, source.path, found.identity, of_path)
    if head[:4] in _POINTERS:
        from xent_cli.readers.storage.foreign import refuse_pointer

        refuse_pointer(source.name, head)
    codec = codec_of(head)
    if codec and found.opened is not None:
        found.opened.head = b""
    return replace(found, codec=codec)


@contextmanager
def closed_at_fault(file: Stream | pa.NativeFile) -> Iterator[None]:
    """Close a file if the block fails."""
    try:
        yield
    except BaseException:
        file.close()
        raise
