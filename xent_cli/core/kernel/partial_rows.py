"""Bounds on the divergence and cross-entropy of rows that are only partly known.

In a *partial* row, the log-probabilities of some classes are known to within a width d, such as the k highest, or what
llama.cpp stores above a floor; each of the others is only known to be at most a cap, and is NaN in arrays. The
derivation is at the end of this file.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from xent_cli.errors import RowError

if TYPE_CHECKING:
    from xent_cli.core.array_types import BoolArray, FloatArray

# The known probabilities must not sum to more than this; rounding to bfloat16 can add half a percent.
_MOST_MASS = 1.01
# Bound on the error of a sum of float64 terms, relative to the sum of their magnitudes.
_ROUNDING = 1e-13
# Bound on the error of 1 minus a sum of probabilities.
_SLACK = 1e-15
# llama.cpp leaves classes at or below this log-probability out of its sum.
_LLAMA_CUT = -16.0


class Bounds(NamedTuple):
    """What is known of the classes of partial rows.

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
    n = len(ref)
    results = np.empty((len(PartialDivergence._fields), n))
    for i in range(n):
        own_row = _Row(own[i], *(float(column[i]) for column in own_bounds))
        ref_row = _Row(ref[i], *(float(column[i]) for column in ref_bounds))
        results[:, i] = _bound(own_row, ref_row, start + i)
    return PartialDivergence(*results)


class _Row(NamedTuple):
    """One row [k] and its bounds."""

    log_p: FloatArray
    cap: float
    width: float
    face: float

    @property
    def at_face(self) -> FloatArray:
        """The row as the file holds it."""
        return np.where(np.isnan(self.log_p), self.face, self.log_p)


class Rest(NamedTuple):
    """Total probability of the classes that are not known: from `low` to `high`, at most `most` each."""

    low: float
    high: float
    most: float


def rest_of(log_p: FloatArray, cap: float, width: float, row: int, role: str = "labels") -> Rest:
    """Return the probability that is left for the unknown classes of a row [k].

    Raises
    ------
    RowError
        If that is impossible.
    """
    known = ~np.isnan(log_p)
    mass = float(np.exp(log_p[known]).sum())
    least, most = mass * math.exp(-width), math.exp(cap)
    if least > _MOST_MASS:
        found = f"probabilities that sum to {mass:.6g}"
        raise RowError("not a distribution", row, role, found, "at most 1", code="partial-row")
    unknown = known.size - int(np.count_nonzero(known))
    room = unknown * most
    if unknown == 0:
        if mass * math.exp(width) < 2.0 - _MOST_MASS:
            raise RowError("not a distribution", row, role, f"probabilities that sum to {mass:.6g}", "1")
        return Rest(0.0, 0.0, most)
    low, high = max(0.0, 1.0 - mass * math.exp(width) - _SLACK), max(0.0, 1.0 - least + _SLACK)
    if low > room * (1.0 + 1e-6) + 1e-9:
        found = f"{low:.6g} of the probability for {unknown} classes of at most {most:.6g} each"
        expected = f"no more than {room:.6g}"
        raise RowError("an inconsistent row", row, role, found, expected, code="partial-row")
    return Rest(min(low, room), min(high, room), most)


def _bound(own: _Row, ref: _Row, number: int) -> tuple[float, ...]:
    """Return the fields of `PartialDivergence` for one row."""
    if np.isnan(own.log_p).all() or (own.log_p == np.inf).any() or (ref.log_p == np.inf).any():
        return (math.nan,) * len(PartialDivergence._fields)
    rest = rest_of(ref.log_p, ref.cap, ref.width, number)
    known = ~np.isnan(ref.log_p)
    unknown_own = np.isnan(own.log_p)
    highest = np.where(unknown_own, own.cap, own.log_p + own.width)  # own log-probabilities
    lowest = np.where(unknown_own, -np.inf, own.log_p - own.width)
    counted = known & (ref.log_p > -np.inf)
    log_p, p = ref.log_p[counted], np.exp(ref.log_p[counted])
    off = math.expm1(ref.width)
    with np.errstate(invalid="ignore"):
        apart = [log_p - bound[counted] for bound in (highest, lowest)]
        # An infinite ratio stays infinite, whatever was rounded.
        widths = [p * (off * (np.where(np.isinf(x), 0.0, np.abs(x)) + ref.width) + ref.width) for x in apart]
        kl_low = _sum_below(p * apart[0] - widths[0])
        kl_high = _sum_above(p * apart[1] + widths[1])
        loss_low = _sum_below(p * (1.0 - off) * np.maximum(-highest[counted], 0.0))
        loss_high = _sum_above(p * (1.0 + off) * -lowest[counted])
    if rest.high > 0.0:
        others = ~known
        kl_low += _least_divergence(highest[others], rest)
        loss_low += _placed(-np.sort(-highest[others]), rest.low, rest.most)
        ascending = _lowest_first(lowest[others], rest)
        kl_high += _most_divergence(ascending, rest)
        loss_high += _placed(ascending, rest.high, rest.most)
    loss, kl = _as_it_says(own, ref, counted, rest)
    return loss, kl, loss_low, loss_high, max(0.0, kl_low), kl_high, _face(own, ref)


def _as_it_says(own: _Row, ref: _Row, counted: BoolArray, rest: Rest) -> tuple[float, float]:
    """Return cross-entropy and divergence of the values as given; NaN if they depend on an unknown one."""
    log_p, log_q = ref.log_p[counted], own.log_p[counted]
    if rest.high > 0.0 or np.isnan(log_q).any():
        return math.nan, math.nan
    p = np.exp(log_p)
    with np.errstate(invalid="ignore"):
        return float((p * -log_q).sum()), float((p * (log_p - log_q)).sum())


def _face(own: _Row, ref: _Row) -> float:
    log_p, log_q = ref.at_face, own.at_face
    if np.isnan(log_p).any() or np.isnan(log_q).any():
        return math.nan
    some = log_p > _LLAMA_CUT
    return float((np.exp(log_p[some]) * (log_p[some] - log_q[some])).sum())


def _sum_below(terms: FloatArray) -> float:
    total = float(terms.sum())
    return total - _ROUNDING * float(np.abs(terms).sum()) if math.isfinite(total) else total


def _sum_above(terms: FloatArray) -> float:
    return float(terms.sum() + _ROUNDING * np.abs(terms).sum())


def _least_divergence(highest: FloatArray, rest: Rest) -> float:
    """Return the minimum of ``sum p (log p - log q)`` over classes that share the rest: p is proportional to q."""
    top = float(highest.max())
    if top == -math.inf:
        return math.inf if rest.low > 0.0 else 0.0
    log_q = min(0.0, top + math.log(float(np.exp(highest - top).sum())))
    # r (log r - log q) is convex in r, with its minimum at q/e.
    r = min(max(math.exp(log_q - 1.0), rest.low), rest.high)
    value = r * (math.log(r) - log_q) if r > 0.0 else 0.0
    return value - _ROUNDING * abs(value)


def _lowest_first(lowest: FloatArray, rest: Rest) -> FloatArray:
    """Return as many of log q, in ascending order, as the rest can fill."""
    reach = min(lowest.size, int(rest.high / rest.most) + 2)
    if reach < lowest.size:
        lowest = np.partition(lowest, reach - 1)[:reach]
    return np.sort(lowest)


def _most_divergence(ascending: FloatArray, rest: Rest) -> float:
    """Return the maximum of ``sum p (log p - log q)``: p is `rest.most` at the classes with the lowest q."""
    if ascending[0] == -math.inf:
        return math.inf
    gains = rest.most * (math.log(rest.most) - ascending)
    sums = np.concatenate([[0.0], np.cumsum(gains)])

    def at(r: float) -> float:
        full = min(int(r / rest.most), ascending.size)
        left = r - full * rest.most
        if left <= 0.0 or full == ascending.size:
            return float(sums[full])
        return float(sums[full] + left * (math.log(left) - ascending[full]))

    # The sum is convex in r between whole numbers of classes, and concave over these: it is highest where q passes p.
    first, last = math.ceil(rest.low / rest.most), min(int(rest.high / rest.most), ascending.size)
    values = [at(rest.low), at(rest.high)]
    if first <= last:
        best = min(max(int(np.count_nonzero(gains > 0.0)), first), last)
        values.append(float(sums[best]))
    highest = max(values)
    return highest + _ROUNDING * float(np.abs(gains).sum())


def _placed(log_q: FloatArray, r: float, most: float) -> float:
    """Return ``sum p (-log q)`` with p = `most` at the first classes, until it adds up to r."""
    full = min(int(r / most), log_q.size)
    total = most * float(-log_q[:full].sum()) if full else 0.0
    left = r - full * most
    return total - left * float(log_q[full]) if full < log_q.size and left > 0.0 else total


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
