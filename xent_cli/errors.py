"""Everything that can stop a run, told in one shape: what, where, found, expected, what to do."""

from __future__ import annotations

import re
import time
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

_MOST_SHOWN = 200
_MOST_NAMES = 6
# How long others like a bad row are counted, and after how many rows the clock is looked at.
_PATIENCE_SECONDS = 1.0
_ROWS_BETWEEN_LOOKS = 1000


# What GitHub's runner takes for a command of the workflow: the first where a line begins with it, the other anywhere.
_COMMAND, _OLD_COMMAND = "::", "##["


def printable(text: str) -> str:
    r"""Text from a file, a file's name or a column's, safe for a terminal and a workflow's log: the one way out.

    Control characters, line ends, directions of writing and bytes of no character are escaped, and what would be a
    command of a workflow.

    Examples
    --------
    >>> print(printable("a" + chr(27) + "[31mb"))
    a\x1b[31mb
    >>> print(printable("::error::x"))
    \x3a:error::x
    """
    if text.isprintable() and _COMMAND not in text and _OLD_COMMAND not in text:
        return text
    text = "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in text)
    body = text.lstrip()
    if body.startswith(_COMMAND):
        text = text[: len(text) - len(body)] + "\\x3a" + body[1:]
    return text.replace(_OLD_COMMAND, "#\\x23[")


# From the scheme on: who asks, the address, and what stands behind it, which is as secret where it signs a request.
_URL = re.compile(
    r"([A-Za-z][A-Za-z0-9+.-]*://)(?:[^\s/?#]*@|[^\s/?#@]*:(?!\d*(?:[/?#\s]|$))\S*@)?([^\s?#]*)(?:[?#]\S*)?"
)


def without_secrets(text: str) -> str:
    """Text in which URLs stand without user, password, query and fragment.

    Examples
    --------
    >>> without_secrets("cannot open https://me:pass@example.org/l.npy?signature=1a2b")
    'cannot open https://example.org/l.npy'
    """
    return _URL.sub(r"\1\2", text) if "://" in text else text


def listing(names: Sequence[str]) -> str:
    """The first of some names, and how many more there are.

    Examples
    --------
    >>> print(listing(["cat", "dog"]))
    "cat", "dog"
    >>> print(listing("abcdefgh"))
    "a", "b", "c", "d", "e", "f" and 2 more
    """
    shown = ", ".join(f'"{name}"' for name in names[:_MOST_NAMES])
    return shown if len(names) <= _MOST_NAMES else f"{shown} and {len(names) - _MOST_NAMES} more"


def did_you_mean(name: str, known: Sequence[str]) -> str:
    """A hint: the nearest of the names that there are, or "" where none is near.

    Examples
    --------
    >>> did_you_mean("lable", ["id", "label"])
    'did you mean "label"?'
    """
    import difflib

    close = difflib.get_close_matches(name, known, 1)
    return f'did you mean "{close[0]}"?' if close else ""


def _clipped(text: str) -> str:
    """The beginning and the end of what may be a whole file in one cell."""
    return text if len(text) <= _MOST_SHOWN else f"{text[: _MOST_SHOWN - 20]} ... {text[-10:]}"


class XentError(Exception):
    """A run cannot give an answer; the command line prints it and exits with `exit_code`.

    Parameters
    ----------
    what
        The finding in a few words, lower case: "label out of range".
    where
        File, line, row and column as the user counts them.
    found, expected
        The offending value and what a valid one looks like.
    hint
        What to do about it.
    more
        What else is like this: "37 more rows like this (first: 48219, 48300)".

    Notes
    -----
    All fields are positional arguments of the base class, so an error survives pickling on its way back from a worker.
    """

    exit_code = 3

    def __init__(
        self, what: str, where: str = "", found: str = "", expected: str = "", hint: str = "", more: str = ""
    ) -> None:
        super().__init__(what, where, found, expected, hint, more)
        self.what = what
        self.where = where
        self.found = found
        self.expected = expected
        self.hint = hint
        self.more = more

    def __str__(self) -> str:
        found = self.found and f"found {_clipped(self.found)}"
        expected = self.expected and f"expected {self.expected}"
        finding = ", ".join(part for part in (found, expected) if part)
        place = ": ".join(part for part in (self.where, finding) if part)
        lines = [self.what, *(f"  {line}" for line in (place, self.more) if line)]
        if self.hint:
            lines.append(f"hint: {self.hint}")
        return "\n".join(printable(without_secrets(line)) for line in lines)


class UsageError(XentError):
    """The options make no sense, alone or together."""

    exit_code = 2


class InputError(XentError):
    """An input cannot be read, or holds what no loss can be computed from."""


class OutputError(XentError):
    """A result cannot be written where it was asked for."""


class RowError(InputError):
    """A row of an input is invalid.

    `core` and the readers' workers know only the row; whoever opened the files turns `row` into a file, a line and a
    column and raises the completed `InputError`.

    Parameters
    ----------
    row
        Sample number from 0, over the whole input.
    role
        Which input: "logits", "labels", "weights" or "mask".
    """

    def __init__(self, what: str, row: int, role: str, found: str = "", expected: str = "", hint: str = "") -> None:
        super().__init__(what, f"sample {row}", found, expected, hint)
        self.args = (what, row, role, found, expected, hint)
        self.row = row
        self.role = role

    def of(self, role: str) -> RowError:
        """The same of another input."""
        what, row, _, *rest = self.args
        return type(self)(what, row, role, *rest)

    def at(self, row: int) -> RowError:
        """The same of another row."""
        what, _, role, *rest = self.args
        return type(self)(what, row, role, *rest)


class UnreadableRowError(RowError):
    """A row of a table cannot be read; the reader's part that holds it says what is known without reading on.

    Parameters
    ----------
    place
        File and line, where the part knows them.
    column
        The column at fault, where it is one.
    others
        How many more rows of the same part cannot be read.
    whole
        Whether all rows of the part were looked at.
    """

    def __init__(
        self,
        what: str,
        row: int,
        role: str,
        found: str = "",
        expected: str = "",
        hint: str = "",
        place: str = "",
        column: str = "",
        others: int = 0,
        whole: bool = True,
    ) -> None:
        super().__init__(what, row, role, found, expected, hint)
        self.args = (what, row, role, found, expected, hint, place, column, others, whole)
        self.place = place
        self.column = column
        self.others = others
        self.whole = whole
        self.where = place or self.where
        self.more = f"{more_rows(others, whole=whole)} nearby" if others else ""

    def among(self, others: int, *, whole: bool = True) -> UnreadableRowError:
        """The same, with so many more rows that cannot be read."""
        return type(self)(*(*self.args[:-2], others, whole))


class MissingValueError(UnreadableRowError):
    """A row of a table has no value where one is needed."""


def first_of(rows: Iterable[UnreadableRowError | None]) -> UnreadableRowError | None:
    """The first of the bad rows of a part, which tells how many others there are; None where no row is bad.

    The others are counted as they come and not kept: a part may have a million of them. Once there is one, the rest is
    looked at for a second.

    Parameters
    ----------
    rows
        What is wrong with each row, or None.

    Examples
    --------
    >>> bad = [UnreadableRowError("empty cell", row, "logits") for row in (3, 5, 8)]
    >>> first_of([None, *bad]).row, first_of(bad).others
    (3, 2)
    """
    first = None
    bad = since = 0
    until = 0.0
    for error in rows:
        if error is not None:
            if first is None:
                first, until = error, time.monotonic() + _PATIENCE_SECONDS
            bad += 1 + error.others
        if first is not None:
            since += 1
            if since % _ROWS_BETWEEN_LOOKS == 0 and time.monotonic() > until:
                return first.among(bad - 1, whole=False)
    return None if first is None else first.among(bad - 1)


def more_rows(count: int, *, whole: bool = True, first: str = "") -> str:
    """Say how many more rows are as bad, at least where not all were looked at.

    Examples
    --------
    >>> more_rows(2, first="48219, 48300")
    '2 more rows like this (first: 48219, 48300)'
    >>> more_rows(1, whole=False)
    'at least 1 more row like this'
    """
    if not count:
        return ""
    least = "" if whole else "at least "
    shown = f" (first: {first})" if first else ""
    return f"{least}{count} more {'row' if count == 1 else 'rows'} like this{shown}"
