"""Softmax cross-entropy of rows of logits and its gradient, accurate at every margin.

`reference` is the whole idea in plain NumPy. `cross_entropy` computes the same with options and gradients, for every
dtype and layout: in C if the options say so, and otherwise here, in tiles that fit the cache. The derivation is at the
end of this file.

See Also
--------
xent_cli.core.kernel.compiled : the same in C.
xent_cli.core.kernel.from_probabilities : rows of probabilities or log-probabilities in place of logits.
xent_cli.core.kernel.distillation : a teacher's outputs in place of labels.
xent_cli.core.kernel.textbook_formula : the formula that overflows, for comparison.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from xent_cli.core.kernel.already_softmaxed import count_softmaxed
from xent_cli.core.kernel.compensated_sum import compensate
from xent_cli.core.kernel.tiles import pairwise_sum, rows_per_tile, tile_of

if TYPE_CHECKING:
    from numpy.typing import DTypeLike

    from xent_cli.core.array_types import AnyArray, FloatArray, IntArray
    from xent_cli.core.kernel.streamed_logits import StreamedLogits, StreamedLosses
    from xent_cli.core.options import LossOptions


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
    scale = None if gradient is None else np.ones(n) if gradient_scale is None else gradient_scale
    softmaxed, step = 0, rows_per_tile(k)
    # Infinity and NaN are results here, not mistakes: inf - inf is NaN, and so is the loss of such a row.
    with np.errstate(all="ignore"):
        for first in range(0, n, step):
            rows = slice(first, first + step)
            found = _tile(logits[rows], labels[rows], options, None if scale is None else scale[rows])
            loss[rows] = found.loss
            softmaxed += found.softmaxed
            if gradient is not None:
                gradient[rows] = found.gradient
    return RowLosses(loss, softmaxed, gradient)


def streamed_cross_entropy(
    logits: StreamedLogits, labels: IntArray, options: LossOptions, *, ranks: bool
) -> tuple[RowLosses, StreamedLosses]:
    """Compute the same as `cross_entropy` for logits that stay in the file, and the ranks of the labels."""
    streamed = logits.losses(labels, options, ranks=ranks)
    softmaxed = _count_softmaxed(logits, options, *streamed.computed.sums)
    return RowLosses(streamed.computed.loss, softmaxed, None), streamed


class _Weights(NamedTuple):
    """The weight a_j of each l_j in the loss of a row: `label` [n] at a sparse label, plus `classes` [n, k] or [1, k].

    `classes` is None without smoothing or dense labels; `total` [n] or [1] is its sum.
    """

    label: FloatArray | float
    classes: FloatArray | None
    total: FloatArray | float


def _tile(logits: AnyArray, labels: AnyArray, options: LossOptions, scale: FloatArray | None) -> RowLosses:
    """Losses of the rows of a tile, and their gradients times `scale` [n] unless that is None."""
    sparse, rows = labels.ndim == 1, np.arange(len(logits))
    z = tile_of(logits, np.float64)
    # Shift by the maximum, so that nothing overflows.
    maximum = z.max(axis=1)
    d = z - maximum[:, np.newaxis]
    if options.temperature != 1.0:
        d /= options.temperature
    # Leave the largest term, exp(0) = 1, out of the sum: no other term is 1 unless it is a tie, which is added last.
    e = _exponentials(d, options)
    ones = np.floor(e)
    e -= ones
    s = pairwise_sum(e) + (ones.sum(axis=1) - 1.0)
    # Repeat the sum in the rows where the rounding of z - m would be visible in the loss.
    weights = _weights(labels, options, z.shape[1])
    distance = _distance(maximum, z[rows, labels], options) if sparse else np.zeros(len(z))
    compensate(s, logits, maximum, options, distance if weights.classes is None else np.zeros(len(z)))
    # Take the log and undo the shift: sum_j a_j ((m - z_j)/T + log_normalizer).
    log_normalizer = np.log1p(s)
    of_all_classes = _weighted_distance(weights.classes, d) + _product(weights.total, log_normalizer)
    loss = _product(weights.label, distance + log_normalizer) + of_all_classes
    softmaxed = _count_softmaxed(logits, options, maximum, s)
    if scale is None:
        return RowLosses(loss, softmaxed, None)
    e += ones
    # The class at which A p_i - a_i may have no digits left, and its p_i - 1.
    careful = rows, labels if sparse else z.argmax(axis=1)
    p_minus_1 = np.expm1(-(distance + log_normalizer))
    return RowLosses(loss, softmaxed, _gradient(e, s, weights, careful, p_minus_1, scale / options.temperature))


def _gradient(
    e: FloatArray,
    s: FloatArray,
    weights: _Weights,
    careful: tuple[IntArray, IntArray],
    p_minus_1: FloatArray,
    scale: FloatArray,
) -> FloatArray:
    """Turn the exponentials `e` of a tile, whose rows sum to 1 + `s`, into the gradient A p_i - a_i times `scale`."""
    e *= (scale * (weights.label + weights.total) / (1.0 + s))[:, np.newaxis]
    rest: FloatArray | float = 0.0
    if weights.classes is not None:
        others = np.array(np.broadcast_to(weights.classes, e.shape))
        e -= scale[:, np.newaxis] * others
        others[careful] = 0.0
        rest = pairwise_sum(others)
    # At the careful class, compute A (p_i - 1) + (A - a_i).
    plain = e[careful] - scale * weights.label
    exact = scale * (weights.label * p_minus_1 + (rest + weights.total * p_minus_1))
    e[careful] = np.where(p_minus_1 < -0.5, plain, exact)
    return e


def _exponentials(d: FloatArray, options: LossOptions) -> FloatArray:
    """Return exp(d) for d <= 0, computed in the precision of the options."""
    if options.precision == "float64":
        return np.exp(d)
    d = np.maximum(d, -1000.0)  # -inf - -inf would be NaN
    narrow = d.astype(np.float32)
    e = np.exp(narrow)
    e *= 1 + (d - narrow).astype(np.float32)  # what rounding d lost: exp(d) = exp(narrow) (1 + rest)
    return e.astype(np.float64)


def _count_softmaxed(
    logits: AnyArray | StreamedLogits, options: LossOptions, maximum: FloatArray, sum_without_max: FloatArray
) -> int:
    return count_softmaxed(logits, maximum, sum_without_max) if options.temperature == 1.0 else 0


def _distance(maximum: FloatArray, label_logits: FloatArray, options: LossOptions) -> FloatArray:
    """Distance of the label from the maximum, (m - z_y)/T."""
    if options.temperature == 1.0:
        return maximum - label_logits
    # Halve first: opposite logits near the end of the range would overflow before they are divided.
    return (maximum / 2 - label_logits / 2) / (options.temperature / 2)


def _weights(labels: AnyArray, options: LossOptions, num_classes: int) -> _Weights:
    """Weights of the losses: (1 - e) w_y at a sparse label y, or w_j (1 - e) q_j for a dense one, plus w_j e/k."""
    smoothing, class_weight = options.label_smoothing, options.class_weight
    label: FloatArray | float = 0.0
    if labels.ndim == 1:
        label = 1.0 - smoothing if class_weight is None else (1.0 - smoothing) * class_weight[labels]
        if not smoothing:
            return _Weights(label, None, 0.0)
        classes = np.full((1, num_classes), smoothing / num_classes)
    else:
        classes = (1.0 - smoothing) * tile_of(labels, np.float64) + smoothing / num_classes
    if class_weight is not None:
        classes = classes * class_weight
    return _Weights(label, classes, pairwise_sum(classes))


def _weighted_distance(weights: FloatArray | None, d: FloatArray) -> FloatArray | float:
    """Sum a_j (m - z_j)/T over the classes, with 0 times inf = 0."""
    if weights is None:
        return 0.0
    products = weights * d
    if np.isnan(products).any():
        products = np.where(weights == 0.0, 0.0, products)
    return -pairwise_sum(products)


def _product(weight: FloatArray | float, loss: FloatArray) -> FloatArray:
    """Multiply, with 0 times inf = 0; NaN stays NaN."""
    return np.where((np.asarray(weight) == 0.0) & np.isinf(loss), 0.0, weight * loss)


# Derivation
# ----------
# log softmax(z)_j = z_j - log(sum_i exp z_i) = (z_j - m) - log(1 + s), with s the sum of exp(z_i - m) over all i but
# the first maximum. Both terms of l_j = (m - z_j) + log1p(s) are >= 0, so nothing cancels; and with the maximum's
# exp(0) = 1 left out of s, a tiny loss keeps every digit: at a margin of 40 nats, log(1 + s) is 0 in float64, and
# log1p(s) is 4.2e-18.
#
# The loss of a row is sum_j a_j l_j with weights a >= 0 (`_Weights`): one at a sparse label, and one of each class for
# smoothing or dense labels. With A = sum_j a_j it is the sum of a_j (m - z_j), plus A log1p(s): again terms >= 0.
#
# d l_j / d z_i = p_i - [i = j], so the gradient is A p_i - a_i with p_i = exp(z_i - m) / (1 + s). If p_i is near 1 and
# a_i near A, that difference has no digits left. This can happen at one class only: the label or, with dense labels,
# the maximum. There the gradient is computed as A (p_i - 1) + (A - a_i), where p_i - 1 = expm1(-l_i) is exact to
# rounding and A - a_i is summed without a_i. If p_i is below a half, it is A p_i - a_i there too.
