"""Files that appear whole or not at all."""

from __future__ import annotations

import os
from contextlib import contextmanager, suppress
from io import BufferedWriter, FileIO
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO

from xent_cli.errors import OutputError

if TYPE_CHECKING:
    from collections.abc import Iterator

    from _typeshed import ReadableBuffer


@contextmanager
def publish(path: str, *, append: bool = False) -> Iterator[BinaryIO]:
    """Open a stream for a file that takes the place of `path` when the block ends well.

    It is written beside its target and renamed; whatever goes wrong, Ctrl-C included, the old file stays and nothing
    is left behind. A pipe or a device is written to directly, and so is, at its end, a file that is to be appended to.

    Raises
    ------
    OutputError
        Where the place cannot be written to, before any work, or the disk is full.
    """
    target = Path(os.path.realpath(path))
    if target.is_dir():
        raise OutputError("cannot write file", path, found="a directory", expected="a file name")
    stream: BufferedWriter | None = None
    temporary: Path | None = None
    try:
        with _told(path, hint="does the folder exist, and may you write to it?"):
            temporary = None if append else _temporary(path, target)
            stream = BufferedWriter(_Target(path, temporary))
        yield stream
        with _told(path):
            stream.close()
            if temporary is not None:
                temporary.chmod(target.stat().st_mode & 0o7777 if target.exists() else 0o666 & ~_umask())
                temporary.replace(target)
    except BaseException:
        # What is still buffered is lost with the file; that it cannot be written either is no news.
        with suppress(OutputError, OSError, ValueError):
            if stream is not None:
                stream.close()
        if temporary is not None:
            with suppress(OSError):
                temporary.unlink()
        raise


class _Target(FileIO):
    """A file whose failure to take bytes is told by the name the user gave; errors of other files pass as they are."""

    def __init__(self, path: str, temporary: Path | None) -> None:
        if temporary is None:
            super().__init__(path, "ab")
        else:
            super().__init__(temporary, "x+b", opener=lambda name, flags: os.open(name, flags, 0o600))
        self._path = path

    def write(self, data: ReadableBuffer, /) -> int:
        with _told(self._path):
            return super().write(data) or 0


def _temporary(path: str, target: Path) -> Path | None:
    """Name the file that is written in place of `target`; None where the bytes go there directly.

    It is known before the file is there, so that an interruption at any moment can remove it.
    """
    # A path below /dev or /proc may be an open file of somebody, even where that is a regular one: add to it.
    if Path(path).exists() and (not Path(path).is_file() or Path(path).absolute().is_relative_to("/dev")):
        return None
    # Part of the name is enough, and leaves room below the longest name a file may have.
    return target.with_name(f".{target.name[:50]}.{os.urandom(6).hex()}.tmp")


@contextmanager
def _told(path: str, hint: str = "") -> Iterator[None]:
    """Turn what the system says about the file into an OutputError; a reader that went away is the caller's matter."""
    try:
        yield
    except BrokenPipeError:
        raise
    except OSError as error:
        raise OutputError("cannot write file", path, found=error.strerror or str(error), hint=hint) from None


def _umask() -> int:
    mask = os.umask(0)
    os.umask(mask)
    return mask
