"""The summary document as JSON: strict, full precision, and with a schema."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from xent_cli.core.number_text import finite_or_none
from xent_cli.core.totals.summary import LossSummary
from xent_cli.reports.entries import input_entry, remark_entries

if TYPE_CHECKING:
    from xent_cli.core.input_description import InputDescription
    from xent_cli.core.kernel.textbook_formula import FormulaTotals, NaiveTotals
    from xent_cli.reports.interface import Document

SCHEMA_VERSION = 1


def as_json(document: Document) -> dict[str, Any]:
    """Return `document` as JSON types: dicts, lists, strings and numbers, with None for NaN and infinities.

    ``overflow``, ``slices``, ``worst`` and ``checks`` are present if requested. The schema describes the fields.
    """
    asked_for = {
        "overflow": None if document.formulas is None else [_formula(formula) for formula in document.formulas],
        "slices": document.slices,
        "worst": document.worst,
        "checks": document.checks,
    }
    plain: dict[str, Any] = _plain(
        {
            "schema_version": SCHEMA_VERSION,
            "xent_version": document.version,
            "signature": document.signature,
            **({} if document.labels_digest is None else {"labels_digest": document.labels_digest}),
            "inputs": {role: _input(description) for role, description in document.inputs.items()},
            "summary": document.summary,
            **{name: entries for name, entries in asked_for.items() if entries is not None},
            **remark_entries(document.diagnostics),
        }
    )
    return plain


def _input(description: InputDescription) -> dict[str, Any]:
    entry = input_entry(description)
    if description.n_classes is not None:
        entry["n_classes"] = description.n_classes
    if description.class_columns is not None:
        entry["class_columns"] = description.class_columns
        entry["left_out"] = [{"column": column, "reason": reason} for column, reason in description.left_out]
    return entry


def _formula(formula: FormulaTotals) -> dict[str, Any]:
    return {
        "dtype": formula.dtype,
        **_formula_counts(formula.naive),
        "max_safe_logit": formula.max_safe_logit,
        "stable": _formula_counts(formula.stable),
    }


def _formula_counts(totals: NaiveTotals) -> dict[str, Any]:
    return {
        "n_ok": totals.n_ok,
        "n_imprecise": totals.n_imprecise,
        "n_underflow": totals.n_underflow,
        "n_overflow": totals.n_overflow,
        "first_row": totals.first_row,
        "worst_row": totals.worst_row,
        "max_abs_error": totals.max_abs_error,
    }


def _plain(value: Any) -> Any:
    if isinstance(value, float):  # tested first, because most entries are figures, and there may be thousands of slices
        return finite_or_none(value)
    if value is None or isinstance(value, int | str):
        return value
    if isinstance(value, LossSummary):
        return _plain(value.as_dict())
    if isinstance(value, Mapping):
        return {key: _plain(entry) for key, entry in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(entry) for entry in value]
    return value
