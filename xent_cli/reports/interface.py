"""What every report is made from."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Mapping

    from xent_cli.core.diagnostics import Diagnostic
    from xent_cli.core.input_description import InputDescription
    from xent_cli.core.kernel.textbook_formula import FormulaTotals
    from xent_cli.core.totals.calibration import Calibration
    from xent_cli.core.totals.quantiles import QuantileState
    from xent_cli.core.totals.summary import LossSummary, WorstSample


@dataclass(frozen=True, slots=True, eq=False)
class Details:
    """What a run knows beyond its figures.

    Fields
    ------
    losses
        The distribution of the losses.
    worst
        The highest losses.
    calibration
        Losses by class and calibration; None where labels are dense.
    class_names
        Name of each class, or None where they have numbers only.
    id_name
        What the names of samples are called in the input, or None where they have none.
    """

    losses: QuantileState
    worst: tuple[WorstSample, ...] = ()
    calibration: Calibration | None = None
    class_names: tuple[str, ...] | None = None
    id_name: str | None = None


@dataclass(frozen=True, slots=True)
class Document:
    """All that is known of a run; a report says it in its own words and adds nothing.

    Fields
    ------
    version
        Of xent.
    signature
        The settings, as `LossOptions.signature` spells them.
    inputs
        What was read, by role: "logits", "labels", ...
    summary
        The figures; losses in nats, unrounded.
    labels_digest
        What tells these labels from others, or None where it was not asked for.
    findings
        What looks wrong with the inputs.
    formulas
        The textbook formula against the stable one, by dtype; None where not asked for, as are both below.
    slices
        For each value of a column: ``by``, ``value`` and ``summary``, a `LossSummary`.
    details
        What only a report with pictures shows, or None.
    checks
        For each limit: ``metric``, ``kind``, ``limit``, ``observed`` and ``passed``.
    """

    version: str
    signature: str
    inputs: Mapping[str, InputDescription]
    summary: LossSummary
    findings: tuple[Diagnostic, ...] = ()
    formulas: tuple[FormulaTotals, ...] | None = None
    slices: tuple[Mapping[str, Any], ...] | None = None
    checks: tuple[Mapping[str, Any], ...] | None = None
    details: Details | None = None
    labels_digest: str | None = None
