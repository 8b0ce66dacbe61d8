"""Cross-entropy against a teacher's outputs, and how far the student is from the teacher."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from xent_cli.core.kernel.cross_entropy import RowLosses
from xent_cli.core.kernel.divergence import divergence_terms, log_ratios
from xent_cli.core.kernel.from_probabilities import log_probabilities, weighted_sum
from xent_cli.core.kernel.tiles import flat_index, rows_per_tile, total
from xent_cli.core.scratch import flat

if TYPE_CHECKING:
    from numpy.typing import DTypeLike

    from xent_cli.core.array_types import AnyArray, FloatArray
    from xent_cli.core.options import LossOptions

# Some twenty arrays of the size of a tile are held at once.
_SHARE = 4


def teacher_cross_entropy(
    student: AnyArray,
    teacher: AnyArray,
    options: LossOptions,
    *,
    gradient_dtype: DTypeLike | None = None,
    gradient_scale: FloatArray | None = None,
) -> RowLosses:
    """Cross-entropy and divergence of a student's rows from a teacher's.

    With p the student's and q the teacher's probabilities, ``loss = -sum q_j log p_j`` and
    ``kl = sum q_j (log q_j - log p_j)``. Where both are logits, or divided by their sums, the latter is summed as
    ``q_j (x + exp(-x) - 1)`` with ``x = log q_j - log p_j``: the two sums are equal, for p and q each sum to 1, but
    these terms are all >= 0 and nothing cancels. Where either is used as given, it is the sum as it stands, and may be
    negative where what is given does not sum to 1.

    Parameters
    ----------
    student, teacher
        [n, k] logits, log-probabilities or probabilities: `options.source` and `options.labels_source` say which. Any
        real dtype and strides.
    options
        A temperature divides the student's logits, not the teacher's.
    gradient_dtype, gradient_scale
        As for `cross_entropy`: of the loss, ``(sum q) p - q``, where the student gives logits.

    Examples
    --------
    >>> import numpy as np
    >>> from xent_cli.core.options import LossOptions
    >>> same = np.array([[1.0, 2.0, 3.0]])
    >>> teacher_cross_entropy(same, same, LossOptions(labels="dense", labels_source="logits")).kl.tolist()
    [0.0]
    """
    n, k = student.shape
    loss, kl = np.empty(n), np.empty(n)
    gradient = None if gradient_dtype is None else np.empty((n, k), gradient_dtype)
    sources = options.source, options.labels_source
    both = sources == ("logits", "logits")
    # Each side sums to 1 but for rounding, by a softmax or because xent divided it by its sum.
    normal = all(source == "logits" or (source == "probs" and options.normalize) for source in sources)
    step = max(1, rows_per_tile(k) // _SHARE)
    for first in range(0, n, step):
        rows = slice(first, first + step)
        # In C order, whatever the input's: sums over classes are then added in one order.
        z, t = (np.array(given[rows], np.float64, order="C") for given in (student, teacher))
        log_p, p = _distribution(z, options.source, options.temperature)
        log_q, q = _distribution(t, options.labels_source, 1.0)
        loss[rows] = weighted_sum(q, -log_p)
        if both:
            x = log_ratios(z, t, log_p, log_q, options.temperature)
        else:
            with np.errstate(all="ignore"):  # both impossible: that class counts nothing
                near = np.abs(q - p) < p / 2 if sources == ("probs", "probs") else np.zeros(p.shape, np.bool_)
                x = np.where(near, np.log1p((q - p) / p), log_q - log_p)
        with np.errstate(over="ignore", invalid="ignore"):
            terms = divergence_terms(x, p, q) if normal else np.where(q == 0, 0.0, q * x)
            divergence = total(terms, 1)
        kl[rows] = np.where(np.isnan(loss[rows]), np.nan, divergence)
        if gradient is not None:
            scale = np.ones(len(z)) if gradient_scale is None else gradient_scale[rows]
            with np.errstate(over="ignore", invalid="ignore"):
                # p - q = -p (exp(x) - 1) keeps its digits where the two are close.
                difference = (
                    np.where(np.abs(x) < 1.0, -p * np.expm1(x), p - q) if both else _given_gradient(log_p, p, q)
                )
                difference[np.isnan(loss[rows])] = np.nan
                gradient[rows] = difference * (scale / options.temperature)[:, np.newaxis]
    return RowLosses(loss, 0, gradient, kl=kl)


def _distribution(given: FloatArray, source: str, temperature: float) -> tuple[FloatArray, FloatArray]:
    """Log-probabilities and probabilities of rows; NaN in a row that is no distribution."""
    if source != "logits":
        return log_probabilities(given, source)
    at_peak = flat_index(given, given.argmax(axis=1), 1)
    maximum = flat(given)[at_peak][:, np.newaxis]
    with np.errstate(invalid="ignore", over="ignore"):
        # Halved, so that opposite logits near the end of the range do not overflow before they are divided.
        d = (given / 2 - maximum / 2) / (temperature / 2) if temperature > 1.0 else (given - maximum) / temperature
    e = np.exp(d)
    flat(e)[at_peak] = 0.0
    others = total(e, 1)[:, np.newaxis]
    flat(e)[at_peak] = 1.0
    others[~np.isfinite(maximum)] = np.nan
    return d - np.log1p(others), e / (1.0 + others)


def _given_gradient(log_p: FloatArray, p: FloatArray, q: FloatArray) -> FloatArray:
    """(sum q) p - q for a q that is used as given, with all digits also where p is nearly 1.

    There, at the class r that p has most of, it is ``(sum of q without q_r) p_r - q_r (1 - p_r)``.
    """
    at_peak = flat_index(p, p.argmax(axis=1), 1)
    own_p, own_q = flat(p)[at_peak], flat(q)[at_peak]
    rest_p = -np.expm1(flat(log_p)[at_peak])
    without = q.copy(order="C")
    flat(without)[at_peak] = 0.0
    difference = total(q, 1)[:, np.newaxis] * p - q
    flat(difference)[at_peak] = total(without, 1) * own_p - own_q * rest_p
    return difference
