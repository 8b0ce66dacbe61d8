"""The figures that totals of losses end in."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from xent_cli.core.diagnostics import Diagnostic


class WorstSample(NamedTuple):
    """One of the highest losses: nats, sample number, and what names the sample."""

    loss: float
    sample: int
    label: int | None
    id: str | None

    def order(self) -> tuple[bool, float, int]:
        """Sort key: NaN before inf before any number, of equal losses the lower sample first."""
        return (not math.isnan(self.loss), 0.0 if math.isnan(self.loss) else -self.loss, self.sample)


@dataclass(frozen=True, slots=True)
class LossSummary:
    """The figures of a run; losses in nats.

    Fields
    ------
    n_samples, n_ignored, n_nan, n_inf
        Samples in the mean; samples without a loss; and how many of the former are NaN and infinite.
    mean_loss, sum_loss
        Weighted where weights are given: sum(w l) / sum(w) and sum(w l). NaN or inf if any loss is.
    std_loss, min_loss, max_loss
        Of the per-sample losses, unweighted; std is of the population. NaN ranks above inf.
    worst_sample
        Where `max_loss` is, the first of several.
    quantiles
        p50_loss, p90_loss, p95_loss and p99_loss, interpolated between neighbours.
    quantiles_exact
        False beyond four million samples: then they are within 0.2 %.
    top_k
        k and the share of samples whose label is among the k highest logits.
    kl_divergence, warnings
        Mean KL(q || p) against a teacher's q, or None; and what puts the figures in doubt, each a code and a sentence,
        where `evaluate` returns them: the commands tell it beside.
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
    kl_divergence: float | None = None
    warnings: tuple[Diagnostic, ...] = ()

    @property
    def perplexity(self) -> float:
        """Exp of the mean loss."""
        try:
            return math.exp(self.mean_loss)
        except OverflowError:
            return math.inf

    @property
    def bits(self) -> float:
        """Mean loss in bits."""
        return self.mean_loss / math.log(2)

    @property
    def accuracy(self) -> float | None:
        """Share of samples whose label has the highest logit, or None where that was not asked for."""
        return dict(self.top_k).get(1)

    def as_dict(self) -> dict[str, float | int | bool | None]:
        """Every figure by its name in the summary document, in its order."""
        accuracies = {"accuracy" if k == 1 else f"top_{k}_accuracy": value for k, value in self.top_k}
        divergence = {} if self.kl_divergence is None else {"kl_divergence": self.kl_divergence}
        return {
            "n_samples": self.n_samples,
            "n_ignored": self.n_ignored,
            "n_nan": self.n_nan,
            "n_inf": self.n_inf,
            "mean_loss": self.mean_loss,
            "sum_loss": self.sum_loss,
            "std_loss": self.std_loss,
            "min_loss": self.min_loss,
            "max_loss": self.max_loss,
            "worst_sample": self.worst_sample,
            **dict(self.quantiles),
            "quantiles_exact": self.quantiles_exact,
            "perplexity": self.perplexity,
            "bits": self.bits,
            **divergence,
            **accuracies,
        }
