"""The document that every report is made from."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Mapping

    from xent_cli.core.confidence.calibration import Calibration
    from xent_cli.core.diagnostics import Diagnostic
    from xent_cli.core.input_description import InputDescription
    from xent_cli.core.kernel.textbook_formula import FormulaTotals
    from xent_cli.core.totals.quantiles import QuantileState
    from xent_cli.core.totals.summary import LossSummary, WorstSample


@dataclass(frozen=True, slots=True, eq=False, repr=False)
class Details:
    """Results of a run besides its figures, for a page.

    Fields
    ------
    losses
        The distribution of the losses.
    worst, worst_by
        The highest losses, or the highest values of another figure, and its name.
    calibration
        Losses by class, and accuracy by confidence; None if labels are dense.
    class_names
        Name of each class, or None if classes only have numbers.
    id_name
        Name of the id column, or None if samples have no ids.
    first_class
        Number of the first class in the labels of `worst`.
    num_classes
        How many classes the logits have.
    command, created
        The command line, and the time of the run as ISO 8601 in UTC; empty if not requested.
    divergence
        The distribution of the KL divergences, or None without a teacher.
    divergence_known
        What is known of these: "at face value", "at most" or "at least"; "" if they are exact.
    """

    losses: QuantileState
    worst: tuple[WorstSample, ...] = ()
    calibration: Calibration | None = None
    class_names: tuple[str, ...] | None = None
    id_name: str | None = None
    worst_by: str = "loss"
    first_class: int = 0
    num_classes: int = 0
    command: str = ""
    created: str = ""
    divergence: QuantileState | None = None
    divergence_known: str = ""


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
