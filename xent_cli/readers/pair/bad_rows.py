"""Locate a bad row in its file and count others like it; called only after a run has failed."""

from __future__ import annotations

import json
import shlex
import time
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np

from xent_cli.core.counted_rows import weights_and_left_out
from xent_cli.core.labels.check_labels import bad_labels, either, ignored_labels
from xent_cli.errors import InputError, RowError, UnreadableRowError, XentError, listing, more_rows, printable
from xent_cli.readers.binary_scores import BinaryScores
from xent_cli.readers.class_names import NO_CLASS, NamedLabels
from xent_cli.readers.shards import Shards
from xent_cli.readers.storage.reading import is_url
from xent_cli.readers.tables.table_source import Table

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from xent_cli.core.array_types import AnyArray
    from xent_cli.core.block import BlockRef
    from xent_cli.core.options import LossOptions
    from xent_cli.readers.columns.column_plan import ColumnPlan
    from xent_cli.readers.interface import Source

# How long the rest of the input is searched for similar rows: an error must not wait for terabytes.
_PATIENCE_SECONDS = 1.0
_SHOWN = 3
# What pandas calls the formats of tables that it reads.
_PANDAS = {"csv": "csv", "parquet": "parquet", "jsonl": "json"}


def looked_at_again(error: RowError, source: Source) -> RowError:
    """Return the reader's own error for a row that was read leniently; the given error if the reader has none."""
    judged = _judging(source, error.row)
    if judged == source or not source.info.rereadable or error.role not in ("labels", "logits"):
        return error
    for start, size, part in judged.parts():
        if start <= error.row < start + size:
            try:
                part.read()
            except RowError as found:
                return found if isinstance(found, UnreadableRowError) else error
    return error


def _judging(source: Source, row: int) -> Source:
    """Return the source, set to read one row strictly if it reads rows leniently."""
    if isinstance(source, Shards):
        shards = tuple(_judging(shard, row) for shard in source.shards)
        return source if shards == source.shards else replace(source, shards=shards)
    if isinstance(source, BinaryScores):
        return replace(source, source=_judging(source.source, row))
    if isinstance(source, NamedLabels) and source.lenient:
        return replace(source, judged=row)
    if isinstance(source, Table) and source.plan.lenient:
        return replace(source, plan=source.plan._replace(judged=row))
    return source


def refuses(source: Source, row: int) -> bool:
    """Whether a row of this source fails to be read; False if it cannot be read a second time."""
    for start, size, part in source.parts() if source.info.rereadable else ():
        if start <= row < start + size:
            try:
                part.read()
            except RowError as error:
                return error.row == row
            break
    return False


def complete(error: RowError, source: Source, role: str | None = None) -> InputError:
    """Add where a row is in the file, and how many more cannot be read.

    Parameters
    ----------
    role
        What the values of the row are called in the source, if not by the role in the error.
    """
    if not isinstance(error, UnreadableRowError):
        return error.with_location(source.where(error.row, role or error.role))
    # The column at fault is named below; it may not be the column of the role.
    where = error.place or source.where(error.row, "" if error.column else role or error.role)
    if error.column and f'"{error.column}"' not in where:
        where += f', {"key" if source.info.format in ("json", "jsonl") else "column"} "{error.column}"'
    more = error.more
    if source.info.rereadable:
        others, whole = _unreadable_after(source, error.row)
        more = more_rows(error.others + others, whole=whole and error.whole)
    return error.with_location(where, more)


@dataclass(frozen=True, slots=True)
class Beside:
    """What is known about the run when a bad row is found.

    Fields
    ------
    plan
        The column plan of the logits, or None.
    shift
        Logits at t score the label at t + shift.
    sparse
        Whether labels are class indices.
    labels_alone
        Whether the row is in a file of labels.
    counted
        Whether a mask or weights say which samples count.
    blocks
        Returns the blocks again, or None if they can be read only once.
    """

    plan: ColumnPlan | None
    num_classes: int
    shift: int
    sparse: bool
    labels_alone: bool
    counted: bool
    blocks: Callable[[], Iterator[BlockRef]] | None


def complete_beside(error: RowError, source: Source, beside: Beside, options: LossOptions) -> InputError:
    """Add to an error where the row is, in which of the inputs, and how many others are like it."""
    if beside.shift and type(error) is RowError and error.role in ("labels", "weights"):
        error = error.at_row(error.row + beside.shift)  # where it is in the file, not where it is scored
    judged = error.role == "labels" and beside.sparse and not isinstance(error, UnreadableRowError)
    if beside.counted:
        message = complete(looked_at_again(error, source), source)
        message = _with_counted(message, error.row, beside, options) if judged else message
    elif judged:
        k = beside.num_classes
        message = complete_label(error, source, alone=beside.labels_alone, num_classes=k, options=options)
    else:
        message = complete(error, source)
    if error.what == NO_CLASS and not error.hint:
        message = message.with_more(message.more, _line_without(error.found[1:-1], source))
    return _with_left_out(message, beside.plan) if judged else message


def _line_without(label: str, source: Source) -> str:
    """Return a Python line that writes a mask for `--mask`, 0 for samples with a label.

    "" if pandas cannot read the file by itself.

    Parameters
    ----------
    source
        The table of the labels.
    """
    info = source.info
    layout = getattr(source, "text_layout", None)
    told = info.plan is not None and info.plan.file_label is not None and info.format in _PANDAS
    alone = not info.description.shards and info.path != "-" and not is_url(info.path)
    if not told or not alone or (layout is not None and not layout.has_header):
        return ""
    assert info.plan is not None
    more = {"csv": f", sep={json.dumps(layout.delimiter)}" if layout is not None else "", "jsonl": ", lines=True"}
    path, column, word = (json.dumps(each, ensure_ascii=False) for each in (info.path, info.plan.file_label, label))
    script = (
        f"import pandas; t = pandas.read_{_PANDAS[info.format]}({path}{more.get(info.format, '')}); "
        f'(t[{column}] != {word}).to_csv("mask.csv", index=False)'
    )
    line = f"python -c {shlex.quote(printable(script))}"
    return f"correct the label; or, to leave such samples out: {line}, then add --mask mask.csv"


def _with_counted(message: InputError, row: int, beside: Beside, options: LossOptions) -> InputError:
    """Add how many labels of samples that count are not a class, if a mask or weights leave some out."""
    if beside.blocks is None:
        return message
    bad: list[AnyArray] = []
    whole = True
    until = time.monotonic() + _PATIENCE_SECONDS
    try:
        for task in beside.blocks():
            block = task.load()
            labels, out = block.labels, either(weights_and_left_out(block, options)[1], block.unscored)
            found = bad_labels(labels, beside.num_classes, options, 0)
            bad.append((found if out is None else found[~out[found]]) + block.start + beside.shift)
            if time.monotonic() > until:
                whole = False
                break
    except XentError:  # a different error, after which nothing can be read
        whole = False
    others = np.setdiff1d(np.concatenate([np.empty(0, np.int64), *bad]), [row])
    first = ", ".join(str(number) for number in others[:_SHOWN])
    return message.with_more(more_rows(len(others), whole=whole, first=first))


def _with_left_out(message: InputError, plan: ColumnPlan | None) -> InputError:
    """Name the columns that are not classes; one of them may be the missing class of the label."""
    if plan is None or not plan.left_out:
        return message
    names = [name.strip() or "the column without a name" for name, _ in plan.left_out]
    more = "; ".join(part for part in (message.more, f"not among the classes: {listing(names)}") if part)
    return message.with_more(more)


def complete_label(
    error: RowError, source: Source, *, alone: bool, num_classes: int, options: LossOptions
) -> InputError:
    """Add the location of a label that is not a class, how many other labels are not, and whether they look 1-based.

    Parameters
    ----------
    alone
        Whether the source holds only labels, so that reading those before the row takes no time.
    """
    located = complete(error, source)
    bad: list[AnyArray] = []
    lowest = None
    whole = True
    until = time.monotonic() + _PATIENCE_SECONDS
    for start, labels in _labels(source, 0 if alone else error.row):
        bad.append(bad_labels(labels, num_classes, options, start))
        left_out = ignored_labels(labels, options.ignore_index, ignore_missing=options.ignore_missing)
        scored = labels if left_out is None else labels[~left_out]
        if scored.size:
            lowest = scored.min() if lowest is None else min(lowest, scored.min())
        whole = time.monotonic() < until
        if not whole:
            break
    others = np.concatenate([np.empty(0, np.int64), *bad])[1:]
    first = ", ".join(str(row) for row in others[:_SHOWN])
    more = more_rows(len(others), whole=whole, first=first)
    one_based = lowest == 1 and error.found == str(num_classes) and not options.first_class
    return located.with_more(more, "labels look 1-based: --first-class 1" if one_based else "")


def _unreadable_after(source: Source, row: int) -> tuple[int, bool]:
    """Count the rows that cannot be read in the parts after that of a row, and say whether all were tried."""
    found = 0
    until = time.monotonic() + _PATIENCE_SECONDS
    try:
        for start, _, part in source.parts():
            if start > row:
                try:
                    part.read()
                except UnreadableRowError as error:
                    found += 1 + error.others
            if time.monotonic() > until:
                return found, False
    except InputError:  # a different error, after which nothing can be read
        return found, False
    return found, True


def _labels(source: Source, row: int) -> Iterator[tuple[int, AnyArray]]:
    """Yield the labels [n] of each part, from the part of a row on, with the number of the first sample."""
    for start, size, part in source.parts() if source.info.rereadable else ():
        if row < start + size:
            try:
                labels = part.read().labels
            except InputError:  # an unreadable label has been reported, and anything else is a different error
                return
            if labels is not None:
                yield start, labels.reshape(-1)
