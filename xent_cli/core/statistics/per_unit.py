"""Two models that split the same documents into different tokens, compared by their losses per unit of text."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from xent_cli.core.intervals.student_t import quantile, two_sided_p

if TYPE_CHECKING:
    from xent_cli.core.array_types import FloatArray


class PerUnit(NamedTuple):
    """The difference of two ratios, candidate - baseline, in bits per unit.

    Fields
    ------
    n
        Number of documents.
    baseline, candidate
        ``sum(l) / (ln 2 sum(u))`` of each model, over all documents.
    delta
        Their difference.
    low, high, p
        Student's t interval of `delta`, and two-sided p of no difference; NaN for fewer than two documents, or if
        the difference does not vary between documents.
    """

    n: int
    baseline: float
    candidate: float
    delta: float
    low: float
    high: float
    p: float

    @property
    def significant(self) -> bool | None:
        """Whether the interval excludes 0; None without an interval."""
        return None if math.isnan(self.low) else not self.low <= 0.0 <= self.high


def compare_per_unit(
    baseline: tuple[FloatArray, FloatArray], candidate: tuple[FloatArray, FloatArray], *, confidence: float = 0.95
) -> PerUnit:
    """Compare two models by their losses per unit of the same documents.

    With ratios r = sum(l) / sum(u) of each model and ``d_g = (l_g - r u_g) / sum(u)``, candidate minus baseline, the
    standard error of the difference of the ratios is ``sqrt(G / (G - 1) sum(d_g**2))`` for G documents.

    Parameters
    ----------
    baseline, candidate
        Losses in nats [G] and units [G] of the documents, in the same order; the sums of units are above 0.
    confidence
        Confidence level, in (0, 1).

    References
    ----------
    Cochran, "Sampling techniques", 3rd ed., 1977, 6.3 and 6.17 (difference of two ratios).

    Examples
    --------
    >>> nats = math.log(2)
    >>> units = np.array([10.0, 10.0])
    >>> found = compare_per_unit((np.array([10.0, 20.0]) * nats, units), (np.array([9.0, 17.0]) * nats, units))
    >>> found.n, round(found.baseline, 12), round(found.candidate, 12), round(found.delta, 12)
    (2, 1.5, 1.3, -0.2)
    >>> round(found.high - found.delta, 6)  # d is 0.05 and -0.05, so the error is 0.1; t is 12.7062
    1.27062
    """
    (loss, units), (other_loss, other_units) = baseline, candidate
    count = loss.size
    sums = [math.fsum(values) for values in (loss, units, other_loss, other_units)]
    ours, theirs = sums[0] / sums[1], sums[2] / sums[3]
    with np.errstate(invalid="ignore"):  # some losses are infinite
        distance = (other_loss - theirs * other_units) / sums[3] - (loss - ours * units) / sums[1]
    delta, bits = (theirs - ours) / math.log(2), math.log(2)
    low = high = p = math.nan
    if count > 1 and np.isfinite(distance).all():
        error = math.sqrt(count / (count - 1) * math.fsum(distance**2)) / bits
        if error > 0:
            reach = quantile(confidence, count - 1) * error
            low, high, p = delta - reach, delta + reach, two_sided_p(delta / error, count - 1)
    return PerUnit(count, ours / bits, theirs / bits, delta, low, high, p)
