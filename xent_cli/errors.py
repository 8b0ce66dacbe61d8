"""Every error that stops a run, in one form: what, where, found, expected, and what to do."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence
    from typing import Any

_MOST_SHOWN = 200
_MOST_NAMES = 6


# GitHub's runner interprets these as commands: the first at the beginning of a line, the second anywhere.
_COMMAND, _OLD_COMMAND = "::", "##["


def printable(text: str) -> str:
    r"""Make text from a file, a file name or a column name safe to print on a terminal or in a workflow's log.

    Escapes control characters, line ends, changes of writing direction, bytes that are not characters, and anything
    that a workflow would interpret as a command. Everything that is printed passes through here.

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


# Scheme, user and password, host and path, then query and fragment, which are secret too where they sign a request.
_URL = re.compile(
    r"([A-Za-z][A-Za-z0-9+.-]*://)(?:[^\s/?#]*@|[^\s/?#@]*:(?!\d*(?:[/?#\s]|$))\S*@)?([^\s?#]*)(?:[?#]\S*)?"
)


def without_secrets(text: str) -> str:
    """Remove user, password, query and fragment from every URL in a text.

    Examples
    --------
    >>> without_secrets("cannot open https://me:pass@example.org/l.npy?signature=1a2b")
    'cannot open https://example.org/l.npy'
    """
    return _URL.sub(r"\1\2", text) if "://" in text else text


def listing(names: Sequence[str]) -> str:
    """List the first few names, and say how many more there are.

    Examples
    --------
    >>> print(listing(["cat", "dog"]))
    "cat", "dog"
    >>> print(listing("abcdefgh"))
    "a", "b", "c", "d", "e", "f" and 2 more
    """
    shown = ", ".join(f'"{name}"' for name in names[:_MOST_NAMES])
    return shown if len(names) <= _MOST_NAMES else f"{shown} and {len(names) - _MOST_NAMES} more"


def did_you_mean(name: str, known: Iterable[str], *, most: int = 1, cutoff: float = 0.6, quote: str = '"') -> str:
    """Return a hint with the most similar known names, or "" if none is similar.

    Parameters
    ----------
    most
        How many names to mention.
    cutoff
        Least similarity, from 0 to 1.
    quote
        Put around each name.

    Examples
    --------
    >>> did_you_mean("lable", ["id", "label"])
    'did you mean "label"?'
    """
    import difflib

    close = difflib.get_close_matches(name, list(known), most, cutoff)
    return f"did you mean {' or '.join(f'{quote}{found}{quote}' for found in close)}?" if close else ""


def _shortened(text: str) -> str:
    """Keep the beginning and the end: one cell may hold a whole file."""
    return text if len(text) <= _MOST_SHOWN else f"{text[: _MOST_SHOWN - 20]} ... {text[-10:]}"


class XentError(Exception):
    """A run cannot give an answer; the command line prints the message and exits with `exit_code`.

    Parameters
    ----------
    what
        The problem in a few words, in lower case: "label out of range".
    where
        File, line, row and column as the user counts them.
    found, expected
        The offending value, and what a valid one looks like.
    hint
        What to do about it, if that is the same on the command line and in Python.
    more
        How many more there are: "37 more rows like this (first: 48219, 48300)".
    code, data
        A stable name for the problem, and values, from which each interface writes a hint in its own terms:
        "label-out-of-range" and ``{"label": 10, "num_classes": 10, ...}``.

    Notes
    -----
    All fields are positional arguments of the base class, so that a worker can send the error back by pickling it.

    Examples
    --------
    >>> print(XentError("label out of range", "y.npy, row 3", "10", "0..9", "remove the row"))
    label out of range
      y.npy, row 3: found 10, expected 0..9
    hint: remove the row
    """

    exit_code = 3

    def __init__(
        self,
        what: str,
        where: str = "",
        found: str = "",
        expected: str = "",
        hint: str = "",
        more: str = "",
        code: str = "",
        data: Mapping[str, Any] | None = None,
    ) -> None:
        super().__init__(what, where, found, expected, hint, more, code, data)
        self.what = what
        self.where = where
        self.found = found
        self.expected = expected
        self.hint = hint
        self.more = more
        self.code = code
        self.data = data or {}

    def __str__(self) -> str:
        found = self.found and f"found {_shortened(self.found)}"
        expected = self.expected and f"expected {self.expected}"
        values = ", ".join(part for part in (found, expected) if part)
        place = ": ".join(part for part in (self.where, values) if part)
        lines = [self.what, *(f"  {line}" for line in (place, self.more) if line)]
        if self.hint:
            lines.append(f"hint: {self.hint}")
        return "\n".join(printable(without_secrets(line)) for line in lines)


class UsageError(XentError):
    """The options make no sense, alone or together."""

    exit_code = 2


class InputError(XentError):
    """An input cannot be read, or no loss can be computed from what it holds."""

    def with_more(self, more: str, hint: str = "") -> InputError:
        """Return the same error with a count of others like it and, if one is known, a better hint."""
        return InputError(
            self.what, self.where, self.found, self.expected, hint or self.hint, more, self.code, self.data
        )


class OutputError(XentError):
    """A result cannot be written where the user asked."""


class RowError(InputError):
    """A row of an input is invalid.

    Where a row is read or computed, only its number is known. Whoever opened the files knows the file, the line and the
    column, and raises the `InputError` that `with_location` returns.

    Parameters
    ----------
    row
        Sample number from 0, over the whole input.
    role
        Which input: "logits", "labels", "weights" or "mask".
    """

    def __init__(
        self,
        what: str,
        row: int,
        role: str,
        found: str = "",
        expected: str = "",
        hint: str = "",
        code: str = "",
        data: Mapping[str, Any] | None = None,
    ) -> None:
        super().__init__(what, f"sample {row}", found, expected, hint, "", code, data)
        self.args = (what, row, role, found, expected, hint, code, data)
        self.row = row
        self.role = role

    def for_role(self, role: str) -> RowError:
        """Return the same error about another input."""
        what, row, _, *rest = self.args
        return type(self)(what, row, role, *rest)

    def at_row(self, row: int) -> RowError:
        """Return the same error about another row."""
        what, _, role, *rest = self.args
        return type(self)(what, row, role, *rest)

    def with_location(self, where: str, more: str = "") -> InputError:
        """Return an error that names the place in a file."""
        return InputError(self.what, where, self.found, self.expected, self.hint, more, self.code, self.data)


class UnreadableRowError(RowError):
    """A row of a table cannot be read; the error holds what is known without reading past the block of the row.

    Parameters
    ----------
    place
        File and line, if known.
    column
        The invalid column, if it is one column.
    others
        How many more rows of the same block cannot be read.
    whole
        Whether all rows of the block were counted.
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

    def with_others(self, others: int, *, whole: bool = True) -> UnreadableRowError:
        """Return the same error with the number of other rows that cannot be read."""
        return type(self)(*(*self.args[:-2], others, whole))


class MissingValueError(UnreadableRowError):
    """A row of a table lacks a value that is needed."""


def more_rows(count: int, *, whole: bool = True, first: str = "") -> str:
    """Say how many more rows have the same problem; "at least" if not all rows were checked.

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
