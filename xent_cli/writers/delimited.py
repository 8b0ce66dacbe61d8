"""Per-sample rows as delimited text: TSV and CSV."""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import partial
from typing import TYPE_CHECKING, Any, BinaryIO

from xent_cli.core.number_text import csv_cell, spell
from xent_cli.writers.row_text import batches, encoded, row_texts, worth_arrow

if TYPE_CHECKING:
    from xent_cli.core.evaluate import BlockLoss
    from xent_cli.core.row_columns import RowFormat


@dataclass(slots=True)
class DelimitedWriter:
    """A header line, then one line per sample; text is quoted where RFC 4180 requires it.

    The header is written with the first rows, so that a run that fails on them has written nothing.
    """

    stream: BinaryIO
    columns: RowFormat
    delimiter: str
    _header: bytes = field(init=False)

    def __post_init__(self) -> None:
        names = (csv_cell(name, self.delimiter) for name in self.columns.names)
        self._header = (self.delimiter.join(names) + "\n").encode()

    def write(self, rows: BlockLoss) -> None:
        """See `RowWriter`."""
        self._begin()
        if worth_arrow(rows.size, rows.start):
            self._write_many(rows)
            return
        for batch in batches(rows):
            texts = row_texts(batch, self.columns, spell, missing="", quote=partial(csv_cell, delimiter=self.delimiter))
            lines = (self.delimiter.join(cells) for cells in zip(*texts, strict=True))
            self.stream.write("".join(f"{line}\n" for line in lines).encode())

    def finish(self) -> None:
        """See `RowWriter`."""
        self._begin()

    def _begin(self) -> None:
        if self._header:
            self.stream.write(self._header)
            self._header = b""

    def _write_many(self, rows: BlockLoss) -> None:
        for text in encoded(rows, self._encode):
            self.stream.write(text)

    def _encode(self, rows: BlockLoss) -> memoryview:
        from xent_cli.writers.arrow import joined, record_batch

        texts = [self._column(column) for column in record_batch(rows, self.columns).columns]
        separated = [text for column in texts for text in (self.delimiter, column)][1:]
        return joined(*separated, "\n", missing="")

    def _column(self, column: Any) -> Any:
        import pyarrow as pa
        import pyarrow.compute as pc

        from xent_cli.writers.arrow import constant

        if not pa.types.is_string(column.type):
            return column.cast(pa.string())
        special = pc.match_substring_regex(column, f'["\r\n{self.delimiter}]')
        if not pc.any(special).as_py():
            return column
        quoted = pc.binary_join_element_wise(
            constant('"'), pc.replace_substring(column, '"', '""'), constant('"'), constant("")
        )
        return pc.if_else(special, quoted, column)
