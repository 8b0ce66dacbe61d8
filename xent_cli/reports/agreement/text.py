"""The verdict on a kernel as lines of `metric<TAB>value`, at full precision."""

from __future__ import annotations

from typing import TYPE_CHECKING

from xent_cli.core.number_text import plain_value

if TYPE_CHECKING:
    from xent_cli.core.verify.error_totals import Agreement, Extreme, WorstRow


def plain_agreements(agreements: tuple[Agreement, ...]) -> str:
    """Return one line per figure; lines of maxima and worst rows also contain the sample and the class."""
    passed = all(agreement.errors.passed for agreement in agreements)
    lines = [f"verdict\t{'pass' if passed else 'fail'}"]
    for agreement in agreements:
        lines += [f"{agreement.name}.{line}" for line in agreement_lines(agreement)]
    return "\n".join(lines) + "\n"


def agreement_lines(agreement: Agreement) -> list[str]:
    """Return one line per figure of a candidate."""
    errors, tolerance = agreement.errors, agreement.tolerance
    figures = {"dtype": tolerance.dtype}
    limits = ("rtol", "atol") if tolerance.max_ulp is None else ("max_ulp",)
    figures |= {name: plain_value(getattr(tolerance, name)) for name in limits}
    counts = ("n_rows", "n_ignored", "n_values", "n_mismatched", "n_mismatched_rows", "n_nonfinite")
    figures |= {name: str(getattr(errors, name)) for name in (*counts, "n_ignored_mismatched")}
    extremes = {"max_abs_error": errors.max_abs, "max_rel_error": errors.max_rel, "max_ulp_error": errors.max_ulp}
    figures |= {
        name: "\t".join([plain_value(found.value), *_place(found, agreement)])
        for name, found in extremes.items()
        if found is not None
    }
    for rank, row in enumerate(errors.worst, 1):
        values = f"found {plain_value(row.found)}", f"expected {plain_value(row.expected)}"
        figures[f"worst_{rank}"] = "\t".join([*_place(row, agreement), *values])
    return [f"{name}\t{value}" for name, value in figures.items()]


def _place(at: Extreme | WorstRow, agreement: Agreement) -> list[str]:
    if not agreement.by_row:
        return []
    return [f"sample {at.sample}", *([] if at.column is None else [f"class {at.column}"])]
