"""The groups of a block: sums over its clusters, means of its groups, sums of its units of text, and its slices."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np

from xent_cli.core.totals.cluster_rule import ClusteredBlock, DocumentUnits
from xent_cli.core.totals.group_means import GroupMeans
from xent_cli.core.totals.group_totals import Scored
from xent_cli.core.totals.grouped_sums import GroupedSums
from xent_cli.core.totals.moments import Moments
from xent_cli.core.totals.quantiles import EXACT_ROWS
from xent_cli.errors import RowError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from xent_cli.core.array_types import AnyArray, BoolArray, FloatArray
    from xent_cli.core.block import Block
    from xent_cli.core.counted_rows import Evaluated
    from xent_cli.core.options import Outputs
    from xent_cli.core.totals.cluster_totals import ClusterTotals
    from xent_cli.core.totals.loss_totals import LossTotals
    from xent_cli.core.totals.slices import LossSlices


def with_groups(
    losses: LossTotals,
    block: Block,
    found: Evaluated,
    weight: FloatArray | None,
    divergence: Mapping[str, FloatArray] | None,
    clusters: AnyArray | None,
    outputs: Outputs,
) -> tuple[LossTotals, LossSlices | None]:
    """Add sums over clusters, means of groups and sums of units to the totals of a block, and total its slices.

    Parameters
    ----------
    weight
        [n] sample weights, or None.
    divergence
        [n] figures of the divergence from a reference, by name, or None.
    clusters
        [n] the cluster of each sample, or None.

    Returns
    -------
    The totals, and those of each slice, or None without `Outputs.by`.
    """
    rows, divisor, ranks = found.rows, found.divisor, found.ranks
    scored = None if found.ignored is None else ~found.ignored

    def kept(values: AnyArray) -> AnyArray:
        return values if scored is None else values[scored]

    loss = kept(rows.loss)
    product = None
    if divisor is not None:
        with np.errstate(over="ignore", invalid="ignore"):
            product = loss if weight is None else loss * kept(weight)
    samples = Scored(
        sample=kept(np.arange(block.start, block.start + rows.loss.size)),
        loss=loss,
        product=product,
        divisor=None if divisor is None else kept(divisor),
        hits={} if ranks is None else {k: kept(ranks) < k for k in sorted(set(outputs.top_k))},
        divergence={name: kept(values) for name, values in (divergence or {}).items()},
        weight=None if weight is None else kept(weight),
        exact_rows=EXACT_ROWS // outputs.states,
    )
    clustered = documents = None
    if clusters is not None and outputs.cluster is not None and outputs.figures:
        from xent_cli.core.totals.divergence_totals import weighted

        clustered = ClusteredBlock.of(outputs.cluster, block.start, clusters, scored)
        losses = losses._replace(clusters=clustered.totals(samples))
        if losses.divergence is not None and (apart := samples.divergence.get("log_ppl_ratio")) is not None:
            product = None if product is None else weighted(apart, samples.weight)
            clusters_of_ratio = clustered.totals(samples._replace(loss=apart, product=product))
            losses = losses._replace(divergence=replace(losses.divergence, ratio_clusters=clusters_of_ratio))
    if outputs.macro is not None or outputs.units:
        losses, samples, documents = _with_macro_and_units(losses, samples, block, scored, outputs, clustered)
    if not outputs.by:
        return losses, None
    from xent_cli.core.totals.slices import slices_of

    assert block.groups is not None
    names = outputs.groups or outputs.by
    groups = block.groups if names == outputs.by else block.groups[:, [names.index(name) for name in outputs.by]]
    figures = outputs.figures
    return losses, slices_of(
        outputs.by, groups, samples, scored, figures=figures, clustered=clustered, documents=documents
    )


def _with_macro_and_units(
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
