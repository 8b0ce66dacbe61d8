"""Sums of exponentials again, with the rounding of z - m compensated, in the rows where the loss would show it."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np

from xent_cli.core.kernel.tiles import flat_index, rows_per_tile, total
from xent_cli.core.scratch import flat

if TYPE_CHECKING:
    from xent_cli.core.array_types import AnyArray, BoolArray, FloatArray, IntArray
    from xent_cli.core.options import LossOptions

# exp(d) multiplies the rounding of d by |d|. Where float64 logits leave the other classes less than this, that is what
# limits the loss, and their sum is taken again with the rounding of d compensated.
_REMOTE = math.exp(-128)
# Float32 arithmetic rounds d to 2**-24 of itself, which may cost the loss so many units in the last place of float32.
_REMOTE_ULP_FLOAT32 = 5.0
# Float32 logits differ exactly in float64 unless one is 2**28 times the other; only then can a loss lose digits, and
# only in rows where the others weigh less than this.
_CONFIDENT = 1 / 8
_INEXACT_RATIO = 2.0**-28
# Terms below this may be subnormal, each rounded to a grid as coarse as itself; such sums are taken exp(64) times as
# large. The lift is exact: d < -64 only moves nearer to 0, and stays a multiple of its last place.
_FAINT = 1e-290
_LIFT = 64.0
_VELTKAMP = 2.0**27 + 1.0


def refine(
    others: FloatArray, logits: AnyArray, maximum: FloatArray, options: LossOptions, distance: FloatArray | float
) -> None:
    """Sum the others again, compensated, in the rows where the rounding of z - m would show in the loss.

    `distance` is what the loss has beside log1p(others) at the least: where it is much, digits of the others do not
    show.
    """
    dtype = logits.dtype
    exact = dtype.kind == "b" or dtype.itemsize <= 2 or (dtype.kind == "f" and dtype.itemsize == 4)
    exact = exact and options.temperature == 1.0
    bound = _REMOTE if not exact else _CONFIDENT if dtype.itemsize == 4 else _FAINT
    num_classes = logits.shape[1]
    if options.precision == "float32":
        rows = _rounded_rows(others, num_classes, distance)
    else:
        rows = (others < bound).nonzero()[0]
    step = rows_per_tile(num_classes)
    for first in range(0, rows.size, step):  # what is held beside them is of the size of a tile
        _refine_rows(rows[first : first + step], others, logits, maximum, options, distance, bound, exact=exact)


def _refine_rows(
    rows: IntArray,
    others: FloatArray,
    logits: AnyArray,
    maximum: FloatArray,
    options: LossOptions,
    distance: FloatArray | float,
    bound: float,
    *,
    exact: bool,
) -> None:
    """Sum the others of some rows again; `exact` says that z - m is a float64 number, but for rare float32 rows."""
    if exact and options.precision == "float32":
        others[rows] = _float64_others(logits.take(rows, axis=0).astype(np.float64, order="C"))
        rows = rows[others[rows] < bound]
    if exact and rows.size and logits.dtype.itemsize == 4:
        rows = rows[(others.take(rows) < _FAINT) | _inexact(rows, others, logits, maximum, distance)]
    if rows.size:
        lift = np.where(others[rows] < _FAINT, _LIFT, 0.0)
        others[rows] = _compensated_others(
            logits.take(rows, axis=0).astype(np.float64, order="C"), options.temperature, lift
        )


def _rounded_rows(others: FloatArray, num_classes: int, distance: FloatArray | float) -> IntArray:
    """Rows in which the rounding of float32 differences shows in the loss."""
    # The mean distance of the others, weighted by what they weigh, is at most log(k / s) (Jensen); the loss passes on
    # s / ((1 + s) loss) <= 1 of the relative error of s.
    rows = (others < num_classes * math.exp(-_REMOTE_ULP_FLOAT32) * 1.001).nonzero()[0]
    s = others.take(rows)
    with np.errstate(divide="ignore", invalid="ignore"):
        passed_on = s / ((1.0 + s) * (np.log1p(s) + _of(distance, rows)))
        error = np.log(num_classes / s) * np.where(s == 0, 1.0, passed_on)
    return rows[error > _REMOTE_ULP_FLOAT32]


def _inexact(
    rows: IntArray, others: FloatArray, logits: AnyArray, maximum: FloatArray, distance: FloatArray | float
) -> BoolArray:
    """Which `rows` of float32 logits have differences from the maximum that are no float64 numbers, and could tell."""
    # Both conditions are necessary: a class 2**28 times nearer to 0 than the maximum weighs exp(-m), so it can
    # matter only where the loss is little more than all of them together; likewise for a maximum that is itself near 0.
    m = maximum.take(rows)
    doubtful: BoolArray
    with np.errstate(over="ignore", invalid="ignore"):
        least = np.maximum(others.take(rows), _of(distance, rows))
        near_zero = (m > 4) & (least < logits.shape[1] * m * np.exp(-m))
        zero_peak = (m != 0) & (np.abs(m) < 745 * _INEXACT_RATIO)
    doubtful = near_zero | zero_peak
    some = doubtful.nonzero()[0]
    if some.size == 0:
        return doubtful
    peak = np.abs(m[some, np.newaxis])
    size = logits.take(rows[some], axis=0)
    np.abs(size, out=size)
    if not zero_peak.any() and not (size < peak.max() * _INEXACT_RATIO).any():  # one look at all in place of six
        return np.zeros_like(doubtful)
    apart = (size < peak * _INEXACT_RATIO) & (size > 0) | (peak < size * _INEXACT_RATIO)
    doubtful[some] = apart.any(axis=1)
    return doubtful


def _of(distance: FloatArray | float, rows: IntArray) -> FloatArray | float:
    return distance if isinstance(distance, float) else distance.take(rows)


def _float64_others(z: FloatArray) -> FloatArray:
    """Sum of exp(z_j - m) over all but the first maximum of each row [n, k], which is used up."""
    at_peak = flat_index(z, z.argmax(axis=1), 1)
    np.subtract(z, flat(z)[at_peak][:, np.newaxis], out=z)
    np.exp(z, out=z)
    flat(z)[at_peak] = 0.0
    return total(z, 1, spare=True)


def _compensated_others(z: FloatArray, temperature: float, lift: FloatArray) -> FloatArray:
    """Sum of exp((z_j - m)/T) over all but the first maximum of each row [n, k], as if z_j - m were not rounded.

    The exact error c of d = (z - m)/T enters as exp(d + c) = exp(d) (1 + c). Row i is summed as exp(lift[i]) times
    itself.
    """
    at_peak = flat_index(z, z.argmax(axis=1), 1)
    d, c = distances(z, flat(z)[at_peak][:, np.newaxis], temperature)
    e = np.exp(d + lift[:, np.newaxis])
    e += e * c
    flat(e)[at_peak] = 0.0
    return total(e, 1) * np.exp(-lift)


def distances(z: FloatArray, m: FloatArray, temperature: float) -> tuple[FloatArray, FloatArray]:
    """(z - m)/T for rows [n, k] and their m [n, 1], as a float64 and what its rounding left out of it.

    The latter is 0 where the former is not finite, or too large or too small to be split.

    Examples
    --------
    >>> near, rest = distances(np.array([[1e-20, 1.0]]), np.array([[1.0]]), 1.0)
    >>> near.tolist(), rest.tolist()
    ([[-1.0, 0.0]], [[1e-20, 0.0]])
    """
    with np.errstate(invalid="ignore", over="ignore"):
        d = z - m
        back = z - d
        c = (z - (d + back)) + (back - m)  # Knuth's two-sum of z and -m
        if temperature != 1.0:
            quotient = d / temperature
            c = (_remainder(d, quotient, temperature) + c) / temperature
            d = quotient
    c[~np.isfinite(c)] = 0.0
    return d, c


def _remainder(a: FloatArray, quotient: FloatArray, b: float) -> FloatArray:
    """Exact a - quotient * b, by Dekker's product."""
    split = quotient * _VELTKAMP
    high = split - (split - quotient)
    low = quotient - high
    split_b = b * _VELTKAMP
    b_high = split_b - (split_b - b)
    b_low = b - b_high
    product = quotient * b
    error = ((high * b_high - product) + high * b_low + low * b_high) + low * b_low
    return (a - product) - error
