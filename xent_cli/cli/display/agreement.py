"""What `xent verify` prints: how far off losses and gradients are, in one run or in each case, and the verdict."""

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
    from xent_cli.reports.agreement.cases import CasesDocument
    from xent_cli.reports.agreement.json import AgreementDocument


def show_agreement(document: AgreementDocument | CasesDocument, output: OutputPlan, origin: Origin) -> None:
    """Print the verdict; a reader that goes away early does not change it."""
    from xent_cli.reports.agreement.json import AgreementDocument

    remark(document.diagnostics, origin, quiet=output.quiet)
    try:
        if isinstance(document, AgreementDocument):
            _print(document, output)
        else:
            _print_cases(document, output)
        sys.stdout.flush()
    except BrokenPipeError:
        if document.passed:
            raise
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def _print(document: AgreementDocument, output: OutputPlan) -> None:
    if output.summary is Form.JSON:
        from xent_cli.reports.agreement.json import as_json
        from xent_cli.reports.strict_json import json_text

        click.echo(json_text(as_json(document)), nl=False)
    elif output.summary is Form.LINES:
        from xent_cli.reports.agreement.text import plain_agreements

        click.echo(plain_agreements(document.agreements), nl=False)
    else:
        from xent_cli.reports.agreement.table import print_agreements

        print_agreements(console_for(sys.stdout, output.color), document.agreements)


def _print_cases(document: CasesDocument, output: OutputPlan) -> None:
    from xent_cli.reports.agreement import cases

    if output.summary is Form.JSON:
        from xent_cli.reports.strict_json import json_text

        click.echo(json_text(cases.as_json(document)), nl=False)
    elif output.summary is Form.LINES:
        click.echo(cases.plain_cases(document), nl=False)
    else:
        cases.print_cases(console_for(sys.stdout, output.color), document)
