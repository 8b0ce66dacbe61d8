"""Per-sample rows as JSON Lines: one strict JSON object a sample."""

from __future__ import annotations

import json
import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, BinaryIO

from xent_cli.writers.batches import batches, row_texts
from xent_cli.writers.numbers import spell

if TYPE_CHECKING:
    from xent_cli.core.evaluate import BlockLoss
    from xent_cli.writers.interface import RowFormat


@dataclass(frozen=True, slots=True)
class JsonLinesWriter:
    """JSON has no NaN and no infinity: such a loss is null, as a missing one is."""

    stream: BinaryIO
    columns: RowFormat

    def write(self, rows: BlockLoss) -> None:
        """See `RowWriter`."""
        heads = [f"{json.dumps(name, ensure_ascii=False)}: " for name in self.columns.names]
        for batch in batches(rows):
            texts = row_texts(batch, self.columns, _number, missing="null", quote=_text)
            pairs = [[head + text for text in column] for head, column in zip(heads, texts, strict=True)]
            self.stream.write("".join(f"{{{', '.join(cells)}}}\n" for cells in zip(*pairs, strict=True)).encode())

    def finish(self) -> None:
        """See `RowWriter`."""


def _number(value: float) -> str:
    return spell(value) if math.isfinite(value) else "null"


def _text(text: str) -> str:
    return json.dumps(text, ensure_ascii=False)
