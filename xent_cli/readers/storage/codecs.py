"""Recognise compressed bytes, and decompress them as a stream."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import pyarrow as pa

    from xent_cli.readers.storage.interface import Stream

_CODECS = {b"\x1f\x8b": "gzip", b"BZh": "bz2", b"\x28\xb5\x2f\xfd": "zstd", b"\xfd7zX": "xz"}


def codec_of(head: bytes) -> str:
    """Return the codec that starts with these bytes, or ""."""
    return next((codec for magic, codec in _CODECS.items() if head.startswith(magic)), "")


def decompressed(file: pa.NativeFile, codec: str, name: str, url: str = "", seconds: float = 0.0) -> Stream:
    """Return a stream that decompresses a file; its errors name the file.

    Parameters
    ----------
    url, seconds
        As in `Native`.
    """
    if codec == "xz":
        from xent_cli.readers.storage.xz import Unxz

        return Unxz(file, name)
    import pyarrow as pa

    from xent_cli.readers.storage.streams import Native

    return Native(pa.CompressedInputStream(file, codec), name, url, seconds)
