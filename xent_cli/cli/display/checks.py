"""What `xent check` prints: the figures, the table of checks, and why one failed."""

from __future__ import annotations

import os
import sys
from contextlib import suppress
from typing import TYPE_CHECKING, Any

import click

from xent_cli.cli.display.present import Plan, console_for, show_figures
from xent_cli.errors import UsageError, printable
from xent_cli.writers import format_of

if TYPE_CHECKING:
    from collections.abc import Mapping

    from xent_cli.core.row_columns import RowFormat
    from xent_cli.core.totals.loss_totals import LossTotals
    from xent_cli.reports.interface import Document


def plan(given: Mapping[str, Any], terminal: bool) -> Plan:
    """Decide what goes where; a terminal gets tables.

    Raises
    ------
    UsageError
        Where there is nothing to check.
    """
    if not (given["max"] or given["min"] or given["max_increase"] or given["max_decrease"]):
        raise UsageError("nothing to check: there is no limit", hint="for example --max mean_loss=0.35")
    if given["output"] is not None:
        format_of(given["output"])
    form = given["output_format"] or ("table" if terminal else "tsv")
    aside = None if form in ("json", "table") or given["quiet"] else "table" if sys.stderr.isatty() else "lines"
    return Plan(None, form, aside, 0)


def show(shown: Plan, document: Document, totals: LossTotals, columns: RowFormat, color: str) -> None:
    """Print; that nobody reads on does not undo a verdict."""
    failed = [entry for entry in document.checks or () if not entry["passed"]]
    try:
        _print(shown, document, totals, columns, color)
        sys.stdout.flush()
    except BrokenPipeError:
        if not failed:
            raise
        # Python would flush standard output once more at exit, and complain.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    with suppress(BrokenPipeError):
        for entry in failed:
            click.echo(printable(f"FAIL {entry['message']}"), err=True)


def _print(shown: Plan, document: Document, totals: LossTotals, columns: RowFormat, color: str) -> None:
    checks = document.checks or ()
    if shown.aside is not None:
        show_figures(sys.stderr, shown.aside, document, totals, columns, 0, color)
    if shown.summary == "json":
        from xent_cli.reports.summary.json import dumps

        click.echo(dumps(document), nl=False)
    elif shown.summary == "table":
        from xent_cli.reports.summary.table import print_checks

        show_figures(sys.stdout, "table", document, totals, columns, 0, color)
        print_checks(console_for(sys.stdout, color), checks)
    else:
        from xent_cli.reports.summary.text import plain_checks

        click.echo(plain_checks(checks), nl=False)
        if shown.summary == "github":
            from xent_cli.reports.summary.github import render

            click.echo(render(document), nl=False)
