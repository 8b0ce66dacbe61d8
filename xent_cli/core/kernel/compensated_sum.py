"""Repeat sums of exponentials with compensated differences z - m, in rows where their rounding shows in the loss."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np

from xent_cli.core.kernel.tiles import pairwise_sum

if TYPE_CHECKING:
    from xent_cli.core.array_types import AnyArray, BoolArray, FloatArray, IntArray
    from xent_cli.core.options import LossOptions

# exp(d) has a relative error of |d| times that of d = z - m. For float64 logits this limits the accuracy of the loss
# once the sum without the maximum is below exp(-128); then it is repeated with the rounding of d compensated.
_FLOAT64_BOUND = math.exp(-128)
# Float32 has no normal numbers for terms below exp(-87).
_FLOAT32_ARITHMETIC_BOUND = math.exp(-80)
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
    sum_without_max: FloatArray, logits: AnyArray, maximum: FloatArray, options: LossOptions, distance: FloatArray
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
    if options.precision == "float32":
        bound = _FLOAT32_ARITHMETIC_BOUND
    rows = np.flatnonzero(sum_without_max < bound)
    if bound == _FLOAT32_BOUND and rows.size:
        subnormal = sum_without_max[rows] < _SUBNORMAL_BOUND
        rows = rows[subnormal | _inexact(rows, sum_without_max, logits, maximum, distance)]
    if rows.size:
        shift = np.where(sum_without_max[rows] < _SUBNORMAL_BOUND, _EXPONENT_SHIFT, 0.0)
        z = logits[rows].astype(np.float64, order="C")
        sum_without_max[rows] = _compensated_sums(z, options.temperature, shift)


def _inexact(
    rows: IntArray, sum_without_max: FloatArray, logits: AnyArray, maximum: FloatArray, distance: FloatArray
) -> BoolArray:
    """Find the `rows` of float32 logits whose differences from the maximum are inexact in float64 and may matter."""
    # Two cheap tests by row come first. A class 2**28 times nearer to 0 than the maximum adds exp(-m) to the sum, so it
    # matters only if the loss is not much larger than k such terms; the other case is a maximum that is itself near 0.
    m = maximum[rows]
    least = np.maximum(sum_without_max[rows], distance[rows])
    logit_near_zero = (m > 4) & (least < logits.shape[1] * m * np.exp(-m))
    maximum_near_zero = (m != 0) & (np.abs(m) < 745 * _INEXACT_RATIO)
    suspect: BoolArray = logit_near_zero | maximum_near_zero
    some = np.flatnonzero(suspect)
    size, largest = np.abs(logits[rows[some]]), np.abs(m[some, np.newaxis])
    # A look at all of them usually makes the six at each unnecessary.
    if not maximum_near_zero.any() and not (size < largest.max(initial=0.0) * _INEXACT_RATIO).any():
        return np.zeros_like(suspect)
    apart = (size < largest * _INEXACT_RATIO) & (size > 0) | (largest < size * _INEXACT_RATIO)
    suspect[some] = apart.any(axis=1)
    return suspect


def _compensated_sums(z: FloatArray, temperature: float, shift: FloatArray) -> FloatArray:
    """Sum exp((z_j - m)/T) over all but the first maximum of each row [n, k], as if z_j - m were not rounded.

    The exact error c of d = (z - m)/T enters as exp(d + c) = exp(d) (1 + c). Row i is computed exp(shift[i]) times as
    large, and divided by that in the end.
    """
    first_maxima = np.arange(len(z)), z.argmax(axis=1)
    d, c = distances(z, z[first_maxima][:, np.newaxis], temperature)
    e = np.exp(d + shift[:, np.newaxis])
    e += e * c
    e[first_maxima] = 0.0
    return pairwise_sum(e) * np.exp(-shift)


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
