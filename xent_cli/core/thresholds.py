"""Limits on the figures of a run, and the verdict on each."""

from __future__ import annotations

import math
import re
from dataclasses import dataclass, fields
from typing import TYPE_CHECKING, Any, Literal

from xent_cli.core.digits import distinct
from xent_cli.core.slices import slice_name
from xent_cli.core.summary import LossSummary
from xent_cli.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from xent_cli.core.naive import FormulaTotals

    Figure = float | int | bool | None
    Kind = Literal["max", "min", "max-increase"]

_QUANTILES = ("p50_loss", "p90_loss", "p95_loss", "p99_loss")
_FIELDS = [field.name for field in fields(LossSummary) if field.name not in ("quantiles", "top_k")]
METRICS = (*_FIELDS, *_QUANTILES, "perplexity", "bits", "accuracy")
_OVERFLOW = ("overflow.float16", "overflow.bfloat16", "overflow.float32", "overflow.float64")
_TOP_K = re.compile(r"top_([1-9][0-9]*)_accuracy")
_SLICE = re.compile(r"slice:(.+?)=(.*):(.+?)", re.DOTALL)


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
        A field of the summary, ``overflow.DTYPE`` (rows for which the textbook formula is not ok), or
        ``slice:COLUMN=VALUE:FIELD``.
    kind
        "max" and "min" bound the figure, "max-increase" its distance above `baseline`.
    limit
        In the unit of the figure or, where `percent`, in hundredths of the baseline's magnitude.
    baseline
        The figure of the run to compare with; needed to judge "max-increase".
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
        """Hold the figure against the limit, unrounded; NaN fails.

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
        if self.kind == "max-increase":
            return self._judge_increase(observed)
        passed = observed <= self.limit if self.kind == "max" else observed >= self.limit
        value, limit = distinct(observed, self.limit)
        side = {("max", True): "within", ("max", False): "above", ("min", True): "not below", ("min", False): "below"}
        word = "maximum" if self.kind == "max" else "minimum"
        return Verdict(
            self, observed, passed, f"{self.metric} is {value}, {side[self.kind, passed]} the {word} {limit}"
        )

    def _judge_increase(self, observed: float) -> Verdict:
        base, delta = self.baseline, self._delta(observed)
        if base is None or delta is None:
            raise ValueError(f"{self.metric}: an increase is judged against a baseline")
        allowed = self.limit / 100 * abs(base) if self.percent else self.limit
        passed = delta <= allowed
        value, before = distinct(observed, base)
        rise, most = distinct(delta, allowed)
        told = f"{self.metric} went from {before} to {value}, by {rise}: "
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


def parse(kind: Kind, text: str) -> Threshold:
    """Read ``METRIC=LIMIT``; the limit of an increase may end in ``%``.

    Raises
    ------
    UsageError
        At an unknown metric, naming the nearest, or a limit that is no finite number.

    Examples
    --------
    >>> parse("max-increase", "p99_loss=0.5%")
    Threshold(metric='p99_loss', kind='max-increase', limit=0.5, percent=True, baseline=None, interval=None)
    """
    option = f"--{kind} {text}"
    metric, equals, limit = text.rpartition("=")
    if not equals or not metric:
        raise UsageError(f"{option}: expected METRIC=LIMIT", hint=f"for example --{kind} mean_loss=0.35")
    _refuse_unknown(metric, option)
    percent = kind == "max-increase" and limit.endswith("%")
    try:
        number = float(limit.removesuffix("%") if percent else limit)
    except ValueError:
        number = math.nan
    if not math.isfinite(number) or (kind == "max-increase" and number < 0):
        expected = "a number from 0 on, or a percentage" if kind == "max-increase" else "a finite number"
        raise UsageError(f"{option}: the limit is no limit", found=limit, expected=expected)
    return Threshold(metric, kind, number, percent)


def figures(
    summary: Mapping[str, Figure],
    unsafe: Mapping[str, int],
    slices: Iterable[tuple[str, object, Mapping[str, Figure]]] = (),
) -> dict[str, Figure]:
    """Every figure that a limit may name, by that name.

    Parameters
    ----------
    summary
        The fields of a summary.
    unsafe
        For each dtype, for how many rows the textbook formula is not ok.
    slices
        Column, value, and the fields of its summary.

    Examples
    --------
    >>> figures({"mean_loss": 1.0}, {"float16": 3}, [("split", "test", {"mean_loss": 2.0})])
    {'mean_loss': 1.0, 'overflow.float16': 3, 'slice:split=test:mean_loss': 2.0}
    """
    flat = dict(summary) | {f"overflow.{dtype}": count for dtype, count in unsafe.items()}
    for column, value, fields_ in slices:
        flat |= {f"{slice_name(column, value)}:{name}": figure for name, figure in fields_.items()}
    return flat


def unsafe_rows(formulas: Iterable[FormulaTotals]) -> dict[str, int]:
    """For each dtype, for how many rows the textbook formula is imprecise, infinite or NaN."""
    return {f.dtype: f.naive.n_imprecise + f.naive.n_underflow + f.naive.n_overflow for f in formulas}


def field_of(metric: str) -> str:
    """The field of a summary that a metric is about: that of the slice, or the metric itself.

    Examples
    --------
    >>> field_of("slice:at=12:30:top_3_accuracy"), field_of("bits")
    ('top_3_accuracy', 'bits')
    """
    found = _SLICE.fullmatch(metric)
    return found[3].rpartition(":")[2] if found else metric


def top_k_of(metric: str) -> int | None:
    """Which accuracy a metric is about, None where it is about none.

    Examples
    --------
    >>> top_k_of("accuracy"), top_k_of("slice:split=test:top_5_accuracy"), top_k_of("bits")
    (1, 5, None)
    """
    name = field_of(metric)
    found = _TOP_K.fullmatch(name)
    return int(found[1]) if found else 1 if name == "accuracy" else None


def nearest(name: str, known: Iterable[str]) -> str:
    """A hint that names what was perhaps meant.

    Examples
    --------
    >>> nearest("mean_los", METRICS)
    'did you mean mean_loss or min_loss or max_loss?'
    """
    from difflib import get_close_matches  # wanted only where a run ends

    close = get_close_matches(name, sorted(known), n=3, cutoff=0.5)
    return f"did you mean {' or '.join(close)}?" if close else ""


def _refuse_unknown(metric: str, option: str) -> None:
    name = field_of(metric)
    known = [*METRICS, "top_5_accuracy", *([] if name != metric else _OVERFLOW)]
    if metric.startswith("slice:") and name == metric:
        raise UsageError(f"{option}: expected slice:COLUMN=VALUE:METRIC")
    if name not in known and not _TOP_K.fullmatch(name):
        raise UsageError(
            f"{option}: there is no metric {name}", hint=nearest(name, known) or f"one of {', '.join(known)}"
        )
