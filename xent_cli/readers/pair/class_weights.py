"""One weight for each class: an array, a list, or a table that names the classes."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from xent_cli.core.labels.class_order import order_of
from xent_cli.errors import InputError, did_you_mean, listing
from xent_cli.readers.arrays.npy import HEAD_BYTES
from xent_cli.readers.interface import ARRAYS
from xent_cli.readers.open import format_of, open_source
from xent_cli.readers.options import ReadOptions
from xent_cli.readers.pair.short_tables import is_records, read_whole, short_table, unpacked
from xent_cli.readers.storage.locate import locate
from xent_cli.readers.storage.reading import BOM
from xent_cli.readers.text.number_marks import NUMBER

if TYPE_CHECKING:
    from collections.abc import Sequence

    from xent_cli.core.array_types import FloatArray
    from xent_cli.readers.pair.short_tables import Cell, ShortTable
    from xent_cli.readers.storage.locate import Located

_WEIGHTS = ("weight", "weights", "class_weight", "class_weights", "w", "value")
_NAMES = ("class", "class_name", "name", "label", "label_name", "category", "classes", "class_label", "key")
_NUMBERS = ("index", "idx", "class_id", "class_idx", "class_index", "label_id", "label_idx", "id", "", "unnamed_0")


class _Weight(NamedTuple):
    """The text of a weight, its place, and the class that the file gives it, if any."""

    cell: Cell
    where: str
    key: Cell = None


def read_class_weight(
    path: str, num_classes: int, class_names: Sequence[str] | None = None, first: int = 0
) -> FloatArray:
    """Read class weights [k], dimensionless, in the order of the classes.

    Parameters
    ----------
    class_names
        Names of the classes of the logits, if known: a table that names classes is matched by name, never by position.
    first
        Number of the first class, if a table gives classes by number.

    Raises
    ------
    InputError
        If there is not one weight for each class, or one is negative or not finite.
    """
    located = locate(path)
    head = unpacked(located.files[0]).peek(HEAD_BYTES)
    written = head.removeprefix(BOM).lstrip()
    table = written[:1] in (b"", b"[", b"{") or is_records(located.name, head)
    if not table and format_of(located.name, head) in ARRAYS:
        return _of_array(located, num_classes, class_names)
    held = _with_header(short_table(located.name, read_whole(located, "weights")), num_classes)
    weights = _of_table(held, num_classes, class_names, first)
    if len(weights) != num_classes:
        raise _other_number(located.name, len(weights), num_classes)
    return np.array([_number(weight) for weight in weights], np.float64)


def _of_array(located: Located, num_classes: int, class_names: Sequence[str] | None) -> FloatArray:
    source = open_source(located, "weights", ReadOptions())
    found = [part.read().weights for _, _, part in source.parts()]
    values = np.concatenate([np.empty(0), *(values.reshape(-1) for values in found if values is not None)])
    if values.size != num_classes:
        raise _other_number(located.name, values.size, num_classes)
    weights: FloatArray = values.astype(np.float64)
    bad = np.flatnonzero(~((weights >= 0) & (weights < np.inf)))
    if bad.size:
        where = f"{located.name} class {bad[0]}" + (f' ("{class_names[bad[0]]}")' if class_names else "")
        raise _invalid(where, str(weights[bad[0]]))
    return weights


def _with_header(table: ShortTable, num_classes: int) -> ShortTable:
    """Take the first row of text as column names if it is a header."""
    if table.names is not None or len(table.rows) < 2:
        return table
    first = [(cell or "").strip() for cell in table.rows[0]]
    numbers = [bool(NUMBER.fullmatch(cell)) for cell in first]
    if table.width == 1:
        # pandas writes a 0 above a column without a name.
        named = not numbers[0] or (first[0] == "0" and len(table.rows) == num_classes + 1)
    else:
        named = not any(numbers) or "" in first or any(_word(cell) in (*_NAMES, *_WEIGHTS) for cell in first)
    return table.headed() if named else table


def _of_table(table: ShortTable, num_classes: int, class_names: Sequence[str] | None, first: int) -> list[_Weight]:
    """Return the weights in the order of the classes."""
    if table.width == 1:
        return [_Weight(cells[0], table.where(row)) for row, cells in enumerate(table.rows)]
    if len(table.rows) == 1 and table.names is None:
        return [_Weight(cell, f"{table.where(0)} cell {place}") for place, cell in enumerate(table.rows[0])]
    known = class_names or [str(number) for number in range(first, first + num_classes)]
    order = order_of(known, table.names) if len(table.rows) == 1 and table.names is not None else None
    if order is not None and table.names is not None:
        return [_Weight(table.rows[0][place], table.where(0), table.names[place]) for place in order]
    value, keys = _columns(table, known)
    places = [_order(table, table.column(key), known, named=class_names is not None) for key in keys]
    chosen = next((n for n, found in enumerate(places) if not isinstance(found, InputError)), 0)
    found = places[chosen]
    if isinstance(found, InputError):
        raise found
    return [_Weight(table.rows[row][value], table.where(row), table.rows[row][keys[chosen]]) for row in found]


def _columns(table: ShortTable, known: Sequence[str]) -> tuple[int, list[int]]:
    """Return the position of the column of weights, and of those that may hold the classes, the likeliest first."""
    words = [_word(name) for name in table.names or [f"column {place}" for place in range(table.width)]]
    values = [place for word in _WEIGHTS for place, name in enumerate(words) if name == word][:1]
    keys = [place for word in (*_NAMES, *_NUMBERS) for place, name in enumerate(words) if name == word]
    if table.width == 2 and not values:
        values = _told_by_content(table, known)
    if len(values) == 1 and table.width == 2:
        keys = [1 - values[0]]
    if len(values) != 1 or not keys:
        lacking = "weights" if len(values) != 1 else "classes"
        raise InputError(
            f"no column of {lacking}",
            table.path,
            found=f"columns {listing(table.names or [str(place) for place in range(table.width)])}",
            expected='a column "class" and a column "weight"',
            hint=f'call the column of {lacking} "{"weight" if lacking == "weights" else "class"}"',
        )
    return values[0], [key for key in keys if key != values[0]]


def _told_by_content(table: ShortTable, known: Sequence[str]) -> list[int]:
    """Return which of two columns holds the weights: the one with numbers, if the other holds the classes."""
    columns = [[(cell or "").strip() for cell in table.column(place)] for place in (0, 1)]
    numeric = [all(NUMBER.fullmatch(cell) or not cell for cell in column) for column in columns]
    if numeric[0] != numeric[1]:
        return [int(numeric[1])]
    says = [order_of(known, column) is not None for column in columns]
    return [int(says[0])] if says[0] != says[1] else []


def _order(
    table: ShortTable, cells: Sequence[Cell], known: Sequence[str], *, named: bool
) -> tuple[int, ...] | InputError:
    """Return the row of the weight of each class, or what is wrong with the column of classes."""
    keys = [(cell or "").strip() for cell in cells]
    seen: dict[str, int] = {}
    for row, key in enumerate(keys):
        if not key:
            return InputError("no class", table.where(row), found="nothing", expected="the class of the weight")
        if key in seen:
            found = f'"{key}", as at {table.places[seen[key]]}'
            return InputError("class given twice", table.where(row), found=found, expected="each class once")
        seen[key] = row
    order = order_of(known, keys)
    if order is not None:
        return order
    known_set = set(known)
    odd = next((row for row, key in enumerate(keys) if key not in known_set), None)
    if not named and odd is not None and not keys[odd].isdecimal():
        return InputError(
            "nothing says which class a name is",
            table.where(odd),
            found=f'"{keys[odd]}", and logits without names of classes',
            expected=f"class indices {known[0]} to {known[-1]}",
            hint="--class-names FILE says which class each name is",
        )
    if odd is not None:
        expected = f"one of {listing(known)}"
        hint = did_you_mean(keys[odd], known)
        return InputError("weight of no class", table.where(odd), found=f'"{keys[odd]}"', expected=expected, hint=hint)
    lacking = [name for name in known if name not in seen]
    found = f"no weight for {listing(lacking)}"
    return InputError("class without a weight", table.path, found=found, expected="one weight for each class")


def _number(weight: _Weight) -> float:
    where = weight.where + ("" if weight.key is None else f', class "{weight.key}"')
    cell = (weight.cell or "").strip()
    if not cell:
        raise InputError("class weight missing", where, found="nothing", expected="a finite number >= 0")
    if not NUMBER.fullmatch(cell):
        raise InputError("class weight is not a number", where, found=f'"{cell}"', expected="a finite number >= 0")
    if not 0 <= float(cell) < np.inf:
        raise _invalid(where, cell)
    return float(cell)


def _invalid(where: str, found: str) -> InputError:
    return InputError("invalid class weight", where, found=found, expected="a finite number >= 0")


def _other_number(path: str, found: int, num_classes: int) -> InputError:
    expected = f"{num_classes}, one a class"
    hint = "class weights are in the order of the classes; weights of samples go with --sample-weight"
    return InputError("wrong number of class weights", path, found=f"{found} weights", expected=expected, hint=hint)


def _word(name: str) -> str:
    """Return a name without case and punctuation.

    Examples
    --------
    >>> _word(" Class-Weight")
    'class_weight'
    """
    return re.sub(r"[\W_]+", "_", name.strip().lower()).strip("_")
