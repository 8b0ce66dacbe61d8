"""What the headers of an input say: which arrays or columns it has, in which order and compression, and its size."""

from __future__ import annotations

import io
import json
import zipfile
from itertools import starmap
from typing import TYPE_CHECKING, Any

from xent_cli.core.inspect.contents import Contents, Entry
from xent_cli.errors import InputError
from xent_cli.readers.arrays.npy import HEAD_BYTES, read_header
from xent_cli.readers.interface import ARCHIVES
from xent_cli.readers.open import archive_format
from xent_cli.readers.storage.codecs import codec_of
from xent_cli.readers.storage.pipe import seekable
from xent_cli.readers.storage.reading import first_line, read_up_to
from xent_cli.readers.storage.stored import Stored
from xent_cli.readers.storage.streams import zip_failures

if TYPE_CHECKING:
    from collections.abc import Iterator

    from xent_cli.readers.interface import Source
    from xent_cli.readers.storage.locate import Located

_ROLES = {"logits": "logits", "labels": "label"}


def list_contents(located: Located, source: Source, role: str) -> Contents:
    """Read the headers of an input that was opened in a role; for shards, those of the first."""
    files = [file for file in located.files if isinstance(file, Stored)]
    size = sum(file.size() for file in files) if len(files) == len(located.files) else None
    first: Any = source
    while getattr(first, "shards", ()):
        first = first.shards[0]
    compression = (files[0].codec or codec_of(files[0].peek(4))) if files else ""  # shards have not been inspected
    layout = ""
    if (array := getattr(first, "layout", None)) is not None:
        long = sum(side > 1 for side in array.shape)
        layout = "Fortran order" if array.fortran_order and long > 1 else "C order"
        layout = layout if array.strides is None else "strided"
    if source.info.format == "parquet":
        groups = sum(len(shard.groups) for shard in getattr(source, "shards", (first,)))
        layout = f"{groups} row group{'s' * (groups != 1)}"
        compression = _parquet_compression(first)
    elif source.info.format == "npz" and not compression:
        held: Any = getattr(first, "file", None) or first.source
        held = getattr(held, "source", held)  # a compressed member with scattered samples is read from a copy
        compression = "deflate" if held.codec == "zip" else ""
    return Contents(size, compression, layout, tuple(_entries(located, source, first, role)))


def list_arrays(located: Located) -> tuple[Entry, ...]:
    """List every array of a .npz, .safetensors or torch.save file, and nothing for other files."""
    head = located.files[0].peek(HEAD_BYTES)
    if head.startswith(b"PK") and archive_format(head) == "torch":
        from xent_cli.readers.arrays.torch_save import list_tensors

        return tuple(starmap(Entry, list_tensors(seekable(located.files[0]))))
    if head.startswith(b"PK"):
        return tuple(_npz(seekable(located.files[0])))
    if head[8:9] == b"{" and head[5:8] == b"\0\0\0":
        return tuple(_safetensors(seekable(located.files[0])))
    return ()


def _entries(located: Located, source: Source, first: Any, role: str) -> Iterator[Entry]:
    if source.info.format in ARCHIVES:
        yield from list_arrays(located)
    plan = getattr(first, "plan", None)
    if plan is None:
        return
    types = {**_column_types(first), **dict.fromkeys(dict(plan.constants), "from folders")}
    roles = dict.fromkeys(plan.values, _ROLES.get(role, role))
    roles |= {name: part for name, part in ((plan.label, "label"), (plan.id, "id"), (plan.weight, "weight")) if name}
    reasons = dict(plan.left_out)
    for name in types or plan.used:
        yield Entry(name, types.get(name, ""), None, roles.get(name, ""), reasons.get(name, ""))


def _npz(file: Stored) -> Iterator[Entry]:
    try:
        with io.BufferedReader(file.open()) as raw, zipfile.ZipFile(raw) as archive:  # type: ignore[type-var]
            for info in archive.infolist():
                if info.filename.endswith(".npy"):
                    name = info.filename.removesuffix(".npy")
                    with archive.open(info) as stream:
                        head = read_up_to(stream, HEAD_BYTES)  # type: ignore[arg-type]
                    try:
                        layout = read_header(f"{file.name}:{name}", head)
                    except InputError:  # arrays other than the one asked for may have any dtype
                        yield Entry(name, "not readable", ())
                    else:
                        yield Entry(name, layout.dtype.name, layout.shape)
    except zip_failures() as error:
        raise InputError("damaged .npz file", file.name, found=first_line(error)) from None


def _safetensors(file: Stored) -> Iterator[Entry]:
    with file.open() as stream:
        length = int.from_bytes(read_up_to(stream, 8), "little")
        text = read_up_to(stream, min(length, file.size()))
    try:
        for name, entry in json.loads(text).items():
            if name != "__metadata__":
                yield Entry(name, str(entry["dtype"]), tuple(entry["shape"]))
    except (ValueError, AttributeError, TypeError, KeyError, RecursionError):
        raise InputError("damaged .safetensors file", file.name, hint="write it again") from None


def _column_types(first: Any) -> dict[str, str]:
    """List the names of all columns, with types if the file or its first rows tell."""
    import pyarrow as pa

    schema = getattr(first, "schema", None)
    if first.info.format == "parquet":
        import pyarrow.parquet as pq

        schema = pq.read_schema(first.source.arrow())
    elif first.info.format == "csv":
        schema = _csv_schema(first)
    if isinstance(schema, pa.Schema):
        return {column.name: str(column.type) for column in schema}
    return dict.fromkeys(getattr(first, "names", ()), "")


def _csv_schema(first: Any) -> Any:
    import pyarrow as pa
    import pyarrow.csv as pa_csv

    head = first.source.peek(1 << 20)
    whole = head[: head.rfind(b"\n") + 1] or head
    read = pa_csv.ReadOptions(column_names=first.names, skip_rows=first.text_layout.header_lines)
    parse = pa_csv.ParseOptions(delimiter=first.text_layout.delimiter, newlines_in_values=True)
    numbers = pa_csv.ConvertOptions(decimal_point=first.text_layout.marks.decimal)
    try:
        table = pa_csv.read_csv(io.BytesIO(whole), read, parse, numbers)
    except pa.ArrowException:
        return None
    return table.schema


def _parquet_compression(first: Any) -> str:
    import pyarrow.parquet as pq

    from xent_cli.readers.tables.column_types import FAILURES

    with pq.ParquetFile(first.source.arrow()) as file:
        group = file.metadata.row_group(0) if file.metadata.num_row_groups else None
        paths = [file.schema.column(index).path for index in range(len(file.schema.names))]
        used = [
            index for index, path in enumerate(paths) for name in first.plan.used if f"{path}.".startswith(f"{name}.")
        ]
        if group is None or not used:
            return ""
        try:
            next(file.iter_batches(1, [0], columns=[paths[used[0]]]), None)
        except FAILURES:  # looking at damaged metadata may crash the process
            return ""
        codec = str(group.column(used[0]).compression).lower()
    return "" if codec == "uncompressed" else codec
