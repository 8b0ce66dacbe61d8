"""The straight line of a run: open, evaluate, write, report."""

from __future__ import annotations

import sys
from dataclasses import replace
from typing import TYPE_CHECKING, Any, BinaryIO

import numpy as np

from xent_cli import __version__, reports
from xent_cli.cli.config import told_before
from xent_cli.cli.display import present
from xent_cli.cli.runs.evaluate_pair import Targets, run
from xent_cli.cli.runs.output_paths import inputs_of, outputs_of, refuse_overlap
from xent_cli.cli.runs.preview import findings_of, preview
from xent_cli.cli.runs.settings import engine, progress, read_options, report_target, settings
from xent_cli.core.diagnostics import refuse_warnings
from xent_cli.core.options import Wanted
from xent_cli.core.row_columns import RowFormat
from xent_cli.errors import InputError, UsageError
from xent_cli.readers.pair.pair import open_operands
from xent_cli.readers.storage.identity import refuse_changed
from xent_cli.readers.storage.stored import timeout
from xent_cli.reports.interface import Details, Document
from xent_cli.writers import format_of, open_writer
from xent_cli.writers.publish import Publication

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from xent_cli.cli.runs.check import Gate
    from xent_cli.cli.runs.gradient_output import Gradients
    from xent_cli.cli.runs.kept_rows import KeptRows
    from xent_cli.core.options import LossOptions
    from xent_cli.core.totals.loss_totals import LossTotals
    from xent_cli.core.totals.run_totals import RunTotals
    from xent_cli.readers.pair.pair import Pair
    from xent_cli.writers.interface import RowWriter

    Show = Callable[[present.Plan, Document, LossTotals, RowFormat, str], None]

# A page lists so many of the highest losses.
_WORST_PICTURED = 20
# Whoever reads rows takes these for what xent writes under their names.
_OWN_COLUMNS = ("sample", "label", "loss", "kl_divergence", "weight", "class_weight")
_FLOATS = ("float16", "float32", "float64")


def execute(
    given: Mapping[str, Any], shown: present.Plan, show: Show = present.show, gate: Gate | None = None
) -> Document:
    """Carry out `xent compute` and `xent check`, which is the same with limits.

    Parameters
    ----------
    given
        The options by name; those that a command does not have are as good as not given.
    shown
        What goes to which stream.
    show
        Prints it, when all files are in their places.
    gate
        The limits of a check.
    """
    refuse_overlap(inputs_of(given), outputs_of(given))
    output = given["output"]
    rows_wanted = shown.losses or output is not None or (gate is not None and gate.needs_rows)
    targets = [report_target(text) for text in given["reports"]]
    pictured = "html" in [name for name, _, _ in targets]
    if pictured or given["plot"] is not None:
        reports.load_pictures(page=pictured)
    layout = read_options(given, with_ids=rows_wanted or shown.top > 0 or pictured)
    pair = open_operands(given["logits"], given["labels"], given["sample_weight"], layout)
    options = settings(given, pair)
    seen = preview(given, pair, options)
    pair, options = seen.pair, seen.options
    if given["strict"]:
        refuse_warnings((*told_before(), *pair.findings, *seen.findings))
    figures = shown.figures or bool(given["reports"]) or given["plot"] is not None
    tries_formulas = given["overflow_report"] or (gate is not None and gate.needs_overflow)
    wanted = Wanted(
        losses=rows_wanted,
        figures=figures,
        overflow=_overflow_dtypes() if tries_formulas else (),
        worst=max(shown.top, _WORST_PICTURED if pictured else 0),
        top_k=_top_k(given, pair, gate) if figures else (1,) if pair.labels is None else (),
        calibration=pictured,
        by=pair.by,
        digest=_has_place_for_digest(given, shown, gate),
    )
    columns = _columns(pair, options)
    with Publication(timeout.get(), None if given["quiet"] else present.tell_waiting) as outputs:
        streams = [(name, outputs.file(path, append=append)) for name, path, append in targets]
        picture = None if given["plot"] is None else outputs.file(given["plot"])
        folder = None
        if output is not None and output.endswith("/"):
            from xent_cli.writers.folder import open_folder

            folder = open_folder(outputs, output, columns)
            output = None
        writer = _writer(output, None if folder else shown.rows, columns, given["color"], outputs)
        kept = _keep(gate, columns, writer)
        bar = progress(given, pair.logits.num_rows)
        gradients = _gradients(given, pair)
        with engine(given) as runner:
            into = Targets(outputs, kept or writer, gradients, folder)
            totals = run(pair, options, wanted, runner, into, track=bar)
        if writer is not None:
            writer.finish()
        losses = totals.losses
        num_rows = losses.n_samples + losses.n_ignored
        document = Document(
            version=__version__,
            signature=options.signature(__version__),
            inputs=pair.inputs(num_rows),
            summary=losses.summarize(),
            findings=(*told_before(), *pair.findings, *seen.findings, *findings_of(losses, seen)),
            formulas=totals.formulas if tries_formulas else None,
            labels_digest=_digest(losses),
            slices=_slices(totals, layout.by),
        )
        if gate is not None:
            from xent_cli.cli.runs.check import judge
            from xent_cli.core.thresholds import BELOW_ZERO

            if document.summary.mean_loss < BELOW_ZERO:
                raise InputError(
                    "a cross-entropy below 0",
                    pair.logits.description.path,
                    found=f"a mean of {document.summary.mean_loss:g}",
                    expected="0 or more: probabilities are at most 1",
                )

            document = judge(gate, document, kept)
        if given["strict"]:
            refuse_warnings(document.findings)
        if pictured:
            document = replace(document, details=_details(totals, pair))
        for name, stream in streams:
            reports.write(name, document, stream)
        if picture is not None:
            _plot(losses, picture, reports.plot_form(given["plot"]))
        refuse_changed()
    sys.stdout.flush()
    present.remark(document.findings, quiet=given["quiet"], gate=gate is not None)
    show(shown, document, losses, columns, given["color"])
    return document


def _has_place_for_digest(given: Mapping[str, Any], shown: present.Plan, gate: Gate | None) -> bool:
    """Whether what the run writes, or what it is compared with, says of which labels it is."""
    if shown.summary == "json" or shown.rows == "arrow" or (gate is not None and gate.baseline is not None):
        return True
    rows = given["output"] is not None and format_of(given["output"]) in ("parquet", "arrow")
    return rows or any(report_target(text)[0] == "json" for text in given["reports"])


def _columns(pair: Pair, options: LossOptions) -> RowFormat:
    id_name = pair.id_name
    # What the rows have anyway is not written twice.
    by = tuple((name, place) for place, name in enumerate(pair.by) if name not in (id_name, pair.label_name))
    for name, option in ((id_name, "--id-column"), *((name, "--by") for name, _ in by)):
        if name in _OWN_COLUMNS:
            raise UsageError(f'{option} {name}: the rows have a column "{name}" already', hint="rename it")
    return RowFormat(
        id_name=id_name,
        labelled=pair.label_form == "sparse",
        class_names=pair.class_names if pair.named_labels else None,
        with_kl=options.labels_source != "labels",
        shape=pair.logits.sample_shape,
        by=by,
        weighted=pair.weighted,
        class_weighted=options.class_weight is not None and pair.label_form == "sparse",
        signature=options.signature(__version__),
    )


def _writer(
    output: str | None, rows: str | None, columns: RowFormat, color: str, outputs: Publication
) -> RowWriter | None:
    """Where the per-sample rows go: a file, standard output, or nowhere."""
    if output is not None:
        return open_writer(format_of(output), outputs.file(output), columns)
    if rows == "table":
        from xent_cli.cli.display.row_table import TableWriter

        return TableWriter(present.console_for(sys.stdout, color), columns)
    if rows is None:
        return None
    stream = present.shown_on(sys.stdout) if sys.stdout.isatty() else sys.stdout.buffer
    return open_writer(rows, stream, columns)


def _details(totals: RunTotals, pair: Pair) -> Details:
    losses = totals.losses
    assert losses.quantiles is not None
    return Details(losses.quantiles, losses.worst, totals.calibration, pair.class_names, pair.id_name)


def _digest(totals: LossTotals) -> str | None:
    if totals.digest is None:
        return None
    from xent_cli.core.label_digest import spell_digest

    return spell_digest(totals.digest)


def _slices(totals: RunTotals, by: tuple[str, ...]) -> tuple[Mapping[str, Any], ...] | None:
    """The figures of each slice: columns in the order in which they were asked for."""
    if totals.slices is None:
        return None
    found = ({"by": column, "value": value, "summary": summary} for column, value, summary in totals.slices.summaries())
    return tuple(sorted(found, key=lambda entry: by.index(str(entry["by"]))))


def _plot(totals: LossTotals, stream: BinaryIO, form: str) -> None:
    from xent_cli.core.totals.histogram import histogram
    from xent_cli.reports.summary.plot import save_histogram

    assert totals.quantiles is not None
    save_histogram(histogram(totals.quantiles, reports.BARS), stream, form)


def _keep(gate: Gate | None, columns: RowFormat, writer: RowWriter | None) -> KeptRows | None:
    """Where rows are compared they are kept, on their way to the writer."""
    if gate is None or not gate.needs_rows:
        return None
    from xent_cli.cli.runs.kept_rows import KeptRows

    return KeptRows(columns, writer)


def _gradients(given: Mapping[str, Any], pair: Pair) -> Gradients | None:
    if given.get("gradients") is None and given.get("gradient_dtype") is None:
        return None
    from xent_cli.cli.runs.gradient_output import gradients_of

    return gradients_of(given, pair)


def _top_k(given: Mapping[str, Any], pair: Pair, gate: Gate | None) -> tuple[int, ...]:
    usual = (1, 5) if pair.num_classes > 5 else (1,)
    limited = () if gate is None else gate.top_k
    return tuple(sorted({*(given["top_k"] or usual), *limited}))


def _overflow_dtypes() -> tuple[np.dtype[Any], ...]:
    """Every float type there is; bfloat16 comes with ml_dtypes."""
    try:
        import ml_dtypes
    except ImportError:
        return tuple(np.dtype(name) for name in _FLOATS)
    return np.dtype(np.float16), np.dtype(ml_dtypes.bfloat16), np.dtype(np.float32), np.dtype(np.float64)
