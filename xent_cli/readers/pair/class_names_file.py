"""The file that lists class names: one per line, numbered lines, JSON, or a table of numbers and names."""

from __future__ import annotations

import io
import json
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from xent_cli.errors import InputError, listing
from xent_cli.readers.pair.short_tables import (
    Pairs,
    ShortTable,
    as_text,
    is_json,
    parse_json,
    read_whole,
    short_table,
)
from xent_cli.readers.pair.short_tables import of_json as table_of_json
from xent_cli.readers.text.json_records import HALF
from xent_cli.readers.text.text_chunks import csv_reader

if TYPE_CHECKING:
    from collections.abc import Sequence

_NUMBERED = re.compile(r"\s*(\d+)(?:\s*[:=)]\s*|\s+)(.*\S)\s*", re.DOTALL)
_WHOLE = re.compile(r"\s*\d+\s*")
_NAME_WORDS = ("display_name", "class_name", "label_name", "name", "class", "label", "category", "text")
_NUMBER_WORDS = ("index", "idx", "class_id", "class_idx", "class_index", "label_id", "id", "number", "label", "class")
_AS_THEY_STAND = 'a JSON array, ["cat", "dog"], says names as they stand'


@dataclass(frozen=True, slots=True)
class ListedNames:
    """Names in the order of the classes.

    Fields
    ------
    names
        One name per class.
    said
        How numbers next to the names were understood, if the file leaves that open; else "".
    """

    names: tuple[str, ...]
    said: str = ""


def read_class_names(path: str, first: int = 0) -> ListedNames:
    """Read names of classes.

    Parameters
    ----------
    first
        Number of the first class, if names are numbered.

    Raises
    ------
    InputError
        If the file lists no names, a line is empty, a name occurs twice, or numbers are missing or repeated.
    """
    data = read_whole(path, "class names")
    if data.startswith(b"\x93NUMPY"):
        return _checked(path, [(name, f"{path} item {i}") for i, name in enumerate(_of_array(path, data))])
    if data.startswith((b"PAR1", b"ARROW1", b"\xff\xff\xff\xff")):
        return _of_table(short_table(path, data), first)
    text = as_text(path, data)
    if is_json(text):
        return _of_json(path, parse_json(path, text), first)
    lines = [line.removesuffix("\r").strip() for line in text.removesuffix("\n").split("\n")]
    empty = next((number for number, line in enumerate(lines, 1) if not line), None)
    if empty is not None:
        raise InputError("no class name", f"{path} line {empty}", found="an empty line", expected="one name a line")
    return _of_lines(path, lines, first)


def _of_lines(path: str, lines: list[str], first: int) -> ListedNames:
    table = _delimited(path, lines)
    if table is not None:
        return _of_table(table, first)
    places = [f"{path} line {number}" for number in range(1, len(lines) + 1)]
    found = [_NUMBERED.fullmatch(line) for line in lines]
    numbers = [int(match[1]) for match in found if match]
    if len(numbers) == len(lines):
        entries = [(int(match[1]), match[2], place) for match, place in zip(found, places, strict=True) if match]
        return _in_order(path, entries, first, said="the number before each name is taken for its class")
    among = len(set(numbers)) == len(numbers) and max(numbers, default=0) < len(lines) + first
    if 2 * len(numbers) > len(lines) and among:
        odd = next(place for match, place in zip(found, places, strict=True) if not match)
        line = lines[found.index(None)]
        raise InputError("class name without a number", odd, f'"{line}"', "a number, as before others", _AS_THEY_STAND)
    if all(len(line) > 2 and line[0] == line[-1] == '"' and '"' not in line[1:-1] for line in lines):
        lines = [line[1:-1] for line in lines]
    return _checked(path, list(zip(lines, places, strict=True)))


def _delimited(path: str, lines: list[str]) -> ShortTable | None:
    """Read lines as a table if each has a whole number in a cell; the first may be a header."""
    for mark in "\t;,":
        if not all(mark in line for line in lines):
            continue
        rows = list(csv_reader(io.StringIO("\n".join(lines)), delimiter=mark))
        if len(rows) != len(lines) or len({len(cells) for cells in rows}) != 1:
            continue
        body = rows[1:] or rows
        whole = [place for place in range(len(rows[0])) if all(_WHOLE.fullmatch(cells[place]) for cells in body)]
        if whole:
            places = tuple(f"line {number}" for number in range(1, len(rows) + 1))
            table = ShortTable(path, None, tuple(map(tuple, rows)), places)
            named = len(rows) > 1 and not any(_WHOLE.fullmatch(rows[0][place]) for place in whole)
            return table.headed() if named or (len(rows) > 1 and "" in rows[0]) else table
    return None


def _of_json(path: str, value: Any, first: int) -> ListedNames:
    if not isinstance(value, Pairs):
        if isinstance(value, list) and value and not any(isinstance(item, list | dict) for item in value):
            return _checked(
                path, [(_name(path, item, f"item {i}"), f"{path} item {i}") for i, item in enumerate(value)]
            )
        if isinstance(value, list) and value and all(isinstance(item, Pairs) for item in value):
            return _of_table(table_of_json(path, value), first)
        raise _no_names(path, "an array of something else" if value else "an empty array")
    maps = {key: held for key, held in value if key in ("id2label", "label2id") and isinstance(held, Pairs)}
    if "id2label" in maps:
        names = _of_pairs(path, maps["id2label"], first)
        turned = [(str(number), name) for name, number in maps.get("label2id", ())]
        if turned and _of_pairs(path, turned, first) != names:
            found = "other names or numbers in label2id than in id2label"
            raise InputError("names that contradict each other", path, found=found)
        return names
    if "label2id" in maps:
        return _of_pairs(path, [(str(number), name) for name, number in maps["label2id"]], first)
    if any(isinstance(held, list | dict | bool | float) or held is None for _, held in value):
        raise _no_names(path, f"an object with {listing([key for key, _ in value])}" if value else "an empty object")
    keys, values = [key for key, _ in value], [str(held) for _, held in value]
    numbered = all(map(_WHOLE.fullmatch, keys)), all(map(_WHOLE.fullmatch, values))
    if not any(numbered) or not value:
        raise _no_names(path, f"an object with {listing(keys)}" if value else "an empty object")
    if all(numbered) and sorted(value) != sorted((v, k) for k, v in value):
        hint = 'an array, ["cat", "dog"], leaves one reading'
        raise InputError("two readings of class names", path, "numbers for names of numbers", "names of text", hint)
    return _of_pairs(
        path, list(zip(keys, values, strict=True) if numbered[0] else zip(values, keys, strict=True)), first
    )


def _no_names(path: str, found: str) -> InputError:
    expected = '{"0": "cat", "1": "dog"}, ["cat", "dog"], or an object with id2label'
    return InputError("no class names", path, found=found, expected=expected)


def _of_pairs(path: str, pairs: Sequence[tuple[str, Any]], first: int) -> ListedNames:
    entries = []
    for key, held in pairs:
        if not _WHOLE.fullmatch(key):
            raise InputError("no class number", path, found=f'"{key}"', expected="the number of a class")
        entries.append((int(key), _name(path, held, f'key "{key}"'), f'{path} key "{key}"'))
    return _in_order(path, entries, first)


def _name(path: str, value: Any, place: str) -> str:
    if isinstance(value, str) or (isinstance(value, int) and not isinstance(value, bool)):
        return str(value).strip()
    found = "null" if value is None else f"{type(value).__name__} {value}"
    raise InputError("no class name", f"{path} {place}", found=found, expected="a name")


def _of_table(table: ShortTable, first: int) -> ListedNames:
    """Read a table of names with numbers, or of names alone."""
    width = table.width
    words = [re.sub(r"[\W_]+", "_", name.strip().lower()) for name in table.names or [""] * width]
    whole = [
        place
        for place in range(width)
        if all(cell is not None and _WHOLE.fullmatch(cell) for cell in table.column(place))
    ]
    right = [place for place in whole if sorted(int(c or 0) for c in table.column(place)) == _wanted(table, first)]
    texts = [place for place in range(width) if place not in whole]
    numbers = (
        right if len(right) == 1 else [p for word in _NUMBER_WORDS for p in whole if words[p] == word][:1] or whole
    )
    if width > 1 and len(numbers) == 1:
        texts = texts or [place for place in range(width) if place not in numbers]
    if len(texts) > 1:
        texts = [place for word in _NAME_WORDS for place in texts if words[place] == word][:1]
    if len(texts) != 1 or len(numbers) > 1:
        found = f"columns {listing(table.names)}" if table.names else f"{width} columns"
        expected = 'a column "index" of numbers and one "name" of names'
        raise InputError("which column holds the class names?", table.path, found, expected, _AS_THEY_STAND)
    cells = table.column(texts[0])
    lacking = next((row for row, cell in enumerate(cells) if not (cell or "").strip()), None)
    if lacking is not None:
        raise InputError("no class name", table.where(lacking), found="an empty cell", expected="a name")
    names = [(cell or "").strip() for cell in cells]
    if not numbers:
        return _checked(table.path, [(name, table.where(row)) for row, name in enumerate(names)])
    keys = [int(cell or 0) for cell in table.column(numbers[0])]
    entries = [(key, name, table.where(row)) for row, (key, name) in enumerate(zip(keys, names, strict=True))]
    columns = f'"{table.names[numbers[0]]}" and "{table.names[texts[0]]}"' if table.names else ""
    said = f"taken from columns {columns}" if columns and width > 2 else "the number beside each name is its class"
    return _in_order(table.path, entries, first, said=said if table.names is None or width > 2 else "")


def _wanted(table: ShortTable, first: int) -> list[int]:
    return list(range(first, first + len(table.rows)))


def _in_order(path: str, entries: Sequence[tuple[int, str, str]], first: int, said: str = "") -> ListedNames:
    """Put names in the order of their numbers."""
    seen: dict[int, str] = {}
    for number, _, where in entries:
        if number in seen:
            found = f"{number}, as in {seen[number].removeprefix(path).strip()}"
            raise InputError("class number given twice", where, found, "each number once", said and _AS_THEY_STAND)
        seen[number] = where
    last = first + len(entries) - 1
    lacking = [number for number in range(first, last + 1) if number not in seen]
    if lacking:
        more = f" and {len(lacking) - 1} more" if len(lacking) > 1 else ""
        hint = said and _AS_THEY_STAND
        if min(seen) == first + 1 and max(seen) == last + 1:
            hint = f"--first-class {first + 1} says that classes are numbered from {first + 1}" + (
                f"; {_AS_THEY_STAND}" if said else ""
            )
        found = f"numbers {min(seen)} to {max(seen)}, without {lacking[0]}{more}"
        raise InputError("class numbers missing", path, found, f"{first} to {last}, for {len(entries)} names", hint)
    ordered = sorted(entries)
    return _checked(path, [(name, where) for _, name, where in ordered], said)


def _checked(path: str, names: Sequence[tuple[str, str]], said: str = "") -> ListedNames:
    seen: dict[str, str] = {}
    for name, where in names:
        if not name:
            raise InputError("no class name", where, found="nothing", expected="a name")
        if HALF.search(name):
            raise InputError("half of a character in a class name", where, found=json.dumps(name), expected="text")
        if name in seen:
            found = f'"{name}", as on {seen[name].removeprefix(path).strip()}'
            raise InputError("class name given twice", where, found=found)
        seen[name] = where
    said = said and f'class names in {path}: {said} (class 0 is "{names[0][0]}")'
    return ListedNames(tuple(seen), said)


def _of_array(path: str, data: bytes) -> list[str]:
    expected = "an array [k] of text, or one name a line"
    try:
        array = np.load(io.BytesIO(data), allow_pickle=False)
    except ValueError as error:
        found = "Python objects" if "allow_pickle" in str(error) else "a damaged .npy file"
        raise InputError("no class names", path, found=found, expected=expected) from None
    if array.dtype.kind not in "US" or array.ndim != 1:
        found = f"an array of {array.dtype.name} of shape {array.shape}"
        raise InputError("no class names", path, found=found, expected=expected)
    return [word.decode("utf-8", "backslashreplace") if isinstance(word, bytes) else str(word) for word in array]
