"""Read tables of per-sample results into memory."""

from __future__ import annotations

import io
import json
from typing import TYPE_CHECKING, Any

from xent_cli.core.labels.label_digest import LABELS_DIGEST, SIGNATURE
from xent_cli.errors import InputError, XentError
from xent_cli.readers.saved.saved_losses import sum_digests
from xent_cli.readers.storage.pipe import seekable
from xent_cli.readers.storage.reading import BOM, first_line
from xent_cli.readers.text.nonfinite import with_nonfinite
from xent_cli.readers.text.text_chunks import csv_reader

if TYPE_CHECKING:
    from collections.abc import Mapping

    import pyarrow as pa

    from xent_cli.readers.storage.interface import Bytes
    from xent_cli.readers.storage.locate import Located

_NUMBERS = ("loss", "kl_divergence", "weight", "class_weight", "units", "cluster_units")


def format_of(path: str, head: bytes) -> str:
    """Return the format of rows in a file that begins with these bytes, of which the first is not a brace."""
    if head.startswith(b"PAR1"):
        return "parquet"
    if head.startswith((b"ARROW1", b"\xff\xff\xff\xff")):
        return "arrow"
    if b"\0" in head:
        raise InputError(
            "unknown format",
            path,
            found=f"bytes {head[:6]!r}",
            expected="rows as .parquet, .arrow, .npy, .jsonl, .csv or .tsv, or a summary as .json",
        )
    text = head.removeprefix(BOM).lstrip()
    return "tsv" if b"\t" in text.split(b"\n", 1)[0] else "csv"


def table(source: Bytes, format_name: str, head: bytes) -> pa.Table:
    """Read rows from a file whose first bytes are already known.

    Raises
    ------
    InputError
        If they are damaged.
    """
    import pyarrow as pa

    from xent_cli.readers.columnar.arrow_blocks import Followed, refuse_open_end, refuse_unlisted

    try:
        if format_name == "parquet":
            import pyarrow.parquet as pq

            file = pq.ParquetFile(seekable(source).arrow())
            found = file.read()
            if found.num_rows != file.metadata.num_rows:
                raise pa.ArrowInvalid(f"{found.num_rows} rows of {file.metadata.num_rows}")
            return _with_metadata(found, file.metadata.metadata or {})
        if format_name == "arrow":
            # Nothing is memory-mapped: a file that shrinks would end the process.
            if head.startswith(b"ARROW1"):
                opened = seekable(source).arrow()
                refuse_unlisted(opened)
                file = pa.ipc.open_file(opened)
                batches = [file.get_batch_with_custom_metadata(i) for i in range(file.num_record_batches)]
                return _of_batches(file.schema, batches)
            with Followed(source.stream()) as stream:  # type: ignore[arg-type]
                reader = pa.ipc.open_stream(stream)
                batches = list(reader.iter_batches_with_custom_metadata())
                refuse_open_end(stream.last, stream.read(1))
                return _of_batches(reader.schema, batches)
        return _delimited(source, head, format_name)
    except XentError:
        raise
    except (pa.ArrowException, OSError, ValueError) as error:
        raise _damaged(source.name, format_name, error) from None


def parts_table(located: Located) -> pa.Table:
    """Read the parts that workers wrote, one after another."""
    import pyarrow as pa

    parts = [table(part, "parquet", b"") for part in located.files]
    signatures = {(part.schema.metadata or {}).get(SIGNATURE.encode()) for part in parts}
    if len(signatures) > 1:
        found = " and ".join(sorted("none" if line is None else line.decode(errors="replace") for line in signatures))
        raise InputError("parts of different runs", located.name, found=found, expected="parts of one run")
    digest = sum_digests((part.schema.metadata or {}).get(LABELS_DIGEST.encode()) for part in parts)
    try:
        return _with_digest(pa.concat_tables(parts), digest)
    except pa.ArrowInvalid as error:
        raise _damaged(located.name, "parquet", error) from None


def _of_batches(schema: pa.Schema, batches: list[tuple[pa.RecordBatch, pa.KeyValueMetadata | None]]) -> pa.Table:
    """Combine batches into one table, with the digest of the labels merged from those of the batches."""
    import pyarrow as pa

    for batch, _ in batches:
        batch.validate(full=True)
    digests = ((metadata or {}).get(LABELS_DIGEST.encode()) for batch, metadata in batches if batch.num_rows)
    return _with_digest(pa.Table.from_batches([batch for batch, _ in batches], schema), sum_digests(digests))


def _with_digest(table: pa.Table, digest: bytes | None) -> pa.Table:
    kept = {name: value for name, value in (table.schema.metadata or {}).items() if name != LABELS_DIGEST.encode()}
    return _with_metadata(table.replace_schema_metadata(kept), {} if digest is None else {LABELS_DIGEST: digest})


def _with_metadata(table: pa.Table, metadata: Mapping[Any, Any]) -> pa.Table:
    return table.replace_schema_metadata({**(table.schema.metadata or {}), **metadata})


def json_table(path: str, text: bytes) -> pa.Table:
    """Parse rows, one object per line."""
    import pyarrow as pa
    import pyarrow.json as pa_json

    try:
        first = json.loads(text.split(b"\n", 1)[0])
        # Arrow would parse text that looks like a date as a date.
        types = [(name, pa.string()) for name, value in first.items() if isinstance(value, str)]
        schema = pa.schema([*types, *([("loss", pa.float64())] if "loss" in first else [])])
        rows = pa_json.read_json(pa.BufferReader(text), parse_options=pa_json.ParseOptions(explicit_schema=schema))
    except (pa.ArrowException, ValueError) as error:
        raise _damaged(path, "jsonl", error) from None
    return with_nonfinite(rows.select([*first, *(name for name in rows.column_names if name not in first)]))


def _delimited(source: Bytes, head: bytes, format_name: str) -> pa.Table:
    import pyarrow as pa
    import pyarrow.csv as pa_csv

    delimiter = "\t" if format_name == "tsv" else ","
    text = head.removeprefix(BOM).decode(errors="replace")
    names = next(csv_reader(io.StringIO(text, newline=""), delimiter=delimiter), [])
    # Text stays text: id 007 is not 7.
    types = {name: pa.string() for name in names if name not in ("sample", "label", "predicted")}
    types |= dict.fromkeys((name for name in names if name in _NUMBERS), pa.float64())
    parse = pa_csv.ParseOptions(delimiter=delimiter, newlines_in_values=True)
    convert = pa_csv.ConvertOptions(column_types=types, null_values=[""], strings_can_be_null=True)
    with source.stream() as stream:
        return pa_csv.read_csv(stream, parse_options=parse, convert_options=convert)


def _damaged(name: str, format_name: str, error: Exception) -> InputError:
    return InputError(f"cannot read rows as {format_name}", name, found=first_line(error), hint="write them again")
