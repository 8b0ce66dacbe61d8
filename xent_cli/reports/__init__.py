"""The summary document in each form that people and programs read."""

from __future__ import annotations

from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO, Literal

from xent_cli.errors import UsageError, XentError

if TYPE_CHECKING:
    from xent_cli.reports.interface import Document

# Each is a suffix, and also a prefix for paths without that suffix, as in md:FILE.
FORMATS = ("json", "md", "html", "xml")
PICTURES = ("svg", "png")
_NEEDS = {
    "summary.html": "a page needs jinja2 and matplotlib",
    "summary.plot": "a plot needs matplotlib",
    "comparison.html": "a page needs jinja2",
}


def format_of(text: str) -> tuple[str, str]:
    """Return the form and the path of a report; its suffix names the form, or else a prefix and a colon.

    Examples
    --------
    >>> format_of("out/summary.md"), format_of("md:out/summary")
    (('md', 'out/summary.md'), ('md', 'out/summary'))
    """
    name, colon, path = text.partition(":")
    if not colon or name not in FORMATS:
        name, path = Path(text).suffix.lower()[1:], text
    if name not in FORMATS or not path:
        problem = f"--report {text}: the suffix names the format, and must be one of .{', .'.join(FORMATS)}"
        raise UsageError(problem, hint=f"or name it: --report md:{path}" if path else "")
    return name, path


def write(name: str, document: Document, stream: BinaryIO) -> None:
    """Write the document in the form of that name."""
    stream.write(_text(name, document).encode())


def plot_form(path: str) -> str:
    """Return the form of a picture, which is its suffix."""
    form = Path(path).suffix.lower()[1:]
    if form not in PICTURES:
        problem = f"--plot {path}: the suffix names the format, and must be one of .{', .'.join(PICTURES)}"
        raise UsageError(problem, hint="for example --plot losses.svg")
    return form


def load(report: Literal["summary.html", "summary.plot", "comparison.html"]) -> None:
    """Import a report's libraries before any work, or raise an error that names the extra to install."""
    try:
        import_module(f"xent_cli.reports.{report}")
    except ModuleNotFoundError as error:
        from xent_cli.extras import install_line

        # markupsafe comes with jinja2, and is imported first.
        missing = "jinja2" if error.name == "markupsafe" else error.name
        raise XentError(_NEEDS[report], found=f"no {missing}", hint=install_line("report")) from None


def _text(name: str, document: Document) -> str:
    if name == "json":
        from xent_cli.reports.strict_json import json_text
        from xent_cli.reports.summary import json

        return json_text(json.as_json(document))
    if name == "md":
        from xent_cli.reports.summary import markdown

        return markdown.render(document)
    if name == "html":
        from xent_cli.reports.summary import html

        return html.render(document)
    from xent_cli.reports.summary import junit

    return junit.render(document)
