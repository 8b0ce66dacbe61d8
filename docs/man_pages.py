"""Writes a man page for each command from its `--help`: `python docs/man_pages.py`."""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from xent_cli import __version__
from xent_cli.cli import cli

if TYPE_CHECKING:
    from collections.abc import Iterator

FOLDER = Path(__file__).parents[1] / "man"
EXIT_CODES = {
    0: "Done; all checks hold.",
    1: "A limit of check does not hold, or verify found a difference.",
    2: "Usage: an option is unknown, out of range or without meaning here.",
    3: "No answer: unreadable or invalid input, an impossible comparison, a missing package, an output not writable.",
    4: "A bug in xent.",
    130: "Interrupted.",
}


def pages() -> dict[str, str]:
    """Return the text of each man page by its file name, such as xent-compute.1."""
    found = {}
    with cli.make_context("xent", [], resilient_parsing=True, max_content_width=80) as top:
        names = cli.list_commands(top)
        found["xent.1"] = "\n".join(_page(top, "xent", cli, [f"xent-{name}" for name in names]))
        for name in names:
            command = cli.get_command(top, name)
            with click.Context(command, info_name=name, parent=top) as context:
                found[f"xent-{name}.1"] = "\n".join(_page(context, f"xent-{name}", command, ["xent"]))
    return found


def _page(context: click.Context, name: str, command: Any, others: list[str]) -> Iterator[str]:
    summary = command.get_short_help_str(200).rstrip(".")
    yield f'.TH "{name.upper()}" "1" "" "xent {__version__}" "User Commands"'
    yield f".SH NAME\n{_roff(name)} \\- {_roff(summary[:1].lower() + summary[1:])}"
    usage = context.get_usage().removeprefix("Usage: ")
    yield f".SH SYNOPSIS\n{_roff(' '.join(usage.split()))}"
    yield f".SH DESCRIPTION\n{_prose(command.help)}"
    sections = command.sections(context) if hasattr(command, "sections") else {"Options": command.get_params(context)}
    for title, options in sections.items():
        yield f".SH {title.upper()}"
        for option in options:
            names, text = option.get_help_record(context)
            yield f".TP\n\\fB{_roff(names)}\\fR\n{_roff(' '.join(text.split()))}"
    if examples := getattr(command, "examples", ()):
        yield ".SH EXAMPLES\n.nf\n{}\n.fi".format("\n".join(map(_roff, examples)))
    yield ".SH EXIT STATUS"
    for code, meaning in EXIT_CODES.items():
        yield f".TP\n\\fB{code}\\fR\n{_roff(meaning)}"
    yield ".SH SEE ALSO\n" + ", ".join(f"\\fB{_roff(other)}\\fR(1)" for other in others)
    yield ""


def _prose(text: str) -> str:
    paragraphs = re.sub(r"[ \t]*\n[ \t]*", "\n", text.strip()).split("\n\n")
    return "\n.PP\n".join(
        f".nf\n{_roff(p[1:].strip())}\n.fi" if p.startswith("\b") else _roff(" ".join(p.split())) for p in paragraphs
    )


def _roff(text: str) -> str:
    r"""Escape text for roff: a backslash, a hyphen that is copied, and a line that would begin with a command.

    Examples
    --------
    >>> print(_roff("-q\n.npy"))
    \-q
    \&.npy
    """
    escaped = text.replace("\\", "\\e").replace("-", "\\-")
    return re.sub(r"^(?=[.'])", r"\\&", escaped, flags=re.MULTILINE)


def main() -> None:
    """Write all pages, and remove those of commands that are gone."""
    FOLDER.mkdir(exist_ok=True)
    found = pages()
    for path in FOLDER.glob("*.1"):
        if path.name not in found:
            path.unlink()
    for name, text in found.items():
        (FOLDER / name).write_text(text, "utf-8")


if __name__ == "__main__":
    main()
