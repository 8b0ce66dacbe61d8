"""Limits on the figures of a run, and whether they hold."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

from xent_cli.core.metrics import is_loss
from xent_cli.core.number_text import distinct

if TYPE_CHECKING:
    from collections.abc import Mapping

    from xent_cli.core.metrics import Figure

    Kind = Literal["max", "min", "max-increase", "max-decrease"]

# Figures that give the bounds of a figure that is not known exactly.
_ENDS = ("mean_loss_at_least", "kl_low", "kl_high", "kl_face_value")
KINDS: tuple[Kind, ...] = ("max", "min", "max-increase", "max-decrease")
RELATIVE = ("max-increase", "max-decrease")
# Rounding cannot bring a loss further below 0 than this, which is about the loss of the first bfloat16 above a
# probability of 1.
BELOW_ZERO = -0.004


@dataclass(frozen=True, slots=True)
class Verdict:
    """Whether one limit holds.

    Fields
    ------
    threshold
        The limit.
    observed
        The figure of this run, not rounded.
    passed
        Whether the limit holds.
    message
        A sentence that says why, with enough digits to see it.
    delta
        Observed minus baseline; None without a baseline.
    interval
        Confidence interval of the mean paired difference, in the unit of the figure or in nats, if it decided.
    """

    threshold: Threshold
    observed: float
    passed: bool
    message: str
    delta: float | None = None
    interval: tuple[float, float] | None = None

    def as_dict(self) -> dict[str, Any]:
        """Return the entry of the summary document."""
        limit = self.threshold
        entry: dict[str, Any] = {"metric": limit.metric, "kind": limit.kind, "limit": limit.spelling}
        entry |= {"observed": self.observed, "passed": self.passed}
        if limit.baseline is not None:
            entry |= {"baseline": limit.baseline, "delta": self.delta}
        if self.interval is not None:
            entry["interval"] = list(self.interval)
        return {**entry, "message": self.message}


@dataclass(frozen=True, slots=True)
class Threshold:
    """One limit on one figure.

    Fields
    ------
    metric
        A field of the summary, ``overflow.DTYPE`` (the number of rows for which the textbook formula is wrong; with
        ``.imprecise``, ``.inf`` or ``.nan``, wrong in that way), or ``slice:COLUMN=VALUE:FIELD``.
    kind
        "max" and "min" bound the figure; "max-increase" and "max-decrease" bound its distance from `baseline`.
    limit
        In the unit of the figure or, with `percent`, in hundredths of the magnitude of the baseline.
    baseline
        The figure of the run to compare with; required for "max-increase" and "max-decrease".
    interval
        Confidence interval of the mean paired difference, if a change must be significant to fail.
    """

    metric: str
    kind: Kind
    limit: float
    percent: bool = False
    baseline: float | None = None
    interval: tuple[float, float] | None = None

    @property
    def spelling(self) -> float | str:
        """The limit as a number, or as a text like "0.5%"."""
        return f"{self.limit!r}".removesuffix(".0") + "%" if self.percent else self.limit

    def judge(self, figures: Mapping[str, Figure]) -> Verdict:
        """Compare the figure with the limit, without rounding; NaN fails, and so does a cross-entropy below 0.

        Parameters
        ----------
        figures
            Every figure by name, as from `metrics.figures`.

        Raises
        ------
        KeyError
            If there is no such figure.

        Examples
        --------
        >>> Threshold("mean_loss", "max", 0.35).judge({"mean_loss": 0.350000000001}).message
        'mean_loss is 0.350000000001, above the maximum 0.35'
        >>> Threshold("mean_loss", "max-increase", 0.5, percent=True, baseline=0.25).judge({"mean_loss": 0.25}).delta
        0.0
        """
        figure = figures[self.metric]
        observed = math.nan if figure is None else +figure
        if math.isnan(observed):
            message = f"{self.metric} is NaN, and NaN fails every check"
            if figures.get("n_bounded"):
                ends = {name: figures[name] for name in _ENDS if isinstance(figures.get(name), float)}
                known = ", ".join(f"{name} {value:.6g}" for name, value in ends.items())
                message = f"{self.metric} is not known, which fails every check; of these it is: {known}"
            return Verdict(self, observed, False, message, self._delta(observed))
        below = next((name for name in (self.metric, "mean_loss", "min_loss") if _is_below_zero(name, figures)), None)
        if below is not None:
            message = f"{below} is {figures[below]:.6g}, and a cross-entropy below 0 fails every check"
            return Verdict(self, observed, False, message, self._delta(observed))
        if self.kind in RELATIVE:
            return self._judge_change(observed)
        passed = observed <= self.limit if self.kind == "max" else observed >= self.limit
        value, limit = distinct(observed, self.limit)
        side = {("max", True): "within", ("max", False): "above", ("min", True): "not below", ("min", False): "below"}
        word = "maximum" if self.kind == "max" else "minimum"
        message = f"{self.metric} is {value}, {side[self.kind, passed]} the {word} {limit}"
        low = figures.get("kl_low")
        if (
            observed == math.inf
            and not passed
            and self.metric.endswith("kl_high")
            and isinstance(low, float)
            and low < observed
        ):
            message += f"; nothing bounds what the candidate's file leaves out: known is kl_low {low:.6g}"
        return Verdict(self, observed, passed, message)

    def _judge_change(self, observed: float) -> Verdict:
        base, delta = self.baseline, self._delta(observed)
        if base is None or delta is None:
            raise ValueError(f"{self.metric}: a change is judged against a baseline")
        falls = self.kind == "max-decrease"
        # Subtracted from 0, not negated: no change must be 0 and not -0.
        change = 0.0 - delta if falls else delta
        allowed = self.limit / 100 * abs(base) if self.percent else self.limit
        passed = change <= allowed
        value, before = distinct(observed, base)
        amount, most = distinct(change, allowed)
        message = f"{self.metric} went from {before} to {value}, {'down ' if falls else ''}by {amount}: "
        limit = f"{self.spelling} = {most}" if self.percent else most
        message += f"{'within' if passed else 'more than'} the {limit} allowed"
        if passed or self.interval is None:
            return Verdict(self, observed, passed, message, delta)
        low, high = self.interval
        span = f"the interval of the paired difference, {low:.6g} to {high:.6g},"
        if low <= 0 <= high:
            message += f", but not significant: {span} holds 0"
            return Verdict(self, observed, True, message, delta, self.interval)
        return Verdict(self, observed, False, f"{message}; {span} excludes 0", delta, self.interval)

    def _delta(self, observed: float) -> float | None:
        return None if self.baseline is None else float(observed - self.baseline)


def _is_below_zero(name: str, figures: Mapping[str, Figure]) -> bool:
    figure = figures.get(name)
    return figure is not None and is_loss(name) and figure < BELOW_ZERO
