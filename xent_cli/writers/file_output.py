"""An output on a disk: a file written next to its target, then renamed."""

from __future__ import annotations

import errno
import os
import stat
from contextlib import suppress
from io import BufferedWriter
from typing import TYPE_CHECKING

from xent_cli import temporary_files
from xent_cli.errors import OutputError
from xent_cli.writers.direct import Named, errors_name_file

if TYPE_CHECKING:
    from pathlib import Path

# Errors of file systems that cannot sync on request.
_NO_SYNC = {errno.EINVAL, errno.ENOSYS, errno.ENOTSUP}


class NewFile:
    """A new file next to its target, on a disk."""

    stream: BufferedWriter

    def __init__(self, path: str, target: Path, *, alone: bool) -> None:
        self._path = path
        self._alone = alone
        self._target = target
        # Part of the name is enough, and stays below the maximum length of a file name.
        self._temporary = path_beside(target, "tmp")
        self._old: Path | None = None
        self._new = False

    def open(self) -> None:
        """Create the file."""
        with errors_name_file(self._path, hint="does the folder exist, and may you write to it?"):
            temporary_files.begin(str(self._temporary))
            self.stream = BufferedWriter(Named(self._path, _private, str(self._temporary)))

    def finish(self) -> None:
        """See `Output`, as for the others."""
        with errors_name_file(self._path):
            self.stream.flush()
            # The set-uid, set-gid and sticky bits were meant for the old content.
            mode = self._target.stat().st_mode & 0o777 if self._target.exists() else 0o666 & ~_umask()
            self._temporary.chmod(mode)
            sync(self.stream.fileno())
            self.stream.close()

    def swap(self, *, undoable: bool) -> None:
        """Rename it to its target; to be able to restore an existing file, give that a second name first."""
        with errors_name_file(self._path):
            self._new = not self._target.exists()
            if undoable and not self._new:
                old = path_beside(self._target, "old")
                _keep(self._target, old)
                self._old = old
            self._temporary.replace(self._target)
            temporary_files.end(str(self._temporary))

    def undo(self) -> None:
        """Put the old file back."""
        # If it cannot be put back it keeps its second name, which must not be removed.
        old, self._old = self._old, None
        if old is not None:
            old.replace(self._target)
        elif self._new:
            self._target.unlink()

    def settle(self) -> None:
        """Remove the old file, which has a second name by now."""
        if self._old is not None:
            with suppress(OSError):
                self._old.unlink()
        if self._alone:
            sync_folder(self._target.parent)

    def drop(self) -> None:
        """Remove the new file."""
        # Buffered bytes are lost with the file, and an error in writing them does not matter.
        with suppress(OutputError, OSError, ValueError, AttributeError):
            self.stream.close()
        for path in (self._temporary, self._old):
            if path is not None:
                with suppress(OSError):
                    path.unlink()
                temporary_files.end(str(path))


def path_beside(target: Path, kind: str) -> Path:
    """Return a path in the folder of `target` that nothing else uses."""
    return target.with_name(f".{target.name[:50]}.{os.urandom(6).hex()}.{kind}")


def refuse_read_only(path: str, target: Path) -> None:
    """Refuse to replace a read-only file, even as root, whom the system allows to.

    Raises
    ------
    OutputError
        Naming the mode.
    """
    with errors_name_file(path):
        if not target.exists():
            return
        mode = stat.S_IMODE(target.stat().st_mode)
        if not mode & 0o222 or not os.access(target, os.W_OK):
            kind = "folder" if target.is_dir() else "file"
            found = f"a {kind} of mode {mode:04o}, which you may not write to"
            raise OutputError("output not writable", path, found=found, hint="name another, or chmod u+w it first")


def sync(number: int) -> None:
    """Sync a descriptor to the disk, if the file system can."""
    try:
        os.fsync(number)
    except OSError as error:
        if error.errno not in _NO_SYNC:
            raise


def sync_folder(folder: Path) -> None:
    """Sync the names in a folder to the disk; if that is impossible, the files are still there and whole."""
    with suppress(OSError):
        number = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(number)
        finally:
            os.close(number)


def _keep(file: Path, copy: Path) -> None:
    """Give a file a second name, or copy it if the file system has no hard links."""
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
