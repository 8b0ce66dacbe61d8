"""Where the results of a run go: rows, gradients and reports, all opened before the first row is read."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, BinaryIO, Literal

from xent_cli.cli.display import present
from xent_cli.cli.output_plan import Form
from xent_cli.core.row_columns import KL_ENDS, OF_LABELS, RowFormat
from xent_cli.errors import UsageError
from xent_cli.writers import format_of, open_writer

if TYPE_CHECKING:
    from xent_cli.cli.options import ComputeOptions, OutputFlags
    from xent_cli.cli.output_plan import OutputPlan
    from xent_cli.cli.runs.outputs.gradient_output import GradientOutput
    from xent_cli.cli.runs.outputs.kept_rows import KeptRows
    from xent_cli.cli.runs.preview import Preview
    from xent_cli.core.options import Outputs, PredictionColumn
    from xent_cli.readers.pair.paired_inputs import Pair
    from xent_cli.writers.folder import PartsFolder
    from xent_cli.writers.interface import RowWriter
    from xent_cli.writers.publish import Publication

# Names of columns that readers of saved rows expect to be xent's own; `_CLUSTER` only if there are clusters.
_OWN_COLUMNS = ("sample", "label", "loss", "kl_divergence", "weight", "class_weight")
_CLUSTER = "cluster"


class Targets:
    """Where the results of a run go.

    Fields
    ------
    writers
        Writers of gradients and of rows, in this process and in order.
    folders
        Folders of rows and of gradients; the workers write one part per block.
    gradients
        Path and dtype of the gradients, or None.
    kept
        The writer that keeps rows for a comparison, or None.
    reports
        Streams of the reports, in the order of the plan.
    picture
        Stream of the histogram.
    """

    def __init__(
        self,
        gradients: GradientOutput | None = None,
        reports: tuple[BinaryIO, ...] = (),
        picture: BinaryIO | None = None,
    ) -> None:
        self.writers: list[RowWriter] = []
        self.folders: list[PartsFolder] = []
        self.gradients = gradients
        self.kept: KeptRows | None = None
        self.reports = reports
        self.picture = picture


def open_targets(
    flags: OutputFlags,
    output: OutputPlan,
    columns: RowFormat,
    files: Publication,
    *,
    gradients: GradientOutput | None = None,
    keep_rows: bool = False,
) -> Targets:
    """Open everything that a run writes; files appear when `files` publishes them."""
    targets = Targets(
        gradients=gradients,
        reports=tuple(files.file(report.path, append=report.appended) for report in output.reports),
        picture=None if flags.plot is None else files.file(flags.plot),
    )
    writer = None
    if flags.output is not None and flags.output.endswith("/"):
        from xent_cli.writers.folder import open_folder

        targets.folders.append(open_folder(files, flags.output, columns))
    elif flags.output is not None:
        writer = open_writer(format_of(flags.output), files.file(flags.output), columns)
    elif output.rows is not None:
        writer = _writer_to_stdout(output.rows, output, columns)
    if keep_rows:
        from xent_cli.cli.runs.outputs.kept_rows import KeptRows

        writer = targets.kept = KeptRows(columns, writer)
    if gradients is not None and gradients.in_parts:
        targets.folders.append(gradients.open_folder(files))
    elif gradients is not None:
        targets.writers.append(gradients.open_writer(files))
    if writer is not None:
        targets.writers.append(writer)
    return targets


def _writer_to_stdout(form: Form, output: OutputPlan, columns: RowFormat) -> RowWriter:
    if form is Form.TABLE:
        from xent_cli.cli.display.row_table import TableWriter

        return TableWriter(present.console_for(sys.stdout, output.color), columns)
    stream = present.escaped_for(sys.stdout) if sys.stdout.isatty() else sys.stdout.buffer
    return open_writer(form.value, stream, columns)


def row_format(
    options: ComputeOptions, output: OutputPlan, seen: Preview, wanted: Outputs, signature: str
) -> RowFormat:
    """Return the columns of the rows that a run writes.

    Parameters
    ----------
    signature
        The settings of the run, as `LossOptions.signature` spells them.

    Raises
    ------
    UsageError
        If two columns would have the same name, or columns of predictions cannot be written.
    """
    pair, loss = seen.pair, seen.options
    predictions = _predictions(options, output, pair)
    id_name, sparse, cluster = pair.id_name, pair.label_form == "sparse", wanted.cluster
    # No column is written twice.
    there = {id_name, pair.label_name}
    if cluster is not None and cluster.column is not None and pair.by[cluster.column] == _CLUSTER:
        there.add(_CLUSTER)
    # A slice by label needs no column besides that of the labels.
    there.update(key.name for key in wanted.keys if key.rule is None)
    by = tuple((name, wanted.groups.index(name)) for name in wanted.by if name not in there)
    own = _OWN_COLUMNS if cluster is None else (*_OWN_COLUMNS, _CLUSTER)
    units = _units_column(wanted)
    for name, option in ((id_name, "--id-column"), *((name, "--by") for name, _ in by)):
        if name in (*own, *predictions, *([] if units is None else [units])):
            raise UsageError(f'{option} {name}: the rows have a column "{name}" already', hint="rename it")
    return RowFormat(
        id_name=id_name,
        labelled=sparse and not pair.tokens_only,
        class_names=pair.class_names if pair.named_labels else None,
        with_kl=loss.labels_source != "labels",
        ends=KL_ENDS if loss.labels_source != "labels" and pair.partial else (),
        shape=pair.logits.info.sample_shape,
        by=by,
        weighted=pair.weighted,
        class_weighted=loss.class_weight is not None and sparse,
        clusters=None if cluster is None else "numbers" if cluster.column is None else "texts",
        units=units,
        predictions=predictions,
        # If labels are numbers, a predicted class is a number too, so that the two can be compared.
        predicted_names=pair.class_names if pair.named_labels or not sparse else None,
        signature=signature,
    )


def _units_column(wanted: Outputs) -> Literal["units", "cluster_units"] | None:
    """Return the name of the column of units; units of documents need rows that name their document."""
    if not wanted.units:
        return None
    if wanted.documents is None:
        return "units"
    return "cluster_units" if wanted.documents == wanted.cluster else None


def _predictions(options: ComputeOptions, output: OutputPlan, pair: Pair) -> tuple[PredictionColumn, ...]:
    """Return the columns of predictions, if rows are written that can hold them."""
    flags = options.output
    if not flags.columns:
        return ()
    if output.rows is None and flags.output is None:
        if "columns" not in options.shared.origin.on_command_line:
            return ()  # a configuration is meant for many runs
        raise UsageError("--columns has no effect: no rows are written", hint="write them to a file with -o")
    if output.rows is Form.NPY or (flags.output is not None and format_of(flags.output) == "npy"):
        hint = "write .parquet, .arrow, .jsonl, .csv or .tsv"
        raise UsageError("--columns: .npy holds one number a sample, and no columns", hint=hint)
    of_labels = [name for name in flags.columns if name in OF_LABELS]
    if of_labels and pair.label_form != "sparse":
        what = "rows of probabilities" if options.shared.loss.labels_from == "labels" else "a teacher's outputs"
        raise UsageError(
            f"--columns {of_labels[0]} is about the label of a sample, and the labels are {what}",
            hint="predicted, confidence and entropy need no label",
        )
    return flags.columns
