"""Reading bytes in full, with errors that name the file; and telling URLs from paths."""

from __future__ import annotations

import re
from contextlib import contextmanager
from contextvars import ContextVar
from typing import TYPE_CHECKING
from urllib.parse import unquote, urlsplit

from xent_cli.errors import InputError, XentError, printable

if TYPE_CHECKING:
    from collections.abc import Iterator

    from xent_cli.readers.storage.interface import Stream

_URL = re.compile(r"[A-Za-z][A-Za-z0-9+.-]+://")
# The byte order mark that UTF-8 may begin with.
BOM = b"\xef\xbb\xbf"
# How long a network may be silent, in seconds; recipes carry it to the reading processes.
timeout: ContextVar[float] = ContextVar("timeout", default=60.0)


def is_url(path: str) -> bool:
    """Whether a path is a URL.

    Examples
    --------
    >>> is_url("s3://bucket/l.npy"), is_url("C:/l.npy")
    (True, False)
    """
    return _URL.match(path) is not None


def local_path(path: str) -> str:
    """Return the path of a file:// URL, or the path itself."""
    return unquote(urlsplit(path).path) if path.startswith("file://") else path


@contextmanager
def reading(name: str) -> Iterator[None]:
    """Turn an error of the operating system or of Arrow into an InputError that names the file."""
    try:
        yield
    except XentError:
        raise
    except FileNotFoundError:
        raise InputError("no such file", name) from None
    except OSError as error:
        raise unreadable(name, error) from None


def unreadable(name: str, error: OSError) -> InputError:
    """Return the error for a file that the system does not let us read."""
    found, hint = error.strerror or first_line(error), ""
    if isinstance(error, PermissionError):
        import shlex

        hint = f"ls -ld {shlex.quote(printable(name))} says who may read it"
    elif "compressed stream" in found:  # as Arrow says it
        found, hint = "compressed data that ends too early", "copy or write it again"
    return InputError("cannot read file", name, found=found, hint=hint)


def read_up_to(stream: Stream, size: int) -> bytes:
    """Read `size` bytes, fewer only at the end: a pipe delivers them in small chunks."""
    parts = []
    while size > 0 and (part := stream.read(size)):
        parts.append(part)
        size -= len(part)
    return parts[0] if len(parts) == 1 else b"".join(parts)


def fill(stream: Stream, target: memoryview) -> int:
    """Read until the buffer is full or the stream ends; return the number of bytes read."""
    done = 0
    while done < len(target):
        got = stream.readinto(target[done:])
        if not got:
            break
        done += got
    return done


def first_line(error: BaseException) -> str:
    """Return the first line of the message of another library's exception."""
    return str(error).strip().split("\n")[0] or type(error).__name__
