"""The limits of `xent check`: what they need from the run, and the verdicts."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, NamedTuple

from xent_cli.cli.runs.limits import figures_of_document, hint_to_save, option_of, parse_limit
from xent_cli.core import metrics, thresholds
from xent_cli.core.metrics import OF_THE_MEAN
from xent_cli.errors import InputError, UsageError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from xent_cli.cli.group_choice import GroupChoice
    from xent_cli.cli.options import ComputeOptions
    from xent_cli.cli.runs.outputs.kept_rows import KeptRows
    from xent_cli.core.diagnostics import Diagnostic
    from xent_cli.core.thresholds import Threshold
    from xent_cli.readers.saved.saved_results import SavedResults
    from xent_cli.reports.interface import Document

    Intervals = Mapping[str, tuple[float, float]]

_CHANGES = ("max-increase", "max-decrease")
_ACCURACY = "accuracy"


class LimitFlags(NamedTuple):
    """Limits of a check as typed, each METRIC=LIMIT."""

    max: tuple[str, ...] = ()
    min: tuple[str, ...] = ()
    max_increase: tuple[str, ...] = ()
    max_decrease: tuple[str, ...] = ()
    baseline: str | None = None
    require_significant: bool = False


@dataclass(frozen=True, slots=True)
class Limits:
    """The limits of a run.

    Fields
    ------
    thresholds
        One for each limit, in the order of `thresholds.KINDS`.
    baseline
        What "max-increase" and "max-decrease" compare with, or None.
    significant
        Whether a change fails only if the interval of the paired difference excludes 0.
    cluster
        The value of `--cluster`, or None if it was not given.
    """

    thresholds: tuple[Threshold, ...]
    baseline: SavedResults | None = None
    significant: bool = False
    cluster: GroupChoice | None = None

    @property
    def needs_overflow(self) -> bool:
        """Whether a limit is about the overflow report."""
        return any(limit.metric.startswith("overflow.") for limit in self.thresholds)

    @property
    def needs_rows(self) -> bool:
        """Whether the per-sample losses are compared."""
        return self.baseline is not None and self.baseline.kind == "rows"

    @property
    def needs_predictions(self) -> bool:
        """Whether predictions are compared with those of the baseline."""
        of_accuracy = any(limit.kind in _CHANGES and limit.metric == _ACCURACY for limit in self.thresholds)
        return of_accuracy and self.baseline is not None and self.baseline.predicted is not None

    @property
    def needs_calibration(self) -> str | None:
        """The first figure of calibration that has a limit, or None."""
        return next((limit.metric for limit in self.thresholds if limit.metric in metrics.CALIBRATION), None)

    @property
    def needs_gain(self) -> bool:
        """Whether a limit is about the gain of the best temperature."""
        return any(limit.metric == metrics.GAIN for limit in self.thresholds)

    @property
    def top_k(self) -> set[int]:
        """The k of each top-k accuracy that a limit is about."""
        return {k for k in (metrics.top_k_of(limit.metric) for limit in self.thresholds) if k is not None}


def open_limits(flags: LimitFlags, options: ComputeOptions) -> Limits:
    """Read the limits, and the baseline if there is one, before any work.

    Raises
    ------
    UsageError
        If there is no limit, a limit is invalid, or a limit needs an option that is missing.
    InputError
        If the baseline cannot be read.
    """
    limits = _thresholds(flags)
    _refuse_unknown_slices(limits, options)
    path, significant = flags.baseline, flags.require_significant
    changes = [limit for limit in limits if limit.kind in _CHANGES]
    if path is None and (changes or significant):
        option = f"--{changes[0].kind}" if changes else "--require-significant"
        raise UsageError(f"{option} compares with a --baseline", hint="name its file")
    if path is None:
        return Limits(limits)
    if not changes:
        raise UsageError("--baseline without a limit on it", hint="for example --max-increase mean_loss=1%")
    if not significant:
        return Limits(limits, _read_baseline(path, options))
    for limit in changes:
        if limit.metric not in (*OF_THE_MEAN, _ACCURACY):
            about = f"is about the mean loss or accuracy, and --{limit.kind} about {limit.metric}"
            hint = f"it goes with {', '.join((*OF_THE_MEAN, _ACCURACY))}"
            raise UsageError(f"--require-significant {about}", hint=hint)
    baseline = _read_baseline(path, options)
    if baseline.kind != "rows":
        raise InputError(
            "no per-sample losses",
            path,
            found="a summary document",
            expected="per-sample rows, which --require-significant compares in pairs",
            hint="save them with xent compute -o FILE.parquet",
        )
    choice = None
    if options.output.cluster is not None:
        from xent_cli.cli.group_choice import group_choice

        choice = group_choice(options.output.cluster, "--cluster")
    return Limits(limits, baseline, significant, choice)


def _read_baseline(path: str, options: ComputeOptions) -> SavedResults:
    from xent_cli.readers.saved.saved_results import read_saved
    from xent_cli.readers.storage.locate import refuse_two_pipes

    inputs = options.shared.inputs
    refuse_two_pipes(path, inputs.logits, inputs.labels, options.shared.loss.sample_weight)
    try:
        return read_saved(path)
    except InputError as error:
        if error.what == "no such file":
            error.hint = f"{error.hint} {hint_to_save(path, inputs)}".strip()
        raise


def _refuse_unknown_slices(limits: tuple[Threshold, ...], options: ComputeOptions) -> None:
    """Refuse a limit on slices by a column that --by does not name."""
    named = _slice_names(options.output.by) if any(limit.metric.startswith("slice:") for limit in limits) else ()
    for limit in limits:
        column = limit.metric.removeprefix("slice:")
        if column != limit.metric and not any(column.startswith(f"{name}=") for name in named):
            found = f"--{limit.kind} {limit.metric}: there are no slices by {column.partition('=')[0]}"
            raise UsageError(found, hint=f"ask for --by {column.partition('=')[0]}")


def _slice_names(by: tuple[str, ...]) -> set[str]:
    """Return the names of the slices; ``NAME=FILE`` is also taken literally, as the name of a column."""
    from xent_cli.cli.group_choice import group_choice

    return {*by, *(group_choice(text, "--by").name for text in by)}


def _thresholds(flags: LimitFlags) -> tuple[Threshold, ...]:
    """Return every limit, in the order of `thresholds.KINDS`."""
    typed = {
        "max": flags.max,
        "min": flags.min,
        "max-increase": flags.max_increase,
        "max-decrease": flags.max_decrease,
    }
    limits = tuple(parse_limit(kind, text) for kind in thresholds.KINDS for text in typed[kind])
    if not limits:
        raise UsageError("nothing to check: there is no limit", hint="for example --max mean_loss=0.35")
    return limits


def judge(limits: Limits, document: Document, kept: KeptRows | None) -> Document:
    """Add the verdicts to the document of a run, and warnings about what is not known about the baseline.

    Raises
    ------
    InputError
        If the mean cannot be a cross-entropy, a limit is about a missing slice, or the run cannot be compared with the
        baseline.
    """
    if document.summary.mean_loss < thresholds.BELOW_ZERO:
        raise InputError(
            "a cross-entropy below 0",
            document.inputs["logits"].path,
            found=f"a mean of {document.summary.mean_loss:g}",
            expected="0 or more: probabilities are at most 1",
        )
    slices = [(entry["by"], entry["value"], entry["summary"].as_dict()) for entry in document.slices or ()]
    now = metrics.figures(document.summary.as_dict(), metrics.overflow_of(document.formulas or ()), slices)
    for limit in limits.thresholds:
        if limit.metric not in now:
            raise _absent(limit, now)
    judged = limits.thresholds
    if limits.baseline is not None:
        before, intervals, unknown = _before(limits, limits.baseline, document, kept)
        document = replace(document, baseline=before)
        judged = tuple(_compared(limit, before, intervals, limits.baseline) for limit in judged)
        document = replace(document, diagnostics=(*document.diagnostics, *unknown))
    return replace(document, checks=tuple(limit.judge(now).as_dict() for limit in judged))


def _absent(limit: Threshold, now: Mapping[str, Any]) -> InputError:
    name = limit.metric
    field, option = metrics.field_of(name), option_of(name)
    of_run = name.startswith("slice:") and field in now
    of_slices = of_run and any(other != field and metrics.field_of(other) == field for other in now)
    what = "slice" if of_slices else "figure"
    if of_run and not of_slices:
        near = f"{field} is a figure of all samples in this run, not of slices"
    elif option and not of_run:
        near = f"ask for {option}"
    else:
        near = metrics.nearest(name, now) or f"there are {', '.join(now)}"
    return InputError(f"no such {what} in this run", found=f"no {name}", hint=near)


def _compared(limit: Threshold, before: Mapping[str, Any], intervals: Intervals, baseline: SavedResults) -> Threshold:
    if limit.kind not in _CHANGES:
        return limit
    figure = before.get(limit.metric)
    if not isinstance(figure, int | float) or not math.isfinite(figure):
        absent = limit.metric not in before
        rows = absent and baseline.kind == "rows"
        raise InputError(
            f"the baseline has no {limit.metric}",
            baseline.path,
            found="per-sample losses" if rows else "no such figure" if absent else "NaN or infinite",
            expected="a number to compare with",
            hint=_more_figures(limit.metric) if rows else "",
        )
    return replace(limit, baseline=figure, interval=intervals.get(limit.metric))


def _more_figures(metric: str) -> str:
    """Return what to save as a baseline for a figure that cannot be computed from losses alone."""
    document = "a summary document (xent compute --report FILE.json) has more figures"
    return f"rows with --columns predicted have accuracy, and {document}" if metric == _ACCURACY else document


def _before(
    limits: Limits, baseline: SavedResults, document: Document, kept: KeptRows | None
) -> tuple[Mapping[str, Any], Intervals, tuple[Diagnostic, ...]]:
    """Return the baseline's figures, paired intervals if requested, and warnings about what is not known about it."""
    from xent_cli.readers.saved.align import align
    from xent_cli.readers.saved.comparable import figures_of, refuse_unlike, unverified
    from xent_cli.readers.saved.row_order import common_id
    from xent_cli.readers.saved.saved_results import SavedResults

    path = document.inputs["logits"].path
    signature, digest = document.signature, document.labels_digest
    if baseline.document is not None:
        figures = document.summary.as_dict()
        ours = SavedResults(path, "json", "summary", summary=figures, signature=signature, digest=digest)
        refuse_unlike(baseline, ours)
        _refuse_other_kernel(limits, baseline, ours)
        return figures_of_document(baseline.path, baseline.document), {}, unverified(baseline, ours)
    assert kept is not None
    ours = kept.results(path, signature, digest)
    by_id = common_id([baseline, ours]) is not None
    refuse_unlike(baseline, ours, by_id=by_id)
    _refuse_other_kernel(limits, baseline, ours)
    both = align(baseline, ours, by_id=by_id)
    before, unknown = metrics.figures(figures_of(baseline), {}), unverified(baseline, ours, by_id=by_id)
    if not limits.significant:
        return before, {}, unknown
    from xent_cli.cli.runs.outputs.kept_rows import paired_intervals

    intervals, notes = paired_intervals(limits.cluster, baseline, ours, both)
    return before, intervals, (*unknown, *notes)


def _refuse_other_kernel(limits: Limits, baseline: SavedResults, ours: SavedResults) -> None:
    """Refuse a limit that allows no change at all if different kernels computed the losses: last digits differ."""
    from xent_cli.readers.saved.comparable import other_kernels

    kernels = other_kernels(baseline, ours)
    exact = [limit for limit in limits.thresholds if limit.kind in _CHANGES and limit.limit == 0]
    exact = [limit for limit in exact if not metrics.is_count(limit.metric)]
    if kernels is None or not exact:
        return
    raise InputError(
        f"--{exact[0].kind} {exact[0].metric}=0 compares the last digits of two kernels",
        baseline.path,
        found=f"figures of the {kernels[0]} kernel",
        expected=f"figures of the {kernels[1]} kernel, which computed this run",
        hint=f"compute with XENT_KERNEL={kernels[0]}, save a new baseline, or allow a change of 1e-12",
    )
