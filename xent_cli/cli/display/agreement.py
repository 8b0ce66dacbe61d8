"""What `xent verify` prints: how far losses and gradients are off, and the verdict."""

from __future__ import annotations

import os
import sys
from typing import TYPE_CHECKING

import click

from xent_cli.cli.display.present import console_for, remark
from xent_cli.cli.output_plan import Form

if TYPE_CHECKING:
    from xent_cli.cli.options import Origin
    from xent_cli.cli.output_plan import OutputPlan
    from xent_cli.reports.agreement.json import AgreementDocument


def show_agreement(document: AgreementDocument, output: OutputPlan, origin: Origin) -> None:
    """Print the verdict; a failure stands even if nobody reads on."""
    remark(document.diagnostics, origin, quiet=output.quiet)
    try:
        if output.summary is Form.JSON:
            from xent_cli.reports.agreement.json import dumps

            click.echo(dumps(document), nl=False)
        elif output.summary is Form.LINES:
            from xent_cli.reports.agreement.text import plain_agreements

            click.echo(plain_agreements(document.agreements), nl=False)
        else:
            from xent_cli.reports.agreement.table import print_agreements

            print_agreements(console_for(sys.stdout, output.color), document.agreements)
        sys.stdout.flush()
    except BrokenPipeError:
        if document.passed:
            raise
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
