"""Checks the arguments of the public functions, and cuts their samples into blocks."""

from __future__ import annotations

from dataclasses import dataclass, replace
from operator import index
from typing import TYPE_CHECKING, Any

import numpy as np

from xent_cli.core.block import Block, Rows
from xent_cli.core.kernel.variants import kernel_for
from xent_cli.core.options import LossOptions
from xent_cli.core.python_api.frames import unframed
from xent_cli.errors import InputError, UsageError

if TYPE_CHECKING:
    from numpy.typing import ArrayLike

    from xent_cli.core.array_types import AnyArray
    from xent_cli.core.options import LabelForm

# Logits in a block; its working memory is a few times as large.
_BLOCK_VALUES = 1 << 22


@dataclass(frozen=True, slots=True, eq=False)
class Call:
    """Checked arguments, ready to evaluate.

    Fields
    ------
    options
        All options of the loss.
    blocks
        The samples, in C order of their axes.
    shape
        Shape of the samples: that of the logits without the class axis.
    num_classes
        Number of classes, at least 1.
    """

    options: LossOptions
    blocks: tuple[Block, ...]
    shape: tuple[int, ...]
    num_classes: int


def called_with(
    logits: ArrayLike,
    labels: ArrayLike,
    *,
    form: LabelForm | None = None,
    axis: int = -1,
    ignore_index: Any = None,
    label_smoothing: float = 0.0,
    class_weight: ArrayLike | None = None,
    sample_weight: ArrayLike | None = None,
    mask: ArrayLike | None = None,
    temperature: float = 1.0,
    precision: Any = "float64",
    block_values: int = _BLOCK_VALUES,
) -> Call:
    """Check the arguments of a public function.

    Parameters
    ----------
    form
        Whether labels are class indices or rows of probabilities; None if their shape is to decide.
    block_values
        How many logits a block may have.

    Raises
    ------
    UsageError
        An option is out of range.
    InputError
        Arrays do not fit together, are not numeric, or are ambiguous.

    Examples
    --------
    >>> call = called_with([[1.0, 2.0, 3.0]], [[0.0, 0.5, 0.5]])
    >>> call.options.labels, call.shape, call.num_classes
    ('dense', (1,), 3)
    """
    mask = _unmasked(mask, "masks")
    logits, labels, class_weight, sample_weight = unframed(
        _unmasked(logits, "logits"),
        _unmasked(labels, "labels"),
        class_weight,
        sample_weight,
        axis=axis,
        ignore_index=ignore_index,
        mask=mask,
    )
    mask = None if mask is None else _numbers(mask, "the mask")
    array, target = _numbers(logits, "logits"), _numbers(labels, "labels")
    if not -array.ndim <= axis < array.ndim:
        raise UsageError(f"axis {axis} is out of range", found=f"logits of shape {array.shape}")
    rows, samples = _rows(array, axis)
    n, k = rows.shape
    if n == 0 or k == 0:
        raise InputError("no classes" if k == 0 else "no rows", found=f"logits of shape {array.shape}")
    counts = None if mask is None else _each(mask, "entries of the mask", samples, _with_one(array, axis))
    if form is None:
        form = _form_by_shape(array, target, axis, counts)
    options = LossOptions(
        axis=axis,
        labels=form,
        ignore_index=_ignored(ignore_index, form, target),
        label_smoothing=_within("label_smoothing", label_smoothing, 0 <= label_smoothing < 1, "0 <= e < 1"),
        class_weight=_class_weight(class_weight, k),
        temperature=_within("temperature", temperature, 0 < temperature < np.inf, "a finite number > 0"),
        precision=_within("precision", precision, precision in ("float64", "float32"), '"float64" or "float32"'),
        sample_weighted=sample_weight is not None,
        masked=mask is not None,
    )
    options = replace(options, kernel=kernel_for(options.precision))
    fits = (array.shape,) if form == "dense" else (samples, _with_one(array, axis))
    if target.shape not in fits:
        raise InputError(
            "shapes do not fit", found=f"logits {array.shape}, labels {target.shape}", expected=f"{fits[0]}"
        )
    target = _rows(target, axis)[0] if form == "dense" else target.reshape(-1)
    weights = None
    if sample_weight is not None:
        weights = _numbers(_unmasked(sample_weight, "sample weights"), "sample weights")
        weights = _each(weights, "sample weights", samples, _with_one(array, axis))
    return Call(options, _blocks(Rows(rows, target, weights, mask=counts), max(1, block_values // k)), samples, k)


def _ignored(ignore_index: Any, form: LabelForm, labels: AnyArray) -> tuple[int, ...]:
    ignored = _indices(ignore_index)
    if ignored and form == "dense":
        raise InputError(
            "ignore_index with dense labels",
            found=f"labels of shape {labels.shape}, as the logits",
            expected="class indices, of which ignore_index is one",
            hint="a sample_weight of 0 leaves a sample out",
        )
    return ignored


def _blocks(whole: Rows, step: int) -> tuple[Block, ...]:
    """Cut rows into blocks of `step` samples."""
    parts = ((start, whole.cut(slice(start, start + step))) for start in range(0, whole.size, step))
    return tuple(Block(start, part.logits, part.labels, part.weights, mask=part.mask) for start, part in parts)  # type: ignore[arg-type]


def _form_by_shape(logits: AnyArray, labels: AnyArray, axis: int, counts: AnyArray | None) -> LabelForm:
    """Take labels shaped like the logits to be dense; refuse those that may be class indices, votes or counts."""
    if labels.shape != logits.shape:
        return "sparse"
    rows = _rows(labels, axis)[0]
    rows = rows if counts is None else rows[counts != 0]
    whole = rows.dtype.kind in "biu" or bool((rows == np.rint(rows)).all())
    if whole and labels.ndim == 1:
        raise InputError(
            "ambiguous labels",
            found=f"logits and whole-number labels of the same shape, {labels.shape}",
            expected="logits of shape (n, k), or labels of shape () for one sample",
            hint="binary scores z are the logits [0, z]: np.stack([np.zeros_like(z), z], axis=-1)",
        )
    if whole:
        sums = rows.sum(axis=1, dtype=np.float64)
        if (sums > 1).any():
            place = int(np.argmax(sums > 1))
            row = place if counts is None else int(np.flatnonzero(counts)[place])
            raise InputError(
                "whole-number labels that are not a distribution",
                f"sample {row}",
                found=f"a row that sums to {sums[place]:g}",
                expected="class indices, or rows that sum to 1",
                hint=f"votes and counts: labels / labels.sum(axis={axis}, keepdims=True)",
            )
    return "dense"


def _within(name: str, value: Any, valid: bool, expected: str) -> Any:
    if not valid:
        raise UsageError(f"{name} is out of range", found=str(value), expected=expected)
    return value


def _indices(ignore_index: Any) -> tuple[int, ...]:
    if ignore_index is None:
        return ()
    try:
        return tuple(index(label) for label in (ignore_index if np.iterable(ignore_index) else (ignore_index,)))
    except TypeError:
        raise UsageError(
            "ignore_index is not a whole number", found=repr(ignore_index), expected="a label, or several"
        ) from None


def top_k_of(top_k: Any) -> tuple[int, ...]:
    """Return the values of k; `UsageError` unless each is a whole number from 1 on.

    Examples
    --------
    >>> top_k_of((1, 5))
    (1, 5)
    """
    try:
        values = tuple(index(k) for k in (top_k if np.iterable(top_k) else (top_k,)))
    except TypeError:
        values = (0,)
    _within("top_k", top_k, all(k >= 1 for k in values), "whole numbers from 1 on")
    return values


def _class_weight(values: Any, num_classes: int) -> AnyArray | None:
    if values is None:
        return None
    weight = _numbers(_unmasked(values, "class weights"), "class weights").astype(np.float64)
    if weight.shape != (num_classes,):
        raise InputError("wrong number of class weights", found=str(weight.shape), expected=f"({num_classes},)")
    good = (weight >= 0) & (weight < np.inf)
    if not good.all():
        place = int(np.argmin(good))
        raise InputError(
            "invalid class weight", f"class {place}", found=str(weight[place]), expected="a finite number >= 0"
        )
    return weight


def _each(values: AnyArray, what: str, samples: tuple[int, ...], with_one: tuple[int, ...]) -> AnyArray:
    """Return one value per sample [n]; a value for a position along the first axis is repeated for all its samples."""
    if values.shape in (samples, with_one):
        return values.reshape(-1)
    if len(samples) > 1 and values.shape == samples[:1]:
        return np.repeat(values, int(np.prod(samples[1:])))
    raise InputError(f"wrong number of {what}", found=str(values.shape), expected=f"{samples}")


def _with_one(array: AnyArray, axis: int) -> tuple[int, ...]:
    axis %= array.ndim
    return (*array.shape[:axis], 1, *array.shape[axis + 1 :])


def _rows(array: AnyArray, axis: int) -> tuple[AnyArray, tuple[int, ...]]:
    """Return the array as [n, k], and the shape of its samples."""
    last = np.moveaxis(array, axis, -1)
    n = int(np.prod(last.shape[:-1]))  # not -1, which fails if there are no classes
    return last.reshape(n, last.shape[-1]), last.shape[:-1]


def _unmasked(values: Any, what: str) -> Any:
    """Turn lists and tuples into arrays; refuse masked values, whose mask NumPy would drop silently."""
    if hasattr(values, "filled") and np.any(values.mask):
        raise InputError(
            f"masked {what}",
            found=f"{int(np.count_nonzero(values.mask))} masked values",
            expected="an array without a mask",
            hint="masked.filled(-100) and ignore_index=-100 leave masked labels out",
        )
    if not isinstance(values, list | tuple):
        return values
    try:
        return np.asarray(values)
    except ValueError:
        raise InputError(f"ragged {what}", found="rows of different lengths", expected="an array") from None


def _numbers(values: Any, what: str) -> AnyArray:
    array: np.ndarray[Any, Any] = np.asarray(values)
    if array.dtype.name == "bfloat16":
        return (array.view(np.uint16).astype(np.uint32) << 16).view(np.float32)
    if array.dtype.kind not in "biuf" or array.dtype.itemsize > 8:
        raise InputError(
            "dtype not supported", what, found=array.dtype.name, expected="floats of up to 64 bits or integers"
        )
    return array
