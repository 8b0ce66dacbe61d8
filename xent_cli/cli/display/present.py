"""What a run prints: figures, warnings and notes, each on its stream."""

from __future__ import annotations

import sys
from contextlib import suppress
from io import TextIOWrapper
from typing import TYPE_CHECKING, BinaryIO, TextIO, cast

import click

from xent_cli.cli.output_plan import Form
from xent_cli.errors import printable, without_secrets

if TYPE_CHECKING:
    from collections.abc import Iterable

    from rich.console import Console

    from xent_cli.cli.options import Color, Origin
    from xent_cli.cli.output_plan import OutputPlan
    from xent_cli.core.diagnostics import Diagnostic
    from xent_cli.core.row_columns import RowFormat
    from xent_cli.core.totals.loss_totals import LossTotals
    from xent_cli.reports.interface import Document

_BARS_SHOWN = 10


def console_for(stream: TextIO, color: Color) -> Console:
    """Return a console for tables; rich honours NO_COLOR, FORCE_COLOR and TERM=dumb."""
    from xent_cli.reports.tables import PipeConsole

    if isinstance(stream, TextIOWrapper):
        # A character that the terminal cannot show is escaped instead of being an error.
        stream.reconfigure(errors="backslashreplace")
    forced = {"always": True, "never": False}.get(color)
    width = None if stream.isatty() else 120
    return PipeConsole(file=stream, force_terminal=forced, no_color=color == "never", width=width, highlight=False)


def escaped_for(terminal: TextIO) -> BinaryIO:
    """Return a stream that escapes rows of text for a terminal, so that ids and labels of a file cannot control it."""
    return cast("BinaryIO", _Terminal(terminal))


class _Terminal:
    """Lines for a terminal, escaped except for the tabs and line ends between cells."""

    def __init__(self, terminal: TextIO) -> None:
        self._terminal = terminal

    def write(self, lines: bytes | memoryview) -> int:
        text = bytes(lines).decode("utf-8", "replace")
        cells = (map(printable, line.split("\t")) for line in text.split("\n"))
        self._terminal.write("\n".join("\t".join(line) for line in cells))
        return len(lines)

    def flush(self) -> None:
        self._terminal.flush()


def show(output: OutputPlan, document: Document, totals: LossTotals, columns: RowFormat) -> None:
    """Print the summary on the stream and in the form that the plan says."""
    if output.summary in (Form.MEAN, Form.SUM):
        from xent_cli.core.number_text import plain_value

        summary = document.summary
        click.echo(plain_value(summary.mean_loss if output.summary is Form.MEAN else summary.sum_loss))
    elif output.summary is Form.JSON:
        from xent_cli.reports.strict_json import json_text
        from xent_cli.reports.summary.json import as_json

        click.echo(json_text(as_json(document)), nl=False)
    elif output.summary is not None:
        show_figures(sys.stdout, output.summary, output, document, totals, columns)
    if output.stderr_summary is not None:
        show_figures(sys.stderr, output.stderr_summary, output, document, totals, columns)
    elif output.top and output.summary in (None, Form.MEAN, Form.SUM):
        from xent_cli.reports.summary.text import plain_worst

        click.echo(plain_worst(totals.listed[1][: output.top]), err=True, nl=False)
    return


def remark(diagnostics: Iterable[Diagnostic], origin: Origin, *, quiet: bool, check: bool = False) -> None:
    """Print warnings and notes on standard error, except those of the configuration, which are printed at the start.

    With --quiet, check still prints warnings, and other commands print neither.
    """
    with suppress(BrokenPipeError):  # the verdict does not change if nobody reads this
        for diagnostic in (each for each in diagnostics if each not in origin.config_notes):
            if not quiet or (check and not diagnostic.note):
                click.echo(printable(without_secrets(diagnostic.line())), err=True)


def note_waiting(path: str) -> None:
    """Say that a pipe that is to be written to has no reader yet."""
    click.echo(f"note: {printable(path)} is a pipe that nobody reads from yet: waiting [output-waits]", err=True)


def show_figures(
    stream: TextIO, form: Form, output: OutputPlan, document: Document, totals: LossTotals, columns: RowFormat
) -> None:
    """Print the figures of a run and the highest losses, as a table or as lines."""
    summary, (by, worst) = document.summary.as_dict(), totals.listed
    worst = worst[: output.top]
    if form is Form.LINES:
        from xent_cli.reports.summary.text import plain_overflow, plain_slices, plain_summary, plain_worst

        text = plain_summary(summary)
        if document.slices:
            text += plain_slices(document.slices)
        text += plain_worst(worst)
        if document.formulas:
            text += plain_overflow(document.formulas)
        click.echo(text, file=stream, nl=False)
        return
    from xent_cli.core.totals.histogram import histogram
    from xent_cli.reports.summary.table import print_histogram, print_overflow, print_slices, print_summary, print_worst

    console = console_for(stream, output.color)
    if worst:
        print_worst(console, worst, columns, by)
    if totals.quantiles is not None:
        print_histogram(console, histogram(totals.quantiles, _BARS_SHOWN))
    print_summary(console, summary)
    if document.slices:
        print_slices(console, document.slices)
    if document.formulas:
        print_overflow(console, document.formulas)
