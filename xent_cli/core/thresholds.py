"""Limits on the figures of a run, and the verdict on each."""

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

KINDS: tuple[Kind, ...] = ("max", "min", "max-increase", "max-decrease")
RELATIVE = ("max-increase", "max-decrease")
# The loss of a probability of 1 that was rounded up to the next bfloat16; no rounding goes further below 0.
BELOW_ZERO = -0.004


@dataclass(frozen=True, slots=True)
class Verdict:
    """What came of one limit.

    Fields
    ------
    threshold
        The limit.
    observed
        The figure of this run, unrounded.
    passed
        Whether the limit holds.
    message
        One sentence that says why, with enough digits to see it.
    delta
        Observed minus baseline; None where there is no baseline.
    interval
        Confidence interval of the mean paired difference, where it decided; nats.
    """

    threshold: Threshold
    observed: float
    passed: bool
    message: str
    delta: float | None = None
    interval: tuple[float, float] | None = None

    def as_dict(self) -> dict[str, Any]:
        """The check as the summary document has it."""
        given = self.threshold
        entry: dict[str, Any] = {"metric": given.metric, "kind": given.kind, "limit": given.spelling}
        entry |= {"observed": self.observed, "passed": self.passed}
        if given.baseline is not None:
            entry |= {"baseline": given.baseline, "delta": self.delta}
        if self.interval is not None:
            entry["interval"] = list(self.interval)
        return {**entry, "message": self.message}


@dataclass(frozen=True, slots=True)
class Threshold:
    """One limit on one figure.

    Fields
    ------
    metric
        A field of the summary, ``overflow.DTYPE`` (rows for which the textbook formula is not ok; with ``.imprecise``,
        ``.inf`` or ``.nan`` those that are wrong in that way), or ``slice:COLUMN=VALUE:FIELD``.
    kind
        "max" and "min" bound the figure, "max-increase" and "max-decrease" its distance above or below `baseline`.
    limit
        In the unit of the figure or, where `percent`, in hundredths of the baseline's magnitude.
    baseline
        The figure of the run to compare with; needed to judge "max-increase" and "max-decrease".
    interval
        Confidence interval of the mean paired difference in nats, where an increase must be significant to fail.
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
        """Hold the figure against the limit, unrounded; NaN fails, and so does a cross-entropy below 0.

        Parameters
        ----------
        figures
            Every figure by name, as `figures` gives them.

        Raises
        ------
        KeyError
            Where there is no such figure.

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
            return Verdict(
                self, observed, False, f"{self.metric} is NaN, and NaN fails every check", self._delta(observed)
            )
        below = next((name for name in (self.metric, "mean_loss", "min_loss") if _is_below_zero(name, figures)), None)
        if below is not None:
            told = f"{below} is {figures[below]:.6g}, and a cross-entropy below 0 fails every check"
            return Verdict(self, observed, False, told, self._delta(observed))
        if self.kind in RELATIVE:
            return self._judge_change(observed)
        passed = observed <= self.limit if self.kind == "max" else observed >= self.limit
        value, limit = distinct(observed, self.limit)
        side = {("max", True): "within", ("max", False): "above", ("min", True): "not below", ("min", False): "below"}
        word = "maximum" if self.kind == "max" else "minimum"
        return Verdict(
            self, observed, passed, f"{self.metric} is {value}, {side[self.kind, passed]} the {word} {limit}"
        )

    def _judge_change(self, observed: float) -> Verdict:
        base, delta = self.baseline, self._delta(observed)
        if base is None or delta is None:
            raise ValueError(f"{self.metric}: a change is judged against a baseline")
        falls = self.kind == "max-decrease"
        # 0 less a number, not its negative: no change is 0 either way.
        change = 0.0 - delta if falls else delta
        allowed = self.limit / 100 * abs(base) if self.percent else self.limit
        passed = change <= allowed
        value, before = distinct(observed, base)
        amount, most = distinct(change, allowed)
        told = f"{self.metric} went from {before} to {value}, {'down ' if falls else ''}by {amount}: "
        limit = f"{self.spelling} = {most}" if self.percent else most
        told += f"{'within' if passed else 'more than'} the {limit} allowed"
        if passed or self.interval is None:
            return Verdict(self, observed, passed, told, delta)
        low, high = self.interval
        span = f"the interval of the paired difference, {low:.6g} to {high:.6g},"
        if low <= 0 <= high:
            return Verdict(self, observed, True, f"{told}, but not significant: {span} holds 0", delta, self.interval)
        return Verdict(self, observed, False, f"{told}; {span} excludes 0", delta, self.interval)

    def _delta(self, observed: float) -> float | None:
        return None if self.baseline is None else float(observed - self.baseline)


def _is_below_zero(name: str, figures: Mapping[str, Figure]) -> bool:
    figure = figures.get(name)
    return figure is not None and is_loss(name) and figure < BELOW_ZERO
