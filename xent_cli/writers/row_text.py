"""The rows of a block as text cells by column, in batches of bounded size: shared by the text writers."""

from __future__ import annotations

import math
import sys
from collections import deque
from itertools import islice
from typing import TYPE_CHECKING, Any

from xent_cli.core.labels.check_labels import NO_LABEL
from xent_cli.core.row_columns import missing_predictions

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    from xent_cli.core.array_types import AnyArray, FloatArray
    from xent_cli.core.evaluate import BlockLoss
    from xent_cli.core.options import PredictionColumn
    from xent_cli.core.row_columns import RowFormat

# A row of text is some fifty bytes, and several times that as Python objects: this many rows take a few MB.
_ROWS = 1 << 16
# Importing pyarrow takes 50 ms and as many MB, repr takes 0.7 us per number.
_MANY = 100_000
_MANY_ONCE_IMPORTED = 2_000


def worth_arrow(count: int, before: int = 0) -> bool:
    """Whether formatting `count` rows, after `before` earlier ones, is worth importing Arrow: small blocks add up."""
    return count >= _MANY_ONCE_IMPORTED and ("pyarrow" in sys.modules or max(before, count) >= _MANY)


def batches(rows: BlockLoss) -> Iterator[BlockLoss]:
    """Cut the rows of a block into batches, which bound the memory of a writer."""
    if rows.size <= _ROWS:
        yield rows
        return
    for first in range(0, rows.size, _ROWS):
        yield rows_between(rows, first, min(first + _ROWS, rows.size))


def encoded(rows: BlockLoss, encode: Callable[[BlockLoss], memoryview]) -> Iterator[memoryview]:
    """Yield the text of each batch in order; two threads encode, because Arrow releases the interpreter lock."""
    from concurrent.futures import ThreadPoolExecutor

    runs = batches(rows)
    with ThreadPoolExecutor(2) as pool:
        waiting = deque(pool.submit(encode, run) for run in islice(runs, 4))
        while waiting:
            yield waiting.popleft().result()
            waiting.extend(pool.submit(encode, run) for run in islice(runs, 1))


def rows_between(rows: BlockLoss, first: int, stop: int) -> BlockLoss:
    """Return rows `first` to `stop` of a block, without the gradient."""
    part = slice(first, stop)
    return rows._replace(
        start=rows.start + first,
        size=stop - first,
        loss=None if rows.loss is None else rows.loss[part],
        ignored=None if rows.ignored is None else rows.ignored[part],
        labels=None if rows.labels is None else rows.labels[part],
        ids=None if rows.ids is None else rows.ids[part],
        kl=None if rows.kl is None else rows.kl[part],
        gradient=None,
        groups=None if rows.groups is None else rows.groups[part],
        weight=None if rows.weight is None else rows.weight[part],
        class_weight=None if rows.class_weight is None else rows.class_weight[part],
        clusters=None if rows.clusters is None else rows.clusters[part],
        units=None if rows.units is None else rows.units[part],
        predictions=None if rows.predictions is None else {name: v[part] for name, v in rows.predictions.items()},
        ends=None if rows.ends is None else {name: values[part] for name, values in rows.ends.items()},
    )


def row_texts(
    rows: BlockLoss,
    columns: RowFormat,
    spell: Callable[[float], str],
    *,
    missing: str,
    quote: Callable[[str], str],
    unnamed: str = "",
) -> list[list[str]]:
    """Return the text of every cell, column by column, in the order of `RowFormat.names`.

    `missing` is the text for a missing loss, `unnamed` the text for a missing id, label, group or prediction.
    """
    texts = [[str(i) for i in range(rows.start, rows.start + rows.size)]]
    if columns.id_name is not None:
        assert rows.ids is not None
        texts.append(_words(rows.ids, unnamed, quote))
    if columns.labelled:
        assert rows.labels is not None
        names = columns.class_names
        labels = rows.labels.tolist()
        if names is None:
            texts.append([unnamed if label == NO_LABEL else str(label) for label in labels])
        else:
            texts.append([quote(names[i]) if 0 <= i < len(names) else missing for i in labels])
    texts.append(_numbers(rows, rows.loss, spell, missing))
    if columns.with_kl:
        texts.append(_numbers(rows, rows.kl, spell, missing))
    for name in columns.ends:
        assert rows.ends is not None
        texts.append([missing if math.isnan(end) else spell(end) for end in rows.ends[name].tolist()])
    for _, place in columns.by:
        assert rows.groups is not None
        texts.append(_words(rows.groups[:, place], unnamed, quote))
    for weights, given in ((rows.weight, columns.weighted), (rows.class_weight, columns.class_weighted)):
        if given:
            assert weights is not None
            texts.append([spell(weight) for weight in weights.tolist()])
    if columns.clusters is not None:
        assert rows.clusters is not None
        texts.append(_words(rows.clusters.tolist(), unnamed, quote if columns.clusters == "texts" else str))
    if columns.units is not None:
        assert rows.units is not None
        texts.append([spell(units) for units in rows.units.tolist()])
    for name in columns.predictions:
        assert rows.predictions is not None
        texts.append(_predicted(name, rows.predictions[name], columns.predicted_names, spell, unnamed, quote))
    return texts


def _predicted(
    name: PredictionColumn,
    values: AnyArray,
    names: tuple[str, ...] | None,
    spell: Callable[[float], str],
    missing: str,
    quote: Callable[[str], str],
) -> list[str]:
    def text(value: Any) -> str:
        if name == "predicted" and names is not None:
            return quote(names[value])
        return spell(value) if isinstance(value, float) else str(value)

    lost = missing_predictions(name, values).tolist()
    return [missing if none else text(value) for value, none in zip(values.tolist(), lost, strict=True)]


def _words(values: Iterable[object], unnamed: str, quote: Callable[[str], str]) -> list[str]:
    return [unnamed if text is None else quote(str(text)) for text in values]


def _numbers(rows: BlockLoss, values: FloatArray | None, spell: Callable[[float], str], missing: str) -> list[str]:
    assert values is not None
    texts = [spell(value) for value in values.tolist()]
    if rows.ignored is None:
        return texts
    return [missing if none else text for text, none in zip(texts, rows.ignored.tolist(), strict=True)]
