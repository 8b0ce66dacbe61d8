"""Tables for people, on a terminal."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

from rich import box
from rich.table import Table

from xent_cli.core.number_text import check_cells, rounded
from xent_cli.core.totals.histogram import HUGE, TINY, edge_texts
from xent_cli.reports.tables import print_table, safe

if TYPE_CHECKING:
    from collections.abc import Mapping

    from rich.console import Console

    from xent_cli.core.kernel.textbook_formula import FormulaTotals
    from xent_cli.core.row_columns import RowFormat
    from xent_cli.core.totals.histogram import Histogram
    from xent_cli.core.totals.summary import WorstSample

# How many values of a column are shown.
_SLICES = 20
# Width of the longest bar of a histogram, and of that on a narrow terminal; blanks between the columns and around them.
_WIDEST, _NARROWEST, _BLANKS = 30, 4, 8


def print_summary(console: Console, summary: Mapping[str, float | int | bool | None]) -> None:
    """Print every figure of a summary, rounded."""
    texts = {
        name: "" if value is None else rounded(value) if isinstance(value, float) else str(value).lower()
        for name, value in summary.items()
    }
    print_table(console, ["metric", "value"], list(texts.items()))


def print_histogram(console: Console, losses: Histogram) -> None:
    """Print the histogram, a bar and a count per bin; bars use eighths of blocks if the terminal can show them."""
    top = max((bar.samples for bar in losses.bars), default=0)
    special = ((f"0 to {TINY:.1g}", losses.n_tiny), (f"{HUGE:.1g} to inf", losses.n_huge), ("nan", losses.n_nan))
    edges = edge_texts(losses)
    rows = [(f"{low} to {high}", bar.samples) for low, high, bar in zip(edges, edges[1:], losses.bars, strict=False)]
    shown = [(name, count) for name, count in [*special[:1], *rows, *special[1:]] if count or (name, count) in rows]
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False)
    table.add_column("loss", justify="right", overflow="fold")
    table.add_column("samples", justify="right", overflow="fold")
    table.add_column("", overflow="fold")
    # A bar that were cut would look as long as others.
    names, counts = ["loss", *(name for name, _ in shown)], ["samples", *(str(count) for _, count in shown)]
    beside = max(map(len, names)) + max(map(len, counts)) + _BLANKS
    widest = max(_NARROWEST, min(_WIDEST, console.width - beside))
    for name, count in shown:
        share = min(1.0, count / top) if top else 0.0
        table.add_row(name, str(count), _blocks(share, widest, console.options.ascii_only))
    console.print(table)


def _blocks(share: float, widest: int, ascii_only: bool) -> str:
    eighths = max(1, round(share * widest * 8)) if share else 0
    if ascii_only:
        return "#" * -(-eighths // 8)
    return "█" * (eighths // 8) + " ▏▎▍▌▋▊▉"[eighths % 8].strip()


def print_worst(console: Console, worst: tuple[WorstSample, ...], columns: RowFormat, by: str = "loss") -> None:
    """Print the highest losses, or values of another figure `by`, with the predictions if there is room."""
    predicted = any(sample.predicted is not None for sample in worst)
    heads = ["worst", "sample", *([] if columns.id_name is None else [columns.id_name]), *_label_head(columns), by]
    heads += ["predicted", "confidence"] if predicted else []
    rows = []
    for rank, sample in enumerate(worst, 1):
        cells = [str(rank), str(sample.sample)]
        cells += [sample.id or ""] if columns.id_name is not None else []
        cells += [_class(sample.label, columns.class_names)] if columns.labelled else []
        cells += [rounded(sample.loss)]
        if predicted:
            sure = "" if sample.confidence is None else rounded(sample.confidence)
            cells += [_class(sample.predicted, columns.predicted_names), sure]
        rows.append(cells)
    print_table(console, heads, rows, expendable=("confidence", "predicted", "worst"))


def _class(number: int | None, names: tuple[str, ...] | None) -> str:
    return "" if number is None else str(number) if names is None else names[number]


def print_slices(console: Console, slices: tuple[Mapping[str, Any], ...]) -> None:
    """Print the main figures for each value of each column; only the first values if there are many."""
    every_one = [entry["summary"].as_dict() for entry in slices]
    tops = [name for name in ("accuracy", "bits_per_unit") if any(found.get(name) is not None for found in every_one)]
    for column in dict.fromkeys(entry["by"] for entry in slices):
        entries = [entry for entry in slices if entry["by"] == column]
        rows = []
        for entry in entries[:_SLICES]:
            found = entry["summary"]
            mean, *others = (
                "" if math.isnan(x) and not found.n_samples else rounded(x)
                for x in (found.mean_loss, found.max_loss, *(_number(found.as_dict().get(name)) for name in tops))
            )
            interval = "" if math.isnan(found.ci_low) else f"{rounded(found.ci_low)} to {rounded(found.ci_high)}"
            rows.append([entry["value"] or "", str(found.n_samples), mean, interval, *others])
        heads = [column, "samples", "mean loss", "95 % interval", "max loss", *(top.replace("_", " ") for top in tops)]
        print_table(console, heads, rows, expendable=("max loss", "95 % interval", "samples"))
        if len(entries) > _SLICES:
            name = safe(column)
            console.print(
                f"{len(entries) - _SLICES} of {len(entries)} values of {name} not shown; -f json has them all"
            )


def _number(value: float | None) -> float:
    return math.nan if value is None else value


def print_overflow(console: Console, formulas: tuple[FormulaTotals, ...]) -> None:
    """Print how often the textbook and the stable formula fail in each dtype."""
    heads = ("dtype", "formula", "ok", "imprecise", "inf", "nan", "first", "worst", "max error", "max safe logit")
    rows = []
    for entry in formulas:
        for name, fate in (("textbook", entry.naive), ("stable", entry.stable)):
            counts = (fate.n_ok, fate.n_imprecise, fate.n_underflow, fate.n_overflow)
            places = ("" if row is None else str(row) for row in (fate.first_row, fate.worst_row))
            error = rounded(fate.max_abs_error)
            rows.append([entry.dtype, name, *map(str, counts), *places, error, rounded(entry.max_safe_logit)])
    print_table(console, heads, rows, expendable=("first", "worst", "max error", "max safe logit"))


def print_checks(console: Console, checks: tuple[Mapping[str, Any], ...]) -> None:
    """Print the verdict on each limit, with enough digits to show the difference."""
    compared = any("baseline" in entry for entry in checks)
    heads = ["metric", "kind", "limit", "observed", *(("baseline", "delta") if compared else ()), "verdict"]
    words = ["PASS" if entry["passed"] else "FAIL" for entry in checks]
    rows = [
        [entry["metric"], entry["kind"], *check_cells(entry)[: 4 if compared else 2], word]
        for entry, word in zip(checks, words, strict=True)
    ]
    styles = [None if entry["passed"] else "bold" for entry in checks]
    print_table(console, heads, rows, expendable=("kind", "delta", "baseline"), all_digits=True, styles=styles)


def _label_head(columns: RowFormat) -> list[str]:
    return ["label"] if columns.labelled else []
