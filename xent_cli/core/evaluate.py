"""Evaluate a block: from its recipe to losses and totals."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from xent_cli.core.counted_rows import Evaluated, renumbered_errors, weights_and_left_out
from xent_cli.core.evaluate_rows import check_labels, class_weight_of, divisor_of, evaluate_rows
from xent_cli.core.labels.check_labels import check_mask, either, labels_as_written
from xent_cli.core.labels.label_offsets import Offsets
from xent_cli.core.options import Outputs
from xent_cli.core.row_columns import KL_ENDS
from xent_cli.core.run_totals import RunTotals
from xent_cli.core.totals.exact_sum import ExactSum
from xent_cli.core.totals.total_losses import total_losses
from xent_cli.errors import RowError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from xent_cli.core.array_types import AnyArray, BoolArray, FloatArray, IntArray
    from xent_cli.core.block import Block, Task
    from xent_cli.core.kernel.cross_entropy import RowLosses
    from xent_cli.core.options import LossOptions
    from xent_cli.core.totals.loss_totals import LossTotals


class BlockLoss(NamedTuple):
    """Results for one block.

    Fields
    ------
    start, size
        First sample and number of samples.
    totals
        Totals of this block alone.
    loss
        [n] nats, NaN where ignored. This and all fields below are None if they are not requested.
    ignored
        [n] True where a sample has no loss; None if every sample has one.
    labels
        [n] sparse labels as written in the input, `NO_LABEL` where there is none; None for dense labels.
    ids
        [n] names, or None.
    kl
        [n] KL divergence from a teacher in nats, or None.
    gradient
        [n, k], or None.
    groups
        [n, m] texts of the columns whose values name slices, or None.
    weight
        [n] sample weights, or None. A sample of weight 0 has a loss, but counts in no figure.
    left_out
        [n] True where a mask or a weight of 0 keeps a sample out of every figure, or None.
    class_weight
        [n] weight of the class of each label, already part of `loss`; or None.
    predictions
        [n] for each name of `Outputs.columns`; see `confidence.predictions`.
    clusters
        [n] number or text of the cluster of each sample, or None.
    ends
        [n] for each name in `KL_ENDS` if rows are known in part, or None.
    units
        [n] units of text of each sample, or of its document; or None.
    """

    start: int
    size: int
    totals: RunTotals
    loss: FloatArray | None = None
    ignored: BoolArray | None = None
    labels: IntArray | None = None
    ids: AnyArray | None = None
    kl: FloatArray | None = None
    gradient: AnyArray | None = None
    groups: AnyArray | None = None
    weight: FloatArray | None = None
    left_out: BoolArray | None = None
    class_weight: FloatArray | None = None
    predictions: Mapping[str, AnyArray] | None = None
    clusters: AnyArray | None = None
    ends: Mapping[str, FloatArray] | None = None
    units: FloatArray | None = None


def evaluate_block(task: Task, options: LossOptions, outputs: Outputs) -> BlockLoss:
    """Load a block, check its labels, compute its losses and total them.

    Raises
    ------
    RowError
        At an invalid label, soft label or weight.
    """
    block = task.load()
    weight, left_out = weights_and_left_out(block, options)
    found = _evaluate(block, weight, left_out, options, outputs)
    size, diverged = found.rows.loss.size, found.divergence(figures=outputs.figures)
    losses = _totals(block, found, weight, diverged, options, outputs)
    slices = clusters = None
    if outputs.keys:
        from xent_cli.core.totals.group_keys import with_keys

        sparse = options.labels == "sparse"
        written = labels_as_written(block.labels, block.unscored) if sparse else np.zeros(size, np.int64)
        block = block._replace(groups=with_keys(block.groups, outputs.keys, block.start, written))
    if outputs.cluster is not None:
        clusters = outputs.cluster.clusters(block.start, size, block.groups)
    if outputs.by or outputs.macro or outputs.units or (outputs.figures and clusters is not None):
        from xent_cli.core.totals.grouped_block import with_groups

        losses, slices = with_groups(losses, block, found, weight, diverged, clusters, outputs)
    totals = RunTotals(losses, slices, found.calibration, found.formulas)
    result = BlockLoss(block.start, size, totals, gradient=found.rows.gradient)
    if not outputs.losses:
        return result
    return _with_rows(result, block, found, weight, left_out, options, outputs)._replace(clusters=clusters)


def weigh_block(task: Task, options: LossOptions) -> ExactSum:
    """Return the divisor of the mean for a block; gradients of the mean need that of all blocks in advance."""
    block = task.load()
    weight, left_out = weights_and_left_out(block, options)
    if left_out is not None:
        rows = np.flatnonzero(~left_out)
        block, weight = block.take(rows), None if weight is None else weight[rows]
    labels, ignored, _ = check_labels(block, options)
    divisor = divisor_of(weight, labels, options)
    if divisor is None:
        n = len(labels) - (0 if ignored is None else int(np.count_nonzero(ignored)))
        return ExactSum.of_count(n)
    return ExactSum.of(divisor if ignored is None else divisor[~ignored])


def _evaluate(
    block: Block, weight: FloatArray | None, left_out: BoolArray | None, options: LossOptions, outputs: Outputs
) -> Evaluated:
    """Evaluate the rows that count, and mark the rest as ignored."""
    if left_out is None:
        return evaluate_rows(block, weight, options, outputs)
    rows = np.flatnonzero(~left_out)
    with renumbered_errors(block.start, rows):
        some = evaluate_rows(block.take(rows), None if weight is None else weight[rows], options, outputs)
    found = some.with_left_out(block.start, rows, left_out)
    return found if found.labels is None else found._replace(labels=labels_as_written(block.labels, block.unscored))


def _totals(
    block: Block,
    found: Evaluated,
    weight: FloatArray | None,
    divergence: Mapping[str, FloatArray] | None,
    options: LossOptions,
    outputs: Outputs,
) -> LossTotals:
    """Total the losses of a block, and everything that is counted along with them."""
    losses = total_losses(
        options.signature(""),
        found.rows.loss,
        start=block.start,
        ignored=found.ignored,
        weight=weight,
        divisor=found.divisor,
        figures=outputs.figures,
        worst_wanted=max(1, outputs.worst),
        labels=found.labels,
        ids=block.ids,
        ranks=found.ranks,
        top_k=outputs.top_k,
        divergence=divergence,
        divergence_worst=outputs.worst if outputs.worst_by_kl else 0,
        states=outputs.states,
    )
    digest = _digest(block, found, options) if outputs.digest else None
    losses = losses._replace(offsets=_offsets(block, found, options), digest=digest, **found.counts)
    if outputs.worst and block.logit_bounds is None:
        from xent_cli.core.confidence.predictions import with_predictions

        losses = with_predictions(losses, block, options)
    return losses


def _with_rows(
    result: BlockLoss,
    block: Block,
    found: Evaluated,
    weight: FloatArray | None,
    left_out: BoolArray | None,
    options: LossOptions,
    outputs: Outputs,
) -> BlockLoss:
    """Add the columns of per-sample rows to the result of a block."""
    ignored, rows = found.ignored, found.rows
    if ignored is not None:
        rows.loss[ignored] = np.nan
        if rows.kl is not None:
            rows.kl[ignored] = np.nan
    # A reader may reuse the memory of the labels for the next block.
    labels = found.labels if found.labels is None or left_out is not None else found.labels.copy()
    class_weight = class_weight_of(found, options)
    if weight is not None and left_out is not None:
        ignored = _fill_weightless(block, weight == 0, rows, ignored, options)
    predictions = None
    if outputs.columns:
        from xent_cli.core.confidence.predictions import predictions_of_scored

        predictions = predictions_of_scored(block, labels, ignored, options, outputs.columns)
    ends = None
    if (bounded := found.beside.get("n_bounded")) is not None:  # rows do not tell that a loss is only bounded
        ignored = either(ignored, bounded > 0)
        ends = {name: values for name, values in found.beside.items() if name in KL_ENDS}
    return result._replace(
        loss=rows.loss,
        ignored=ignored,
        labels=labels,
        ids=block.ids,
        kl=rows.kl,
        groups=block.groups,
        weight=weight,
        left_out=left_out,
        class_weight=class_weight,
        predictions=predictions,
        ends=ends,
        units=None if block.units is None else np.where(block.units >= 0, block.units, 0.0),  # also without a loss
    )


def _fill_weightless(
    block: Block,
    at: BoolArray,
    rows: RowLosses,
    ignored: BoolArray | None,
    options: LossOptions,
) -> BoolArray | None:
    """Fill in the losses of samples of weight 0, which count in no figure; return which samples have no loss.

    An invalid label or distribution of such a sample is not an error: the sample has no loss.
    """
    assert ignored is not None
    ignored = ignored.copy()
    if block.mask is not None:
        at = at & check_mask(block.mask, start=block.start)
    if block.absent is not None:
        at = at & ~block.absent
    waiting = [np.flatnonzero(at)]
    while waiting:
        some = waiting.pop()
        try:
            found = evaluate_rows(block.take(some), None, options, Outputs(figures=False))
        except RowError:
            # Halve until each part is a single, invalid row.
            waiting += np.array_split(some, 2) if some.size > 1 else []
            continue
        lost = np.zeros(some.size, np.bool_) if found.ignored is None else found.ignored
        ignored[some] = lost
        rows.loss[some] = np.where(lost, np.nan, found.rows.loss)
        if rows.kl is not None and found.rows.kl is not None:
            rows.kl[some] = np.where(lost, np.nan, found.rows.kl)
    return ignored if ignored.any() else None


def _offsets(block: Block, found: Evaluated, options: LossOptions) -> Offsets:
    """Count how often the highest logit is at the label, and how often next to it."""
    if found.labels is None or block.logit_bounds is not None:
        return Offsets()
    labels = found.labels - options.first_class if options.first_class else found.labels
    return Offsets.of(block.logits, labels, found.ignored, block.start, found.peaks)


def _digest(block: Block, found: Evaluated, options: LossOptions) -> int:
    from xent_cli.core.labels.label_digest import label_digest

    labels = block.labels if options.labels == "dense" else block.labels.reshape(-1)
    if options.first_class:  # the digest must not depend on the number of the first class
        labels = labels_as_written(labels) - options.first_class
    return label_digest(labels, block.start, found.ignored, block.weights, found.likeliest)
