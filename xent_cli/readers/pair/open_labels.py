"""Open labels, and decide by their shape whether they are sparse or dense."""

from __future__ import annotations

import math
from functools import partial
from typing import TYPE_CHECKING, Any

from xent_cli.errors import InputError, UsageError
from xent_cli.readers.interface import ARRAYS, Classes
from xent_cli.readers.open import open_source
from xent_cli.readers.storage.locate import locate

if TYPE_CHECKING:
    from types import ModuleType

    from xent_cli.readers.columns.labels.label_values import LabelValues
    from xent_cli.readers.interface import Source
    from xent_cli.readers.options import ReadOptions
    from xent_cli.readers.storage.locate import Located


def with_labels_ahead(options: ReadOptions, logits: Located, labels: Located | None) -> ReadOptions:
    """Return options with which a table of logits can look up the labels before its columns are chosen."""
    options = options._replace(logits_path=_typed(logits))
    if labels is None:
        if logits.sharded:
            known = options.known._replace(column_ahead=partial(_column_ahead, logits, options))
            options = options._replace(known=known)
        return options
    known = options.known._replace(labels_ahead=partial(_labels_ahead, labels, options))
    return options._replace(labels_path=_typed(labels), known=known)


def _typed(located: Located) -> str:
    return "-" if located.name == "standard input" else located.name


def _labels_ahead(located: Located, options: ReadOptions) -> LabelValues | None:
    from xent_cli.readers.pair.labels_ahead import labels_of

    return labels_of(located, options)


def _column_ahead(located: Located, options: ReadOptions, name: str) -> frozenset[str] | None:
    from xent_cli.readers.pair.labels_ahead import column_ahead

    return column_ahead(located, options, name)


def open_labels(located: Located, logits: Source, options: ReadOptions) -> Source:
    """Open labels and decide whether they are sparse or dense."""
    path = located.name
    names, plan = options.class_names or logits.info.class_names, logits.info.plan
    if plan is not None:
        held = (plan.id, plan.weight, plan.mask, plan.units, *plan.by)
        known = options.known._replace(
            columns_elsewhere=frozenset(name for name in held if name),
            label_numbers=plan.numbers,
            class_columns=plan.spelt,
        )
        options = options._replace(known=known)
    classes = Classes(names=names, num_classes=logits.info.row_shape[0])
    if options.labels_source != "labels":
        from xent_cli.readers.language_models.top_k import open_top_k

        if (top_k := open_top_k(located, logits, options)) is not None:
            return top_k
    labels = open_source(located, "labels", options, classes)
    if labels.info.format == "csv" and _begins_with_its_name(labels, logits):
        options = options._replace(header=True)
        labels = open_source(located, "labels", options, classes)
    if labels.info.format == "raw":
        options = options._replace(known=options.known._replace(labels_shape=_sides(labels, logits)))
        labels = open_source(located, "labels", options, classes)
    shape = labels.info.shape
    if labels.info.format == "kld":
        return _reference(labels, logits, options)
    if labels.info.format not in ARRAYS:
        if (options.labels == "sparse" and labels.info.row_shape) or (
            options.labels == "dense" and not labels.info.row_shape
        ):
            raise InputError(f"labels are not {options.labels}", path, found=f"shape {_misfit().shape_text(shape)}")
        if labels.info.row_shape and labels.info.row_shape != logits.info.row_shape:
            raise _misfit().shape_error(path, shape, logits, options)
        return labels
    if labels.info.description.shards:
        from xent_cli.readers.arrays.numbered_arrays import refuse_other_pieces

        refuse_other_pieces(logits, labels)
    full = logits.info.shape
    sample_shape: tuple[int | None, ...] | None = logits.info.sample_shape
    if sample_shape is None:  # rows of text are counted as they are read; until then, use the number of labels
        full = (shape[0] if shape else 0, *full[1:])
        sample_shape = full[:1]
    if options.binary:
        full = (*sample_shape, 2)
    axis = len(full) - 1 if options.binary else options.axis % len(full)
    sparse_shapes = (sample_shape, (*full[:axis], 1, *full[axis + 1 :]), (*full[:axis], *full[axis + 1 :]))
    if None in full and len(shape) > 1:
        _refuse_unlike(logits, labels, axis, options)
    insisted = options.labels_source != "labels" or options.labels != "auto"
    whole = shape == full and labels.info.dtype.kind in "iub"
    if len(full) == 1 and not insisted and (whole or shape == (*full, 1)):
        from xent_cli.readers.binary_scores import one_score

        kind = "whole-number labels" if whole else "labels"
        raise one_score(logits.info.path, f"shape {_misfit().shape_text(full)}, and as many {kind}")
    if shape == full and options.labels != "sparse":
        return open_source(located, "labels", options, Classes(axis))
    if shape in sparse_shapes and options.labels != "dense":
        return labels
    raise _misfit().shape_error(path, shape, logits, options)


def open_true_labels(path: str, logits: Source, options: ReadOptions) -> Source:
    """Open class indices, or names of classes, one for each row of logits.

    Raises
    ------
    InputError
        If the file cannot be read, does not hold labels, or has a different number of rows.
    UsageError
        If rows of the logits and labels are not side by side.
    """
    from xent_cli.readers.pair.follower import other_length
    from xent_cli.readers.true_labels import TrueLabels

    for option, given in (("--shift", options.shift), ("--join", options.join)):
        if given:
            raise UsageError(f"--true-labels and {option} cannot be combined")
    layout = options._replace(
        labels="sparse", labels_source="labels", label_column=None, mask=None, units_column=None, by=()
    )
    labels = open_labels(locate(path), logits, layout)
    if labels.info.row_shape:
        raise InputError("not class indices", path, found=f"shape {labels.info.shape}", expected="one label a sample")
    counts = labels.info.num_rows, logits.info.num_rows
    if None not in counts and counts[0] != counts[1]:
        raise other_length(logits, labels, "true labels", counts[1], counts[0])
    return TrueLabels(labels)


def _reference(reference: Source, logits: Source, options: ReadOptions) -> Source:
    """Check that log-probabilities of llama.cpp match the rows of the logits, whatever their axes."""
    from xent_cli.readers.language_models.kld import refuse_other_tokens

    counts = reference.info.num_rows, logits.info.num_rows
    if reference.info.row_shape != logits.info.row_shape or counts[0] != counts[1]:
        raise _misfit().shape_error(reference.info.path, reference.info.shape, logits, options)
    refuse_other_tokens(logits, reference)
    return reference


def labels_of_archive(located: Located, logits: Source, options: ReadOptions) -> Source:
    """Open the labels that are in the same archive of arrays as the logits.

    Raises
    ------
    InputError
        If no other array there can be the labels.
    """
    try:
        labels = open_labels(located, logits, options)
    except InputError:
        from xent_cli.readers.list_contents import list_arrays

        if len(list_arrays(located)) < 2:
            raise _misfit().no_labels(logits, options) from None
        raise
    if _first_path(labels) == _first_path(logits):
        raise _misfit().no_labels(logits, options)
    return labels


def _first_path(source: Source) -> str:
    """Return the path of an array with its name in the archive; for shards, that of the first one."""
    from xent_cli.readers.binary_scores import scores_of

    found: Any = scores_of(source)
    while getattr(found, "shards", ()):
        found = found.shards[0]
    return str(found.info.path)


def _sides(labels: Source, logits: Source) -> tuple[int, ...]:
    """Return the shape of labels without a header, -1 along the first axis: one for each sample, or for each logit."""
    for sides in (logits.info.sample_shape, logits.info.shape):
        known = [side for side in sides or () if side is not None]
        if sides and len(known) == len(sides) and labels.info.num_rows == math.prod(known):
            return (-1, *known[1:])
    return (-1,)


def _begins_with_its_name(labels: Source, logits: Source) -> bool:
    """Whether a 0 above a column of labels is the name that pandas gave it, as there is one row more than logits."""
    first = getattr(labels, "first_line", None)
    if first != "0" or not (labels.info.rereadable and logits.info.rereadable):
        return False
    counts = [
        source.info.num_rows if source.info.num_rows is not None else sum(size for _, size, _ in source.parts())
        for source in (labels, logits)
    ]
    return counts[0] == counts[1] + 1


def _refuse_unlike(logits: Source, labels: Source, axis: int, options: ReadOptions) -> None:
    """Refuse labels that are not split like the logits, if shards of the logits differ in shape."""
    from xent_cli.readers.shards import Shards

    assert isinstance(logits, Shards)
    shards = labels.shards if isinstance(labels, Shards) else (labels,)
    for one, other in zip(logits.shards, shards, strict=False):
        full, shape = one.info.shape, other.info.shape
        outer, inner = full[:axis], full[axis + 1 :]
        if shape not in (full, (*outer, *inner), (*outer, 1, *inner)):
            raise _misfit().shape_error(other.info.path, shape, one, options)
    if len(shards) != len(logits.shards):
        raise InputError(
            "different number of shards",
            labels.info.path,
            found=f"{len(shards)} with rows",
            expected=f"{len(logits.shards)} as of {logits.info.path}, of which the shapes differ",
        )


def _misfit() -> ModuleType:
    """The errors for inputs that do not fit, imported only when one is needed."""
    from xent_cli.readers.pair import misfit

    return misfit
