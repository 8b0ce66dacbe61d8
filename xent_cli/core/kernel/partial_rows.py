"""Bounds on the divergence and cross-entropy of rows that are only partly known.

In a *partial* row, the log-probabilities of some classes are known to within a width d, such as the k highest, or what
llama.cpp stores above a floor; each of the others is only known to be at most a cap, and is NaN in arrays. The
derivation is at the end of this file.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from xent_cli.core.kernel.unknown_classes import ROUNDING, Rest, ends_of_unknown
from xent_cli.errors import RowError

if TYPE_CHECKING:
    from xent_cli.core.array_types import AnyArray, FloatArray, IntArray

# The known probabilities must not sum to more than this; rounding to bfloat16 can add half a percent.
_MOST_MASS = 1.01
# Bound on the error of 1 minus a sum of probabilities.
_SLACK = 1e-15
# llama.cpp leaves classes at or below this log-probability out of its sum.
_LLAMA_CUT = -16.0
# Bounds are computed for as many rows at a time as have this many values, so that intermediate results stay in the
# cache.
_MOST_VALUES = 1 << 16


class Bounds(NamedTuple):
    """What is known about the classes of partial rows.

    Fields
    ------
    cap
        [n] upper bound of the log-probability of every class that is not known.
    width
        [n] how far off the log-probability of a known class may be, in nats.
    face
        [n] the log-probability that the file holds for classes that are not known, or NaN.
    """

    cap: FloatArray
    width: FloatArray
    face: FloatArray

    @classmethod
    def of(cls, columns: FloatArray | None, n: int) -> Bounds:
        """Take bounds from the columns [n, 3] of a block; without them, rows are known exactly."""
        if columns is None:
            return cls(np.full(n, -np.inf), np.zeros(n), np.full(n, np.nan))
        return cls(*columns.T)

    def at_face(self, rows: AnyArray) -> AnyArray:
        """Fill in the value that the file has for unknown classes of rows [n, k], or -inf if it has none.

        Examples
        --------
        >>> Bounds.of(np.array([[-9.0, 0.0, -9.5]]), 1).at_face(np.array([[-0.1, np.nan]])).tolist()
        [[-0.1, -9.5]]
        """
        floor = np.where(np.isnan(self.face), -np.inf, self.face)
        filled: AnyArray = np.where(np.isnan(rows), floor[:, np.newaxis], rows)
        return filled


class PartialDivergence(NamedTuple):
    """Results for partial rows, [n] in nats.

    Fields
    ------
    loss, kl
        Cross-entropy and divergence from the values as given, NaN if they depend on a class that is not known.
    loss_low, loss_high, kl_low, kl_high
        Lower and upper bounds of both; inf if there is no bound.
    face
        Divergence as llama.cpp computes it: classes that are not known count with the floor in the file.
    """

    loss: FloatArray
    kl: FloatArray
    loss_low: FloatArray
    loss_high: FloatArray
    kl_low: FloatArray
    kl_high: FloatArray
    face: FloatArray


def partial_divergence(
    own: FloatArray, own_bounds: Bounds, ref: FloatArray, ref_bounds: Bounds, start: int = 0
) -> PartialDivergence:
    """Bound H(ref, own) and KL(ref || own) of partial rows.

    Parameters
    ----------
    own, ref
        [n, k] log-probabilities of a model and of its reference; NaN if not known.
    start
        Sample number of the first row, for the error.

    Raises
    ------
    RowError
        If the unknown classes cannot make up the missing probability, or the known ones sum to more than 1.

    Examples
    --------
    >>> ref = np.log([[0.5, 0.25, 0.25]])
    >>> ref[0, 2] = np.nan  # the known classes determine it: 1/4 is left for this one
    >>> cap = Bounds(np.log([0.25]), np.zeros(1), np.full(1, np.nan))
    >>> own = np.log([[0.25, 0.5, 0.25]])
    >>> found = partial_divergence(own, Bounds.of(None, 1), ref, cap)
    >>> found.kl_low.round(9).tolist(), found.kl_high.round(9).tolist()  # ln 2 / 4
    ([0.173286795], [0.173286795])
    """
    n, k = ref.shape
    results = np.empty((len(PartialDivergence._fields), n))
    step = max(1, _MOST_VALUES // k)
    for rows in (slice(low, low + step) for low in range(0, n, step)):
        ours = _Side(own[rows], *(column[rows] for column in own_bounds))
        theirs = _Side(ref[rows], *(column[rows] for column in ref_bounds))
        results[:, rows] = _bounded(ours, theirs, np.arange(start, start + n)[rows])
    return PartialDivergence(*results)


class _Side(NamedTuple):
    """Rows [n, k] and their bounds [n]."""

    log_p: FloatArray
    cap: FloatArray
    width: FloatArray
    face: FloatArray

    def take(self, rows: IntArray) -> _Side:
        """Return some of the rows."""
        return _Side(*(values[rows] for values in self))


def rest_of(log_p: FloatArray, cap: FloatArray, width: FloatArray, numbers: IntArray, role: str = "labels") -> Rest:
    """Return the probability that is left for the unknown classes of rows [n, k].

    Parameters
    ----------
    numbers
        [n] sample numbers, for the error.

    Raises
    ------
    RowError
        At the first row in which that is impossible.

    Examples
    --------
    >>> row = np.array([[np.log(0.5), np.nan, np.nan]])
    >>> rest_of(row, np.log([0.375]), np.zeros(1), np.arange(1)).high.round(9).tolist()
    [0.5]
    """
    known = ~np.isnan(log_p)
    counts = np.count_nonzero(known, axis=1)
    mass = _sums(np.exp(log_p[known]), counts)
    least, most = mass * np.exp(-width), np.exp(cap)
    unknown = log_p.shape[1] - counts
    room = unknown * most
    whole = unknown == 0
    low = np.where(whole, 0.0, np.maximum(0.0, 1.0 - mass * np.exp(width) - _SLACK))
    high = np.where(whole, 0.0, np.maximum(0.0, 1.0 - least + _SLACK))
    over = least > _MOST_MASS
    under = whole & (mass * np.exp(width) < 2.0 - _MOST_MASS)
    bad = np.flatnonzero(over | under | (low > room * (1.0 + 1e-6) + 1e-9))
    if bad.size:
        i = bad[0]
        if over[i] or under[i]:
            found, expected = f"probabilities that sum to {mass[i]:.6g}", "at most 1" if over[i] else "1"
            raise RowError("not a distribution", int(numbers[i]), role, found, expected, code="partial-row")
        found = f"{low[i]:.6g} of the probability for {unknown[i]} classes of at most {most[i]:.6g} each"
        expected = f"no more than {room[i]:.6g}"
        what, data = "an inconsistent row", {"role": role}
        raise RowError(what, int(numbers[i]), role, found, expected, code="partial-row", data=data)
    return Rest(np.minimum(low, room), np.minimum(high, room), most)


def _bounded(own: _Side, ref: _Side, numbers: IntArray) -> FloatArray:
    """Return the fields of `PartialDivergence` for some rows."""
    unknown = np.isnan(own.log_p)
    valid = ~(unknown.all(axis=1) | (own.log_p == np.inf).any(axis=1) | (ref.log_p == np.inf).any(axis=1))
    if not valid.all():
        results = np.full((len(PartialDivergence._fields), len(numbers)), np.nan)
        rows = np.flatnonzero(valid)
        if rows.size:
            results[:, rows] = _bounded(own.take(rows), ref.take(rows), numbers[rows])
        return results
    rest = rest_of(ref.log_p, ref.cap, ref.width, numbers)
    highest = np.where(unknown, own.cap[:, np.newaxis], own.log_p + own.width[:, np.newaxis])
    lowest = np.where(unknown, -np.inf, own.log_p - own.width[:, np.newaxis])
    counted = ref.log_p > -np.inf  # which NaN is not
    counts = np.count_nonzero(counted, axis=1)
    log_p, width, off = ref.log_p[counted], *(np.repeat(w, counts) for w in (ref.width, np.expm1(ref.width)))
    p, log_q = np.exp(log_p), own.log_p[counted]
    above, below = highest[counted], lowest[counted]
    with np.errstate(invalid="ignore"):
        apart = [log_p - bound for bound in (above, below)]
        # An infinite ratio stays infinite, whatever was rounded.
        widths = [p * (off * (np.where(np.isinf(x), 0.0, np.abs(x)) + width) + width) for x in apart]
        kl_low = _sums_below(p * apart[0] - widths[0], counts)
        kl_high = _sums_above(p * apart[1] + widths[1], counts)
        loss_low = _sums_below(p * (1.0 - off) * np.maximum(-above, 0.0), counts)
        loss_high = _sums_above(p * (1.0 + off) * -below, counts)
        loss, kl = _sums(p * -log_q, counts), _sums(p * (log_p - log_q), counts)
    told = rest.high == 0.0  # then every class that matters is known
    loss, kl = np.where(told, loss, np.nan), np.where(told, kl, np.nan)
    if not told.all():
        rows = np.flatnonzero(~told)
        rest, others = Rest(*(values[rows] for values in rest)), np.isnan(ref.log_p[rows])
        ends = ends_of_unknown(highest[rows], lowest[rows], others, rest)
        for values, end in zip((kl_low, kl_high, loss_low, loss_high), ends, strict=True):
            values[rows] += end
    return np.stack([loss, kl, loss_low, loss_high, np.maximum(0.0, kl_low), kl_high, _face(own, ref)])


def _face(own: _Side, ref: _Side) -> FloatArray:
    """Return the divergence of the rows as stored in the files; NaN if a file has no floor."""
    face = np.full(len(ref.log_p), np.nan)
    held = [np.isnan(side.log_p) for side in (own, ref)]
    rows = np.flatnonzero(~((held[0].any(axis=1) & np.isnan(own.face)) | (held[1].any(axis=1) & np.isnan(ref.face))))
    if rows.size:
        log_q, log_p = (
            np.where(lost[rows], side.face[rows, np.newaxis], side.log_p[rows])
            for lost, side in zip(held, (own, ref), strict=True)
        )
        some = log_p > _LLAMA_CUT
        log_p, log_q = log_p[some], log_q[some]
        face[rows] = _sums(np.exp(log_p) * (log_p - log_q), np.count_nonzero(some, axis=1))
    return face


def _sums(terms: FloatArray, counts: IntArray) -> FloatArray:
    """Return the sum of each of consecutive runs of terms; it depends on the terms of its run alone."""
    sums = np.zeros(len(counts))
    some = np.flatnonzero(counts)
    if some.size:
        sums[some] = np.add.reduceat(terms, (np.cumsum(counts) - counts)[some])
    return sums


def _sums_below(terms: FloatArray, counts: IntArray) -> FloatArray:
    total = _sums(terms, counts)
    return np.where(np.isfinite(total), total - ROUNDING * _sums(np.abs(terms), counts), total)


def _sums_above(terms: FloatArray, counts: IntArray) -> FloatArray:
    return _sums(terms, counts) + ROUNDING * _sums(np.abs(terms), counts)


# Derivation
# ----------
# Let p be the reference, q the model, S the classes whose log p is known to within d, and r the rest of the
# probability, 1 minus the sum over S: between 1 - e^d P and 1 - e^-d P for the sum P of what is known.
#
# For a class in S, let x be log p - log q of the values as given. If log p is off by at most d, the true term differs
# from p x by no more than p ((e^d - 1) (|x| + d) + d). If log q is off by at most d' too, x is taken at both ends.
#
# Each class outside S has at most m. Over these, sum p (log p - log q) is lowest if p is proportional to q, which gives
# r (log r - log Q) with Q = sum of q outside S (the log-sum inequality; the bound m can only raise it). The sum is
# convex in p, so it is highest at a corner of the set of such p: m at as many classes as r can fill, and what is left
# at one more, in order of ascending q. The cross-entropy is linear in p, so the same corners give its extremes.
#
# If log q of a class is not known, it is at most the cap but has no lower limit, so there is only a lower bound.
