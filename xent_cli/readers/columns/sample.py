"""What is known about a table before it is read: names and kinds of columns, and the first rows."""

from __future__ import annotations

import math
import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, TypeVar

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from xent_cli.core.array_types import AnyArray, FloatArray

T = TypeVar("T")
# Number of rows that are examined.
SAMPLED_ROWS = 1024
NUMBER, TEXT, BOOL, DATE = "number", "text", "bool", "date"
FLOATS, WHOLES, TEXTS, OTHER = "list", "list of integers", "list of text", "other"
# Cells that hold a row of numbers: vectors as Spark writes them, and maps from name to number.
VECTOR, MAP = "vector", "map"
_WHOLE = re.compile(r"\s*[-+]?\d{1,18}(\.0*)?\s*")
_TRUTH = {"true": 1, "false": 0}


@dataclass(frozen=True, slots=True, eq=False, repr=False)
class TableSample:
    """What the first rows of a table show.

    Fields
    ------
    path
        As the user gave it.
    kinds
        "number", "text", "bool", "date", "list" (of floats), "list of integers", "list of text", "vector", "map" or
        "other", by column.
    rows
        Values of some columns in the first rows: numbers, text or lists; None if missing.
    ahead
        Returns all values of a column as text, read before the run; None for a pipe, or if there are too many.
    index_columns
        Columns that pandas wrote as the index of the rows.
    folders
        Columns from folder names: they have one value for all rows of the file, so they are never a class.
    label_names
        Names of the classes by the integers of a column, if the schema has them.
    named_by
        A column of lists of scores that is read as a map, and the column of lists that name these scores; or None.
    nameless
        Whether the table has no column names, so that columns are named by position.
    types
        Types of the columns in the file, for messages.
    memory
        Results so far, so that no column is read twice.
    """

    path: str
    kinds: Mapping[str, str]
    rows: Callable[[Sequence[str]], Mapping[str, Sequence[Any] | AnyArray]] = lambda names: dict.fromkeys(names, ())
    ahead: Callable[[str], frozenset[str] | None] = lambda _: None
    index_columns: frozenset[str] = frozenset()
    folders: frozenset[str] = frozenset()
    label_names: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    named_by: tuple[str, str] | None = None
    nameless: bool = False
    types: Mapping[str, str] = field(default_factory=dict)
    memory: dict[Any, Any] = field(default_factory=dict, compare=False, repr=False)

    def remember(self, what: Any, find: Callable[[], T]) -> T:
        """Return the result of `find`, which is called only once for each `what`."""
        if what not in self.memory:
            self.memory[what] = find()
        found: T = self.memory[what]
        return found

    def every(self, name: str) -> frozenset[str] | None:
        """All values of a column as text, read before the run; None if that is impossible, or there are too many."""
        return self.remember(("every", name), lambda: self.ahead(name))

    def first(self, name: str) -> Sequence[Any]:
        """Return the values of a column in the first rows."""
        return self.remember(("first", name), lambda: _listed(self.rows([name])[name]))

    def names_of(self, column: str | None) -> str | None:
        """Return the column of lists that name the scores in a column; None if there is none."""
        return self.named_by[1] if self.named_by is not None and self.named_by[0] == column else None

    def is_whole(self, name: str, *, mostly: bool = False) -> bool:
        """Whether all or most numbers of a column are whole, in the first rows."""
        held = [value for value in self.first(name) if not _missing(value)]
        whole = sum(map(_is_whole, held))
        return 2 * whole >= len(held) if mostly else whole == len(held)

    def numbers(self, names: Sequence[str]) -> FloatArray:
        """The first rows of some columns as [m, k]; NaN if a value is not a number."""
        return self.remember(("numbers", tuple(names)), lambda: self._numbers(names))

    def _numbers(self, names: Sequence[str]) -> FloatArray:
        widest: tuple[tuple[str, ...], FloatArray] = self.memory.get("widest", ((), np.empty((0, 0))))
        if set(names) <= set(widest[0]):
            places = {name: place for place, name in enumerate(widest[0])}
            return widest[1][:, [places[name] for name in names]]
        held = self.rows(names)
        columns = [as_numbers(held[name][:SAMPLED_ROWS]) for name in names]
        size = max(map(len, columns), default=0)
        found = np.full((size, len(columns)), np.nan)
        for place, column in enumerate(columns):
            found[: len(column), place] = column
        if len(names) >= len(widest[0]):
            self.memory["widest"] = (tuple(names), found)
        return found

    def texts(self, name: str) -> list[str]:
        """The values of a column in the first rows as stripped text; "" if missing."""
        return ["" if value is None else as_text(value) for value in self.first(name)]


def _listed(values: Sequence[Any] | AnyArray) -> Sequence[Any]:
    return values.tolist() if isinstance(values, np.ndarray) else values


def as_numbers(values: Sequence[Any] | AnyArray) -> FloatArray:
    """Values [m] as floats; NaN if one is not a number."""
    if isinstance(values, np.ndarray) and values.dtype.kind in "biuf":
        return values.astype(np.float64)
    return np.array([_number(value) for value in values], np.float64)


def as_text(value: object) -> str:
    """Write a value as a label would be: whole numbers without a decimal point."""
    if isinstance(value, float) and value.is_integer():
        return str(int(value))
    text = str(value).strip()
    return text[: text.index(".")] if _WHOLE.fullmatch(text) and "." in text else text


def as_integer(text: str) -> int | None:
    """Return a text as a whole number, or None; true and false are 1 and 0."""
    if _WHOLE.fullmatch(text):
        return int(text.partition(".")[0])
    number = _number(text)  # as numpy.savetxt writes them: 2.000000000000000000e+00
    return int(number) if number.is_integer() else _TRUTH.get(text.lower())


def _number(value: object) -> float:
    try:
        return float(value)  # type: ignore[arg-type]
    except (TypeError, ValueError, OverflowError):  # a whole number beyond float64
        return math.nan


def _is_whole(value: object) -> bool:
    return _number(value).is_integer()


def _missing(value: object) -> bool:
    return value is None or value == "" or value != value
