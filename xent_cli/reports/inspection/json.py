"""What `xent inspect` reports, as a document of dicts, lists, strings and numbers."""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

from xent_cli.reports.entries import remark_entries

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from xent_cli.core.diagnostics import Diagnostic
    from xent_cli.core.input_description import InputDescription
    from xent_cli.core.inspect.contents import Contents
    from xent_cli.core.inspect.kept_mass import KeptMass
    from xent_cli.core.inspect.value_totals import Inspection, LabelTotals, ValueTotals

SCHEMA_VERSION = 1
# How many labels the histogram lists; a vocabulary may have many more.
_TOP = 20


@dataclass(frozen=True, slots=True)
class Inspected:
    """One inspected input.

    Fields
    ------
    path
        As the user typed it.
    role
        "logits", "labels", or "logits and labels".
    totals
        Figures of its values, or None if they were not read.
    class_names
        Names that the labels use, or None.
    """

    path: str
    role: str
    description: InputDescription
    contents: Contents
    totals: Inspection | None
    class_names: tuple[str, ...] | None


@dataclass(frozen=True, slots=True)
class Fit:
    """What compute would assume of logits and labels.

    Fields
    ------
    logits, labels
        Paths; both the same if one file holds both.
    class_axis
        From 0.
    n_samples
        None if the header does not say and values were not read.
    """

    logits: str
    labels: str
    label_form: str
    named_labels: bool
    class_axis: int
    num_classes: int
    n_samples: int | None


def as_json(
    version: str,
    files: Sequence[Inspected],
    pair: Fit | None,
    command: str | None,
    diagnostics: Iterable[Diagnostic],
    readings: Sequence[str] = (),
) -> dict[str, Any]:
    """Assemble the document; None stands for NaN and for unknown values.

    Parameters
    ----------
    readings
        If a table can be read in several ways: the command for each.
    """
    return {
        "schema_version": SCHEMA_VERSION,
        "xent_version": version,
        "files": [_file(file, pair) for file in files],
        "pair": None if pair is None else asdict(pair),
        "command": command,
        "readings": [] if command is not None else list(readings),
        **remark_entries(diagnostics),
    }


def _file(file: Inspected, pair: Fit | None) -> dict[str, Any]:
    described, contents = file.description, file.contents
    rows = None if file.totals is None else file.totals.logits.rows or file.totals.label_rows
    shape = [rows if side is None else side for side in described.shape]
    entries = [
        {"name": e.name, "dtype": e.dtype, "role": e.role or None}
        | ({} if e.shape is None else {"shape": list(e.shape)})
        | ({"reason": e.reason} if e.reason else {})
        for e in contents.entries
    ]
    totals = file.totals
    found: dict[str, Any] = {}
    if totals is not None:
        for name in ("logits", "soft", "weights"):
            values = getattr(totals, name)
            if values.rows:
                found["soft_labels" if name == "soft" else name] = _values(values, name)
        if totals.labels.rows:
            names = file.class_names if pair is not None and pair.named_labels else None
            found["labels"] = _labels(totals.labels, names)
        if totals.kept.rows:
            found["kept_mass"] = _kept(totals.kept)
    return {
        "path": file.path,
        "role": file.role,
        "format": described.format,
        "shape": shape,
        "dtype": described.dtype,
        "layout": contents.layout or None,
        "compression": contents.compression or None,
        "size_bytes": contents.size_bytes,
        "shards": list(described.shards),
        "arrays": [entry for entry in entries if "shape" in entry],
        "columns": [entry for entry in entries if "shape" not in entry],
        "values": found if totals is not None else None,
    }


def _values(totals: ValueTotals, part: str) -> dict[str, Any]:
    some = totals.finite > 0
    found: dict[str, Any] = {
        "rows": totals.rows,
        "min": totals.minimum if some else None,
        "max": totals.maximum if some else None,
        "mean": totals.mean if some and math.isfinite(totals.mean) else None,
        "nan": totals.nan,
        "positive_inf": totals.positive_inf,
        "negative_inf": totals.negative_inf,
    }
    if part == "logits":
        found |= {"beyond_float16": totals.beyond_float16, "rows_that_look_softmaxed": totals.softmaxed}
    if part == "soft":
        found |= {"negative": totals.negative, "rows_that_do_not_sum_to_1": totals.unnormalised}
    return found


def _kept(totals: KeptMass) -> dict[str, Any]:
    low, median = totals.masses.quantiles([0.0, 0.5])
    mean = float(totals.total) / totals.rows
    return {"rows": totals.rows, "min": low, "median": median, "mean": mean, "above_1": totals.above_one}


def _labels(totals: LabelTotals, names: tuple[str, ...] | None) -> dict[str, Any]:
    def named(label: int) -> dict[str, Any]:
        return {} if names is None or not 0 <= label < len(names) else {"name": names[label]}

    return {
        "rows": totals.rows,
        "min": totals.minimum,
        "max": totals.maximum,
        "distinct": len(totals.counts),
        "negative": totals.negative,
        "not_whole": totals.fractional,
        "not_counted": totals.beyond,
        "most_frequent": [{"label": label, **named(label), "count": count} for label, count in totals.top(_TOP)],
    }
