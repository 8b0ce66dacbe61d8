"""Detect decimal commas and thousands separators, if the numbers of a text allow only one reading."""

from __future__ import annotations

import re
from itertools import chain
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Sequence

NUMBER = re.compile(r"\s*[-+]?(\d+\.?\d*([eE][-+]?\d+)?|\.\d+([eE][-+]?\d+)?|nan|inf(inity)?)\s*", re.IGNORECASE)
# 1,234.5 and 1.234,5: groups of three after one to three digits that do not begin with a zero.
_GROUPED = {
    mark: re.compile(rf"\s*[-+]?[1-9]\d{{0,2}}(\{mark}\d{{3}})+(\{point}\d*)?\s*") for mark, point in (",.", ".,")
}
_WITH_COMMA = re.compile(r"\s*[-+]?\d*,\d+([eE][-+]?\d+)?\s*")


class NumberMarks(NamedTuple):
    """How a text writes its numbers.

    Fields
    ------
    decimal
        "." or ",".
    thousands
        The character between groups of three digits, or "".
    """

    decimal: str = "."
    thousands: str = ""

    def plain(self, cell: str) -> str:
        """Return the cell with a decimal point and no separators if it is a number; otherwise unchanged.

        Examples
        --------
        >>> NumberMarks(",", ".").plain("1.234,5"), NumberMarks(",").plain("0,5"), NumberMarks(",").plain("0.5")
        ('1234.5', '0.5', '0.5')
        """
        if self.decimal == "." and not self.thousands:
            return cell
        if self.thousands and _GROUPED[self.thousands].fullmatch(cell):
            return cell.replace(self.thousands, "").replace(self.decimal, ".")
        return cell.replace(",", ".") if self.decimal == "," and _WITH_COMMA.fullmatch(cell) else cell

    def plain_row(self, cells: list[str]) -> list[str]:
        """Convert every cell as `plain` does; the same list is returned if no cell can change."""
        if self.decimal == "." and not self.thousands:
            return cells
        return [self.plain(cell) for cell in cells]

    def is_number(self, cell: str) -> bool:
        """Whether the cell is a number in this notation; with decimal commas, one with a point is not."""
        plain = self.plain(cell)
        return NUMBER.fullmatch(plain) is not None and not (self.decimal == "," and plain == cell and "." in cell)


_POINT = NumberMarks()


def marks_of(rows: Sequence[Sequence[str]]) -> NumberMarks:
    """Detect how numbers are written; a plain decimal point if cells leave it open or contradict each other.

    A comma is certainly a decimal comma if it is not followed by exactly three digits, or if the digits before it
    cannot be followed by a thousands separator. It certainly separates thousands if there are several, or if a point
    follows.

    Examples
    --------
    >>> marks_of([["0,5", "1,234"]]).decimal, marks_of([["1,234.5"], ["2,000"]]).thousands, marks_of([["1,234"]])
    (',', ',', NumberMarks(decimal='.', thousands=''))
    """
    if not any("," in "".join(row) for row in rows):
        return _POINT
    commas = points = decimal = plain = False
    for cell in chain.from_iterable(rows):
        if "," not in cell:
            # One such number is enough, and a table of a thousand columns has many.
            plain = plain or ("." in cell and NUMBER.fullmatch(cell) is not None and not _GROUPED["."].fullmatch(cell))
            continue
        if _GROUPED["."].fullmatch(cell):
            points = True
        elif _GROUPED[","].fullmatch(cell):
            commas |= cell.count(",") > 1 or "." in cell
        else:
            decimal |= _WITH_COMMA.fullmatch(cell) is not None
    if commas and not (decimal or points):
        return NumberMarks(".", ",")
    if (decimal or points) and not commas and not plain:
        return NumberMarks(",", "." if points else "")
    return _POINT


def may_be_number(cell: str) -> bool:
    """Whether the cell is a number in any notation."""
    if NUMBER.fullmatch(cell):
        return True
    return ("," in cell or "." in cell) and any(p.fullmatch(cell) for p in (_WITH_COMMA, *_GROUPED.values()))
