"""The summary document as one self-contained page: no scripts, no addresses, below 300 KiB for any input."""

from __future__ import annotations

from importlib import resources
from typing import TYPE_CHECKING, NamedTuple

from jinja2 import Environment, StrictUndefined
from markupsafe import Markup

from xent_cli.core.diagnostics import notes_of, warnings_of
from xent_cli.core.number_text import check_cells
from xent_cli.core.totals.histogram import BARS, HUGE, TINY, edge_texts, histogram
from xent_cli.reports.summary import plot
from xent_cli.reports.summary.html_grid import (
    MOST_ROWS,
    Cell,
    Grid,
    cell,
    class_cell,
    grid_of,
    number,
    share_of,
    short,
)

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from xent_cli.core.diagnostics import Diagnostic
    from xent_cli.reports.interface import Details, Document

_LONGEST_SENTENCE, _MOST_REMARKS = 300, 20
_POINTS = 150
_FIGURES = ("n_samples", "mean_loss", "ci_low", "ci_high", "p50_loss", "p99_loss", "max_loss", "accuracy")
_FATES = ("n_ok", "n_imprecise", "n_underflow", "n_overflow")


class Picture(NamedTuple):
    """A drawing and its caption."""

    title: str
    svg: Markup
    caption: str


def render(document: Document) -> str:
    """Return a page with verdict, rounded figures, pictures and tables; rows without room are counted.

    Equal documents give equal bytes.
    """
    source = resources.files("xent_cli.reports.summary").joinpath("report.html.jinja").read_text(encoding="utf-8")
    environment = Environment(autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True)
    checks = document.checks
    failed = sum(not entry["passed"] for entry in checks or ())
    details = document.details
    return environment.from_string(source).render(
        title=_title(document, failed),
        failed=failed,
        checked=checks is not None,
        checks=_checks(document),
        warnings=_remarks(warnings_of(document.diagnostics)),
        notes=_remarks(notes_of(document.diagnostics)),
        headline=_headline(document),
        summary=_summary(document),
        pictures=[] if details is None else _pictures(details),
        grids=[*_by_class(details), *_slices(document), *_overflow(document), *_worst(details), *_reliability(details)],
        inputs=_inputs(document),
        version=document.version,
        signature=short(document.signature, 500),
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


def _checks(document: Document) -> Grid | None:
    if document.checks is None:
        return None
    heads = ("metric", "verdict", "kind", "limit", "observed", "baseline", "delta")
    rows = (
        (
            cell(entry["metric"]),
            Cell("PASS", kind="pass") if entry["passed"] else Cell("FAIL", kind="fail"),
            *(cell(text) for text in (entry["kind"], *check_cells(entry))),
        )
        for entry in sorted(document.checks, key=lambda entry: bool(entry["passed"]))
    )
    return grid_of("Checks", heads, rows)


def _headline(document: Document) -> list[tuple[str, str]]:
    figures = document.summary.as_dict()
    names = ("mean_loss", "perplexity", "accuracy", "p99_loss", "n_samples")
    return [(name, number(figures[name])) for name in names if name in figures]


def _summary(document: Document) -> Grid:
    rows = ((Cell(name), Cell(number(value))) for name, value in document.summary.as_dict().items())
    return grid_of("Summary", ("figure", "value"), rows)


def _pictures(details: Details) -> list[Picture]:
    found = histogram(details.losses, BARS)
    drawn = []
    special = (
        (f"below {TINY:.1g}", found.n_tiny),
        (f"above {HUGE:.1g} or infinite", found.n_huge),
        ("NaN", found.n_nan),
    )
    beyond = "".join(f" Not drawn: {n:,} {what}." for what, n in special if n)
    if found.bars:
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


def _by_class(details: Details | None) -> Iterable[Grid]:
    if details is None or details.calibration is None:
        return
    found = details.calibration.worst_classes(MOST_ROWS)
    top = max((c.mean_loss for c in found if c.mean_loss < float("inf")), default=0.0)
    names = details.class_names
    rows = (
        (
            class_cell(c.label, names),
            Cell(number(c.mean_loss), share=share_of(c.mean_loss, top)),
            Cell(f"{c.samples:,}"),
            Cell(number(c.correct / c.samples), share=c.correct / c.samples),
        )
        for c in found
    )
    grid = grid_of("Loss by class, highest first", ("class", "mean loss", "samples", "accuracy"), rows)
    yield grid._replace(beyond=details.calibration.by_class.groups.size - len(grid.rows))


def _reliability(details: Details | None) -> Iterable[Grid]:
    if details is None or details.calibration is None or not (bins := details.calibration.reliability()):
        return
    rows = (
        (
            Cell(f"{b.low:.3f} to {b.high:.3f}"),
            Cell(f"{b.samples:,}"),
            Cell(number(b.confidence), share=b.confidence),
            Cell(number(b.correct / b.samples), share=b.correct / b.samples),
        )
        for b in bins
    )
    yield grid_of("Confidence and accuracy", ("confidence", "samples", "mean confidence", "accuracy"), rows)


def _slices(document: Document) -> Iterable[Grid]:
    if not document.slices:
        return
    figures = [(entry, entry["summary"].as_dict()) for entry in document.slices]
    top = max((found["mean_loss"] for _, found in figures if found["mean_loss"] < float("inf")), default=0.0)
    rows = (
        (
            cell(f"{entry['by']} = {entry['value'] or ''}"),
            *(
                Cell(number(found.get(name)), share=share_of(found[name], top) if name == "mean_loss" else None)
                for name in _FIGURES
            ),
        )
        for entry, found in figures
    )
    yield grid_of("Loss by slice", ("slice", *(name.replace("_", " ") for name in _FIGURES)), rows)


def _overflow(document: Document) -> Iterable[Grid]:
    if not document.formulas:
        return
    kinds = ("good", "poor", "bad", "bad")
    rows = []
    for entry in document.formulas:
        for name, totals in (("textbook", entry.naive), ("stable", entry.stable)):
            counts = [getattr(totals, fate) for fate in _FATES]
            n = sum(counts) or 1
            cells = (
                Cell(f"{count:,}", share=count / n, kind=kind if count else "")
                for count, kind in zip(counts, kinds, strict=True)
            )
            first = "" if totals.first_row is None else str(totals.first_row)
            rows.append((Cell(f"{entry.dtype}, {name}"), *cells, Cell(first), Cell(number(entry.max_safe_logit))))
    heads = ("dtype, formula", "ok", "imprecise", "inf", "NaN", "first row", "largest safe logit")
    yield grid_of("Overflow map by float type", heads, rows)


def _worst(details: Details | None) -> Iterable[Grid]:
    if details is None or not details.worst:
        return
    named = details.id_name is not None
    labelled = any(sample.label is not None for sample in details.worst)
    predicted = any(sample.predicted is not None for sample in details.worst)
    names = details.class_names
    heads = ("sample", *(["id"] if named else []), *(["label"] if labelled else []), details.worst_by)
    heads += ("predicted", "confidence") if predicted else ()
    rows = (
        (
            Cell(str(s.sample)),
            *([cell(s.id or "")] if named else []),
            *([class_cell(s.label, names, details.first_class)] if labelled else []),
            Cell(number(s.loss)),
            *([class_cell(s.predicted, names, details.first_class)] if predicted else []),
            *([Cell(number(s.confidence), share=s.confidence)] if predicted else []),
        )
        for s in details.worst
    )
    yield grid_of("Worst samples", heads, rows)


def _inputs(document: Document) -> Grid:
    rows = (
        (
            cell(role),
            cell(given.path),
            cell(given.format),
            Cell(" x ".join("?" if n is None else str(n) for n in given.shape)),
            cell(given.dtype),
        )
        for role, given in document.inputs.items()
    )
    return grid_of("Inputs", ("input", "path", "format", "shape", "dtype"), rows)
