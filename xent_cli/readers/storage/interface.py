"""Bytes to read, from any kind of place."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Protocol, Self

if TYPE_CHECKING:
    from types import TracebackType


class Stream(Protocol):
    """An open file, without a buffer: the part of `io.RawIOBase` that readers use."""

    def readinto(self, target: Any, /) -> int | None:
        """Read into memory; a short read does not mean end of file."""

    def read(self, size: int = -1, /) -> bytes | None:
        """Read some bytes."""

    def seek(self, offset: int, whence: int = 0, /) -> int:
        """Move to another offset."""

    def seekable(self) -> bool:
        """Whether it can move to another offset."""

    def close(self) -> None:
        """Close it."""

    def __enter__(self) -> Self: ...
    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None, /
    ) -> None: ...


class Bytes(Protocol):
    """A sequence of bytes: a file, an object, or a pipe.

    Fields
    ------
    name
        As the user knows it, for messages and documents.
    rereadable
        Whether `stream` may be called more than once.
    """

    @property
    def name(self) -> str: ...
    @property
    def rereadable(self) -> bool: ...

    def peek(self, size: int) -> bytes:
        """Return the first bytes, decompressed; fewer only if there are no more."""

    def stream(self) -> Stream:
        """Return all bytes in order, decompressed."""
