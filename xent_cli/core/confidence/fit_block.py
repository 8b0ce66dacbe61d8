"""One block of a pass over the samples when a temperature is fitted."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np

from xent_cli.core.confidence.slopes import SlopeTotals, slopes
from xent_cli.core.confidence.temperature import PassTotals
from xent_cli.core.counted_rows import renumbered_errors, weights_and_left_out
from xent_cli.core.evaluate import evaluate_block
from xent_cli.core.evaluate_rows import check_labels
from xent_cli.core.totals.cluster_rule import ClusteredBlock
from xent_cli.core.totals.cluster_totals import ClusterTotals
from xent_cli.core.totals.moments import Moments
from xent_cli.errors import RowError

if TYPE_CHECKING:
    from xent_cli.core.array_types import AnyArray, FloatArray, IntArray
    from xent_cli.core.block import Block, Task
    from xent_cli.core.confidence.temperature import Step
    from xent_cli.core.options import LossOptions, Outputs
    from xent_cli.core.totals.cluster_rule import ClusterRule

# Number of rows whose derivatives are in memory at a time: two numbers per row and inverse temperature.
_ROWS = 1 << 15


def fit_block(task: Task, options: LossOptions, outputs: Outputs, rule: ClusterRule | None, step: Step) -> PassTotals:
    """Load a block and compute what a pass needs of it.

    Parameters
    ----------
    options, outputs
        What the figures are computed with; `options.temperature` is not used.
    rule
        Which cluster each sample belongs to, or None.

    Raises
    ------
    RowError
        At an invalid label or weight, a row of logits without probabilities, a label on a logit of -inf, or a sample
        without a cluster.
    """
    block = task.load()
    figures = held_out = None
    if step.temperature is not None:
        figures = evaluate_block(block, replace(options, temperature=step.temperature), outputs).totals
    rows, labels, weight = _counted(block, options)
    logits = block.logits if rows.size == len(block.logits) else block.logits[rows]
    _refuse_infinite(logits, labels, block.start, rows)
    samples = np.arange(block.start, block.start + len(block.logits))
    clusters = samples if rule is None else rule.clusters(block.start, samples.size, block.groups)
    if rule is not None:
        scored = np.zeros(samples.size, np.bool_)
        scored[rows] = True
        ClusteredBlock.of(rule, block.start, clusters, scored)  # also refuses a sample without a cluster
    fold = folds_of(clusters, step.folds)
    totals, first = _slopes(logits, labels, fold[rows], weight, step)
    if step.spread:
        value = first if weight is None else first * weight
        if rule is None:
            moments = Moments.of_rows(value, np.ones(rows.size) if weight is None else weight)
            totals = replace(totals, moments=moments)
        else:
            kind = {"name": rule.name, "contiguous": rule.contiguous}
            by_cluster = ClusterTotals.of(block.start, samples.size, clusters[rows], value, weight, **kind)  # type: ignore[arg-type]
            totals = replace(totals, clusters=by_cluster)
    if step.fold_temperatures:
        # One evaluation, with each row at the temperature of its fold.
        own = np.array(step.fold_temperatures)[fold]
        cooled = block._replace(logits=block.logits.astype(np.float64) / own[:, np.newaxis])
        held_out = evaluate_block(cooled, replace(options, temperature=1.0), outputs).totals
    return PassTotals(totals, figures, held_out, samples.size)


def _slopes(
    logits: AnyArray, labels: IntArray, fold: IntArray, weight: FloatArray | None, step: Step
) -> tuple[SlopeTotals, FloatArray]:
    """Return totals of rows, and the slope of each at the first of the inverse temperatures."""
    first = np.empty(labels.size)
    totals = None
    for start in range(0, max(1, labels.size), _ROWS):
        part = slice(start, start + _ROWS)
        found = slopes(logits[part], labels[part], step.betas)
        first[part] = found.first[0]
        some = SlopeTotals.of(step.betas, found, fold[part], step.folds, None if weight is None else weight[part])
        totals = some if totals is None else totals.merge(some)
    assert totals is not None
    return totals, first


def folds_of(clusters: AnyArray, folds: int) -> IntArray:
    """Return the fold of each sample [n], from the number of its cluster or the checksum of its name.

    All samples of a cluster are in the same fold, which does not depend on the other samples.

    Examples
    --------
    >>> folds_of(np.array([0, 1, 2, 3]), 3).tolist()
    [0, 1, 2, 0]
    """
    if clusters.dtype.kind in "iu":
        return (clusters % folds).astype(np.int64)
    from zlib import crc32

    numbers = {text: crc32(str(text).encode()) % folds for text in dict.fromkeys(clusters.tolist())}
    return np.fromiter(map(numbers.__getitem__, clusters.tolist()), np.int64, clusters.size)


def _counted(block: Block, options: LossOptions) -> tuple[IntArray, IntArray, FloatArray | None]:
    """Return the positions in the block, the class indices and the weights of the samples that count."""
    weight, left_out = weights_and_left_out(block, options)
    rows = np.arange(len(block.logits)) if left_out is None else np.flatnonzero(~left_out)
    with renumbered_errors(block.start, rows):
        labels, ignored, _ = check_labels(block if left_out is None else block.take(rows), options)
    if ignored is not None:
        rows, labels = rows[~ignored], labels[~ignored]
    return rows, labels, None if weight is None else weight[rows]


def _refuse_infinite(logits: AnyArray, labels: IntArray, start: int, rows: IntArray) -> None:
    highest = logits.max(axis=1)
    own = logits[np.arange(len(labels)), labels]
    bad = ~np.isfinite(highest) | ~np.isfinite(own)
    if bad.any():
        place = int(np.argmax(bad))
        row = start + int(rows[place])
        if np.isfinite(highest[place]):
            expected = "a finite logit: the loss of this sample is infinite at every temperature"
            raise RowError("no temperature minimises the loss", row, "logits", "a label on a logit of -inf", expected)
        expected = "finite logits, or -inf for a class that is impossible"
        raise RowError(
            "a row of logits without probabilities", row, "logits", f"a maximum of {highest[place]}", expected
        )
