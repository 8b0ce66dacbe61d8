"""Errors of candidate values against the reference, as immutable totals that merge."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from xent_cli.core.verify.ulp import round_to, ulp_distance

if TYPE_CHECKING:
    from xent_cli.core.array_types import AnyArray, BoolArray, FloatArray
    from xent_cli.core.verify.tolerance import Tolerance

# Values compared at a time, so that intermediate arrays stay in the cache.
_TILE = 1 << 15
# No two floats are farther apart than this.
_MOST_ULP = 2**64 - 1


class Extreme(NamedTuple):
    """The largest error of one kind, with its sample number and, in a gradient, its class."""

    value: float
    sample: int
    column: int | None


class WorstRow(NamedTuple):
    """The worst value of a row.

    Fields
    ------
    excess
        Error as a multiple of the tolerance, or in units in the last place; inf if only one of the two values is
        finite, or if an ignored sample has a value.
    sample, column
        Sample number and, in a gradient, class.
    found, expected
        Value of the candidate and of the reference.
    ulp
        Their distance in units in the last place; None if one is not finite.
    """

    excess: float
    sample: int
    column: int | None
    found: float
    expected: float
    ulp: int | None

    @property
    def abs_error(self) -> float:
        """Absolute error; NaN if the two are not comparable."""
        return abs(self.found - self.expected)

    @property
    def rel_error(self) -> float:
        """Error relative to the reference; NaN if that is 0."""
        return self.abs_error / abs(self.expected) if self.expected else math.nan

    def order(self) -> tuple[float, float, int]:
        """Return the sort key: the worst first; of equal ones, the larger error, then the lower sample number."""
        return -self.excess, -self.abs_error if self.ulp is not None else -math.inf, self.sample


@dataclass(frozen=True, slots=True)
class ErrorTotals:
    """Totals of the errors seen so far.

    ``ErrorTotals(top=n)`` is the identity of `merge`, which is associative and commutative: any partition of the
    rows ends in the same totals.

    Fields
    ------
    n_rows, n_ignored
        Rows that were compared, and rows without a loss.
    n_values
        Numbers compared: one per row, or one per class.
    n_mismatched, n_mismatched_rows
        Values outside the tolerance, and rows with such a value.
    n_nonfinite
        Mismatched values of which one side is not finite, or that are different infinities.
    n_ignored_mismatched
        Ignored rows whose loss is neither 0 nor NaN, or whose gradient is not 0.
    max_abs, max_rel, max_ulp
        The largest errors among finite values, `max_rel` where the reference is not 0; None if there are none.
    worst
        The worst rows, up to `top` of them.
    """

    n_rows: int = 0
    n_ignored: int = 0
    n_values: int = 0
    n_mismatched: int = 0
    n_mismatched_rows: int = 0
    n_nonfinite: int = 0
    n_ignored_mismatched: int = 0
    max_abs: Extreme | None = None
    max_rel: Extreme | None = None
    max_ulp: Extreme | None = None
    worst: tuple[WorstRow, ...] = ()
    top: int = 5

    @property
    def passed(self) -> bool:
        """Whether everything is within the tolerance."""
        return not self.n_mismatched and not self.n_ignored_mismatched

    @property
    def share(self) -> float:
        """Share of the compared values that are mismatched."""
        return self.n_mismatched / self.n_values if self.n_values else 0.0

    def merge(self, other: ErrorTotals) -> ErrorTotals:
        """Return the totals of both."""
        top = max(self.top, other.top)
        return ErrorTotals(
            n_rows=self.n_rows + other.n_rows,
            n_ignored=self.n_ignored + other.n_ignored,
            n_values=self.n_values + other.n_values,
            n_mismatched=self.n_mismatched + other.n_mismatched,
            n_mismatched_rows=self.n_mismatched_rows + other.n_mismatched_rows,
            n_nonfinite=self.n_nonfinite + other.n_nonfinite,
            n_ignored_mismatched=self.n_ignored_mismatched + other.n_ignored_mismatched,
            max_abs=_larger(self.max_abs, other.max_abs),
            max_rel=_larger(self.max_rel, other.max_rel),
            max_ulp=_larger(self.max_ulp, other.max_ulp),
            worst=tuple(sorted(self.worst + other.worst, key=WorstRow.order)[:top]),
            top=top,
        )


@dataclass(frozen=True, slots=True)
class Agreement:
    """Whether one candidate agrees with the reference.

    Fields
    ------
    name
        "loss" or "gradient".
    reduction
        "none" for the losses of all samples; "mean" or "sum" for one number, or for its gradient.
    tolerance, errors
        The tolerance, and the errors found.
    """

    name: str
    reduction: str
    tolerance: Tolerance
    errors: ErrorTotals

    @property
    def by_row(self) -> bool:
        """Whether there are rows, not one number."""
        return self.name == "gradient" or self.reduction == "none"


def compare(
    found: AnyArray,
    expected: FloatArray,
    tolerance: Tolerance,
    *,
    start: int = 0,
    ignored: BoolArray | None = None,
    top: int = 5,
) -> ErrorTotals:
    """Compare candidate values with the reference.

    Parameters
    ----------
    found, expected
        [n] losses or [n, k] gradients of the candidate, in any real dtype, and of the reference.
    start
        Number of the first sample.
    ignored
        [n] True for samples without a loss: the candidate's loss must be 0 or NaN, its gradient 0.
    top
        How many of the worst rows to keep.

    Examples
    --------
    >>> from xent_cli.core.verify.tolerance import Tolerance
    >>> totals = compare(np.array([1.0, 2.5]), np.array([1.0, 2.0]), Tolerance.of("float64"))
    >>> totals.n_mismatched, totals.max_abs
    (1, Extreme(value=0.5, sample=1, column=None))
    """
    n = len(found)
    by_class = found.ndim == 2
    totals = ErrorTotals(top=top)
    step = max(1, _TILE // (found.shape[1] if by_class else 1))
    for first in range(0, n, step):
        rows = slice(first, first + step)
        skipped = np.zeros(len(found[rows]), np.bool_) if ignored is None else ignored[rows]
        values = found[rows].reshape(len(skipped), -1).astype(np.float64)
        truth = expected[rows].reshape(values.shape)
        samples = np.arange(len(skipped)) + (start + first)
        if skipped.any():
            totals = totals.merge(_ignored(values[skipped], samples[skipped], by_class, top))
            values, truth, samples = values[~skipped], truth[~skipped], samples[~skipped]
        if samples.size:
            totals = totals.merge(_tile(values, truth, samples, tolerance, by_class, top))
    return totals


def _tile(
    found: FloatArray, expected: FloatArray, samples: AnyArray, tolerance: Tolerance, by_class: bool, top: int
) -> ErrorTotals:
    dtype = tolerance.dtype
    rounded, own = round_to(expected, dtype), round_to(found, dtype)
    same = (found == rounded) | (np.isnan(found) & np.isnan(expected))
    finite = np.isfinite(found) & np.isfinite(expected)
    ulp = ulp_distance(own, rounded, dtype)
    with np.errstate(invalid="ignore", over="ignore", divide="ignore"):
        error = np.abs(found - expected)
        size = np.abs(expected)
        relative = error / size
        if tolerance.max_ulp is None:
            allowed = tolerance.atol + tolerance.rtol * size
            excess = error / allowed
            equal = error <= allowed
        else:
            excess = ulp.astype(np.float64)
            equal = ulp <= np.uint64(min(tolerance.max_ulp, _MOST_ULP))
    equal = (equal & finite) | same
    excess[~finite] = np.inf
    excess[same | (error == 0)] = 0.0
    off = ~equal
    columns = excess.argmax(axis=1)
    lines = np.arange(len(columns))
    worst = excess[lines, columns]
    distances = np.where(finite, error, np.inf)[lines, columns]
    order = np.lexsort((samples, -distances, -worst))[:top]
    return ErrorTotals(
        n_rows=len(samples),
        n_values=found.size,
        n_mismatched=int(np.count_nonzero(off)),
        n_mismatched_rows=int(np.count_nonzero(off.any(axis=1))),
        n_nonfinite=int(np.count_nonzero(off & ~finite)),
        max_abs=_largest(error, finite, samples, by_class),
        max_rel=_largest(relative, finite & (size > 0), samples, by_class),
        max_ulp=_largest(ulp, finite, samples, by_class),
        worst=tuple(
            WorstRow(
                float(worst[i]),
                int(samples[i]),
                int(columns[i]) if by_class else None,
                float(found[i, columns[i]]),
                float(expected[i, columns[i]]),
                int(ulp[i, columns[i]]) if finite[i, columns[i]] else None,
            )
            for i in order
            if worst[i] > 0
        ),
        top=top,
    )


def _ignored(found: FloatArray, samples: AnyArray, by_class: bool, top: int) -> ErrorTotals:
    """Find ignored rows in which the candidate has a value."""
    present = found != 0
    if not by_class:
        present &= ~np.isnan(found)
    bad = np.flatnonzero(present.any(axis=1))
    columns = present.argmax(axis=1)
    return ErrorTotals(
        n_ignored=len(samples),
        n_ignored_mismatched=len(bad),
        worst=tuple(
            WorstRow(
                math.inf, int(samples[i]), int(columns[i]) if by_class else None, float(found[i, columns[i]]), 0.0, None
            )
            for i in bad[:top]
        ),
        top=top,
    )


def _largest(values: AnyArray, counted: BoolArray, samples: AnyArray, by_class: bool) -> Extreme | None:
    """Return the first of the largest values among those that are counted."""
    if not counted.any():
        return None
    at = int(np.argmax(values if counted.all() else np.where(counted, values, values.dtype.type(0))))
    if not counted.flat[at]:  # all counted values are 0
        at = int(np.argmax(counted))
    row, column = divmod(at, values.shape[1])
    value = values.flat[at].item()
    return Extreme(value, int(samples[row]), column if by_class else None)


def _larger(a: Extreme | None, b: Extreme | None) -> Extreme | None:
    if a is None or b is None:
        return a or b
    return min(a, b, key=lambda extreme: (-extreme.value, extreme.sample))
