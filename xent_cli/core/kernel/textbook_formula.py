"""The textbook formula -log(exp(z_y) / sum exp(z)), with every operation rounded to one dtype, and where it fails."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from functools import cache
from typing import TYPE_CHECKING, Any

import numpy as np

from xent_cli.core.kernel.conversions import convert, sum_in_turn
from xent_cli.core.scratch import flat, scratch

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from numpy.typing import DTypeLike

    from xent_cli.core.array_types import AnyArray, BoolArray, FloatArray, IntArray

# Bits of the significand, exponent of the smallest subnormal number, and the largest logit whose exp is finite.
_FORMATS: Mapping[str, tuple[int, int, float]] = {
    "float16": (11, -24, 11.0859375),
    "bfloat16": (8, -133, 88.5),
    "float32": (24, -149, 88.72283172607422),
    "float64": (53, -1074, 709.782712893384),
}
# A loss is imprecise if it is more than this many units in the last place away from the true loss, rounded to the
# dtype.
_TOLERANCE_ULP = 8
# Sums run from class to class for many rows at once. This many bytes of logits hold enough rows to pay for the calls,
# and this many classes at a time stay in the cache.
_CHUNK_BYTES = 8 << 20
_ROWS_AT_ONCE = 256
_CLASSES_AT_ONCE = 128
# NumPy makes numbers of 8 bytes of indices: of this many at a time.
_LOOKED_UP = 1 << 15


@dataclass(frozen=True, slots=True)
class NaiveTotals:
    """Counts of right and wrong results of one formula in one dtype, over the samples that have a loss.

    Fields
    ------
    n_ok, n_imprecise, n_underflow, n_overflow
        Rows within 8 units in the last place of the true loss, rounded to the dtype; finite but further off; inf; NaN.
    first_row, worst_row
        The first sample that is not ok, and the one furthest from the true loss (NaN and inf are infinitely far), or
        None.
    worst_error
        Distance from the true loss at `worst_row`, in nats; may be inf.
    max_abs_error
        The largest finite distance from the true loss, in nats.
    """

    n_ok: int = 0
    n_imprecise: int = 0
    n_underflow: int = 0
    n_overflow: int = 0
    first_row: int | None = None
    worst_row: int | None = None
    worst_error: float = 0.0
    max_abs_error: float = 0.0

    def merge(self, other: NaiveTotals) -> NaiveTotals:
        """Return the totals of both; of equally wrong rows, the first one is the worst."""
        worst = max(
            (t for t in (self, other) if t.worst_row is not None),
            key=lambda t: (t.worst_error, -(t.worst_row or 0)),
            default=self,
        )
        firsts = [t.first_row for t in (self, other) if t.first_row is not None]
        return NaiveTotals(
            self.n_ok + other.n_ok,
            self.n_imprecise + other.n_imprecise,
            self.n_underflow + other.n_underflow,
            self.n_overflow + other.n_overflow,
            min(firsts, default=None),
            worst.worst_row,
            worst.worst_error,
            max(self.max_abs_error, other.max_abs_error),
        )

    def numbered(self, start: int, rows: IntArray) -> NaiveTotals:
        """Return the same counts with sample numbers of the whole input; see `FormulaTotals.numbered`."""
        first, worst = (None if row is None else start + int(rows[row]) for row in (self.first_row, self.worst_row))
        return replace(self, first_row=first, worst_row=worst)


@dataclass(frozen=True, slots=True)
class FormulaTotals:
    """Counts for the textbook formula and for the stable one, in one dtype."""

    dtype: str
    naive: NaiveTotals
    stable: NaiveTotals

    @property
    def max_safe_logit(self) -> float:
        """Largest logit of the dtype whose exp does not overflow."""
        return _FORMATS[self.dtype][2]

    def merge(self, other: FormulaTotals) -> FormulaTotals:
        """Return the totals of both."""
        return FormulaTotals(self.dtype, self.naive.merge(other.naive), self.stable.merge(other.stable))

    def numbered(self, start: int, rows: IntArray) -> FormulaTotals:
        """Return the same for row numbers that index `rows` of a block whose first sample is number `start`."""
        naive, stable = (totals.numbered(start, rows) for totals in (self.naive, self.stable))
        return FormulaTotals(self.dtype, naive, stable)


def try_formulas(
    logits: AnyArray,
    labels: AnyArray,
    truth: FloatArray,
    dtype: np.dtype[Any],
    *,
    start: int = 0,
    scored: BoolArray | None = None,
) -> FormulaTotals:
    """Compute every loss in `dtype` with the textbook and with the stable formula, and compare it with the true loss.

    Parameters
    ----------
    logits
        [n, k], converted to `dtype` first, as if they were the outputs of a model in that dtype.
    labels
        [n] class indices or [n, k] class probabilities.
    truth
        [n] the true losses, in nats.
    dtype
        float16, bfloat16 (of ml_dtypes), float32 or float64.
    scored
        [n] False for samples that have no loss, or None.

    Examples
    --------
    >>> import numpy as np
    >>> z = np.array([[12.0, 0.0], [1.0, 0.0]])
    >>> truth = np.log1p(np.exp(-z[:, 0]))
    >>> both = try_formulas(z, np.array([0, 0]), truth, np.dtype("float16"))
    >>> (both.naive.n_overflow, both.naive.n_ok, both.stable.n_ok)
    (1, 1, 2)
    """
    n, k = logits.shape
    losses = np.empty((2, n))
    step = max(1, _CHUNK_BYTES // (k * dtype.itemsize))
    # Overflow, 0/0 and log 0 are what this looks for.
    with np.errstate(all="ignore"):
        for first in range(0, n, step):
            rows = slice(first, first + step)
            z = _copied(logits[rows], dtype, "rounded")
            losses[0, rows] = _textbook(z, labels[rows])
            losses[1, rows] = _stable(z, labels[rows])
    keep = np.ones(n, np.bool_) if scored is None else scored
    samples = np.flatnonzero(keep) + start
    naive, stable = (_judge(loss[keep], truth[keep], dtype, samples) for loss in losses)
    return FormulaTotals(dtype.name, naive, stable)


def _textbook(z: AnyArray, labels: AnyArray) -> AnyArray:
    e = _exp(z)
    total = _running_sum(e)
    if labels.ndim == 1:
        return -np.log(np.take_along_axis(e, labels[:, np.newaxis], axis=1)[:, 0] / total)
    return -_running_sum(labels.astype(z.dtype) * np.log(e / total[:, np.newaxis]))


def _stable(z: AnyArray, labels: AnyArray) -> AnyArray:
    """Compute the stable formula, overwriting `z`."""
    # NumPy has no fast loops for narrow floats; differences computed in float32 and rounded once are the same.
    wide = z if _wide(z.dtype) == z.dtype else _copied(z, _wide(z.dtype), "work")
    peak = wide.argmax(axis=1)[:, np.newaxis]
    d = np.subtract(wide, np.take_along_axis(wide, peak, axis=1), out=wide)
    d = d if wide is z else _copied(d, z.dtype, "rounded")
    e = _exp(d)
    np.put_along_axis(e, peak, np.zeros(1, e.dtype), axis=1)
    log_total = np.log1p(_running_sum(e))
    if labels.ndim == 1:
        loss: AnyArray = log_total - np.take_along_axis(d, labels[:, np.newaxis], axis=1)[:, 0]
        return loss
    q = labels.astype(z.dtype)
    terms = q * (log_total[:, np.newaxis] - d)
    return _running_sum(np.where(q == 0, np.zeros(1, z.dtype), terms))


def _exp(z: AnyArray) -> AnyArray:
    """Return exp(z) in scratch memory: of bfloat16 from a table, since ml_dtypes takes four times as long."""
    e = scratch("exponentials", z.shape, z.dtype)
    if z.dtype.name != "bfloat16":
        np.exp(z, out=e)
        return e
    bits, found, table = flat(z).view(np.uint16), flat(e).view(np.uint16), _exponentials(z.dtype)
    for first in range(0, bits.size, _LOOKED_UP):
        some = slice(first, first + _LOOKED_UP)
        np.take(table, bits[some], out=found[some], mode="clip")
    return e


@cache
def _exponentials(dtype: np.dtype[Any]) -> AnyArray:
    """Return the bits of exp(x) for all x of 16 bits."""
    exponentials: AnyArray = np.exp(np.arange(1 << 16, dtype=np.uint16).view(dtype))
    return exponentials.view(np.uint16)


def _copied(rows: AnyArray, dtype: DTypeLike, name: str) -> AnyArray:
    """Copy rows, converted to a dtype, into scratch memory."""
    copy = scratch(name, rows.shape, dtype)
    convert(rows, copy)
    return copy


def _wide(dtype: np.dtype[Any]) -> np.dtype[Any]:
    """Return a dtype that represents every value of `dtype` and that NumPy has fast loops for."""
    return dtype if dtype.itemsize > 2 else np.dtype(np.float32)


def _running_sum(terms: AnyArray) -> AnyArray:
    """Sum terms of one sign over the classes, from left to right, rounding to the dtype after every addition."""
    summed = sum_in_turn(terms)
    if summed is not None:
        return summed
    if len(terms) < _ROWS_AT_ONCE:
        # np.add.reduce would add float16 in float32 and in pairs; accumulate keeps the dtype and the order.
        running: AnyArray = np.add.accumulate(terms, axis=1, dtype=terms.dtype)[:, -1]
        return running
    total: AnyArray = np.zeros(len(terms), _wide(terms.dtype))
    rounded = _rounded_to(terms.dtype, total)
    for first in range(0, terms.shape[1], _CLASSES_AT_ONCE):
        for column in _copied(terms[:, first : first + _CLASSES_AT_ONCE].T, total.dtype, "columns"):
            np.add(total, column, out=total)
            rounded()
    return total.astype(terms.dtype, copy=False)


def _rounded_to(dtype: np.dtype[Any], total: AnyArray) -> Callable[[], object]:
    """Return a function that rounds `total` in place to a narrower dtype: to nearest, ties to even."""
    if total.dtype == dtype:
        return lambda: None
    # Float32 has so many more bits that rounding a float32 sum again gives the same as rounding once. A sum that
    # overflows float16 stays too large for it; sums below its normal range are exact.
    drop = 24 - _FORMATS[dtype.name][0]
    # Arrays, because NumPy would convert scalars at every call.
    numbers = drop, 1, (1 << (drop - 1)) - 1, (0xFFFFFFFF << drop) & 0xFFFFFFFF
    dropped, one, half, kept = (np.array(number, np.uint32) for number in numbers)
    bits, odd = total.view(np.uint32), np.empty(len(total), np.uint32)

    def rounded() -> None:
        np.right_shift(bits, dropped, out=odd)
        np.bitwise_and(odd, one, out=odd)
        np.add(odd, half, out=odd)
        np.add(bits, odd, out=bits)
        np.bitwise_and(bits, kept, out=bits)

    return rounded


def _judge(loss: FloatArray, truth: FloatArray, dtype: np.dtype[Any], rows: AnyArray) -> NaiveTotals:
    significand, smallest, _ = _FORMATS[dtype.name]
    with np.errstate(all="ignore"):
        rounded = truth.astype(dtype).astype(np.float64)
        # frexp has a fraction in [0.5, 1): the unit in the last place is 2**(exponent - significand bits).
        ulp = np.ldexp(1.0, np.maximum(np.frexp(rounded)[1] - significand, smallest))
        ok = (np.abs(loss - rounded) <= _TOLERANCE_ULP * ulp) | (loss == rounded) | (np.isnan(loss) & np.isnan(truth))
        error = np.abs(loss - truth)
    nan, inf = np.isnan(loss) & ~ok, np.isinf(loss) & ~ok
    wrong = np.flatnonzero(~ok)
    error = np.where(np.isfinite(error), error, np.where(ok, 0.0, math.inf))
    finite = error[np.isfinite(error)]
    worst = int(wrong[np.argmax(error[wrong])]) if wrong.size else None
    return NaiveTotals(
        n_ok=int(np.count_nonzero(ok)),
        n_imprecise=int(wrong.size - np.count_nonzero(nan) - np.count_nonzero(inf)),
        n_underflow=int(np.count_nonzero(inf)),
        n_overflow=int(np.count_nonzero(nan)),
        first_row=int(rows[wrong[0]]) if wrong.size else None,
        worst_row=None if worst is None else int(rows[worst]),
        worst_error=0.0 if worst is None else float(error[worst]),
        max_abs_error=float(finite.max()) if finite.size else 0.0,
    )
