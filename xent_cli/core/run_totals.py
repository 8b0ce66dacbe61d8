"""All totals of a run in one value that merges."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import TYPE_CHECKING, NamedTuple

from xent_cli.errors import InputError

if TYPE_CHECKING:
    from xent_cli.core.confidence.calibration import Calibration
    from xent_cli.core.kernel.textbook_formula import FormulaTotals
    from xent_cli.core.totals.loss_totals import LossTotals
    from xent_cli.core.totals.slices import LossSlices
    from xent_cli.core.totals.summary import LossSummary


class RunTotals(NamedTuple):
    """All totals of the samples seen so far; parts that are not requested are None or empty.

    ``RunTotals(LossTotals(signature))`` is the identity of `merge`, which is associative and commutative: any partition
    of the samples gives the same bits.

    Fields
    ------
    losses
        Totals over all samples.
    slices
        Totals for each value of some columns.
    calibration
        Losses by class, and confidence against accuracy.
    formulas
        How often the textbook formula fails, one entry for each dtype.
    """

    losses: LossTotals
    slices: LossSlices | None = None
    calibration: Calibration | None = None
    formulas: tuple[FormulaTotals, ...] = ()

    def merge(self, other: RunTotals) -> RunTotals:
        """Return the totals of both; ValueError if they were computed with different settings."""
        slices, calibration = self.slices, self.calibration
        if other.slices is not None:
            slices = other.slices if slices is None else slices.merge(other.slices)
        if other.calibration is not None:
            calibration = other.calibration if calibration is None else calibration.merge(other.calibration)
        formulas = _merge_formulas(self.formulas, other.formulas)
        return RunTotals(self.losses.merge(other.losses), slices, calibration, formulas)

    def summarize(self) -> LossSummary:
        """Compute the figures, including those of calibration if requested."""
        summary = self.losses.summarize()
        return summary if self.calibration is None else replace(summary, calibration=self.calibration.figures())


def per_unit(summary: LossSummary, losses: LossTotals, total_units: float | None, *, has_error: bool) -> LossSummary:
    """Complete the figures per unit of text.

    Parameters
    ----------
    total_units
        Number of units of all samples together, if only that is known.
    has_error
        Whether the standard error per unit is over the clusters in use; otherwise it is left out.

    Raises
    ------
    InputError
        If there are no units.
    """
    found = dict(summary.by_group)
    if total_units is not None:
        import numpy as np

        from xent_cli.core.totals.exact_sum import ExactSum
        from xent_cli.core.totals.grouped_sums import unit_figures

        special = None if math.isfinite(summary.mean_loss) else summary.mean_loss
        total = losses.sums if losses.weighted is None else losses.weighted
        found |= unit_figures(total, ExactSum.of(np.array([total_units])), special)
    if not has_error:
        found.pop("se_bits_per_unit", None)
    if found.get("n_units") == 0:
        raise InputError("no units", found="units that sum to 0", expected="at least one sample with a unit")
    return replace(summary, by_group=tuple(found.items()))


def _merge_formulas(ours: tuple[FormulaTotals, ...], theirs: tuple[FormulaTotals, ...]) -> tuple[FormulaTotals, ...]:
    merged = {formula.dtype: formula for formula in ours}
    for formula in theirs:
        merged[formula.dtype] = merged[formula.dtype].merge(formula) if formula.dtype in merged else formula
    return tuple(merged.values())
