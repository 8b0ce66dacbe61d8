"""`xent compute`: per-sample and mean loss, gradients, the overflow report."""

from __future__ import annotations

from functools import partial
from typing import Any

import click

from xent_cli.cli.commands.help import OUTPUT, Command, complete_files, option
from xent_cli.cli.commands.options import bounded_option, input_options, loss_options, top_k_option, true_labels_option
from xent_cli.cli.commands.run_options import (
    by_option,
    calibration_options,
    cluster_option,
    columns_option,
    divergence_option,
    macro_option,
    overflow_option,
    plot_option,
    run_options,
    top_by_option,
    units_option,
)

_ROW_FORMATS = ("table", "tsv", "csv", "jsonl", "npy", "arrow")
_EXAMPLES = (
    "xent compute logits.npy labels.npy",
    "xent compute predictions.csv --reduction mean",
    "xent compute logits.npy labels.csv -o losses.parquet --gradients grad.npy",
    "xent compute logits.npy labels.npy --ignore-index -100 --overflow-report",
    "xent compute logits.npy labels.npy -f json | jq .summary.mean_loss",
    "python dump.py | xent compute - labels.npy --reduction mean",
    "xent compute 's3://bucket/run/part-*.parquet'",
)

_output = partial(option, section=OUTPUT)


@click.command(
    cls=Command,
    short_help="Compute the loss of every sample, and the mean.",
    most_used=("output", "output_format", "reduction", "ignore_index", "reports"),
    examples=_EXAMPLES,
)
@input_options
@loss_options
@true_labels_option
@bounded_option
@top_k_option
@_output(
    "--reduction",
    type=click.Choice(["none", "mean", "sum"]),
    help="Print the mean or the sum as a bare number; with none, the rows without a summary.",
)
@_output(
    "-f",
    "--format",
    "output_format",
    metavar="FORMAT",
    type=click.Choice([*_ROW_FORMATS, "json"]),
    help=f"Form of standard output: {', '.join(_ROW_FORMATS)} print rows, json the summary; "
    "default: table on a terminal, else tsv.",
)
@_output(
    "-o",
    "--output",
    type=click.Path(),
    metavar="FILE",
    help="File for the per-sample rows: .tsv .csv .jsonl .npy .parquet .arrow, or folder/ of Parquet parts.",
)
@_output(
    "--gradients",
    type=click.Path(),
    metavar="FILE.npy",
    help="File for the gradient of the mean loss, or with --reduction sum of the sum; or folder/ of parts.",
)
@_output(
    "--gradient-dtype",
    type=click.Choice(["float16", "bfloat16", "float32", "float64"]),
    metavar="DTYPE",
    help="Type of the gradients: float16, bfloat16, float32 or float64; default: that of the logits.",
)
@overflow_option
@_output(
    "--top",
    type=click.IntRange(0),
    metavar="N",
    help="List the N highest losses with their samples; default: 5 in a table.",
)
@_output(
    "--report",
    "reports",
    multiple=True,
    metavar="FILE",
    help="File for the summary: .json .md .html .xml (JUnit); md:FILE where the suffix does not say; repeatable.",
    shell_complete=complete_files,
)
@by_option
@cluster_option
@macro_option
@units_option
@columns_option
@calibration_options
@divergence_option
@top_by_option
@plot_option
@run_options
def compute(**flags: Any) -> None:
    """Softmax cross-entropy of every sample, and its mean, in nats.

    LOGITS and LABELS are files (.npy, .npz, CSV, JSON, Parquet, Arrow, safetensors, .pt; compressed or not),
    folders or quoted globs of shards, URLs, or - for standard input. LABELS may be left out where the first file holds
    the labels too. Labels are class indices or rows of class probabilities; their shape says which.
    """
    from xent_cli.cli.options import ComputeOptions, OutputFlags, grouped, shared_options
    from xent_cli.cli.output_plan import Streams, plan_output
    from xent_cli.cli.runs import compute as run

    options = ComputeOptions(shared_options(flags), grouped(OutputFlags, flags))
    run.compute(options, plan_output("compute", options.output, options.shared.run, Streams.of_process()))
