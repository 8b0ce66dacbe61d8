"""Recognise swapped operands: labels in place of logits, predictions in place of scores."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from xent_cli.errors import InputError, XentError
from xent_cli.readers.columns.lines import line
from xent_cli.readers.columns.roles import role_named
from xent_cli.readers.columns.words import ID, INDEX, LABEL
from xent_cli.readers.interface import ARCHIVES, ARRAYS
from xent_cli.readers.list_contents import list_arrays
from xent_cli.readers.open import open_source
from xent_cli.readers.options import ReadOptions
from xent_cli.readers.storage.locate import locate

if TYPE_CHECKING:
    from collections.abc import Callable

    from xent_cli.readers.interface import Source
    from xent_cli.readers.pair.paired_inputs import Pair


def seen_as(
    logits_path: str, labels_path: str | None, options: ReadOptions, open_pair: Callable[..., Pair]
) -> InputError | None:
    """What the operands of a run that failed to open seem to be, or None; only headers are read."""
    try:
        if any(path == "-" or (path is not None and Path(path).is_fifo()) for path in (logits_path, labels_path)):
            return None
    except OSError:  # in a folder that may not be searched
        return None
    logits = _as_labels(logits_path, options)
    if logits is None:
        return None
    if labels_path is not None:
        try:
            turned = open_pair(labels_path, logits_path, None, options._replace(weight_column=None, join=None))
        except XentError:
            turned = None
        if turned is not None and not _whole(turned.logits):
            return InputError(
                "LOGITS and LABELS are swapped",
                f"{logits_path}, {labels_path}",
                found=f"labels in {logits_path}, scores of {turned.num_classes} classes in {labels_path}",
                expected="the logits first",
                hint=line("", options, logits_path=labels_path, labels_path=logits_path),
            )
        return _predictions(logits_path, logits)
    return InputError(
        "labels where logits belong",
        logits_path,
        found=_told(logits),
        expected="a score for each class",
        hint=line("", options, logits_path="LOGITS", labels_path=logits_path),
    )


def refuse_predictions(logits: Source, labels: Source | None) -> None:
    """Refuse whole numbers in place of scores, as many as there are labels."""
    if labels is not None and _whole(logits) and _flat(logits) == _flat(labels) != 1:
        raise _predictions(logits.info.path, logits)


def refuse_one_hot(logits: Source, labels: Source) -> None:
    """Refuse rows that are 1 for one class and 0 for the others in place of probabilities, and fractions as labels."""
    raise InputError(
        "LOGITS and LABELS are swapped",
        f"{logits.info.path}, {labels.info.path}",
        found=f"0 and 1 alone in {logits.info.path}, fractions in {labels.info.path}",
        expected="the probabilities first",
        hint=line("", ReadOptions(), logits_path=labels.info.path, labels_path=logits.info.path, source="probs"),
    )


def _as_labels(path: str, options: ReadOptions) -> Source | None:
    """Open an input that holds one label per sample and nothing else; None if it is anything else."""
    try:
        source = open_source(path, "labels", options)
    except XentError:
        return None
    plan = source.info.plan
    if plan is None:
        alone = source.info.format not in ARCHIVES or len(list_arrays(locate(path))) < 2
        return source if alone and _whole(source) else None
    others = [name for name in plan.columns if name != plan.label and role_named(name) not in (ID, INDEX)]
    # Text with any other suffix may hold rows of numbers in an unknown layout.
    says = plan.label is not None and (source.info.dtype.kind in "iu" or role_named(plan.label) == LABEL)
    return source if says and not others else None


def _predictions(path: str, logits: Source) -> InputError:
    return InputError(
        "predictions in place of logits",
        path,
        found=f"{_told(logits)}, as labels have them",
        expected="a score for each class",
        hint="save the scores from which the classes were predicted",
    )


def _told(source: Source) -> str:
    plan = source.info.plan
    if plan is not None:
        return f'only column "{plan.label}" of labels'
    return f"whole numbers ({source.info.description.dtype}) of shape {source.info.shape}"


def _whole(source: Source) -> bool:
    """Whether an array holds one whole number per sample."""
    shape = source.info.shape
    rank = len(shape) == 1 or (len(shape) == 2 and shape[1] == 1)
    return source.info.format in ARRAYS and rank and source.info.dtype.kind in "iu"


def _flat(source: Source) -> int | None:
    shape = source.info.shape
    return shape[0] if shape else 1
