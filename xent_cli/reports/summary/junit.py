"""The verdict as JUnit XML, in the dialect that the schemas of Surefire and Jenkins both allow."""

from __future__ import annotations

from typing import TYPE_CHECKING
from xml.etree import ElementTree as ET

from xent_cli.errors import printable

if TYPE_CHECKING:
    from xent_cli.reports.interface import Document


def render(document: Document) -> str:
    """Return one test case per check, or without checks one that passes because the run finished.

    The message of a failure gives the observed value. Characters that XML cannot hold (control characters, lone
    surrogates) are escaped as in Python.
    """
    checks = document.checks or ()
    failures = sum(not entry["passed"] for entry in checks)
    counts = {"tests": str(len(checks) or 1), "failures": str(failures), "errors": "0", "skipped": "0", "time": "0"}
    suite = ET.Element("testsuite", {"name": "xent", **counts})
    properties = ET.SubElement(suite, "properties")
    for name, value in _facts(document):
        ET.SubElement(properties, "property", {"name": printable(name), "value": printable(value)})
    for entry in checks:
        case = _case(suite, f"{entry['metric']} {entry['kind']} {str(entry['limit']).removesuffix('.0')}")
        if not entry["passed"]:
            message = printable(entry["message"])
            ET.SubElement(case, "failure", {"message": message, "type": entry["kind"]}).text = message
    if not checks:
        _case(suite, "the loss was computed")
    ET.indent(suite)
    return f'<?xml version="1.0" encoding="UTF-8"?>\n{ET.tostring(suite, encoding="unicode")}\n'


def _case(suite: ET.Element, name: str) -> ET.Element:
    return ET.SubElement(suite, "testcase", {"name": printable(name), "classname": "xent.check", "time": "0"})


def _facts(document: Document) -> list[tuple[str, str]]:
    """Return the settings, the inputs and the figures."""
    facts = [("xent_version", document.version), ("signature", document.signature)]
    facts += [(role, f"{given.path} ({given.format}, {given.dtype})") for role, given in document.inputs.items()]
    facts += [(name, str(value)) for name, value in document.summary.as_dict().items()]
    return facts + [(f"{'note' if f.note else 'warning'}.{f.code}", f.message) for f in document.diagnostics]
