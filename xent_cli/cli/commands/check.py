"""`xent check`: compute, then a verdict."""

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


@click.command()
@input_options
@loss_options
@click.option("--max", multiple=True, metavar="METRIC=LIMIT", help="Fail above the limit; repeatable.")
@click.option("--min", multiple=True, metavar="METRIC=LIMIT", help="Fail below the limit; repeatable.")
@click.option("--baseline", type=click.Path(), metavar="FILE", help="Summary document or saved rows to compare with.")
@click.option(
    "--max-increase",
    multiple=True,
    metavar="METRIC=LIMIT",
    help="Fail further above the baseline: 0.01 is absolute, 0.5% of it; repeatable.",
)
@click.option(
    "--max-decrease",
    multiple=True,
    metavar="METRIC=LIMIT",
    help="Fail further below it: for accuracy and whatever is better higher; repeatable.",
)
@click.option(
    "--require-significant", is_flag=True, help="A change fails only where its 95% paired interval excludes 0."
)
@click.option("--exit-zero", is_flag=True, help="Report, but exit with 0 where a check fails.")
@click.option(
    "-f",
    "--format",
    "output_format",
    type=click.Choice(["table", "tsv", "json", "github"]),
    help="Of standard output; json: summary; github: tsv and annotations.",
)
@click.option("-o", "--output", type=click.Path(), metavar="FILE", help="Per-sample rows: a later run's --baseline.")
@click.option("--overflow-report", is_flag=True, help="How -log(exp(z_y)/sum exp(z)) fares in each float type.")
@click.option(
    "--report",
    "reports",
    multiple=True,
    metavar="FILE",
    shell_complete=files,
    help="Write the verdict: .json .md .html .xml (JUnit); md:FILE forces; repeatable.",
)
@by_option
@plot_option
@run_options
def check(**flags: Any) -> None:
    """Compute, then hold figures against limits: exit code 1 where one does not hold.

    METRIC is a field of the summary (mean_loss, p99_loss, accuracy, n_nan ...), overflow.float16 (rows for which the
    textbook formula is not right; .imprecise, .inf and .nan choose), or slice:COLUMN=VALUE:FIELD. NaN fails every
    check, and so does a cross-entropy below 0. A baseline is of the same samples, labels and settings.

    \b
    xent check logits.npy labels.npy --max mean_loss=0.35 --min accuracy=0.95
    xent check logits.npy labels.npy --max overflow.float16=0 --report junit.xml
    xent check logits.npy labels.npy --baseline main.json --max-increase mean_loss=0.5% --max-decrease accuracy=0.01
    xent check logits.npy labels.npy --baseline main.parquet --max-increase mean_loss=0 --require-significant
    xent check logits.npy labels.npy --max mean_loss=0.35 -f github --report md:$GITHUB_STEP_SUMMARY
    """
    from xent_cli.cli.options import ComputeOptions, OutputFlags
    from xent_cli.cli.output_plan import Streams, plan_output
    from xent_cli.cli.runs import compute as run
    from xent_cli.cli.runs.check import LimitFlags, open_limits

    shared = shared_options(flags)
    options = ComputeOptions(shared, grouped(OutputFlags, flags))
    inputs = (shared.inputs.logits, shared.inputs.labels, shared.loss.sample_weight)
    limits = open_limits(grouped(LimitFlags, flags), options.output.by, inputs)
    document = run.compute(options, plan_output("check", options.output, shared.run, Streams.of_process()), limits)
    if not flags["exit_zero"] and not all(entry["passed"] for entry in document.checks or ()):
        raise click.exceptions.Exit(1)
