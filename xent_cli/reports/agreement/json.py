"""The verdict on a kernel as JSON: strict, full precision, and with a schema."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from xent_cli.core.number_text import finite_or_none
from xent_cli.reports.entries import input_entry, remark_entries

if TYPE_CHECKING:
    from collections.abc import Mapping

    from xent_cli.core.diagnostics import Diagnostic
    from xent_cli.core.input_description import InputDescription
    from xent_cli.core.verify.error_totals import Agreement, Extreme, WorstRow

SCHEMA_VERSION = 1


@dataclass(frozen=True, slots=True)
class AgreementDocument:
    """The result of `xent verify`.

    Fields
    ------
    version, signature, inputs, diagnostics
        As in `Document`.
    n_samples, n_ignored
        Samples with a loss and without.
    agreements
        The verdict on each candidate.
    """

    version: str
    signature: str
    inputs: Mapping[str, InputDescription]
    n_samples: int
    n_ignored: int
    agreements: tuple[Agreement, ...]
    diagnostics: tuple[Diagnostic, ...] = ()

    @property
    def passed(self) -> bool:
        """Whether every candidate is within its tolerance."""
        return all(agreement.errors.passed for agreement in self.agreements)


def as_json(document: AgreementDocument) -> dict[str, Any]:
    """Return `document` as JSON types; NaN and infinities become None and are counted. The schema has the fields."""
    return {
        "schema_version": SCHEMA_VERSION,
        "xent_version": document.version,
        "signature": document.signature,
        "inputs": {role: input_entry(description) for role, description in document.inputs.items()},
        "verdict": verdict_word(document.passed),
        "n_samples": document.n_samples,
        "n_ignored": document.n_ignored,
        **{agreement.name: agreement_entry(agreement) for agreement in document.agreements},
        **remark_entries(document.diagnostics),
    }


def agreement_entry(agreement: Agreement) -> dict[str, Any]:
    """Return the verdict on one candidate as JSON types."""
    errors, tolerance, by_row = agreement.errors, agreement.tolerance, agreement.by_row
    by_ulp = tolerance.max_ulp is not None
    return {
        "verdict": verdict_word(errors.passed),
        "reduction": agreement.reduction,
        "dtype": tolerance.dtype,
        "rtol": None if by_ulp else tolerance.rtol,
        "atol": None if by_ulp else tolerance.atol,
        "max_ulp": tolerance.max_ulp,
        "n_values": errors.n_values,
        "n_mismatched": errors.n_mismatched,
        "share_mismatched": errors.share,
        "n_mismatched_rows": errors.n_mismatched_rows,
        "n_nonfinite": errors.n_nonfinite,
        "n_ignored_mismatched": errors.n_ignored_mismatched,
        "max_abs_error": _extreme(errors.max_abs, by_row),
        "max_rel_error": _extreme(errors.max_rel, by_row),
        "max_ulp_error": _extreme(errors.max_ulp, by_row),
        "worst": [_row(row, by_row) for row in errors.worst],
    }


def _extreme(extreme: Extreme | None, by_row: bool) -> dict[str, Any] | None:
    if extreme is None:
        return None
    return {"value": finite_or_none(extreme.value), **_place(extreme, by_row)}


def _row(row: WorstRow, by_row: bool) -> dict[str, Any]:
    return {
        **_place(row, by_row),
        "found": finite_or_none(row.found),
        "expected": finite_or_none(row.expected),
        "abs_error": finite_or_none(row.abs_error),
        "rel_error": finite_or_none(row.rel_error),
        "ulp_error": row.ulp,
    }


def _place(at: Extreme | WorstRow, by_row: bool) -> dict[str, int | None]:
    return {"sample": at.sample if by_row else None, "class": at.column}


def verdict_word(passed: bool) -> str:
    """Return the verdict in one word."""
    return "pass" if passed else "fail"
