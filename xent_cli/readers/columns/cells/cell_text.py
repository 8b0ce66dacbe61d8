"""Rows of numbers in one cell, written as text or as JSON: arrays, vectors of Spark, maps from class to value."""

from __future__ import annotations

import json
import math
import re
from itertools import pairwise
from typing import TYPE_CHECKING, Any, NamedTuple

from xent_cli.errors import InputError, listing
from xent_cli.readers.columns.cells.named_scores import objects_of, scores_by_name, texts_of
from xent_cli.readers.columns.sample import as_text

if TYPE_CHECKING:
    from collections.abc import Sequence

    from xent_cli.readers.columns.sample import TableSample

# A sparse vector of more classes than this is not allocated just because a cell declares it.
_MOST_CLASSES = 1 << 24
VECTOR = frozenset({"type", "size", "indices", "values"})
_SPARSE = re.compile(r"(?:SparseVector)?\((\d{1,9}),\s*\[([^\[\]]*)\],\s*\[([^\[\]]*)\]\)")
_WRAPPED = re.compile(r"(?:np\.)?(?:array|tensor|DenseVector)\(")
_SCALAR = re.compile(r"(?:np|numpy)\.float\d+\(([^()]*)\)")
# One number with a decimal comma, or with commas between thousands: 0,5 and 1,234.5.
_ONE_NUMBER = re.compile(r"[-+]?(\d*,\d+|\d{1,3}(,\d{3})+(\.\d*)?)")
_SHOWN = 40
# How a cell that holds more than a number may begin.
_BRACKETS = frozenset("[({S")
_DIGITS = frozenset("0123456789.-+")
# Longest sparse vector that is written out for a sample.
_MOST_SHOWN = 1 << 16
_CUT = re.compile(r"\s*\w*\(?\[+[-+\d.,eE\s]*\.\.\.")
# A pair in a dictionary as Python prints it.
_PAIR = re.compile(r"""\s*(?:'([^'\\]*)'|"([^"\\]*)"|(-?\d+))\s*:\s*([^\s,:'"{}\[\]]+)\s*(?:,|$)""")


class Row(NamedTuple):
    """A row of numbers in a cell.

    Fields
    ------
    values
        One for each class, or for each of `keys` or `indices`.
    keys
        For a map: the names of the classes.
    indices, size
        For a sparse vector: the places of its values, and its length; all other values are 0.
    """

    values: list[float]
    keys: tuple[str, ...] = ()
    indices: list[int] | None = None
    size: int = 0

    @property
    def width(self) -> int:
        """How many classes there are."""
        return len(self.values) if self.indices is None else self.size


class CellError(ValueError):
    """What is wrong with a cell, and what to do about it."""

    def __init__(self, found: str, hint: str = "") -> None:
        super().__init__(found)
        self.found = found
        self.hint = hint


def row_of_cell(cell: object) -> Row:
    r"""Read a cell: text, or a vector or map as JSON and Arrow return it.

    Raises
    ------
    ValueError
        If it is not a row of numbers.

    Examples
    --------
    >>> row_of_cell("[0.5 1.5\n -2]").values, row_of_cell('{"cat": 1, "dog": 2}').keys
    ([0.5, 1.5, -2.0], ('cat', 'dog'))
    >>> row_of_cell({"type": 0, "size": 3, "indices": [1], "values": [0.5]}).width
    3
    """
    if isinstance(cell, str):
        return _of_text(cell.strip())
    if isinstance(cell, list) and cell and isinstance(cell[0], tuple):
        cell = _unique([(as_text(key), value) for key, value in cell])
    if isinstance(cell, dict):
        return _of_vector(cell) if _is_vector(cell) else _of_map(cell)
    if isinstance(cell, list | tuple):
        if cell and isinstance(cell[0], dict) and (named := scores_by_name(cell)) is not None:
            return _of_map(_unique(named))
        if len(cell) == 1 and isinstance(cell[0], list):
            return row_of_cell(cell[0])  # a batch of one
        return Row([_number(value) for value in cell])
    raise CellError(repr(cell))


def cell_value(cell: str) -> Any:
    """Return what a cell of text holds: a list of numbers or of text, a map, or the text itself if it is none of these.

    Numbers without brackets are a list only if they have decimal points: 10 20 may be anything.

    Examples
    --------
    >>> cell_value("[0.5 1]"), cell_value("[3, 4]"), cell_value("['a' 'b']"), cell_value("10 20"), cell_value("0.5 1")
    ([0.5, 1.0], [3, 4], ['a', 'b'], '10 20', [0.5, 1.0])
    """
    text = cell.strip()
    if text[:1] not in _BRACKETS and not _WRAPPED.match(text):
        several = "," in text or len(text.split(None, 1)) > 1
        if not several or "." not in text or text[:1] not in _DIGITS:
            return cell
    try:
        row = row_of_cell(text)
    except ValueError:
        return texts_of(text) or cell
    if row.keys:
        return dict(zip(row.keys, row.values, strict=True))
    if row.indices is not None and row.size > _MOST_SHOWN:
        return cell
    values = dense(row, (), row.width)
    return [int(value) for value in values] if re.fullmatch(r"[\[\](), \d+-]*", text) else values


def is_cut_short(cell: str) -> bool:
    """Whether a cell is an array of numbers that numpy printed without its middle."""
    return _CUT.match(cell) is not None


def layout_of_cells(sample: TableSample, name: str) -> Row:
    """Read the first cell of a column that is not empty.

    Raises
    ------
    InputError
        If it is not a row of numbers.
    """
    first = next((cell for cell in sample.first(name) if cell is not None and cell != ""), None)
    error = CellError("nothing in the first rows") if first is None else None
    if error is None:
        try:
            row = row_of_cell(first)
            if not 0 < row.width <= _MOST_CLASSES:
                error = CellError(f"{row.width} numbers in a cell")
        except ValueError as problem:
            error = problem if isinstance(problem, CellError) else CellError(str(problem))
    if error is None:
        return row
    raise InputError(
        "column holds no logits",
        f'{sample.path}, column "{name}"',
        found=f"type {sample.types.get(name) or sample.kinds[name]}, with {error.found}",
        expected="a number for each class in every cell, as in [0.1, 2.5]",
        hint=error.hint or "--logits-column names columns of numbers, or one of lists, vectors or maps of numbers",
    )


def dense(row: Row, keys: tuple[str, ...], width: int) -> list[float]:
    """Return a number for each class, in the order of the keys if there are any.

    Raises
    ------
    ValueError
        If the row has different classes.
    """
    if keys:
        held = dict(zip(row.keys, row.values, strict=False))
        if held.keys() != {*keys}:
            raise CellError(f"keys {listing(row.keys)}" if row.keys else "no keys")
        return [held[key] for key in keys]
    if row.width != width or row.keys:
        raise CellError(f"keys {listing(row.keys)}" if row.keys else f"{row.width} values")
    if row.indices is None:
        return row.values
    found = [0.0] * width
    for place, value in zip(row.indices, row.values, strict=True):
        found[place] = value
    return found


def _of_text(text: str) -> Row:
    if "..." in text or "\u2026" in text:
        hint = "numpy cut it: write it again after np.set_printoptions(threshold=sys.maxsize), or as a .npy file"
        raise CellError(f'"{text[:_SHOWN]}", with numbers left out', hint)
    if "np.float" in text or "numpy.float" in text:
        text = _SCALAR.sub(r"\1", text)
    if text.startswith("{"):
        return row_of_cell(_object(text))
    if text.startswith("[") and text[1:].lstrip().startswith("{"):
        if (objects := objects_of(text)) is not None:
            return row_of_cell(objects)
        raise CellError(f'"{text[:_SHOWN]}"')
    if sparse := _SPARSE.fullmatch(text):
        places = [int(word) for word in sparse[2].split(",")] if sparse[2].strip() else []
        values = _numbers(sparse[3], text)
        return _of_vector({"type": 0, "size": int(sparse[1]), "indices": places, "values": values})
    if (wrapped := _WRAPPED.match(text)) and text.endswith(")"):
        text, closing, rest = text[wrapped.end() : -1].strip().rpartition("]")
        if rest and "=" not in rest:
            raise CellError(f'"{text[:_SHOWN]}"')
        text += closing
    if text.startswith("[[") and text.endswith("]]"):
        text = text[1:-1].strip()  # a batch of one
    if text[:1] + text[-1:] in ("[]", "()"):
        return Row(_numbers(text[1:-1], text))
    if _ONE_NUMBER.fullmatch(text) or len(re.split(r"[\s,]+", text)) < 2:
        raise CellError(f'"{text}"')  # 0,5 may be one number
    return Row(_numbers(text, text))


def _numbers(inner: str, text: str) -> list[float]:
    words = inner.rstrip().removesuffix(",").split(",") if "," in inner else inner.split()
    try:
        if "_" in inner:
            raise ValueError
        values = [float(word) for word in words]
        if any(math.isinf(value) and word.strip()[-1:].isdigit() for value, word in zip(values, words, strict=True)):
            raise ValueError  # a number beyond float64
        return values
    except ValueError:
        raise CellError(f'"{text}"') from None


def _object(text: str) -> dict[str, Any]:
    """Parse a JSON object, or a dictionary as Python prints it."""
    try:
        found = json.loads(text, object_pairs_hook=_unique)
    except CellError:
        raise
    except (ValueError, RecursionError):
        found, at, end = [], 1, len(text) - 1
        while at < end and (pair := _PAIR.match(text, at, end)):
            found.append((next(key for key in pair.groups()[:3] if key is not None), _numbers(pair[4], text)[0]))
            at = pair.end()
        if at < end or not text.endswith("}"):
            raise CellError(f'"{text}"') from None
        found = _unique(found)
    assert isinstance(found, dict)
    return found


def _unique(pairs: Sequence[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) < len(pairs):
        raise CellError("two values for one key")
    return found


def _is_vector(cell: dict[str, Any]) -> bool:
    return isinstance(cell.get("values"), list) and "type" in cell and cell.keys() <= VECTOR


def _of_vector(cell: dict[str, Any]) -> Row:
    values = [_number(value) for value in cell["values"]]
    if cell["type"] == 1:
        return Row(values)
    size, places = cell.get("size"), cell.get("indices")
    whole = type(size) is int and isinstance(places, list) and all(type(place) is int for place in places)
    if cell["type"] != 0 or not whole or size is None or places is None:
        raise CellError("a vector that is neither dense nor sparse")
    increasing = all(a < b for a, b in pairwise(places))
    if len(places) != len(values) or not increasing or (places and not 0 <= places[0] <= places[-1] < size):
        raise CellError(f"a sparse vector of {size} with {len(values)} values at {places[:6]}")
    return Row(values, indices=places, size=size)


def _of_map(cell: dict[str, Any]) -> Row:
    if not cell:
        raise CellError("no keys")
    return Row([_number(value, key) for key, value in cell.items()], tuple(cell))


def _number(value: object, key: str = "") -> float:
    place = f' for "{key}"' if key else ""
    if isinstance(value, bool) or not isinstance(value, int | float):
        try:
            return float(value) if type(value).__name__ == "Decimal" else float("")  # type: ignore[arg-type]
        except ValueError:
            raise CellError(f"{'null' if value is None else repr(value)}{place}") from None
    try:
        return float(value)
    except OverflowError:  # of a whole number
        raise CellError(f"{str(value)[:40]}...{place}, a number beyond float64") from None
