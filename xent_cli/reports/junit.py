"""JUnit XML, in the dialect that the schemas of Surefire and Jenkins both allow."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple
from xml.etree import ElementTree as ET

from xent_cli.errors import printable

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence


class Case(NamedTuple):
    """One test case: its name, and the kind and the message of its failure, or None if it passed."""

    name: str
    failure: tuple[str, str] | None = None


def junit(suite: str, classname: str, facts: Iterable[tuple[str, str]], cases: Sequence[Case]) -> str:
    """Return one test suite as XML.

    Characters that XML cannot hold (control characters, lone surrogates) are escaped as in Python.

    Parameters
    ----------
    suite, classname
        Name of the suite, and the class name of every case.
    facts
        Names and values, which become the properties of the suite.
    cases
        At least one: to some readers a suite without test cases is a failure.

    Examples
    --------
    >>> print(junit("s", "c", [("n", "3")], [Case("a"), Case("b", ("max", "2 > 1"))]), end="")
    <?xml version="1.0" encoding="UTF-8"?>
    <testsuite name="s" tests="2" failures="1" errors="0" skipped="0" time="0">
      <properties>
        <property name="n" value="3" />
      </properties>
      <testcase name="a" classname="c" time="0" />
      <testcase name="b" classname="c" time="0">
        <failure message="2 &gt; 1" type="max">2 &gt; 1</failure>
      </testcase>
    </testsuite>
    """
    failures = sum(case.failure is not None for case in cases)
    counts = {"tests": str(len(cases)), "failures": str(failures), "errors": "0", "skipped": "0", "time": "0"}
    root = ET.Element("testsuite", {"name": suite, **counts})
    properties = ET.SubElement(root, "properties")
    for name, value in facts:
        ET.SubElement(properties, "property", {"name": printable(name), "value": printable(value)})
    for case in cases:
        element = ET.SubElement(root, "testcase", {"name": printable(case.name), "classname": classname, "time": "0"})
        if case.failure is not None:
            kind, text = case.failure
            message = printable(text)
            ET.SubElement(element, "failure", {"message": message, "type": kind}).text = message
    ET.indent(root)
    return f'<?xml version="1.0" encoding="UTF-8"?>\n{ET.tostring(root, encoding="unicode")}\n'
