"""Totals of losses: immutable, exact, and merged without rounding."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, NamedTuple

from xent_cli.core.labels.label_offsets import Offsets
from xent_cli.core.totals.exact_sum import ExactSum, either, standard_deviation, standard_error
from xent_cli.core.totals.quantiles import QuantileState
from xent_cli.core.totals.summary import LossSummary, WorstSample
from xent_cli.errors import InputError

if TYPE_CHECKING:
    from xent_cli.core.totals.cluster_totals import ClusterTotals
    from xent_cli.core.totals.divergence_totals import DivergenceTotals
    from xent_cli.core.totals.grouped_sums import GroupedSums
    from xent_cli.core.totals.moments import Moments

_LEVELS = {"p50_loss": 0.5, "p90_loss": 0.9, "p95_loss": 0.95, "p99_loss": 0.99}


class LossTotals(NamedTuple):
    """Totals of the losses seen so far.

    ``LossTotals(signature)`` is empty and the identity of `merge`, which is associative and commutative: any partition
    of the samples gives the same bits. Totals of different settings refuse to merge.

    Fields
    ------
    signature
        The settings of the run.
    sums, squares
        Exact sums of the finite losses and of their squares.
    weighted, weight
        Exact sums of weight times loss (each product rounded once) and of weights; None without weights.
    quantiles
        None if only the mean is wanted; then `squares` is 0.
    worst
        The highest losses, up to `worst_wanted` of them.
    hits
        For each k, how many labels are among the k highest.
    divergence
        Totals of the divergence from a reference, or None.
    softmaxed
        Rows of logits that look like probabilities.
    unnormalised, unnormalised_labels
        Rows of probabilities, and rows of dense labels or of a teacher, that do not sum to 1.
    label_range
        Lowest and highest class index seen, or None.
    offsets
        How often the highest logit is in the class next to the label, in the first samples.
    digest
        Digest of the labels that count, as from `label_digest`, or None.
    grouped
        Means over groups and units of text, or None if not requested.
    moments, clusters
        Exact sums for the standard error of the mean, over weighted samples and over clusters; or None.
    """

    signature: str
    n_samples: int = 0
    n_ignored: int = 0
    n_nan: int = 0
    n_inf: int = 0
    sums: ExactSum = ExactSum()
    squares: ExactSum = ExactSum()
    weighted: ExactSum | None = None
    weight: ExactSum | None = None
    min_loss: float = math.inf
    quantiles: QuantileState | None = None
    worst: tuple[WorstSample, ...] = ()
    worst_wanted: int = 1
    hits: tuple[tuple[int, int], ...] = ()
    divergence: DivergenceTotals | None = None
    softmaxed: int = 0
    unnormalised: int = 0
    unnormalised_labels: int = 0
    label_range: tuple[int, int] | None = None
    offsets: Offsets = Offsets()
    digest: int | None = None
    moments: Moments | None = None
    clusters: ClusterTotals | None = None
    grouped: GroupedSums | None = None

    def merge(self, other: LossTotals) -> LossTotals:
        """Return the totals of both; ValueError if the settings differ."""
        if self.signature != other.signature:
            raise ValueError(f"totals of different settings: {self.signature} and {other.signature}")
        wanted = max(self.worst_wanted, other.worst_wanted)
        return LossTotals(
            self.signature,
            n_samples=self.n_samples + other.n_samples,
            n_ignored=self.n_ignored + other.n_ignored,
            n_nan=self.n_nan + other.n_nan,
            n_inf=self.n_inf + other.n_inf,
            sums=self.sums + other.sums,
            squares=self.squares + other.squares,
            weighted=either(self.weighted, other.weighted, ExactSum.__add__),
            weight=either(self.weight, other.weight, ExactSum.__add__),
            min_loss=min(self.min_loss, other.min_loss),
            quantiles=either(self.quantiles, other.quantiles, QuantileState.merge),
            worst=tuple(sorted(self.worst + other.worst, key=WorstSample.order)[:wanted]),
            worst_wanted=wanted,
            hits=_merge_hits(self.hits, other.hits),
            divergence=either(self.divergence, other.divergence, lambda a, b: a.merge(b)),
            softmaxed=self.softmaxed + other.softmaxed,
            unnormalised=self.unnormalised + other.unnormalised,
            unnormalised_labels=self.unnormalised_labels + other.unnormalised_labels,
            label_range=either(self.label_range, other.label_range, lambda a, b: (min(a[0], b[0]), max(a[1], b[1]))),
            offsets=self.offsets.merge(other.offsets),
            digest=either(self.digest, other.digest, _add_digests),
            moments=either(self.moments, other.moments, lambda a, b: a + b),
            clusters=either(self.clusters, other.clusters, lambda a, b: a.merge(b)),
            grouped=either(self.grouped, other.grouped, lambda a, b: a.merge(b)),
        )

    @property
    def listed(self) -> tuple[str, tuple[WorstSample, ...]]:
        """The figure by which samples are listed, and these samples: divergence if that was requested, else loss."""
        if self.divergence is not None and self.divergence.worst_wanted:
            return self.divergence.worst_by, self.divergence.worst
        return "loss", self.worst

    @property
    def n_bounded(self) -> int:
        """How many of the NaN losses stand for a loss of which only bounds are known."""
        return 0 if self.divergence is None else self.divergence.n_bounded or 0

    @property
    def divisor(self) -> ExactSum:
        """Divisor of the mean: the sum of weights, or the number of samples."""
        return self.weight if self.weight is not None else ExactSum.of_count(self.n_samples)

    def _standard_error(self, deviation: float) -> tuple[float, int | None, float | None]:
        """Return the standard error of the mean, the number of clusters and the design effect, from the deviation."""
        alone = standard_error(deviation, self.n_samples)
        if self.moments is not None and not math.isnan(deviation):
            alone = self.moments.standard_error()
        if self.clusters is None:
            return alone, None, None
        found = self.clusters.moments()
        error = math.nan if math.isnan(deviation) else found.standard_error()
        return error, found.clusters, (error / alone) ** 2 if alone else math.nan

    def refuse_nothing(self, where: str = "") -> None:
        """Raise `InputError` if there is no mean: no sample counts, or all weights are 0; `where` names the input."""
        found, expected = f"{self.n_ignored} samples, all ignored or without a label", "at least one sample with a loss"
        if self.n_samples:
            found, expected = "weights that sum to 0", "at least one positive weight"
        if not self.divisor.units:
            raise InputError("nothing left to average", where, found, expected)

    def summarize(self) -> LossSummary:
        """Compute the figures, rounding each once."""
        total = self.sums if self.weighted is None else self.weighted
        special = math.nan if self.n_nan else math.inf if self.n_inf else None
        worst, state, deviation = self.worst[0] if self.worst else None, self.quantiles, math.nan
        if special is None and state is not None:
            deviation = standard_deviation(self.sums, self.squares, self.n_samples)
        error, count, effect = self._standard_error(deviation)
        found = [] if state is None else state.quantiles(list(_LEVELS.values()))
        levels = [(name, math.nan if self.n_bounded else value) for name, value in zip(_LEVELS, found, strict=False)]
        return LossSummary(
            n_samples=self.n_samples,
            n_ignored=self.n_ignored,
            n_nan=self.n_nan - self.n_bounded,
            n_inf=self.n_inf,
            mean_loss=total / self.divisor if special is None else special,
            sum_loss=float(total) if special is None else special,
            std_loss=deviation,
            se_loss=error,
            n_clusters=count,
            design_effect=effect,
            min_loss=self.min_loss if self.n_samples > self.n_nan and not self.n_bounded else math.nan,
            max_loss=worst.loss if worst else math.nan,
            worst_sample=worst.sample if worst else None,
            quantiles=tuple(levels),
            quantiles_exact=(state is None or state.exact) and (self.divergence is None or self.divergence.exact),
            top_k=tuple((k, count / self.n_samples if self.n_samples else math.nan) for k, count in self.hits),
            divergence=() if self.divergence is None else self.divergence.figures(self.divisor),
            by_group=() if self.grouped is None else self.grouped.figures(total, special),
        )


def _add_digests(a: int, b: int) -> int:
    from xent_cli.core.labels.label_digest import add_digests

    return add_digests(a, b)


def _merge_hits(a: tuple[tuple[int, int], ...], b: tuple[tuple[int, int], ...]) -> tuple[tuple[int, int], ...]:
    ours, theirs = dict(a), dict(b)
    return tuple(sorted((k, ours.get(k, 0) + theirs.get(k, 0)) for k in ours | theirs))
