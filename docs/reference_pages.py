"""The pages of the reference that are generated: commands from their options, fields from their schemas.

MkDocs calls `on_files` (`hooks` in mkdocs.yml).
"""

from __future__ import annotations

import html
import json
import re
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click
from mkdocs.structure.files import File

from xent_cli.cli import cli

if TYPE_CHECKING:
    from collections.abc import Iterator

    from mkdocs.config.defaults import MkDocsConfig
    from mkdocs.structure.files import Files

ROOT = Path(__file__).parents[1]
DOCUMENTS = {
    "The summary document": "summary/summary",
    "The comparison document": "comparison/comparison",
    "The verification document": "agreement/verify",
    "The calibration document": "calibration/calibration",
}


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """Add the generated pages to the site."""
    pages = {
        "reference/commands.md": "\n".join(commands()),
        "reference/fields.md": "\n".join(fields()),
        "design.md": design(),
    }
    for path, content in pages.items():
        files.append(File.generated(config, path, content=content))
    return files


def commands() -> Iterator[str]:
    """Write each command with its options by section, in the words of `--help`."""
    yield "# Commands\n"
    with cli.make_context("xent", [], resilient_parsing=True) as top:
        for name in cli.list_commands(top):
            command: Any = cli.get_command(top, name)
            with click.Context(command, info_name=name, parent=top) as context:
                yield f"## xent {name}\n\n```\n{context.get_usage()}\n```\n"
                yield _prose(command.help)
                for title, options in command.sections(context).items():
                    anchor = f"{name}-{title.lower().replace(' ', '-')}"
                    yield f"\n### {title} {{ #{anchor} }}\n\n| option | what it does |\n|---|---|"
                    for option in options:
                        names, text = option.get_help_record(context)
                        yield f"| <code>{html.escape(names).replace('|', '&#124;')}</code> | {_escaped(_cell(text))} |"
                yield "\n### Examples {{ #{}-examples }}\n\n```\n{}\n```\n".format(name, "\n".join(command.examples))


def fields() -> Iterator[str]:
    """Write the fields of every JSON document, in the words of its schema."""
    yield "# Fields of JSON documents\n"
    for title, path in DOCUMENTS.items():
        schema = json.loads((ROOT / "xent_cli" / "reports" / f"{path}.schema.json").read_text("utf-8"))
        yield f"## {title}\n\n{_escaped(schema.get('description', ''))}\n"
        yield from _table(schema)
        for name, definition in schema.get("$defs", {}).items():
            if "properties" in definition:
                anchor = f"{path.split('/')[0]}-{name}"
                yield f"\n### {name} {{ #{anchor} }}\n\n{_escaped(definition.get('description', ''))}\n"
                yield from _table(definition)


def design() -> str:
    """Return ARCHITECTURE.md as a page."""
    return (ROOT / "ARCHITECTURE.md").read_text("utf-8").replace("# Architecture", "# Design", 1)


def _table(definition: dict[str, Any]) -> Iterator[str]:
    required = definition.get("required", ())
    yield "| field | type | always there | meaning |\n|---|---|---|---|"
    for name, entry in definition["properties"].items():
        shown = _escaped(_cell(entry.get("description", "")))
        yield f"| `{name}` | {_type(entry)} | {'yes' if name in required else ''} | {shown} |"


def _type(entry: dict[str, Any]) -> str:
    if "$ref" in entry:
        return str(entry["$ref"]).rsplit("/", 1)[-1]
    if "enum" in entry:
        return " or ".join(f"`{json.dumps(value)}`" for value in entry["enum"])
    if "const" in entry:
        return f"`{json.dumps(entry['const'])}`"
    if "oneOf" in entry or "anyOf" in entry:
        return " or ".join(dict.fromkeys(map(_type, entry.get("oneOf") or entry["anyOf"])))
    kind = entry.get("type", "any")
    text = " or ".join(kind) if isinstance(kind, list) else str(kind)
    return f"{text} of {_type(entry['items'])}" if "items" in entry else text


def _prose(help_text: str) -> str:
    r"""Return help as Markdown; a paragraph that begins with \b keeps its lines."""
    paragraphs = re.sub(r"[ \t]*\n[ \t]*", "\n", help_text.strip()).split("\n\n")
    return "\n\n".join(f"```\n{p[2:].strip()}\n```" if p.startswith("\b") else _escaped(p) for p in paragraphs)


def _cell(text: str) -> str:
    return " ".join(text.split()).replace("|", "\\|")


def _escaped(text: str) -> str:
    return re.sub(r"([<>*_])", r"\\\1", text)
