"""Results that an earlier run saved: per-sample rows, or a summary document."""

from __future__ import annotations

import csv
import io
import json
import math
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from xent_cli.errors import InputError

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    import pyarrow as pa

    from xent_cli.core.block import AnyArray, BoolArray, FloatArray, IntArray

_SCHEMA_VERSION = 1
_BOM = b"\xef\xbb\xbf"
_TEXT_START = 1 << 16


@dataclass(frozen=True, slots=True)
class SavedResults:
    """What a file of results holds; the fields of the other kind are None.

    Fields
    ------
    path, format
        As the user gave it; "npy", "parquet", "arrow", "json", "jsonl", "csv" or "tsv".
    kind
        "rows", one loss a sample, or "summary".
    loss, ignored
        [n] nats, NaN where there is none; True where the sample was ignored.
    tells_nan
        False where a NaN loss and an ignored sample look the same: in .npy and JSON Lines.
    sample
        [n] number of each sample, or None where the file has no such column: then it is the place in the file.
    labels
        [n] class indices, or names as text; or None.
    ids, id_name
        [n] text (None where empty), and the column they are from; or None.
    columns
        [n] text of the columns that were asked for and are there.
    names
        Of all columns of the file.
    summary, signature
        The figures by name, NaN in place of null; and the settings behind them.
    document
        All of the summary document, as it stands there.
    """

    path: str
    format: str
    kind: Literal["rows", "summary"]
    loss: FloatArray | None = None
    ignored: BoolArray | None = None
    tells_nan: bool = True
    sample: IntArray | None = None
    labels: AnyArray | None = None
    ids: AnyArray | None = None
    id_name: str | None = None
    columns: Mapping[str, AnyArray] = field(default_factory=dict)
    names: tuple[str, ...] = ()
    summary: Mapping[str, Any] | None = None
    signature: str | None = None
    document: Mapping[str, Any] | None = None


def read_saved(path: str, id_column: str | None = None, columns: Sequence[str] = ()) -> SavedResults:
    """Read what ``xent compute`` wrote with ``-o``, ``-f`` or ``--report``; the content says which.

    Parameters
    ----------
    id_column
        What names a sample; default: the one column that stands before the label or loss beside ``sample``.
    columns
        Read as text too, where the file has them.

    Raises
    ------
    InputError
        Where the file cannot be read, or holds no losses.
    """
    if Path(path).is_dir():  # parts that workers wrote, numbered in the order of the samples
        if not (Path(path) / "_SUCCESS").exists():
            raise InputError("not saved results", path, found="a folder without _SUCCESS", hint="the run did not end")
        return _rows(path, "parquet", _table(path, "parquet", b""), id_column, columns)
    with _opened(path) as file:
        head = file.read(_TEXT_START)
    if not head:
        raise InputError("empty file", path, found="0 bytes", expected="saved results")
    if head.startswith(b"\x93NUMPY"):
        return _read_npy(path, id_column)
    if head.lstrip(_BOM + b" \t\r\n").startswith(b"{"):
        document = _whole_document(path)
        if document is not None:
            return _summary(path, document)
    format_name = _format_of(path, head)
    return _rows(path, format_name, _table(path, format_name, head), id_column, columns)


def _opened(path: str) -> Any:
    try:
        return Path(path).open("rb")
    except FileNotFoundError:
        raise InputError("no such file", path, expected="saved results") from None
    except OSError as error:
        raise InputError("cannot read file", path, found=error.strerror or str(error)) from None


def _format_of(path: str, head: bytes) -> str:
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
    text = head.removeprefix(_BOM).lstrip()
    if text.startswith(b"{"):
        return "jsonl"
    return "tsv" if b"\t" in text.split(b"\n", 1)[0] else "csv"


def _read_npy(path: str, id_column: str | None) -> SavedResults:
    from xent_cli.readers.interface import ReadOptions
    from xent_cli.readers.open import open_source

    if id_column is not None:
        raise InputError("no columns to join on", path, found="an array", expected=f'a table with "{id_column}"')
    parts = (part.read().weights for _, _, part in open_source(path, "weights", ReadOptions()).parts())
    # Copies: what a reader returns is on loan.
    loss = np.concatenate([np.empty(0), *(np.array(part, np.float64) for part in parts)])
    return SavedResults(path, "npy", "rows", loss, np.isnan(loss), tells_nan=False)


def _whole_document(path: str) -> dict[str, Any] | None:
    """Read the file as one JSON object; None where it is a table of rows, one object a line."""
    with _opened(path) as file:
        first = file.readline().removeprefix(_BOM)
        try:
            line = json.loads(first)
            if "summary" not in line:
                return None
        except (ValueError, RecursionError):
            pass
        try:
            document: dict[str, Any] = json.loads(first + file.read())
        except (ValueError, RecursionError) as error:
            raise InputError("damaged JSON", path, found=str(error), expected="a summary document") from None
    return document


def _summary(path: str, document: dict[str, Any]) -> SavedResults:
    figures, signature = document.get("summary"), document.get("signature")
    if not isinstance(figures, dict) or not isinstance(signature, str) or "mean_loss" not in figures:
        raise InputError("not a summary document", path, expected="what xent compute -f json prints")
    if document.get("schema_version") != _SCHEMA_VERSION:
        raise InputError(
            "unknown version of the summary document",
            path,
            found=f"schema_version {document.get('schema_version')}",
            expected=str(_SCHEMA_VERSION),
        )
    plain = {name: math.nan if value is None else value for name, value in figures.items()}
    return SavedResults(path, "json", "summary", summary=plain, signature=signature, document=document)


def _table(path: str, format_name: str, head: bytes) -> pa.Table:
    import pyarrow as pa

    try:
        if format_name == "parquet":
            import pyarrow.parquet as pq

            return pq.read_table(path)
        if format_name == "arrow":
            with pa.memory_map(path) as file:
                reader = pa.ipc.open_file if head.startswith(b"ARROW1") else pa.ipc.open_stream
                return reader(file).read_all()
        return _json_lines(path) if format_name == "jsonl" else _delimited(path, head, format_name)
    except (pa.ArrowException, OSError, ValueError) as error:
        found = str(error).strip().split("\n")[0]
        raise InputError(f"cannot read rows as {format_name}", path, found=found, hint="write them again") from None


def _json_lines(path: str) -> pa.Table:
    import pyarrow as pa
    import pyarrow.json as pa_json

    with _opened(path) as file:
        first = json.loads(file.readline().removeprefix(_BOM))
    # Arrow would take text that looks like a date for one.
    types = [(name, pa.string()) for name, value in first.items() if isinstance(value, str)]
    schema = pa.schema([*types, *([("loss", pa.float64())] if "loss" in first else [])])
    table = pa_json.read_json(path, parse_options=pa_json.ParseOptions(explicit_schema=schema))
    return table.select([*first, *(name for name in table.column_names if name not in first)])


def _delimited(path: str, head: bytes, format_name: str) -> pa.Table:
    import pyarrow as pa
    import pyarrow.csv as pa_csv

    delimiter = "\t" if format_name == "tsv" else ","
    text = head.removeprefix(_BOM).decode(errors="replace")
    names = next(csv.reader(io.StringIO(text, newline=""), delimiter=delimiter), [])
    # Text stays as it is: an id 007 is not 7.
    types = {name: pa.string() for name in names if name not in ("sample", "label")}
    return pa_csv.read_csv(
        path,
        parse_options=pa_csv.ParseOptions(delimiter=delimiter, newlines_in_values=True),
        convert_options=pa_csv.ConvertOptions(
            column_types=types | {"loss": pa.float64()}, null_values=[""], strings_can_be_null=True
        ),
    )


def _rows(path: str, format_name: str, table: pa.Table, id_column: str | None, columns: Sequence[str]) -> SavedResults:
    names = tuple(table.column_names)
    for name, what in (("loss", "no losses"), (id_column, "no such column")):
        if name is not None and name not in names:
            raise InputError(what, path, found=f"columns {', '.join(names)}", expected=f'a column "{name}"')
    repeated = {name for name in names if names.count(name) > 1}
    if repeated:
        raise InputError("two columns of one name", path, found=f'"{min(repeated)}"', hint="rename one of them")
    losses = table["loss"]
    ignored = losses.is_null().to_numpy()
    try:
        loss = losses.cast("float64").to_numpy()
    except (ValueError, NotImplementedError):
        raise InputError("losses are not numbers", path, found=f"type {losses.type}", expected="floats") from None
    id_name = id_column or _usual_id(names)
    return SavedResults(
        path,
        format_name,
        "rows",
        loss=np.where(ignored, np.nan, loss) if ignored.any() else loss,
        ignored=ignored,
        tells_nan=format_name != "jsonl",
        sample=_whole_numbers(table["sample"]) if "sample" in names else None,
        labels=_labels(table["label"]) if "label" in names else None,
        ids=None if id_name is None else _texts(table[id_name]),
        id_name=id_name,
        columns={name: _texts(table[name]) for name in columns if name in names},
        names=names,
    )


def _usual_id(names: tuple[str, ...]) -> str | None:
    end = min(names.index(name) for name in ("label", "loss") if name in names)
    before = [name for name in names[:end] if name != "sample"]
    return before[0] if len(before) == 1 else None


def _labels(column: Any) -> AnyArray:
    """Class indices where all labels are, else text: a label reads the same from every format."""
    numbers = _whole_numbers(column)
    return _texts(column) if numbers is None else numbers


def _whole_numbers(column: Any) -> IntArray | None:
    """Integers, or None where the column holds anything else."""
    try:
        numbers: IntArray | None = None if column.null_count else _flat(column).cast("int64").to_numpy()
    except (ValueError, NotImplementedError):
        return None
    return numbers


def _texts(column: Any) -> AnyArray:
    flat = _flat(column)
    try:
        texts: AnyArray = flat.cast("string").to_numpy()
    except NotImplementedError:  # lists and structs, which Arrow does not spell
        return np.array([None if value is None else str(value) for value in flat.to_pylist()], object)
    return texts


def _flat(column: Any) -> Any:
    """The values of a column of categories."""
    import pyarrow as pa

    return column.cast(column.type.value_type) if pa.types.is_dictionary(column.type) else column
