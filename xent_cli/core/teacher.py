"""Cross-entropy against a teacher's outputs, and how far the student is from the teacher."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from xent_cli.core.cross_entropy import RowLosses
from xent_cli.core.probabilities import log_probabilities, weighted_sum
from xent_cli.core.tiles import flat_index, rows_per_tile, total

if TYPE_CHECKING:
    from numpy.typing import DTypeLike

    from xent_cli.core.block import AnyArray, FloatArray
    from xent_cli.core.options import LossOptions

# Below this the series of x + exp(-x) - 1 is exact to rounding after its ninth term, and the closed form cancels.
_SMALL = 0.125
_SERIES = (1 / 2, -1 / 6, 1 / 24, -1 / 120, 1 / 720, -1 / 5040, 1 / 40320, -1 / 362880, 1 / 3628800)


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
    ``kl = sum q_j (log q_j - log p_j)``, the latter summed as ``q_j (x + exp(-x) - 1)`` with ``x = log q_j - log p_j``:
    the two sums are equal, for p and q each sum to 1, but these terms are all >= 0 and nothing cancels.

    Parameters
    ----------
    student, teacher
        [n, k] logits, log-probabilities or probabilities: `options.source` and `options.labels_source` say which.
    options
        A temperature divides the student's logits, not the teacher's.
    gradient_dtype, gradient_scale
        As for `cross_entropy`: of the loss, where the student gives logits.

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
    step = rows_per_tile(k)
    for first in range(0, n, step):
        rows = slice(first, first + step)
        z, t = student[rows].astype(np.float64), teacher[rows].astype(np.float64)
        log_p, p = _distribution(z, options.source, options.temperature)
        log_q, q = _distribution(t, options.labels_source, 1.0)
        with np.errstate(invalid="ignore"):  # both impossible: -inf - -inf, and such a class counts nothing
            x = log_q - log_p
        if options.source == "logits" and options.labels_source == "logits" and options.temperature == 1.0:
            x = _near(x, z, t, p)
        loss[rows] = weighted_sum(q, -log_p)
        terms = _terms(x, p, q)
        kl[rows] = np.where(np.isnan(loss[rows]), np.nan, total(terms, 1))
        if gradient is not None:
            scale = np.ones(len(z)) if gradient_scale is None else gradient_scale[rows]
            with np.errstate(over="ignore", invalid="ignore"):
                # p - q = -p (exp(x) - 1) keeps its digits where the two are close.
                difference = np.where(np.abs(x) < 1.0, -p * np.expm1(x), p - q)
                gradient[rows] = difference * (scale / options.temperature)[:, np.newaxis]
    return RowLosses(loss, 0, gradient, kl=kl)


def _distribution(given: FloatArray, source: str, temperature: float) -> tuple[FloatArray, FloatArray]:
    """Log-probabilities and probabilities of rows; NaN in a row that is no distribution."""
    if source != "logits":
        return log_probabilities(given, source)
    at_peak = flat_index(given, given.argmax(axis=1), 1)
    maximum = given.ravel()[at_peak][:, np.newaxis]
    with np.errstate(invalid="ignore", over="ignore"):
        d = (given - maximum) / temperature
    e = np.exp(d)
    e.ravel()[at_peak] = 0.0
    others = total(e, 1)[:, np.newaxis]
    e.ravel()[at_peak] = 1.0
    others[~np.isfinite(maximum)] = np.nan
    return d - np.log1p(others), e / (1.0 + others)


def _near(x: FloatArray, z: FloatArray, t: FloatArray, p: FloatArray) -> FloatArray:
    """Log-ratios again, from the differences of the logits, in rows where those are small.

    With u = t - z up to a constant, x_j = u_j - log sum_i p_i exp(u_i): no digit is lost to the size of the logits.
    """
    with np.errstate(invalid="ignore"):
        u = t - z
        u -= np.take_along_axis(u, p.argmax(axis=1)[:, np.newaxis], axis=1)
    u[(z == -np.inf) & (t == -np.inf)] = 0.0
    near = np.flatnonzero((np.abs(u) < 0.5).all(axis=1))
    if near.size:
        shift = np.log1p(total(p[near] * np.expm1(u[near]), 1))
        x[near] = u[near] - shift[:, np.newaxis]
    return x


def _terms(x: FloatArray, p: FloatArray, q: FloatArray) -> FloatArray:
    """Q (x + exp(-x) - 1) = q x - q + p, each >= 0."""
    small = np.abs(x) < _SMALL
    with np.errstate(invalid="ignore", over="ignore"):
        terms = np.where(q == 0, p, q * x - q + p)
        s = np.where(small, x, 0.0)
    series = np.zeros_like(s)
    for coefficient in reversed(_SERIES):
        series = series * s + coefficient
    return np.where(small, q * s * s * series, np.maximum(terms, 0.0))
