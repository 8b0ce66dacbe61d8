"""What `xent compute` does, and `xent check`, which adds limits: prepare, evaluate, report."""

from __future__ import annotations

import sys
from dataclasses import replace
from typing import TYPE_CHECKING, Any, NamedTuple

from xent_cli import __version__, reports
from xent_cli.cli.display import present
from xent_cli.cli.runs.evaluate_pair import evaluate_pair, progress
from xent_cli.cli.runs.open_engine import open_engine
from xent_cli.cli.runs.outputs.output_paths import inputs_of, outputs_of, refuse_overlap
from xent_cli.cli.runs.outputs.targets import open_targets, row_format
from xent_cli.cli.runs.preview import diagnostics_of, preview
from xent_cli.cli.runs.resolve_options import loss_options, read_options, refuse_without_logits
from xent_cli.cli.runs.wanted_outputs import group_choices_of, needs_rows, wanted_outputs
from xent_cli.core.diagnostics import refuse_warnings
from xent_cli.core.evaluate_rows import only_losses
from xent_cli.errors import UsageError
from xent_cli.readers.pair.pair import open_operands
from xent_cli.readers.storage.identity import refuse_changed
from xent_cli.readers.storage.reading import timeout
from xent_cli.reports.interface import Document
from xent_cli.writers.publish import Publication

if TYPE_CHECKING:
    from collections.abc import Mapping
    from contextlib import AbstractContextManager

    from xent_cli.cli.group_choice import GroupChoices
    from xent_cli.cli.options import ComputeOptions
    from xent_cli.cli.output_plan import OutputPlan
    from xent_cli.cli.runs.check import Limits
    from xent_cli.cli.runs.outputs.gradient_output import GradientOutput
    from xent_cli.cli.runs.outputs.targets import Targets
    from xent_cli.cli.runs.preview import Preview
    from xent_cli.core.options import Outputs
    from xent_cli.core.row_columns import RowFormat
    from xent_cli.core.run_totals import RunTotals
    from xent_cli.core.totals.loss_totals import LossTotals
    from xent_cli.core.totals.summary import LossSummary
    from xent_cli.engines.interface import Engine
    from xent_cli.readers.pair.paired_inputs import Pair


class Job(NamedTuple):
    """A run that is ready to go: the inputs are opened and checked, and nothing is written yet.

    Fields
    ------
    seen
        The inputs, and what their first rows show.
    wanted
        What to compute besides the mean.
    columns
        Columns of the per-sample rows.
    gradients
        Where gradients go, or None.
    limits
        Limits of a check, or None.
    groups
        What defines groups of samples, or None if no option does.
    """

    options: ComputeOptions
    output: OutputPlan
    seen: Preview
    wanted: Outputs
    columns: RowFormat
    gradients: GradientOutput | None
    limits: Limits | None
    groups: GroupChoices | None = None


def compute(options: ComputeOptions, output: OutputPlan, limits: Limits | None = None) -> Document:
    """Run `xent compute`, or with limits `xent check`, and return the results."""
    job = prepare(options, output, limits)
    engine = open_engine(options.shared.run)
    with Publication(timeout.get(), None if output.quiet else present.note_waiting) as files:
        targets = _open_targets(job, files)
        totals, summary = evaluate(job, targets, engine)
        document = report(job, totals, summary, targets)
    show(job, totals, document)
    return document


def prepare(options: ComputeOptions, output: OutputPlan, limits: Limits | None) -> Job:
    """Open the inputs, and refuse invalid inputs and options before anything is written."""
    shared, flags = options.shared, options.output
    _refuse_meaningless(options)
    refuse_overlap(inputs_of(options, limits), outputs_of(flags, output))
    groups = group_choices_of(options)
    if output.has_page or flags.plot is not None:
        reports.load("summary.html" if output.has_page else "summary.plot")
    layout = read_options(
        shared,
        groups=groups,
        two_passes=flags.gradients is not None,
        with_ids=needs_rows(options, output, limits) or output.top > 0 or output.has_page,
    )
    pair = open_operands(shared.inputs.logits, shared.inputs.labels, shared.loss.sample_weight, layout)
    if pair.partial:
        from xent_cli.cli.runs.inputs.declared_kind import of_partial

        options = of_partial(options, pair)
        shared = options.shared
    seen = preview(shared, pair, loss_options(shared, pair, names_classes=bool(output.reports)))
    if shared.run.strict:
        refuse_warnings((*shared.origin.config_notes, *seen.pair.diagnostics, *seen.diagnostics))
    signature = seen.options.signature(__version__)
    wanted = wanted_outputs(options, output, limits, seen.pair, groups)
    columns = row_format(options, output, seen, wanted, signature)
    kept = ("predicted",) if limits is not None and limits.needs_predictions else ()
    wanted = wanted._replace(columns=(*columns.predictions, *kept))
    if pair.partial:
        from xent_cli.core.checks.every_class import refuse_partial

        refuse_partial(seen.options, wanted, gradient=flags.gradients is not None)
    return Job(options, output, seen, wanted, columns, _gradients(options, seen.pair), limits, groups)


def evaluate(job: Job, targets: Targets, opened: AbstractContextManager[Engine]) -> tuple[RunTotals, LossSummary]:
    """Evaluate every block on the engine, write rows and gradients, and return the totals and the figures."""
    run, (pair, options, _) = job.options.shared.run, job.seen
    track = progress(run, pair.logits.info.num_rows)
    # Only arrays whose classes lie far apart can be streamed.
    streams = run.engine == "local" and hasattr(pair.logits, "streamed") and only_losses(options, job.wanted)
    with opened as engine:
        streamed = pair.streamed(run.threads) if streams else pair
        totals = evaluate_pair(streamed, options, job.wanted, engine, targets, track=track)
        summary = totals.summarize()
        if job.limits is not None and job.limits.needs_gain:
            from xent_cli.cli.runs.figures.fit import with_gain

            summary = with_gain(summary, pair, options, engine, track)
    return totals, summary


def report(job: Job, totals: RunTotals, summary: LossSummary, targets: Targets) -> Document:
    """Collect the results in a document, judge them if there are limits, and write the reports."""
    document = _document(job, totals, summary)
    if job.limits is not None:
        from xent_cli.cli.runs.check import judge

        document = judge(job.limits, document, targets.kept)
    if job.options.shared.run.strict:
        refuse_warnings(document.diagnostics)
    if job.wanted.by_class:
        from xent_cli.cli.runs.outputs.run_reports import page_details

        details = page_details(totals, job.seen.pair, job.seen.options.first_class, job.options.shared.origin)
        document = replace(document, details=details)
    for target, stream in zip(job.output.reports, targets.reports, strict=True):
        reports.write(target.form, document, stream)
    plot = job.options.output.plot
    if targets.picture is not None and plot is not None:
        from xent_cli.cli.runs.outputs.run_reports import save_plot

        save_plot(totals.losses, targets.picture, reports.plot_form(plot))
    refuse_changed()
    return document


def _document(job: Job, totals: RunTotals, summary: LossSummary) -> Document:
    """Collect the results of a run, and the warnings and notes about them."""
    losses, pair, origin = totals.losses, job.seen.pair, job.options.shared.origin
    digest, slices = _digest(losses), _slices(totals, job.wanted.by)
    from_totals = diagnostics_of(losses, job.seen, origin)
    if job.groups is not None or job.wanted.cluster is not None:
        from xent_cli.cli.runs.figures.clusters import with_units

        summary, found = with_units(summary, losses, job.wanted, job.groups)
        from_totals = (*from_totals, *found)
    return Document(
        version=__version__,
        signature=job.columns.signature,
        summary=summary,
        inputs=pair.inputs(losses.n_samples + losses.n_ignored),
        diagnostics=(*origin.config_notes, *pair.diagnostics, *job.seen.diagnostics, *from_totals),
        formulas=totals.formulas if job.wanted.overflow else None,
        labels_digest=digest,
        slices=slices,
        worst=_worst(losses, job) if job.output.top else None,
    )


def show(job: Job, totals: RunTotals, document: Document) -> None:
    """Print warnings, then the summary or the verdicts."""
    check = job.limits is not None
    sys.stdout.flush()
    present.remark(document.diagnostics, job.options.shared.origin, quiet=job.output.quiet, check=check)
    if not check:
        return present.show(job.output, document, totals.losses, job.columns)
    from xent_cli.cli.display.checks import show_checks

    return show_checks(job.output, document, totals.losses, job.columns)


def _refuse_meaningless(options: ComputeOptions) -> None:
    """Refuse outputs that need logits or labels if the inputs are something else."""
    loss, flags = options.shared.loss, options.output
    about_logits = {"--gradients": flags.gradients, "--overflow-report": flags.overflow_report}
    refuse_without_logits(loss, tuple(name for name, value in about_logits.items() if value))
    if loss.labels_from != "labels" and flags.overflow_report:
        raise UsageError("--overflow-report needs labels, not a teacher")


def _open_targets(job: Job, files: Publication) -> Targets:
    keep_rows = job.limits is not None and job.limits.needs_rows
    flags, output = job.options.output, job.output
    return open_targets(flags, output, job.columns, files, gradients=job.gradients, keep_rows=keep_rows)


def _gradients(options: ComputeOptions, pair: Pair) -> GradientOutput | None:
    if options.output.gradients is None and options.output.gradient_dtype is None:
        return None
    from xent_cli.cli.runs.outputs.gradient_output import gradient_output

    return gradient_output(options.output, options.shared.layout, pair)


def _worst(losses: LossTotals, job: Job) -> tuple[Mapping[str, Any], ...]:
    """Return the samples to list, in the form of a document, with classes named as in the rows."""
    from xent_cli.core.confidence.predictions import listed

    by, worst = losses.listed
    names = job.columns.class_names, job.columns.predicted_names
    return tuple(listed(sample, by, *names) for sample in worst[: job.output.top])


def _digest(totals: LossTotals) -> str | None:
    if totals.digest is None:
        return None
    from xent_cli.core.labels.label_digest import digest_text

    return digest_text(totals.digest)


def _slices(totals: RunTotals, by: tuple[str, ...]) -> tuple[Mapping[str, Any], ...] | None:
    """Return the figures of each slice, by column in the order of --by."""
    if totals.slices is None:
        return None
    found = ({"by": column, "value": value, "summary": summary} for column, value, summary in totals.slices.summaries())
    return tuple(sorted(found, key=lambda entry: by.index(str(entry["by"]))))
