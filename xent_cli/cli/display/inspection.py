"""What `xent inspect` prints."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Any

import click

from xent_cli.cli.display.present import console_for
from xent_cli.cli.output_plan import Form
from xent_cli.errors import printable

if TYPE_CHECKING:
    from xent_cli.cli.options import Origin
    from xent_cli.cli.output_plan import OutputPlan


def show_inspection(document: dict[str, Any], output: OutputPlan, origin: Origin) -> None:
    """Print what files hold; warnings and notes go to standard error."""
    if output.summary is Form.JSON:
        from xent_cli.reports.strict_json import json_text

        click.echo(json_text(document), nl=False)
    elif output.summary is Form.TABLE:
        from xent_cli.reports.inspection.text import print_inspection

        print_inspection(console_for(sys.stdout, output.color), document)
    else:
        from xent_cli.reports.inspection.text import plain_inspection

        click.echo(plain_inspection(document), nl=False)
    said = [diagnostic.entry() for diagnostic in origin.config_notes]
    for kind in () if output.quiet else ("warning", "note"):
        for entry in (each for each in document[f"{kind}s"] if each not in said):
            click.echo(printable(f"{kind}: {entry['message']} [{entry['code']}]"), err=True)
