"""Softmax cross-entropy of rows of logits and its gradient, accurate at every margin.

`reference` is the whole idea in plain NumPy. `cross_entropy` computes the same with options and gradients, for every
dtype and layout, in tiles that fit the cache. The derivation is at the end of this file.

See Also
--------
xent_cli.core.kernel.from_probabilities : rows of probabilities or log-probabilities in place of logits.
xent_cli.core.kernel.distillation : a teacher's outputs in place of labels.
xent_cli.core.kernel.textbook_formula : the formula that overflows, for comparison.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from xent_cli.core.kernel.already_softmaxed import count_softmaxed
from xent_cli.core.kernel.compensated_sum import compensate
from xent_cli.core.kernel.exponentials import exponentiate, subtract_dtype
from xent_cli.core.kernel.maxima import restore_maxima
from xent_cli.core.kernel.tiles import class_axis, pairwise_sum, per_sample, rows_per_tile, unbuffered
from xent_cli.core.scratch import flat, scratch

if TYPE_CHECKING:
    from numpy.typing import DTypeLike

    from xent_cli.core.array_types import AnyArray, FloatArray, IntArray
    from xent_cli.core.options import LossOptions

# Tiles of up to this many rows share one call of each later phase: on few rows a NumPy call takes longer than its work,
# and between calls two threads wait for each other.
_ROWS_PER_FINISH = 1 << 16


def reference(logits: FloatArray, labels: IntArray) -> FloatArray:
    """Cross-entropy of each row of logits [n, k] against a class index: what `cross_entropy` computes, in plain NumPy.

    Examples
    --------
    >>> reference(np.array([[0.0, 0.0], [40.0, 0.0]]), np.array([0, 0])).tolist()
    [0.6931471805599453, 4.248354255291589e-18]
    """
    rows = np.arange(len(logits))
    maximum, argmax = logits.max(axis=1), logits.argmax(axis=1)
    # Shift by the maximum, so that nothing overflows.
    exponentials = np.exp(logits - maximum[:, np.newaxis])
    # Leave the largest term, exp(0) = 1, out of the sum: next to it, small terms would be rounded away.
    exponentials[rows, argmax] = 0.0
    # Take the log; log1p puts the 1 back without that rounding.
    log_normalizers = np.log1p(exponentials.sum(axis=1))
    # Undo the shift: both terms are >= 0, so nothing cancels.
    loss: FloatArray = (maximum - logits[rows, labels]) + log_normalizers
    return loss


class RowLosses(NamedTuple):
    """What a kernel returns for n samples.

    Fields
    ------
    loss
        [n] nats.
    softmaxed
        How many rows are non-negative and sum to 1, as probabilities do and logits do not.
    gradient
        [n, k], or None.
    kl
        [n] KL divergence from a teacher in nats, or None.
    """

    loss: FloatArray
    softmaxed: int
    gradient: AnyArray | None
    kl: FloatArray | None = None


def cross_entropy(
    logits: AnyArray,
    labels: AnyArray,
    options: LossOptions,
    *,
    gradient_dtype: DTypeLike | None = None,
    gradient_scale: FloatArray | None = None,
) -> RowLosses:
    """Cross-entropy of each row of logits against a class, or against a row of class probabilities.

    With m the maximum of a row, ``l_j = (m - z_j) + log1p(sum of exp(z_i - m) over all i but the first maximum)`` is
    the loss of label j. A sparse label y costs ``(1 - e) w_y l_y + e/k sum_j w_j l_j``, with label smoothing e and
    class weights w; a dense row q costs ``sum_j w_j ((1 - e) q_j + e/k) l_j``, with 0 times inf = 0, and need not sum
    to 1. A temperature T divides all ``z_j - m``.

    Parameters
    ----------
    logits
        [n, k], any real dtype and strides.
    labels
        [n] int64, each in [0, k) (see `check_sparse`), or [n, k], each entry >= 0 (see `check_dense`).
    options
        Smoothing, class weights, temperature and precision.
    gradient_dtype, gradient_scale
        Dtype of the gradient with respect to the logits, or None for no gradient; and [n] factors of its rows, or None.

    Returns
    -------
    RowLosses
        NaN for a row with a NaN or +inf logit or nothing but -inf; inf for a label on a -inf logit.

    See Also
    --------
    probability_cross_entropy : the same for probabilities or log-probabilities.
    teacher_cross_entropy : the same against a teacher's outputs, with the divergence from the teacher.

    References
    ----------
    Blanchard, Higham & Higham, "Accurately computing the log-sum-exp and softmax functions", IMA J. Numer. Anal. 41,
    2021.

    Examples
    --------
    >>> import numpy as np
    >>> from xent_cli.core.options import LossOptions
    >>> cross_entropy(np.array([[0.0, 0.0], [40.0, 0.0]]), np.array([0, 0]), LossOptions()).loss.tolist()
    [0.6931471805599453, 4.248354255291589e-18]
    >>> cross_entropy(np.array([[0.0, 0.0]]), np.array([[0.25, 0.75]]), LossOptions()).loss.tolist()
    [0.6931471805599453]
    """
    if options.kernel != "numpy" and options.precision == "float64":
        from xent_cli.core.kernel.compiled import compiled_cross_entropy

        computed = compiled_cross_entropy(logits, labels, options, gradient_dtype, gradient_scale)
        return RowLosses(computed.loss, _count_softmaxed(logits, options, *computed.sums), computed.gradient)
    n, k = logits.shape
    loss = np.empty(n)
    gradient = None if gradient_dtype is None else np.empty((n, k), gradient_dtype)
    softmaxed = 0
    # With only the loss of a label to compute, no tile is needed once it has been summed.
    loss_only = labels.ndim == 1 and gradient is None and not options.label_smoothing
    step = rows_per_tile(k, loss_only=loss_only)
    tiles = max(1, _ROWS_PER_FINISH // step) if loss_only else 1
    with unbuffered():
        for first in range(0, n, step * tiles):
            rows = slice(first, first + step * tiles)
            softmaxed += _fill(
                logits[rows],
                labels[rows],
                options,
                step,
                loss[rows],
                None if gradient is None else gradient[rows],
                None if gradient_scale is None else gradient_scale[rows],
            )
    return RowLosses(loss, softmaxed, gradient)


def _fill(
    logits: AnyArray,
    labels: AnyArray,
    options: LossOptions,
    step: int,
    loss: FloatArray,
    gradient: AnyArray | None,
    gradient_scale: FloatArray | None,
) -> int:
    """Fill `loss` [n] and `gradient` [n, k] in place; return how many rows look softmaxed.

    Exponentials are computed in tiles of `step` rows. If every class counts or there is a gradient, there is one tile.
    """
    n, k = logits.shape
    axis, sparse = class_axis(k), labels.ndim == 1
    maximum, sum_without_max, label_logits, log_normalizers = (
        scratch(name, (n,), np.float64) for name in ("maximum", "sum_without_max", "label_logits", "log_normalizers")
    )
    # Shift by the maximum, exponentiate and sum, while a tile is in the cache.
    dtype = subtract_dtype(logits.dtype, options)
    for first in range(0, n, step):
        rows = slice(first, first + step)
        outputs = maximum[rows], label_logits[rows], sum_without_max[rows]
        tile = exponentiate(logits[rows], labels[rows], options, dtype, *outputs, may_overwrite=gradient is None)
    # A row with NaN or +inf, or nothing but -inf, has no loss; its sum need not be NaN yet.
    finite = np.isfinite(maximum)
    if not finite.all():
        sum_without_max[~finite] = np.nan
    # Repeat the sum in the rows where the rounding of z - m would be visible in the loss.
    distance = _distance(maximum, label_logits, logits.dtype, options) if sparse else 0.0
    compensate(sum_without_max, logits, maximum, options, 0.0 if tile.class_weights is not None else distance)
    # Take the log and undo the shift.
    np.log1p(sum_without_max, out=log_normalizers)
    np.add(distance, log_normalizers, out=loss)
    # Weight the loss of the label, and add those of all classes: sum_j a_j ((m - z_j)/T + log_normalizer).
    label_weight = _label_weight(labels, options) if sparse else 0.0
    if tile.class_weights is not None or not isinstance(label_weight, float) or label_weight != 1.0:
        of_all_classes = tile.weighted_distance + _product(tile.total_weight, log_normalizers)
        loss[:] = _product(label_weight, loss) + of_all_classes
    # Turn the exponentials into the gradient, in place.
    if gradient is not None:
        assert tile.confident_index is not None
        exponentials = restore_maxima(tile.values, tile.first_maxima, tile.ones)
        scale = np.ones(n) if gradient_scale is None else gradient_scale
        p_minus_1 = np.expm1(-(distance + log_normalizers))
        _differentiate(
            exponentials,
            sum_without_max,
            p_minus_1,
            tile.confident_index,
            tile.class_weights,
            label_weight,
            tile.total_weight,
            scale / options.temperature,
            axis,
        )
        np.copyto(gradient, exponentials.T if axis == 0 else exponentials, casting="unsafe")
    return _count_softmaxed(logits, options, maximum, sum_without_max)


def _count_softmaxed(logits: AnyArray, options: LossOptions, maximum: FloatArray, sum_without_max: FloatArray) -> int:
    return count_softmaxed(logits, maximum, sum_without_max) if options.temperature == 1.0 else 0


def _distance(maximum: FloatArray, label_logits: FloatArray, dtype: np.dtype[Any], options: LossOptions) -> FloatArray:
    """Distance of the label from the maximum, (m - z_y)/T; may overwrite `label_logits`."""
    if dtype.itemsize <= 4 and options.temperature == 1.0:
        return np.subtract(maximum, label_logits, out=label_logits)
    # Halve first: opposite logits near the end of the range would overflow before they are divided.
    return (maximum / 2 - label_logits / 2) / (options.temperature / 2)


def _label_weight(labels: AnyArray, options: LossOptions) -> FloatArray | float:
    """Weight of the loss of the label itself, (1 - e) w_y."""
    weight = 1.0 - options.label_smoothing
    return weight if options.class_weight is None else weight * options.class_weight[labels]


def _differentiate(
    exponentials: AnyArray,
    sum_without_max: FloatArray,
    p_minus_1: FloatArray,
    confident_index: IntArray,
    class_weights: AnyArray | None,
    label_weight: FloatArray | float,
    total_weight: FloatArray | float,
    scale: FloatArray,
    axis: int,
) -> None:
    """Turn the exponentials of a tile into the gradient A p_i - a_i, in place; see the end of this file.

    Parameters
    ----------
    p_minus_1
        [n] p - 1 of the class at `confident_index`.
    """
    exponentials *= per_sample(scale * (label_weight + total_weight) / (1.0 + sum_without_max), axis).astype(
        exponentials.dtype
    )
    gradient = flat(exponentials)
    if class_weights is None:
        gradient[confident_index] = scale * label_weight * p_minus_1
        return
    full = np.broadcast_to(class_weights, exponentials.shape)
    exponentials -= per_sample(scale, axis) * full
    rest = full.copy(order="C")
    flat(rest)[confident_index] = 0.0
    careful = scale * (label_weight * p_minus_1 + (pairwise_sum(rest, axis) + total_weight * p_minus_1))
    # Where p is below a half, A - a_i would cancel against A (p - 1), and A p - a_i has the digits.
    direct = gradient[confident_index] - scale * label_weight
    gradient[confident_index] = np.where(p_minus_1 < -0.5, direct, careful)


def _product(weight: FloatArray | float, loss: FloatArray) -> FloatArray:
    """Multiply, with 0 times inf = 0; NaN stays NaN."""
    if np.ndim(weight) == 0:
        return loss * weight if weight else np.where(np.isnan(loss), loss, 0.0)
    return np.where((np.asarray(weight) == 0) & np.isinf(loss), 0.0, weight * loss)


# Derivation
# ----------
# log softmax(z)_j = z_j - log(sum_i exp z_i) = (z_j - m) - log(1 + s), with s the sum of exp(z_i - m) over all i but
# the first maximum. Both terms of l_j = (m - z_j) + log1p(s) are >= 0, so nothing cancels; and with the maximum's
# exp(0) = 1 left out of s, a tiny loss keeps every digit: at a margin of 40 nats, log(1 + s) is 0 in float64, and
# log1p(s) is 4.2e-18.
#
# The loss of a row is sum_j a_j l_j with weights a >= 0: `label_weight` at a sparse label, plus `class_weights` for
# smoothing or dense labels. With A = sum_j a_j it is the sum of a_j (m - z_j), plus A log1p(s): again terms >= 0.
#
# d l_j / d z_i = p_i - [i = j], so the gradient is A p_i - a_i with p_i = exp(z_i - m) / (1 + s). If p_i is near 1 and
# a_i near A, that difference has no digits left. This can happen at one class only: the label or, with dense labels,
# the maximum. There the gradient is computed as A (p_i - 1) + (A - a_i), where p_i - 1 = expm1(-l_i) is exact to
# rounding and A - a_i is summed without a_i. If p_i is below a half, it is A p_i - a_i there too.
