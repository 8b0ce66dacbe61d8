"""What `xent calibrate` prints."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

import click

from xent_cli.cli.display.present import console_for, remark
from xent_cli.cli.output_plan import Form

if TYPE_CHECKING:
    from xent_cli.cli.options import Origin
    from xent_cli.cli.output_plan import OutputPlan
    from xent_cli.reports.calibration.json import CalibrationDocument


def show_fit(document: CalibrationDocument, output: OutputPlan, origin: Origin) -> None:
    """Print the temperature and what it does; warnings and notes go to standard error."""
    remark(document.diagnostics, origin, quiet=output.quiet)
    if output.summary is Form.JSON:
        from xent_cli.reports.calibration.json import as_json
        from xent_cli.reports.strict_json import json_text

        click.echo(json_text(as_json(document)), nl=False)
    elif output.summary is Form.LINES:
        from xent_cli.reports.calibration.text import plain_fit

        click.echo(plain_fit(document.fit), nl=False)
    else:
        from xent_cli.reports.calibration.table import print_fit

        print_fit(console_for(sys.stdout, output.color), document)
