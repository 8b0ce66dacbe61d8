"""Checks what is decoded from a Parquet row group against the metadata of the file."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pyarrow as pa

if TYPE_CHECKING:
    import pyarrow.parquet as pq


class RowGroup:
    """A row group being read: its decoded columns are checked against the metadata."""

    def __init__(self, file: pq.ParquetFile, group: int, size: int, columns: tuple[str, ...]) -> None:
        self._file = file
        self._held = file.metadata.row_group(group)
        self.group = group
        self.size = size
        self._leaves = self._positions(columns)
        self._rows = 0
        self._checked: set[int] = set()

    def _positions(self, columns: tuple[str, ...]) -> dict[str, int]:
        """Return which leaf of the schema each column is, without describing every leaf, which may take long."""
        if self._held.num_columns == len(columns):
            return {name: index for index, name in enumerate(columns)}
        schema = self._file.schema
        return {schema.column(index).path: index for index in range(self._held.num_columns)}

    def read(self, columns: list[str], *, use_threads: bool = True) -> pa.Table:
        """Decode some columns."""
        return self._file.read_row_group(self.group, columns=columns, use_threads=use_threads)

    def part(self, table: pa.Table) -> pa.Table:
        """Return some of the rows, after a check that their columns have the same length."""
        table.validate()
        self._rows += table.num_rows
        # To look at the metadata of a column that could not be read may crash the process.
        for name, kind in zip(table.column_names, table.schema.types, strict=True) if self._rows else ():
            stored = kind.storage_type if isinstance(kind, pa.BaseExtensionType) else kind
            index = None if pa.types.is_nested(stored) else self._leaves.get(name)  # a list has any number of values
            if index is None or index in self._checked:
                continue
            self._checked.add(index)
            if (values := self._held.column(index).num_values) != self.size:
                raise pa.ArrowInvalid(f"{values} values of {name} in {self.size} rows")
        return table

    def end(self) -> None:
        """Check that all rows have been read."""
        if not self._rows == self.size == self._held.num_rows:
            raise pa.ArrowInvalid(f"{self._rows} rows, not {self.size}")

    def whole(self, table: pa.Table) -> pa.Table:
        """Return all rows of some columns."""
        self._rows = 0
        self.part(table)
        self.end()
        return table
