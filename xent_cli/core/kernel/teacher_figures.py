"""Figures of the distance between a student and a teacher, besides the cross-entropy and KL(teacher || student).

See Also
--------
xent_cli.core.kernel.distillation : the cross-entropy and that divergence.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np

from xent_cli.core.kernel.distillation import distributions
from xent_cli.core.kernel.divergence import divergence_terms
from xent_cli.core.kernel.from_probabilities import weighted_sum
from xent_cli.core.kernel.tiles import pairwise_sum

if TYPE_CHECKING:
    from collections.abc import Collection

    from xent_cli.core.array_types import AnyArray, BoolArray, FloatArray
    from xent_cli.core.kernel.distillation import Distributions
    from xent_cli.core.options import LossOptions

FIGURES = ("reverse_kl", "js_divergence", "ref_entropy", "top5_overlap")
_TOP = 5
# Beyond this, log(1 + exp(x)) is x to the last digit, and exp(x) may overflow.
_LARGE = 40.0


def teacher_figures(
    student: AnyArray, teacher: AnyArray, options: LossOptions, wanted: Collection[str]
) -> dict[str, FloatArray]:
    """Compute figures of each row.

    With p the student's and q the teacher's probabilities, and m = (p + q)/2:

    - ``reverse_kl = sum p_j log(p_j / q_j)``;
    - ``js_divergence = (sum q_j log(q_j / m_j) + sum p_j log(p_j / m_j)) / 2``, at most log 2;
    - ``ref_entropy = -sum q_j log q_j``;
    - ``top5_overlap``: how many of the teacher's five likeliest classes are among the student's five, divided by five;
      ties go to the lower class index, and with fewer than five classes all are compared.

    The first three are in nats.

    Parameters
    ----------
    student, teacher, options
        As for `teacher_cross_entropy`.
    wanted
        Names in `FIGURES`.

    Returns
    -------
    [n] for each name, in the order of `FIGURES`; NaN if one of the rows is not a distribution.

    References
    ----------
    Lin, "Divergence measures based on the Shannon entropy", IEEE Trans. Inf. Theory 37, 1991.

    Examples
    --------
    >>> from xent_cli.core.options import LossOptions
    >>> options = LossOptions(source="probs", labels="dense", labels_source="probs")
    >>> p, q = np.array([[1.0, 0.0]]), np.array([[0.5, 0.5]])
    >>> found = teacher_figures(p, q, options, ["reverse_kl", "top5_overlap"])
    >>> bool(found["reverse_kl"][0] == math.log(2)), found["top5_overlap"].tolist()
    (True, [1.0])
    """
    found = {name: np.empty(len(student)) for name in FIGURES if name in wanted}
    normal = options.both_sum_to_1
    for rows, both in distributions(student, teacher, options):
        log_p, p, log_q, q, x = both
        # Where both are 0 the ratio may be NaN; such a class adds nothing.
        both = both._replace(log_ratio=np.where((p == 0) & (q == 0), 0.0, x))
        invalid = np.isnan(log_p).any(axis=1) | np.isnan(log_q).any(axis=1)
        for name, values in found.items():
            if name == "ref_entropy":
                figure = weighted_sum(q, -log_q)
            elif name == "reverse_kl":
                figure = _sum(-both.log_ratio, q, p, normal=normal)
            elif name == "js_divergence":
                figure = _jensen_shannon(both, normal=normal)
            else:
                highest = min(_TOP, p.shape[1])
                shared = _likeliest(student[rows], highest) & _likeliest(teacher[rows], highest)
                figure = np.count_nonzero(shared, axis=1) / highest
            values[rows] = np.where(invalid, np.nan, figure)
    return found


def _sum(x: FloatArray, p: FloatArray, q: FloatArray, *, normal: bool) -> FloatArray:
    """Return the divergence KL(q || p), with x = log(q/p)."""
    with np.errstate(over="ignore", invalid="ignore"):
        return pairwise_sum(divergence_terms(x, p, q) if normal else np.where(q == 0, 0.0, q * x))


def _jensen_shannon(both: Distributions, *, normal: bool) -> FloatArray:
    _, p, _, q, x = both
    m = (p + q) / 2
    return (_sum(_log_of_share(x), m, q, normal=normal) + _sum(_log_of_share(-x), m, p, normal=normal)) / 2


def _log_of_share(x: FloatArray) -> FloatArray:
    """Return log(q / m) for m = (p + q)/2 and x = log(q/p); exactly 0 for 0."""
    with np.errstate(over="ignore", invalid="ignore", divide="ignore"):
        return np.where(x < -_LARGE, x + math.log(2), -np.log1p(np.expm1(-x) / 2))


def _likeliest(rows: AnyArray, count: int) -> BoolArray:
    """Mark the `count` highest entries of each row [n, k]; ties go to the first."""
    rows = np.asarray(rows, np.float64)
    k = rows.shape[1]
    last = np.partition(rows, k - count, axis=1)[:, k - count, np.newaxis]
    chosen: BoolArray = rows > last
    missing = count - np.count_nonzero(chosen, axis=1)
    equal = rows == last
    tied = np.flatnonzero(np.count_nonzero(equal, axis=1) > missing)
    equal[tied] &= np.cumsum(equal[tied], axis=1) <= missing[tied, np.newaxis]
    chosen |= equal
    return chosen
