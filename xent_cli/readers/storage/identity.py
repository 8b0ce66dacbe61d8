"""The identity of a file when it was opened.

A file that changes during the run is refused: the mean would mix two versions.
"""

from __future__ import annotations

import os
import stat
from contextlib import contextmanager
from contextvars import ContextVar
from typing import TYPE_CHECKING, NamedTuple

from xent_cli.errors import InputError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

# Identifies this process: inodes are only comparable if the same file system is mounted in the same way.
_HERE = os.urandom(8)


class Identity(NamedTuple):
    """What distinguishes one version of a file, or of an object in a bucket, from the next.

    Fields
    ------
    size
        Size in bytes, or None if the server does not say.
    modified
        Time of the last change of a file, in nanoseconds since 1970; 0 for an object.
    tag
        What the server calls this version of an object, or "".
    place
        Device and inode of a file, and the process that saw them; empty for an object.
    """

    size: int | None
    modified: int = 0
    tag: str = ""
    place: tuple[int, int, bytes] | tuple[()] = ()


def of_status(status: os.stat_result) -> Identity | None:
    """Identity of a regular file; None for anything else, since a pipe changes all the time."""
    if not stat.S_ISREG(status.st_mode):
        return None
    return Identity(status.st_size, status.st_mtime_ns, "", (status.st_dev, status.st_ino, _HERE))


def refuse_another(name: str, was: Identity | None, now: Identity | None) -> None:
    """Refuse a file that is not the one described; fields unknown for either are not compared.

    Raises
    ------
    InputError
        Which says what is different.
    """
    if was is None or was == now:
        return
    if now is None:
        raise _changed(name, "no file any more", "the file that was there at the start")
    if was.place and now.place and was.place[2] == now.place[2] and was.place != now.place:
        raise _changed(name, "another file in its place", "the file that was there at the start")
    if None not in (was.size, now.size) and was.size != now.size:
        raise _changed(name, f"{now.size} bytes", f"{was.size} bytes, as at the start")
    if was.modified != now.modified or (was.tag and now.tag and was.tag != now.tag):
        raise _changed(name, "written to since the start", "the bytes that were there at the start")


def shrunk(name: str) -> InputError:
    """Message for a file that has become shorter."""
    return _changed(name, "fewer bytes", "as many as at the start")


def refuse_another_file(name: str, was: Identity, status: os.stat_result) -> None:
    """Refuse an open file that is not the one described: `refuse_another`, in half a microsecond for most files."""
    if was.modified != status.st_mtime_ns or was.size != status.st_size or was.place[1:] != (status.st_ino, _HERE):
        refuse_another(name, was, of_status(status))


@contextmanager
def watching() -> Iterator[None]:
    """Remember every file that is described within the block, for `refuse_changed`."""
    token = _watched.set({})
    try:
        yield
    finally:
        _watched.reset(token)


def watch(name: str, path: str, identity: Identity | None, look: Callable[[str], Identity | None]) -> None:
    """Remember a file that has been described, and how to describe it again."""
    watched = _watched.get()
    if watched is not None and identity is not None:
        watched.setdefault(path, (name, identity, look))


def refuse_changed() -> None:
    """Check every file once more, as the last step before results are shown or published.

    Raises
    ------
    InputError
        At the first file that has changed.
    """
    watched = _watched.get() or {}
    objects = [path for path, (_, identity, _) in watched.items() if not identity.place]
    now: dict[str, Identity | None] = {}
    if objects:
        from xent_cli.readers.storage.parallel import in_parallel

        now = dict(zip(objects, in_parallel(lambda path: watched[path][2](path), objects), strict=True))
    for path, (name, identity, look) in watched.items():
        refuse_another(name, identity, now[path] if path in now else look(path))


def of_path(path: str) -> Identity | None:
    """Identity of the file at a path, or None if there is none."""
    try:
        return of_status(os.stat(path))  # noqa: PTH116 (noticeably faster for a thousand files)
    except OSError:
        return None


_watched: ContextVar[dict[str, tuple[str, Identity, Callable[[str], Identity | None]]] | None] = ContextVar(
    "watched", default=None
)


def _changed(name: str, found: str, expected: str) -> InputError:
    hint = "copy it when nobody writes to it, and compute from the copy"
    return InputError("the file changed while it was read", name, found=found, expected=expected, hint=hint)
