"""A comparison as tables for a terminal."""

from __future__ import annotations

from typing import TYPE_CHECKING

from rich import box
from rich.markup import escape
from rich.table import Table

from xent_cli.reports.comparison.text import cells, footnote, heading, heads, moved_heads, moved_rows

if TYPE_CHECKING:
    from rich.console import Console

    from xent_cli.core.statistics.comparison import Comparison

# The colour adds nothing to the sign.
_STYLES = {"lower": "green", "higher": "red"}


def print_comparison(console: Console, comparison: Comparison) -> None:
    """Print a table of figures for each candidate, and one of the samples that changed most."""
    for candidate in comparison.candidates:
        console.print(escape(heading(comparison, candidate)), style="bold", soft_wrap=True)
        table = _table(heads(comparison))
        for change in candidate.changes:
            table.add_row(*map(escape, cells(change)), style=_STYLES.get(change.mark))
        by = None
        for change in candidate.slices:
            if change.by != by:
                table.add_section()
                by = change.by
            table.add_row(*map(escape, cells(change)), style=_STYLES.get(change.mark))
        console.print(table)
        if candidate.moved:
            table = _table(moved_heads(comparison, candidate))
            for row in moved_rows(comparison, candidate):
                table.add_row(*map(escape, row))
            console.print(table)
    console.print(escape(footnote(comparison)), soft_wrap=True)


def _table(names: list[str]) -> Table:
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False)
    for name in names:
        table.add_column(escape(name), justify="left" if name == "metric" else "right", overflow="fold")
    return table
