"""Repeat sums of exponentials with compensated differences z - m, in rows where their rounding shows in the loss."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np

from xent_cli.core.kernel.tiles import flat_index, pairwise_sum, rows_per_tile
from xent_cli.core.scratch import flat

if TYPE_CHECKING:
    from xent_cli.core.array_types import AnyArray, BoolArray, FloatArray, IntArray
    from xent_cli.core.options import LossOptions

# exp(d) has a relative error of |d| times that of d = z - m. For float64 logits this limits the accuracy of the loss
# once the sum without the maximum is below exp(-128); then it is repeated with the rounding of d compensated.
_FLOAT64_BOUND = math.exp(-128)
# Float32 arithmetic rounds d to 2**-24 of itself; errors in the loss up to this many units in the last place of float32
# are accepted.
_FLOAT32_ULPS = 5.0
# Differences of float32 logits are exact in float64 unless one is 2**28 times the other. Only then can a loss lose
# digits, and only if the sum without the maximum is below 1/8.
_FLOAT32_BOUND = 1 / 8
_INEXACT_RATIO = 2.0**-28
# Below this, terms may be subnormal, each rounded to a grid as coarse as itself; such sums are computed exp(64) times
# as large. That is exact: d < -64 moves nearer to 0 and stays a multiple of its last place.
_SUBNORMAL_BOUND = 1e-290
_EXPONENT_SHIFT = 64.0
# Veltkamp's constant splits a float64 into two halves of 26 bits.
_VELTKAMP = 2.0**27 + 1.0


def compensate(
    sum_without_max: FloatArray,
    logits: AnyArray,
    maximum: FloatArray,
    options: LossOptions,
    distance: FloatArray | float,
) -> None:
    """Recompute `sum_without_max` [n] in place, in the rows where the rounding of z - m would be visible in the loss.

    Parameters
    ----------
    distance
        [n] a lower bound of what the loss contains besides log1p(sum_without_max): if it is large, the last digits of
        the sum do not matter.
    """
    dtype = logits.dtype
    exact = dtype.kind == "b" or dtype.itemsize <= 2 or (dtype.kind == "f" and dtype.itemsize == 4)
    exact = exact and options.temperature == 1.0
    bound = _FLOAT64_BOUND if not exact else _FLOAT32_BOUND if dtype.itemsize == 4 else _SUBNORMAL_BOUND
    num_classes = logits.shape[1]
    if options.precision == "float32":
        rows = _rounded_rows(sum_without_max, num_classes, distance)
    else:
        rows = (sum_without_max < bound).nonzero()[0]
    step = rows_per_tile(num_classes)
    for first in range(0, rows.size, step):  # working memory of the size of a tile
        some = rows[first : first + step]
        _compensate_rows(some, sum_without_max, logits, maximum, options, distance, bound, exact=exact)


def _compensate_rows(
    rows: IntArray,
    sum_without_max: FloatArray,
    logits: AnyArray,
    maximum: FloatArray,
    options: LossOptions,
    distance: FloatArray | float,
    bound: float,
    *,
    exact: bool,
) -> None:
    """Recompute the sums of some rows; if `exact`, z - m is exact in float64, except in rare rows of float32."""
    if exact and options.precision == "float32":
        sum_without_max[rows] = _float64_sums(logits.take(rows, axis=0).astype(np.float64, order="C"))
        rows = rows[sum_without_max[rows] < bound]
    if exact and rows.size and logits.dtype.itemsize == 4:
        subnormal = sum_without_max.take(rows) < _SUBNORMAL_BOUND
        rows = rows[subnormal | _inexact(rows, sum_without_max, logits, maximum, distance)]
    if rows.size:
        shift = np.where(sum_without_max[rows] < _SUBNORMAL_BOUND, _EXPONENT_SHIFT, 0.0)
        z = logits.take(rows, axis=0).astype(np.float64, order="C")
        sum_without_max[rows] = _compensated_sums(z, options.temperature, shift)


def _rounded_rows(sum_without_max: FloatArray, num_classes: int, distance: FloatArray | float) -> IntArray:
    """Find the rows in which the rounding of float32 differences is visible in the loss."""
    # The mean distance of the classes in the sum s, weighted by their terms, is at most log(k / s) (Jensen's
    # inequality); the loss inherits s / ((1 + s) loss) <= 1 of the relative error of s.
    rows = (sum_without_max < num_classes * math.exp(-_FLOAT32_ULPS) * 1.001).nonzero()[0]
    s = sum_without_max.take(rows)
    with np.errstate(divide="ignore", invalid="ignore"):
        inherited = s / ((1.0 + s) * (np.log1p(s) + _at_rows(distance, rows)))
        error = np.log(num_classes / s) * np.where(s == 0, 1.0, inherited)
    return rows[error > _FLOAT32_ULPS]


def _inexact(
    rows: IntArray, sum_without_max: FloatArray, logits: AnyArray, maximum: FloatArray, distance: FloatArray | float
) -> BoolArray:
    """Find the `rows` of float32 logits whose differences from the maximum are inexact in float64 and may matter."""
    # Two cheap tests by row come first. A class 2**28 times nearer to 0 than the maximum adds exp(-m) to the sum, so it
    # matters only if the loss is not much larger than k such terms; the other case is a maximum that is itself near 0.
    m = maximum.take(rows)
    suspect: BoolArray
    with np.errstate(over="ignore", invalid="ignore"):
        least = np.maximum(sum_without_max.take(rows), _at_rows(distance, rows))
        logit_near_zero = (m > 4) & (least < logits.shape[1] * m * np.exp(-m))
        maximum_near_zero = (m != 0) & (np.abs(m) < 745 * _INEXACT_RATIO)
    suspect = logit_near_zero | maximum_near_zero
    some = suspect.nonzero()[0]
    if some.size == 0:
        return suspect
    largest = np.abs(m[some, np.newaxis])
    size = logits.take(rows[some], axis=0)
    np.abs(size, out=size)
    # One pass over all rows usually makes the six below unnecessary.
    if not maximum_near_zero.any() and not (size < largest.max() * _INEXACT_RATIO).any():
        return np.zeros_like(suspect)
    apart = (size < largest * _INEXACT_RATIO) & (size > 0) | (largest < size * _INEXACT_RATIO)
    suspect[some] = apart.any(axis=1)
    return suspect


def _at_rows(distance: FloatArray | float, rows: IntArray) -> FloatArray | float:
    return distance if isinstance(distance, float) else distance.take(rows)


def _float64_sums(z: FloatArray) -> FloatArray:
    """Sum exp(z_j - m) over all but the first maximum of each row [n, k], overwriting z."""
    first_maxima = flat_index(z, z.argmax(axis=1), 1)
    np.subtract(z, flat(z)[first_maxima][:, np.newaxis], out=z)
    np.exp(z, out=z)
    flat(z)[first_maxima] = 0.0
    return pairwise_sum(z, 1, may_overwrite=True)


def _compensated_sums(z: FloatArray, temperature: float, shift: FloatArray) -> FloatArray:
    """Sum exp((z_j - m)/T) over all but the first maximum of each row [n, k], as if z_j - m were not rounded.

    The exact error c of d = (z - m)/T enters as exp(d + c) = exp(d) (1 + c). Row i is computed exp(shift[i]) times as
    large, and divided by that in the end.
    """
    first_maxima = flat_index(z, z.argmax(axis=1), 1)
    d, c = distances(z, flat(z)[first_maxima][:, np.newaxis], temperature)
    e = np.exp(d + shift[:, np.newaxis])
    e += e * c
    flat(e)[first_maxima] = 0.0
    return pairwise_sum(e, 1) * np.exp(-shift)


def distances(z: FloatArray, m: FloatArray, temperature: float) -> tuple[FloatArray, FloatArray]:
    """Return (z - m)/T for rows [n, k] and their m [n, 1] as float64, and its rounding error.

    The error is 0 where the first is not finite, or too large or too small to be split.

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
    """Return a - quotient * b exactly, with Dekker's product."""
    split = quotient * _VELTKAMP
    high = split - (split - quotient)
    low = quotient - high
    split_b = b * _VELTKAMP
    b_high = split_b - (split_b - b)
    b_low = b - b_high
    product = quotient * b
    error = ((high * b_high - product) + high * b_low + low * b_high) + low * b_low
    return (a - product) - error
