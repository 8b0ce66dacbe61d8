"""The verdict as JUnit XML."""

from __future__ import annotations

from typing import TYPE_CHECKING

from xent_cli.reports.junit import Case, junit

if TYPE_CHECKING:
    from xent_cli.reports.interface import Document


def render(document: Document) -> str:
    """Return one test case per check, or without checks one that passes because the run finished.

    The message of a failure gives the observed value.
    """
    cases = [
        Case(
            f"{entry['metric']} {entry['kind']} {str(entry['limit']).removesuffix('.0')}",
            None if entry["passed"] else (entry["kind"], entry["message"]),
        )
        for entry in document.checks or ()
    ]
    return junit("xent", "xent.check", _facts(document), cases or [Case("the loss was computed")])


def _facts(document: Document) -> list[tuple[str, str]]:
    """Return the settings, the inputs and the figures."""
    facts = [("xent_version", document.version), ("signature", document.signature)]
    facts += [(role, f"{given.path} ({given.format}, {given.dtype})") for role, given in document.inputs.items()]
    facts += [(name, str(value)) for name, value in document.summary.as_dict().items()]
    return facts + [(f"{'note' if f.note else 'warning'}.{f.code}", f.message) for f in document.diagnostics]
