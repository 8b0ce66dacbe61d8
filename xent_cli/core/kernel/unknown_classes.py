"""What the classes that are not known add to both ends of a divergence and a cross-entropy; see `partial_rows`."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import numpy as np

if TYPE_CHECKING:
    from xent_cli.core.array_types import BoolArray, FloatArray, IntArray

# Bound on the error of a sum of float64 terms, relative to the sum of their magnitudes.
ROUNDING = 1e-13


class Rest(NamedTuple):
    """Total probability [n] of the classes that are not known: from `low` to `high`, at most `most` each."""

    low: FloatArray
    high: FloatArray
    most: FloatArray


def ends_of_unknown(
    highest: FloatArray, lowest: FloatArray, others: BoolArray, rest: Rest
) -> tuple[FloatArray, FloatArray, FloatArray, FloatArray]:
    """Return what the unknown classes add to both ends of the divergence, and of the cross-entropy.

    Parameters
    ----------
    highest, lowest
        [n, k] bounds of the log-probabilities of the model.
    others
        [n, k] which classes of the reference are not known.
    rest
        What these share, of which none is 0.

    Examples
    --------
    >>> log_q = np.log([[0.5, 0.25, 0.25]])
    >>> rest = Rest(np.array([0.25]), np.array([0.25]), np.array([0.25]))
    >>> low, high, *_ = ends_of_unknown(log_q, log_q, np.array([[False, True, True]]), rest)
    >>> low.round(6).tolist(), high.round(6).tolist()  # shared equally: ln (1/2) / 4; or all in one class
    ([-0.173287], [0.0])
    """
    size = np.count_nonzero(others, axis=1)
    low_first = _first(np.where(others, lowest, np.inf), size, rest.high / rest.most)
    high_first = _first(np.where(others, -highest, np.inf), size, rest.low / rest.most)
    return (
        _least_divergence(np.where(others, highest, -np.inf), rest),
        _most_divergence(low_first, size, rest),
        _placed(-high_first, size, rest.low, rest.most),
        _placed(low_first, size, rest.high, rest.most),
    )


def _least_divergence(highest: FloatArray, rest: Rest) -> FloatArray:
    """Return the minimum of ``sum p (log p - log q)`` over classes that share the rest: p is proportional to q."""
    top = highest.max(axis=1)
    none = top == -np.inf
    top = np.where(none, 0.0, top)
    with np.errstate(divide="ignore", invalid="ignore"):
        log_q = np.minimum(0.0, top + np.log(np.exp(highest - top[:, np.newaxis]).sum(axis=1)))
        # r (log r - log q) is convex in r, with its minimum at q/e.
        r = np.minimum(np.maximum(np.exp(log_q - 1.0), rest.low), rest.high)
        value = np.where(r > 0.0, r * (np.log(r) - log_q), 0.0)
        value = value - ROUNDING * np.abs(value)
    return np.where(none, np.where(rest.low > 0.0, np.inf, 0.0), value)


def _first(values: FloatArray, size: IntArray, filled: FloatArray) -> FloatArray:
    """Return the lowest of each row in ascending order, as many as any row can fill, and one more."""
    reach = int(min(size.max(), filled.max() + 2.0))
    if reach < values.shape[1]:
        values = np.partition(values, reach - 1, axis=1)[:, :reach]
    return np.sort(values, axis=1)


def _most_divergence(ascending: FloatArray, size: IntArray, rest: Rest) -> FloatArray:
    """Return the maximum of ``sum p (log p - log q)``: p is `rest.most` at the classes with the lowest q."""
    most = rest.most[:, np.newaxis]
    gains = most * (np.log(most) - ascending)
    sums = _running(gains)
    size = np.minimum(size, (rest.high / rest.most).astype(np.int64) + 2)
    rows = np.arange(len(size))

    def at(r: FloatArray) -> FloatArray:
        full = np.minimum((r / rest.most).astype(np.int64), size)
        left = r - full * rest.most
        partial = (left > 0.0) & (full < size)
        next_one = ascending[rows, np.minimum(full, ascending.shape[1] - 1)]
        with np.errstate(divide="ignore", invalid="ignore"):
            return sums[rows, full] + np.where(partial, left * (np.log(left) - next_one), 0.0)

    # The sum is convex in r between whole numbers of classes, and concave over these: it is highest where q passes p.
    first = np.ceil(rest.low / rest.most).astype(np.int64)
    last = np.minimum((rest.high / rest.most).astype(np.int64), size)
    highest = np.maximum(at(rest.low), at(rest.high))
    best = np.minimum(np.maximum(np.count_nonzero(gains > 0.0, axis=1), first), last)
    highest = np.where(first <= last, np.maximum(highest, sums[rows, best]), highest)
    highest = highest + ROUNDING * _running(np.abs(gains))[rows, size]
    return np.where(ascending[:, 0] == -np.inf, np.inf, highest)


def _placed(log_q: FloatArray, size: IntArray, r: FloatArray, most: FloatArray) -> FloatArray:
    """Return ``sum p (-log q)`` with p = `most` at the first classes, until it adds up to r."""
    rows = np.arange(len(r))
    full = np.minimum((r / most).astype(np.int64), size)
    left = r - full * most
    next_one = log_q[rows, np.minimum(full, log_q.shape[1] - 1)]
    with np.errstate(invalid="ignore"):
        whole = np.where(full > 0, most * _running(-log_q)[rows, full], 0.0)
        return whole - np.where((left > 0.0) & (full < size), left * next_one, 0.0)


def _running(values: FloatArray) -> FloatArray:
    """Return the sums of the first 0, 1, ... values of each row."""
    with np.errstate(invalid="ignore"):
        return np.concatenate([np.zeros((len(values), 1)), np.cumsum(values, axis=1)], axis=1)
