"""JSON Lines: cut into pieces at line ends, each parsed by Arrow in the thread that works on it."""

from __future__ import annotations

import io
import json
from bisect import bisect_right
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa
import pyarrow.json as pa_json

from xent_cli.errors import InputError, UnreadableRowError
from xent_cli.readers.columns.column_plan import ColumnPlan
from xent_cli.readers.columns.sample import TableSample
from xent_cli.readers.columns.table_plan import plan_table
from xent_cli.readers.tables.arrow_columns import rows_of
from xent_cli.readers.tables.column_types import to_numpy
from xent_cli.readers.tables.first_bad_row import first_with_count
from xent_cli.readers.tables.marks import is_masked
from xent_cli.readers.tables.table_source import Table, texts_ahead
from xent_cli.readers.text.csv_dialect import DTYPES, LABEL_TYPES
from xent_cli.readers.text.json_records import first_records, is_number, shown, strict_record_of
from xent_cli.readers.text.json_sample import FirstRecords, kind_of_values, type_of_value
from xent_cli.readers.text.nonfinite import NONFINITE, with_nonfinite
from xent_cli.readers.text.text_chunks import pieces

if TYPE_CHECKING:
    from collections.abc import Iterator

    from xent_cli.core.block import Part, Rows
    from xent_cli.readers.options import Classes, ReadOptions
    from xent_cli.readers.storage.stored import Bytes
    from xent_cli.readers.text.text_chunks import Piece


def open_jsonl(source: Bytes, head: bytes, role: str, options: ReadOptions, classes: Classes) -> JsonlSource:
    """Open a file in a role; see `Opener`.

    Raises
    ------
    InputError
        Where the first lines are not objects, or no key fits.
    """
    records, body = first_records(source)
    keys = dict.fromkeys(key for record in records for key in record)
    samples: dict[str, Any] = {key: next((r[key] for r in records if r.get(key) is not None), None) for key in keys}
    kinds = {key: kind_of_values([record.get(key) for record in records]) for key in keys}
    for key in ("logits", *options.logits_column):
        if key in kinds and isinstance(samples[key], list) and samples[key] and isinstance(samples[key][0], list):
            hint = "write one line for each position"
            where = f'{source.name} line 1, key "{key}"'
            raise InputError("lists in a list", where, "a list of lists", "a list of numbers", hint)
    empty = ColumnPlan(columns=tuple(keys))
    bare = JsonlSource(source, "jsonl", role, empty, 0, np.dtype(object), None, False, options.run, body, "string")
    held = FirstRecords(source, body, records)
    types = {key: type_of_value(value) for key, value in samples.items()}
    sample = TableSample(source.name, kinds, held.columns, lambda name: texts_ahead(bare, name), types=types)
    plan, class_names = plan_table(sample, role, options, classes)
    width = plan.cells or (len(samples[plan.values[0]]) if plan.is_list else len(plan.values))
    label = samples.get(plan.label or "")
    label_type = next(
        (name for kind, name in ((str, "string"), (bool, "bool"), (float, "float64")) if isinstance(label, kind)),
        "int64",
    )
    dtype = np.dtype(np.float64 if plan.values else DTYPES[label_type])
    named = plan.label is not None and label_type == "string"
    return JsonlSource(source, "jsonl", role, plan, width, dtype, class_names, named, options.run, body, label_type)


@dataclass(frozen=True, slots=True)
class JsonlSource(Table):
    """A JSON Lines file; see `Source`.

    Fields
    ------
    body
        Where the lines begin, in bytes.
    seen
        Of what came through a pipe: first sample and line of each piece, and lines of its rows where some are blank.
    """

    body: int
    label_type: str
    seen: list[tuple[int, int, list[int] | None]] = field(default_factory=list, compare=False)

    def parts(self, first: int = 0) -> Iterator[tuple[int, int, Part]]:
        """See `Source`."""
        start, line = first, 1
        for piece in pieces(self.source, self.body, self.needs.chunk_bytes, quoted=False, columns=self.width):
            text = piece.read()
            lines = piece.count(b"\n") + (text[-1] != ord("\n"))
            # An object a line is the rule, and counting braces is cheaper than looking at every line.
            full = None if piece.count(b"\n{") + (text[0] == ord("{")) == lines else _full_lines(text)
            size = lines if full is None else len(full)
            if not self.source.rereadable:
                self.seen.append((start, line, full))
            if size:
                yield start, size, JsonRows(self, piece, start, size, line)
            start += size
            line += lines

    def where(self, row: int, role: str, first: int = 0) -> str:
        """See `Source`; reads the file from its beginning."""
        seen = self.seen
        if self.source.rereadable:
            found = replace(self, source=_Once(self.source), seen=[])
            for start, size, _ in found.parts(first):
                if row < start + size:
                    break
            seen = found.seen
        start, line, full = seen[bisect_right([start for start, _, _ in seen], row) - 1]
        line += row - start if full is None else full[row - start]
        return f"{self.source.name} line {line} (sample {row}){self.plan.column_of(role).replace('column', 'key')}"


@dataclass(frozen=True, slots=True)
class _Once:
    """Bytes read as if they came through a pipe, for the lines that are noted on the way."""

    inner: Bytes
    rereadable: bool = False

    @property
    def name(self) -> str:
        return self.inner.name

    def peek(self, size: int) -> bytes:
        return self.inner.peek(size)

    def stream(self) -> Any:
        return self.inner.stream()


@dataclass(frozen=True, slots=True)
class JsonRows:
    """Recipe for the rows of one piece, `size` samples from `start` on, whose first line is `line`: a `Part`."""

    source: JsonlSource
    piece: Piece
    start: int
    size: int
    line: int

    def read(self) -> Rows:
        """Parse the piece, in this thread alone."""
        source = self.source
        plan = source.plan
        failure = ""
        tried = LABEL_TYPES[LABEL_TYPES.index(source.label_type) :] if plan.label else LABEL_TYPES[-1:]
        for label_type in tried:
            try:
                table = self._parse(label_type)
            except (pa.ArrowInvalid, UnicodeDecodeError) as error:
                # Of a column that is no number either way, the first reason is the true one.
                failure = failure or str(error)
                continue
            needed = () if self._may_lack or plan.lenient else plan.needed
            if table.num_rows != self.size or any(table[name].null_count for name in needed):
                break
            loose = plan.cells or plan.lenient
            if plan.is_list and not loose and not _is_full(table[plan.values[0]], source.width):
                break
            return rows_of(table, source.reading, self.start)
        raise self._explain(failure or "lines that are not complete")

    @property
    def _may_lack(self) -> bool:
        """Whether these are losses, of which some may be no number of JSON."""
        return self.source.plan.values_only and not self.source.plan.is_list

    def _parse(self, label_type: str) -> pa.Table:
        plan = self.source.plan
        numbers = pa.list_(pa.float64()) if plan.is_list else pa.float64()
        fields = [] if plan.cells else [(name, numbers) for name in plan.values]
        fields += [(plan.label, pa.type_for_alias(label_type))] if plan.label else []
        fields += [(plan.weight, pa.float64())] if plan.weight else []
        fields += [(NONFINITE, pa.string())] if self._may_lack else []
        text = self.piece.read()
        read = pa_json.ReadOptions(use_threads=False, block_size=len(text) + 1)
        texts = plan.texts
        # Ids and groups are text, or whole numbers; what else they may be only Python tells.
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

    def _explain(self, arrow_message: str) -> InputError:
        """Find the first line that is to blame, and count the others like it in this piece."""
        source = self.source
        first = first_with_count(self._blamed())
        if first is not None:
            return first
        last = self.line + max(0, self.piece.count(b"\n") - 1)
        where = f"{source.source.name} lines {self.line} to {last}"
        return InputError("cannot read JSON Lines", where, found=arrow_message.split("\n")[0])

    def _blamed(self) -> Iterator[UnreadableRowError | None]:
        """What is wrong with each line that is not blank."""
        source = self.source
        sample = self.start
        kind: str | None = None
        for line, text in enumerate(io.BytesIO(self.piece.read()), self.line):
            if not text.strip():
                continue
            where = f"{source.source.name} line {line} (sample {sample})"
            record = strict_record_of(text, where)
            error = record if isinstance(record, InputError) else self._blame(record, where)
            if error is None and source.plan.label is not None and not isinstance(record, InputError):
                held = "text" if isinstance(record.get(source.plan.label), str) else "a number"
                kind = kind or held
                if held != kind:
                    place, label = f'{where}, key "{source.plan.label}"', shown(record[source.plan.label])
                    error = InputError("labels of two kinds", place, label, f"{kind}, as in the lines before")
            told = error and (error.what, sample, source.role, error.found, error.expected, error.hint, error.where)
            yield UnreadableRowError(*told) if told else None
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
            if plan.cells and key == plan.values[0]:
                continue
            if plan.is_list and key == plan.values[0]:
                if not isinstance(value, list):
                    return InputError("not a list", place, shown(value), "a list of numbers")
                bad = next((i for i, number in enumerate(value) if not is_number(number)), None)
                if bad is not None:
                    return InputError("not a number", f"{place}, item {bad}", shown(value[bad]), "a number")
                if len(value) != self.source.width:
                    return InputError("list of another length", place, f"{len(value)} values", f"{self.source.width}")
            elif (
                value is not None and not is_number(value) and (key != plan.label or not isinstance(value, str | bool))
            ):
                return InputError("not a number", place, shown(value), "a number")
        return None


def _with_texts(table: pa.Table, names: list[str], text: memoryview) -> pa.Table:
    """Add columns of anything, as text."""
    records = [strict_record_of(line, "") for line in bytes(text).split(b"\n") if line.strip()] if names else []
    if any(isinstance(record, InputError) for record in records):
        raise pa.ArrowInvalid("a line that is not an object")
    for name in names:
        values = (record.get(name) for record in records if not isinstance(record, InputError))
        spelt = [value if value is None or isinstance(value, str) else json.dumps(value) for value in values]
        table = table.append_column(name, pa.array(spelt, pa.string()))
    return table


def _is_full(column: pa.ChunkedArray, width: int) -> bool:
    return all(
        chunk.flatten().null_count == 0 and bool((np.diff(to_numpy(chunk.offsets)) == width).all())
        for chunk in column.chunks
    )


def _full_lines(text: memoryview) -> list[int]:
    return [number for number, line in enumerate(bytes(text).split(b"\n")) if line.strip()]
