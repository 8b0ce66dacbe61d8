"""What `xent calibrate` does: prepare, fit, report."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, NamedTuple

from xent_cli import __version__
from xent_cli.cli.display import present
from xent_cli.cli.group_choice import group_choices
from xent_cli.cli.options import ComputeOptions, OutputFlags
from xent_cli.cli.runs.evaluate_pair import progress
from xent_cli.cli.runs.figures.clusters import cluster_notes, cluster_rule
from xent_cli.cli.runs.figures.fit import fit_on, refuse_unfit
from xent_cli.cli.runs.open_engine import open_engine
from xent_cli.cli.runs.outputs.output_paths import Named, inputs_of, refuse_overlap
from xent_cli.cli.runs.preview import preview
from xent_cli.cli.runs.resolve_options import loss_options, read_options
from xent_cli.core.confidence.calibration import Binning
from xent_cli.core.diagnostics import refuse_warnings
from xent_cli.core.options import Outputs
from xent_cli.errors import UsageError
from xent_cli.readers.pair.pair import open_operands
from xent_cli.readers.storage.identity import refuse_changed
from xent_cli.readers.storage.reading import timeout
from xent_cli.reports.calibration.json import CalibrationDocument, as_json
from xent_cli.reports.strict_json import json_text
from xent_cli.writers.publish import Publication

if TYPE_CHECKING:
    from xent_cli.cli.options import SharedOptions


class FitFlags(NamedTuple):
    """What is fitted, and where the temperature is written."""

    document: str | None = None
    folds: int | None = None
    bins: tuple[int, bool] | None = None
    cluster: str | None = None


class CalibrateOptions(NamedTuple):
    """Options of `xent calibrate`."""

    shared: SharedOptions
    fit: FitFlags


def calibrate(options: CalibrateOptions, *, quiet: bool) -> CalibrationDocument:
    """Carry out `xent calibrate` and return what was found.

    Raises
    ------
    InputError
        If inputs are invalid or can be read only once, or if no temperature minimises the loss.
    UsageError
        If options or inputs are not about logits and labels.
    """
    shared, flags = options.shared, options.fit
    outputs = [] if flags.document is None else [Named("-o", flags.document)]
    refuse_overlap(inputs_of(ComputeOptions(shared, OutputFlags()), None), outputs)
    groups = group_choices(OutputFlags(cluster=flags.cluster))
    layout = read_options(shared, groups=groups)
    pair = open_operands(shared.inputs.logits, shared.inputs.labels, shared.loss.sample_weight, layout)
    loss = loss_options(shared, pair)
    refuse_unfit(pair, loss.source, "xent calibrate")
    pair, loss, diagnostics = preview(shared, pair, loss)
    binning = Binning() if flags.bins is None else Binning(*flags.bins)
    if binning.by_mass and pair.weighted:
        raise UsageError(f"--bins mass:{binning.bins} counts samples, and these have weights")
    wanted = Outputs(calibration=binning, states=1 + binning.by_mass)
    rule = cluster_rule(groups.cluster, pair, shared.layout.axis)
    with (
        Publication(timeout.get(), None if quiet else present.note_waiting) as files,
        open_engine(shared.run) as engine,
    ):
        stream = None if flags.document is None else files.file(flags.document)
        track = progress(shared.run, pair.logits.info.num_rows)
        fit = fit_on(pair, loss, wanted, engine, rule=rule, folds=flags.folds or 1, track=track)
        clustered = replace(fit.before, n_clusters=fit.n_clusters)
        notes = () if rule is None else cluster_notes(groups.cluster, rule, clustered)
        document = CalibrationDocument(
            __version__,
            loss.signature(__version__),
            pair.inputs(fit.before.n_samples + fit.before.n_ignored),
            fit,
            None if rule is None else rule.name,
            (*shared.origin.config_notes, *pair.diagnostics, *diagnostics, *notes),
        )
        if shared.run.strict:
            refuse_warnings(document.diagnostics)
        if stream is not None:
            stream.write(json_text(as_json(document)).encode())
        refuse_changed()
    return document
