"""Checks of labels, masks and sample weights."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from xent_cli.errors import InputError, RowError

if TYPE_CHECKING:
    from xent_cli.core.array_types import AnyArray, BoolArray, FloatArray, IntArray
    from xent_cli.core.options import LossOptions

# Rows of soft labels or probabilities whose sum differs from 1 by more than this cause a warning.
SUM_TOLERANCE = 1e-3
# From here on, not every whole number is a float64.
_EXACT = 2**53
_LARGEST = np.iinfo(np.int64).max


# Stands for the label of a sample without one.
NO_LABEL = int(np.iinfo(np.int64).min)


class SparseLabels(NamedTuple):
    """Class indices that a kernel can use without checks.

    Fields
    ------
    label
        [n] class indices in [0, k); 0 where ignored.
    ignored
        [n] True where the sample has no loss, or None if every sample has one.
    written
        [n] labels as written in the input, including ignored ones; `NO_LABEL` where there is none.
    """

    label: IntArray
    ignored: BoolArray | None
    written: IntArray


def check_sparse(
    labels: AnyArray,
    num_classes: int,
    *,
    ignore_index: tuple[int, ...] = (),
    ignore_missing: bool = False,
    unscored: BoolArray | None = None,
    start: int = 0,
    first_class: int = 0,
) -> SparseLabels:
    """Check class indices, and turn them into indices that a kernel can use.

    Parameters
    ----------
    labels
        [n] or [n, 1], any integer dtype, bool, or floats that are whole numbers.
    num_classes
        Valid labels are `first_class` to ``first_class + num_classes - 1``.
    ignore_index
        Labels that are valid too, and mark samples without a loss.
    ignore_missing
        Whether NaN marks them as well.
    unscored
        [n] True for samples without a label, whose value is not checked.
    start
        Sample number of the first row, for the error.
    first_class
        Number of the first class in the labels.

    Raises
    ------
    RowError
        At the first label that is fractional, NaN, infinite or out of range; at the first row where labels are true and
        false, and there are more than two classes.

    Examples
    --------
    >>> import numpy as np
    >>> check_sparse(np.array([2.0, 0.0, -100.0]), 3, ignore_index=(-100,)).ignored.tolist()
    [False, False, True]
    """
    if labels.dtype.kind == "b" and num_classes > 2 and labels.size:  # a mask, or right predictions
        found, expected = f"{labels.reshape(-1)[0]}", f"a class index: there are {num_classes} classes"
        hint = "say which samples count with a mask; write labels of the classes 0 and 1 as integers"
        raise RowError("labels are true and false", start, "labels", found, expected, hint, code="labels-bool")
    raw = _comparable(labels)
    ignored = either(unscored, ignored_labels(raw, ignore_index, ignore_missing=ignore_missing))
    if ignored is not None and not ignored.any():
        ignored = None
    bad = _bad_rows(raw, num_classes, ignored, first_class)
    if bad is not None:
        row = int(bad[0])
        raise _label_error(raw, row, num_classes, start, first_class)
    if ignored is None:
        written = raw.astype(np.int64, copy=False)
        return SparseLabels(written - first_class if first_class else written, None, written)
    index = np.where(ignored, first_class, raw).astype(np.int64, copy=False)
    return SparseLabels(index - first_class if first_class else index, ignored, labels_as_written(raw, unscored))


def labels_as_written(labels: AnyArray, unscored: BoolArray | None = None) -> IntArray:
    """Return sparse labels [n] as written in the input, valid or not; `NO_LABEL` for those that are not whole numbers.

    Examples
    --------
    >>> import numpy as np
    >>> (labels_as_written(np.array([7.0, np.nan, -100.0])) == [7, NO_LABEL, -100]).all()
    np.True_
    """
    raw = _comparable(labels)
    known = np.ones(raw.shape, np.bool_) if unscored is None else ~unscored
    if raw.dtype.kind == "f":
        known = known & (np.abs(raw) < _EXACT) & (raw == np.rint(raw))
    elif raw.dtype.itemsize == np.dtype(np.uint64).itemsize:
        known = known & (raw <= _LARGEST)
    return np.where(known, np.where(known, raw, 0).astype(np.int64), NO_LABEL)


def ignored_labels(labels: AnyArray, ignore_index: tuple[int, ...], *, ignore_missing: bool) -> BoolArray | None:
    """Find the sparse labels [n] that mark samples without a loss; None if there is no such mark."""
    raw = _comparable(labels)
    ignored = None
    for value in ignore_index:
        ignored = either(ignored, raw == value)
    return either(ignored, np.isnan(raw)) if ignore_missing and raw.dtype.kind == "f" else ignored


def either(a: BoolArray | None, b: BoolArray | None) -> BoolArray | None:
    """Return ``a | b``, where None is False everywhere."""
    if a is None or b is None:
        return b if a is None else a
    return a | b


def bad_labels(labels: AnyArray, num_classes: int, options: LossOptions, start: int) -> IntArray:
    """Return the sample numbers of all labels that `check_sparse` refuses."""
    raw = _comparable(labels)
    ignored = ignored_labels(raw, options.ignore_index, ignore_missing=options.ignore_missing)
    bad = _bad_rows(raw, num_classes, ignored, options.first_class)
    return np.empty(0, np.int64) if bad is None else bad + start


def check_dense(labels: AnyArray, *, start: int = 0) -> None:
    """Refuse soft labels that are negative, NaN or infinite.

    Parameters
    ----------
    labels
        [n, k], each entry >= 0; a row need not sum to 1.
    start
        Sample number of the first row, for the error.

    Raises
    ------
    RowError
        At the first row with such an entry.
    """
    if labels.dtype.kind not in "biuf":
        raise InputError("labels are not numbers", found=f"dtype {labels.dtype}", expected="class probabilities")
    if labels.dtype.kind == "b" or labels.size == 0:
        return
    # Two passes without a mask decide the usual case; NaN makes both comparisons false.
    if labels.min() >= 0 and labels.max() < np.inf:
        return
    row, column = (int(i) for i in np.argwhere(~((labels >= 0) & (labels < np.inf)))[0])
    raise RowError(
        "invalid soft label",
        start + row,
        "labels",
        found=f"{labels[row, column]} for class {column}",
        expected="a finite number >= 0",
        code="invalid-soft-label",
    )


def check_mask(mask: AnyArray, *, start: int = 0) -> BoolArray:
    """Return which samples [n] count, from a mask of bool or of 0 and 1; `RowError` at anything else.

    Examples
    --------
    >>> import numpy as np
    >>> check_mask(np.array([1.0, 0.0])).tolist()
    [True, False]
    """
    values = mask.reshape(-1)
    if values.dtype.kind == "b":
        return values
    counts: BoolArray = values == 1
    bad = ~(counts | (values == 0))
    if bad.any():
        row = int(np.argmax(bad))
        raise RowError("invalid mask", start + row, "mask", f"{values[row]}", "0 or 1", code="invalid-mask")
    return counts


def check_weights(weights: AnyArray, *, start: int = 0) -> FloatArray:
    """Return sample weights [n] as float64; `RowError` unless each is finite and >= 0."""
    values = weights.reshape(-1).astype(np.float64)
    good = (values >= 0) & (values < np.inf)
    if not good.all():
        row = int(np.argmin(good))
        raise RowError(
            "invalid sample weight",
            start + row,
            "weights",
            found=f"{values[row]}",
            expected="a finite number >= 0",
            code="invalid-sample-weight",
        )
    return values


def _comparable(labels: AnyArray) -> AnyArray:
    """Return labels [n] in a dtype that compares exactly with any index; `InputError` if they are not numbers."""
    raw = labels.reshape(-1)
    if raw.dtype.kind not in "biuf":
        raise InputError("labels are not numbers", found=f"dtype {raw.dtype}", expected="class indices")
    if raw.dtype.kind == "b":
        return raw.view(np.uint8)
    # In half precision, the number of classes and the ignored index would be rounded before they are compared.
    return raw.astype(np.float64, copy=False) if raw.dtype.kind == "f" else raw


def _bad_rows(raw: AnyArray, num_classes: int, ignored: BoolArray | None, first: int) -> IntArray | None:
    if raw.size == 0:
        return None
    whole = raw.dtype.kind != "f" or bool((raw == np.rint(raw)).all())
    # Two reductions decide the usual case; a mask is needed only if a label is invalid or ignored.
    if whole and raw.min() >= first and raw.max() < first + num_classes:
        return None
    valid = (raw >= first) & (raw < first + num_classes)
    if raw.dtype.kind == "f":
        valid &= raw == np.rint(raw)
    if ignored is not None:
        valid |= ignored
    return _rows(~valid)


def _rows(mask: BoolArray) -> IntArray | None:
    rows = np.flatnonzero(mask).astype(np.int64)
    return rows if rows.size else None


def _label_error(raw: AnyArray, row: int, num_classes: int, start: int, first: int) -> RowError:
    value = raw[row]
    if value != value or value == NO_LABEL:  # NO_LABEL is from a reader that does not know which samples count
        found = "nan" if value != value else f"nothing, or {NO_LABEL}, which NaN becomes when converted to an integer"
        expected = "a label in every row that counts"
        return RowError("missing label", start + row, "labels", found, expected, code="missing-label")
    expected = f"{first}..{first + num_classes - 1} (there are {num_classes} classes)"
    if raw.dtype.kind == "f" and not (np.isfinite(value) and value == np.rint(value)):
        return RowError(
            "label is not a whole number",
            start + row,
            "labels",
            found=f"{value}",
            expected=expected,
            hint="labels are class indices; rows of class probabilities must be shaped like the logits",
            code="label-not-whole",
            data={"label": float(value), "num_classes": num_classes},
        )
    if raw.dtype.kind == "f" and abs(value) >= _EXACT:
        # The last digits of what a text file contained are not known.
        return RowError(
            "label out of range",
            start + row,
            "labels",
            found=f"about {value:g}",
            expected=expected,
            code="label-out-of-range",
            data={"label": float(value), "num_classes": num_classes, "first_class": first, "kind": "size"},
        )
    kind = _kind_of_label(raw, int(value), num_classes, first)
    return RowError(
        "label out of range",
        start + row,
        "labels",
        found=f"{int(value)}",
        expected=expected,
        code="label-out-of-range",
        data={"label": int(value), "num_classes": num_classes, "first_class": first, "kind": kind},
    )


def _kind_of_label(raw: AnyArray, value: int, num_classes: int, first: int) -> str:
    """Say what a whole number that is not a class probably is: a "score", a "sign", "padding", or "" for a mistake."""
    if num_classes == 1 and first == 0:
        return "score"  # logits of one class are the scores of a binary classifier
    from xent_cli.core.labels.label_offsets import is_padding

    others = np.unique(raw[raw != value])
    if value == -1 and others.size == 1 and others[0] == 1:
        return "sign"
    outside = others[(others < first) | (others >= first + num_classes)]
    return "padding" if not outside.size and is_padding(value, first, num_classes, others) else ""
