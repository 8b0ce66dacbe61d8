"""Per-sample rows as Arrow record batches: an IPC stream, or a Parquet file."""

from __future__ import annotations

from typing import TYPE_CHECKING, BinaryIO

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from xent_cli.core.labels.check_labels import NO_LABEL
from xent_cli.core.labels.label_digest import LABELS_DIGEST, LOSS_HAS_CLASS_WEIGHT, SIGNATURE, add_digests, digest_text
from xent_cli.core.options import settings_of
from xent_cli.core.row_columns import missing_predictions

if TYPE_CHECKING:
    from xent_cli.core.array_types import AnyArray, BoolArray
    from xent_cli.core.evaluate import BlockLoss
    from xent_cli.core.options import PredictionColumn
    from xent_cli.core.row_columns import RowFormat

# Rows in a row group: fewer would cost readers seeks, and more would cost this process memory.
_GROUP_ROWS = 1 << 20


def row_schema(columns: RowFormat) -> pa.Schema:
    """Return the Arrow schema of the columns."""
    label = pa.int64() if columns.class_names is None else pa.string()
    types = {"sample": pa.int64(), columns.id_name: pa.string(), "label": label}
    types |= dict.fromkeys((name for name, _ in columns.by), pa.string())
    kinds = {"predicted": pa.int64() if columns.predicted_names is None else pa.string(), "rank": pa.int64()}
    types |= {name: kind for name, kind in kinds.items() if name in columns.predictions}
    types["cluster"] = pa.int64() if columns.clusters == "numbers" else pa.string()
    metadata = None
    if columns.signature:
        weighted = settings_of(columns.signature)["class_weight"] != "none"
        metadata = {SIGNATURE: columns.signature, LOSS_HAS_CLASS_WEIGHT: str(weighted).lower()}
    return pa.schema([(name, types.get(name, pa.float64())) for name in columns.names], metadata=metadata)


def record_batch(rows: BlockLoss, columns: RowFormat) -> pa.RecordBatch:
    """Return the rows of one block; the loss of an ignored sample is null."""
    values = {"sample": wrapped(np.arange(rows.start, rows.start + rows.size))}
    if columns.id_name is not None:
        assert rows.ids is not None
        values[columns.id_name] = pa.array(rows.ids.tolist(), pa.string())
    if columns.labelled:
        values["label"] = _classes(rows.labels, columns.class_names)
    values["loss"] = wrapped(rows.loss, rows.ignored)
    if columns.with_kl:
        values["kl_divergence"] = wrapped(rows.kl, rows.ignored)
    for name in columns.ends:
        assert rows.ends is not None
        values[name] = wrapped(rows.ends[name], np.isnan(rows.ends[name]))
    for name, place in columns.by:
        assert rows.groups is not None
        values[name] = pa.array(rows.groups[:, place].tolist(), pa.string())
    if columns.weighted:
        values["weight"] = wrapped(rows.weight)
    if columns.class_weighted:
        values["class_weight"] = wrapped(rows.class_weight)
    if columns.clusters is not None:
        assert rows.clusters is not None
        numbers = columns.clusters == "numbers"
        values["cluster"] = wrapped(rows.clusters) if numbers else pa.array(rows.clusters.tolist(), pa.string())
    if columns.units is not None:
        values[columns.units] = wrapped(rows.units)
    for name in columns.predictions:
        assert rows.predictions is not None
        values[name] = _predicted(name, rows.predictions[name], columns)
    return pa.record_batch([values[name] for name in columns.names], schema=row_schema(columns))


def _classes(labels: AnyArray | None, names: tuple[str, ...] | None) -> pa.Array:
    assert labels is not None
    if names is None:
        none = labels == NO_LABEL
        return wrapped(labels, none if none.any() else None)
    known = (labels >= 0) & (labels < len(names))
    index = wrapped(np.where(known, labels, 0), ~known)
    return pa.array(names, pa.string()).take(index)


def _predicted(name: PredictionColumn, values: AnyArray, columns: RowFormat) -> pa.Array:
    if name == "predicted":
        return _classes(values, columns.predicted_names)
    lost = missing_predictions(name, values)
    return wrapped(values, lost if lost.any() else None)


def wrapped(values: AnyArray | None, missing: BoolArray | None = None) -> pa.Array:
    """Wrap numbers as an Arrow array without a copy; null where `missing`.

    Not `pa.array`, which imports pandas to check whether a NumPy array belongs to it, and takes 0.3 s.
    """
    assert values is not None
    values = np.ascontiguousarray(values)
    valid = None if missing is None else pa.py_buffer(np.packbits(~missing, bitorder="little"))
    return pa.Array.from_buffers(pa.from_numpy_dtype(values.dtype), len(values), [valid, pa.py_buffer(values)])


def constant(text: str) -> pa.StringScalar:
    """Wrap a text as an Arrow scalar; not `pa.scalar`, nor a plain string, which import pandas too."""
    encoded = text.encode()
    ends = pa.py_buffer(np.array([0, len(encoded)], np.int32))
    return pa.StringArray.from_buffers(1, ends, pa.py_buffer(encoded))[0]


def joined(*texts: pa.Array | str, missing: str) -> memoryview:
    """Join columns of strings and constant text into the bytes of one line per row."""
    columns = (constant(text) if isinstance(text, str) else text for text in (*texts, ""))
    lines = pc.binary_join_element_wise(*columns, null_handling="replace", null_replacement=missing)
    _, offsets, data = lines.buffers()
    ends = np.frombuffer(offsets, np.int32)
    return memoryview(data)[ends[lines.offset] : ends[lines.offset + len(lines)]]


class ArrowWriter:
    """An Arrow IPC stream."""

    def __init__(self, stream: BinaryIO, columns: RowFormat) -> None:
        self._columns = columns
        self._writer = pa.ipc.new_stream(stream, row_schema(columns))

    def write(self, rows: BlockLoss) -> None:
        """See `RowWriter`."""
        # The schema was written before the first row, but the digest of the labels is known only after the last.
        digest = rows.totals.losses.digest
        metadata = None if digest is None else pa.KeyValueMetadata({LABELS_DIGEST: digest_text(digest)})
        self._writer.write_batch(record_batch(rows, self._columns), custom_metadata=metadata)

    def finish(self) -> None:
        """See `RowWriter`."""
        self._writer.close()


class ParquetWriter:
    """A Parquet file; keeps rows until they fill a row group."""

    def __init__(self, stream: BinaryIO, columns: RowFormat) -> None:
        import pyarrow.parquet as pq

        self._columns = columns
        # A dictionary of losses, nearly all distinct, would cost as much as everything else; consecutive sample numbers
        # compress to almost nothing.
        texts = {"label", "predicted", columns.id_name, *(name for name, _ in columns.by)}
        texts |= {"cluster"} if columns.clusters is not None else set()
        named = [name for name in columns.names if name in texts]
        self._writer = pq.ParquetWriter(
            stream,
            row_schema(columns),
            use_dictionary=named or False,
            column_encoding={"sample": "DELTA_BINARY_PACKED"},
        )
        self._kept: list[pa.RecordBatch] = []
        self._rows = 0
        self._digest: int | None = None

    def write(self, rows: BlockLoss) -> None:
        """See `RowWriter`."""
        self._kept.append(record_batch(rows, self._columns))
        if rows.totals.losses.digest is not None:
            self._digest = add_digests(self._digest or 0, rows.totals.losses.digest)
        self._rows += rows.size
        while self._rows >= _GROUP_ROWS:
            self._flush(_GROUP_ROWS)

    def finish(self) -> None:
        """See `RowWriter`."""
        if self._rows:
            self._flush(self._rows)
        if self._digest is not None:
            self._writer.add_key_value_metadata({LABELS_DIGEST: digest_text(self._digest)})
        self._writer.close()

    def __del__(self) -> None:
        # An abandoned writer would try to write its footer to a closed stream, and complain.
        if hasattr(self, "_writer"):
            self._writer.is_open = False

    def _flush(self, rows: int) -> None:
        # Whole groups, so that the file does not depend on how the input was cut into tasks.
        table = pa.Table.from_batches(self._kept)
        self._writer.write_table(table.slice(0, rows), row_group_size=rows)
        self._kept, self._rows = table.slice(rows).to_batches(), self._rows - rows
