"""A comparison as JUnit XML: a candidate that is worse beyond chance is a failure."""

from __future__ import annotations

from typing import TYPE_CHECKING
from xml.etree import ElementTree as ET

from xent_cli.core.metrics import more_is_better
from xent_cli.errors import printable
from xent_cli.reports.comparison.text import cells, footnote, heading

if TYPE_CHECKING:
    from xent_cli.core.statistics.comparison import Change, Comparison


def render(comparison: Comparison) -> str:
    """Return one test case for each figure that is tested, of each candidate; it fails if the change is for the worse.

    Figures without an interval are properties, not test cases.
    """
    tested = [
        (candidate, change)
        for candidate in comparison.candidates
        for change in (*candidate.changes, *candidate.slices)
        if change.mark
    ]
    failed = sum(_worse(change) for _, change in tested)
    counts = {"tests": str(len(tested) or 1), "failures": str(failed), "errors": "0", "skipped": "0", "time": "0"}
    suite = ET.Element("testsuite", {"name": "xent compare", **counts})
    properties = ET.SubElement(suite, "properties")
    facts = [
        ("xent_version", comparison.version),
        ("baseline", comparison.baseline.path),
        ("test", footnote(comparison)),
    ]
    facts += [(f"{d.code}", d.message) for d in comparison.diagnostics]
    for candidate in comparison.candidates:
        facts += [(f"{candidate.model.label}.{change.metric}", str(change.candidate)) for change in candidate.changes]
    for name, value in facts:
        ET.SubElement(properties, "property", {"name": printable(name), "value": printable(value)})
    for candidate, change in tested:
        name, *figures = cells(change)
        case = _case(suite, f"{candidate.model.label}: {name}")
        if _worse(change):
            message = printable(f"{heading(comparison, candidate)}: {name} {' '.join(figures)}")
            ET.SubElement(case, "failure", {"message": message, "type": "worse"}).text = message
    if not tested:
        _case(suite, "the results were compared")
    ET.indent(suite)
    return f'<?xml version="1.0" encoding="UTF-8"?>\n{ET.tostring(suite, encoding="unicode")}\n'


def _worse(change: Change) -> bool:
    return change.mark == ("lower" if more_is_better(change.metric) else "higher")


def _case(suite: ET.Element, name: str) -> ET.Element:
    return ET.SubElement(suite, "testcase", {"name": printable(name), "classname": "xent.compare", "time": "0"})
