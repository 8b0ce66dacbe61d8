"""`xent inspect`: what files hold, and the line that computes from them."""

from __future__ import annotations

import sys
from typing import Any

import click

from xent_cli.cli.commands.options import layout_options, quiet_options
from xent_cli.errors import printable


@click.command()
@click.argument("files", nargs=-1, required=True, type=click.Path(), metavar="FILE...")
@layout_options
@click.option("-f", "--format", "output_format", type=click.Choice(["table", "json"]), help="Of standard output.")
@click.option("--scan/--no-scan", default=True, help="Read the values, or only what headers say.")
@quiet_options
def inspect(files: tuple[str, ...], **given: Any) -> None:
    """Say what files hold, what compute would assume, and the line that computes.

    \b
    xent inspect logits.npy labels.npy
    xent inspect predictions.parquet
    xent inspect 'shards/*.npy' labels.csv -f json | jq -r .command
    xent inspect dump.npz --no-scan

    FILE is anything that compute reads. One file, or two that fit, are taken as logits and labels; options that
    these need are found by trying, and stand in the line.
    """
    from xent_cli.cli.config import told_before
    from xent_cli.cli.display.present import console_for
    from xent_cli.cli.runs.inspect import examine

    document = examine(files, given)
    form = given["output_format"] or ("table" if sys.stdout.isatty() else "lines")
    if form == "json":
        from xent_cli.reports.inspection.json import inspection_json

        click.echo(inspection_json(document), nl=False)
    elif form == "table":
        from xent_cli.reports.inspection.text import print_inspection

        print_inspection(console_for(sys.stdout, given["color"]), document)
    else:
        from xent_cli.reports.inspection.text import inspection_lines

        click.echo(inspection_lines(document), nl=False)
    said = [finding.entry() for finding in told_before()]
    for kind in () if given["quiet"] else ("warning", "note"):
        for entry in (each for each in document[f"{kind}s"] if each not in said):
            click.echo(printable(f"{kind}: {entry['message']} [{entry['code']}]"), err=True)
