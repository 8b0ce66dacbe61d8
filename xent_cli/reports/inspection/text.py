"""The document of `xent inspect` as lines of `name<TAB>value`, or as tables on a terminal."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from xent_cli.core.number_text import shape_text, spell
from xent_cli.errors import printable

if TYPE_CHECKING:
    from collections.abc import Iterator

    from rich.console import Console

# How many columns, arrays, shards and labels are shown; -f json lists more.
_SHOWN = 8
# How many columns that are not classes are shown.
_MOST_OTHERS = 100

# The narrowest that a column of values may be beside whole names, with the blanks around it.
_FEWEST_OF_A_VALUE = 24

_HEADERS = ("role", "format", "shape", "dtype", "layout", "compression", "size_bytes")


def plain_inspection(document: dict[str, Any]) -> str:
    """Return each figure on a line of its own, at full precision."""
    return "".join(f"{name}\t{value}\n" for group in _groups(document) for name, value in group)


def print_inspection(console: Console, document: dict[str, Any]) -> None:
    """Print a table per file and one for the pair; the command line is on a line of its own, to be copied."""
    from rich import box
    from rich.cells import cell_len
    from rich.markup import escape
    from rich.table import Table

    for group in _groups({**document, "command": None, "readings": []}):
        table = Table(box=box.SIMPLE_HEAD, pad_edge=False)
        (name, value), *rest = group
        longest = max(cell_len(cells[0]) for cells in group)
        # Names are whole, unless that leaves no room for values.
        whole = longest + _FEWEST_OF_A_VALUE <= console.width
        table.add_column(escape(name), overflow="fold", no_wrap=whole)
        table.add_column(escape(value), overflow="fold")
        for cells in rest:
            table.add_row(*(escape(cell) for cell in cells))
        console.print(table)
    for command in _commands(document):
        console.print(escape(printable(command)), soft_wrap=True)


def _commands(document: dict[str, Any]) -> list[str]:
    """Return the command to run, or one for each way to read the table."""
    return document["readings"] if document["command"] is None else [document["command"]]


def _groups(document: dict[str, Any]) -> Iterator[list[tuple[str, str]]]:
    for file in document["files"]:
        yield list(_file(file))
    pair = document["pair"]
    if pair is not None:
        rows = [("pair", f"{printable(pair['logits'])} with {printable(pair['labels'])}")]
        shown = ("label_form", "named_labels", "class_axis", "num_classes", "n_samples")
        yield rows + [(name, _text(pair[name])) for name in shown if pair[name] is not None]
    commands = _commands(document)
    if commands:
        yield [("command", printable(command)) for command in commands]


def _file(file: dict[str, Any]) -> Iterator[tuple[str, str]]:
    yield "file", printable(file["path"])
    for name in _HEADERS:
        if file[name] is not None:
            yield name, _text(file[name])
    if file["shards"]:
        first, last = file["shards"][0], file["shards"][-1]
        yield "shards", f"{len(file['shards'])}, from {printable(first)} to {printable(last)}"
    for kind in ("array", "column"):
        entries = file[f"{kind}s"]
        if len(entries) > _SHOWN:
            # Entries that are not classes come first, because each tells more than one class of many.
            entries = sorted(entries, key=lambda entry: entry["role"] == "logits")
        most = max(_SHOWN, min(_MOST_OTHERS, 1 + sum(entry["role"] != "logits" for entry in entries)))
        most += len(entries) == most + 1  # a line that says "1 more" could name it instead
        for entry in entries[:most]:
            shape = _text(entry["shape"]) if "shape" in entry else ""
            unused = f"not used ({entry['reason']})" if entry.get("reason") else "not used"
            parts = (entry["name"], entry["dtype"], shape, entry["role"] or unused)
            yield kind, " ".join(printable(part) for part in parts if part)
        if len(entries) > most:
            last = entries[-1]
            role = " " + last["role"] if last["role"] else ""
            yield kind, f"and {len(entries) - most} more, to {printable(last['name'])}{role}"
    for part, figures in (file["values"] or {}).items():
        for name, value in figures.items():
            if name != "most_frequent":
                yield f"{part}_{name}", _text(value)
        yield from _histogram(figures)


def _histogram(figures: dict[str, Any]) -> Iterator[tuple[str, str]]:
    often = figures.get("most_frequent", ())
    for entry in often[:_SHOWN]:
        name = f" {printable(entry['name'])}" if "name" in entry else ""
        yield f"label_{entry['label']}", f"{entry['count']}{name}"
    if often and figures["distinct"] > _SHOWN:
        yield "label", f"and {figures['distinct'] - _SHOWN} more"


def _text(value: Any) -> str:
    r"""Write a value as text.

    Examples
    --------
    >>> _text([3, None]), _text(0.5), _text(True)
    ('(3, n)', '0.5', 'true')
    """
    if isinstance(value, list):
        return shape_text(value)
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, float):
        return spell(value)
    return "" if value is None else printable(str(value))
