"""Results that an earlier run saved: per-sample rows, or a summary document."""

from __future__ import annotations

import json
import shlex
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from xent_cli.core.nan_kinds import kinds_of_nan
from xent_cli.errors import InputError, printable, without_secrets
from xent_cli.readers.arrays.npy import HEAD_BYTES, read_header
from xent_cli.readers.saved.saved_losses import (
    float_column,
    refuse_below_zero,
    refuse_other_arrays,
    refuse_other_values,
    settings_and_digest,
    weights_of,
)
from xent_cli.readers.saved.saved_tables import format_of, json_table, parts_table, table
from xent_cli.readers.storage.locate import locate
from xent_cli.readers.storage.reading import BOM, is_url, local_path
from xent_cli.readers.storage.stored import Stored

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    import pyarrow as pa

    from xent_cli.core.array_types import AnyArray, BoolArray, FloatArray, IntArray
    from xent_cli.readers.storage.locate import Located


@dataclass(frozen=True, slots=True)
class SavedResults:
    """Content of a file of results. A file of rows and a summary document fill different fields; the rest are None.

    Fields
    ------
    path, format
        Path as the user gave it; "npy", "parquet", "arrow", "json", "jsonl", "csv" or "tsv".
    kind
        "rows", with one loss per sample, or "summary".
    loss, ignored
        [n] nats, NaN if missing; True where the sample was ignored.
    unclear
        [n] True where the sample may be ignored or its loss may be NaN, which arrays of other programs or old
        versions do not distinguish; such samples count as ignored. None if there are none.
    sample
        [n] number of each sample; None if the file has no such column, so that its position is the number.
    labels
        [n] class indices, or names as text; or None.
    predicted
        [n] predicted classes, written as the labels are; or None.
    ids, id_name
        [n] text (None if empty), and the name of their column; or None.
    columns
        [n] text of the requested columns that the file has.
    names
        Names of all columns of the file.
    weight, class_weight
        [n] weight of each sample, and weight of its class, by which the loss was multiplied and which counts in the
        divisor of the mean; or None.
    kl
        [n] KL divergences, nats, or None.
    shape
        Shape of an array.
    summary
        The figures by name, NaN in place of null.
    signature, digest
        The settings of the run and a digest of its labels; None if the file does not hold them.
    clusters
        [n] the cluster of each sample, numbers or text (None if empty); None if the file does not hold them.
    units, units_shared
        [n] units of text of each sample or, if they are shared, of its whole cluster; or None.
    document
        The whole summary document, unchanged.
    hashes
        [n] hashes by name of what must be the same in both runs, such as the prompts; empty if the file has none.
    """

    path: str
    format: str
    kind: Literal["rows", "summary"]
    loss: FloatArray | None = None
    ignored: BoolArray | None = None
    unclear: BoolArray | None = None
    sample: IntArray | None = None
    labels: AnyArray | None = None
    ids: AnyArray | None = None
    id_name: str | None = None
    columns: Mapping[str, AnyArray] = field(default_factory=dict)
    names: tuple[str, ...] = ()
    weight: FloatArray | None = None
    class_weight: FloatArray | None = None
    kl: FloatArray | None = None
    predicted: AnyArray | None = None
    shape: tuple[int | None, ...] | None = None
    summary: Mapping[str, Any] | None = None
    signature: str | None = None
    digest: str | None = None
    clusters: AnyArray | None = None
    units: FloatArray | None = None
    units_shared: bool = False
    document: Mapping[str, Any] | None = None
    hashes: Mapping[str, AnyArray] = field(default_factory=dict)


def read_saved(
    path: str, id_column: str | None = None, columns: Sequence[str] = (), located: Located | None = None
) -> SavedResults:
    """Read what ``xent compute`` wrote with ``-o``, ``-f`` or ``--report``; the content says which.

    Parameters
    ----------
    id_column
        Column that names the samples; default: the one column besides ``sample`` that comes before the label or loss.
    columns
        Other columns to read as text, if the file has them.
    located
        The files at the path, if already known.

    Raises
    ------
    InputError
        If the file cannot be read, or holds no losses.
    """
    located = locate(path if located is None else located)
    if located.sharded:  # parts written by workers, numbered in the order of the samples
        _refuse_unfinished(path)
        return _rows(path, "parquet", parts_table(located), id_column, columns)
    source = located.files[0]
    head = source.peek(1 << 16)
    if not head:
        raise InputError("empty file", path, found="0 bytes", expected="saved results")
    if b'"filtered_resps"' in head and head.lstrip()[:1] in b"{[":
        name = shlex.quote(printable(path))
        hint = (
            f"xent compute {name} -o rows.parquet saves them; xent compare {name} CANDIDATE takes samples as they are"
        )
        raise InputError("samples, not results", path, "samples of lm-evaluation-harness", "saved results", hint)
    if head.startswith(b"\x93NUMPY"):
        layout = read_header(path, source.peek(HEAD_BYTES))
        if layout.dtype.names is None:
            return _read_npy(path, located, id_column)
        from xent_cli.readers.arrays.records import all_records

        return _rows(path, "records", all_records(source, layout), id_column, columns)
    if head.lstrip(BOM + b" \t\r\n").startswith(b"{"):
        with source.stream() as stream:
            text = (stream.read() or b"").removeprefix(BOM)
        document = _whole_document(path, text)
        if document is not None:
            return _summary(path, document)
        return _rows(path, "jsonl", json_table(path, text), id_column, columns)
    format_name = format_of(path, head)
    return _rows(path, format_name, table(source, format_name, head), id_column, columns)


def _refuse_unfinished(path: str) -> None:
    """Refuse a folder of parts from an unfinished run; a glob is taken literally."""
    address, mark, query = path.partition("?")
    if set("*[") & set(address) or (mark and not is_url(path)):
        return
    try:
        Stored(without_secrets(path), f"{local_path(address).rstrip('/')}/_SUCCESS{mark}{query}").size()
    except InputError:
        found, hint = "a folder without _SUCCESS", "the run did not end"
        raise InputError("not saved results", without_secrets(path), found=found, hint=hint) from None


def _read_npy(path: str, located: Located, id_column: str | None) -> SavedResults:
    from xent_cli.readers.open import open_source
    from xent_cli.readers.options import ReadOptions

    if id_column is not None:
        raise InputError("no columns to join on", path, found="an array", expected=f'a table with "{id_column}"')
    source = open_source(located, "weights", ReadOptions())
    shape = source.info.shape
    refuse_other_arrays(path, shape, source.info.description.dtype)
    parts = (part.read().weights for _, _, part in source.parts())
    # Copies: a reader reuses the memory that it returns.
    loss = np.concatenate([np.empty(0), *(np.array(part, np.float64).reshape(-1) for part in parts)])
    refuse_other_values(path, loss, shape)
    ignored, unclear = kinds_of_nan(loss)
    unclear_rows = unclear if unclear.any() else None
    return SavedResults(path, "npy", "rows", loss, ignored | unclear, unclear_rows, shape=shape)


def _whole_document(path: str, text: bytes) -> dict[str, Any] | None:
    """Parse the text as one JSON object; None if it is a table with one object per line."""
    try:
        if "summary" not in json.loads(text.split(b"\n", 1)[0]):
            return None
    except (ValueError, RecursionError):
        pass
    try:
        document: dict[str, Any] = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise InputError("damaged JSON", path, found=str(error), expected="a summary document") from None
    return document


def _summary(path: str, document: dict[str, Any]) -> SavedResults:
    from xent_cli.readers.saved.saved_document import figures_in

    plain = figures_in(path, document)
    signature, digest = document["signature"], document.get("labels_digest")
    return SavedResults(path, "json", "summary", summary=plain, signature=signature, digest=digest, document=document)


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
    loss = float_column(path, losses).to_numpy()
    signature, digest = settings_and_digest(table)
    weight, class_weight = (weights_of(path, table, name) for name in ("weight", "class_weight"))
    refuse_below_zero(path, loss, class_weight)
    id_name = id_column or _usual_id(names)
    units = next((name for name in ("units", "cluster_units") if name in names), None)
    return SavedResults(
        path,
        format_name,
        "rows",
        loss=np.where(ignored, np.nan, loss) if ignored.any() else loss,
        ignored=ignored,
        sample=_whole_numbers(table["sample"]) if "sample" in names else None,
        labels=_labels(table["label"]) if "label" in names else None,
        predicted=_labels(table["predicted"]) if "predicted" in names else None,
        ids=None if id_name is None else _texts(table[id_name]),
        id_name=id_name,
        columns={name: _texts(table[name]) for name in columns if name in names},
        names=names,
        weight=weight,
        class_weight=class_weight,
        kl=float_column(path, table["kl_divergence"]).to_numpy() if "kl_divergence" in names else None,
        signature=signature,
        digest=digest,
        clusters=_labels(table["cluster"]) if "cluster" in names else None,
        units=None if units is None else weights_of(path, table, units, "units"),
        units_shared=units == "cluster_units",
    )


def _usual_id(names: tuple[str, ...]) -> str | None:
    end = min(names.index(name) for name in ("label", "loss") if name in names)
    before = [name for name in names[:end] if name != "sample"]
    return before[0] if len(before) == 1 else None


def _labels(column: Any) -> AnyArray:
    """Return class indices if all labels are integers, else text, so that labels are the same from every format."""
    numbers = _whole_numbers(column)
    return _texts(column) if numbers is None else numbers


def _whole_numbers(column: Any) -> IntArray | None:
    """Return integers, or None if the column holds anything else."""
    try:
        numbers: IntArray | None = None if column.null_count else _flat(column).cast("int64").to_numpy()
    except (ValueError, NotImplementedError):
        return None
    return numbers


def _texts(column: Any) -> AnyArray:
    flat = _flat(column)
    try:
        texts: AnyArray = flat.cast("string").to_numpy()
    except NotImplementedError:  # lists and structs, which Arrow cannot cast to text
        return np.array([None if value is None else str(value) for value in flat.to_pylist()], object)
    return texts


def _flat(column: Any) -> Any:
    """Return the values of a column of categories."""
    import pyarrow as pa

    return column.cast(column.type.value_type) if pa.types.is_dictionary(column.type) else column
