"""How bytes are read: in full, with failures that name the file, and from which kind of place."""

from __future__ import annotations

import re
from contextlib import contextmanager
from contextvars import ContextVar
from typing import TYPE_CHECKING
from urllib.parse import unquote, urlsplit

from xent_cli.errors import InputError, XentError

if TYPE_CHECKING:
    from collections.abc import Iterator

    from xent_cli.readers.storage.interface import Stream

_URL = re.compile(r"[A-Za-z][A-Za-z0-9+.-]+://")
# How UTF-8 may begin.
BOM = b"\xef\xbb\xbf"
# How long a network may be silent, in seconds; a recipe takes it along to wherever it is read.
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
