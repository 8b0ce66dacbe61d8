"""A comparison as one self-contained page."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, NamedTuple

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
from xent_cli.reports.html_grid import ROOM, ROOM_OF_SLICES, Cell, Grid, cell, grid_of, number, short
from xent_cli.reports.page import render_page

if TYPE_CHECKING:
    from collections.abc import Sequence

    from xent_cli.core.statistics.comparison import Change, Comparison, ModelChange

_LONGEST_SENTENCE, _MOST_REMARKS, _MOST_CANDIDATES = 300, 20, 12
_HEADLINE = ("mean_loss", "perplexity", "accuracy", "p99_loss", "kl_divergence", "bits_per_unit")


class _Candidate(NamedTuple):
    title: str
    headline: list[tuple[str, str, str, str]]
    flips: str
    grids: list[Grid]


def render(comparison: Comparison, command: str, created: str) -> str:
    """Return a page with the main changes of each candidate, all figures, and the samples that changed most."""
    several = len(comparison.candidates) > 1
    names = [candidate.model.label for candidate in comparison.candidates]
    return render_page(
        "comparison/report.html.jinja",
        title=_title(comparison),
        subtitle=short(f"{', '.join(names)} against {comparison.baseline.label}", _LONGEST_SENTENCE),
        created=created,
        command=short(command, 500),
        version=comparison.version,
        remarks=[(d.code, short(d.message, _LONGEST_SENTENCE)) for d in comparison.diagnostics[:_MOST_REMARKS]],
        overview=_overview(comparison) if several else None,
        candidates=[_candidate(comparison, candidate) for candidate in comparison.candidates[:_MOST_CANDIDATES]],
        footnote=footnote(comparison),
    )


def _title(comparison: Comparison) -> str:
    """Return a headline that says whether the mean loss of a single candidate changed."""
    if len(comparison.candidates) > 1:
        return f"xent compare: {len(comparison.candidates)} candidates"
    change = comparison.candidates[0].changes[0]
    words = {"lower": "lower than the baseline's", "higher": "higher than the baseline's", "~": "no difference found"}
    if change.mark not in words:
        words[change.mark] = "the same as the baseline's" if change.delta == 0 else "compared"
        if math.isnan(change.delta):
            words[change.mark] = "without a finite difference"
    return f"xent compare: {change.metric} {words[change.mark]}"


def _candidate(comparison: Comparison, candidate: ModelChange) -> _Candidate:
    shown = {change.metric: change for change in candidate.changes}
    headline = [_card(shown[name]) for name in _HEADLINE if name in shown]
    grids = [_changes("All figures", candidate.changes, comparison)]
    if candidate.slices:
        grids.append(_changes("Mean loss by slice", candidate.slices, comparison, room=ROOM_OF_SLICES))
    if candidate.moved:
        rows = ((Cell(row[0]), *map(cell, row[1:])) for row in moved_rows(comparison, candidate))
        grids.append(grid_of("Samples that changed most", moved_heads(comparison, candidate), rows, wide=True))
    flips = "" if candidate.flips is None else flips_text(candidate.flips)
    return _Candidate(heading(comparison, candidate), headline, flips, grids)


def _card(change: Change) -> tuple[str, str, str, str]:
    interval = f"change {change.low:+.6g} to {change.high:+.6g}" if change.low == change.low else ""
    by = "" if math.isnan(change.delta) else f" ({change.delta:+.6g})"
    return change.metric, number(change.candidate), interval, f"was {number(change.baseline)}{by}"


def _overview(comparison: Comparison) -> Grid:
    rows = [
        (cell(row[0]), *_coloured(candidate.changes[0], row[1:]))
        for candidate, row in zip(comparison.candidates, overview(comparison), strict=True)
    ]
    return grid_of("Mean loss of each candidate", overview_heads(comparison), rows, wide=True)


def _changes(caption: str, changes: Sequence[Change], comparison: Comparison, room: int = ROOM) -> Grid:
    rows = (
        (cell(texts[0]), *_coloured(change, texts[1:]))
        for change, texts in ((change, cells(change, comparison)) for change in changes)
    )
    return grid_of(caption, heads(comparison), rows, wide=True, room=room)


def _coloured(change: Change, texts: Sequence[str]) -> list[Cell]:
    """Return the cells of a change; the colour of the difference says whether it is better or worse."""
    kind = ""
    if change.mark in ("lower", "higher"):
        kind = "pass" if (change.mark == "higher") == more_is_better(change.metric) else "fail"
    return [Cell(text, kind=kind if place == 2 else "") for place, text in enumerate(texts)]
