"""A comparison as tables for a terminal."""

from __future__ import annotations

from typing import TYPE_CHECKING

from rich import box
from rich.markup import escape
from rich.table import Table

from xent_cli.core.metrics import more_is_better
from xent_cli.reports.comparison.text import (
    cells,
    flips_text,
    footnote,
    heading,
    heads,
    moved_heads,
    moved_rows,
    overview,
    overview_heads,
)

if TYPE_CHECKING:
    from rich.console import Console

    from xent_cli.core.statistics.comparison import Change, Comparison


def print_comparison(console: Console, comparison: Comparison) -> None:
    """Print a table of figures for each candidate, and one of the samples that changed most."""
    if len(comparison.candidates) > 1:
        table = _table(overview_heads(comparison))
        for candidate, row in zip(comparison.candidates, overview(comparison), strict=True):
            table.add_row(*map(escape, row), style=_style(candidate.changes[0]))
        console.print(table)
    for candidate in comparison.candidates:
        console.print(escape(heading(comparison, candidate)), style="bold", soft_wrap=True)
        table = _table(heads(comparison))
        for change in candidate.changes:
            table.add_row(*map(escape, cells(change, comparison)), style=_style(change))
        by = None
        for change in candidate.slices:
            if change.by != by:
                table.add_section()
                by = change.by
            table.add_row(*map(escape, cells(change, comparison)), style=_style(change))
        console.print(table)
        if candidate.flips is not None:
            console.print(escape(flips_text(candidate.flips)) + "\n", soft_wrap=True)
        if candidate.moved:
            table = _table(moved_heads(comparison, candidate))
            for row in moved_rows(comparison, candidate):
                table.add_row(*map(escape, row))
            console.print(table)
    console.print(escape(footnote(comparison)), soft_wrap=True)


def _style(change: Change) -> str | None:
    """Return the colour of a significant change, which adds nothing to its sign."""
    if change.mark not in ("lower", "higher"):
        return None
    better = "higher" if more_is_better(change.metric) else "lower"
    return "green" if change.mark == better else "red"


def _table(names: list[str]) -> Table:
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False)
    for name in names:
        table.add_column(escape(name), justify="left" if name == names[0] else "right", overflow="fold")
    return table
