"""The public functions of `import xent_cli`: losses, gradients and figures of NumPy arrays."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

import numpy as np

from xent_cli.core.evaluate import evaluate_block
from xent_cli.core.options import Outputs
from xent_cli.core.python_api.arguments import called_with
from xent_cli.core.python_api.hints import hinting

if TYPE_CHECKING:
    from numpy.typing import ArrayLike

    from xent_cli.core.array_types import FloatArray
    from xent_cli.core.evaluate import BlockLoss
    from xent_cli.core.python_api.arguments import Call

    Precision = Literal["float64", "float32"]


@hinting()
def softmax_cross_entropy(
    logits: ArrayLike,
    labels: ArrayLike,
    *,
    axis: int = -1,
    label_smoothing: float = 0.0,
    class_weight: ArrayLike | None = None,
    mask: ArrayLike | None = None,
    temperature: float = 1.0,
    precision: Precision = "float64",
) -> FloatArray:
    """Cross-entropy of logits against rows of class probabilities.

    ``loss = sum_j q_j (log(sum_i exp(z_i)) - z_j)``, computed without cancellation and with 0 times inf = 0.

    Parameters
    ----------
    logits
        Real numbers of any shape and dtype with the classes along `axis`; any object with ``__array__``. The columns of
        a pandas or polars frame name the classes; text labels, and class weights, are matched with these names.
    labels
        Shaped like `logits`, each >= 0; a row need not sum to 1.
    axis
        Class axis.
    label_smoothing
        e in [0, 1): q_j becomes ``(1 - e) q_j + e/k``.
    class_weight
        [k] factor of the term of each class.
    mask
        True or 1 where a sample counts, in the shape of the samples or of their first axis. Other samples are not
        checked, and their loss is NaN.
    temperature
        Number > 0 that divides the logits.
    precision
        Dtype of the exponentials; differences, sums and losses are always float64.

    Returns
    -------
    float64 losses in nats, in the shape of `logits` without `axis`. NaN where a row has NaN or +inf, or only -inf.

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
    call = called_with(
        logits,
        labels,
        form="dense",
        axis=axis,
        label_smoothing=label_smoothing,
        class_weight=class_weight,
        mask=mask,
        temperature=temperature,
        precision=precision,
    )
    return _losses(call)


@hinting()
def sparse_softmax_cross_entropy(
    logits: ArrayLike,
    labels: ArrayLike,
    *,
    axis: int = -1,
    ignore_index: int | tuple[int, ...] | None = None,
    label_smoothing: float = 0.0,
    class_weight: ArrayLike | None = None,
    mask: ArrayLike | None = None,
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
        Samples with this label, or one of these labels, have a loss of NaN.
    label_smoothing, class_weight
        ``(1 - e) w_y l_y + e/k sum_j w_j l_j``, as in PyTorch.

    Other parameters, results, errors and references are as for `softmax_cross_entropy`.

    Examples
    --------
    >>> sparse_softmax_cross_entropy([[1.0, 2.0, 3.0], [4.0, 5.0, 6.0]], [2, 0])
    array([0.40760596, 2.40760596])
    >>> float(sparse_softmax_cross_entropy([40.0, 0.0], 0))
    4.248354255291589e-18
    """
    call = called_with(
        logits,
        labels,
        form="sparse",
        axis=axis,
        ignore_index=ignore_index,
        label_smoothing=label_smoothing,
        class_weight=class_weight,
        mask=mask,
        temperature=temperature,
        precision=precision,
    )
    return _losses(call)


@hinting()
def softmax_cross_entropy_with_grad(
    logits: ArrayLike,
    labels: ArrayLike,
    *,
    axis: int = -1,
    ignore_index: int | tuple[int, ...] | None = None,
    label_smoothing: float = 0.0,
    class_weight: ArrayLike | None = None,
    mask: ArrayLike | None = None,
    temperature: float = 1.0,
    precision: Precision = "float64",
) -> tuple[FloatArray, FloatArray]:
    """Losses, and the gradient of their sum with respect to the logits.

    The gradient of a row is ``p - [j = y]`` or ``(sum q) p - q``, divided by the temperature; at the label of a
    confident row it is ``expm1(-loss)``, which keeps every digit of p_y - 1.

    Parameters
    ----------
    labels
        Class indices, or class probabilities shaped like `logits`; their shape decides.

    Other parameters and errors are as for `sparse_softmax_cross_entropy`.

    Returns
    -------
    The losses, and a float64 array shaped like `logits` that is 0 for ignored and masked samples.

    Examples
    --------
    >>> loss, gradient = softmax_cross_entropy_with_grad([[0.0, 0.0]], [0])
    >>> loss, gradient
    (array([0.69314718]), array([[-0.5,  0.5]]))
    """
    call = called_with(
        logits,
        labels,
        axis=axis,
        ignore_index=ignore_index,
        label_smoothing=label_smoothing,
        class_weight=class_weight,
        mask=mask,
        temperature=temperature,
        precision=precision,
    )
    blocks = evaluated(call, Outputs(losses=True, figures=False, gradient_dtype="<f8"))
    gradient = np.concatenate([block.gradient for block in blocks if block.gradient is not None])
    shaped = gradient.reshape(*call.shape, call.num_classes)
    return _joined(blocks).reshape(call.shape), np.moveaxis(shaped, -1, axis)


def evaluated(call: Call, outputs: Outputs) -> list[BlockLoss]:
    """Evaluate the blocks of checked arguments."""
    return [evaluate_block(block, call.options, outputs) for block in call.blocks]


def _losses(call: Call) -> FloatArray:
    return _joined(evaluated(call, Outputs(losses=True, figures=False))).reshape(call.shape)


def _joined(blocks: list[BlockLoss]) -> FloatArray:
    return np.concatenate([block.loss for block in blocks if block.loss is not None])
