"""The summary document, in the forms people and programs read."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO

from xent_cli.errors import UsageError

if TYPE_CHECKING:
    from xent_cli.reports.interface import Document

# Each is a suffix, and a prefix that stands in for one.
FORMATS = ("json", "md", "xml")


def format_of(text: str) -> tuple[str, str]:
    """Form and path of a report, as its suffix says or, before a colon, the user.

    Examples
    --------
    >>> format_of("out/summary.md"), format_of("md:out/summary")
    (('md', 'out/summary.md'), ('md', 'out/summary'))
    """
    name, colon, path = text.partition(":")
    if not colon or name not in FORMATS:
        name, path = Path(text).suffix.lower()[1:], text
    if name not in FORMATS or not path:
        told = f"--report {text}: the suffix says the form, and must be one of .{', .'.join(FORMATS)}"
        raise UsageError(told, hint=f"or say it: --report md:{path}" if path else "")
    return name, path


def write(name: str, document: Document, stream: BinaryIO) -> None:
    """Write the document in the form of that name."""
    stream.write(_text(name, document).encode())


def _text(name: str, document: Document) -> str:
    if name == "json":
        from xent_cli.reports import json

        return json.dumps(document)
    if name == "md":
        from xent_cli.reports import markdown

        return markdown.render(document)
    from xent_cli.reports import junit

    return junit.render(document)
