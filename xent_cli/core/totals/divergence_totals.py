"""Totals of the figures that a sample has besides its loss when a model is compared with a reference."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from xent_cli.core.totals.exact_sum import ExactSum, either
from xent_cli.core.totals.quantiles import QuantileState
from xent_cli.core.totals.summary import WorstSample, worst_samples

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from typing import Any

    from xent_cli.core.array_types import AnyArray, FloatArray, IntArray
    from xent_cli.core.totals.cluster_totals import ClusterTotals
    from xent_cli.core.totals.moments import Moments

KL = "kl_divergence"
DELTA_P = "mean_delta_p"
# llama.cpp's own figure, which uses the floor for every class that is not known.
FACE = "kl_face_value"
# Lower and upper bound of the divergence.
LOW, HIGH = "kl_low", "kl_high"
_LEVELS = {"50": 0.5, "90": 0.9, "95": 0.95, "99": 0.99, "999": 0.999}
# Figures that are reported with quantiles besides their mean: the name and the level of each quantile.
SPREADS: Mapping[str, Mapping[str, float]] = {
    KL: {f"p{name}_kl": level for name, level in _LEVELS.items()},
    # A quantile of the divergences lies between those of their bounds.
    LOW: {"p99_kl_low": 0.99},
    HIGH: {"p99_kl_high": 0.99},
    FACE: {f"p{name}_kl_face_value": level for name, level in _LEVELS.items()},
    DELTA_P: {"p1_delta_p": 0.01, "p5_delta_p": 0.05, "p50_delta_p": 0.5, "p95_delta_p": 0.95, "p99_delta_p": 0.99},
}
_EXTREMES = {
    "max_kl": (KL, "high"),
    "max_kl_low": (LOW, "high"),
    "max_kl_high": (HIGH, "high"),
    "max_kl_face_value": (FACE, "high"),
    "min_delta_p": (DELTA_P, "low"),
    "max_delta_p": (DELTA_P, "high"),
}
# The mean of paired differences, which has a standard error.
RATIO = "log_ppl_ratio"
# A count of samples.
BOUNDED = "n_bounded"
# A mean of squares, reported as its root.
SQUARED_DELTA_P = "squared_delta_p"
_ROOTS = {SQUARED_DELTA_P: "rms_delta_p"}


class FigureSum(NamedTuple):
    """Sum of one figure over samples, each times its weight.

    Fields
    ------
    finite
        Exact sum of the finite terms.
    special
        Sum of the others: 0 if there are none, else inf, -inf or NaN.
    """

    finite: ExactSum = ExactSum()
    special: float = 0.0

    @classmethod
    def of(cls, values: FloatArray, weight: FloatArray | None = None) -> FigureSum:
        """Sum `values` [n]; a weight of 0 cancels even a value that is not finite.

        Examples
        --------
        >>> FigureSum.of(np.array([1.0, np.inf]), np.array([0.5, 0.0])).over(ExactSum.of_count(1))
        0.5
        """
        terms = weighted(values, weight)
        finite = np.isfinite(terms)
        if finite.all():
            return cls(ExactSum.of(terms))
        return cls(ExactSum.of(terms[finite]), float(terms[~finite].sum()))

    def merge(self, other: FigureSum) -> FigureSum:
        """Return the sum of both."""
        return FigureSum(self.finite + other.finite, self.special + other.special)

    def over(self, divisor: ExactSum) -> float:
        """Divide, rounding once."""
        return self.special if self.special != 0 else self.finite / divisor


class Spread(NamedTuple):
    """Unweighted distribution of one figure: quantiles, the lowest value that is not NaN, and the highest."""

    quantiles: QuantileState
    low: float
    high: float

    @classmethod
    def of(cls, values: FloatArray, exact_rows: int) -> Spread:
        """Return the distribution of `values` [n]."""
        low, high = np.fmin.reduce(values, initial=math.inf), np.maximum.reduce(values, initial=-math.inf)
        return cls(QuantileState.of(values, exact_rows=exact_rows), float(low), float(high))

    def merge(self, other: Spread) -> Spread:
        """Return the distribution of the values of both."""
        high = math.nan if math.isnan(self.high) or math.isnan(other.high) else max(self.high, other.high)
        return Spread(self.quantiles.merge(other.quantiles), min(self.low, other.low), high)


@dataclass(frozen=True, slots=True)
class DivergenceTotals:
    """Totals of the figures of divergence seen so far; `DivergenceTotals()` is the identity of `merge`.

    Fields
    ------
    sums
        The sum of each figure.
    spreads
        The distribution of each figure in `SPREADS`, unless only means are wanted.
    worst
        The samples with the highest divergence, or lower bound of it if rows are partial, up to `worst_wanted` of them.
    n_bounded
        How many samples have a loss that is only bounded, or None if all rows are complete.
    ratio, ratio_clusters
        Exact sums for the standard error of `RATIO`, over samples and over clusters; or None.
    """

    sums: Mapping[str, FigureSum] = field(default_factory=dict)
    spreads: Mapping[str, Spread] = field(default_factory=dict)
    worst: tuple[WorstSample, ...] = ()
    worst_wanted: int = 0
    n_bounded: int | None = None
    ratio: Moments | None = None
    ratio_clusters: ClusterTotals | None = None

    @classmethod
    def of(
        cls,
        figures: Mapping[str, FloatArray],
        weight: FloatArray | None = None,
        *,
        spread: bool = True,
        exact_rows: int,
        sample: IntArray | None = None,
        worst_wanted: int = 0,
        labels: IntArray | None = None,
        ids: AnyArray | None = None,
    ) -> DivergenceTotals:
        """Total the figures of samples.

        Parameters
        ----------
        figures
            [n] by name; means have the same names as in the summary, and "n_bounded" is counted.
        weight
            [n], or None.
        spread
            Whether quantiles are wanted too.
        exact_rows
            Number of samples up to which quantiles are exact.
        sample, labels, ids
            [n] sample numbers, and the labels and ids to show for the worst samples.
        """
        bounded = figures.get(BOUNDED)
        figures = {name: values for name, values in figures.items() if name != BOUNDED}
        worst: tuple[WorstSample, ...] = ()
        ratio = None
        if spread and sample is not None and RATIO in figures:
            from xent_cli.core.totals.moments import Moments

            apart = weighted(figures[RATIO], weight)
            divisor = np.ones(apart.size) if weight is None else weight
            ratio = Moments.of_rows(np.where(np.isfinite(apart), apart, 0.0), divisor)
        ranked = figures.get(LOW, figures.get(KL))
        if worst_wanted and sample is not None and ranked is not None:
            worst = worst_samples(ranked, sample, worst_wanted, labels, ids)
        return cls(
            {name: FigureSum.of(values, weight) for name, values in figures.items()},
            {name: Spread.of(figures[name], exact_rows) for name in SPREADS if name in figures} if spread else {},
            worst,
            worst_wanted,
            None if bounded is None else int(np.count_nonzero(bounded)),
            ratio,
        )

    def merge(self, other: DivergenceTotals) -> DivergenceTotals:
        """Return the totals of both."""
        wanted = max(self.worst_wanted, other.worst_wanted)
        return DivergenceTotals(
            _merged(self.sums, other.sums, FigureSum.merge),
            _merged(self.spreads, other.spreads, Spread.merge),
            tuple(sorted(self.worst + other.worst, key=WorstSample.order)[:wanted]),
            wanted,
            either(self.n_bounded, other.n_bounded, int.__add__),
            either(self.ratio, other.ratio, lambda a, b: a + b),
            either(self.ratio_clusters, other.ratio_clusters, lambda a, b: a.merge(b)),
        )

    @property
    def worst_by(self) -> str:
        """The figure by which `worst` lists the highest."""
        return LOW if LOW in self.sums else KL

    @property
    def exact(self) -> bool:
        """Whether quantiles are exact."""
        return all(spread.quantiles.exact for spread in self.spreads.values())

    @property
    def lowest(self) -> float:
        """The lowest divergence of any sample; inf if there is none."""
        return self.spreads[KL].low if KL in self.spreads else math.inf

    def figures(self, divisor: ExactSum) -> tuple[tuple[str, float], ...]:
        """Return every figure by its name in the summary; `divisor` is the divisor of the mean."""
        found: dict[str, float] = {} if self.n_bounded is None else {BOUNDED: self.n_bounded}
        for name, total in self.sums.items():
            mean = total.over(divisor)
            if name in _ROOTS:
                found[_ROOTS[name]] = math.sqrt(mean)
            else:
                found[name] = mean
            if name in self.spreads:
                found |= self._distribution(name)
            if name == RATIO and self.ratio is not None:
                moments = self.ratio if self.ratio_clusters is None else self.ratio_clusters.moments()
                found[f"se_{RATIO}"] = moments.standard_error() if math.isfinite(mean) else math.nan
        return tuple(found.items())

    def _distribution(self, name: str) -> dict[str, float]:
        spread, levels = self.spreads[name], SPREADS[name]
        unknown = (name == KL and self.n_bounded) or (name == DELTA_P and math.isnan(spread.high))
        if unknown:  # some value may be any
            extremes = [end for end, (figure, _) in _EXTREMES.items() if figure == name]
            return dict.fromkeys((*levels, *extremes), math.nan)
        found = dict(zip(levels, spread.quantiles.quantiles(list(levels.values())), strict=True))
        ends = {end: getattr(spread, side) for end, (figure, side) in _EXTREMES.items() if figure == name}
        return found | {end: value if spread.quantiles.size else math.nan for end, value in ends.items()}


def weighted(values: FloatArray, weight: FloatArray | None) -> FloatArray:
    """Return values [n] times weights [n]; a weight of 0 gives 0."""
    if weight is None:
        return values
    with np.errstate(over="ignore", invalid="ignore"):
        return np.where(weight == 0, 0.0, values * weight)


def _merged(ours: Mapping[str, Any], theirs: Mapping[str, Any], both: Callable[[Any, Any], Any]) -> dict[str, Any]:
    merged = dict(ours)
    for name, value in theirs.items():
        merged[name] = both(merged[name], value) if name in merged else value
    return merged
