"""An output on a disk: a file written beside its target, and renamed."""

from __future__ import annotations

import errno
import os
import stat
from contextlib import suppress
from io import BufferedWriter
from typing import TYPE_CHECKING

from xent_cli.core import temporary_files
from xent_cli.errors import OutputError
from xent_cli.writers.direct import Named, told

if TYPE_CHECKING:
    from pathlib import Path

# What a file system says that cannot bring a file to the disk on demand.
_NO_SYNC = {errno.EINVAL, errno.ENOSYS, errno.ENOTSUP}


class NewFile:
    """A file beside its target, on a disk."""

    stream: BufferedWriter

    def __init__(self, path: str, target: Path, *, alone: bool) -> None:
        self._path = path
        self._alone = alone
        self._target = target
        # Part of the name is enough, and leaves room below the longest name a file may have.
        self._temporary = beside(target, "tmp")
        self._old: Path | None = None
        self._new = False

    def open(self) -> None:
        """Make the file."""
        with told(self._path, hint="does the folder exist, and may you write to it?"):
            temporary_files.begin(str(self._temporary))
            self.stream = BufferedWriter(Named(self._path, _private, str(self._temporary)))

    def finish(self) -> None:
        """See `Output`, as for the others."""
        with told(self._path):
            self.stream.flush()
            # Set-uid, set-gid and sticky were given to what the old file held.
            mode = self._target.stat().st_mode & 0o777 if self._target.exists() else 0o666 & ~_umask()
            self._temporary.chmod(mode)
            sync(self.stream.fileno())
            self.stream.close()

    def swap(self, *, undoable: bool) -> None:
        """Rename it; where it takes the place of another, that one may get a second name first."""
        with told(self._path):
            self._new = not self._target.exists()
            if undoable and not self._new:
                old = beside(self._target, "old")
                _keep(self._target, old)
                self._old = old
            self._temporary.replace(self._target)
            temporary_files.end(str(self._temporary))

    def undo(self) -> None:
        """Put the old one back."""
        # Where it cannot be put back it keeps its other name: nothing may remove it then.
        old, self._old = self._old, None
        if old is not None:
            old.replace(self._target)
        elif self._new:
            self._target.unlink()

    def settle(self) -> None:
        """Remove the second name of the old one."""
        if self._old is not None:
            with suppress(OSError):
                self._old.unlink()
        if self._alone:
            sync_folder(self._target.parent)

    def drop(self) -> None:
        """Remove it."""
        # What is still buffered is lost with the file; that it cannot be written either is no news.
        with suppress(OutputError, OSError, ValueError, AttributeError):
            self.stream.close()
        for path in (self._temporary, self._old):
            if path is not None:
                with suppress(OSError):
                    path.unlink()
                temporary_files.end(str(path))


def beside(target: Path, kind: str) -> Path:
    """Name a file or folder in the folder of `target` that nobody else names so."""
    return target.with_name(f".{target.name[:50]}.{os.urandom(6).hex()}.{kind}")


def refuse_read_only(path: str, target: Path) -> None:
    """Refuse to replace what was made read-only; root may do everything, and is held to the mode all the same.

    Raises
    ------
    OutputError
        Which names the mode.
    """
    with told(path):
        if not target.exists():
            return
        mode = stat.S_IMODE(target.stat().st_mode)
        if not mode & 0o222 or not os.access(target, os.W_OK):
            kind = "folder" if target.is_dir() else "file"
            found = f"a {kind} of mode {mode:04o}, which you may not write to"
            raise OutputError("output not writable", path, found=found, hint="name another, or chmod u+w it first")


def sync(number: int) -> None:
    """Bring what a descriptor holds to the disk, where the file system can."""
    try:
        os.fsync(number)
    except OSError as error:
        if error.errno not in _NO_SYNC:
            raise


def sync_folder(folder: Path) -> None:
    """Bring the names in a folder to the disk; where that cannot be done the files are there and whole."""
    with suppress(OSError):
        number = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(number)
        finally:
            os.close(number)


def _keep(file: Path, copy: Path) -> None:
    """Give a file a second name, or make a copy where the file system has no second names."""
    try:
        os.link(file, copy)
    except OSError:
        import shutil

        shutil.copy2(file, copy)


def _private(name: str, flags: int) -> int:
    return os.open(name, flags, 0o600)


def _umask() -> int:
    mask = os.umask(0)
    os.umask(mask)
    return mask
