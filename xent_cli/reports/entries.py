"""Entries that several JSON documents have: their inputs, and warnings and notes."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from xent_cli.core.diagnostics import notes_of, warnings_of

if TYPE_CHECKING:
    from collections.abc import Iterable

    from xent_cli.core.diagnostics import Diagnostic
    from xent_cli.core.input_description import InputDescription


def input_entry(description: InputDescription) -> dict[str, Any]:
    """Return the entry of an input.

    Examples
    --------
    >>> from xent_cli.core.input_description import InputDescription
    >>> input_entry(InputDescription("l.npy", "npy", (2, 3), "float32"))
    {'path': 'l.npy', 'format': 'npy', 'shape': [2, 3], 'dtype': 'float32'}
    """
    shape = list(description.shape)
    return {"path": description.path, "format": description.format, "shape": shape, "dtype": description.dtype}


def remark_entries(diagnostics: Iterable[Diagnostic]) -> dict[str, list[dict[str, Any]]]:
    """Return the entries of warnings and notes, which are the last fields of every document.

    Examples
    --------
    >>> from xent_cli.core.diagnostics import Diagnostic
    >>> remark_entries([Diagnostic("infinite-loss", "infinite losses: 2")])["notes"]
    []
    """
    diagnostics = tuple(diagnostics)
    return {
        "warnings": [diagnostic.entry() for diagnostic in warnings_of(diagnostics)],
        "notes": [diagnostic.entry() for diagnostic in notes_of(diagnostics)],
    }
