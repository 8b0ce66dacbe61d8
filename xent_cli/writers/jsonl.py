"""Per-sample rows as JSON Lines: one strict JSON object per sample."""

from __future__ import annotations

import json
import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, BinaryIO

import numpy as np

from xent_cli.core.number_text import spell
from xent_cli.writers.row_text import batches, encoded, row_texts, worth_arrow

if TYPE_CHECKING:
    from xent_cli.core.evaluate import BlockLoss
    from xent_cli.core.row_columns import RowFormat

# Characters that json.dumps escapes.
_ESCAPED = '["\\\\\x00-\x1f]'


@dataclass(frozen=True, slots=True)
class JsonLinesWriter:
    """One object per sample; a NaN or infinite loss is null, and ``"nonfinite"`` next to it says which it was.

    The divergence of such a sample is NaN or infinite like its loss.
    """

    stream: BinaryIO
    columns: RowFormat

    def write(self, rows: BlockLoss) -> None:
        """See `RowWriter`."""
        heads = [f"{json.dumps(name, ensure_ascii=False)}: " for name in self.columns.names]
        if worth_arrow(rows.size, rows.start):
            self._write_many(rows, heads)
            return
        for batch in batches(rows):
            texts = row_texts(batch, self.columns, _number, missing="null", quote=_text, unnamed="null")
            pairs = [[head + text for text in column] for head, column in zip(heads, texts, strict=True)]
            pairs[-1] = [cell + rest for cell, rest in zip(pairs[-1], _nonfinite(batch), strict=True)]
            self.stream.write("".join(f"{{{', '.join(cells)}}}\n" for cells in zip(*pairs, strict=True)).encode())

    def finish(self) -> None:
        """See `RowWriter`."""

    def _write_many(self, rows: BlockLoss, heads: list[str]) -> None:
        keys = ["{" + heads[0], *(f", {head}" for head in heads[1:])]
        for text in encoded(rows, lambda run: _encode(run, self.columns, keys)):
            self.stream.write(text)


def _encode(rows: BlockLoss, columns: RowFormat, keys: list[str]) -> memoryview:
    import pyarrow as pa

    from xent_cli.writers.arrow import joined, record_batch

    texts = map(_column, record_batch(rows, columns).columns)
    pairs = [part for pair in zip(keys, texts, strict=True) for part in pair]
    rest = _nonfinite(rows)
    ends = pa.array([f"{text}}}\n" for text in rest], pa.string()) if any(rest) else "}\n"
    return joined(*pairs, ends, missing="null")


def _nonfinite(rows: BlockLoss) -> list[str]:
    """Return the end of each row, which names a loss that JSON cannot express."""
    assert rows.loss is not None
    texts = [""] * rows.size
    odd = ~np.isfinite(rows.loss)
    if rows.ignored is not None:
        odd &= ~rows.ignored
    for row in np.flatnonzero(odd).tolist():
        texts[row] = f', "nonfinite": "{float(rows.loss[row])}"'
    return texts


def _column(column: Any) -> Any:
    import pyarrow as pa
    import pyarrow.compute as pc

    from xent_cli.writers.arrow import constant

    if pa.types.is_floating(column.type):
        null = pa.nulls(1, column.type)[0]  # None would import pandas
        return pc.if_else(pc.is_finite(column), column, null).cast(pa.string())
    if not pa.types.is_string(column.type):
        return column.cast(pa.string())
    if pc.any(pc.match_substring_regex(column, _ESCAPED)).as_py():
        return pa.array([None if text is None else _text(text) for text in column.to_pylist()], pa.string())
    return pc.binary_join_element_wise(constant('"'), column, constant('"'), constant(""))


def _number(value: float) -> str:
    return spell(value) if math.isfinite(value) else "null"


def _text(text: str) -> str:
    return json.dumps(text, ensure_ascii=False)
