"""Where the results of a run go: rows, gradients, reports and a picture, opened before the first row is read."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, BinaryIO

from xent_cli.cli.display import present
from xent_cli.cli.output_plan import Form
from xent_cli.writers import format_of, open_writer

if TYPE_CHECKING:
    from xent_cli.cli.options import OutputFlags
    from xent_cli.cli.output_plan import OutputPlan
    from xent_cli.cli.runs.gradient_output import GradientOutput
    from xent_cli.cli.runs.kept_rows import KeptRows
    from xent_cli.core.row_columns import RowFormat
    from xent_cli.writers.folder import PartsFolder
    from xent_cli.writers.interface import RowWriter
    from xent_cli.writers.publish import Publication


class Targets:
    """Where the results of a run go.

    Fields
    ------
    writers
        Of gradients and of rows; they write in this process, in order.
    folders
        Of rows and of gradients; the workers write a part per block.
    gradients
        Path and dtype of the gradients, or None.
    kept
        The writer that keeps rows for a comparison, or None.
    reports
        Streams of the reports, in the order of the plan.
    picture
        Stream of the histogram.
    """

    def __init__(
        self,
        gradients: GradientOutput | None = None,
        reports: tuple[BinaryIO, ...] = (),
        picture: BinaryIO | None = None,
    ) -> None:
        self.writers: list[RowWriter] = []
        self.folders: list[PartsFolder] = []
        self.gradients = gradients
        self.kept: KeptRows | None = None
        self.reports = reports
        self.picture = picture


def open_targets(
    flags: OutputFlags,
    output: OutputPlan,
    columns: RowFormat,
    files: Publication,
    *,
    gradients: GradientOutput | None = None,
    keep_rows: bool = False,
) -> Targets:
    """Open everything that a run writes; files appear when `files` publishes them."""
    targets = Targets(
        gradients=gradients,
        reports=tuple(files.file(report.path, append=report.appended) for report in output.reports),
        picture=None if flags.plot is None else files.file(flags.plot),
    )
    writer = None
    if flags.output is not None and flags.output.endswith("/"):
        from xent_cli.writers.folder import open_folder

        targets.folders.append(open_folder(files, flags.output, columns))
    elif flags.output is not None:
        writer = open_writer(format_of(flags.output), files.file(flags.output), columns)
    elif output.rows is not None:
        writer = _writer_to_stdout(output.rows, output, columns)
    if keep_rows:
        from xent_cli.cli.runs.kept_rows import KeptRows

        writer = targets.kept = KeptRows(columns, writer)
    if gradients is not None and gradients.in_parts:
        targets.folders.append(gradients.open_folder(files))
    elif gradients is not None:
        targets.writers.append(gradients.open_writer(files))
    if writer is not None:
        targets.writers.append(writer)
    return targets


def _writer_to_stdout(form: Form, output: OutputPlan, columns: RowFormat) -> RowWriter:
    if form is Form.TABLE:
        from xent_cli.cli.display.row_table import TableWriter

        return TableWriter(present.console_for(sys.stdout, output.color), columns)
    stream = present.escaped_for(sys.stdout) if sys.stdout.isatty() else sys.stdout.buffer
    return open_writer(form.value, stream, columns)
