"""Parquet files: one row group per task, or batches of a row group that is too large for one task."""

from __future__ import annotations

from contextlib import closing, contextmanager
from dataclasses import dataclass, field
from functools import partial
from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from xent_cli.core.block import Rows
from xent_cli.core.labels.check_labels import either
from xent_cli.errors import UnreadableRowError
from xent_cli.readers.arrays.strided_array import samples_at_once
from xent_cli.readers.arrays.strided_rows import StridedRows, memory_of
from xent_cli.readers.columnar.parquet_file import FirstRows, damage_in, footer_of, open_file
from xent_cli.readers.columnar.row_groups import RowGroup
from xent_cli.readers.columns.column_plan import ColumnPlan, Reading, refuse_repeated
from xent_cli.readers.columns.table_plan import plan_table
from xent_cli.readers.storage.pipe import Spill, seekable
from xent_cli.readers.storage.reading import is_url
from xent_cli.readers.tables.arrow_columns import refuse_nulls
from xent_cli.readers.tables.arrow_sample import sample_of
from xent_cli.readers.tables.column_types import kind_of
from xent_cli.readers.tables.first_bad_row import first_with_count
from xent_cli.readers.tables.partitions import label_type
from xent_cli.readers.tables.table_rows import TableRows, rows_of
from xent_cli.readers.tables.table_source import Table
from xent_cli.readers.tables.width import width_and_dtype

if TYPE_CHECKING:
    from collections.abc import Iterator

    from xent_cli.core.array_types import AnyArray, BoolArray
    from xent_cli.core.block import Part
    from xent_cli.readers.interface import Classes
    from xent_cli.readers.options import ReadOptions
    from xent_cli.readers.storage.interface import Bytes
    from xent_cli.readers.storage.stored import Stored

_COLUMNS_LOOKED_AT = 64  # buffers for the first rows are as small as if this many columns were read


def open_parquet(source: Bytes, head: bytes, role: str, options: ReadOptions, classes: Classes) -> ParquetSource:
    """Open a file in a role; see `Opener`.

    Raises
    ------
    InputError
        If the file is damaged, or no column fits.
    """
    source = seekable(source)
    with damage_in(source):
        file = open_file(source, _COLUMNS_LOOKED_AT, to_describe=True)
        schema = file.schema_arrow
        groups = tuple(file.metadata.row_group(i).num_rows for i in range(file.metadata.num_row_groups))
        if sum(groups) != file.metadata.num_rows or min(groups, default=0) < 0:
            raise pa.ArrowInvalid(f"{sum(groups)} rows in row groups of a file of {file.metadata.num_rows}")
    refuse_repeated(source.name, schema.names)
    empty = ColumnPlan(columns=tuple(schema.names))
    bare = ParquetSource(source, "parquet", role, empty, 0, np.dtype(object), None, False, options.run, groups)
    first_rows = FirstRows(source, file, schema)
    sample = sample_of(bare, schema, first_rows.read)
    plan, class_names = plan_table(sample, role, options, classes)
    with damage_in(source):
        width, dtype = width_and_dtype(schema, plan, partial(_first_length, file))
    label = label_type(schema, plan)
    named = label is not None and kind_of(label) == "other"
    table = source, "parquet", role, plan, width, dtype, class_names, named, options.run
    return ParquetSource(*table, groups, footer_of(file))


@dataclass(frozen=True, slots=True)
class ParquetSource(Table):
    """A Parquet file; see `Source`.

    Fields
    ------
    groups
        Number of rows of each row group.
    footer
        Metadata from the end of the file, or None if it is too long to be kept.
    """

    source: Stored
    groups: tuple[int, ...]
    footer: pq.FileMetaData | None = field(default=None, compare=False, repr=False)

    @property
    def row_count(self) -> int:
        """See `Source`."""
        return sum(self.groups)

    def parts(self, first: int = 0) -> Iterator[tuple[int, int, Part]]:
        """See `Source`."""
        row_bytes = max(1, self.width) * self.dtype.itemsize
        needs = self.needs
        limit = needs.group_bytes if self.plan.wide or not self.plan.values else needs.task_bytes
        start = first
        for group, size in enumerate(self.groups):
            if not size:  # pandas writes an empty row group for a table without rows
                continue
            if needs.whole_groups or size * row_bytes <= limit:
                yield start, size, GroupRows(self, group, start, size)
            elif not self.plan.wide:
                yield from self._batches(group, start, max(1, needs.step_bytes // row_bytes))
            else:
                yield from self._columns(group, start, size)
            start += size

    def _batches(self, group: int, start: int, step: int) -> Iterator[tuple[int, int, Part]]:
        """Read a row group a few rows at a time, and decode it in this process."""
        for table in _batches(self, group, step):
            yield start, table.num_rows, TableRows(table, self.reading, start)
            start += table.num_rows

    def _columns(self, group: int, start: int, size: int) -> Iterator[tuple[int, int, Part]]:
        """Read a row group too large for memory: decode a few columns at a time, and turn them into rows on disk."""
        spill = Spill(self.source.name)
        rest = self.reading._replace(plan=self.plan._replace(values=(), is_list=False))
        with closing(spill), self._opened(group, self._step(size)) as held:
            absent = None
            for values, missing in _decoded(self, held, start, use_threads=True):
                spill.append(values.T)
                absent = either(absent, missing)
            others = self._table(held, rest.plan.used) if rest.plan.used else None
        step = samples_at_once(size, self.width, self.dtype.itemsize, self.needs)
        for low, high in ((low, min(size, low + step)) for low in range(0, size, step)):
            part: Part = StridedRows(
                self.role, f"{self.role} of a row group", spill, self.dtype.str, 0, (size,), (1,), self.width, size,
                low, high, False, *memory_of(self.needs),
            )  # fmt: skip
            if others is not None:
                other = TableRows(others.slice(low, high - low), rest, start + low)
                part = Both(part, other)
            if absent is not None:
                part = Both(part, Rows(absent=absent[low:high]))
            yield start + low, high - low, part

    def _step(self, size: int) -> int:
        """Number of columns of a row group that are decoded at once."""
        return max(1, self.needs.step_bytes // max(1, size * self.dtype.itemsize))

    @contextmanager
    def _opened(self, group: int, num_columns: int) -> Iterator[RowGroup]:
        """Open the file once for a row group, since the footer of very many columns takes long to parse."""
        with damage_in(self.source, group):
            file = open_file(self.source, num_columns, self.footer)
        with file:
            with damage_in(self.source, group):
                held = RowGroup(file, group, self.groups[group], self.plan.columns)
            yield held

    def _table(self, held: RowGroup, columns: list[str]) -> pa.Table:
        with damage_in(self.source, held.group):
            return held.whole(held.read(columns))


@dataclass(frozen=True, slots=True)
class GroupRows:
    """Recipe for one row group, `size` samples from `start` on: a `Part`."""

    source: ParquetSource
    group: int
    start: int
    size: int

    def read(self) -> Rows:
        """Decode the row group in this thread, piece by piece: decoded at once, it would be in memory twice."""
        source = self.source
        plan, role, width = source.plan, source.role, source.width
        # From a bucket, one request gets all columns of a row group.
        remote = is_url(source.source.path)
        if plan.wide and not remote:
            values = np.empty((width, self.size), source.dtype)
            done, absent = 0, None
            rest = source.reading._replace(plan=plan._replace(values=()))
            with source._opened(self.group, source._step(self.size)) as held:
                for columns, missing in _decoded(source, held, self.start, use_threads=False):
                    absent, stop = either(absent, missing), done + columns.shape[1]
                    values[done:stop], done = columns.T, stop
                if not rest.plan.used:
                    return Rows(absent=absent, **{role: values.T})
                table = source._table(held, rest.plan.used)
            return rows_of(table, rest, self.start)._replace(absent=absent, **{role: values.T})
        row_bytes = max(1, width) * source.dtype.itemsize
        whole = remote or self.size * row_bytes <= source.needs.list_group_bytes
        step = self.size if whole else max(1, source.needs.step_bytes // row_bytes)
        parts = []
        done = 0
        out: AnyArray | None = None
        bad: list[UnreadableRowError] = []
        for table in _batches(source, self.group, step):
            done += table.num_rows
            try:
                rows = rows_of(table, source.reading, self.start + done - table.num_rows)
            except UnreadableRowError as error:
                bad.append(error)
                continue
            if table.num_rows == self.size:
                return rows
            piece = getattr(rows, role) if plan.values else None
            if piece is not None:
                out = np.empty_like(piece, shape=(self.size, width)) if out is None else out
                out[done - len(piece) : done] = piece
                rows = rows._replace(**{role: None})
            parts.append(rows)
        first = first_with_count(bad)
        if first is not None:
            raise first
        rest_rows = Rows.concatenate(parts)
        return rest_rows if out is None else rest_rows._replace(**{role: out})


@dataclass(frozen=True, slots=True)
class Both:
    """Recipe for rows that take some fields from one recipe and some from another."""

    one: Part
    other: Part

    def read(self) -> Rows:
        """Read both."""
        one, other = self.one.read(), self.other.read()
        return other._replace(**one.given())


def _decoded(
    source: ParquetSource, held: RowGroup, start: int, *, use_threads: bool
) -> Iterator[tuple[AnyArray, BoolArray | None]]:
    """Yield the values of a row group as [n, c], a few columns at a time, and which are missing."""
    names = source.plan.values
    step = source._step(held.size)
    with damage_in(source.source, held.group):
        for low in range(0, len(names), step):
            some = names[low : low + step]
            table = held.whole(held.read(list(some), use_threads=use_threads))
            plan = ColumnPlan(
                some, values_only=source.plan.values_only, lenient=source.plan.lenient, judged=source.plan.judged
            )
            reading = Reading(plan, source.role, len(some))
            try:
                rows = rows_of(table, reading, start)
            except UnreadableRowError:
                if plan.judged is not None:
                    raise
                # A later column may have an earlier bad row.
                columns = ((name, held.read([name])[name]) for name in names)
                refuse_nulls(columns, source.role, start, missing=source.plan.values_only)
                raise
            yield np.asarray(getattr(rows, source.role), source.dtype), rows.absent


def _batches(source: ParquetSource, group: int, step: int) -> Iterator[pa.Table]:
    """Yield the columns of a row group that are used, a few rows at a time."""
    used = source.plan.used
    with damage_in(source.source, group), open_file(source.source, len(used), source.footer) as file:
        held = RowGroup(file, group, source.groups[group], source.plan.columns)
        for batch in file.iter_batches(step, [group], columns=used, use_threads=False):
            yield held.part(pa.Table.from_batches([batch]))
        held.end()


def _first_length(file: pq.ParquetFile, name: str) -> int:
    """Length of the first list of a column."""
    for batch in file.iter_batches(1, columns=[name], use_threads=False):
        return len(batch.column(0)[0].as_py() or ())
    return 0
