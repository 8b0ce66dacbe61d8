"""What `xent compare` prints."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

import click

from xent_cli.cli.display.present import console_for, remark
from xent_cli.cli.output_plan import Form

if TYPE_CHECKING:
    from xent_cli.cli.options import Origin
    from xent_cli.cli.output_plan import OutputPlan
    from xent_cli.core.statistics.comparison import Comparison


def show_comparison(comparison: Comparison, output: OutputPlan, origin: Origin) -> None:
    """Print the comparison; warnings, and anything that the format has no place for, go to standard error."""
    from xent_cli.reports.comparison import text

    form = output.summary
    if form is Form.JSON:
        from xent_cli.reports.comparison.json import as_json
        from xent_cli.reports.strict_json import json_text

        _write(json_text(as_json(comparison)))
    elif form is Form.TABLE:
        from xent_cli.reports.comparison.table import print_comparison

        print_comparison(console_for(sys.stdout, output.color), comparison)
    elif form is Form.MARKDOWN:
        _write(text.markdown_changes(comparison))
    else:
        _write(text.delimited_changes(comparison, "\t" if form is Form.TSV else ","))
    sys.stdout.flush()
    remark(comparison.diagnostics, origin, quiet=output.quiet)
    if form in (Form.TSV, Form.CSV) and not output.quiet:
        click.echo(text.plain_flips(comparison) + text.plain_moved(comparison) + text.footnote(comparison), err=True)


def _write(text: str) -> None:
    """Write line by line: without buffering, Python does not report a single write cut short by a closed pipe."""
    sys.stdout.writelines(text.splitlines(keepends=True))
