"""Labels in a separate file, read before the columns of the logits are chosen."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np

from xent_cli.errors import XentError
from xent_cli.readers.class_names import NamedLabels
from xent_cli.readers.columns.column_plan import ColumnPlan
from xent_cli.readers.columns.labels.label_values import LabelValues
from xent_cli.readers.columns.sample import SAMPLED_ROWS, as_text
from xent_cli.readers.interface import ARRAYS, Classes
from xent_cli.readers.open import open_source
from xent_cli.readers.storage.pipe import seekable
from xent_cli.readers.tables.table_source import Table, texts_ahead

if TYPE_CHECKING:
    from collections.abc import Iterator

    from xent_cli.core.array_types import AnyArray
    from xent_cli.readers.interface import Source
    from xent_cli.readers.options import ReadOptions
    from xent_cli.readers.storage.locate import Located

_MOST_DISTINCT = 1 << 20


def rereadable(located: Located) -> Located:
    """Return the same input, with pipes copied to disk so that it can be read twice."""
    if all(file.rereadable for file in located.files):
        return located
    return located._replace(files=tuple(file if file.rereadable else seekable(file) for file in located.files))


def labels_of(located: Located, options: ReadOptions) -> LabelValues | None:
    """Describe labels; None if they cannot be opened, since the run will report that."""
    try:
        options = options._replace(run=options.run._replace(with_ids=True))
        source = open_source(rereadable(located), "labels", options, Classes(num_classes=-1))
        return _of(source, options)
    except XentError:
        return None


def column_ahead(located: Located, options: ReadOptions, name: str) -> frozenset[str] | None:
    """Return the distinct values of a column in several files, as text; None if they cannot be read before the run."""
    options = options._replace(label_column=name, by=(), id_column=None)
    try:
        source = open_source(located, "labels", options, Classes(num_classes=-1))
    except XentError:
        return None
    tables = _tables(source)
    return _together(tables, name) if tables else None


def _tables(source: Source) -> list[Table]:
    source = source.labels if isinstance(source, NamedLabels) else source
    return [shard for shard in getattr(source, "shards", (source,)) if isinstance(shard, Table)]


def _of(source: Source, options: ReadOptions) -> LabelValues | None:
    source = source.labels if isinstance(source, NamedLabels) else source
    info = source.info
    ignored = frozenset(options.ignored)
    offset = options.first_class or 0
    if info.format in ARRAYS:
        shape = info.shape
        if len(shape) > 1 and shape[-1] != 1:
            return LabelValues(info.path, "dense", width=int(shape[-1] or 0), ignored=ignored)
        form = "text" if info.dtype.kind in "USO" else "whole"
        first = next(_values(source), np.empty(0))[:SAMPLED_ROWS]
        texts = [as_text(value) for value in first.tolist()]
        return LabelValues(
            info.path,
            form,
            texts,
            lambda: _distinct(source),
            1,
            ignored,
            info.dtype.kind == "b",
            offset=offset,
            lenient=options.known.lenient,
        )
    if info.row_shape:
        return LabelValues(info.path, "dense", width=info.row_shape[0], ignored=ignored)
    tables = _tables(source)
    label = None if info.plan is None else info.plan.label
    if not tables or label is None:
        return None
    probe: Any = replace(tables[0], plan=ColumnPlan(id=label, columns=tables[0].plan.columns))
    ids = next((part.read().ids for _, _, part in probe.parts()), None)
    texts = [] if ids is None else ["" if text is None else as_text(text) for text in ids[:SAMPLED_ROWS].tolist()]
    named = info.named_labels and not all(_is_number(text) for text in texts if text)
    form = "text" if named else "whole"
    boolean = info.dtype.kind == "b"
    return LabelValues(
        f'{info.path}, column "{label}"',
        form,
        texts,
        lambda: _together(tables, label),
        1,
        ignored,
        boolean,
        aligned=info.plan is None or info.plan.id is None,
        offset=offset,
        lenient=options.known.lenient,
    )


def _is_number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True


def _together(tables: list[Table], label: str) -> frozenset[str] | None:
    found: set[str] = set()
    for table in tables:
        texts = texts_ahead(table, label)
        if texts is None:
            return None
        found |= texts
    return frozenset(found)


def _values(source: Source) -> Iterator[AnyArray]:
    for _, _, part in source.parts():
        labels = part.read().labels
        if labels is not None:
            yield labels.reshape(-1)


def _distinct(source: Source) -> frozenset[str] | None:
    found: set[object] = set()
    for values in _values(source):
        found.update(np.unique(values).tolist())
        if len(found) > _MOST_DISTINCT:
            return None
    return frozenset(as_text(value) for value in found)
