"""What `xent check` prints: the figures, the table of checks, and why one failed."""

from __future__ import annotations

import os
import sys
from contextlib import suppress
from typing import TYPE_CHECKING

import click

from xent_cli.cli.display.present import console_for, show_figures
from xent_cli.cli.output_plan import Form
from xent_cli.errors import printable

if TYPE_CHECKING:
    from xent_cli.cli.output_plan import OutputPlan
    from xent_cli.core.row_columns import RowFormat
    from xent_cli.core.totals.loss_totals import LossTotals
    from xent_cli.reports.interface import Document


def show_checks(output: OutputPlan, document: Document, totals: LossTotals, columns: RowFormat) -> None:
    """Print the verdicts; a reader that goes away early does not change them."""
    failed = [entry for entry in document.checks or () if not entry["passed"]]
    try:
        _print(output, document, totals, columns)
        sys.stdout.flush()
    except BrokenPipeError:
        if not failed:
            raise
        # Python would flush standard output once more at exit, and complain.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    with suppress(BrokenPipeError):
        for entry in failed:
            click.echo(printable(f"FAIL {entry['message']}"), err=True)


def _print(output: OutputPlan, document: Document, totals: LossTotals, columns: RowFormat) -> None:
    checks = document.checks or ()
    if output.stderr_summary is not None:
        show_figures(sys.stderr, output.stderr_summary, output, document, totals, columns)
    if output.summary is Form.JSON:
        from xent_cli.reports.strict_json import json_text
        from xent_cli.reports.summary.json import as_json

        click.echo(json_text(as_json(document)), nl=False)
    elif output.summary is Form.TABLE:
        from xent_cli.reports.summary.table import print_checks

        show_figures(sys.stdout, Form.TABLE, output, document, totals, columns)
        print_checks(console_for(sys.stdout, output.color), checks)
    else:
        from xent_cli.reports.summary.text import plain_checks

        click.echo(plain_checks(checks), nl=False)
        if output.summary is Form.GITHUB:
            from xent_cli.reports.summary.github import render

            click.echo(render(document), nl=False)
