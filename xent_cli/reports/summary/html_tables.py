"""The tables of the page."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from xent_cli.core.number_text import check_cells
from xent_cli.reports.html_grid import (
    MOST_ROWS,
    ROOM_OF_SLICES,
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
    from collections.abc import Iterable, Mapping

    from xent_cli.reports.details import Details
    from xent_cli.reports.interface import Document

_FIGURES = ("n_samples", "mean_loss", "p50_loss", "p99_loss", "max_loss", "accuracy")
_FATES = ("n_ok", "n_imprecise", "n_underflow", "n_overflow")
_MOST_CONFUSIONS, _LARGEST_MATRIX, _ROOM_OF_A_MATRIX = 15, 30, 60_000
_LONGEST_HEAD = 12


def checks(document: Document) -> Grid | None:
    """Return the verdict on each limit, those that fail first."""
    if document.checks is None:
        return None
    heads = ("metric", "verdict", "kind", "limit", "observed", "baseline", "delta")
    rows = (
        (
            cell(entry["metric"]),
            Cell("PASS", kind="pass") if entry["passed"] else Cell("FAIL", kind="fail"),
            cell(entry["kind"]),
            *(Cell(text) for text in check_cells(entry)),
        )
        for entry in sorted(document.checks, key=lambda entry: bool(entry["passed"]))
    )
    return grid_of("Checks", heads, rows, wide=True)


def summary(document: Document) -> Grid:
    """Return every figure, next to the baseline's if there is a baseline."""
    now = document.summary.as_dict()
    before = document.baseline
    if before is None:
        return grid_of("Summary", ("figure", "value"), ((Cell(name), Cell(number(now[name]))) for name in now))
    rows = ((Cell(name), Cell(number(now[name])), *baseline_cells(now[name], before.get(name))) for name in now)
    return grid_of("Summary", ("figure", "value", "baseline", "change"), rows)


def baseline_cells(now: Any, before: Any) -> tuple[Cell, Cell]:
    """Return the baseline's value of a figure and the change since; both empty if either value is not a number."""
    if type(now) not in (int, float) or type(before) not in (int, float):
        return Cell(""), Cell("")
    change = now - before
    return Cell(number(before)), Cell(f"{change:+,}" if isinstance(change, int) else f"{change:+.6g}")


def confusions(details: Details | None) -> Iterable[Grid]:
    """Return the most frequent wrong predictions."""
    if details is None or details.calibration is None:
        return
    counted, names, first = details.calibration.confusions, details.class_names, details.first_class
    found = counted.highest(_MOST_CONFUSIONS)
    if not found:
        return
    labels = details.calibration.by_class
    at_label = dict(zip(labels.groups.tolist(), labels.counts.tolist(), strict=True))
    rows = (
        (
            class_cell(c.label + first, names, first),
            class_cell(c.predicted + first, names, first),
            Cell(f"{c.samples:,}"),
            Cell(number(c.samples / at_label[c.label]), share=c.samples / at_label[c.label]),
        )
        for c in found
    )
    yield grid_of("Most frequent confusions", ("label", "predicted", "samples", "share of the label"), rows)


def confusion_matrix(details: Details | None) -> Iterable[Grid]:
    """Return the samples by label and prediction, if there are only a few classes."""
    if details is None or details.calibration is None or not 2 <= details.num_classes <= _LARGEST_MATRIX:
        return
    k, names, first = details.num_classes, details.class_names, details.first_class
    heads = ("label", *(short(class_cell(j + first, names, first).text, _LONGEST_HEAD) for j in range(k)))
    rows = (
        (
            class_cell(j + first, names, first),
            *(Cell(f"{n:,}" if n else "", share=n / max(1, sum(row)), kind="heat") for n in row),
        )
        for j, row in enumerate(details.calibration.confusions.matrix(k).tolist())
    )
    yield grid_of("Confusion matrix: labels down, predictions across", heads, rows, wide=True, room=_ROOM_OF_A_MATRIX)


def by_class(details: Details | None) -> Iterable[Grid]:
    """Return the classes with the highest mean losses."""
    if details is None or details.calibration is None:
        return
    found = details.calibration.worst_classes(MOST_ROWS)
    top = max((c.mean_loss for c in found if c.mean_loss < float("inf")), default=0.0)
    names = details.class_names
    rows = (
        (
            class_cell(c.label + details.first_class, names, details.first_class),
            Cell(number(c.mean_loss), share=share_of(c.mean_loss, top)),
            Cell(f"{c.samples:,}"),
            Cell(number(c.correct / c.samples), share=c.correct / c.samples),
        )
        for c in found
    )
    grid = grid_of("Loss by class, highest first", ("class", "mean loss", "samples", "accuracy"), rows)
    yield grid._replace(beyond=details.calibration.by_class.groups.size - len(grid.rows))


def reliability(details: Details | None) -> Iterable[Grid]:
    """Return confidence, accuracy and number of samples by bin."""
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


def slices(document: Document) -> Iterable[Grid]:
    """Return the figures of each slice, the highest mean loss of each column first."""
    if not document.slices:
        return
    figures = [(entry, entry["summary"].as_dict()) for entry in document.slices]
    figures.sort(key=lambda pair: (str(pair[0]["by"]), -_rank(pair[1]["mean_loss"])))
    intervals = any("ci_low" in found for _, found in figures)
    top = max((found["mean_loss"] for _, found in figures if found["mean_loss"] < float("inf")), default=0.0)
    rows = (
        (
            cell(f"{entry['by']} = {entry['value'] or ''}"),
            *(
                Cell(number(found.get(name)), share=share_of(found[name], top) if name == "mean_loss" else None)
                for name in _FIGURES
            ),
            *([_interval(found)] if intervals else []),
        )
        for entry, found in figures
    )
    heads = ("slice", *(name.replace("_", " ") for name in _FIGURES), *(["interval of the mean"] if intervals else []))
    yield grid_of("Loss by slice, highest first", heads, rows, wide=True, room=ROOM_OF_SLICES)


def _rank(loss: float) -> float:
    """Return a sort key in which NaN is above infinity."""
    return loss if loss == loss else float("inf")


def _interval(found: Mapping[str, Any]) -> Cell:
    low, high = found.get("ci_low"), found.get("ci_high")
    return Cell("" if low is None or high is None or low != low else f"{number(low)} to {number(high)}")


def overflow(document: Document) -> Iterable[Grid]:
    """Return how often the textbook and the stable formula fail in each dtype."""
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
    yield grid_of("Overflow map by float type", heads, rows, wide=True)


def worst(details: Details | None) -> Iterable[Grid]:
    """Return the samples with the highest losses, and what was predicted for them."""
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
            *([_confidence(s.confidence)] if predicted else []),
        )
        for s in details.worst
    )
    yield grid_of("Worst samples", heads, rows)


def _confidence(share: float | None) -> Cell:
    return Cell("") if share is None else Cell(number(share), share=share_of(share, 1.0))


def inputs(document: Document) -> Grid:
    """Return what was read."""
    rows = (
        (
            cell(role),
            cell(given.path),
            cell(given.format),
            cell(" x ".join("?" if n is None else str(n) for n in given.shape)),
            cell(given.dtype),
        )
        for role, given in document.inputs.items()
    )
    return grid_of("Inputs", ("input", "path", "format", "shape", "dtype"), rows, wide=True)
