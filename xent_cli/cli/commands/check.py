"""`xent check`: compute the figures, then check them against limits."""

from __future__ import annotations

from functools import partial
from typing import Any

import click

from xent_cli.cli.commands.help import OUTPUT, Command, complete_files, complete_metrics, option
from xent_cli.cli.commands.options import all_loss_options, input_options
from xent_cli.cli.commands.run_options import figure_options, overflow_option, plot_option, run_options

_EXAMPLES = (
    "xent check logits.npy labels.npy --max mean_loss=0.35 --min accuracy=0.95",
    "xent check logits.npy labels.npy --max overflow.float16=0 --report junit.xml",
    "xent check logits.npy labels.npy --baseline main.json --max-increase mean_loss=0.5%",
    "xent check logits.npy labels.npy --baseline main.json --max-decrease accuracy=0.01",
    "xent check logits.npy labels.npy --baseline main.parquet --max-increase mean_loss=0 --require-significant",
    "xent check logits.npy labels.npy --max mean_loss=0.35 -f github --report md:$GITHUB_STEP_SUMMARY",
)

_gate = partial(option, section="Gate")
_output = partial(option, section=OUTPUT)


@click.command(
    cls=Command,
    short_help="Compute, and exit with 1 if a limit is violated.",
    most_used=("max", "min", "baseline", "max_increase", "max_decrease"),
    examples=_EXAMPLES,
)
@input_options
@all_loss_options
@_gate(
    "--max",
    multiple=True,
    metavar="METRIC=LIMIT",
    shell_complete=complete_metrics,
    help="Fail if METRIC is above LIMIT; repeatable.",
)
@_gate(
    "--min",
    multiple=True,
    metavar="METRIC=LIMIT",
    shell_complete=complete_metrics,
    help="Fail if METRIC is below LIMIT; repeatable.",
)
@_gate(
    "--baseline",
    type=click.Path(readable=False),
    metavar="FILE",
    help="Earlier result to compare with: a summary document, or saved per-sample rows.",
)
@_gate(
    "--max-increase",
    multiple=True,
    metavar="METRIC=LIMIT",
    shell_complete=complete_metrics,
    help="Fail if METRIC is more than LIMIT above the baseline; 0.01 is absolute, 0.5% is relative; repeatable.",
)
@_gate(
    "--max-decrease",
    multiple=True,
    metavar="METRIC=LIMIT",
    shell_complete=complete_metrics,
    help="Fail if METRIC is more than LIMIT below the baseline, for accuracy and the like; repeatable.",
)
@_gate(
    "--require-significant",
    is_flag=True,
    help="Fail because of a change only if the 95% interval of the paired difference excludes 0.",
)
@_gate("--exit-zero", is_flag=True, help="Exit with 0 even if a check fails.")
@_output(
    "-f",
    "--format",
    "output_format",
    type=click.Choice(["table", "tsv", "json", "github"]),
    help="Format of standard output: json is the summary document, github adds annotations to tsv; "
    "default: table on a terminal, else tsv.",
)
@_output(
    "-o",
    "--output",
    type=click.Path(readable=False),
    metavar="FILE",
    help="File for the per-sample rows, which a later check can take as its --baseline.",
)
@overflow_option
@_output(
    "--report",
    "reports",
    multiple=True,
    metavar="FILE",
    shell_complete=complete_files,
    help="File for the verdict: .json .md .html .xml (JUnit), or md:FILE if the suffix does not say; repeatable.",
)
@figure_options
@plot_option
@run_options
def check(**flags: Any) -> None:
    """Compute the figures, then check them against limits: exit with 1 if any limit is violated.

    METRIC is a field of the summary (mean_loss, p99_loss, accuracy, n_nan ...), overflow.float16 (rows for which the
    textbook formula fails; .imprecise, .inf and .nan count one kind of failure), or slice:COLUMN=VALUE:FIELD. NaN
    fails every check, and so does a cross-entropy below 0. A baseline must come from the same samples, labels and
    settings.
    """
    from xent_cli.cli.options import ComputeOptions, OutputFlags, grouped, shared_options
    from xent_cli.cli.output_plan import Streams, plan_output
    from xent_cli.cli.runs import compute as run
    from xent_cli.cli.runs.check import LimitFlags, open_limits

    options = ComputeOptions(shared_options(flags), grouped(OutputFlags, flags))
    limits = open_limits(grouped(LimitFlags, flags), options)
    output = plan_output("check", options.output, options.shared.run, Streams.of_process())
    document = run.compute(options, output, limits)
    if not flags["exit_zero"] and not all(entry["passed"] for entry in document.checks or ()):
        raise click.exceptions.Exit(1)
