"""Open Parquet files without reading their footers again."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pyarrow as pa
import pyarrow.parquet as pq

from xent_cli.readers.columns.sample import SAMPLED_ROWS
from xent_cli.readers.storage.opened_object import OpenedObject
from xent_cli.readers.storage.reading import is_url
from xent_cli.readers.tables.column_types import kind_of, naming_damage

if TYPE_CHECKING:
    from collections.abc import Sequence
    from contextlib import AbstractContextManager

    from xent_cli.readers.storage.stored import Stored

# Pages are read as they are needed, through buffers of this size in total; otherwise a whole row group, which may be
# all of the file, would be in memory, compressed.
_BUFFER_BYTES = 4 << 20
# A longer footer is kept only with a file that stays open: neither a thousand shards nor recipes may hold that much
# each.
_KEPT_BYTES = 1 << 16
_MARK = b"PAR1"


def open_file(
    source: Stored, num_columns: int, footer: pq.FileMetaData | None = None, *, to_describe: bool = False
) -> pq.ParquetFile:
    """Open a file to read `num_columns` of its columns at once.

    Parameters
    ----------
    footer
        What `footer_of` returned for it, or None.
    to_describe
        Whether only a few rows are read.
    """
    remote = is_url(source.path)
    opened = None if source.opened is None or source.opened.closed else source.opened
    shared = opened if isinstance(opened, OpenedObject) and opened.shared else None
    file = shared.file if shared is not None else source.arrow_here() if to_describe else source.arrow()
    if footer is None and opened is not None:
        footer = opened.footer
    if footer is None and shared is not None:
        footer = _in_tail(shared.tail)
    # From a bucket, many small reads take far longer than a single read of the whole row group.
    buffer = 0 if remote else max(1 << 13, _BUFFER_BYTES // num_columns)
    found = pq.ParquetFile(
        file, metadata=footer, buffer_size=buffer, pre_buffer=remote, page_checksum_verification=True
    )
    if opened is not None:
        opened.footer = found.metadata
    return found


def footer_of(file: pq.ParquetFile) -> pq.FileMetaData | None:
    """Return the footer, to be sent along with recipes; None if it is too long for that."""
    return file.metadata if file.metadata.serialized_size <= _KEPT_BYTES else None


def _in_tail(tail: bytes) -> pq.FileMetaData | None:
    """Return the footer if the last bytes of the file contain all of it."""
    length = int.from_bytes(tail[-8:-4], "little") + 8
    if not tail.endswith(_MARK) or length > len(tail):
        return None
    # Arrow looks only at the end of a file, so the magic bytes and the footer are enough.
    return pq.read_metadata(pa.BufferReader(_MARK + tail[-length:]))


class FirstRows:
    """The first rows of a file; from a bucket, all numeric columns at once in one request."""

    def __init__(self, source: Stored, file: pq.ParquetFile, schema: pa.Schema) -> None:
        self._source = source
        self._file = file
        self._schema = schema
        self._held: pa.Table | None = None

    def read(self, names: Sequence[str]) -> pa.Table:
        """The first rows of some columns."""
        if self._held is not None and set(names) <= set(self._held.column_names):
            return self._held.select(list(names))
        wanted = set(names)
        if is_url(self._source.path):
            wanted |= {field.name for field in self._schema if kind_of(field.type) == "number"}
        columns = [field.name for field in self._schema if field.name in wanted]
        groups = self._file.metadata
        # From a bucket, all named row groups are fetched ahead.
        held = next((i for i in range(groups.num_row_groups) if groups.row_group(i).num_rows), None)
        with damage_in(self._source):
            some = [] if held is None else [held]
            batches = self._file.iter_batches(SAMPLED_ROWS, some, columns, use_threads=False)
            first = next(batches, None)
        fields = pa.schema([self._schema.field(name) for name in columns])
        self._held = fields.empty_table() if first is None else pa.Table.from_batches([first])
        return self._held.select(list(names))


def damage_in(source: Stored, group: int | None = None) -> AbstractContextManager[None]:
    """Turn whatever Arrow raises into an error that names the file and the row group."""
    where = source.name if group is None else f"{source.name} row group {group}"
    return naming_damage("damaged Parquet file", where, source)
