"""Text that is rewritten as it is read: UTF-16 becomes UTF-8, and a run of blanks between cells becomes one blank."""

from __future__ import annotations

import codecs
import io
import re
from typing import TYPE_CHECKING, NamedTuple, Protocol

from xent_cli.errors import InputError
from xent_cli.readers.storage.reading import read_up_to
from xent_cli.readers.text.text_chunks import LONGEST_LINE, too_long

if TYPE_CHECKING:
    from collections.abc import Callable

    from _typeshed import WriteableBuffer

    from xent_cli.readers.storage.interface import Bytes, Stream

_READ_BYTES = 1 << 18
# Longer marks come first, because the UTF-32 mark begins with the UTF-16 mark.
_MARKS = (
    (codecs.BOM_UTF32_LE, "utf-32-le"),
    (codecs.BOM_UTF32_BE, "utf-32-be"),
    (codecs.BOM_UTF16_LE, "utf-16-le"),
    (codecs.BOM_UTF16_BE, "utf-16-be"),
)
# A quoted cell stays as it is.
_QUOTED_OR_BLANKS = re.compile(rb'"(?:[^"]|"")*"|[ \t]+')


class Rewriter(Protocol):
    """Rewrites text chunk by chunk."""

    def rewrite(self, text: bytes, *, last: bool) -> bytes:
        """Rewrite as much as possible; the rest waits for the next call."""


class Rewritten(NamedTuple):
    """Bytes whose text is rewritten whenever they are read: see `Bytes`.

    Fields
    ------
    make
        Returns the `Rewriter` for one stream, given the name for messages.
    """

    inner: Bytes
    make: Callable[[str], Rewriter]

    @property
    def name(self) -> str:
        """See `Bytes`."""
        return self.inner.name

    @property
    def rereadable(self) -> bool:
        """See `Bytes`."""
        return self.inner.rereadable

    def peek(self, size: int) -> bytes:
        """See `Bytes`."""
        rewriter = self.make(self.name)
        wanted = size
        while True:
            held = self.inner.peek(wanted)
            last = len(held) < wanted
            text = rewriter.rewrite(held, last=last)
            if last or len(text) >= size:
                return text[:size]
            rewriter, wanted = self.make(self.name), 2 * wanted

    def stream(self) -> Stream:
        """See `Bytes`."""
        return _RewrittenStream(self.inner.stream(), self.make(self.name))


class _RewrittenStream(io.RawIOBase):
    def __init__(self, inner: Stream, rewriter: Rewriter) -> None:
        self._inner = inner
        self._rewriter = rewriter
        self._held = memoryview(b"")
        self._ended = False

    def readable(self) -> bool:
        return True

    def readinto(self, target: WriteableBuffer) -> int:
        view = memoryview(target).cast("B")
        while len(view) and not self._held and not self._ended:
            more = read_up_to(self._inner, _READ_BYTES)
            self._ended = len(more) < _READ_BYTES
            self._held = memoryview(self._rewriter.rewrite(more, last=self._ended))
        part = self._held[: len(view)]
        view[: len(part)] = part
        self._held = self._held[len(part) :]
        return len(part)

    def close(self) -> None:
        self._inner.close()
        super().close()


class ToUtf8:
    """Decodes text that begins with a UTF-16 or UTF-32 mark, and drops the mark: a `Rewriter`."""

    def __init__(self, name: str) -> None:
        self._name = name
        self._decoder: codecs.IncrementalDecoder | None = None
        self._encoding = ""

    def rewrite(self, text: bytes, *, last: bool) -> bytes:
        """See `Rewriter`."""
        if self._decoder is None:
            mark, self._encoding = next((mark, name) for mark, name in _MARKS if text.startswith(mark))
            self._decoder = codecs.getincrementaldecoder(self._encoding)()
            text = text[len(mark) :]
        try:
            return self._decoder.decode(text, last).encode()
        except UnicodeError as error:
            found = f"bytes that are not {self._encoding.upper()}: {str(error).rpartition(': ')[2]}"
            raise InputError("not a text file", self._name, found=found, expected="text in one encoding") from None


class OneBlank:
    """Replaces runs of blanks and tabs between cells by one blank, and drops them at line ends: a `Rewriter`."""

    def __init__(self, name: str) -> None:
        self._name = name
        self._rest = b""

    def rewrite(self, text: bytes, *, last: bool) -> bytes:
        """See `Rewriter`."""
        text = self._rest + text
        # Up to a line end outside quotes: a run of blanks, or a quoted cell, may continue in the next text.
        cut = len(text) if last else text.rfind(b"\n") + 1
        while cut and not last and text.count(b'"', 0, cut) % 2:
            cut = text.rfind(b"\n", 0, cut - 1) + 1
        self._rest = text[cut:]
        if len(self._rest) > LONGEST_LINE:
            raise too_long(self._name, self._rest, 0)
        text = text[:cut]
        if b'"' in text:
            return _QUOTED_OR_BLANKS.sub(_one_outside_quotes, text)
        if b"  " in text or b"\t" in text:
            text = re.sub(rb"[ \t]+", b" ", text)
        # The text begins and ends at line boundaries.
        return text.replace(b"\n ", b"\n").replace(b" \n", b"\n").replace(b" \r\n", b"\r\n").strip(b" ")


def _one_outside_quotes(match: re.Match[bytes]) -> bytes:
    found, text = match[0], match.string
    if found.startswith(b'"'):
        return found
    starts = match.start() == 0 or text[match.start() - 1 : match.start()] == b"\n"
    ends = text[match.end() : match.end() + 1] in (b"", b"\r", b"\n")
    return b"" if starts or ends else b" "


def in_utf8(source: Bytes, head: bytes) -> Bytes:
    """Return the same text as UTF-8, if it begins with a UTF-16 or UTF-32 mark."""
    return Rewritten(source, ToUtf8) if any(head.startswith(mark) for mark, _ in _MARKS) else source


def with_one_blank(source: Bytes) -> Bytes:
    """Return the same text with one blank between two cells of a line."""
    return Rewritten(source, OneBlank)
