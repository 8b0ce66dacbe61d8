"""What goes to standard output and to standard error, and in which form, decided in one place before any work."""

from __future__ import annotations

import os
import sys
from enum import Enum
from typing import TYPE_CHECKING, NamedTuple

from xent_cli import reports
from xent_cli.errors import UsageError
from xent_cli.writers import format_of

if TYPE_CHECKING:
    from xent_cli.cli.options import Color, OutputFlags, RunFlags

# Without --top, a table lists this many of the highest losses, or of the losses that changed most.
_TOP_OF_A_TABLE = 5


class Form(Enum):
    """A form of output; each command offers some of them with `-f`."""

    TABLE = "table"
    LINES = "lines"
    TSV = "tsv"
    CSV = "csv"
    JSONL = "jsonl"
    NPY = "npy"
    ARROW = "arrow"
    JSON = "json"
    MARKDOWN = "md"
    GITHUB = "github"
    MEAN = "mean"
    SUM = "sum"


class Streams(NamedTuple):
    """Whether standard output and standard error are terminals."""

    stdout: bool
    stderr: bool

    @classmethod
    def of_process(cls) -> Streams:
        """The streams of this process."""
        return cls(sys.stdout.isatty(), sys.stderr.isatty())


class ReportTarget(NamedTuple):
    """A report to write.

    Fields
    ------
    form
        One of `reports.FORMATS`.
    appended
        Whether it is appended to the file, as to GitHub's step summary.
    """

    form: str
    path: str
    appended: bool


class OutputPlan(NamedTuple):
    """What a command shows and writes.

    Fields
    ------
    rows
        Form of the per-sample rows on standard output, or None if they do not go there.
    summary
        Form of what goes to standard output instead of rows, or None.
    stderr_summary
        Form of the summary on standard error, if rows go to standard output: table, lines, or None.
    top
        How many of the highest losses, or of the losses that changed most, are listed.
    reports
        Documents to write.
    """

    rows: Form | None
    summary: Form | None
    stderr_summary: Form | None
    top: int
    reports: tuple[ReportTarget, ...]
    color: Color
    quiet: bool

    @property
    def has_page(self) -> bool:
        """Whether a report is a page."""
        return any(report.form == "html" for report in self.reports)

    @property
    def shows_figures(self) -> bool:
        """Whether more than the mean and the sum are shown."""
        bare = self.summary in (None, Form.MEAN, Form.SUM)
        return not bare or self.stderr_summary is not None or self.rows is Form.TABLE

    def has_digest(self, path: str | None) -> bool:
        """Whether any output, including rows at this path, holds a digest of the labels."""
        rows = path is not None and format_of(path) in ("parquet", "arrow")
        json = any(target.form == "json" for target in self.reports)
        return self.summary is Form.JSON or self.rows is Form.ARROW or rows or json


def plan_output(command: str, flags: OutputFlags, run: RunFlags, streams: Streams) -> OutputPlan:
    """Decide from the options, and from whether standard output and standard error are terminals.

    Raises
    ------
    UsageError
        If options contradict each other, or a path does not name a format.
    """
    if flags.output is not None:
        format_of(flags.output)
    targets = tuple(_report_target(text) for text in flags.reports)
    form = None if flags.output_format is None else Form(flags.output_format)
    if command == "compute":
        rows, summary, stderr_summary = _plan_of_compute(form, flags, run, streams)
    else:
        piped = Form.LINES if command in ("verify", "calibrate", "inspect") else Form.TSV
        rows, summary, stderr_summary = None, form or (Form.TABLE if streams.stdout else piped), None
        if command == "check" and summary not in (Form.JSON, Form.TABLE) and not run.quiet:
            stderr_summary = _summary_form(streams.stderr)
    top = flags.top
    if top is None:
        shows_top = rows is Form.TABLE or (command == "compare" and summary is Form.TABLE)
        top = _TOP_OF_A_TABLE if shows_top else 0
    return OutputPlan(rows, summary, stderr_summary, top, targets, run.color, run.quiet)


def _plan_of_compute(
    form: Form | None, flags: OutputFlags, run: RunFlags, streams: Streams
) -> tuple[Form | None, Form | None, Form | None]:
    """Return the forms of rows and summary on standard output, and of the summary on standard error."""
    reduction, output = flags.reduction, flags.output
    if reduction in ("mean", "sum"):
        if form not in (None, Form.JSON):
            raise UsageError(
                f"--reduction {reduction} prints one number, and -f {flags.output_format} rows", hint="leave one out"
            )
        if flags.by and form is None and output is None and not flags.reports:
            raise UsageError(f"--reduction {reduction} prints one number, and --by many", hint="add -f json")
        return None, form or Form(reduction), None
    if form is Form.JSON:
        return None, form, None
    if output is not None:
        if form not in (None, Form.TABLE):
            raise UsageError(
                f"rows go to {output} or, with -f {flags.output_format}, to standard output", hint="leave one out"
            )
        return None, form or _summary_form(streams.stdout), None
    rows = form or (Form.TABLE if streams.stdout else Form.TSV)
    if rows in (Form.NPY, Form.ARROW) and streams.stdout:
        hint = "write it to a file with -o"
        raise UsageError(f"-f {rows.value} is binary, and standard output a terminal", hint=hint)
    if rows is Form.TABLE:
        return rows, None if reduction == "none" else Form.TABLE, None
    silent = run.quiet or reduction == "none"
    return rows, None, None if silent else _summary_form(streams.stderr)


def _summary_form(terminal: bool) -> Form:
    return Form.TABLE if terminal else Form.LINES


def _report_target(text: str) -> ReportTarget:
    form, path = reports.format_of(text)
    summary = os.environ.get("GITHUB_STEP_SUMMARY", "")
    return ReportTarget(form, path, bool(summary) and os.path.realpath(path) == os.path.realpath(summary))
