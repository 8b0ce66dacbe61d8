"""Parse lines of JSON in Python: the first ones, which give the keys, and bad ones."""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING, Any

from xent_cli.errors import InputError
from xent_cli.readers.storage.reading import BOM
from xent_cli.readers.text.text_chunks import LONGEST_LINE, too_long

if TYPE_CHECKING:
    from xent_cli.readers.storage.interface import Bytes
    from xent_cli.readers.text.json_reshape import Reshape

_SNIFF_BYTES = 1 << 20
SNIFFED_LINES = 32
_SHOWN = 40


def first_rows(source: Bytes) -> tuple[list[Any], int]:
    """Parse the first lines; also return where they begin."""
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
    rows = []
    for number, line in enumerate(lines[:SNIFFED_LINES], 1):
        if line.strip():
            row = row_of(line, f"{source.name} line {number}")
            if not isinstance(row, InputError):
                rows.append(row)
            elif not rows:
                raise row
    if not rows:
        raise InputError("empty file", source.name, "no lines", '{"logits": [0.1, 2.5], "label": 1}')
    return rows, body


def row_of(text: bytes, where: str) -> Any | InputError:
    """Parse one line, or return what is wrong with it."""
    try:
        return json.loads(text)
    except (ValueError, RecursionError) as error:
        begins = text.strip()[:_SHOWN].decode(errors="replace")
        reason = "nested too deep"
        if isinstance(error, json.JSONDecodeError):
            said = error.msg.removesuffix(" starting at")
            reason = f"{said[:1].lower()}{said[1:]}, column {error.colno}"
        elif isinstance(error, ValueError):  # which Python raises at thousands of digits, and for bytes
            reason = str(error)
        return InputError("not a JSON object", where, f"{begins} ({reason})", "one object a line")


def strict_record_of(text: bytes, where: str, reshape: Reshape) -> dict[str, Any] | InputError:
    """Parse one line into a flat object, as strictly as Arrow does, or return what is wrong with it.

    Examples
    --------
    >>> from xent_cli.readers.text.json_reshape import NO_RESHAPE
    >>> print(strict_record_of(b'{"a": 1, "a": 2}', "f.jsonl line 1", NO_RESHAPE))
    not a JSON object
      f.jsonl line 1: found two values for "a", expected one object a line
    """
    try:
        row = _STRICT.decode(text.decode())
    except UnicodeDecodeError as error:
        found = f"bytes that are not UTF-8: {text[error.start : error.start + 4]!r}"
        return InputError("not a JSON object", where, found, "UTF-8 text", "save it as UTF-8: iconv -f latin1 -t utf-8")
    except _StrangeError as error:
        return InputError("not a JSON object", where, str(error), "one object a line")
    except (ValueError, RecursionError):
        row = row_of(text, where)
    if isinstance(row, InputError):
        return row
    record = reshape.record(row)
    return InputError("not a JSON object", where, shown(row), "an object") if record is None else record


class _StrangeError(ValueError):
    """Something in a line that Python would accept, and Arrow does not."""


def _finite(text: str) -> float:
    if abs(value := float(text)) == float("inf"):
        raise _StrangeError(f"{text[:_SHOWN]}, a number beyond float64")
    return value


def _pairs(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    record = dict(pairs)
    if len(record) < len(pairs):
        seen: set[str] = set()
        twice = next(key for key, _ in pairs if key in seen or seen.add(key))  # type: ignore[func-returns-value]
        raise _StrangeError(f"two values for {json.dumps(twice)}")
    for key, value in pairs:
        for word in (key, value):
            if isinstance(word, str) and HALF.search(word):
                raise _StrangeError(f"half of a character in {json.dumps(word)[:_SHOWN]}")
    return record


# Half of a surrogate pair on its own.
HALF = re.compile("[\ud800-\udfff]")
_STRICT = json.JSONDecoder(parse_float=_finite, object_pairs_hook=_pairs)


def is_number(value: object) -> bool:
    """Whether it is a number of JSON; true and false are not."""
    return isinstance(value, (int, float)) and not isinstance(value, bool)


def shown(value: object) -> str:
    """Write a value as JSON, or the beginning of it."""
    text = json.dumps(value)
    return text if len(text) <= _SHOWN else f"{text[:_SHOWN]}..."
