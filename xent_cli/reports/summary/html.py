"""The summary document as one self-contained page: no scripts, no addresses, below 300 KiB for any input."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from markupsafe import Markup

from xent_cli.core.diagnostics import notes_of, warnings_of
from xent_cli.core.totals.histogram import BARS, HUGE, TINY, edge_texts, histogram
from xent_cli.reports.html_grid import number, short
from xent_cli.reports.page import render_page
from xent_cli.reports.summary import html_tables, plot

if TYPE_CHECKING:
    from collections.abc import Sequence

    from xent_cli.core.diagnostics import Diagnostic
    from xent_cli.reports.details import Details
    from xent_cli.reports.interface import Document

_LONGEST_SENTENCE, _MOST_REMARKS = 300, 20
_POINTS = 150
_HEADLINE = (
    *("mean_loss", "perplexity", "kl_divergence", "kl_high", "kl_face_value"),
    *("accuracy", "p99_loss", "ece", "brier", "n_samples"),
)


class Picture(NamedTuple):
    """A drawing and its caption."""

    title: str
    svg: Markup
    caption: str


def render(document: Document) -> str:
    """Return a page with verdict, rounded figures, pictures and tables; rows that do not fit are counted.

    Equal documents give equal bytes.
    """
    checks = document.checks
    failed = sum(not entry["passed"] for entry in checks or ())
    details = document.details
    return render_page(
        "summary/report.html.jinja",
        title=_title(document, failed),
        subtitle=_subtitle(document),
        failed=failed,
        checked=checks is not None,
        reasons=[short(entry["message"], _LONGEST_SENTENCE) for entry in checks or () if not entry["passed"]],
        checks=html_tables.checks(document),
        warnings=_remarks(warnings_of(document.diagnostics)),
        notes=_remarks(notes_of(document.diagnostics)),
        headline=_headline(document),
        pictures=[] if details is None else _pictures(details),
        grids=[
            *html_tables.slices(document),
            *html_tables.worst(details),
            *html_tables.confusions(details),
            *html_tables.by_class(details),
            html_tables.summary(document),
            *html_tables.confusion_matrix(details),
            *html_tables.overflow(document),
            *html_tables.reliability(details),
            html_tables.inputs(document),
        ],
        command="" if details is None else short(details.command, 500),
        created="" if details is None else details.created,
        version=document.version,
        signature=short(document.signature, 300),
    )


def _remarks(diagnostics: Sequence[Diagnostic]) -> list[tuple[str, str]]:
    return [
        (diagnostic.code, short(diagnostic.message, _LONGEST_SENTENCE)) for diagnostic in diagnostics[:_MOST_REMARKS]
    ]


def _title(document: Document, failed: int) -> str:
    count = len(document.checks or ())
    if document.checks is None:
        return "xent report"
    return f"xent FAIL: {failed} of {count} checks" if failed else f"xent PASS: {count} checks"


def _subtitle(document: Document) -> str:
    """Return the name of each input."""
    names = dict.fromkeys(short(given.path.rstrip("/").rsplit("/", 1)[-1], 80) for given in document.inputs.values())
    first, *others = names
    return f"{first} with {' and '.join(others)}" if others else first


def _headline(document: Document) -> list[tuple[str, str, str, str]]:
    """Return the main figures: name, value, the interval around it, and the baseline's with the change since."""
    figures, before = document.summary.as_dict(), document.baseline or {}
    found = []
    for name in (name for name in _HEADLINE if figures.get(name) is not None):
        was, change = (cell.text for cell in html_tables.baseline_cells(figures[name], before.get(name)))
        low, high = (figures.get(end) for end in ("ci_low", "ci_high"))
        around = f"{number(low)} to {number(high)}" if name == "mean_loss" and low is not None and low == low else ""
        found.append(
            (name, number(figures[name]), around, f"was {was} ({change})" if was and name != "n_samples" else "")
        )
    return found


def _pictures(details: Details) -> list[Picture]:
    found = histogram(details.losses, BARS)
    drawn = []
    special = (
        (f"below {TINY:.1g}", found.n_tiny),
        (f"above {HUGE:.1g} or infinite", found.n_huge),
        ("NaN", found.n_nan),
    )
    beyond = "".join(f" Not drawn: {n:,} {what}." for what, n in special if n)
    lowest, highest = details.losses.quantiles([0.0, 1.0]) if found.bars else (0.0, 0.0)
    if found.bars and lowest == highest:  # a picture of one bar would suggest a range, but there is none
        all_losses = "The only loss is" if found.size == 1 else "All losses are"
        drawn.append(Picture("Losses", Markup(), f"{all_losses} {number(lowest)} nats.{beyond}"))
    elif found.bars:
        edges = edge_texts(found)
        at = max(range(len(found.bars)), key=lambda i: found.bars[i].samples)
        caption = (
            f"Histogram of {found.size:,} losses from {edges[0]} to {edges[-1]} nats; the highest bar,"
            f" {found.bars[at].samples:,} samples, stands from {edges[at]} to {edges[at + 1]}.{beyond}"
        )
        drawn.append(Picture("Losses", Markup(plot.histogram_svg(found, caption)), caption))
        middle, high = details.losses.quantiles([0.5, 0.9])
        caption = f"Half of the samples have a loss of at most {middle:.3g} nats, 90 % of at most {high:.3g}."
        fine = histogram(details.losses, _POINTS)
        drawn.append(Picture("Share of samples below a loss", Markup(plot.cumulative_svg(fine, caption)), caption))
    if details.divergence is not None and (found := histogram(details.divergence, BARS)).bars:
        middle, high = details.divergence.quantiles([0.5, 0.99])
        known = f", {details.divergence_known}" if details.divergence_known else ""
        caption = (
            f"KL divergence from the teacher{known}: median {middle:.3g} nats, 99 % of samples at most {high:.3g}."
        )
        drawing = plot.histogram_svg(found, caption, name="divergence", label=f"KL divergence{known} in nats")
        drawn.append(Picture(f"KL divergence{known}", Markup(drawing), caption))
    if details.calibration is not None and (bins := details.calibration.reliability()):
        error = details.calibration.ece
        shape = "equal mass" if details.calibration.binning.by_mass else "equal width"
        sure = sum(b.samples * b.confidence for b in bins) / sum(b.samples for b in bins)
        right = sum(b.correct for b in bins) / sum(b.samples for b in bins)
        caption = (
            f"Reliability: expected calibration error {error:.4g} ({details.calibration.binning.bins} bins of {shape});"
            f" mean confidence {sure:.4g}, accuracy {right:.4g}."
        )
        drawn.append(Picture("Reliability", Markup(plot.reliability_svg(bins, caption)), caption))
    return drawn
