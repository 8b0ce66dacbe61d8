"""JSON Lines: cut into chunks at line ends, each parsed by Arrow in a worker thread."""

from __future__ import annotations

from bisect import bisect_right
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from xent_cli.errors import InputError
from xent_cli.readers.columns.cells.cell_text import layout_of_cells
from xent_cli.readers.columns.column_plan import ColumnPlan
from xent_cli.readers.columns.sample import TableSample
from xent_cli.readers.columns.table_plan import plan_table
from xent_cli.readers.tables.table_source import texts_ahead
from xent_cli.readers.text.csv_dialect import DTYPES, LISTED
from xent_cli.readers.text.json_records import first_rows
from xent_cli.readers.text.json_reshape import reshape_of
from xent_cli.readers.text.json_sample import FirstRecords, kind_of_values, type_of_value
from xent_cli.readers.text.jsonl_rows import JsonLines, JsonRows
from xent_cli.readers.text.text_chunks import chunks_of

if TYPE_CHECKING:
    from collections.abc import Iterator

    from xent_cli.core.block import Part
    from xent_cli.readers.interface import Classes
    from xent_cli.readers.options import ReadOptions
    from xent_cli.readers.storage.interface import Bytes


_LABEL_TYPES = ((str, "string"), (bool, "bool"), (float, "float64"), (list, LISTED))


def open_jsonl(source: Bytes, head: bytes, role: str, options: ReadOptions, classes: Classes) -> JsonlSource:
    """Open a file in a role; see `Opener`.

    Raises
    ------
    InputError
        If the first lines are not objects, or no key fits.
    """
    rows, body = first_rows(source)
    reshape = reshape_of(rows, asked=options.asked_columns)
    records = [record for record in map(reshape.record, rows) if record is not None]
    keys = dict.fromkeys(key for record in records for key in record)
    samples: dict[str, Any] = {key: next((r[key] for r in records if r.get(key) is not None), None) for key in keys}
    kinds = {key: kind_of_values([record.get(key) for record in records]) for key in keys}
    for key in ("logits", *options.logits_column, *(keys if len(keys) == 1 else ())):
        if key in kinds and isinstance(samples[key], list) and samples[key] and isinstance(samples[key][0], list):
            hint = f"write one line for each row: jq -c '.{key}[]' {source.name} > rows.jsonl"
            where = f'{source.name} line 1, key "{key}"'
            raise InputError("lists in a list", where, "a list of lists", "a list of numbers", hint)
    empty = ColumnPlan(columns=tuple(keys))
    nothing = np.dtype(object), None, False
    bare = JsonlSource(source, "jsonl", role, empty, 0, *nothing, options.run, body, "string", reshape)
    held = FirstRecords(source, body, records, reshape)
    types = {key: type_of_value(value) for key, value in samples.items()}
    sample = TableSample(source.name, kinds, held.columns, lambda name: texts_ahead(bare, name), types=types)
    plan, class_names = plan_table(sample, role, options, classes)
    if plan.is_list and not plan.cells and plan.top_k is None and not isinstance(samples[plan.values[0]], list):
        plan = plan._replace(cells=layout_of_cells(sample, plan.values[0]).width)
    if plan.top_k is not None and not plan.top_k.classes:
        plan = plan._replace(cells=1)
    width = (
        plan.top_k.width
        if plan.top_k
        else plan.cells or (len(samples[plan.values[0]]) if plan.is_list else len(plan.values))
    )
    label = (samples | dict(plan.constants)).get(plan.label or "")
    label_type = next((name for kind, name in _LABEL_TYPES if isinstance(label, kind)), "int64")
    dtype = np.dtype(np.float64 if plan.values else DTYPES[label_type])
    table = source, "jsonl", role, plan, width, dtype, class_names, plan.label is not None and label_type == "string"
    return JsonlSource(*table, options.run, body, label_type, reshape)


@dataclass(frozen=True, slots=True)
class JsonlSource(JsonLines):
    """A JSON Lines file; see `Source`."""

    def parts(self, first: int = 0) -> Iterator[tuple[int, int, Part]]:
        """See `Source`."""
        start, line = first, 1
        for chunk in chunks_of(self.source, self.body, self.needs.chunk_bytes, quoted=False, columns=self.width):
            text = chunk.read()
            lines = chunk.count(b"\n") + (text[-1] != ord("\n"))
            # Usually there is one object per line, and counting braces is cheaper than looking at every line.
            full = None if chunk.count(b"\n{") + (text[0] == ord("{")) == lines else _full_lines(text)
            size = lines if full is None else len(full)
            if not self.source.rereadable:
                self.seen.append((start, line, full))
            if size:
                yield start, size, JsonRows(self, chunk, start, size, line)
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
        return f"{self.places(line)} (sample {row}){self.plan.column_of(role).replace('column', 'key')}"


@dataclass(frozen=True, slots=True)
class _Once:
    """Bytes that are read like those of a pipe, so that line numbers are recorded."""

    inner: Bytes
    rereadable: bool = False

    @property
    def name(self) -> str:
        return self.inner.name

    def peek(self, size: int) -> bytes:
        return self.inner.peek(size)

    def stream(self) -> Any:
        return self.inner.stream()


def _full_lines(text: memoryview) -> list[int]:
    return [number for number, line in enumerate(bytes(text).split(b"\n")) if line.strip()]
