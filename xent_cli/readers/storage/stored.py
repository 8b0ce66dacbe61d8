"""Bytes that lie on a disk or in a bucket, and bytes that come once: where every reader gets them from."""

from __future__ import annotations

import io
import os
import re
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, Protocol, Self
from urllib.parse import unquote, urlsplit

from xent_cli.errors import InputError, XentError
from xent_cli.readers.storage.identity import Identity, of_path, of_status, refuse_another, refuse_another_file, watch

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from types import TracebackType

    import pyarrow as pa

_CODECS = {b"\x1f\x8b": "gzip", b"BZh": "bz2", b"\x28\xb5\x2f\xfd": "zstd", b"\xfd7zX": "xz"}
_URL = re.compile(r"[A-Za-z][A-Za-z0-9+.-]+://")
# How a text begins that stands in a repository in place of a file.
POINTERS = frozenset({b"vers", b"outs", b"md5:", b"/ann"})
# How UTF-8 may begin.
BOM = b"\xef\xbb\xbf"
# How long a network may be silent, in seconds; a recipe takes it along to wherever it is read.
timeout: ContextVar[float] = ContextVar("timeout", default=60.0)


class Stream(Protocol):
    """An open file, without a buffer: the part of `io.RawIOBase` that readers use."""

    def readinto(self, target: Any, /) -> int | None:
        """Read into memory; less than fits does not mean that it is the end."""

    def read(self, size: int = -1, /) -> bytes | None:
        """Read some bytes."""

    def seek(self, offset: int, whence: int = 0, /) -> int:
        """Go to another place."""

    def seekable(self) -> bool:
        """Whether there is another place to go to."""

    def close(self) -> None:
        """Let go of it."""

    def __enter__(self) -> Self: ...
    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None, /
    ) -> None: ...


class Bytes(Protocol):
    """Something to read.

    Fields
    ------
    name
        As the user knows it, for messages and documents.
    rereadable
        Whether `stream` may be asked for more than once.
    """

    @property
    def name(self) -> str: ...
    @property
    def rereadable(self) -> bool: ...

    def peek(self, size: int) -> bytes:
        """Look at the first bytes, decompressed; fewer only where there are no more."""

    def stream(self) -> Stream:
        """All bytes in order, decompressed."""


@dataclass(frozen=True, slots=True)
class Stored:
    """Bytes that lie somewhere: a recipe that any thread or process can open.

    Fields
    ------
    name
        As the user knows it.
    path
        Of a local file, or a URL.
    codec
        "gzip", "bz2", "zstd" or "xz", or "" where any place of the file can be read.
    member
        Of a zip archive; then `codec` is "zip".
    identity
        What it was when it was described, or None for a copy of ours: it is refused where it is opened as another.
    timeout
        How long a network may be silent, in seconds.
    """

    name: str
    path: str
    codec: str = ""
    member: str = ""
    rereadable: bool = True
    identity: Identity | None = None
    timeout: float = field(default_factory=timeout.get)

    def open(self) -> Stream:
        """Open for reading at any place, without a buffer and without decompression."""
        if is_url(self.path):
            from xent_cli.readers.storage.streams import Native

            return Native(self.arrow(), self)
        try:
            file = open(self.path, "rb", buffering=0)  # noqa: PTH123, SIM115 (open as long as it is read)
        except OSError:
            with reading(self.name):
                raise
        if self.identity is not None:
            try:
                refuse_another_file(self.name, self.identity, os.fstat(file.fileno()))
            except InputError:
                file.close()
                raise
        return file

    def arrow(self) -> pa.NativeFile:
        """Open for Arrow."""
        import pyarrow as pa

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

    def stream(self) -> Stream:
        """See `Bytes`."""
        if self.codec == "zip":
            from xent_cli.readers.storage.streams import Member

            return Member(io.BufferedReader(self.open()), self.member, self.name)  # type: ignore[arg-type]
        return decompressed(self.arrow(), self.codec, self) if self.codec else self.open()

    def peek(self, size: int) -> bytes:
        """See `Bytes`."""
        with self.stream() as stream:
            return read_up_to(stream, size)

    def size(self) -> int:
        """Number of bytes as stored; that of a file is held against it wherever it is opened."""
        if self.identity is not None and self.identity.place and self.identity.size is not None:
            return self.identity.size
        with self.open() as file:
            return file.seek(0, os.SEEK_END)


def recognised(source: Stored) -> Stored:
    """The same bytes, to be decompressed where their first ones say so, and to be refused where they change."""
    identity: Identity | None
    again: Callable[[str], Identity | None] = of_path
    if is_url(source.path):
        from xent_cli.readers.storage.remote import described, look

        identity, head = described(source.path, source.timeout)
        again = look
    else:
        with reading(source.name), source.open() as opened:
            identity, head = of_status(os.fstat(opened.fileno())), read_up_to(opened, 4)  # type: ignore[attr-defined]
    if head in POINTERS:
        from xent_cli.readers.storage.foreign import refuse_pointer

        refuse_pointer(source)
    watch(source.name, source.path, identity, again)
    return replace(source, codec=codec_of(head), identity=identity)


@contextmanager
def closed_at_fault(file: Stream | pa.NativeFile) -> Iterator[None]:
    """Close a file where what comes first fails."""
    try:
        yield
    except BaseException:
        file.close()
        raise


def codec_of(head: bytes) -> str:
    """Name the compression that begins so, or ""."""
    return next((codec for magic, codec in _CODECS.items() if head.startswith(magic)), "")


def decompressed(file: pa.NativeFile, codec: str, source: Bytes) -> Stream:
    """Stream of what is compressed in a file."""
    if codec == "xz":
        from xent_cli.readers.storage.xz import Unxz

        return Unxz(file, source.name)
    import pyarrow as pa

    from xent_cli.readers.storage.streams import Native

    return Native(pa.CompressedInputStream(file, codec), source)


def is_url(path: str) -> bool:
    """Whether a path is a URL.

    Examples
    --------
    >>> is_url("s3://bucket/l.npy"), is_url("C:/l.npy")
    (True, False)
    """
    return _URL.match(path) is not None


def local_path(path: str) -> str:
    """The path of a file:// URL, or the path itself."""
    return unquote(urlsplit(path).path) if path.startswith("file://") else path


@contextmanager
def reading(name: str) -> Iterator[None]:
    """Turn what the system or Arrow says about bytes that cannot be read into an InputError that names them."""
    try:
        yield
    except XentError:
        raise
    except FileNotFoundError:
        raise InputError("no such file", name) from None
    except OSError as error:
        raise InputError("cannot read file", name, found=error.strerror or first_line(error)) from None


def read_up_to(stream: Stream, size: int) -> bytes:
    """Read so many bytes, fewer only at the end: a pipe gives them in small helpings."""
    parts = []
    while size > 0 and (part := stream.read(size)):
        parts.append(part)
        size -= len(part)
    return parts[0] if len(parts) == 1 else b"".join(parts)


def fill(stream: Stream, target: memoryview) -> int:
    """Read until the memory is full or the stream ends; return how many bytes came."""
    done = 0
    while done < len(target):
        got = stream.readinto(target[done:])
        if not got:
            break
        done += got
    return done


def first_line(error: BaseException) -> str:
    """What an exception of another library says, without its lists of causes."""
    return str(error).strip().split("\n")[0] or type(error).__name__
