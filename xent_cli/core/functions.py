"""The loss as functions of NumPy arrays: what `import xent_cli` offers."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from xent_cli.core.block import Block
from xent_cli.core.evaluate import evaluate_block
from xent_cli.core.frames import unframed
from xent_cli.core.options import LossOptions, Wanted
from xent_cli.core.totals import LossTotals
from xent_cli.errors import InputError, UsageError

if TYPE_CHECKING:
    from numpy.typing import ArrayLike

    from xent_cli.core.block import AnyArray, FloatArray
    from xent_cli.core.evaluate import BlockLoss
    from xent_cli.core.options import LabelForm
    from xent_cli.core.summary import LossSummary

    Precision = Literal["float64", "float32"]

# A block's working memory is a few times this many logits.
_BLOCK_VALUES = 1 << 22


def softmax_cross_entropy(
    logits: ArrayLike,
    labels: ArrayLike,
    *,
    axis: int = -1,
    label_smoothing: float = 0.0,
    class_weight: ArrayLike | None = None,
    temperature: float = 1.0,
    precision: Precision = "float64",
) -> FloatArray:
    """Cross-entropy of logits against rows of class probabilities.

    ``loss = sum_j q_j (log(sum_i exp(z_i)) - z_j)``, computed without cancellation and with 0 times inf = 0.

    Parameters
    ----------
    logits
        Real numbers of any shape and dtype with the classes along `axis`; anything with ``__array__``. The names of a
        pandas or polars frame's columns are those of the classes: labels of text and weights go by them.
    labels
        Shaped like `logits`, each >= 0; a row need not sum to 1.
    axis
        Class axis.
    label_smoothing
        e in [0, 1): q_j becomes ``(1 - e) q_j + e/k``.
    class_weight
        [k] what each class's term is multiplied by.
    temperature
        > 0, divides the logits.
    precision
        Of the arithmetic on logits.

    Returns
    -------
    float64, nats, in the shape of `logits` without `axis`. NaN where a row holds NaN or +inf or nothing but -inf.

    Raises
    ------
    UsageError
        An option is out of its range.
    InputError
        Shapes do not fit, or a label is negative or not finite (`RowError` names the row).

    References
    ----------
    tf.nn.softmax_cross_entropy_with_logits; Blanchard, Higham & Higham, IMA J. Numer. Anal. 41, 2021.

    Examples
    --------
    >>> softmax_cross_entropy([[1.0, 2.0, 3.0], [4.0, 5.0, 6.0]], [[0, 0, 1], [1, 0, 0]])
    array([0.40760596, 2.40760596])
    """
    logits, labels, class_weight, _ = unframed(logits, labels, class_weight, axis=axis)
    options = _options("dense", axis, None, label_smoothing, class_weight, temperature, precision)
    return _losses(logits, labels, options)


def sparse_softmax_cross_entropy(
    logits: ArrayLike,
    labels: ArrayLike,
    *,
    axis: int = -1,
    ignore_index: int | tuple[int, ...] | None = None,
    label_smoothing: float = 0.0,
    class_weight: ArrayLike | None = None,
    temperature: float = 1.0,
    precision: Precision = "float64",
) -> FloatArray:
    """Cross-entropy of logits against class indices.

    ``loss = log(sum_i exp(z_i)) - z_y``, computed as ``(m - z_y) + log1p(sum of exp(z_i - m) without the maximum m)``,
    so that the loss of a confident prediction keeps every digit.

    Parameters
    ----------
    labels
        Class indices in the shape of `logits` without `axis` (or with 1 in its place).
    ignore_index
        Samples with this label, or with one of these, have no loss: NaN.
    label_smoothing, class_weight
        ``(1 - e) w_y l_y + e/k sum_j w_j l_j``, as in PyTorch.

    Other parameters, results, errors and references are those of `softmax_cross_entropy`.

    Examples
    --------
    >>> sparse_softmax_cross_entropy([[1.0, 2.0, 3.0], [4.0, 5.0, 6.0]], [2, 0])
    array([0.40760596, 2.40760596])
    >>> float(sparse_softmax_cross_entropy([40.0, 0.0], 0))
    4.248354255291589e-18
    """
    logits, labels, class_weight, _ = unframed(logits, labels, class_weight, axis=axis, ignore_index=ignore_index)
    options = _options("sparse", axis, ignore_index, label_smoothing, class_weight, temperature, precision)
    return _losses(logits, labels, options)


def softmax_cross_entropy_with_grad(
    logits: ArrayLike,
    labels: ArrayLike,
    *,
    axis: int = -1,
    ignore_index: int | tuple[int, ...] | None = None,
    label_smoothing: float = 0.0,
    class_weight: ArrayLike | None = None,
    temperature: float = 1.0,
    precision: Precision = "float64",
) -> tuple[FloatArray, FloatArray]:
    """Losses, and the gradient of their sum with respect to the logits.

    The gradient of a row is ``p - [j = y]`` or ``(sum q) p - q``, divided by the temperature; at the label of a
    confident row it is ``expm1(-loss)``, which keeps every digit of p_y - 1.

    Parameters
    ----------
    labels
        Class indices, or class probabilities shaped like `logits`; told apart by shape.

    Other parameters and errors are those of `sparse_softmax_cross_entropy`.

    Returns
    -------
    The losses, and a float64 array shaped like `logits`; 0 for an ignored sample.

    Examples
    --------
    >>> loss, gradient = softmax_cross_entropy_with_grad([[0.0, 0.0]], [0])
    >>> loss, gradient
    (array([0.69314718]), array([[-0.5,  0.5]]))
    """
    logits, labels, class_weight, _ = unframed(logits, labels, class_weight, axis=axis, ignore_index=ignore_index)
    form: LabelForm = "dense" if np.shape(labels) == np.shape(logits) else "sparse"
    options = _options(form, axis, ignore_index, label_smoothing, class_weight, temperature, precision)
    blocks, shape = _blocks(logits, labels, options, Wanted(losses=True, figures=False, gradient_dtype="<f8"))
    gradient = np.concatenate([block.gradient for block in blocks if block.gradient is not None])
    shaped = gradient.reshape(*shape, gradient.shape[1])
    return _joined(blocks).reshape(shape), np.moveaxis(shaped, -1, axis)


def evaluate(
    logits: ArrayLike,
    labels: ArrayLike,
    *,
    axis: int = -1,
    ignore_index: int | tuple[int, ...] | None = None,
    label_smoothing: float = 0.0,
    class_weight: ArrayLike | None = None,
    sample_weight: ArrayLike | None = None,
    temperature: float = 1.0,
    precision: Precision = "float64",
    top_k: tuple[int, ...] = (1,),
) -> LossSummary:
    """Mean, sum, spread, quantiles and accuracy of the losses; sums are exact and rounded once.

    Parameters
    ----------
    sample_weight
        A weight >= 0 for each sample: the mean is ``sum(w l) / sum(w)``.
    top_k
        Accuracy among the k highest logits; a tie goes to the lower class index.

    Other parameters and errors are those of `softmax_cross_entropy_with_grad`.

    Examples
    --------
    >>> evaluate([[1.0, 2.0, 3.0], [4.0, 5.0, 6.0]], [2, 0]).mean_loss
    1.4076059644443801
    """
    arrays = unframed(logits, labels, class_weight, sample_weight, axis=axis, ignore_index=ignore_index)
    logits, labels, class_weight, sample_weight = arrays
    form: LabelForm = "dense" if np.shape(labels) == np.shape(logits) else "sparse"
    options = _options(form, axis, ignore_index, label_smoothing, class_weight, temperature, precision)
    blocks, _ = _blocks(logits, labels, options, Wanted(top_k=top_k), sample_weight)
    totals = LossTotals(options.signature(""))
    for block in blocks:
        totals = totals.merge(block.totals)
    if totals.n_samples == 0:
        raise InputError("nothing left to average", found=f"{totals.n_ignored} samples, all ignored")
    return totals.summarize()


def _options(
    form: LabelForm,
    axis: int,
    ignore_index: int | tuple[int, ...] | None,
    label_smoothing: float,
    class_weight: ArrayLike | None,
    temperature: float,
    precision: Precision,
) -> LossOptions:
    if not 0 <= label_smoothing < 1:
        raise UsageError("label_smoothing is out of range", found=str(label_smoothing), expected="0 <= e < 1")
    if not 0 < temperature < np.inf:
        raise UsageError("temperature is out of range", found=str(temperature), expected="a finite number > 0")
    weight = None if class_weight is None else np.asarray(class_weight, np.float64)
    if weight is not None and not ((weight >= 0) & (weight < np.inf)).all():
        raise InputError("invalid class weight", expected="finite numbers >= 0")
    return LossOptions(
        axis=axis,
        labels=form,
        ignore_index=_indices(ignore_index),
        label_smoothing=label_smoothing,
        class_weight=weight,
        temperature=temperature,
        precision=precision,
    )


def _indices(given: int | tuple[int, ...] | None) -> tuple[int, ...]:
    if given is None:
        return ()
    return tuple(given) if isinstance(given, (tuple, list, set, frozenset)) else (int(given),)


def _losses(logits: ArrayLike, labels: ArrayLike, options: LossOptions) -> FloatArray:
    blocks, shape = _blocks(logits, labels, options, Wanted(losses=True, figures=False))
    return _joined(blocks).reshape(shape)


def _joined(blocks: list[BlockLoss]) -> FloatArray:
    return np.concatenate([block.loss for block in blocks if block.loss is not None])


def _blocks(
    logits: ArrayLike,
    labels: ArrayLike,
    options: LossOptions,
    wanted: Wanted,
    sample_weight: ArrayLike | None = None,
) -> tuple[list[BlockLoss], tuple[int, ...]]:
    """Evaluate arrays in blocks; return the results and the shape of the samples."""
    array = _numbers(logits)
    if not -array.ndim <= options.axis < array.ndim:
        raise UsageError(f"axis {options.axis} is out of range", found=f"logits of shape {array.shape}")
    rows, samples = _rows(array, options.axis)
    if rows.shape[0] == 0 or rows.shape[1] == 0:
        raise InputError("no rows", found=f"logits of shape {array.shape}")
    if options.class_weight is not None and options.class_weight.shape != rows.shape[1:]:
        raise InputError(
            "other number of class weights", found=str(options.class_weight.shape), expected=f"{rows.shape[1:]}"
        )
    given = _numbers(labels)
    axis = options.axis % array.ndim
    fits = (
        (array.shape,) if options.labels == "dense" else (samples, (*array.shape[:axis], 1, *array.shape[axis + 1 :]))
    )
    if given.shape not in fits:
        raise InputError(
            "shapes do not fit", found=f"logits {array.shape}, labels {given.shape}", expected=f"{fits[0]}"
        )
    given = _rows(given, axis)[0] if options.labels == "dense" else given.reshape(-1)
    weights = None if sample_weight is None else np.asarray(sample_weight).reshape(-1)
    if weights is not None and weights.size != rows.shape[0]:
        raise InputError("other number of sample weights", found=str(weights.size), expected=str(rows.shape[0]))
    step = max(1, _BLOCK_VALUES // rows.shape[1])
    blocks = [
        Block(i, rows[i : i + step], given[i : i + step], None if weights is None else weights[i : i + step])
        for i in range(0, len(rows), step)
    ]
    return [evaluate_block(block, options, wanted) for block in blocks], samples


def _rows(array: AnyArray, axis: int) -> tuple[AnyArray, tuple[int, ...]]:
    """The array as [n, k], and the shape of its samples."""
    last = np.moveaxis(array, axis, -1)
    return last.reshape(-1, last.shape[-1]), last.shape[:-1]


def _numbers(given: ArrayLike) -> AnyArray:
    array: np.ndarray[Any, Any] = np.asarray(given)
    if array.dtype.name == "bfloat16":
        return (array.view(np.uint16).astype(np.uint32) << 16).view(np.float32)
    if array.dtype.kind not in "biuf" or array.dtype.itemsize > 8:
        raise InputError("dtype not supported", found=array.dtype.name, expected="floats of up to 64 bits or integers")
    return array
