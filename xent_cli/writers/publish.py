"""Files that appear whole or not at all."""

from __future__ import annotations

import os
import tempfile
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO

from xent_cli.errors import OutputError

if TYPE_CHECKING:
    from collections.abc import Iterator


@contextmanager
def publish(path: str) -> Iterator[BinaryIO]:
    """Open a stream for a file that takes the place of `path` when the block ends well.

    It is written beside its target and renamed; whatever goes wrong, Ctrl-C included, the old file stays and nothing
    is left behind. A pipe or a device is written to directly.

    Raises
    ------
    OutputError
        Where the place cannot be written to, before any work, or the disk is full.
    """
    target = Path(os.path.realpath(path))
    if target.is_dir():
        raise OutputError("cannot write file", path, found="a directory", expected="a file name")
    if target.exists() and not target.is_file():
        try:
            with target.open("wb") as stream:
                yield stream
        except BrokenPipeError:
            raise
        except OSError as error:
            raise _failed(path, error) from None
        return
    try:
        handle, name = tempfile.mkstemp(".tmp", f".{target.name[:100]}.", target.parent)
    except OSError as error:
        raise _failed(path, error, hint="does the folder exist, and may you write to it?") from None
    temporary = Path(name)
    try:
        try:
            with os.fdopen(handle, "w+b") as stream:
                yield stream
            temporary.chmod(0o666 & ~_umask() if not target.exists() else target.stat().st_mode & 0o7777)
            temporary.replace(target)
        except BrokenPipeError:
            raise
        except OSError as error:
            raise _failed(path, error) from None
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise


def _umask() -> int:
    mask = os.umask(0)
    os.umask(mask)
    return mask


def _failed(path: str, error: OSError, hint: str = "") -> OutputError:
    return OutputError("cannot write file", path, found=error.strerror or str(error), hint=hint)
