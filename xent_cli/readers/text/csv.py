"""Delimited text: cut into chunks at line ends, each parsed by Arrow in a worker thread."""

from __future__ import annotations

import io
import re
from bisect import bisect_right
from dataclasses import dataclass, field
from functools import partial
from itertools import islice
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.csv as pa_csv

from xent_cli.errors import InputError, MissingValueError, UnreadableRowError
from xent_cli.readers.columns.column_plan import ColumnPlan, refuse_repeated
from xent_cli.readers.columns.sample import BOOL, FLOATS, WHOLES, TableSample
from xent_cli.readers.columns.table_plan import plan_table
from xent_cli.readers.storage.reading import read_up_to
from xent_cli.readers.tables.first_bad_row import first_with_count
from xent_cli.readers.tables.marks import is_masked
from xent_cli.readers.tables.table_rows import rows_of
from xent_cli.readers.tables.table_source import Table, texts_ahead
from xent_cli.readers.text.csv_dialect import (
    DTYPES,
    LABEL_TYPES,
    LISTED,
    label_type_of,
    label_types_from,
)
from xent_cli.readers.text.csv_layout import CsvLayout, layout_of
from xent_cli.readers.text.csv_sample import FirstRows, hint_at_length
from xent_cli.readers.text.text_chunks import as_lines, chunks_of, count_rows, csv_reader, row_lines

if TYPE_CHECKING:
    from collections.abc import Iterator

    from xent_cli.core.block import Part, Rows
    from xent_cli.readers.interface import Classes
    from xent_cli.readers.options import ReadOptions
    from xent_cli.readers.storage.interface import Bytes
    from xent_cli.readers.text.text_chunks import Chunk


def open_csv(source: Bytes, head: bytes, role: str, options: ReadOptions, classes: Classes) -> CsvSource:
    """Open a table in a role; see `Opener`.

    Raises
    ------
    InputError
        If the file is empty or not text, or no column fits.
    """
    layout, text, few = layout_of(source, options.header)
    names = layout.names
    refuse_repeated(source.name, names)
    held = FirstRows(layout, text, few)
    held.refuse_other_length(source.name)
    kinds = held.kinds
    empty = ColumnPlan(columns=names)
    bare = CsvSource(layout.source, "csv", role, empty, 0, np.dtype(object), None, False, options.run, layout, "string")
    sample = TableSample(
        source.name,
        kinds,
        held.columns,
        lambda name: texts_ahead(bare, name),
        nameless=not layout.has_header,
        types=kinds,
    )
    plan, class_names = plan_table(sample, role, options, classes)
    if plan.is_list and not plan.cells and plan.top_k is None:
        from xent_cli.readers.columns.cells.cell_text import layout_of_cells

        plan = plan._replace(cells=layout_of_cells(sample, plan.values[0]).width)
    cells = held.few.get(plan.file_label or "", ())
    said = dict(plan.constants).get(plan.label or "")
    label = next((cell for cell in cells if cell.strip()), None) if said is None else str(said)
    label_type = {BOOL: "bool", FLOATS: LISTED, WHOLES: LISTED}.get(kinds.get(plan.label or "", ""))
    label_type = label_type or label_type_of(label)
    dtype = np.dtype(np.float64 if plan.values else DTYPES[label_type])
    named = plan.label is not None and label_type == "string"
    bools = frozenset(name for name in plan.values if kinds[name] == "bool")
    width, top_k = plan.cells or len(plan.values), plan.top_k
    if top_k is not None:
        plan, width = plan._replace(cells=int(top_k.nested)), top_k.width
    table = layout.source, "csv", role, plan, width, dtype, class_names, named, options.run
    return CsvSource(*table, layout, label_type, bools)


@dataclass(frozen=True, slots=True, eq=False, repr=False)
class CsvSource(Table):
    """A delimited text file; see `Source`.

    Fields
    ------
    text_layout
        Where the rows begin, and how to split them.
    label_type
        One of `LABEL_TYPES`.
    bools
        Columns of values that are true and false.
    seen
        For text that came through a pipe: first sample and line of each chunk, and the line of each row unless every
        line is one row.
    """

    text_layout: CsvLayout
    label_type: str
    bools: frozenset[str] = frozenset()
    seen: list[tuple[int, int, list[int] | None]] = field(default_factory=list, compare=False)

    @property
    def names(self) -> tuple[str, ...]:
        """Names of all columns."""
        return self.text_layout.names

    @property
    def header_lines(self) -> int:
        """Number of lines before the rows."""
        return self.text_layout.header_lines

    @property
    def first_line(self) -> str | None:
        """The first line of a single column, if it was read as a row because it is not a name."""
        if self.header_lines or len(self.names) > 1:
            return None
        return self.source.peek(64)[self.text_layout.body :].split(b"\n")[0].strip().decode(errors="replace")

    def parts(self, first: int = 0) -> Iterator[tuple[int, int, Part]]:
        """See `Source`."""
        start, line = first, self.header_lines + 1
        single, delimiter = len(self.names) == 1, self.text_layout.delimiter
        for chunk in chunks_of(self.source, self.text_layout.body, self.needs.chunk_bytes, columns=len(self.names)):
            size, lines = count_rows(chunk, delimiter, single)
            if not self.source.rereadable:
                plain = size == lines
                self.seen.append((start, line, None if plain else row_lines(chunk.read(), delimiter, single)))
            if size:
                yield start, size, CsvRows(self, chunk, start, size, line)
            start += size
            line += lines

    def where(self, row: int, role: str, first: int = 0) -> str:
        """See `Source`; reads the file from its beginning."""
        if self.source.rereadable:
            with self.source.stream() as stream:
                read_up_to(stream, self.text_layout.body)
                text = io.TextIOWrapper(io.BufferedReader(stream), "utf-8", "replace", newline="")  # type: ignore[type-var]
                reader = csv_reader(text, delimiter=self.text_layout.delimiter)
                full = (cells for cells in reader if cells or len(self.names) == 1)
                next(islice(full, row - first, None), None)
                line = self.header_lines + reader.line_num
        else:
            start, line, lines = self.seen[bisect_right([start for start, _, _ in self.seen], row) - 1]
            line += row - start if lines is None else lines[row - start]
        return f"{self.source.name} line {line} (sample {row}){self.plan.column_of(role)}"


class CsvRows(NamedTuple):
    """Recipe for the rows of one chunk: a `Part`.

    Fields
    ------
    chunk
        Its text.
    start, size
        First sample and number of samples.
    line
        Number of its first line in the file, from 1.
    """

    source: CsvSource
    chunk: Chunk
    start: int
    size: int
    line: int

    def read(self) -> Rows:
        """Parse the chunk in this thread."""
        source = self.source
        tried = label_types_from(source.label_type if source.plan.label else LABEL_TYPES[-1])
        for label_type in tried:
            try:
                table = self._parse(label_type)
            except pa.ArrowInvalid as error:
                failure = error
                continue
            if table.num_rows != self.size:
                break
            try:
                return rows_of(table, source.reading, self.start)
            except MissingValueError:
                break
        else:
            raise self._explain(str(failure))
        raise self._explain("rows that are not complete")

    def _parse(self, label_type: str) -> pa.Table:
        source = self.source
        text = self.chunk.read()
        marks = source.text_layout.marks
        grouped = [] if source.plan.cells or not marks.thousands else [*source.plan.values]
        grouped += source.plan.amounts if marks.thousands else []
        plain = pa.string() if source.plan.cells else pa.float64()
        types = dict.fromkeys(source.plan.values, plain) | dict.fromkeys(source.bools, pa.bool_())
        if source.plan.top_k is not None and source.plan.top_k.texts:
            types |= dict.fromkeys(source.plan.top_k.classes, pa.string())
        if source.plan.label:
            types[source.plan.label] = pa.string() if label_type == LISTED else pa.type_for_alias(label_type)
        types |= dict.fromkeys(source.plan.amounts, pa.float64())
        types |= dict.fromkeys([*source.plan.texts, *grouped], pa.string())
        used = source.plan.used
        table = pa_csv.read_csv(
            pa.BufferReader(pa.py_buffer(text)),
            pa_csv.ReadOptions(use_threads=False, column_names=list(source.names), block_size=len(text) + 1),
            pa_csv.ParseOptions(
                delimiter=source.text_layout.delimiter,
                newlines_in_values=self.chunk.quoted,
                ignore_empty_lines=len(source.names) > 1,
            ),
            # Arrow's own null words include nan and NA; here nan is a number and an empty cell is an error.
            pa_csv.ConvertOptions(
                column_types=types,
                # None for all columns, because Arrow looks up the columns in a list one by one.
                include_columns=used if len(used) < len(source.names) else None,
                null_values=[""],
                strings_can_be_null=True,
                decimal_point=marks.decimal,
            ),
        )
        label = source.plan.label
        if label is not None and label_type == LISTED:
            from xent_cli.readers.tables.listed_labels import lists_of_cells

            lists = lists_of_cells(table[label], self.start)
            table = table.set_column(table.column_names.index(label), label, lists)
        for name in grouped:
            cells = [cell and marks.plain(cell) for cell in table[name].to_pylist()]
            column = pa.chunked_array([pa.array(cells, pa.string())]).cast(pa.float64())
            table = table.set_column(table.column_names.index(name), name, column)
        return table

    def _explain(self, arrow_message: str) -> InputError:
        """Find the first bad cell, and count the other bad rows in this chunk."""
        source = self.source
        first = first_with_count(self._blamed())
        if first is not None:
            return first
        if re.search(rb"\r(?!\n)", self.chunk.read()):
            arrow_message = "carriage returns that end lines, or stand in them"
        lines = self.chunk.count(b"\n")
        where = f"{source.source.name} lines {self.line} to {self.line + max(0, lines - 1)}"
        return InputError("cannot read delimited text", where, found=arrow_message.split("\n")[0])

    def _blamed(self) -> Iterator[UnreadableRowError | None]:
        """Yield what is wrong with each row."""
        reader = csv_reader(as_lines(self.chunk.read()), delimiter=self.source.text_layout.delimiter)
        sample, line = self.start, self.line
        for cells in reader:
            if cells or len(self.source.names) == 1:
                yield self._blame(cells, sample, line)
                sample += 1
            line = self.line + reader.line_num

    def _blame(self, cells: list[str], sample: int, line: int) -> UnreadableRowError | None:
        source = self.source
        blame = partial(_blamed, sample, source.role, f"{source.source.name} line {line} (sample {sample})")
        if len(cells) != len(source.names):
            hint = hint_at_length(len(cells), len(source.names))
            return blame("wrong number of cells", f"{len(cells)} cells", f"{len(source.names)}", hint)
        plan = source.plan
        if plan.mask is not None and is_masked(cells[source.names.index(plan.mask)]):
            return None
        needed, used = set(plan.needed), set(plan.used)
        # A missing value is reported only once the sample is known to count.
        may_lack = plan.lenient and sample != plan.judged
        for name, cell in zip(source.names, cells, strict=True):
            if may_lack and not cell.strip():
                continue
            if name in needed and not cell.strip():
                return blame("empty cell", "nothing", "a value", column=name)
            if name in used and "\ufffd" in cell:
                return blame("cell is not UTF-8", f'"{cell}"', "text", column=name)
            # Text labels are checked where the classes are known.
            number = name in source.bools or source.text_layout.marks.is_number(cell)
            number |= bool(plan.cells) and name in plan.values
            if name in needed and name != plan.label and name != plan.mask and not number:
                hint = "write decimal points, and no marks between thousands" if "," in cell else ""
                return blame("cell is not a number", f'"{cell}"', "a number", hint, column=name)
        return None


def _blamed(
    sample: int, role: str, place: str, what: str, found: str, expected: str, hint: str = "", column: str = ""
) -> UnreadableRowError:
    place += f', column "{column}"' if column else ""
    return UnreadableRowError(what, sample, role, found, expected, hint, place, column)
