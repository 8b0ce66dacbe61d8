"""`xent inspect`: what files hold, and the command that computes losses from them."""

from __future__ import annotations

from functools import partial
from typing import Any

import click

from xent_cli.cli.commands.help import OUTPUT, Command, option
from xent_cli.cli.commands.options import layout_options
from xent_cli.cli.commands.run_options import quiet_options

_EXAMPLES = (
    "xent inspect logits.npy labels.npy",
    "xent inspect predictions.parquet",
    "xent inspect 'shards/*.npy' labels.csv -f json | jq -r .command",
    "xent inspect dump.npz --no-scan",
)

_output = partial(option, section=OUTPUT)


@click.command(
    cls=Command,
    short_help="Show what files hold, and the command to run.",
    most_used=("scan", "output_format", "logits_column", "label_column", "axis"),
    examples=_EXAMPLES,
)
@click.argument("files", nargs=-1, required=True, type=click.Path(readable=False), metavar="FILE...")
@layout_options
@_output(
    "-f",
    "--format",
    "output_format",
    type=click.Choice(["table", "json"]),
    help="Format of standard output; default: table on a terminal, else plain lines.",
)
@_output("--scan/--no-scan", default=True, help="Whether to read every value, or only the headers of the files.")
@quiet_options
def inspect(**flags: Any) -> None:
    """Show what files hold, what xent compute would assume about them, and the command to run.

    FILE is anything that compute reads. One file, or two that fit together, are taken for logits and labels; the
    options that they need are found by trial, and are part of the command that is printed.
    """
    from xent_cli.cli.display.inspection import show_inspection
    from xent_cli.cli.options import LayoutFlags, OutputFlags, RunFlags, grouped, origin
    from xent_cli.cli.output_plan import Streams, plan_output
    from xent_cli.cli.runs import inspect as run

    layout, where = grouped(LayoutFlags, flags), grouped(RunFlags, flags)
    options = run.InspectOptions(flags["files"], layout, where, origin(), scan=flags["scan"])
    output = plan_output("inspect", grouped(OutputFlags, flags), where, Streams.of_process())
    show_inspection(run.inspect(options), output, options.origin)
