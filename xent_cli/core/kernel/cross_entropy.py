"""Softmax cross-entropy of rows of logits and its gradient, stable at every margin.

The derivation stands at the foot of this file.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from xent_cli.core.kernel.already_softmaxed import count_softmaxed
from xent_cli.core.kernel.compensated_sum import refine
from xent_cli.core.kernel.exponentials import exponentiate, stage_dtype
from xent_cli.core.kernel.maxima import restore_peaks
from xent_cli.core.kernel.tiles import class_axis, rows_per_tile, spread, total, unbuffered
from xent_cli.core.scratch import flat, scratch

if TYPE_CHECKING:
    from numpy.typing import DTypeLike

    from xent_cli.core.array_types import AnyArray, FloatArray, IntArray
    from xent_cli.core.options import LossOptions

# Tiles of up to so many rows are finished together: a call on few rows takes longer than its work, and between calls
# two threads wait for one another.
_ROWS_FINISHED = 1 << 16


@dataclass(frozen=True, slots=True, eq=False)
class RowLosses:
    """What the kernel says of n samples.

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

    With m the row's maximum, ``l_j = (m - z_j) + log1p(sum of exp(z_i - m) over all i but the first maximum)`` is the
    loss of label j. A sparse label y costs ``(1 - e) w_y l_y + e/k sum_j w_j l_j``, with label smoothing e and class
    weights w; a dense row q costs ``sum_j w_j ((1 - e) q_j + e/k) l_j``, with 0 times inf = 0, and need not sum to 1.
    A temperature T divides all ``z_j - m``.

    Parameters
    ----------
    logits
        [n, k], any real dtype and strides.
    labels
        [n] int64, each in [0, k) (see `check_sparse`), or [n, k], each entry >= 0 (see `check_dense`).
    options
        Smoothing, class weights, temperature and precision.
    gradient_dtype, gradient_scale
        Whether to compute the gradient with respect to the logits, and [n] what each row's is multiplied by.

    Returns
    -------
    RowLosses
        NaN for a row with a NaN or +inf logit or nothing but -inf; inf for a label on a -inf logit.

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
    n, k = logits.shape
    loss = np.empty(n)
    gradient = None if gradient_dtype is None else np.empty((n, k), gradient_dtype)
    softmaxed = 0
    alone = labels.ndim == 1 and gradient is None and not options.label_smoothing  # nothing of a tile is wanted again
    step = rows_per_tile(k, alone=alone)
    together = max(1, _ROWS_FINISHED // step) if alone else 1
    with unbuffered():
        for first in range(0, n, step * together):
            rows = slice(first, first + step * together)
            softmaxed += _strip(
                logits[rows],
                labels[rows],
                options,
                step,
                loss[rows],
                None if gradient is None else gradient[rows],
                None if gradient_scale is None else gradient_scale[rows],
            )
    return RowLosses(loss, softmaxed, gradient)


def _strip(
    logits: AnyArray,
    labels: AnyArray,
    options: LossOptions,
    step: int,
    loss: FloatArray,
    gradient: AnyArray | None,
    gradient_scale: FloatArray | None,
) -> int:
    """Fill `loss` [n] and `gradient` [n, k] in place, by tiles of `step` rows; return how many rows look softmaxed.

    The rows are those of one tile, where there is a gradient or every class counts.
    """
    n, k = logits.shape
    axis = class_axis(k)
    sparse = labels.ndim == 1
    maximum, others, at_label, log_total = (
        scratch(name, (n,), np.float64) for name in ("maximum", "others", "at_label", "log_total")
    )
    stage = stage_dtype(logits.dtype, options)
    for first in range(0, n, step):
        rows = slice(first, first + step)
        sums = maximum[rows], at_label[rows], others[rows]
        tile = exponentiate(logits[rows], labels[rows], options, stage, *sums, spare=gradient is None)
    finite = np.isfinite(maximum)
    if not finite.all():
        others[~finite] = np.nan
    distance = _distance(maximum, at_label, logits.dtype, options) if sparse else 0.0
    refine(others, logits, maximum, options, 0.0 if tile.background is not None else distance)
    np.log1p(others, out=log_total)
    core = _label_weight(labels, options) if sparse else 0.0
    np.add(distance, log_total, out=loss)
    if tile.background is not None or not isinstance(core, float) or core != 1.0:
        loss[:] = _product(core, loss) + (tile.weighed + _product(tile.mass, log_total))
    if gradient is not None:
        assert tile.at_index is not None
        e = restore_peaks(tile.e, tile.at_peak, tile.peaks)
        scale = np.ones(n) if gradient_scale is None else gradient_scale
        confidence = np.expm1(-(distance + log_total))
        scale = scale / options.temperature
        _differentiate(e, others, confidence, tile.at_index, tile.background, core, tile.mass, scale, axis)
        np.copyto(gradient, e.T if axis == 0 else e, casting="unsafe")
    return count_softmaxed(logits, maximum, others) if options.temperature == 1.0 else 0


def _distance(maximum: FloatArray, at_label: FloatArray, dtype: np.dtype[Any], options: LossOptions) -> FloatArray:
    """How far the label lies below the maximum: (m - z_y)/T. It may stand in place of `at_label`."""
    if dtype.itemsize <= 4 and options.temperature == 1.0:
        return np.subtract(maximum, at_label, out=at_label)
    # Halved, so that opposite logits near the end of the range do not overflow before they are divided.
    return (maximum / 2 - at_label / 2) / (options.temperature / 2)


def _label_weight(labels: AnyArray, options: LossOptions) -> FloatArray | float:
    """What the loss of the label itself counts: (1 - e) w_y."""
    kept = 1.0 - options.label_smoothing
    return kept if options.class_weight is None else kept * options.class_weight[labels]


def _differentiate(
    e: AnyArray,
    others: FloatArray,
    confidence: FloatArray,
    at_index: IntArray,
    background: AnyArray | None,
    core: FloatArray | float,
    mass: FloatArray | float,
    scale: FloatArray,
    axis: int,
) -> None:
    """Turn the exponentials of a tile into the gradient, in place.

    `confidence` is p - 1 of the class at `at_index`.
    """
    e *= spread(scale * (core + mass) / (1.0 + others), axis).astype(e.dtype)
    if background is None:
        flat(e)[at_index] = scale * core * confidence
        return
    full = np.broadcast_to(background, e.shape)
    e -= spread(scale, axis) * full
    without = full.copy(order="C")
    flat(without)[at_index] = 0.0
    careful = scale * (core * confidence + (total(without, axis) + mass * confidence))
    # Where p is small the other way about: there A - a_i would cancel against A (p - 1).
    flat(e)[at_index] = np.where(confidence < -0.5, flat(e)[at_index] - scale * core, careful)


def _product(weight: FloatArray | float, loss: FloatArray) -> FloatArray:
    """Multiply, with 0 times inf = 0; NaN stays NaN."""
    if np.ndim(weight) == 0:
        return loss * weight if weight else np.where(np.isnan(loss), loss, 0.0)
    return np.where((np.asarray(weight) == 0) & np.isinf(loss), 0.0, weight * loss)


# Derivation
# ----------
# log softmax(z)_j = z_j - log(sum_i exp z_i) = (z_j - m) - log(1 + s), s the sum of exp(z_i - m) without the first
# maximum. Both terms of l_j = (m - z_j) + log1p(s) are >= 0, so nothing cancels, and with the maximum's exp(0) = 1 left
# out of s a tiny loss keeps every digit: at a margin of 40 nats log(1 + s) in float64 is 0, log1p(s) is 4.2e-18.
#
# A row's loss is sum_j a_j l_j for some a >= 0: a is `core` at a sparse label, plus `background` for smoothing or dense
# labels. Its sum over the distances and over log1p(s) are again sums of terms >= 0.
#
# d l_j / d z_i = p_i - [i = j], so the gradient is A p_i - a_i with A = sum a and p_i = exp(z_i - m) / (1 + s). Where
# p_i is near 1 and a_i near A that difference has no digits left. So at the one class where p can be near 1 and the row
# confident (the label; with dense labels the maximum) it is written A (p_i - 1) + (A - a_i): p_i - 1 = expm1(-l_i)
# exactly to rounding, and A - a_i is summed without a_i. Where p_i is below a half it is A p_i - a_i there too.
