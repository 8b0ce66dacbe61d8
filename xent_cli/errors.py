"""Everything that can stop a run, told in one shape: what, where, found, expected, what to do."""

from __future__ import annotations

_MOST_SHOWN = 200


def printable(text: str) -> str:
    r"""Text from a file, safe for a terminal: control characters escaped.

    Examples
    --------
    >>> print(printable("a" + chr(27) + "[31mb"))
    a\x1b[31mb
    """
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in text)


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
        return "\n".join(printable(line) for line in lines)


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
        Which input: "logits", "labels" or "weights".
    """

    def __init__(
        self, what: str, row: int, role: str, found: str = "", expected: str = "", hint: str = "", more: str = ""
    ) -> None:
        super().__init__(what, f"sample {row}", found, expected, hint, more)
        self.args = (what, row, role, found, expected, hint, more)
        self.row = row
        self.role = role
