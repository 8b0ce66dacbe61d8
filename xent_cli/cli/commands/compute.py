"""`xent compute`: the loss of every sample, the mean, and other figures computed from logits and labels."""

from __future__ import annotations

from functools import partial
from typing import Any

import click

from xent_cli.cli.commands.help import OUTPUT, Command, complete_files, option
from xent_cli.cli.commands.options import all_loss_options, input_options
from xent_cli.cli.commands.run_options import figure_options, overflow_option, plot_option, run_options, top_by_option

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
@all_loss_options
@_output(
    "--reduction",
    type=click.Choice(["none", "mean", "sum"]),
    help="Print only the mean or the sum, as a bare number; with none, print the rows without a summary.",
)
@_output(
    "-f",
    "--format",
    "output_format",
    metavar="FORMAT",
    type=click.Choice([*_ROW_FORMATS, "json"]),
    help=f"Format of standard output: {', '.join(_ROW_FORMATS)} print the rows, json the summary; "
    "default: table on a terminal, else tsv.",
)
@_output(
    "-o",
    "--output",
    type=click.Path(readable=False),
    metavar="FILE",
    help="File for the per-sample rows: .tsv .csv .jsonl .npy .parquet .arrow, or folder/ for Parquet parts.",
)
@_output(
    "--gradients",
    type=click.Path(readable=False),
    metavar="FILE.npy",
    help="File for the gradient of the mean loss, or with --reduction sum, of the summed loss; or folder/ for parts.",
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
    help="List the N samples with the highest losses; default: 5 in a table.",
)
@_output(
    "--report",
    "reports",
    multiple=True,
    metavar="FILE",
    help="File for the summary: .json .md .html .xml (JUnit), or md:FILE if the suffix does not say; repeatable.",
    shell_complete=complete_files,
)
@figure_options
@top_by_option
@plot_option
@run_options
def compute(**flags: Any) -> None:
    """Softmax cross-entropy of every sample, and its mean, in nats.

    LOGITS and LABELS are files (.npy, .npz, CSV, JSON, Parquet, Arrow, safetensors, .pt; compressed or not),
    folders or quoted globs of shards, URLs, or - for standard input. LABELS can be left out if the first file holds
    the labels too. Labels are class indices or rows of class probabilities; their shape says which.
    """
    from xent_cli.cli.options import ComputeOptions, OutputFlags, grouped, shared_options
    from xent_cli.cli.output_plan import Streams, plan_output
    from xent_cli.cli.runs import compute as run

    options = ComputeOptions(shared_options(flags), grouped(OutputFlags, flags))
    run.compute(options, plan_output("compute", options.output, options.shared.run, Streams.of_process()))
