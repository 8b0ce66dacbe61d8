"""A fitted temperature as JSON: what `--temperature FILE` reads, strict, at full precision, and with a schema."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from xent_cli.core.number_text import finite_or_none
from xent_cli.reports.entries import input_entry, remark_entries

if TYPE_CHECKING:
    from collections.abc import Mapping

    from xent_cli.core.confidence.temperature import TemperatureFit
    from xent_cli.core.diagnostics import Diagnostic
    from xent_cli.core.input_description import InputDescription
    from xent_cli.core.totals.summary import LossSummary

SCHEMA_VERSION = 1
# The figures of a summary that a temperature changes.
FIGURES = ("mean_loss", "ece", "brier")


@dataclass(frozen=True, slots=True)
class CalibrationDocument:
    """The result of `xent calibrate`.

    Fields
    ------
    version, signature, inputs, diagnostics
        As in `Document`.
    fit
        The temperature, and the figures before and after.
    clusters
        What the clusters are, as in "axis 0"; None if samples are independent.
    """

    version: str
    signature: str
    inputs: Mapping[str, InputDescription]
    fit: TemperatureFit
    clusters: str | None = None
    diagnostics: tuple[Diagnostic, ...] = ()


def as_json(document: CalibrationDocument) -> dict[str, Any]:
    """Return `document` as JSON types, with None for NaN; the schema describes the fields."""
    fit = document.fit
    held_out = None
    if fit.held_out is not None:
        held_out = {"folds": len(fit.fold_temperatures), "temperatures": list(fit.fold_temperatures)}
        held_out |= _figures(fit.held_out)
    return {
        "schema_version": SCHEMA_VERSION,
        "xent_version": document.version,
        "signature": document.signature,
        "inputs": {role: input_entry(description) for role, description in document.inputs.items()},
        "temperature": fit.temperature,
        "se_temperature": finite_or_none(fit.se_temperature),
        "n_samples": fit.before.n_samples,
        "n_ignored": fit.before.n_ignored,
        "n_clusters": fit.n_clusters,
        "passes": fit.passes,
        "calibration_gain": fit.gain,
        "before": _figures(fit.before),
        "after": _figures(fit.after),
        **({} if held_out is None else {"held_out": held_out}),
        **remark_entries(document.diagnostics),
    }


def _figures(summary: LossSummary) -> dict[str, float | None]:
    figures = summary.as_dict()
    return {name: finite_or_none(float(figures[name] or 0.0)) for name in FIGURES}
