"""Turn lines of JSON into rows: parsed by Arrow in a worker thread, flattened by Python if needed."""

from __future__ import annotations

import io
import json
from dataclasses import dataclass, field
from itertools import product
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa
import pyarrow.json as pa_json

from xent_cli.errors import InputError, UnreadableRowError
from xent_cli.readers.tables.column_types import to_numpy
from xent_cli.readers.tables.first_bad_row import first_with_count
from xent_cli.readers.tables.marks import is_masked
from xent_cli.readers.tables.table_rows import rows_of
from xent_cli.readers.tables.table_source import Table
from xent_cli.readers.text.csv_dialect import LABEL_TYPES, LISTED, label_types_from
from xent_cli.readers.text.json_records import is_number, shown, strict_record_of
from xent_cli.readers.text.json_reshape import NO_RESHAPE, Reshape
from xent_cli.readers.text.nonfinite import NONFINITE, with_nonfinite

if TYPE_CHECKING:
    from collections.abc import Iterator

    from xent_cli.core.block import Rows
    from xent_cli.readers.text.text_chunks import Chunk


@dataclass(frozen=True, slots=True)
class JsonLines(Table):
    """What must be known about a JSON Lines table to parse a chunk of it.

    Fields
    ------
    body
        Offset of the first line, in bytes.
    label_type
        One of `LABEL_TYPES`, or `LISTED`.
    reshape
        How to turn each line into a flat object.
    document
        Whether the lines are the rows of one document, which itself has no such lines.
    seen
        For text that came through a pipe: first sample and line of each chunk, and lines of its rows if some lines are
        blank.
    """

    body: int
    label_type: str
    reshape: Reshape = NO_RESHAPE
    document: bool = False
    seen: list[tuple[int, int, list[int] | None]] = field(default_factory=list, compare=False)

    def places(self, line: int, last: int | None = None) -> str:
        """Name a line, or a range of lines; in a document they are called rows, counted from 0."""
        unit, line, last = ("row", line - 1, last and last - 1) if self.document else ("line", line, last)
        return f"{self.source.name} {unit} {line}" if last is None else f"{self.source.name} {unit}s {line} to {last}"


@dataclass(frozen=True, slots=True)
class JsonRows:
    """Recipe for the rows of one chunk, `size` samples from `start` on, whose first line is `line`: a `Part`."""

    source: JsonLines
    chunk: Chunk
    start: int
    size: int
    line: int

    def read(self) -> Rows:
        """Parse the chunk in this thread."""
        source = self.source
        plan = source.plan
        failure = ""
        tried = label_types_from(source.label_type if plan.label else LABEL_TYPES[-1])
        # A 1 among zeros may be written as true and false.
        item_types = (pa.float64(), pa.bool_()) if source.role == "labels" or plan.label else (pa.float64(),)
        for label_type, item_type in product(tried, item_types):
            if item_type != pa.float64() and plan.label and label_type != LISTED:
                continue
            try:
                table = self._parse(label_type, item_type)
            except (pa.ArrowInvalid, UnicodeDecodeError) as error:
                # If no type fits, the reason for the first one is reported.
                failure = failure or str(error)
                continue
            needed = () if self._may_lack or plan.lenient else plan.needed
            if table.num_rows != self.size or any(table[name].null_count for name in needed):
                break
            loose = plan.cells or plan.lenient or plan.top_k is not None
            if plan.is_list and not loose and not _is_full(table[plan.values[0]], source.width):
                break
            return rows_of(table, source.reading, self.start)
        raise self._explain(failure or "lines that are not complete")

    @property
    def _may_lack(self) -> bool:
        """Whether these are losses, some of which JSON may be unable to write."""
        return self.source.plan.values_only and not self.source.plan.is_list

    def _parse(self, label_type: str, item_type: pa.DataType) -> pa.Table:
        """Parse the lines; `item_type` is that of one-hot labels."""
        plan = self.source.plan
        number = item_type if self.source.role == "labels" else pa.float64()
        nested = plan.is_list if plan.top_k is None else plan.top_k.nested
        fields = [] if plan.cells else [(name, pa.list_(number) if nested else number) for name in plan.values]
        if plan.top_k is not None and plan.top_k.texts:
            words = pa.list_(pa.string()) if nested else pa.string()
            fields = [(name, words if name in plan.top_k.classes else each) for name, each in fields]
        labels = pa.list_(item_type) if label_type == LISTED else pa.type_for_alias(label_type)
        fields += [(plan.label, labels)] if plan.label else []
        fields += [(name, pa.float64()) for name in plan.amounts]
        fields += [(NONFINITE, pa.string())] if self._may_lack else []
        text = self._lines()
        if not (bytes(text[:64]).lstrip() or bytes(text).lstrip()).startswith(b"{"):  # Arrow crashes at a null there
            raise pa.ArrowInvalid("a line that is not an object")
        read = pa_json.ReadOptions(use_threads=False, block_size=len(text) + 1)
        texts = plan.texts
        # Ids and groups are text or integers; for anything else only Python tells the type.
        for text_type in (pa.string(), pa.int64(), None) if texts else (None,):
            schema = pa.schema([*fields, *((name, text_type) for name in texts if text_type is not None)])
            options = pa_json.ParseOptions(explicit_schema=schema, unexpected_field_behavior="ignore")
            try:
                table = pa_json.read_json(pa.BufferReader(pa.py_buffer(text)), read, options)
                break
            except pa.ArrowInvalid as error:
                failure = error
        else:
            raise failure
        if self._may_lack:
            table = with_nonfinite(table, plan.values[0])
        if plan.cells:
            table = _with_texts(table, list(plan.values), text)
        return table if text_type is not None else _with_texts(table, texts, text)

    def _lines(self) -> memoryview:
        """Return the lines as flat objects."""
        text = self.chunk.read()
        reshape = self.source.reshape
        if not reshape:
            return text
        found = []
        for line in bytes(text).split(b"\n"):
            if line.strip():
                record = strict_record_of(line, "", reshape)
                if isinstance(record, InputError):
                    raise pa.ArrowInvalid(record.found)
                found.append(f"{json.dumps(record)}\n")
        return memoryview("".join(found).encode())

    def _explain(self, arrow_message: str) -> InputError:
        """Find the first bad line, and count the other bad lines in this chunk."""
        source = self.source
        first = first_with_count(self._blamed())
        if first is not None:
            return first
        where = source.places(self.line, self.line + max(0, self.chunk.count(b"\n") - 1))
        return InputError("cannot read JSON", where, found=arrow_message.split("\n")[0])

    def _blamed(self) -> Iterator[UnreadableRowError | None]:
        """Yield what is wrong with each line that is not blank."""
        source = self.source
        sample = self.start
        kind: str | None = None
        for line, text in enumerate(io.BytesIO(self.chunk.read()), self.line):
            if not text.strip():
                continue
            where = f"{source.places(line)} (sample {sample})"
            record = strict_record_of(text, where, source.reshape)
            error = record if isinstance(record, InputError) else self._blame(record, where)
            if error is None and source.plan.label is not None and not isinstance(record, InputError):
                held = _kind_of_label(record.get(source.plan.label))
                kind = kind or held
                if held != kind:
                    place, label = f'{where}, key "{source.plan.label}"', shown(record[source.plan.label])
                    error = InputError("labels of two kinds", place, label, f"{kind}, as in the lines before")
            details = error and (error.what, sample, source.role, error.found, error.expected, error.hint, error.where)
            yield UnreadableRowError(*details) if details else None
            sample += 1

    def _blame(self, record: dict[str, Any], where: str) -> InputError | None:
        plan = self.source.plan
        if plan.mask is not None and is_masked(str(record.get(plan.mask))):
            return None
        for key in plan.needed:
            place = f'{where}, key "{key}"'
            value = record.get(key)
            if value is None and plan.lenient:
                continue
            if value is None and not self._may_lack:
                return InputError("missing value", place, "null" if key in record else "no such key", "a value")
            if plan.cells and key in plan.values:
                continue
            if plan.is_list and key in plan.values:
                if not isinstance(value, list):
                    return InputError("not a list", place, shown(value), "a list of numbers")
                texts = plan.top_k is not None and plan.top_k.texts and key in plan.top_k.classes
                bad = next((i for i, item in enumerate(value) if not (texts or is_number(item))), None)
                if bad is not None:
                    return InputError("not a number", f"{place}, item {bad}", shown(value[bad]), "a number")
                if plan.top_k is None and len(value) != self.source.width:
                    return InputError("list of the wrong length", place, f"{len(value)} values", f"{self.source.width}")
            elif value is not None and not is_number(value) and not self._may_be_label(key, value):
                return InputError("not a number", place, shown(value), "a number")
        return None

    def _may_be_label(self, key: str, value: object) -> bool:
        if key != self.source.plan.label:
            return isinstance(value, bool) and self.source.role == "labels"  # one-hot
        return isinstance(value, str | bool) or (isinstance(value, list) and all(map(is_number, value)))


def _kind_of_label(value: object) -> str:
    return "text" if isinstance(value, str) else "a list" if isinstance(value, list) else "a number"


def _with_texts(table: pa.Table, names: list[str], text: memoryview) -> pa.Table:
    """Add columns of any type, as text."""
    records = (
        [strict_record_of(line, "", NO_RESHAPE) for line in bytes(text).split(b"\n") if line.strip()] if names else []
    )
    if any(isinstance(record, InputError) for record in records):
        raise pa.ArrowInvalid("a line that is not an object")
    for name in names:
        values = (record.get(name) for record in records if not isinstance(record, InputError))
        spelt = [value if value is None or isinstance(value, str) else json.dumps(value) for value in values]
        table = table.append_column(name, pa.array(spelt, pa.string()))
    return table


def _is_full(column: pa.ChunkedArray, width: int) -> bool:
    return all(
        part.flatten().null_count == 0 and bool((np.diff(to_numpy(part.offsets)) == width).all())
        for part in column.chunks
    )
