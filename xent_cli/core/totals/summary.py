"""The figures of a run."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

if TYPE_CHECKING:
    from xent_cli.core.array_types import AnyArray, FloatArray, IntArray
    from xent_cli.core.diagnostics import Diagnostic


class WorstSample(NamedTuple):
    """One of the samples with the highest loss or divergence: nats, number, label, id, prediction and its confidence.

    `label` and `predicted` are numbered as in the input; None if unknown.
    """

    loss: float
    sample: int
    label: int | None
    id: str | None
    predicted: int | None = None
    confidence: float | None = None

    def order(self) -> tuple[bool, float, int]:
        """Return the sort key: NaN before inf before any number; ties go to the lower sample number."""
        return (not math.isnan(self.loss), 0.0 if math.isnan(self.loss) else -self.loss, self.sample)


def worst_samples(
    values: FloatArray, sample: IntArray, wanted: int, labels: IntArray | None, ids: AnyArray | None
) -> tuple[WorstSample, ...]:
    """Return the `wanted` highest of `values` [n]: NaN comes first, and ties go to the earlier sample.

    Parameters
    ----------
    sample
        [n] numbers of the samples, ascending.
    labels, ids
        [n] their labels and ids, or None.

    Examples
    --------
    >>> worst_samples(np.array([1.0, 3.0]), np.array([7, 9]), 1, None, None)[0].sample
    9
    """
    if values.size == 0:
        return ()
    if wanted == 1:
        order = np.array([np.argmax(values)])  # argmax prefers NaN, and the first of equal values
    else:
        order = np.lexsort((sample, -values, ~np.isnan(values)))[:wanted]
    return tuple(
        WorstSample(
            float(values[i]),
            int(sample[i]),
            None if labels is None else int(labels[i]),
            None if ids is None else str(ids[i]),
        )
        for i in order
    )


@dataclass(frozen=True, slots=True)
class LossSummary:
    """The figures of a run; losses in nats.

    Fields
    ------
    n_samples, n_ignored, n_nan, n_inf
        Samples with a loss; samples without one; and how many losses are NaN and infinite.
    mean_loss, sum_loss
        sum(w l) / sum(w) and sum(w l), with weights w of 1 if there are none. NaN or inf if any loss is.
    std_loss, min_loss, max_loss
        Unweighted, over the per-sample losses; std_loss is the population standard deviation. NaN ranks above inf.
    worst_sample
        The first sample with `max_loss`.
    quantiles
        p50_loss, p90_loss, p95_loss and p99_loss, interpolated between neighbours.
    quantiles_exact
        False beyond four million samples: then quantiles are within 0.2 %.
    top_k
        For each k, the share of samples whose label is among the k highest logits.
    divergence
        Figures of the divergence from a reference by name, `kl_divergence` first; () without a reference.
    calibration
        ``ece``, the expected calibration error, and ``brier``, the Brier score; () if not requested. With a limit on
        it, also ``calibration_gain``: by how many nats the best temperature would lower the mean loss.
    by_group
        By name, if requested: `n_groups`, `macro_loss` and `macro_perplexity`, the averages of the mean losses and
        perplexities of groups of samples; and `n_units`, `bits_per_unit`, `unit_perplexity` and `se_bits_per_unit`,
        the losses per unit of text.
    se_loss
        Standard error of `mean_loss`, from the spread of the losses or, with weights or clusters, from the sandwich
        estimate (see `Moments.standard_error`); NaN if it is unknown: one sample, or one cluster.
    n_clusters
        Number of clusters with a scored sample, or None if samples are independent.
    design_effect
        Factor by which clusters multiply the variance of the mean, or None without clusters.
    confidence_level
        Confidence level of the interval from `ci_low` to `ci_high`.

    Warnings
    --------
        What puts the figures in doubt, in summaries that `evaluate` returns; reports list warnings separately.
    """

    n_samples: int
    n_ignored: int
    n_nan: int
    n_inf: int
    mean_loss: float
    sum_loss: float
    std_loss: float
    min_loss: float
    max_loss: float
    worst_sample: int | None
    quantiles: tuple[tuple[str, float], ...]
    quantiles_exact: bool
    top_k: tuple[tuple[int, float], ...] = ()
    divergence: tuple[tuple[str, float], ...] = ()
    calibration: tuple[tuple[str, float], ...] = ()
    warnings: tuple[Diagnostic, ...] = ()
    by_group: tuple[tuple[str, float], ...] = ()
    se_loss: float = math.nan
    n_clusters: int | None = None
    design_effect: float | None = None
    confidence_level: float = 0.95

    @property
    def perplexity(self) -> float:
        """Exp of the mean loss."""
        return _exp(self.mean_loss)

    @property
    def perplexity_low(self) -> float:
        """Lower end of the confidence interval of the perplexity: exp(ci_low)."""
        return _exp(self.ci_low)

    @property
    def perplexity_high(self) -> float:
        """Upper end of the interval."""
        return _exp(self.ci_high)

    @property
    def bits(self) -> float:
        """Mean loss in bits."""
        return self.mean_loss / math.log(2)

    @property
    def accuracy(self) -> float | None:
        """Share of samples whose label has the highest logit, or None if it was not counted."""
        return dict(self.top_k).get(1)

    @property
    def ece(self) -> float | None:
        """Expected calibration error, or None if it was not asked for."""
        return dict(self.calibration).get("ece")

    @property
    def brier(self) -> float | None:
        """Brier score, or None if it was not asked for."""
        return dict(self.calibration).get("brier")

    @property
    def kl_divergence(self) -> float | None:
        """Mean KL(q || p) from a reference q, or None without one."""
        return dict(self.divergence).get("kl_divergence")

    @property
    def ci_low(self) -> float:
        """Lower end of the confidence interval of `mean_loss`: Student's t; NaN if all losses are equal.

        ``mean - t se`` with one degree of freedom less than there are samples or, if there are any, clusters.
        """
        return self.mean_loss - self._reach

    @property
    def ci_high(self) -> float:
        """Upper end of the interval."""
        return self.mean_loss + self._reach

    @property
    def _reach(self) -> float:
        if not 0.0 < self.se_loss < math.inf:
            return math.nan
        from xent_cli.core.intervals.student_t import quantile

        count = self.n_samples if self.n_clusters is None else self.n_clusters
        return quantile(self.confidence_level, count - 1) * self.se_loss

    def as_dict(self) -> dict[str, float | int | bool | None]:
        """Return every figure by its name in the summary document, in the same order."""
        accuracies = {"accuracy" if k == 1 else f"top_{k}_accuracy": value for k, value in self.top_k}
        clusters = {"n_clusters": self.n_clusters, "design_effect": self.design_effect}
        clusters = {} if self.n_clusters is None else clusters
        return {
            "n_samples": self.n_samples,
            "n_ignored": self.n_ignored,
            "n_nan": self.n_nan,
            "n_inf": self.n_inf,
            "mean_loss": self.mean_loss,
            "sum_loss": self.sum_loss,
            "std_loss": self.std_loss,
            "se_loss": self.se_loss,
            "ci_low": self.ci_low,
            "ci_high": self.ci_high,
            "confidence_level": self.confidence_level,
            **clusters,
            "min_loss": self.min_loss,
            "max_loss": self.max_loss,
            "worst_sample": self.worst_sample,
            **dict(self.quantiles),
            "quantiles_exact": self.quantiles_exact,
            "perplexity": self.perplexity,
            "perplexity_low": self.perplexity_low,
            "perplexity_high": self.perplexity_high,
            "bits": self.bits,
            **dict(self.by_group),
            **dict(self.divergence),
            **accuracies,
            **dict(self.calibration),
        }


def _exp(nats: float) -> float:
    try:
        return math.exp(nats)
    except OverflowError:
        return math.inf
