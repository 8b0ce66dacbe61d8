"""Workflow commands, which GitHub shows as annotations on a run."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from xent_cli.core.diagnostics import notes_of, warnings_of
from xent_cli.errors import printable

if TYPE_CHECKING:
    from xent_cli.reports.interface import Document

# GitHub drops further annotations of a step.
_MOST = 10


def render(document: Document) -> str:
    """Return an error per failed check and a warning or notice per diagnostic, at most ten, and the number left out.

    No other line that is printed may begin with ``::``.
    """
    failed = [("error", "xent check", entry["message"]) for entry in document.checks or () if not entry["passed"]]
    remarks = (*warnings_of(document.diagnostics), *notes_of(document.diagnostics))
    annotations = [*failed, *(("notice" if f.note else "warning", f"xent: {f.code}", f.message) for f in remarks)]
    lines = [f"::{level} title={_property(title)}::{_data(message)}\n" for level, title, message in annotations[:_MOST]]
    if len(annotations) > _MOST:
        lines.append(f"{len(annotations) - _MOST} more annotations left out\n")
    return "".join(lines)


def _data(text: str) -> str:
    r"""Escape characters that end a command.

    Examples
    --------
    >>> _data("100%\nsure")
    '100%25%0Asure'
    """
    lines = (printable(line) for line in re.split(r"\r\n|\r|\n", text))
    return "%0A".join(line.replace("%", "%25") for line in lines)


def _property(text: str) -> str:
    """Escape characters that end a command or a property.

    Examples
    --------
    >>> _property("a: b, c")
    'a%3A b%2C c'
    """
    return _data(text).replace(":", "%3A").replace(",", "%2C")
