"""The document that every report is made from."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Mapping

    from xent_cli.core.diagnostics import Diagnostic
    from xent_cli.core.input_description import InputDescription
    from xent_cli.core.kernel.textbook_formula import FormulaTotals
    from xent_cli.core.totals.summary import LossSummary
    from xent_cli.reports.details import Details


@dataclass(frozen=True, slots=True, eq=False, repr=False)
class Document:
    """The result of a run; a report presents it and adds nothing.

    Fields
    ------
    version
        Version of xent.
    signature
        The settings, as `LossOptions.signature` spells them.
    inputs
        What was read, by role: "logits", "labels", ...
    summary
        The figures; losses in nats, unrounded.
    labels_digest
        Digest of the labels, or None if not requested.
    diagnostics
        Warnings and notes about the inputs.
    formulas
        Comparison of the textbook formula with the stable one, by dtype; None if not requested.
    slices
        For each value of a column: ``by``, ``value`` and ``summary``, a `LossSummary`; None if not requested.
    worst
        For each sample listed: ``sample``, ``id``, ``label``, ``loss`` (or ``kl_divergence``), ``predicted`` and
        ``confidence``.
    details
        For reports with pictures, or None.
    checks
        For each limit: ``metric``, ``kind``, ``limit``, ``observed`` and ``passed``.
    baseline
        The figures that the run was compared with, or None.
    """

    version: str
    signature: str
    inputs: Mapping[str, InputDescription]
    summary: LossSummary
    diagnostics: tuple[Diagnostic, ...] = ()
    formulas: tuple[FormulaTotals, ...] | None = None
    slices: tuple[Mapping[str, Any], ...] | None = None
    checks: tuple[Mapping[str, Any], ...] | None = None
    worst: tuple[Mapping[str, Any], ...] | None = None
    details: Details | None = None
    labels_digest: str | None = None
    baseline: Mapping[str, Any] | None = None
