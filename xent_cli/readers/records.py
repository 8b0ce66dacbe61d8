"""Lines of JSON as Python has them: the first ones, which tell the keys, and those in which something is wrong."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from xent_cli.errors import InputError
from xent_cli.readers.pieces import LONGEST_LINE, too_long
from xent_cli.readers.storage import BOM

if TYPE_CHECKING:
    from xent_cli.readers.storage import Bytes

_SNIFF_BYTES = 1 << 20
_SNIFF_LINES = 32
_SHOWN = 40


def first_records(source: Bytes) -> tuple[list[dict[str, Any]], int]:
    """Parse the first lines; also say where they begin."""
    size = _SNIFF_BYTES
    head = source.peek(size)
    while len(head) == size and b"\n" not in head.strip():
        if size >= LONGEST_LINE:
            raise too_long(source.name, head, 0)
        size *= 2
        head = source.peek(size)
    body = len(BOM) if head.startswith(BOM) else 0
    lines = head[body:].split(b"\n")
    lines = lines[:-1] if len(head) == size and len(lines) > 1 else lines
    records = []
    for number, line in enumerate(lines[:_SNIFF_LINES], 1):
        if line.strip():
            record = record_of(line, f"{source.name} line {number}")
            if not isinstance(record, InputError):
                records.append(record)
            elif not records:
                raise record
    if not records:
        raise InputError("empty file", source.name, "no lines", '{"logits": [0.1, 2.5], "label": 1}')
    return records, body


def record_of(text: bytes, where: str) -> dict[str, Any] | InputError:
    """One line as Python has it, or what is wrong with it."""
    try:
        record = json.loads(text)
    except (ValueError, RecursionError) as error:
        begins = text.strip()[:_SHOWN].decode(errors="replace")
        reason = "nested too deep" if isinstance(error, RecursionError) else str(error)
        return InputError("not a JSON object", where, f"{begins} ({reason})", "one object a line")
    return record if isinstance(record, dict) else InputError("not a JSON object", where, shown(record), "an object")


def kind_of_value(value: object) -> str:
    """What a key can serve as: "number", "list" (of numbers) or "other"."""
    if isinstance(value, list):
        return "list" if value and all(item is None or is_number(item) for item in value) else "other"
    return "number" if is_number(value) else "other"


def is_number(value: object) -> bool:
    """Whether it is a number of JSON; true and false are not."""
    return isinstance(value, (int, float)) and not isinstance(value, bool)


def shown(value: object) -> str:
    """The value as JSON, or how it begins."""
    text = json.dumps(value)
    return text if len(text) <= _SHOWN else f"{text[:_SHOWN]}..."
