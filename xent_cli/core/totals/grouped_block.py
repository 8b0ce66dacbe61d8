"""The means of the groups of a block, and the sums of its units of text."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from xent_cli.core.totals.cluster_rule import ClusteredBlock, DocumentUnits
from xent_cli.core.totals.group_means import GroupMeans
from xent_cli.core.totals.grouped_sums import GroupedSums
from xent_cli.core.totals.moments import Moments
from xent_cli.errors import RowError

if TYPE_CHECKING:
    from xent_cli.core.array_types import AnyArray, BoolArray, FloatArray
    from xent_cli.core.block import Block
    from xent_cli.core.options import Outputs
    from xent_cli.core.totals.cluster_totals import ClusterTotals
    from xent_cli.core.totals.group_totals import Scored
    from xent_cli.core.totals.loss_totals import LossTotals


def with_macro_and_units(
    losses: LossTotals,
    samples: Scored,
    block: Block,
    scored: BoolArray | None,
    outputs: Outputs,
    clustered: ClusteredBlock | None,
) -> tuple[LossTotals, Scored, DocumentUnits | None]:
    """Add the means of groups and the sums of units, if requested, to the totals of a block.

    Parameters
    ----------
    samples
        The samples that have a loss.
    scored
        [n] True for samples that have a loss, or None if all have one.
    clustered
        The clusters of these samples, or None.

    Returns
    -------
    The totals, the samples (with their units, if each has its own), and the documents (if their samples share units).
    """
    size, macro = samples.loss.size if scored is None else scored.size, None
    if outputs.macro is not None:
        groups = outputs.macro.clusters(block.start, size, block.groups)
        members = ClusteredBlock.of(outputs.macro, block.start, groups, scored, "group")
        macro = members.totals(samples, kind=GroupMeans)
    if not outputs.units:
        return losses._replace(grouped=GroupedSums(macro)), samples, None
    assert block.units is not None
    units = checked_units(block.units, block.start, scored)
    if samples.weight is not None:
        units = units * samples.weight
    sums: ClusterTotals | Moments
    if outputs.documents is not None:
        documents = outputs.documents.clusters(block.start, size)
        members = ClusteredBlock.of(outputs.documents, block.start, documents, scored)
        sums = members.totals(samples, divisor=units, shared=True)
        return losses._replace(grouped=GroupedSums(macro, None, sums)), samples, DocumentUnits(members, units)
    if clustered is not None:
        sums = clustered.totals(samples, divisor=units)
    else:
        value = samples.loss if samples.product is None else samples.product
        sums = Moments.of_rows(np.where(np.isfinite(value), value, 0.0), units)
    return losses._replace(grouped=GroupedSums(macro, None, sums)), samples._replace(units=units), None


def checked_units(units: AnyArray, start: int, scored: BoolArray | None) -> FloatArray:
    """Return the units of the samples that count as float64.

    Raises
    ------
    RowError
        If one is negative, NaN or infinite.
    """
    kept = np.asarray(units, np.float64)
    kept = kept if scored is None else kept[scored]
    good: BoolArray = (kept >= 0) & (kept < np.inf)
    if not good.all():
        place = int(np.argmin(good))
        row = place if scored is None else int(np.flatnonzero(scored)[place])
        expected = "how many bytes or words the sample is: a finite number >= 0"
        raise RowError("invalid units", start + row, "units", f"{kept[place]:g}", expected, code="invalid-units")
    return kept
