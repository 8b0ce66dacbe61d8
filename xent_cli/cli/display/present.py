"""What goes to standard output, what to standard error, and in which form: one table, decided before any work."""

from __future__ import annotations

import sys
from contextlib import suppress
from dataclasses import dataclass
from io import TextIOWrapper
from typing import TYPE_CHECKING, Any, BinaryIO, TextIO, cast

import click

from xent_cli.cli.config import told_before
from xent_cli.cli.runs.settings import report_target
from xent_cli.errors import UsageError, printable, without_secrets
from xent_cli.writers import format_of

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from rich.console import Console

    from xent_cli.core.diagnostics import Diagnostic
    from xent_cli.core.row_columns import RowFormat
    from xent_cli.core.totals.loss_totals import LossTotals
    from xent_cli.reports.interface import Document

# Without --top a terminal shows so many of the highest losses.
_WORST_SHOWN = 5
_BARS_SHOWN = 10


@dataclass(frozen=True, slots=True)
class Plan:
    """What a run shows.

    Fields
    ------
    rows
        Format of the per-sample rows on standard output, or None where they do not go there.
    summary
        What standard output carries in their place: "table", "lines", "json", "mean" or "sum"; of a check also "tsv" or
        "github"; or None.
    aside
        How the summary is told on standard error, beside rows: "table", "lines" or None.
    top
        How many of the highest losses are listed.
    """

    rows: str | None
    summary: str | None
    aside: str | None
    top: int

    @property
    def figures(self) -> bool:
        """Whether more than the mean and the sum is shown."""
        return self.summary not in (None, "mean", "sum") or self.aside is not None or self.rows == "table"

    @property
    def losses(self) -> bool:
        """Whether rows are shown."""
        return self.rows is not None


def plan(given: Mapping[str, Any], terminal: bool, error_terminal: bool) -> Plan:
    """Decide from the options, and from whether standard output and standard error are terminals.

    Raises
    ------
    UsageError
        Where the options contradict each other.
    """
    form, reduction, output = given["output_format"], given["reduction"], given["output"]
    if output is not None:
        format_of(output)
    for text in given["reports"]:
        report_target(text)
    top = given["top"] or 0
    if reduction in ("mean", "sum"):
        if form not in (None, "json"):
            raise UsageError(f"--reduction {reduction} prints one number, and -f {form} rows", hint="leave one out")
        if given.get("by") and form is None and output is None and not given["reports"]:
            raise UsageError(f"--reduction {reduction} prints one number, and --by many", hint="add -f json")
        return Plan(None, form or reduction, None, top)
    if form == "json":
        return Plan(None, "json", None, top)
    if output is not None:
        if form not in (None, "table"):
            raise UsageError(f"rows go to {output} or, with -f {form}, to standard output", hint="leave one out")
        kind = "table" if terminal or form == "table" else "lines"
        return Plan(None, kind, None, top)
    rows = form or ("table" if terminal else "tsv")
    if rows in ("npy", "arrow") and terminal:
        raise UsageError(f"-f {rows} is binary, and standard output a terminal", hint="write it to a file with -o")
    if rows == "table":
        summary = None if reduction == "none" else "table"
        return Plan("table", summary, None, top if given["top"] is not None else _WORST_SHOWN)
    silent = given["quiet"] or reduction == "none"
    return Plan(rows, None, None if silent else "table" if error_terminal else "lines", top)


def console_for(stream: TextIO, color: str) -> Console:
    """Where tables go; NO_COLOR, FORCE_COLOR and TERM=dumb are rich's to honour."""
    from xent_cli.reports.tables import PipeConsole

    if isinstance(stream, TextIOWrapper):
        # A terminal that cannot show a character of a name gets its escape, not an error.
        stream.reconfigure(errors="backslashreplace")
    forced = {"always": True, "never": False}.get(color)
    width = None if stream.isatty() else 120
    return PipeConsole(file=stream, force_terminal=forced, no_color=color == "never", width=width, highlight=False)


def shown_on(terminal: TextIO) -> BinaryIO:
    """Where rows of text go that a terminal shows: ids and labels of a file are not for it to obey."""
    return cast("BinaryIO", _Terminal(terminal))


class _Terminal:
    """Lines for a terminal, escaped but for what parts cells."""

    def __init__(self, terminal: TextIO) -> None:
        self._terminal = terminal

    def write(self, lines: bytes | memoryview) -> int:
        text = bytes(lines).decode("utf-8", "replace")
        cells = (map(printable, line.split("\t")) for line in text.split("\n"))
        self._terminal.write("\n".join("\t".join(line) for line in cells))
        return len(lines)

    def flush(self) -> None:
        self._terminal.flush()


def show(shown: Plan, document: Document, totals: LossTotals, columns: RowFormat, color: str) -> None:
    """Print the summary where the plan has it."""
    if shown.summary in ("mean", "sum"):
        from xent_cli.reports.summary.text import plain_value

        summary = document.summary
        click.echo(plain_value(summary.mean_loss if shown.summary == "mean" else summary.sum_loss))
    elif shown.summary == "json":
        from xent_cli.reports.summary.json import dumps

        click.echo(dumps(document), nl=False)
    elif shown.summary is not None:
        show_figures(sys.stdout, shown.summary, document, totals, columns, shown.top, color)
    if shown.aside is not None:
        show_figures(sys.stderr, shown.aside, document, totals, columns, shown.top, color)
    elif shown.top and shown.summary in (None, "mean", "sum"):
        from xent_cli.reports.summary.text import plain_worst

        click.echo(plain_worst(totals.worst[: shown.top]), err=True, nl=False)


def remark(findings: Iterable[Diagnostic], *, quiet: bool, gate: bool = False) -> None:
    """Tell on standard error what looks wrong and what was done; of a quiet gate, what looks wrong."""
    said = told_before()
    with suppress(BrokenPipeError):  # a verdict stands, whoever hears of it
        for finding in (each for each in findings if each not in said):
            if not quiet or (gate and not finding.note):
                click.echo(printable(without_secrets(finding.line())), err=True)


def tell_waiting(path: str) -> None:
    """Say that a pipe to write to has no reader yet."""
    click.echo(f"note: {printable(path)} is a pipe that nobody reads from yet: waiting [output-waits]", err=True)


def show_figures(
    stream: TextIO, kind: str, document: Document, totals: LossTotals, columns: RowFormat, top: int, color: str
) -> None:
    """Print the figures of a run, and the highest losses: a "table", or "lines"."""
    summary = document.summary.as_dict()
    if kind == "lines":
        from xent_cli.reports.summary.text import plain_overflow, plain_slices, plain_summary, plain_worst

        text = plain_summary(summary)
        if document.slices:
            text += plain_slices(document.slices)
        text += plain_worst(totals.worst[:top])
        if document.formulas:
            text += plain_overflow(document.formulas)
        click.echo(text, file=stream, nl=False)
        return
    from xent_cli.core.totals.histogram import histogram
    from xent_cli.reports.summary.table import print_histogram, print_overflow, print_slices, print_summary, print_worst

    console = console_for(stream, color)
    if top:
        print_worst(console, totals.worst[:top], columns)
    if totals.quantiles is not None:
        print_histogram(console, histogram(totals.quantiles, _BARS_SHOWN))
    print_summary(console, summary)
    if document.slices:
        print_slices(console, document.slices)
    if document.formulas:
        print_overflow(console, document.formulas)
