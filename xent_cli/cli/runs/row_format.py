"""The columns of per-sample rows, from the options and the inputs of a run."""

from __future__ import annotations

from typing import TYPE_CHECKING

from xent_cli import __version__
from xent_cli.cli.output_plan import Form
from xent_cli.core.row_columns import OF_LABELS, RowFormat
from xent_cli.errors import UsageError
from xent_cli.writers import format_of

if TYPE_CHECKING:
    from xent_cli.cli.options import ComputeOptions
    from xent_cli.cli.output_plan import OutputPlan
    from xent_cli.core.options import LossOptions, PredictionColumn
    from xent_cli.readers.pair.paired_inputs import Pair

# Readers of rows expect these columns to be those that xent writes.
_OWN_COLUMNS = ("sample", "label", "loss", "kl_divergence", "weight", "class_weight")


def row_format(options: ComputeOptions, output: OutputPlan, pair: Pair, loss: LossOptions) -> RowFormat:
    """Return the columns of the rows that a run writes.

    Raises
    ------
    UsageError
        Where two columns would have one name, or columns of predictions cannot be written.
    """
    predictions = _predictions(options, output, pair)
    id_name, sparse = pair.id_name, pair.label_form == "sparse"
    # Columns that the rows have anyway are not written twice.
    by = tuple((name, place) for place, name in enumerate(pair.by) if name not in (id_name, pair.label_name))
    for name, option in ((id_name, "--id-column"), *((name, "--by") for name, _ in by)):
        if name in (*_OWN_COLUMNS, *predictions):
            raise UsageError(f'{option} {name}: the rows have a column "{name}" already', hint="rename it")
    return RowFormat(
        id_name=id_name,
        labelled=sparse,
        class_names=pair.class_names if pair.named_labels else None,
        with_kl=loss.labels_source != "labels",
        shape=pair.logits.info.sample_shape,
        by=by,
        weighted=pair.weighted,
        class_weighted=loss.class_weight is not None and sparse,
        predictions=predictions,
        # Beside labels that are numbers a predicted class is a number too, so that the two can be compared.
        predicted_names=pair.class_names if pair.named_labels or not sparse else None,
        signature=loss.signature(__version__),
    )


def _predictions(options: ComputeOptions, output: OutputPlan, pair: Pair) -> tuple[PredictionColumn, ...]:
    """Return the columns of predictions, if the rows have a place for them."""
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
