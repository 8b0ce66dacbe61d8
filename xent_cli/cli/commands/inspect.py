"""`xent inspect`: what files hold, and the line that computes from them."""

from __future__ import annotations

from typing import Any

import click

from xent_cli.cli.commands.options import grouped, layout_options, origin, quiet_options


@click.command()
@click.argument("files", nargs=-1, required=True, type=click.Path(), metavar="FILE...")
@layout_options
@click.option("-f", "--format", "output_format", type=click.Choice(["table", "json"]), help="Of standard output.")
@click.option("--scan/--no-scan", default=True, help="Read the values, or only what headers say.")
@quiet_options
def inspect(**flags: Any) -> None:
    """Say what files hold, what compute would assume, and the line that computes.

    \b
    xent inspect logits.npy labels.npy
    xent inspect predictions.parquet
    xent inspect 'shards/*.npy' labels.csv -f json | jq -r .command
    xent inspect dump.npz --no-scan

    FILE is anything that compute reads. One file, or two that fit, are taken as logits and labels; options that
    these need are found by trying, and stand in the line.
    """
    from xent_cli.cli.display.inspection import show_inspection
    from xent_cli.cli.options import LayoutFlags, OutputFlags, RunFlags
    from xent_cli.cli.output_plan import Streams, plan_output
    from xent_cli.cli.runs import inspect as run

    layout, where = grouped(LayoutFlags, flags), grouped(RunFlags, flags)
    options = run.InspectOptions(flags["files"], layout, where, origin(), scan=flags["scan"])
    output = plan_output("inspect", grouped(OutputFlags, flags), where, Streams.of_process())
    show_inspection(run.inspect(options), output, options.origin)
