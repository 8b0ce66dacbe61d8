"""Structured arrays in .npy files: tables of records, whose fields are the columns."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa

from xent_cli.errors import InputError
from xent_cli.readers.arrays.array_source import widen
from xent_cli.readers.columns.column_plan import ColumnPlan
from xent_cli.readers.columns.sample import SAMPLED_ROWS
from xent_cli.readers.columns.table_plan import plan_table
from xent_cli.readers.options import RunNeeds
from xent_cli.readers.storage.identity import shrunk
from xent_cli.readers.storage.reading import fill, reading
from xent_cli.readers.storage.stored import Stored
from xent_cli.readers.tables.arrow_sample import sample_of
from xent_cli.readers.tables.column_types import kind_of
from xent_cli.readers.tables.partitions import label_type
from xent_cli.readers.tables.table_rows import TableRows, rows_of
from xent_cli.readers.tables.table_source import Table
from xent_cli.readers.tables.width import width_and_dtype

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from xent_cli.core.array_types import AnyArray
    from xent_cli.core.block import Part, Rows
    from xent_cli.readers.arrays.array_source import Layout
    from xent_cli.readers.interface import Classes
    from xent_cli.readers.options import ReadOptions
    from xent_cli.readers.storage.interface import Bytes, Stream


def open_records(source: Bytes, layout: Layout, role: str, options: ReadOptions, classes: Classes) -> RecordSource:
    """Open a structured array in a role; see `Opener`.

    A field with one number or text is a column, a field with several numbers is a column of lists, and a field that has
    fields of its own is a column for each of these, with a dot in the name.

    Raises
    ------
    InputError
        If the array has more than one axis, or no field fits.
    """
    if not layout.dtype.itemsize or 0 in layout.shape[1:]:
        raise InputError("records without values", source.name, f"dtype {layout.dtype}", "fields of numbers")
    long = [side for side in layout.shape if side != 1]
    if len(long) > 1:
        raise InputError(
            "records along more than one axis",
            source.name,
            found=f"shape {layout.shape}",
            expected="one axis",
            hint="save them as array.ravel()",
        )
    size = long[0] if long else int(0 not in layout.shape)
    bare = _bare(source, layout, size, role, options.run, bfloat16=options.bfloat16(role))
    schema = bare.schema
    sample = sample_of(bare, schema, partial(_first_rows, bare))
    plan, class_names = plan_table(sample, role, options, classes)
    width, dtype = width_and_dtype(schema, plan, lambda _: 0)
    label = label_type(schema, plan)
    named = label is not None and kind_of(label) == "other"
    return replace(bare, plan=plan, width=width, dtype=dtype, class_names=class_names, named_labels=named)


def all_records(source: Bytes, layout: Layout) -> pa.Table:
    """Read all records of a structured array into memory.

    Raises
    ------
    InputError
        If the file is shorter or longer than its header says.
    """
    bare = _bare(source, layout, math.prod(layout.shape), "weights", RunNeeds(), bfloat16=False)
    with source.stream() as stream:
        _skip(stream, layout.offset)
        return bare.table(bare.filled(stream, bare.size, last=True), bare.schema.names)


def _bare(source: Bytes, layout: Layout, size: int, role: str, needs: RunNeeds, *, bfloat16: bool) -> RecordSource:
    """Return the array as a source before any of its fields is chosen."""
    schema = pa.schema([(name, _type_of(dtype, bfloat16=bfloat16)) for name, dtype in _fields(layout.dtype)])
    empty = ColumnPlan(columns=tuple(schema.names))
    held = needs, size, layout.dtype, layout.offset, schema
    return RecordSource(source, "records", role, empty, 0, np.dtype(object), None, False, *held)


@dataclass(frozen=True, slots=True)
class RecordSource(Table):
    """A structured array; see `Source`.

    Fields
    ------
    size
        Number of records.
    record
        Their dtype.
    offset
        Where they begin, in bytes.
    schema
        Names and types of the columns.
    """

    size: int
    record: np.dtype[Any]
    offset: int
    schema: pa.Schema

    @property
    def fields(self) -> list[tuple[str, str]]:
        """Names of the columns, and the NumPy dtype of one value of each."""
        return [(name, dtype.base.str) for name, dtype in _fields(self.record)]

    @property
    def row_count(self) -> int:
        """See `Source`."""
        return self.size

    def parts(self, first: int = 0) -> Iterator[tuple[int, int, Part]]:
        """See `Source`."""
        step = max(1, self.needs.task_bytes // max(1, self.record.itemsize))
        runs = ((start, min(step, self.size - start)) for start in range(0, self.size, step))
        if isinstance(self.source, Stored) and not self.source.codec:
            yield from ((first + start, size, RecordRows(self, start, size, first + start)) for start, size in runs)
            return
        with self.source.stream() as stream:
            _skip(stream, self.offset)
            for start, size in runs:
                records = self.filled(stream, size, last=start + size == self.size)
                table = self.table(records, self.plan.used)
                yield first + start, size, TableRows(table, self.reading, first + start)

    def records(self, start: int, size: int) -> AnyArray:
        """Read some of the records."""
        with self.source.stream() as stream:
            begin = self.offset + start * self.record.itemsize
            if stream.seekable():
                stream.seek(begin)
            else:
                _skip(stream, begin)
            return self.filled(stream, size)

    def table(self, records: AnyArray, names: Sequence[str]) -> pa.Table:
        """Return some columns of the records."""
        columns = []
        for name in names:
            values: AnyArray = records
            for field in _path(self.record, name):
                values = values[field]
            columns.append(_column(values, self.schema.field(name).type))
        return pa.Table.from_arrays(columns, schema=pa.schema([self.schema.field(name) for name in names]))

    def filled(self, stream: Stream, size: int, *, last: bool = False) -> AnyArray:
        """Read the next records, and check that the file ends after the last ones."""
        raw = np.empty(size * self.record.itemsize, np.uint8)
        with reading(self.source.name):
            if fill(stream, raw.data) < len(raw):
                raise shrunk(self.source.name)
            if last and stream.read(1):
                raise InputError("more than one array", self.source.name, "more bytes", f"{self.size} records")
        return raw.view(self.record)


@dataclass(frozen=True, slots=True)
class RecordRows:
    """Recipe for `size` records from `begin` on, whose first sample is `start`: a `Part`."""

    source: RecordSource
    begin: int
    size: int
    start: int

    def read(self) -> Rows:
        """Read and convert them."""
        source = self.source
        table = source.table(source.records(self.begin, self.size), source.plan.used)
        return rows_of(table, source.reading, self.start)


def _fields(dtype: np.dtype[Any], before: str = "") -> Iterator[tuple[str, np.dtype[Any]]]:
    """Names and types of the columns, one for each field of a record."""
    for name in dtype.names or ():
        field = dtype[name]
        if field.names:
            yield from _fields(field, f"{before}{name}.")
        else:
            yield f"{before}{name}", field


def _path(dtype: np.dtype[Any], name: str) -> list[str]:
    """Path of nested fields to a column: field names may themselves contain dots."""
    for field in dtype.names or ():
        if field == name and not dtype[field].names:
            return [field]
        inner = dtype[field]
        if inner.names and name.startswith(f"{field}."):
            below = _path(inner, name[len(field) + 1 :])
            if below:
                return [field, *below]
    return []


def _type_of(dtype: np.dtype[Any], *, bfloat16: bool) -> pa.DataType:
    """Arrow's type for a field: lists for a subarray; unused binary for anything but numbers and text."""
    if dtype.subdtype is not None:
        base, shape = dtype.subdtype
        if 0 in shape:
            return pa.binary()
        inner = _type_of(base, bfloat16=bfloat16)
        for side in shape[::-1]:
            inner = pa.list_(inner, side)
        return inner
    if dtype.kind == "V" and dtype.itemsize == 2 and bfloat16:
        return pa.float32()
    if dtype.kind in "biuf" and dtype.itemsize <= 8:
        return pa.from_numpy_dtype(dtype.newbyteorder("="))
    if dtype.kind in "US":
        return pa.string()
    return pa.timestamp("us") if dtype.kind == "M" else pa.binary()


def _column(values: AnyArray, column_type: pa.DataType) -> pa.Array:
    if pa.types.is_fixed_size_list(column_type):
        return pa.FixedSizeListArray.from_arrays(
            _column(values.reshape(-1, *values.shape[2:]), column_type.value_type), column_type.list_size
        )
    if pa.types.is_binary(column_type):  # never used, whatever it contains
        return pa.nulls(len(values), column_type)
    if values.dtype.kind == "V":
        values = widen(np.ascontiguousarray(values))
    if values.dtype.kind == "S":  # the run names the row of invalid UTF-8
        return pa.array(values.tolist(), pa.binary()).view(pa.string())
    if values.dtype.kind == "U":
        return pa.array(values.tolist(), pa.string())
    if values.dtype.kind == "M":
        return pa.array(values.astype("M8[us]"))
    return pa.array(np.ascontiguousarray(values, values.dtype.newbyteorder("=")))


def _first_rows(bare: RecordSource, names: Sequence[str]) -> pa.Table:
    size = min(bare.size, max(1, min(SAMPLED_ROWS, bare.needs.task_bytes // max(1, bare.record.itemsize))))
    if not bare.source.rereadable:
        head = bare.source.peek(bare.offset + size * bare.record.itemsize)[bare.offset :]
        size = min(size, len(head) // max(1, bare.record.itemsize))
        return bare.table(np.frombuffer(head, bare.record, size), names)
    return bare.table(bare.records(0, size), names)


def _skip(stream: Stream, size: int) -> None:
    head = bytearray(size)
    fill(stream, memoryview(head))
