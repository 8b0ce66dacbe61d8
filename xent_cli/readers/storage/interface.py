"""Bytes to read, wherever they come from."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Protocol, Self

if TYPE_CHECKING:
    from types import TracebackType


class Stream(Protocol):
    """An open file, without a buffer: the part of `io.RawIOBase` that readers use."""

    def readinto(self, target: Any, /) -> int | None:
        """Read into memory; less than fits does not mean that it is the end."""

    def read(self, size: int = -1, /) -> bytes | None:
        """Read some bytes."""

    def seek(self, offset: int, whence: int = 0, /) -> int:
        """Go to another place."""

    def seekable(self) -> bool:
        """Whether there is another place to go to."""

    def close(self) -> None:
        """Let go of it."""

    def __enter__(self) -> Self: ...
    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None, /
    ) -> None: ...


class Bytes(Protocol):
    """Something to read.

    Fields
    ------
    name
        As the user knows it, for messages and documents.
    rereadable
        Whether `stream` may be asked for more than once.
    """

    @property
    def name(self) -> str: ...
    @property
    def rereadable(self) -> bool: ...

    def peek(self, size: int) -> bytes:
        """Look at the first bytes, decompressed; fewer only where there are no more."""

    def stream(self) -> Stream:
        """All bytes in order, decompressed."""
