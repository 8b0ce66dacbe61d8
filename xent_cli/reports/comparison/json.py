"""A comparison as one strict JSON document."""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from xent_cli.core.number_text import finite_or_none
from xent_cli.reports.entries import remark_entries

if TYPE_CHECKING:
    from xent_cli.core.statistics.comparison import Change, Comparison, ModelChange

SCHEMA_VERSION = 1


def as_json(comparison: Comparison) -> dict[str, Any]:
    """Return the comparison as JSON types, with None for NaN and infinities; see the schema for the fields."""
    return {
        "schema_version": SCHEMA_VERSION,
        "xent_version": comparison.version,
        "kind": comparison.kind,
        "joined_on": comparison.joined_on,
        "test": comparison.test,
        "confidence": comparison.confidence,
        "resamples": comparison.resamples,
        "seed": comparison.seed,
        "baseline": asdict(comparison.baseline),
        "candidates": [_candidate(candidate) for candidate in comparison.candidates],
        **remark_entries(comparison.diagnostics),
    }


def _candidate(candidate: ModelChange) -> dict[str, Any]:
    return {
        **asdict(candidate.model),
        "n_ignored": candidate.n_ignored,
        "clustered_by": candidate.clustered_by,
        **({} if candidate.flips is None else {"flips": asdict(candidate.flips)}),
        "metrics": [_change(change) for change in candidate.changes],
        "slices": [{"by": change.by, "value": change.value, **_change(change)} for change in candidate.slices],
        "moved": [
            {name: _finite(value) for name, value in asdict(sample).items()}
            | {"delta": _finite(sample.candidate - sample.baseline)}
            for sample in candidate.moved
        ],
    }


def _change(change: Change) -> dict[str, Any]:
    figures = ("baseline", "candidate", "delta", "delta_percent", "low", "high", "p", "p_holm", "mde")
    return {
        "metric": change.metric,
        **{name: _finite(getattr(change, name)) for name in figures},
        "n": change.n,
        "n_clusters": change.n_clusters,
        "design_effect": _finite(change.design_effect),
        "change": change.mark,
    }


def _finite(value: Any) -> Any:
    return finite_or_none(value) if isinstance(value, float) else value
