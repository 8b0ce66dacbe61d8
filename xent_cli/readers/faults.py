"""Where a bad row stands in its file, and how many others like it there are: work for a run that has failed already."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

import numpy as np

from xent_cli.core.labels import bad_labels, ignored_labels
from xent_cli.errors import InputError, UnreadableRowError, more_rows

if TYPE_CHECKING:
    from collections.abc import Iterator

    from xent_cli.core.block import AnyArray
    from xent_cli.core.options import LossOptions
    from xent_cli.errors import RowError
    from xent_cli.readers.interface import Source

# Others like it are looked for in the rest of the input for so long; an answer must not wait for terabytes.
_PATIENCE_SECONDS = 1.0
_SHOWN = 3


def complete(error: RowError, source: Source, role: str | None = None) -> InputError:
    """Say where a row stands, and how many more cannot be read.

    Parameters
    ----------
    role
        What the source calls the values of the row, where that is not the role in the error.
    """
    if not isinstance(error, UnreadableRowError):
        return InputError(error.what, source.where(error.row, role or error.role), *_advice(error))
    # The column at fault is named below, and need not be that of the role.
    where = error.place or source.where(error.row, "" if error.column else role or error.role)
    if error.column and f'"{error.column}"' not in where:
        where += f', column "{error.column}"'
    more = error.more
    if source.again:
        others, whole = _unreadable_after(source, error.row)
        more = more_rows(error.others + others, whole=whole and error.whole)
    return InputError(error.what, where, *_advice(error), more)


def complete_label(
    error: RowError, source: Source, *, alone: bool, num_classes: int, options: LossOptions
) -> InputError:
    """Say where a label stands that is no class, how many others are none, and whether they look 1-based.

    Parameters
    ----------
    alone
        Whether the source is of labels alone, so that reading those before the row takes no time.
    """
    told = complete(error, source)
    if options.masked or options.sample_weighted:  # which others count is not known here
        return told
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
    hint = "labels look 1-based: --first-class 1" if one_based else told.hint
    return InputError(told.what, told.where, told.found, told.expected, hint, more)


def _advice(error: RowError) -> tuple[str, str, str]:
    return error.found, error.expected, error.hint


def _unreadable_after(source: Source, row: int) -> tuple[int, bool]:
    """How many rows cannot be read in the parts after that of a row, and whether all of them were tried."""
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
    except InputError:  # another matter, and the end of what can be read
        return found, False
    return found, True


def _labels(source: Source, row: int) -> Iterator[tuple[int, AnyArray]]:
    """Labels [n] of each part from that of a row on, and their first sample."""
    for start, size, part in source.parts() if source.again else ():
        if row < start + size:
            try:
                labels = part.read().labels
            except InputError:  # what cannot be read as a label at all has been told, or is another matter
                return
            if labels is not None:
                yield start, labels.reshape(-1)
