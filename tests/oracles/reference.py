"""A slow scalar oracle for softmax cross-entropy, in arbitrary precision.

Every stored value is taken as the exact number it is, everything is computed with `DIGITS` significant digits, and a
result is rounded once, to nearest even. Nothing here is shared with the package under test.
"""

import math
from collections.abc import Sequence
from fractions import Fraction
from typing import Any

import mpmath
import numpy as np
from mpmath import mpf

DIGITS = 450

# Precision in bits, exponent of the smallest subnormal, and the largest exponent (a value below 2**emax is finite).
FORMATS = {
    "float16": (11, -24, 16),
    "bfloat16": (8, -133, 128),
    "float32": (24, -149, 128),
    "float64": (53, -1074, 1024),
}


def _mpf(value: Any) -> mpf:
    """Return a stored number as the exact value that it is."""
    return value if isinstance(value, mpf) else mpf(value if isinstance(value, int) else float(value))


def round_fraction(value: Fraction, name: str = "float64") -> float:
    """Round an exact rational once to a format, to nearest even, with gradual underflow; return it as a float64.

    Examples
    --------
    >>> round_fraction(Fraction(2049), "float16")
    2048.0
    >>> round_fraction(Fraction(-65520), "float16"), round_fraction(Fraction(10**400))
    (-inf, inf)
    >>> round_fraction(Fraction(3, 2**150), "float32") == 2 * 2.0**-149
    True
    """
    if not value:
        return 0.0
    bits, low, high = FORMATS[name]
    sign = -1.0 if value < 0 else 1.0
    top, bottom = abs(value.numerator), value.denominator
    exponent = top.bit_length() - bottom.bit_length()  # 2**(exponent - 1) < |value| < 2**(exponent + 1)
    if abs(value) < Fraction(2) ** exponent:
        exponent -= 1
    unit = max(exponent - bits + 1, low)
    units = round(abs(value) / Fraction(2) ** unit)  # ties to even
    if units * Fraction(2) ** unit >= Fraction(2) ** high:
        return sign * math.inf
    return sign * math.ldexp(units, unit)


def round_mpf(value: mpf, name: str = "float64") -> float:
    """Round an mpf, which may be infinite or NaN, once to a format; see `round_fraction`.

    Examples
    --------
    >>> round_mpf(mpf(2) ** -1075 * -3)
    -1e-323
    """
    if not mpmath.isfinite(value):
        return float(value)
    if not value:
        return 0.0
    man, exp = abs(value).man_exp
    sign = -1 if value < 0 else 1
    size = man.bit_length() + exp
    if size < -1200:
        return sign * 0.0
    if size > 1100:
        return sign * math.inf
    return round_fraction(sign * Fraction(int(man)) * Fraction(2) ** exp, name)


def log_softmax_mpf(row: Sequence[Any], temperature: Any = 1) -> tuple[list[mpf], list[mpf]]:
    """Return -log p_j and p_j of one row; all NaN for a row with a NaN, a +inf or nothing but -inf."""
    z = [_mpf(value) / _mpf(temperature) for value in row]
    top = max(z) if not any(mpmath.isnan(value) for value in z) else mpf("nan")
    if not mpmath.isfinite(top):
        return [mpf("nan")] * len(z), [mpf("nan")] * len(z)
    where = z.index(top)
    terms = [mpmath.exp(value - top) for value in z]
    others = mpmath.fsum(term for j, term in enumerate(terms) if j != where)
    log_sum = mpmath.log1p(others)
    return [top - value + log_sum for value in z], [term / (1 + others) for term in terms]


def coefficients(
    target: Any, classes: int, label_smoothing: Any = 0, class_weight: Sequence[Any] | None = None
) -> list[mpf]:
    """Write a row's loss as sum_j a_j (-log p_j) and return the a_j.

    For a class index y: (1 - eps) w_y at y, plus eps/C w_j everywhere; for a dense row q: w_j ((1 - eps) q_j + eps/C).

    Examples
    --------
    >>> [float(a) for a in coefficients(1, 2, 0.5, [1, 4])]
    [0.25, 3.0]
    """
    if isinstance(target, int | np.integer):
        q = [mpf(int(j == int(target))) for j in range(classes)]
    else:
        q = [_mpf(value) for value in target]
    eps = _mpf(label_smoothing)
    weights = [mpf(1)] * classes if class_weight is None else [_mpf(value) for value in class_weight]
    return [w * ((1 - eps) * value + eps / classes) for w, value in zip(weights, q, strict=True)]


def _dot(a: Sequence[mpf], x: Sequence[mpf]) -> mpf:
    """Return the sum of products, in which 0 times infinity is 0; NaN if an x is NaN."""
    if any(mpmath.isnan(value) for value in x):
        return mpf("nan")
    return mpmath.fsum(u * v for u, v in zip(a, x, strict=True) if u)


def cross_entropy_mpf(
    row: Sequence[Any],
    target: Any,
    *,
    temperature: Any = 1,
    label_smoothing: Any = 0,
    class_weight: Sequence[Any] | None = None,
) -> tuple[mpf, list[mpf]]:
    """Return the loss of one row, against a class index or a dense row, and its gradient; see `coefficients`."""
    losses, p = log_softmax_mpf(row, temperature)
    a = coefficients(target, len(p), label_smoothing, class_weight)
    total = mpmath.fsum(a)
    return _dot(a, losses), [(total * u - v) / _mpf(temperature) for u, v in zip(p, a, strict=True)]


def cross_entropy_mp(row: Sequence[Any], target: Any, *, dtype: str = "float64", **options: Any) -> float:
    """Return the loss of one row, rounded once; the options are those of `cross_entropy_mpf`.

    Examples
    --------
    >>> cross_entropy_mp([0.0, 0.0], 0) == math.log(2)
    True
    >>> cross_entropy_mp([40.0, 0.0], 0)
    4.248354255291589e-18
    >>> cross_entropy_mp([0.0, -math.inf], [1.0, 0.0])
    0.0
    """
    with mpmath.workdps(DIGITS):
        return round_mpf(cross_entropy_mpf(row, target, **options)[0], dtype)


def gradient_mp(row: Sequence[Any], target: Any, *, dtype: str = "float64", **options: Any) -> list[float]:
    """Return the gradient of one row's loss with respect to its logits, each entry rounded once.

    Examples
    --------
    >>> gradient_mp([0.0, 0.0], 0)
    [-0.5, 0.5]
    """
    with mpmath.workdps(DIGITS):
        return [round_mpf(value, dtype) for value in cross_entropy_mpf(row, target, **options)[1]]


def batch_mpf(
    logits: Sequence[Sequence[Any]], targets: Sequence[Any], ignore_index: int | None = None, **options: Any
) -> tuple[list[mpf | None], list[list[mpf]], mpf]:
    """Return loss and gradient of each row, None and zeros for an ignored one, and the divisor of their mean.

    That is the sum of the class weights of the labels; a dense row counts 1.
    """
    losses: list[mpf | None] = []
    gradients = []
    divisor = mpf(0)
    for row, target in zip(logits, targets, strict=True):
        sparse = isinstance(target, int)
        if sparse and target == ignore_index:
            losses.append(None)
            gradients.append([mpf(0)] * len(row))
            continue
        loss, gradient = cross_entropy_mpf(row, target, **options)
        losses.append(loss)
        gradients.append(gradient)
        divisor += mpmath.fsum(coefficients(target, len(row), 0, options.get("class_weight"))) if sparse else 1
    return losses, gradients, divisor


def kl_mpf(row: Sequence[Any], teacher: Sequence[Any]) -> mpf:
    """Return KL(softmax(teacher) || softmax(row)): sum_j q_j (log q_j - log p_j) over the classes with q_j > 0."""
    losses, p = log_softmax_mpf(row)
    own, q = log_softmax_mpf(teacher)
    if any(mpmath.isnan(value) for value in (p[0], q[0])):
        return mpf("nan")
    return mpmath.fsum(c * (a - b) for a, b, c in zip(losses, own, q, strict=True) if c)


def kl_mp(row: Sequence[Any], teacher: Sequence[Any]) -> float:
    """Return KL(softmax(teacher) || softmax(row)), rounded once.

    Examples
    --------
    >>> kl_mp([1.0, 2.0, -math.inf], [1.0, 2.0, -math.inf])
    0.0
    >>> kl_mp([0.0, -math.inf], [0.0, 0.0])
    inf
    """
    with mpmath.workdps(DIGITS):
        return round_mpf(kl_mpf(row, teacher))


def teacher_cross_entropy_mp(row: Sequence[Any], teacher: Sequence[Any]) -> float:
    """Return H(softmax(teacher), softmax(row)), rounded once.

    Examples
    --------
    >>> teacher_cross_entropy_mp([0.0, 0.0], [3.0, -3.0]) == math.log(2)
    True
    """
    with mpmath.workdps(DIGITS):
        losses, _ = log_softmax_mpf(row)
        _, q = log_softmax_mpf(teacher)
        return round_mpf(mpf("nan") if mpmath.isnan(q[0]) else _dot(q, losses))


def _exp(value: float, name: str) -> float:
    """Return the exponential of a number of a format, rounded once to that format."""
    if math.isnan(value):
        return value
    if abs(value) > 1000.0:  # beyond every format
        return math.inf if value > 0 else 0.0
    return round_mpf(mpmath.exp(mpf(value)), name)


def _add(a: float, b: float, name: str) -> float:
    """Return the sum of two numbers of a format, rounded once to that format."""
    if not (math.isfinite(a) and math.isfinite(b)):
        return a + b
    return round_fraction(Fraction(a) + Fraction(b), name)


def naive_scalar(row: Sequence[Any], label: int, dtype: Any) -> Any:
    """Return -log(exp(z_y) / sum exp(z)), rounded to a dtype after every operation; NaN for inf/inf and 0/0.

    The textbook formula as a loop over scalars would compute it: each logit converted to the dtype, each exponential,
    the additions from left to right starting with the first term, the division, the logarithm and the negation, every
    one correctly rounded. It overflows and underflows as the dtype does.

    Examples
    --------
    >>> float(naive_scalar([12.0, 0.0], 0, "float16"))
    nan
    >>> float(naive_scalar([11.0, 0.0], 0, "float16")), float(naive_scalar([0.0, 12.0], 0, "float16"))
    (-0.0, inf)
    """
    name = dtype if isinstance(dtype, str) else np.dtype(dtype).name
    if name == "bfloat16":
        from ml_dtypes import bfloat16 as scalar
    else:
        scalar = np.dtype(name).type
    with mpmath.workprec(300):
        terms = [_exp(round_mpf(_mpf(value), name), name) for value in row]
        total = terms[0]
        for term in terms[1:]:
            total = _add(total, term, name)
        top = terms[label]
        if math.isnan(total) or math.isnan(top) or math.isinf(top) or not total:
            p = math.nan
        elif math.isinf(total):
            p = 0.0
        else:
            p = round_fraction(Fraction(top) / Fraction(total), name)
        if math.isnan(p):
            log = p
        else:
            log = round_mpf(mpmath.log(mpf(p)), name) if p else -math.inf
        return scalar(-log)
