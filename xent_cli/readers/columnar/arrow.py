"""Arrow IPC: files, whose record batches are read by the threads that work on them, and streams, read in order."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa

from xent_cli.readers.columnar.arrow_blocks import Followed, refuse_open_end, refuse_unlisted
from xent_cli.readers.columns.column_plan import ColumnPlan, refuse_repeated
from xent_cli.readers.columns.sample import SAMPLED_ROWS
from xent_cli.readers.columns.table_plan import plan_table
from xent_cli.readers.storage.pipe import seekable
from xent_cli.readers.storage.stored import Stored
from xent_cli.readers.tables.arrow_sample import sample_of
from xent_cli.readers.tables.column_types import kind_of, naming_damage
from xent_cli.readers.tables.partitions import label_type
from xent_cli.readers.tables.table_rows import TableRows, rows_of
from xent_cli.readers.tables.table_source import Table
from xent_cli.readers.tables.width import width_and_dtype

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from contextlib import AbstractContextManager

    from xent_cli.core.block import Part, Rows
    from xent_cli.readers.interface import Classes
    from xent_cli.readers.options import ReadOptions
    from xent_cli.readers.storage.interface import Bytes

FILE_MAGIC = b"ARROW1"


def open_arrow(source: Bytes, head: bytes, role: str, options: ReadOptions, classes: Classes) -> ArrowSource:
    """Open a file or stream in a role; see `Opener`.

    Raises
    ------
    InputError
        If the file is damaged, or no column fits.
    """
    is_file = head.startswith(FILE_MAGIC)
    if is_file:
        source = seekable(source)
    with _damaged(source):
        reader = _Reader(source, is_file)
        schema = reader.schema
        refuse_repeated(source.name, schema.names)
        batches = _batch_sizes(source, schema) if is_file else None
        first = None if is_file else reader.next()
        empty = ColumnPlan(columns=tuple(schema.names))
        bare = ArrowSource(source, "arrow", role, empty, 0, np.dtype(object), None, False, options.run, batches)
        sample = sample_of(bare, schema, partial(_first_rows, source, schema, first, is_file=is_file))
        plan, class_names = plan_table(sample, role, options, classes)
        width, dtype = width_and_dtype(schema, plan, partial(_first_length, reader if is_file else first))
    label = label_type(schema, plan)
    named = label is not None and kind_of(label) == "other"
    held = () if is_file or source.rereadable else (reader, first)
    table = source, "arrow", role, plan, width, dtype, class_names, named, options.run
    return ArrowSource(*table, batches, held)


@dataclass(frozen=True, slots=True)
class ArrowSource(Table):
    """An Arrow IPC file or stream; see `Source`.

    Fields
    ------
    batches
        Number of rows of each record batch of a file, or None for a stream.
    held
        For a pipe: its reader, and the first batch, which has already been read from it.
    """

    batches: tuple[int, ...] | None
    held: tuple[Any, ...] = ()

    @property
    def row_count(self) -> int | None:
        """See `Source`."""
        return None if self.batches is None else sum(self.batches)

    def parts(self, first: int = 0) -> Iterator[tuple[int, int, Part]]:
        """See `Source`."""
        start = first
        if self.batches is None:
            for batch in self._stream():
                yield from self._cut(batch, start)
                start += batch.num_rows
            return
        row_bytes = max(1, self.width) * self.dtype.itemsize
        for index, size in enumerate(self.batches):
            if size and (self.needs.whole_groups or size * row_bytes <= self.needs.batch_bytes):
                yield start, size, BatchRows(self, index, start, size)
            elif size:
                yield from self._cut(self.batch(index, size), start)
            start += size

    def batch(self, index: int, size: int) -> pa.RecordBatch:
        """Read a record batch of a file, and validate it: its buffers are not trusted."""
        with _damaged(self.source, f" record batch {index}"):
            batch = _Reader(self.source, True, self.plan.used, to_describe=False).get(index)
            if batch.num_rows != size:
                raise pa.ArrowInvalid(f"{batch.num_rows} rows where there were {size}")
            return batch

    def _stream(self) -> Iterator[pa.RecordBatch]:
        with _damaged(self.source):
            reader, batch = self.held or (_Reader(self.source, False, to_describe=False), None)
            batch = batch or reader.next()
            while batch is not None:
                yield batch.select(self.plan.used)
                batch = reader.next()

    def _cut(self, batch: pa.RecordBatch, start: int) -> Iterator[tuple[int, int, Part]]:
        step = max(1, self.needs.task_bytes // (max(1, self.width) * self.dtype.itemsize))
        for offset in range(0, batch.num_rows, step):
            table = pa.Table.from_batches([batch.slice(offset, step)])
            begin = start + offset
            rows = TableRows(table, self.reading, begin)
            yield begin, table.num_rows, rows


@dataclass(frozen=True, slots=True)
class BatchRows:
    """Recipe for one record batch of a file, `size` samples from `start` on: a `Part`."""

    source: ArrowSource
    index: int
    start: int
    size: int

    def read(self) -> Rows:
        """Read and convert it."""
        table = pa.Table.from_batches([self.source.batch(self.index, self.size)])
        return rows_of(table, self.source.reading, self.start)


class _Reader:
    """What files and streams have in common. Nothing is memory-mapped: a file that shrinks would end the process."""

    def __init__(
        self, source: Bytes, is_file: bool, columns: list[str] | None = None, *, to_describe: bool = True
    ) -> None:
        self._followed: Followed | None = None
        if isinstance(source, Stored) and not source.codec:
            file = source.arrow_here() if to_describe else source.arrow()
        else:
            self._followed = Followed(source.stream())  # type: ignore[arg-type]
            file = pa.PythonFile(self._followed, "r")
        self._file = file
        self._open = pa.ipc.open_file if is_file else pa.ipc.open_stream
        self._reader = self._open(file, options=pa.ipc.IpcReadOptions(use_threads=False))
        self.schema = self._reader.schema
        if columns is not None:
            fields = [self.schema.get_field_index(name) for name in columns]
            # The footer is read again, which takes little time next to a batch.
            file.seek(0)
            self._reader = self._open(file, options=pa.ipc.IpcReadOptions(use_threads=False, included_fields=fields))
        self.num_batches = self._reader.num_record_batches if is_file else 0

    def refuse_unlisted(self) -> None:
        """Refuse a file whose batches are not those listed in its footer."""
        refuse_unlisted(self._file)

    def get(self, index: int) -> pa.RecordBatch:
        batch = self._reader.get_batch(index)
        batch.validate(full=True)
        return batch

    def next(self) -> pa.RecordBatch | None:
        try:
            batch = self._reader.read_next_batch()
        except StopIteration:
            self._refuse_open_end()
            return None
        batch.validate(full=True)
        return batch

    def _refuse_open_end(self) -> None:
        file = self._file
        if self._followed is not None:
            last, following = self._followed.last, self._followed.read(1)
        else:
            end = file.tell()
            last, following = file.read_at(min(8, end), end - min(8, end)), file.read_at(1, end)
        refuse_open_end(last, following)


def _batch_sizes(source: Bytes, schema: pa.Schema) -> tuple[int, ...]:
    """Return the number of rows of each batch: Arrow needs a column to count them, so the cheapest to read is used."""
    if not schema.names:
        return ()
    least = min(schema.names, key=lambda name: {"number": 0, "other": 1, "list": 2}[kind_of(schema.field(name).type)])
    reader = _Reader(source, True, [least])
    reader.refuse_unlisted()
    return tuple(reader.get(index).num_rows for index in range(reader.num_batches))


def _first_rows(
    source: Bytes, schema: pa.Schema, first: pa.RecordBatch | None, names: Sequence[str], *, is_file: bool
) -> pa.Table:
    """Return the first rows of some columns."""
    batch = first
    if is_file:
        reader = _Reader(source, True, list(names))
        found = (reader.get(index) for index in range(reader.num_batches))
        batch = next((each for each in found if each.num_rows), None)
    fields = pa.schema([schema.field(name) for name in names])
    return fields.empty_table() if batch is None else pa.Table.from_batches([batch.select(list(names))[:SAMPLED_ROWS]])


def _first_length(batches: _Reader | pa.RecordBatch | None, name: str) -> int:
    """Length of the first list of a column."""
    found = [batches] if not isinstance(batches, _Reader) else map(batches.get, range(batches.num_batches))
    first = next((batch for batch in found if batch is not None and batch.num_rows), None)
    return 0 if first is None else len(first[name][0].as_py() or ())


def _damaged(source: Bytes, place: str = "") -> AbstractContextManager[None]:
    return naming_damage("damaged Arrow data", f"{source.name}{place}", source)
