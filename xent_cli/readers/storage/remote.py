"""Find, open and read objects behind URLs within a timeout, with errors that say what went wrong."""

from __future__ import annotations

import io
import os
import re
from contextlib import contextmanager
from functools import lru_cache, partial
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qsl, unquote, urlsplit

from xent_cli.errors import InputError, XentError, without_secrets
from xent_cli.extras import install_line
from xent_cli.readers.storage.identity import Identity
from xent_cli.readers.storage.reading import first_line, timeout
from xent_cli.readers.storage.refusals import NO_OBJECT, refusal
from xent_cli.readers.storage.time_limit import within

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    import pyarrow as pa
    from _typeshed import WriteableBuffer

# Schemes that pyarrow.fs handles itself; every other scheme is left to fsspec.
_ARROW_SCHEMES = frozenset({"s3", "gs", "gcs", "hdfs", "viewfs", "abfs", "abfss"})
# Paths that Arrow accepts as they are.
_PLAIN_PATH = re.compile(r"(?:[A-Za-z0-9/._~!$&'()*+,;=:@-]|%[0-9A-Fa-f]{2})*")
_ATTEMPTS = 3
_COPIED_BYTES = 1 << 20
# Names that Arrow and the packages behind fsspec use for the version of an object, the most reliable first.
_VERSIONS = (
    *("ETag", "etag", "generation", "md5", "content_md5", "mtime"),
    *("Last-Modified", "LastModified", "last_modified", "updated"),
)
# Packages in the extra `remote`; for other schemes, the message names the package itself.
_EXTRA = frozenset({"fsspec", "aiohttp", "requests", "s3fs"})
_PACKAGES = {"smbclient": "smbprotocol", "libarchive": "libarchive-c"}


def file_system(url: str, seconds: float) -> tuple[Any, str]:
    """Return the file system, of Arrow or fsspec, and the path of a URL.

    Credentials and endpoint come from the environment, as for AWS tools.

    Raises
    ------
    InputError
        If the scheme is not known, or needs a package that is not installed.
    """
    scheme = url.split("://", 1)[0].lower()
    try:
        if scheme in _ARROW_SCHEMES:
            found: tuple[Any, str] = within(seconds, url, partial(_of_arrow, scheme, url, seconds))
            return found
        import fsspec

        options = {}
        if scheme in ("http", "https"):
            import aiohttp

            # A whole transfer may take longer, as long as bytes keep coming.
            options["client_kwargs"] = {
                "timeout": aiohttp.ClientTimeout(total=None, sock_connect=seconds, sock_read=seconds)
            }
        opened, path = within(seconds, url, lambda: fsspec.core.url_to_fs(url, **options))
    except ImportError as error:
        name = error.name or getattr(error.__cause__, "name", None) or "that speaks it"
        package = _PACKAGES.get(name, name.split(".")[0].replace("_", "-"))
        line = install_line("remote") if name in _EXTRA else f"pip install '{package}'"
        wanted = f"a package that opens {scheme}://"
        details = without_secrets(url), f"no {name}", wanted, line
        raise InputError("missing package", *details) from None
    except XentError:
        raise
    except Exception as error:
        known = "https, s3, gs, hdfs, file and what fsspec knows"
        expected = f"one of {known}" if "Protocol not known" in str(error) else ""
        told_of = without_secrets(first_line(error))
        raise InputError("cannot open URL", without_secrets(url), found=told_of, expected=expected) from None
    return opened, path


def _of_arrow(scheme: str, url: str, seconds: float) -> tuple[Any, str]:
    from pyarrow import fs

    split = urlsplit(url)
    query = dict(parse_qsl(split.query))
    if scheme in ("gs", "gcs") and "retry_limit_seconds" not in query:
        url += f"{'&' if split.query else '?'}retry_limit_seconds={max(1, int(seconds))}"
    if scheme == "s3" and _PLAIN_PATH.fullmatch(split.path):
        bucket = split.netloc.rpartition("@")[2]
        return _s3(f"s3://{split.netloc}/?{split.query}", seconds), f"{bucket}{unquote(split.path)}".rstrip("/")
    found: tuple[Any, str] = fs.FileSystem.from_uri(url)
    return found


@lru_cache(maxsize=16)
def _s3(url: str, seconds: float) -> Any:
    """Return the file system of a bucket: one for all objects, so that they share connections."""
    from pyarrow import fs

    opened, _ = fs.FileSystem.from_uri(url)
    # A URL cannot carry timeouts: rebuild the file system from its pickled arguments, with timeouts added.
    each = max(1.0, seconds / _ATTEMPTS)
    _, (options,) = opened.__reduce__()
    options = {name: value for name, value in options.items() if value != ""}
    retry = fs.AwsStandardS3RetryStrategy(max_attempts=_ATTEMPTS)
    options |= {"request_timeout": each, "connect_timeout": each, "retry_strategy": retry}
    return fs.S3FileSystem(**options)


def open_remote(url: str, seconds: float) -> pa.NativeFile:
    """Open an object for Arrow.

    Raises
    ------
    InputError
        If it does not exist, may not be read, or no server answers.
    """
    import pyarrow as pa

    filesystem, path = file_system(url, seconds)
    with asking(url, seconds):
        if hasattr(filesystem, "open_input_file"):
            return within(seconds, url, lambda: filesystem.open_input_file(path))
        return pa.PythonFile(_Watched(within(seconds, url, lambda: filesystem.open(path, "rb")), url, seconds), "r")


def described(url: str, seconds: float) -> tuple[Identity, pa.NativeFile, bool]:
    """Return the identity of an object according to its server, the object itself, and whether threads may share it.

    This takes one request: the server sends size and version together.
    """
    import pyarrow as pa

    filesystem, path = file_system(url, seconds)
    with asking(url, seconds):
        if hasattr(filesystem, "open_input_file"):

            def opened_with_identity() -> tuple[Identity, pa.NativeFile, bool]:
                file = filesystem.open_input_file(path)
                return _of_file(file), file, True

            answer: tuple[Identity, pa.NativeFile, bool] = within(seconds, url, opened_with_identity)
            return answer
        about = within(seconds, url, lambda: filesystem.info(path))
        if about.get("type") == "directory":
            raise InputError(NO_OBJECT, without_secrets(url), found="a folder")
        known = {"size": about["size"]} if about.get("size") and _is_page(url) else {}
        opened = within(seconds, url, lambda: filesystem.open(path, "rb", **known))
    return _of_info(about), pa.PythonFile(_Watched(opened, url, seconds), "r"), False


def look(url: str) -> Identity | None:
    """Return the identity of an object according to its server; None if the object is gone."""
    seconds = timeout.get()
    filesystem, path = file_system(url, seconds)
    try:
        if hasattr(filesystem, "open_input_file"):
            with open_remote(url, seconds) as file:
                return of_object(file, url, seconds)
        about = within(seconds, url, lambda: filesystem.info(path))
    except Exception as error:  # from any package that handles the scheme: then nothing is known
        gone = isinstance(error, FileNotFoundError) or getattr(error, "what", "") == NO_OBJECT
        return None if gone else Identity(None)
    return _of_info(about)


def _of_info(about: Mapping[str, Any]) -> Identity:
    tag = next((str(about[key]) for key in _VERSIONS if about.get(key)), "")
    return Identity(about.get("size"), tag=tag)


def _is_page(url: str) -> bool:
    return url.lower().startswith(("http://", "https://"))


def of_object(file: pa.NativeFile, url: str, seconds: float) -> Identity:
    """Return the identity of an object that Arrow has opened, from the metadata that its server sent then."""
    with asking(url, seconds):
        found: Identity = within(seconds, url, partial(_of_file, file))
        return found


def _of_file(file: pa.NativeFile) -> Identity:
    about = file.metadata() or {}
    tag = next((about[key] for key in _VERSIONS if about.get(key)), b"")
    return Identity(file.size(), tag=tag.decode("utf-8", "replace"))


def entries(url: str, folder: str, recursive: bool, seconds: float) -> list[tuple[str, bool]]:
    """List a folder at a URL: each path, and whether it is an object; empty if there is no such folder."""
    from pyarrow import fs

    filesystem, _ = file_system(url, seconds)
    with asking(url, seconds):
        if not hasattr(filesystem, "open_input_file"):
            filesystem = fs.PyFileSystem(fs.FSSpecHandler(filesystem))
        selector = fs.FileSelector(folder, recursive=recursive, allow_not_found=True)
        found = within(seconds, url, lambda: filesystem.get_file_info(selector))
    return [(entry.path, entry.is_file) for entry in found]


def path_of(url: str, seconds: float) -> str:
    """Return the path of an object in its file system."""
    return file_system(url, seconds)[1]


@contextmanager
def asking(url: str, seconds: float) -> Iterator[None]:
    """Turn whatever a network library raises into an InputError that names the object and gives a short reason."""
    try:
        yield
    except XentError:
        raise
    except Exception as error:
        raise refusal(url, error, seconds) from None


class _Watched(io.RawIOBase):
    """A file from fsspec whose reads never wait longer than the timeout."""

    def __init__(self, file: Any, url: str, seconds: float) -> None:
        self._file = file
        self._url = url
        self._seconds = seconds

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return bool(self._file.seekable())

    def seek(self, offset: int, whence: int = os.SEEK_SET) -> int:
        with asking(self._url, self._seconds):
            return int(self._file.seek(offset, whence))

    def tell(self) -> int:
        return int(self._file.tell())

    def read(self, size: int = -1) -> bytes:
        with asking(self._url, self._seconds):
            try:
                found: bytes = within(self._seconds, self._url, lambda: self._file.read(size))
            except ValueError as error:
                if "range requests" not in str(error):
                    raise
                self._fetch_all()
                found = self._file.read(size)
        return found

    def _fetch_all(self) -> None:
        """Copy the object to a file: its server can only send it from the beginning."""
        import tempfile

        place = self._file.tell()
        whole = within(self._seconds, self._url, lambda: self._file.fs.open(self._file.path, "rb", block_size=0))
        copy = tempfile.TemporaryFile(prefix="xent-")  # noqa: SIM115 (open as long as this is)
        while part := within(self._seconds, self._url, lambda: whole.read(_COPIED_BYTES)):
            copy.write(part)
        copy.seek(place)
        self._file = copy

    def readinto(self, target: WriteableBuffer) -> int:
        view = memoryview(target).cast("B")
        found = self.read(len(view))
        view[: len(found)] = found
        return len(found)

    def close(self) -> None:
        if not self.closed:
            self._file.close()
        super().close()
