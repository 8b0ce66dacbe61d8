"""Outputs written in place: pipes, devices, open files, and files that are appended to."""

from __future__ import annotations

import errno
import os
import time
from contextlib import contextmanager, suppress
from io import BufferedWriter, FileIO
from pathlib import Path
from typing import TYPE_CHECKING

from xent_cli.errors import OutputError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from _typeshed import ReadableBuffer

# Seconds after which waiting for a reader is mentioned.
_SILENCE_SECONDS = 1.0
_LINKS_FOLLOWED = 40
_FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)


class Direct:
    """A pipe, a device, an open file, or a file that is appended to: there is nothing to rename."""

    stream: BufferedWriter

    def __init__(self, path: str, patience: float, waiting: Callable[[str], object] | None) -> None:
        self._path = path
        self._patience = patience
        self._waiting = waiting

    def open(self) -> None:
        """Open it for writing."""
        with errors_name_file(self._path, hint="does the folder exist, and may you write to it?"):
            self.stream = BufferedWriter(Named(self._path, self._begin))

    def finish(self) -> None:
        """See `Output`, as for the others."""
        with errors_name_file(self._path):
            self.stream.close()

    def swap(self, *, undoable: bool) -> None:
        """Do nothing: the bytes are already in place."""

    def undo(self) -> None:
        """Do nothing: bytes cannot be taken back."""

    def settle(self) -> None:
        """Do nothing: no old file was kept."""

    def drop(self) -> None:
        """Close it."""
        with suppress(OutputError, OSError, ValueError, AttributeError):
            self.stream.close()

    def _begin(self, name: str, flags: int) -> int:
        """Open the file; wait for the reader of a FIFO, but not for ever, as the system would."""
        if not Path(name).is_fifo():
            return os.open(name, flags, 0o666)
        began = time.monotonic()
        silent = True
        while (number := _if_read(name, flags)) is None:
            waited = time.monotonic() - began
            if waited > self._patience:
                raise OutputError(
                    "nobody reads from the pipe",
                    name,
                    found=f"no reader for {self._patience:g} seconds",
                    hint="start the program that reads from it",
                )
            if waited > _SILENCE_SECONDS and silent and self._waiting is not None:
                silent = False
                self._waiting(name)
            time.sleep(0.01)
        os.set_blocking(number, True)
        return number


def _if_read(name: str, flags: int) -> int | None:
    """Open a FIFO, or return None if nobody reads from it."""
    try:
        return os.open(name, flags | os.O_NONBLOCK)
    except OSError as error:
        if error.errno != errno.ENXIO:
            raise
        return None


class Named(FileIO):
    """A file whose write errors name it as the user did; errors of other files pass unchanged."""

    def __init__(self, path: str, opener: Callable[[str, int], int], place: str | None = None) -> None:
        if place is None:
            super().__init__(path, "ab", opener=opener)
        else:
            super().__init__(place, "x+b", opener=opener)
        self._path = path

    def write(self, data: ReadableBuffer, /) -> int:
        """Write bytes, as any file does."""
        with errors_name_file(self._path):
            return super().write(data) or 0

    def reserve(self, size: int) -> None:
        """Reserve space for this many bytes: writing to a memory map without space kills the process."""
        with errors_name_file(self._path):
            self.truncate(size)
            if hasattr(os, "posix_fallocate"):
                with _unless_full():
                    os.posix_fallocate(self.fileno(), 0, size)


@contextmanager
def _unless_full() -> Iterator[None]:
    """Ignore that a file system cannot reserve space, but not that it is full."""
    try:
        yield
    except OSError as error:
        if error.errno in _FULL:
            raise


@contextmanager
def errors_name_file(path: str, hint: str = "") -> Iterator[None]:
    """Turn an error of the system into an OutputError, unless the reader went away, which the caller handles."""
    try:
        yield
    except BrokenPipeError:
        raise
    except OSError as error:
        hint = "make room there, or write to another place" if error.errno in _FULL else hint
        raise OutputError("cannot write file", path, found=error.strerror or str(error), hint=hint) from None


def is_open_or_no_file(path: str) -> bool:
    """Whether the path is a pipe, a device, or an open file of a process, which is appended to even if regular."""
    step = Path(path).absolute()
    if not step.exists():
        return False
    if not step.is_file():
        return True
    for _ in range(_LINKS_FOLLOWED):
        parts = Path(os.path.realpath(step.parent)).parts
        if parts[1:2] == ("proc",) and parts[-1] == "fd":
            return True
        if parts[1:] == ("dev", "fd"):
            return True
        if not step.is_symlink():
            break
        step = step.parent / step.readlink()
    return False
