"""A summary as lines of `metric<TAB>value`, at full precision."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from xent_cli.core.number_text import plain_value, spell
from xent_cli.errors import printable

if TYPE_CHECKING:
    from collections.abc import Mapping

    from xent_cli.core.kernel.textbook_formula import FormulaTotals
    from xent_cli.core.totals.summary import WorstSample

_COUNTS = ("n_ok", "n_imprecise", "n_underflow", "n_overflow", "first_row", "worst_row", "max_abs_error")


def plain_summary(summary: Mapping[str, float | int | bool | None]) -> str:
    """Return one line per figure."""
    return "".join(f"{name}\t{plain_value(value)}\n" for name, value in summary.items())


def plain_checks(checks: tuple[Mapping[str, Any], ...]) -> str:
    """Return one line per check: the verdict in one word, the limit, and the observed value."""
    lines = ["verdict\tmetric\tkind\tlimit\tobserved\tbaseline\tdelta\n"]
    for entry in checks:
        limit = entry["limit"] if isinstance(entry["limit"], str) else plain_value(entry["limit"])
        numbers = (plain_value(entry.get(name)) for name in ("observed", "baseline", "delta"))
        word = "PASS" if entry["passed"] else "FAIL"
        lines.append("\t".join([word, printable(entry["metric"]), entry["kind"], limit, *numbers]) + "\n")
    return "".join(lines)


def plain_slices(slices: tuple[Mapping[str, Any], ...]) -> str:
    """Return one line per slice: number of samples and mean loss."""
    from xent_cli.core.totals.slices import slice_name

    lines = []
    for entry in slices:
        for name in ("n_samples", "mean_loss"):
            figure = plain_value(getattr(entry["summary"], name))
            lines.append(f"{printable(slice_name(entry['by'], entry['value']))}:{name}\t{figure}\n")
    return "".join(lines)


def plain_worst(worst: tuple[WorstSample, ...]) -> str:
    """Return one line per high loss: rank, sample, id if there is one, loss."""
    lines = []
    for rank, sample in enumerate(worst, 1):
        named = [] if sample.id is None else [printable(sample.id)]
        lines.append("\t".join([f"worst_{rank}", str(sample.sample), *named, spell(sample.loss)]) + "\n")
    return "".join(lines)


def plain_overflow(formulas: tuple[FormulaTotals, ...]) -> str:
    """Return a table of how often the textbook and the stable formula fail in each dtype."""
    lines = ["dtype\tformula\t" + "\t".join(_COUNTS) + "\tmax_safe_logit\n"]
    for entry in formulas:
        for name, fate in (("textbook", entry.naive), ("stable", entry.stable)):
            cells = [plain_value(getattr(fate, count)) for count in _COUNTS]
            lines.append("\t".join([entry.dtype, name, *cells, spell(entry.max_safe_logit)]) + "\n")
    return "".join(lines)
