"""Bytes that can be read only once, in order: standard input, a FIFO, a process substitution."""

from __future__ import annotations

import atexit
import io
import os
import stat
import sys
import time
import weakref
from contextlib import suppress
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from threading import Lock
from typing import TYPE_CHECKING

import numpy as np

from xent_cli import temporary_files
from xent_cli.errors import InputError, UsageError
from xent_cli.readers.storage.codecs import codec_of, decompressed
from xent_cli.readers.storage.reading import fill, first_line, reading
from xent_cli.readers.storage.stored import Stored

if TYPE_CHECKING:
    from collections.abc import Iterable

    from _typeshed import WriteableBuffer

    from xent_cli.core.array_types import AnyArray
    from xent_cli.readers.storage.interface import Bytes, Stream

_NAME = "standard input"
# A Linux pipe holds 64 KiB by default; with 1 MiB, writer and reader take turns less often.
_PIPE_BYTES = 1 << 20
# How long to wait for somebody to open a FIFO for writing.
_PATIENCE_SECONDS = 1.0
_copying = Lock()


class Piped:
    """Bytes that can be read only once; see `Bytes`."""

    rereadable = False

    def __init__(self, raw: Stream, name: str) -> None:
        self.name = name
        self._stream = _Peekable(raw, name)
        self._spooled: Stored | None = None
        codec = codec_of(self._stream.peek(4))
        if codec:
            import pyarrow as pa

            self._stream = _Peekable(decompressed(pa.PythonFile(self._stream, "r"), codec, name), name)

    def peek(self, size: int) -> bytes:
        """See `Bytes`."""
        return self._stream.peek(size) if self._spooled is None else self._spooled.peek(size)

    def stream(self) -> Stream:
        """See `Bytes`."""
        return self._stream if self._spooled is None else self._spooled.stream()

    def __reduce__(self) -> tuple[object, ...]:
        """Pickle only the name: recipes for rows from a pipe carry their bytes."""
        return Elsewhere, (self.name,)

    def spooled(self) -> Stored:
        """Copy everything to a temporary file, once; it is removed when the process ends."""
        if self._spooled is None:
            self._spooled = _copy_to_disk(self)
        return self._spooled


@dataclass(frozen=True, slots=True)
class Elsewhere:
    """A pipe of another process, known here by its name only; see `Bytes`."""

    name: str
    rereadable: bool = False

    def peek(self, size: int) -> bytes:
        """Nothing can be read here."""
        raise InputError("a pipe of another process", self.name, hint="save it in a file that every worker can read")

    def stream(self) -> Stream:
        """Nothing can be read here."""
        raise InputError("a pipe of another process", self.name, hint="save it in a file that every worker can read")


@dataclass(frozen=True)
class Copied:
    """Bytes that are copied to disk when first read; same interface as `Stored`."""

    source: Bytes

    @property
    def name(self) -> str:
        """See `Stored`."""
        return self.source.name

    @property
    def path(self) -> str:
        """See `Stored`."""
        return self._stored.path

    def open(self) -> Stream:
        """See `Stored`."""
        return self._stored.open()

    @property
    def _stored(self) -> Stored:
        with _copying:  # several threads may get here at once
            return self._copy

    @cached_property
    def _copy(self) -> Stored:
        return self.source.spooled() if isinstance(self.source, Piped) else _copy_to_disk(self.source)


class Spill:
    """A temporary file that exists as long as something may read it; same interface as `Stored`."""

    def __init__(self, name: str) -> None:
        self.name = name
        handle, self.path = _temporary_file()
        self._file = os.fdopen(handle, "wb", buffering=0)
        weakref.finalize(self, _remove, self.path)

    def append(self, values: AnyArray) -> None:
        """Write the bytes of an array in C order."""
        with reading("temporary file"):
            data = np.ascontiguousarray(values).reshape(-1).view(np.uint8).data
            while data:
                data = data[self._file.write(data) :]

    def close(self) -> None:
        """Finish writing."""
        self._file.close()

    def open(self) -> Stream:
        """See `Stored`."""
        with reading("temporary file"):
            return Path(self.path).open("rb", buffering=0)


def seekable(source: Bytes) -> Stored:
    """Return the bytes in a form that can be read at any offset: as they are, or as a decompressed copy on disk."""
    if isinstance(source, Piped):
        return source.spooled()
    assert isinstance(source, Stored)
    return _copy_to_disk(source) if source.codec else source


def standard_input() -> Bytes:
    """Open standard input: the file that it is redirected from, or the bytes of a pipe.

    Raises
    ------
    UsageError
        If it is a terminal, at which xent would seem to hang.
    """
    if sys.stdin is None or sys.stdin.closed:
        raise InputError("standard input is closed", "-", expected="a pipe or a file")
    if sys.stdin.isatty():
        raise UsageError("- is standard input, and that is a terminal", hint="program | xent compute - labels.npy")
    number = sys.stdin.fileno()
    path = f"/proc/self/fd/{number}"
    if stat.S_ISREG(os.fstat(number).st_mode) and os.lseek(number, 0, os.SEEK_CUR) == 0 and Path(path).exists():
        from xent_cli.readers.storage.stored import recognised

        # In another process, that name would mean its own standard input.
        return recognised(Stored(_NAME, f"/proc/{os.getpid()}/fd/{number}"))
    return Piped(_widened(number), _NAME)


def open_pipe(path: str) -> Piped:
    """Open a FIFO or a character device.

    Raises
    ------
    InputError
        If nothing writes to it.
    """
    with reading(path):
        number = os.open(path, os.O_RDONLY | os.O_NONBLOCK)
    end = time.monotonic() + _PATIENCE_SECONDS
    head = b""
    # Without a writer, a read returns end of file at once; with a writer that has not written yet, it would block.
    with reading(path), suppress(BlockingIOError):
        while not (head := os.read(number, 1)):
            if time.monotonic() > end:
                raise InputError("nothing comes from the pipe", path, hint="does a program write to it?")
            time.sleep(0.01)
    os.set_blocking(number, True)
    return Piped(_Peekable(_widened(number), path, head), path)


def _widened(number: int) -> Stream:
    with suppress(ImportError, OSError, AttributeError):
        import fcntl

        fcntl.fcntl(number, fcntl.F_SETPIPE_SZ, _PIPE_BYTES)
    return io.FileIO(number, closefd=False)


def _copy_to_disk(source: Bytes) -> Stored:
    import shutil

    handle, path = _temporary_file()
    atexit.register(_remove, path)
    with reading("temporary file"), os.fdopen(handle, "wb") as file, source.stream() as stream:
        shutil.copyfileobj(stream, file, 1 << 20)  # type: ignore[misc]
    return Stored(source.name, path)


def written_to_disk(name: str, chunks: Iterable[bytes]) -> Stored:
    """Write bytes to a temporary file that is removed when the process ends, and return it."""
    handle, path = _temporary_file()
    atexit.register(_remove, path)
    with os.fdopen(handle, "wb") as file:
        for chunk in chunks:
            with reading("temporary file"):
                file.write(chunk)
    return Stored(name, path)


def _temporary_file() -> tuple[int, str]:
    """Create a file that is removed even if a signal ends the run."""
    import tempfile

    try:
        path = os.path.join(tempfile.gettempdir(), f"xent-{os.urandom(8).hex()}")  # noqa: PTH118
        temporary_files.begin(path)
        return os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL, 0o600), path
    except OSError as error:
        found, hint = error.strerror or first_line(error), "set TMPDIR to a folder that may be written to"
        raise InputError("no place for a temporary file", found=found, hint=hint) from None


def _remove(path: str) -> None:
    Path(path).unlink(missing_ok=True)
    temporary_files.end(path)


class _Peekable(io.RawIOBase):
    """A stream whose first bytes can be peeked at before they are read."""

    def __init__(self, raw: Stream, name: str, head: bytes = b"") -> None:
        self._raw = raw
        self._name = name
        self._head = head

    def readable(self) -> bool:
        return True

    def peek(self, size: int) -> bytes:
        if len(self._head) < size:
            more = bytearray(size - len(self._head))
            with reading(self._name):
                self._head += more[: fill(self._raw, memoryview(more))]
        return self._head[:size]

    def read(self, size: int = -1) -> bytes:
        if self._head or size < 0:
            return super().read(size) or b""
        with reading(self._name):
            return self._raw.read(size) or b""

    def readinto(self, target: WriteableBuffer) -> int:
        view = memoryview(target).cast("B")
        if self._head:
            taken = self._head[: len(view)]
            self._head = self._head[len(taken) :]
            view[: len(taken)] = taken
            return len(taken)
        with reading(self._name):
            return self._raw.readinto(view) or 0
