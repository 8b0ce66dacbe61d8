"""A comparison as JUnit XML: a candidate that is worse beyond chance is a failure."""

from __future__ import annotations

from typing import TYPE_CHECKING

from xent_cli.core.metrics import more_is_better
from xent_cli.reports.comparison.text import cells, footnote, heading
from xent_cli.reports.junit import Case, junit

if TYPE_CHECKING:
    from xent_cli.core.statistics.comparison import Change, Comparison, ModelChange


def render(comparison: Comparison) -> str:
    """Return one test case for each figure that is tested, of each candidate; it fails if the change is for the worse.

    Figures without an interval are properties, not test cases.
    """
    cases = [
        _case(comparison, candidate, change)
        for candidate in comparison.candidates
        for change in (*candidate.changes, *candidate.slices)
        if change.mark
    ]
    return junit("xent compare", "xent.compare", _facts(comparison), cases or [Case("the results were compared")])


def _case(comparison: Comparison, candidate: ModelChange, change: Change) -> Case:
    name, *figures = cells(change)
    worse = change.mark == ("lower" if more_is_better(change.metric) else "higher")
    message = f"{heading(comparison, candidate)}: {name} {' '.join(figures)}"
    return Case(f"{candidate.model.label}: {name}", ("worse", message) if worse else None)


def _facts(comparison: Comparison) -> list[tuple[str, str]]:
    """Return what was compared and how, and every figure of each candidate."""
    facts = [
        ("xent_version", comparison.version),
        ("baseline", comparison.baseline.path),
        ("test", footnote(comparison)),
    ]
    facts += [(diagnostic.code, diagnostic.message) for diagnostic in comparison.diagnostics]
    for candidate in comparison.candidates:
        facts += [(f"{candidate.model.label}.{change.metric}", str(change.candidate)) for change in candidate.changes]
    return facts
