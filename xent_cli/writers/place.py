"""Where an output is to be: a path on a disk, or a URL, under which only folders of parts are written."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from xent_cli.errors import OutputError

if TYPE_CHECKING:
    import pyarrow.fs as pa_fs

_URL = re.compile(r"[A-Za-z][A-Za-z0-9+.-]+://")


def is_elsewhere(path: str) -> bool:
    """Whether a path is a URL of anything but a disk.

    Examples
    --------
    >>> is_elsewhere("s3://bucket/rows/"), is_elsewhere("file:///tmp/rows/"), is_elsewhere("./s3://bucket")
    (True, False, False)
    """
    return _URL.match(path) is not None and not path.startswith("file://")


def on_disk(path: str) -> str:
    """The path on a disk that is meant.

    Raises
    ------
    OutputError
        Where one file is to be in a bucket: nothing can be renamed there, so that it would be seen half-written.

    Examples
    --------
    >>> on_disk("file:///tmp/my%20losses.tsv"), on_disk("losses.tsv")
    ('/tmp/my losses.tsv', 'losses.tsv')
    """
    if is_elsewhere(path):
        expected = "a path on a disk; a folder of rows (-o) or of gradients may be in a bucket, as s3://bucket/rows/"
        hint = "write it to a disk, and copy it from there"
        raise OutputError("cannot write one file to a URL", path, expected=expected, hint=hint)
    if not path.startswith("file://"):
        return path
    from urllib.parse import unquote, urlsplit

    return unquote(urlsplit(path).path)


def file_system(url: str, patience: float) -> tuple[pa_fs.FileSystem, str]:
    """Who keeps a URL, and the path there; Google's library would try for a quarter of an hour where nobody answers."""
    from pyarrow import fs

    if url.startswith(("gs://", "gcs://")) and "retry_limit_seconds" not in url:
        url += f"{'&' if '?' in url else '?'}retry_limit_seconds={max(1, int(patience))}"
    opened: tuple[pa_fs.FileSystem, str] = fs.FileSystem.from_uri(url)
    return opened
