"""What changed from one model to another, figure by figure."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

from xent_cli.core.statistics.paired_test import percent
from xent_cli.core.totals.loss_totals import LossTotals

if TYPE_CHECKING:
    from collections.abc import Mapping

    from xent_cli.core.array_types import FloatArray
    from xent_cli.core.diagnostics import Diagnostic
    from xent_cli.core.statistics.paired_test import PairedComparison

# Figures of a summary that say how good a model is; not those that say how many samples there were.
_FIGURES = ("mean_loss", "kl_divergence", "perplexity", "p50_loss", "p90_loss", "p95_loss", "p99_loss", "max_loss")


@dataclass(frozen=True, slots=True)
class Change:
    """One figure of two models; losses in nats.

    Fields
    ------
    metric
        Its name in the summary document.
    baseline, candidate, delta
        Unrounded; `delta` is candidate - baseline.
    n
        Samples that the figure is of.
    low, high, p
        Confidence interval of `delta` and two-sided p of none; NaN where there is none.
    mark
        "~" where the interval holds 0, "lower" or "higher" where it does not, "n/a" where the mean has no interval; ""
        for other figures.
    by, value
        The column and its value that the samples have in common; both None for all samples.
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

    @property
    def delta_percent(self) -> float:
        """Difference in percent of the baseline."""
        return percent(self.delta, self.baseline)


@dataclass(frozen=True, slots=True)
class MovedSample:
    """A sample whose loss moved: its number, what names it, and both losses in nats."""

    sample: int
    id: str | None
    label: str | None
    baseline: float
    candidate: float


@dataclass(frozen=True, slots=True)
class Model:
    """One of the results that are compared: what the user calls it, where it is, and its settings where known."""

    label: str
    path: str
    signature: str | None = None


@dataclass(frozen=True, slots=True)
class ModelChange:
    """A candidate against the baseline.

    Fields
    ------
    changes
        One a figure, the mean loss first.
    slices
        The mean loss for each value of a column.
    moved
        The samples whose loss moved most.
    n_ignored
        Samples without a loss in both.
    findings
        What looks wrong.
    """

    model: Model
    changes: tuple[Change, ...]
    slices: tuple[Change, ...] = ()
    moved: tuple[MovedSample, ...] = ()
    n_ignored: int = 0
    findings: tuple[Diagnostic, ...] = ()


@dataclass(frozen=True, slots=True)
class Comparison:
    """Candidates against one baseline, and how they were compared.

    Fields
    ------
    version
        Of xent.
    kind
        "rows", or "summary" where per-sample losses were not to be had and nothing has an interval.
    joined_on
        The id column, or None: by position.
    test, confidence, resamples, seed
        Of the intervals; the last two None where nothing is drawn.
    told_before
        Remarks on how the comparison came about, whoever the candidates are.
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
    told_before: tuple[Diagnostic, ...] = ()

    @property
    def findings(self) -> tuple[Diagnostic, ...]:
        """What looks wrong with any of the candidates, after what was told before."""
        return (*self.told_before, *(finding for candidate in self.candidates for finding in candidate.findings))


def mean_change(paired: PairedComparison, by: str | None = None, value: str | None = None) -> Change:
    """Return the mean loss with its interval.

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
        "mean_loss",
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
    )


def changes_of_losses(
    baseline: FloatArray,
    candidate: FloatArray,
    paired: PairedComparison,
    *,
    weight: FloatArray | None = None,
    divisor: FloatArray | None = None,
) -> tuple[Change, ...]:
    """Every figure of losses [n] of the same samples; `paired` is the comparison of their means, with these weights."""
    ours, theirs = (
        LossTotals.from_losses("", loss, weight=weight, divisor=weight if divisor is None else divisor)
        .summarize()
        .as_dict()
        for loss in (baseline, candidate)
    )
    return mean_change(paired), *changes_of_summaries(ours, theirs)[1:]


def changes_of_summaries(
    baseline: Mapping[str, float | int | bool | None], candidate: Mapping[str, float | int | bool | None]
) -> tuple[Change, ...]:
    """Every figure that both summaries have, without an interval: that takes the losses of the samples.

    Examples
    --------
    >>> [c.delta for c in changes_of_summaries({"mean_loss": 1.0, "n_samples": 2}, {"mean_loss": 1.5, "n_samples": 2})]
    [0.5]
    """
    names = [*_FIGURES, *(name for name in baseline if name.endswith("accuracy"))]
    changes = []
    for name in names:
        ours, theirs = baseline.get(name), candidate.get(name)
        if ours is not None and theirs is not None:
            # An infinity less itself is no change.
            delta = 0.0 if ours == theirs else theirs - ours
            mark = "n/a" if name == "mean_loss" else ""
            count = int(baseline["n_samples"] or 0)
            changes.append(Change(name, float(ours), float(theirs), float(delta), count, mark=mark))
    return tuple(changes)
