"""Log-probabilities as llama.cpp saves them: `llama-perplexity --kl-divergence-base FILE`.

Little-endian (ggml-org/llama.cpp, tools/perplexity/perplexity.cpp)::

    0   "_logits_"
    8   int32 n_ctx, n_vocab, n_chunk
    20  int32 tokens[n_chunk * n_ctx]
    ..  n_chunk times n_ctx - 1 - n_ctx/2 records: float32 scale, float32 minimum, uint16 q[n_vocab], a padding word if
        n_vocab is odd

``log p = minimum + scale * q``, and record t of chunk i is about token ``i * n_ctx + n_ctx/2 + t + 1``. A class
more than 16 nats below the highest (24 in ik_llama.cpp) is stored as q = 0, which only says that it is no likelier than
that.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from xent_cli.core.block import Rows
from xent_cli.core.diagnostics import Diagnostic
from xent_cli.core.input_description import InputDescription
from xent_cli.core.scratch import flat
from xent_cli.errors import InputError, UsageError
from xent_cli.readers.interface import SourceInfo
from xent_cli.readers.language_models.kld_records import decoded
from xent_cli.readers.storage.identity import shrunk
from xent_cli.readers.storage.pipe import seekable
from xent_cli.readers.storage.reading import fill, reading

if TYPE_CHECKING:
    from collections.abc import Iterator

    from xent_cli.core.array_types import AnyArray, IntArray
    from xent_cli.core.block import Part
    from xent_cli.readers.interface import Classes, Source
    from xent_cli.readers.options import ReadOptions
    from xent_cli.readers.storage.interface import Bytes, Stream
    from xent_cli.readers.storage.stored import Stored

MAGIC = b"_logits_"
_HEADER = 20


class KldLayout(NamedTuple):
    """The layout of a file; sizes are in bytes.

    Fields
    ------
    chunks
        Number of complete chunks.
    """

    n_ctx: int
    n_vocab: int
    n_chunk: int
    chunks: int

    @property
    def scored(self) -> int:
        """Number of records in a chunk."""
        return self.n_ctx - 1 - self.n_ctx // 2

    @property
    def words(self) -> int:
        """Length of a record in uint16 words."""
        return 2 * ((self.n_vocab + 1) // 2) + 4

    @property
    def first_record(self) -> int:
        """Offset of the first record."""
        return _HEADER + 4 * self.n_ctx * self.n_chunk


def read_layout(name: str, header: bytes, size: int) -> KldLayout:
    """Read the header of a file of `size` bytes, without trusting it.

    Raises
    ------
    InputError
        If it is damaged, or the file ends within its first chunk.
    """
    n_ctx, n_vocab, n_chunk = (int(x) for x in np.frombuffer(header[8:_HEADER].ljust(12, b"\0"), "<i4"))
    layout = KldLayout(n_ctx, n_vocab, n_chunk, n_chunk)
    if min(n_ctx - 2, n_vocab, n_chunk) < 1:
        found = f"n_ctx {n_ctx}, n_vocab {n_vocab}, n_chunk {n_chunk}"
        raise InputError("damaged .kld header", name, found, "numbers above 0", "write the file again")
    chunk = 2 * layout.scored * layout.words
    whole = layout.first_record + n_chunk * chunk
    if size > whole:
        expected = f"{whole} bytes for {n_chunk} chunks of {layout.scored} records of {n_vocab} tokens"
        raise InputError("longer than its header says", name, f"{size} bytes", expected, "write the file again")
    chunks = (size - layout.first_record) // chunk
    if chunks < 1:
        expected = f"at least {layout.first_record + chunk} bytes, for the first of {n_chunk} chunks"
        raise InputError("truncated .kld file", name, f"{size} bytes", expected, "write the file again")
    return layout._replace(chunks=chunks)


def open_kld(source: Bytes, head: bytes, role: str, options: ReadOptions, classes: Classes) -> Source:
    """Open log-probabilities with the tokens that were scored; see `Opener`.

    Raises
    ------
    InputError
        If the file is damaged, or cannot be used in this role.
    """
    if role not in ("logits", "labels"):
        raise InputError("log-probabilities", source.name, "a .kld file", f"one number a sample, as {role} are")
    if options.axis != -1:
        raise UsageError(f"--axis {options.axis}: classes are the last axis of a .kld file")
    file = seekable(source)
    layout = read_layout(source.name, head[:_HEADER], file.size())
    beside = role == "labels" or bool(options.labels_path)
    return KldSource(file, role, layout, "true_labels" if beside else "labels", options.run.task_bytes)


class KldSource(NamedTuple):
    """A file as log-probabilities, some of which are only bounded; see `Source`.

    Fields
    ------
    tokens
        The field of `Rows` that the scored tokens fill.
    """

    file: Stored
    role: str
    sizes: KldLayout
    tokens: str
    task_bytes: int

    @property
    def info(self) -> SourceInfo:
        """See `Source`; samples are ordered by chunk, then by position in the chunk."""
        layout = self.sizes
        shape = (layout.chunks, layout.scored)
        bounds = "logit_bounds" if self.role == "logits" else "label_bounds"
        return SourceInfo(
            InputDescription(self.file.name, "kld", (*shape, layout.n_vocab), "uint16"),
            np.dtype(np.float64),
            (layout.n_vocab,),
            layout.chunks * layout.scored,
            shape,
            frozenset({self.role, bounds, self.tokens}),
        )

    @property
    def remarks(self) -> tuple[Diagnostic, ...]:
        """Say that chunks are missing."""
        layout = self.sizes
        if layout.chunks == layout.n_chunk:
            return ()
        text = f"{self.file.name} is cut short: {layout.chunks} of {layout.n_chunk} chunks are whole, and are used"
        return (Diagnostic("chunks-missing", text),)

    def parts(self, first: int = 0) -> Iterator[tuple[int, int, Part]]:
        """See `Source`."""
        total = self.sizes.chunks * self.sizes.scored
        step = max(1, self.task_bytes // (8 * self.sizes.n_vocab))
        for start in range(0, total, step):
            size = min(step, total - start)
            yield first + start, size, self.rows(start, start + size)

    def rows(self, start: int, stop: int) -> Part:
        """See `Source`."""
        return KldRows(self.file, self.role, self.sizes, self.tokens, start, stop)

    def where(self, row: int, role: str, first: int = 0) -> str:
        """See `Source`."""
        chunk, record = divmod(row - first, self.sizes.scored)
        return f"{self.file.name} sample {row} (chunk {chunk}, record {record})"

    def scored_tokens(self) -> IntArray:
        """Return all tokens [n_chunk, n_ctx], including those that are only context."""
        layout = self.sizes
        with self.file.open() as stream:
            return _read(stream, self.file.name, _HEADER, "<i4", (layout.n_chunk, layout.n_ctx))


class KldRows(NamedTuple):
    """Recipe for records `start` to `stop`, as a `Part`."""

    file: Stored
    role: str
    sizes: KldLayout
    tokens: str
    start: int
    stop: int

    def read(self) -> Rows:
        """Read the records.

        Raises
        ------
        RowError
            At a damaged record.
        """
        layout, name = self.sizes, self.file.name
        n, words = self.stop - self.start, layout.words
        chunks = self.start // layout.scored, (self.stop - 1) // layout.scored + 1
        with self.file.open() as stream:
            place = _HEADER + 4 * layout.n_ctx * chunks[0]
            tokens = _read(stream, name, place, "<i4", (chunks[1] - chunks[0], layout.n_ctx))
            records = _read(stream, name, layout.first_record + 2 * words * self.start, "<u2", (n, words))
        scored = tokens[:, layout.n_ctx // 2 + 1 :].reshape(-1)
        skipped = self.start - chunks[0] * layout.scored
        labels = scored[skipped : skipped + n].astype(np.int64)
        with np.errstate(invalid="ignore"):  # damaged records may hold any NaN
            head = np.ascontiguousarray(records[:, :4]).view("<f4").astype(np.float64)
        numbers = np.arange(self.start, self.stop)
        log_p, bounds = decoded(records[:, 4 : 4 + layout.n_vocab], head[:, 0], head[:, 1], numbers, self.role)
        if self.role == "labels":
            return Rows(labels=log_p, label_bounds=bounds, true_labels=labels)
        if self.tokens == "true_labels":
            return Rows(logits=log_p, logit_bounds=bounds, true_labels=labels)
        return Rows(logits=log_p, logit_bounds=bounds, labels=labels)


def refuse_other_tokens(own: Source, other: Source) -> None:
    """Refuse two files that are about different texts.

    Raises
    ------
    InputError
        Naming the first difference.
    """
    if not (isinstance(own, KldSource) and isinstance(other, KldSource)):
        return
    names = f"{own.file.name}, {other.file.name}"
    for what, ours, theirs in zip(("n_ctx", "n_vocab", "n_chunk"), own.sizes, other.sizes, strict=False):
        if ours != theirs:
            hint = "write both with the same text, context and vocabulary"
            raise InputError("files of different runs", names, f"{what} {ours} and {theirs}", "the same", hint)
    tokens = own.scored_tokens(), other.scored_tokens()
    unlike = tokens[0] != tokens[1]
    if unlike.any():
        chunk, place = (int(i) for i in np.argwhere(unlike)[0])
        found = f"token {tokens[0][chunk, place]} and token {tokens[1][chunk, place]} at {place} of chunk {chunk}"
        raise InputError("different texts", names, found, "the same tokens", "write both files with the same text")
    if own.sizes.chunks != other.sizes.chunks:
        found = f"{own.sizes.chunks} and {other.sizes.chunks} whole chunks"
        raise InputError("files of different length", names, found, "as many", "write the shorter one again")


def _read(stream: Stream, name: str, place: int, dtype: str, shape: tuple[int, int]) -> AnyArray:
    values = np.empty(shape, dtype)
    with reading(name):
        stream.seek(place)
        target = flat(values).view(np.uint8).data
        if fill(stream, target) < len(target):
            raise shrunk(name)
    return values
