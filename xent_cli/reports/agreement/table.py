"""The verdict on a kernel as tables for people."""

from __future__ import annotations

from typing import TYPE_CHECKING

from xent_cli.core.number_text import rounded
from xent_cli.reports.tables import print_table

if TYPE_CHECKING:
    from rich.console import Console

    from xent_cli.core.verify.error_totals import Agreement, Extreme, WorstRow


def print_agreements(console: Console, agreements: tuple[Agreement, ...]) -> None:
    """Print, for each candidate, the verdict in a sentence, the largest errors and the worst rows."""
    for agreement in agreements:
        console.print(_sentence(agreement), style="bold green" if agreement.errors.passed else "bold red", markup=False)
        console.print(_details(agreement), markup=False)
        _print_errors(console, agreement)
        if agreement.errors.worst:
            _print_worst(console, agreement)


def _sentence(agreement: Agreement) -> str:
    errors = agreement.errors
    verdict = "PASS" if errors.passed else "FAIL"
    what = agreement.name if agreement.reduction == "none" else _reduced(agreement)
    if not agreement.by_row:
        return f"{verdict} {what}: {'within' if errors.passed else 'outside'} the tolerance"
    found = f"{verdict} {what}: {errors.n_mismatched} of {errors.n_values} values differ ({100 * errors.share:.3g} %)"
    if agreement.name == "gradient" and errors.n_mismatched:
        found += f", in {errors.n_mismatched_rows} of {errors.n_rows} rows"
    if errors.n_nonfinite:
        found += f"; {errors.n_nonfinite} of them NaN or infinite on one side"
    if errors.n_ignored_mismatched:
        found += f"; {errors.n_ignored_mismatched} of {errors.n_ignored} ignored rows are not 0"
    return found


def _reduced(agreement: Agreement) -> str:
    return f"{agreement.reduction} loss" if agreement.name == "loss" else f"gradient of the {agreement.reduction}"


def _details(agreement: Agreement) -> str:
    tolerance, errors = agreement.tolerance, agreement.errors
    if tolerance.max_ulp is not None:
        allowed = f"at most {tolerance.max_ulp} ULP of {tolerance.dtype}"
    else:
        allowed = f"|found - expected| <= {tolerance.atol:.6g} + {tolerance.rtol:.6g} |expected| ({tolerance.dtype})"
    ignored = f"; {errors.n_ignored} ignored rows not compared" if errors.n_ignored else ""
    return f"{allowed}{ignored}"


def _print_errors(console: Console, agreement: Agreement) -> None:
    errors = agreement.errors
    rows = []
    extremes = {"max abs error": errors.max_abs, "max rel error": errors.max_rel, "max ULP error": errors.max_ulp}
    for name, found in extremes.items():
        if found is not None:
            text = rounded(found.value) if isinstance(found.value, float) else str(found.value)
            rows.append([name, text, *_place(found, agreement)])
    print_table(console, ["metric", "value", *_place_heads(agreement)], rows)


def _print_worst(console: Console, agreement: Agreement) -> None:
    heads = ["worst", *_place_heads(agreement), "found", "expected", "abs error", "ULP"]
    rows = []
    for rank, row in enumerate(agreement.errors.worst, 1):
        ulp = "" if row.ulp is None else str(row.ulp)
        values = f"{row.found:.9g}", f"{row.expected:.9g}", rounded(row.abs_error), ulp
        rows.append([str(rank), *_place(row, agreement), *values])
    print_table(console, heads, rows, expendable=("ULP", "abs error", "worst"), all_digits=True)


def _place_heads(agreement: Agreement) -> list[str]:
    if not agreement.by_row:
        return []
    return ["sample", "class"] if agreement.name == "gradient" else ["sample"]


def _place(at: Extreme | WorstRow, agreement: Agreement) -> list[str]:
    if not agreement.by_row:
        return []
    return [str(at.sample)] if at.column is None else [str(at.sample), str(at.column)]
