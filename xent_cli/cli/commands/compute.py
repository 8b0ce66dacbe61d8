"""`xent compute`: per-sample and mean loss, gradients, the overflow report."""

from __future__ import annotations

from typing import Any

import click

from xent_cli.cli.commands.options import (
    by_option,
    files,
    grouped,
    input_options,
    loss_options,
    plot_option,
    run_options,
    shared_options,
)

_ROW_FORMATS = ("table", "tsv", "csv", "jsonl", "npy", "arrow")


@click.command()
@input_options
@loss_options
@click.option(
    "--reduction", type=click.Choice(["none", "mean", "sum"]), help="none: rows alone; mean, sum: the bare number."
)
@click.option(
    "-f",
    "--format",
    "output_format",
    type=click.Choice([*_ROW_FORMATS, "json"]),
    help="Of standard output; json: summary.",
)
@click.option(
    "-o", "--output", type=click.Path(), metavar="FILE", help="Per-sample rows: .tsv .csv .jsonl .npy .parquet .arrow"
)
@click.option(
    "--gradients",
    type=click.Path(),
    metavar="FILE.npy",
    help="d(mean loss)/d(logits); of the sum with --reduction sum.",
)
@click.option(
    "--gradient-dtype",
    type=click.Choice(["float16", "bfloat16", "float32", "float64"]),
    help="Default: that of the logits.",
)
@click.option("--overflow-report", is_flag=True, help="How -log(exp(z_y)/sum exp(z)) fares in each float type.")
@click.option("--top", type=click.IntRange(0), metavar="N", help="List the N highest losses.")
@click.option(
    "--report",
    "reports",
    multiple=True,
    metavar="FILE",
    help="Write the summary document: .json .md .html .xml; md:FILE forces; repeatable.",
    shell_complete=files,
)
@by_option
@plot_option
@run_options
def compute(**flags: Any) -> None:
    """Softmax cross-entropy of every sample, and the mean, in nats.

    LOGITS and LABELS are files (.npy, .npz, CSV, JSON Lines, Parquet, Arrow, safetensors, packed or not), folders or
    quoted globs of shards, URLs, or - for standard input. LABELS may be left out where the first file holds them too.
    Class indices and rows of class probabilities are told apart by their shape.

    \b
    xent compute logits.npy labels.npy
    xent compute predictions.csv --reduction mean
    xent compute logits.npy labels.csv -o losses.parquet --gradients grad.npy
    xent compute logits.npy labels.npy --ignore-index -100 --overflow-report
    xent compute logits.npy labels.npy -f json | jq .summary.mean_loss
    python dump.py | xent compute - labels.npy --reduction mean
    xent compute 's3://bucket/run/part-*.parquet'
    """
    from xent_cli.cli.options import ComputeOptions, OutputFlags
    from xent_cli.cli.output_plan import Streams, plan_output
    from xent_cli.cli.runs import compute as run

    options = ComputeOptions(shared_options(flags), grouped(OutputFlags, flags))
    output = plan_output("compute", options.output, options.shared.run, Streams.of_process())
    run.compute(options, output)
