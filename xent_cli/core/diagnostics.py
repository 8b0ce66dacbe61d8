"""Warnings and notes about a run: shown in every report, and never a reason to change a figure."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from xent_cli.errors import InputError

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from typing import Any

NO_DATA: Mapping[str, Any] = {}


class Diagnostic(NamedTuple):
    """A warning or a note: a code for programs, a sentence for people.

    A *warning* puts the result in doubt; a *note* says what was done and leaves the result as good as it is.

    Fields
    ------
    code
        A stable name, such as "logits-look-softmaxed".
    message
        What was seen, without advice.
    note
        Whether this is a note.
    data
        Values from which each interface writes advice in its own terms.
    """

    code: str
    message: str
    note: bool = False
    data: Mapping[str, Any] = NO_DATA

    def entry(self) -> dict[str, str]:
        """Return the entry for documents."""
        return {"code": self.code, "message": self.message}

    def with_hint(self, hint: str) -> Diagnostic:
        """Return the same with advice after the message; unchanged if there is none.

        Examples
        --------
        >>> Diagnostic("odd", "labels look odd").with_hint("look at them").message
        'labels look odd; look at them'
        """
        return self._replace(message=f"{self.message}; {hint}") if hint else self

    def line(self) -> str:
        """Return the line for standard error.

        Examples
        --------
        >>> print(Diagnostic("infinite-loss", "infinite losses: 2").line())
        warning: infinite losses: 2 [infinite-loss]
        """
        return f"{'note' if self.note else 'warning'}: {self.message} [{self.code}]"


def warnings_of(diagnostics: Iterable[Diagnostic]) -> tuple[Diagnostic, ...]:
    """Keep the warnings."""
    return tuple(diagnostic for diagnostic in diagnostics if not diagnostic.note)


def notes_of(diagnostics: Iterable[Diagnostic]) -> tuple[Diagnostic, ...]:
    """Keep the notes."""
    return tuple(diagnostic for diagnostic in diagnostics if diagnostic.note)


def refuse_warnings(diagnostics: Iterable[Diagnostic]) -> None:
    """Raise `InputError` if there is a warning.

    Examples
    --------
    >>> refuse_warnings([Diagnostic("columns-left-out", "...", note=True)])
    """
    doubts = [f"{entry.message} [{entry.code}]" for entry in warnings_of(diagnostics)]
    if doubts:
        raise InputError(doubts[0], more="; ".join(doubts[1:]), code="warnings-refused")
