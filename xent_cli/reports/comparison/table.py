"""A comparison as tables for a terminal."""

from __future__ import annotations

from itertools import pairwise
from typing import TYPE_CHECKING

from rich.markup import escape

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
from xent_cli.reports.tables import print_table

if TYPE_CHECKING:
    from rich.console import Console

    from xent_cli.core.statistics.comparison import Change, Comparison


def print_comparison(console: Console, comparison: Comparison) -> None:
    """Print a table of figures for each candidate, and one of the samples that changed most."""
    # Columns that a narrow terminal does without, in this order; "delta %" says whether a change may be chance.
    interval = next(head for head in heads(comparison) if head.endswith("interval"))
    expendable = ("n", "p", "delta", interval, "baseline", "candidate")
    if len(comparison.candidates) > 1:
        styles = [_style(candidate.changes[0]) for candidate in comparison.candidates]
        print_table(console, overview_heads(comparison), overview(comparison), expendable=expendable, styles=styles)
    for candidate in comparison.candidates:
        console.print(escape(heading(comparison, candidate)), style="bold", soft_wrap=True)
        changes = (*candidate.changes, *candidate.slices)
        print_table(
            console,
            heads(comparison),
            [cells(change, comparison) for change in changes],
            expendable=expendable,
            styles=[_style(change) for change in changes],
            sections=[place for place, (one, next_) in enumerate(pairwise(changes)) if one.by != next_.by],
        )
        if candidate.flips is not None:
            console.print(escape(flips_text(candidate.flips)) + "\n", soft_wrap=True)
        if candidate.moved:
            names = ("moved", "baseline", "candidate")
            print_table(
                console, moved_heads(comparison, candidate), moved_rows(comparison, candidate), expendable=names
            )
    console.print(escape(footnote(comparison)), soft_wrap=True)


def _style(change: Change) -> str | None:
    """Return the colour of a significant change, which adds nothing to its sign."""
    if change.mark not in ("lower", "higher"):
        return None
    better = "higher" if more_is_better(change.metric) else "lower"
    return "green" if change.mark == better else "red"
