"""Where an output goes: a path on a disk or, for folders of parts only, a URL."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from xent_cli.errors import OutputError

if TYPE_CHECKING:
    import pyarrow.fs as pa_fs

_URL = re.compile(r"[A-Za-z][A-Za-z0-9+.-]+://")


def is_elsewhere(path: str) -> bool:
    """Whether a path is a URL of something other than a disk.

    Examples
    --------
    >>> is_elsewhere("s3://bucket/rows/"), is_elsewhere("file:///tmp/rows/"), is_elsewhere("./s3://bucket")
    (True, False, False)
    """
    return _URL.match(path) is not None and not path.startswith("file://")


def on_disk(path: str) -> str:
    """Return the path on a disk.

    Raises
    ------
    OutputError
        If a single file should go to a bucket, which cannot rename: it would be visible half-written.

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
    """Return the file system of a URL and the path in it; without a limit, Google's library retries for 15 minutes."""
    from pyarrow import fs

    if url.startswith(("gs://", "gcs://")) and "retry_limit_seconds" not in url:
        url += f"{'&' if '?' in url else '?'}retry_limit_seconds={max(1, int(patience))}"
    opened: tuple[pa_fs.FileSystem, str] = fs.FileSystem.from_uri(url)
    return opened
