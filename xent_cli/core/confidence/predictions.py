"""What the model predicts for each sample, and how sure it is: the columns of per-sample rows besides the loss."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np

from xent_cli.core.evaluate_rows import unsmoothed_losses
from xent_cli.core.kernel.tiles import pairwise_sum, rows_per_tile, tile_of
from xent_cli.core.kernel.top_k import label_ranks
from xent_cli.core.row_columns import missing_predictions, no_prediction

if TYPE_CHECKING:
    from xent_cli.core.array_types import AnyArray, BoolArray, FloatArray, IntArray
    from xent_cli.core.block import Block
    from xent_cli.core.options import LossOptions, PredictionColumn
    from xent_cli.core.totals.loss_totals import LossTotals
    from xent_cli.core.totals.summary import WorstSample

# A rank above this means that the row has a NaN, so that nothing in it can be ranked.
_NO_RANK = np.iinfo(np.int64).max


def predictions_of_scored(
    block: Block,
    labels: IntArray | None,
    ignored: BoolArray | None,
    options: LossOptions,
    wanted: tuple[PredictionColumn, ...],
) -> dict[str, AnyArray]:
    """Return columns of predictions of a whole block, with classes numbered as in the input.

    All values of an ignored sample are missing; so are those that `predictions_of` describes as missing.

    Parameters
    ----------
    block
        The block as it was read.
    labels
        [n] as written in the input, or None if they are dense.
    ignored
        [n] True where a sample has no loss, or None.
    """
    rows = np.arange(len(block.logits)) if ignored is None else np.flatnonzero(~ignored)
    some = _declared(block if ignored is None else block.take(rows), options)
    index = None if labels is None else labels[rows] - options.first_class
    found = predictions_of(some, index, options, wanted)
    columns: dict[str, AnyArray] = {}
    for name in wanted:
        values = found[name]
        if name == "predicted":
            values[~missing_predictions(name, values)] += options.first_class
        columns[name] = np.full(len(block.logits), no_prediction(name), values.dtype)
        columns[name][rows] = values
    return columns


def with_predictions(totals: LossTotals, block: Block, options: LossOptions) -> LossTotals:
    """Add what the model predicts for the samples of a block with the highest losses and divergences."""
    divergence = totals.divergence
    if divergence is not None:
        divergence = replace(divergence, worst=_predicted(divergence.worst, block, options))
    return totals._replace(worst=_predicted(totals.worst, block, options), divergence=divergence)


def _predicted(worst: tuple[WorstSample, ...], block: Block, options: LossOptions) -> tuple[WorstSample, ...]:
    if not worst:
        return ()
    rows = np.array([sample.sample - block.start for sample in worst], np.int64)
    found = predictions_of_scored(block.take(rows), None, None, options, ("predicted", "confidence"))
    lost = missing_predictions("predicted", found["predicted"]).tolist()
    pairs = zip(worst, found["predicted"].tolist(), found["confidence"].tolist(), lost, strict=True)
    return tuple(
        sample if none else sample._replace(predicted=predicted, confidence=confidence)
        for sample, predicted, confidence, none in pairs
    )


def listed(
    sample: WorstSample, by: str, names: tuple[str, ...] | None, predicted_names: tuple[str, ...] | None
) -> dict[str, Any]:
    """Return a sample as documents list it: its value under the name of the figure `by`, and classes by name if known.

    Examples
    --------
    >>> from xent_cli.core.totals.summary import WorstSample
    >>> listed(WorstSample(2.5, 7, 0, None, 1, 0.75), "loss", ("cat", "dog"), ("cat", "dog"))["predicted"]
    'dog'
    """
    entry = sample._asdict()
    for name, known in (("label", names), ("predicted", predicted_names)):
        if known is not None and entry[name] is not None:
            entry[name] = known[entry[name]] if 0 <= entry[name] < len(known) else None
    place = {"sample": sample.sample, "id": sample.id, "label": entry["label"], by: sample.loss}
    return place | {"predicted": entry["predicted"], "confidence": sample.confidence}


def predictions_of(
    block: Block, labels: IntArray | None, options: LossOptions, wanted: tuple[PredictionColumn, ...]
) -> dict[str, AnyArray]:
    """Return columns of predictions, each [n].

    In a row with NaN, every value is missing; in a row with +inf, or nothing but -inf, all values are missing except
    `predicted` and `rank`, which accuracy counts too.

    With p the softmax of a row of logits z, divided by the temperature T, and y its label:

    - ``predicted``: the class with the highest logit, the first of equal ones; int64, `NO_LABEL` where missing.
    - ``confidence``: its probability, max_j p_j.
    - ``p_label``: the probability of the label, p_y.
    - ``margin``: by how many nats the label is ahead of the best other class, ``(z_y - max_{j != y} z_j) / T``; below 0
      where another class is predicted, infinite where there is no other class.
    - ``rank``: 1 where the label is predicted, 2 where it comes next; int64, 0 where missing.
    - ``entropy``: ``-sum_j p_j log(p_j)`` in nats, with 0 log 0 = 0.

    Values other than `predicted` and `rank` are float64, NaN where missing. Smoothing and class weights do not
    change them. Probabilities are used as given.

    Parameters
    ----------
    block
        Rows of logits, or of what `options.source` says.
    labels
        [n] class indices in [0, k); None if labels are dense, and then only `predicted`, `confidence` and `entropy` can
        be asked for.

    References
    ----------
    Crammer & Singer, "On the algorithmic implementation of multiclass kernel-based vector machines", JMLR 2, 2001, for
    the margin.

    Examples
    --------
    >>> from xent_cli.core.block import Block
    >>> from xent_cli.core.options import LossOptions, PredictionColumn
    >>> block = Block(0, np.log([[0.25, 0.75], [0.5, 0.5]]), np.array([0, 0]))
    >>> found = predictions_of(block, block.labels, LossOptions(), ("predicted", "p_label", "margin", "rank"))
    >>> {name: values.round(3).tolist() for name, values in found.items()}
    {'predicted': [1, 0], 'p_label': [0.25, 0.5], 'margin': [-1.099, 0.0], 'rank': [2, 1]}
    """
    rows = block.logits
    predicted = rows.argmax(axis=1)
    with np.errstate(invalid="ignore"):
        highest = np.take_along_axis(rows, predicted[:, np.newaxis], axis=1)[:, 0].astype(np.float64)
    lost, unordered = ~np.isfinite(highest), np.isnan(highest)
    found: dict[str, AnyArray] = {}
    for name in wanted:
        if name == "predicted":
            values: Any = predicted.copy()
        elif name == "confidence":
            values = np.exp(-unsmoothed_losses(block, predicted, options))
        elif name == "entropy":
            values = _entropy(rows, options)
        else:
            assert labels is not None
            values = _of_labels(name, block, labels, options)
        values[unordered if name in ("predicted", "rank") else lost] = no_prediction(name)
        found[name] = values
    return found


def _declared(block: Block, options: LossOptions) -> Block:
    if options.source == "logits":
        return block
    from xent_cli.core.checks.probabilities import logits_as_declared

    return block._replace(logits=logits_as_declared(block.logits, options, block.start).values)


def _of_labels(name: str, block: Block, labels: IntArray, options: LossOptions) -> AnyArray:
    if name == "p_label":
        return np.exp(-unsmoothed_losses(block, labels, options))
    if name == "margin":
        return _margin(block.logits, labels, options)
    ranks = label_ranks(block.logits, labels)
    return np.where(ranks == _NO_RANK, -1, ranks) + 1


def _margin(rows: AnyArray, labels: IntArray, options: LossOptions) -> FloatArray:
    n, k = rows.shape
    margin = np.empty(n)
    step = rows_per_tile(k)
    for first in range(0, n, step):
        part = slice(first, first + step)
        z = _logarithms(tile_of(rows[part], np.float64), options)
        own = np.arange(len(z)), labels[part]
        label = z[own]
        z[own] = -math.inf
        other = z.max(axis=1)
        with np.errstate(invalid="ignore"):
            # Halved first: opposite logits near the end of the range would overflow before they are divided.
            margin[part] = (label / 2 - other / 2) / (options.temperature / 2)
    return margin


def _entropy(rows: AnyArray, options: LossOptions) -> FloatArray:
    """Return ``log(sum_j e_j) + sum_j e_j d_j / sum_j e_j``, d_j = (m - z_j)/T and e_j = exp(-d_j): both are >= 0."""
    n, k = rows.shape
    entropy = np.empty(n)
    step = rows_per_tile(k)
    for first in range(0, n, step):
        part = slice(first, first + step)
        with np.errstate(divide="ignore", over="ignore", invalid="ignore"):
            z = _logarithms(tile_of(rows[part], np.float64), options)
            if options.source == "logits":
                best = np.arange(len(z)), z.argmax(axis=1)
                z -= z.max(axis=1, keepdims=True)
                z /= options.temperature
            p = np.exp(z)
            z[p == 0] = 0.0  # 0 * -inf = 0
            spread = 0.0 - pairwise_sum(p * z)
            if options.source == "logits":
                p[best] = 0.0  # exp(0) = 1, beside which small terms would be rounded away
                rest = pairwise_sum(p)
                spread = np.log1p(rest) + spread / (1.0 + rest)
            entropy[part] = spread
    return entropy


def _logarithms(z: AnyArray, options: LossOptions) -> AnyArray:
    """Turn probabilities into their logarithms, in place; leave anything else as it is."""
    if options.source != "probs":
        return z
    with np.errstate(divide="ignore", invalid="ignore"):
        return np.log(z, out=z)
