"""Operands in each other's place: labels where logits belong, predictions where scores do."""

from __future__ import annotations

import shlex
from dataclasses import replace
from typing import TYPE_CHECKING

from xent_cli.errors import InputError, RowError, XentError
from xent_cli.readers.interface import ARRAYS
from xent_cli.readers.open import open_source
from xent_cli.readers.paired import open_pair

if TYPE_CHECKING:
    from xent_cli.readers.interface import ReadOptions, Source
    from xent_cli.readers.paired import Pair


def open_operands(logits_path: str, labels_path: str | None, weights_path: str | None, options: ReadOptions) -> Pair:
    """Open the inputs of a run as `open_pair` does, and recognise operands that are in each other's place.

    Raises
    ------
    InputError
        What `open_pair` raises, or what the operands seem to be in place of it.
    """
    try:
        pair = open_pair(logits_path, labels_path, weights_path, options)
    except RowError:
        raise
    except InputError as error:
        found = None if _once(logits_path, labels_path) else _recognised(logits_path, labels_path, options)
        if found is None:
            raise
        raise found from error
    labels = pair.labels
    if labels is not None and _whole(pair.logits) and _flat(pair.logits) == _flat(labels) != 1:
        raise _predictions(logits_path, pair.logits)
    return pair


def _recognised(logits_path: str, labels_path: str | None, options: ReadOptions) -> InputError | None:
    """What the operands seem to be; only what headers say is read."""
    logits = _as_labels(logits_path, options)
    if logits is None:
        return None
    if labels_path is not None:
        try:
            turned = open_pair(labels_path, logits_path, None, replace(options, weight_column=None, join=None))
        except XentError:
            turned = None
        if turned is not None and not _whole(turned.logits):
            return InputError(
                "LOGITS and LABELS are swapped",
                f"{logits_path}, {labels_path}",
                found=f"labels in {logits_path}, scores of {turned.num_classes} classes in {labels_path}",
                expected="the logits first",
                hint=_line(labels_path, logits_path),
            )
        return _predictions(logits_path, logits)
    return InputError(
        "labels where logits belong",
        logits_path,
        found=_told(logits),
        expected="a score for each class",
        hint=_line("LOGITS", logits_path),
    )


def _as_labels(path: str, options: ReadOptions) -> Source | None:
    """An input that holds one label a sample and nothing else, or None."""
    try:
        source = open_source(path, "labels", options)
    except XentError:
        return None
    plan = source.plan
    if plan is None:
        return source if _whole(source) else None
    others = [name for name in plan.columns if name not in (plan.label, plan.id) and name != "id"]
    return source if plan.label is not None and not others else None


def _predictions(path: str, logits: Source) -> InputError:
    return InputError(
        "predictions in place of logits",
        path,
        found=f"{_told(logits)}, as labels have them",
        expected="a score for each class",
        hint="save the scores that the predicted classes are the highest of",
    )


def _told(source: Source) -> str:
    plan = source.plan
    if plan is not None:
        return f'only column "{plan.label}" of labels'
    return f"whole numbers ({source.description.dtype}) of shape {source.description.shape}"


def _whole(source: Source) -> bool:
    """Whether an array holds one whole number a sample."""
    shape = source.description.shape
    rank = len(shape) == 1 or (len(shape) == 2 and shape[1] == 1)
    return source.description.format in ARRAYS and rank and source.dtype.kind in "iu"


def _flat(source: Source) -> int | None:
    shape = source.description.shape
    return shape[0] if shape else 1


def _once(*paths: str | None) -> bool:
    """Whether one of the operands can be read only once."""
    from pathlib import Path

    return any(path == "-" or (path is not None and Path(path).is_fifo()) for path in paths)


def _line(logits: str, labels: str) -> str:
    return f"xent compute {shlex.quote(logits)} {shlex.quote(labels)}"
