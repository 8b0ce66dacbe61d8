"""Cross-entropy of a student against a teacher's outputs, and its divergence from the teacher.

See Also
--------
xent_cli.core.kernel.cross_entropy : the same against labels.
xent_cli.core.kernel.divergence : the terms of the divergence.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from xent_cli.core.kernel.cross_entropy import RowLosses
from xent_cli.core.kernel.divergence import divergence_terms, log_ratios
from xent_cli.core.kernel.from_probabilities import log_probabilities, weighted_sum
from xent_cli.core.kernel.tiles import pairwise_sum, rows_per_tile

if TYPE_CHECKING:
    from collections.abc import Iterator

    from numpy.typing import DTypeLike

    from xent_cli.core.array_types import AnyArray, FloatArray
    from xent_cli.core.options import LossOptions

# About twenty arrays of the size of a tile are in memory at once, so tiles are a quarter of the usual size.
_TILE_SHARE = 4


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
    ``kl = sum q_j (log q_j - log p_j)``. If both sum to 1, because they come from logits or were divided by their sums,
    the divergence is computed as the sum of ``q_j (x + exp(-x) - 1)`` with ``x = log q_j - log p_j``. The two sums are
    then equal, but these terms are all >= 0, so nothing cancels. Otherwise it is the first sum, which may be negative
    if the rows do not sum to 1.

    Parameters
    ----------
    student, teacher
        [n, k] logits, log-probabilities or probabilities: `options.source` and `options.labels_source` say which. Any
        real dtype and strides.
    options
        Each side has a temperature of its own, which divides its logits.
    gradient_dtype, gradient_scale
        As for `cross_entropy`; the gradient ``(sum q) p - q`` requires a student of logits.

    Examples
    --------
    >>> import numpy as np
    >>> from xent_cli.core.options import LossOptions
    >>> same = np.array([[1.0, 2.0, 3.0]])
    >>> teacher_cross_entropy(same, same, LossOptions(labels="dense", labels_source="logits")).kl.tolist()
    [0.0]
    """
    if options.kernel != "numpy":
        from xent_cli.core.kernel.compiled import compiled_cross_entropy

        computed = compiled_cross_entropy(student, teacher, options, gradient_dtype, gradient_scale)
        return RowLosses(computed.loss, 0, computed.gradient, kl=computed.kl)
    n, k = student.shape
    loss, kl = np.empty(n), np.empty(n)
    gradient = None if gradient_dtype is None else np.empty((n, k), gradient_dtype)
    both = options.source == options.labels_source == "logits"
    normal = options.both_sum_to_1
    for rows, (log_p, p, _, q, x) in distributions(student, teacher, options):
        loss[rows] = weighted_sum(q, -log_p)
        with np.errstate(over="ignore", invalid="ignore"):
            terms = divergence_terms(x, p, q) if normal else np.where(q == 0, 0.0, q * x)
            divergence = pairwise_sum(terms)
        kl[rows] = np.where(np.isnan(loss[rows]), np.nan, divergence)
        if gradient is not None:
            scale = np.ones(len(p)) if gradient_scale is None else gradient_scale[rows]
            with np.errstate(over="ignore", invalid="ignore"):
                # p - q = -p (exp(x) - 1) keeps its digits where the two are close.
                difference = (
                    np.where(np.abs(x) < 1.0, -p * np.expm1(x), p - q) if both else _gradient_as_is(log_p, p, q)
                )
                difference[np.isnan(loss[rows])] = np.nan
                gradient[rows] = difference * (scale / options.temperature)[:, np.newaxis]
    return RowLosses(loss, 0, gradient, kl=kl)


class Distributions(NamedTuple):
    """Both distributions of some rows [n, k]: p of the student, q of the teacher, and log(q/p)."""

    log_p: FloatArray
    p: FloatArray
    log_q: FloatArray
    q: FloatArray
    log_ratio: FloatArray


def distributions(student: AnyArray, teacher: AnyArray, options: LossOptions) -> Iterator[tuple[slice, Distributions]]:
    """Yield the distributions of a few rows at a time, as many as fit into the cache; NaN in invalid rows."""
    n, k = student.shape
    sources = options.source, options.labels_source
    step = max(1, rows_per_tile(k) // _TILE_SHARE)
    for first in range(0, n, step):
        rows = slice(first, first + step)
        # In C order whatever the order of the input, so that sums over classes are always added in the same order.
        z, t = (np.array(side[rows], np.float64, order="C") for side in (student, teacher))
        log_p, p = _distribution(z, options.source, options.temperature)
        log_q, q = _distribution(t, options.labels_source, options.teacher_temperature)
        if sources == ("logits", "logits"):
            x = log_ratios(z, t, log_p, log_q, options.temperature, options.teacher_temperature)
        else:
            with np.errstate(all="ignore"):  # a class that is impossible in both adds nothing
                near = np.abs(q - p) < p / 2 if sources == ("probs", "probs") else np.zeros(p.shape, np.bool_)
                x = np.where(near, np.log1p((q - p) / p), log_q - log_p)
        yield rows, Distributions(log_p, p, log_q, q, x)


def log_distribution(rows: FloatArray, source: str, temperature: float) -> FloatArray:
    """Return log-probabilities of rows [n, k]; NaN in rows that are invalid."""
    return _distribution(rows, source, temperature)[0]


def _distribution(rows: FloatArray, source: str, temperature: float) -> tuple[FloatArray, FloatArray]:
    """Return log-probabilities and probabilities of rows; NaN in rows that are invalid."""
    if source != "logits":
        return log_probabilities(rows, source)
    first_maxima = np.arange(len(rows)), rows.argmax(axis=1)
    maximum = rows[first_maxima][:, np.newaxis]
    with np.errstate(invalid="ignore", over="ignore"):
        # Halve first: opposite logits near the end of the range would overflow before they are divided.
        d = (rows / 2 - maximum / 2) / (temperature / 2) if temperature > 1.0 else (rows - maximum) / temperature
    e = np.exp(d)
    e[first_maxima] = 0.0
    sum_without_max = pairwise_sum(e)[:, np.newaxis]
    e[first_maxima] = 1.0
    sum_without_max[~np.isfinite(maximum)] = np.nan
    return d - np.log1p(sum_without_max), e / (1.0 + sum_without_max)


def _gradient_as_is(log_p: FloatArray, p: FloatArray, q: FloatArray) -> FloatArray:
    """Return (sum q) p - q for a q that need not sum to 1, accurate even where p is nearly 1.

    At the most probable class r it is computed as ``(sum of q without q_r) p_r - q_r (1 - p_r)``.
    """
    first_maxima = np.arange(len(p)), p.argmax(axis=1)
    own_p, own_q = p[first_maxima], q[first_maxima]
    rest_p = -np.expm1(log_p[first_maxima])
    rest = q.copy(order="C")
    rest[first_maxima] = 0.0
    difference = pairwise_sum(q)[:, np.newaxis] * p - q
    difference[first_maxima] = pairwise_sum(rest) * own_p - own_q * rest_p
    return difference
