"""The rows of a table in one JSON document, in the forms that programs write."""

from __future__ import annotations

import json
import math
import re
from typing import TYPE_CHECKING, Any

from xent_cli.errors import InputError, listing
from xent_cli.readers.columns.cells.named_scores import scores_by_name
from xent_cli.readers.columns.roles import role_named
from xent_cli.readers.columns.words import LABEL, LISTS, plain_name
from xent_cli.readers.top_k_rows import INDICES, VALUES

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

_LIST_NAMES = frozenset(name for _, names in LISTS for name in names)
# The name that pandas and Arrow use for an index without one, so that files of both can be compared.
_INDEX = "__index_level_0__"
_DIGITS_OF_FLOAT64 = 308
_EXPECTED = 'records, columns of one length, or an object such as {"logits": [[0.1, 2.5]], "labels": [1]}'


def parse_document(name: str, text: str) -> Any:
    """A parsed document; a list for several concatenated documents.

    Raises
    ------
    InputError
        If it is not JSON, an object has a key twice, or a number is beyond float64.
    """
    decoder = json.JSONDecoder(parse_float=_finite, parse_int=_whole, object_pairs_hook=_unique)
    found, place, end = [], _after_blanks(text, 0), len(text)
    while place < end:
        try:
            value, place = decoder.raw_decode(text, place)
        except json.JSONDecodeError as error:
            where = f"{name} line {error.lineno}, column {error.colno}"
            shown = text[error.pos : error.pos + 20].split("\n")[0]
            found_there = f"{shown!r} ({error.msg[0].lower()}{error.msg[1:]})" if shown else "the end of the file"
            raise InputError("not JSON", where, found_there, "one whole document") from None
        except _RepeatedKeyError as error:
            raise InputError("not JSON", name, f"two values for {json.dumps(str(error))}", "each key once") from None
        except _BeyondFloatError as error:
            raise InputError("not JSON", name, f"{error}, a number beyond float64", "numbers of float64") from None
        except ValueError:  # Python raises it for thousands of digits
            raise InputError("not JSON", name, "a number of too many digits", "numbers of float64") from None
        except RecursionError:
            raise InputError("not JSON", name, "brackets nested too deep", "one whole document") from None
        found.append(value)
        place = _after_blanks(text, place)
    return found[0] if len(found) == 1 else found


class _BeyondFloatError(Exception):
    """A number beyond float64."""


class _RepeatedKeyError(Exception):
    """A key that occurs twice in one object."""


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    record = dict(pairs)
    if len(record) < len(pairs):
        seen: set[str] = set()
        for key, _ in pairs:
            if key in seen:
                raise _RepeatedKeyError(key)
            seen.add(key)
    return record


def _after_blanks(text: str, place: int) -> int:
    while place < len(text) and text[place] in " \t\r\n":
        place += 1
    return place


def text_of(value: Any) -> str:
    """Write a value as JSON; a number as the shortest text that reads back the same."""
    return json.dumps(value)


def _finite(text: str) -> float:
    value = float(text)
    if value in (math.inf, -math.inf):
        raise _BeyondFloatError(text[:40])
    return value


def _whole(text: str) -> int:
    if len(text) > _DIGITS_OF_FLOAT64:
        _finite(text)
    return int(text)


def is_one_record(value: Mapping[str, Any]) -> bool:
    """Whether an object is one row rather than a table of them.

    Examples
    --------
    >>> is_one_record({"logits": [0.1, 2.5], "label": 1}), is_one_record({"cat": [0.1, 2.5], "label": [1, 0]})
    (True, False)
    """
    if _lists_the_highest(value):
        return True
    lists = {key: held for key, held in value.items() if isinstance(held, list)}
    dicts = [held for held in value.values() if isinstance(held, dict)]
    if any(_is_deep(held) for held in lists.values()):
        # One score for each class is one row; a number next to the scores is its label.
        return any(role_named(key) == LABEL and not isinstance(held, list | dict) for key, held in value.items())
    if not lists:
        return not dicts or len(dicts) < len(value)
    beside = any(role_named(key) == LABEL and not isinstance(held, list) for key, held in value.items())
    return beside or bool(dicts) or any(plain_name(key) in _LIST_NAMES for key in lists)


def _lists_the_highest(value: Mapping[str, Any]) -> bool:
    """Whether an object lists the highest classes of one row; such lists are not the columns of a table."""
    names = {plain_name(key): held for key, held in value.items()}
    flat = {name for name, held in names.items() if isinstance(held, list) and held and not _is_deep(held)}
    if flat & INDICES and flat & VALUES:
        return True
    tops = [held for name, held in names.items() if name in VALUES and "top" in name]
    return any(scores_by_name(held) is not None if isinstance(held, list) else _is_map(held) for held in tops if held)


def _is_map(value: Any) -> bool:
    return isinstance(value, dict) and all(isinstance(held, int | float) for held in value.values())


def rows_of_document(name: str, value: Any) -> Iterable[Any]:
    """Return the rows of a document: objects, or lists and single values if it names no columns.

    Raises
    ------
    InputError
        If the document holds no table, or can be read in two ways.
    """
    if isinstance(value, list):
        return value
    if not isinstance(value, dict):
        raise InputError("no table", name, f"the JSON value {text_of(value)[:40]}", _EXPECTED)
    columns, data = value.get("columns"), value.get("data")
    if isinstance(columns, list) and isinstance(data, list):
        return _of_split(name, columns, data, value.get("index"))
    if isinstance(value.get("schema"), dict) and isinstance(data, list):
        return data
    outputs = value.get("outputs")
    if isinstance(outputs, list) and outputs and all(map(_is_shaped, outputs)):
        return _of_columns(name, {str(each["name"]): _shaped(name, each) for each in outputs})
    if (
        len(value) == 1
        and isinstance(only := next(iter(value.values())), dict)
        and any(isinstance(held, list | dict) for held in only.values())
    ):
        return rows_of_document(name, only)
    if is_one_record(value):
        return [value]
    if not any(isinstance(held, list) for held in value.values()):
        return _of_frame(name, value)
    return _of_columns(name, {key: held for key, held in value.items() if isinstance(held, list | dict)})


def _is_deep(values: list[Any]) -> bool:
    return bool(values) and isinstance(values[0], list | dict)


def _of_split(name: str, columns: list[Any], data: list[Any], index: Any) -> Iterator[dict[str, Any]]:
    """Read rows next to the names of the columns: orient="split" of pandas, tables of W&B and MLflow."""
    names = [column if isinstance(column, str) else text_of(column) for column in columns]
    if len(set(names)) < len(names):
        raise InputError("two columns of one name", name, listing(names), "each name once")
    keeps = isinstance(index, list) and len(index) == len(data)
    numbers = [{_INDEX: key} for key in index] if keeps else [{}] * len(data)
    for row, cells in enumerate(data):
        if not isinstance(cells, list) or len(cells) != len(names):
            found = f"{len(cells)} values" if isinstance(cells, list) else text_of(cells)[:40]
            raise InputError("wrong number of cells", f'{name}, key "data", row {row}', found, f"{len(names)} values")
        yield {**numbers[row], **dict(zip(names, cells, strict=True))}


def _of_columns(name: str, columns: dict[str, Any]) -> Iterable[Any]:
    """Read rows from parallel lists; class names may be next to them."""
    lists = {key: held for key, held in columns.items() if isinstance(held, list)}
    deep = [key for key, held in lists.items() if _is_deep(held)]
    size = len(lists[deep[0]]) if deep else max(map(len, lists.values()))
    odd = {key: held for key, held in lists.items() if len(held) != size}
    classes = None
    width = len(lists[deep[0]][0]) if deep and size else 0
    if len(odd) == 1 and deep and isinstance(lists[deep[0]][0], list):
        (held,) = odd.values()
        if len(held) == width and len({*map(str, held)}) == width and all(type(text) is str for text in held):
            classes, odd = held, {}
            lists = {key: lists[key] for key in lists if lists[key] is not held}
    if odd:
        found = ", ".join(f'{len(held)} in "{key}"' for key, held in lists.items())
        raise InputError("columns of different length", name, found, "lists of one length")
    if len(lists) == 1 and deep and isinstance(lists[deep[0]][0], dict):
        return lists[deep[0]]
    if classes is not None:
        key = deep[0]
        lists[key] = [
            dict(zip(classes, row, strict=True)) if isinstance(row, list) and len(row) == width else row
            for row in lists[key]
        ]
    return (dict(zip(lists, row, strict=True)) for row in zip(*lists.values(), strict=True))


def _of_frame(name: str, frame: dict[str, Any]) -> Iterable[Any]:
    """Read objects in an object: columns keyed by row name, or rows keyed by column name."""
    inner = list(next(iter(frame.values())))
    if not all(isinstance(held, dict) and list(held) == inner for held in frame.values()):
        raise InputError("no table", name, f"objects with different keys in {listing(list(frame))}", _EXPECTED)
    outer_counts, inner_counts = _counts(frame), _counts(inner)
    by_row = outer_counts and not inner_counts
    by_column = inner_counts and not outer_counts
    if not by_row and not by_column:
        by_row, by_column = (any(role_named(key) == LABEL for key in keys) for keys in (inner, frame))
    if by_row == by_column:
        raise InputError(
            "rows or columns?",
            name,
            found=f"objects in an object: {listing(list(frame))} of {listing(inner)}",
            expected="a label among the names of the columns, or rows that are counted from 0",
            hint="write records: frame.to_json('FILE.jsonl', orient='records', lines=True)",
        )
    if by_row:
        return ({_INDEX: number, **held} for number, held in zip(_numbers(frame), frame.values(), strict=True))
    rows = zip(_numbers(inner), inner, strict=True)
    return ({_INDEX: number, **{key: held[row] for key, held in frame.items()}} for number, row in rows)


def _numbers(keys: Iterable[str]) -> list[Any]:
    """Return the index of a frame, which JSON turns into text: as integers again if every key is one."""
    texts = list(keys)
    return [int(text) for text in texts] if all(re.fullmatch(r"-?\d{1,18}", text) for text in texts) else texts


def _counts(keys: Iterable[str]) -> bool:
    return all(key == str(place) for place, key in enumerate(keys))


def _is_shaped(output: Any) -> bool:
    return isinstance(output, dict) and {"name", "shape", "data"} <= output.keys()


def _shaped(name: str, output: dict[str, Any]) -> list[Any]:
    """Read rows of numbers in one flat list with a shape, as KServe and Triton return them."""
    shape, data = output["shape"], output["data"]
    place = f'{name}, output "{output["name"]}"'
    try:
        sides = [int(side) for side in shape]
    except (TypeError, ValueError):
        raise InputError("no shape", place, text_of(shape)[:40], "a list of whole numbers") from None
    if not isinstance(data, list) or len(sides) not in (1, 2):
        raise InputError("no rows", place, f"shape {text_of(shape)[:40]}", "a list of numbers with one or two axes")
    if len(sides) == 1 or _is_deep(data):
        return data
    if sides[0] * sides[1] != len(data):
        raise InputError("numbers do not fill the shape", place, f"{len(data)} numbers", f"{sides[0] * sides[1]}")
    return [data[row * sides[1] : (row + 1) * sides[1]] for row in range(sides[0])]
