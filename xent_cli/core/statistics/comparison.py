"""Changes of every figure from a baseline to candidates."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from xent_cli.core.statistics.holm import holm
from xent_cli.core.statistics.paired_test import percent
from xent_cli.core.totals.total_losses import total_losses

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from xent_cli.core.array_types import FloatArray
    from xent_cli.core.diagnostics import Diagnostic
    from xent_cli.core.statistics.flips import Flips
    from xent_cli.core.statistics.paired_test import PairedComparison

# Figures of a summary that measure a model, as opposed to counts of samples.
_FIGURES = ("mean_loss", "perplexity", "p50_loss", "p90_loss", "p95_loss", "p99_loss", "max_loss")
# Figures of the divergence from a reference.
_DIVERGENCE = ("kl_divergence", "p50_kl", "p90_kl", "p95_kl", "p99_kl", "p999_kl", "max_kl")
_LAST = ("ece", "brier")


@dataclass(frozen=True, slots=True)
class Change:
    """One figure of two models; losses in nats.

    Fields
    ------
    metric
        Name of the figure in the summary document.
    baseline, candidate, delta
        Not rounded; `delta` is candidate - baseline.
    n
        Number of samples.
    low, high, p
        Confidence interval of `delta`, and two-sided p of no difference; NaN if there is none.
    mark
        "~" if the interval contains 0, otherwise "lower" or "higher"; "n/a" for a mean without an interval; "" for
        figures that are not means.
    by, value
        A column and its value in the samples that are compared; None if all samples are.
    n_clusters, design_effect
        Number of clusters, and the factor by which they multiply the variance of `delta`; None and NaN without them.
    mde
        The minimum detectable difference of the test; see `PairedComparison.mde`.
    p_holm
        p adjusted for the number of candidates by Holm's method; NaN with one candidate.
    """

    metric: str
    baseline: float
    candidate: float
    delta: float
    n: int
    low: float = math.nan
    high: float = math.nan
    p: float = math.nan
    mark: str = ""
    by: str | None = None
    value: str | None = None
    n_clusters: int | None = None
    design_effect: float = math.nan
    mde: float = math.nan
    p_holm: float = math.nan

    @property
    def delta_percent(self) -> float:
        """Difference in percent of the baseline."""
        return percent(self.delta, self.baseline)


@dataclass(frozen=True, slots=True)
class MovedSample:
    """A sample whose loss changed: its number, id and label, and both losses in nats."""

    sample: int
    id: str | None
    label: str | None
    baseline: float
    candidate: float


@dataclass(frozen=True, slots=True)
class Model:
    """One of the results that are compared: the user's name for it, its path, and its settings if known."""

    label: str
    path: str
    signature: str | None = None


@dataclass(frozen=True, slots=True)
class ModelChange:
    """Changes from the baseline to one candidate.

    Fields
    ------
    changes
        One entry for each figure, the mean loss first.
    slices
        Changes of the mean loss for each value of a column.
    moved
        The samples whose losses changed most.
    flips
        Predictions that became right or wrong; None if either model's rows lack predictions or labels.
    clustered_by
        What defines the clusters of samples, such as 'column "doc"'; None if samples are independent.
    n_ignored
        Samples that have no loss in either result.
    diagnostics
        Warnings and notes.
    """

    model: Model
    changes: tuple[Change, ...]
    slices: tuple[Change, ...] = ()
    moved: tuple[MovedSample, ...] = ()
    n_ignored: int = 0
    diagnostics: tuple[Diagnostic, ...] = ()
    flips: Flips | None = None
    clustered_by: str | None = None

    @property
    def by_document(self) -> bool:
        """Whether documents were compared, because the two models split them into different tokens."""
        return self.changes[0].metric == "bits_per_unit"


@dataclass(frozen=True, slots=True)
class Comparison:
    """Changes from one baseline to several candidates, and how they were compared.

    Fields
    ------
    version
        Version of xent.
    kind
        "rows", or "summary" if there are no per-sample losses and therefore no intervals.
    joined_on
        The id column, "cluster" if documents were compared, or None if samples are matched by position.
    test, confidence, resamples, seed
        How intervals are computed; the last two are None if nothing is drawn at random.
    general_diagnostics
        Warnings and notes about the comparison as a whole.
    """

    version: str
    kind: str
    baseline: Model
    candidates: tuple[ModelChange, ...]
    joined_on: str | None
    test: str
    confidence: float
    resamples: int | None
    seed: int | None
    general_diagnostics: tuple[Diagnostic, ...] = ()

    @property
    def diagnostics(self) -> tuple[Diagnostic, ...]:
        """Warnings and notes about the comparison, followed by those about each candidate, without repeats."""
        found = [*self.general_diagnostics]
        found += [diagnostic for candidate in self.candidates for diagnostic in candidate.diagnostics]
        return tuple({(diagnostic.code, diagnostic.message): diagnostic for diagnostic in found}.values())


def mean_change(
    paired: PairedComparison, by: str | None = None, value: str | None = None, metric: str = "mean_loss"
) -> Change:
    """Return the change of the mean loss, or of another mean, with its interval.

    Examples
    --------
    >>> import numpy as np
    >>> from xent_cli.core.statistics.paired_test import compare_losses
    >>> mean_change(compare_losses(np.array([1.0, 2.0, 3.0]), np.array([1.5, 2.0, 2.5]))).mark
    '~'
    """
    mark = "n/a"
    if paired.significant is not None:
        mark = "~" if not paired.significant else "lower" if paired.delta < 0 else "higher"
    return Change(
        metric,
        paired.mean_baseline,
        paired.mean_candidate,
        paired.delta,
        paired.n,
        low=paired.low,
        high=paired.high,
        p=paired.p,
        mark=mark,
        by=by,
        value=value,
        n_clusters=paired.n_clusters,
        design_effect=paired.design_effect,
        mde=paired.mde,
    )


def adjusted(candidates: Sequence[ModelChange]) -> tuple[ModelChange, ...]:
    """Return the candidates with the p of each figure adjusted for their number; a single one is returned unchanged."""
    if len(candidates) < 2:
        return tuple(candidates)
    names = dict.fromkeys(change.metric for candidate in candidates for change in candidate.changes)
    found = {name: holm([_p_of(candidate, name) for candidate in candidates]) for name in names}
    return tuple(
        replace(
            candidate,
            changes=tuple(replace(change, p_holm=found[change.metric][place]) for change in candidate.changes),
        )
        for place, candidate in enumerate(candidates)
    )


def _p_of(candidate: ModelChange, metric: str) -> float:
    return next((change.p for change in candidate.changes if change.metric == metric), math.nan)


def changes_of_losses(
    baseline: FloatArray,
    candidate: FloatArray,
    paired: PairedComparison,
    *,
    weight: FloatArray | None = None,
    divisor: FloatArray | None = None,
) -> tuple[Change, ...]:
    """Compare every figure of losses [n] of the same samples; `paired` compares their means, with the same weights."""
    ours, theirs = (
        total_losses("", loss, weight=weight, divisor=weight if divisor is None else divisor).summarize().as_dict()
        for loss in (baseline, candidate)
    )
    return mean_change(paired), *changes_of_summaries(ours, theirs)[1:]


def changes_of_divergence(
    baseline: FloatArray,
    candidate: FloatArray,
    paired: PairedComparison,
    *,
    weight: FloatArray | None = None,
    divisor: FloatArray | None = None,
) -> tuple[Change, ...]:
    """Compare the KL divergences [n] of two models from their reference; see `changes_of_losses`."""
    ours, theirs = (
        total_losses("", kl, weight=weight, divisor=divisor, divergence={"kl_divergence": kl}).summarize().as_dict()
        for kl in (baseline, candidate)
    )
    changes = {change.metric: change for change in changes_of_summaries(ours, theirs)}
    return mean_change(paired, metric="kl_divergence"), *(changes[name] for name in _DIVERGENCE[1:])


def changes_of_summaries(
    baseline: Mapping[str, float | int | bool | None], candidate: Mapping[str, float | int | bool | None]
) -> tuple[Change, ...]:
    """Compare every figure that both summaries have, without intervals, which require per-sample losses.

    Examples
    --------
    >>> [c.delta for c in changes_of_summaries({"mean_loss": 1.0, "n_samples": 2}, {"mean_loss": 1.5, "n_samples": 2})]
    [0.5]
    """
    names = [*_FIGURES, *_DIVERGENCE, *(name for name in baseline if name.endswith("accuracy")), *_LAST]
    changes = []
    for name in names:
        ours, theirs = baseline.get(name), candidate.get(name)
        if ours is not None and theirs is not None:
            # Two equal infinities are not a change, although their difference is NaN.
            delta = 0.0 if ours == theirs else theirs - ours
            mark = "n/a" if name == "mean_loss" else ""
            count = int(baseline["n_samples"] or 0)
            changes.append(Change(name, float(ours), float(theirs), float(delta), count, mark=mark))
    return tuple(changes)
