"""Compute the totals of the losses of consecutive samples."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np

from xent_cli.core.totals.exact_sum import ExactSum
from xent_cli.core.totals.loss_totals import LossTotals
from xent_cli.core.totals.quantiles import EXACT_ROWS, QuantileState
from xent_cli.core.totals.summary import worst_samples
from xent_cli.errors import RowError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from xent_cli.core.array_types import AnyArray, BoolArray, FloatArray, IntArray


def total_losses(
    signature: str,
    loss: FloatArray,
    *,
    start: int = 0,
    ignored: BoolArray | None = None,
    weight: FloatArray | None = None,
    divisor: FloatArray | None = None,
    figures: bool = True,
    worst_wanted: int = 1,
    labels: IntArray | None = None,
    ids: AnyArray | None = None,
    ranks: IntArray | None = None,
    top_k: tuple[int, ...] = (),
    divergence: Mapping[str, FloatArray] | None = None,
    divergence_worst: int = 0,
    states: int = 1,
) -> LossTotals:
    """Total the losses of consecutive samples.

    Parameters
    ----------
    loss
        [n] nats; may be NaN or inf.
    start
        Number of the first sample.
    ignored
        [n] True for samples without a loss.
    weight, divisor
        [n] weight of each loss in the sum, and in the number that the sum is divided by.
    labels, ids
        [n] labels and ids of the worst samples.
    ranks, top_k
        [n] rank of each label among the logits, from 0; and the values of k for which ranks below k are counted.
    divergence
        [n] figures of the divergence from a reference, by name; weighted as the losses are.
    divergence_worst
        How many of the highest divergences to list.
    states
        How many distributions share the memory for exact quantiles.

    Examples
    --------
    >>> import numpy as np
    >>> both = total_losses("", np.array([1.0, 4.0])).merge(total_losses("", np.array([1.0])))
    >>> both.summarize().mean_loss
    2.0
    """
    rows = np.arange(loss.size) if ignored is None else np.flatnonzero(~ignored)
    every_one = rows.size == loss.size
    kept = loss if every_one else loss[rows]
    if not every_one:
        labels, ids = (None if names is None else names[rows] for names in (labels, ids))
    nan, inf = np.isnan(kept), np.isinf(kept)
    special = bool(nan.any() or inf.any())
    finite = kept[~(nan | inf)] if special else kept
    weighted = diverged = moments = None
    exact_rows = EXACT_ROWS // states
    if divergence is not None:
        from xent_cli.core.totals.divergence_totals import DivergenceTotals

        diverged = DivergenceTotals.of(
            {name: values if every_one else values[rows] for name, values in divergence.items()},
            None if weight is None else weight[rows],
            spread=figures,
            exact_rows=exact_rows,
            sample=start + rows,
            worst_wanted=divergence_worst,
            labels=labels,
            ids=ids,
        )
    if ranks is not None:
        ranks = ranks if every_one else ranks[rows]
    hits = () if ranks is None else tuple((k, int(np.count_nonzero(ranks < k))) for k in sorted(set(top_k)))
    if divisor is not None:
        products = kept if weight is None else _products(kept, weight[rows], start + rows)
        known = np.isfinite(products)
        weighted = ExactSum.of(products[known])
        if figures:
            from xent_cli.core.totals.moments import Moments

            moments = Moments.of_rows(np.where(known, products, 0.0), divisor[rows])
    return LossTotals(
        signature,
        n_samples=int(kept.size),
        n_ignored=int(loss.size - kept.size),
        n_nan=int(np.count_nonzero(nan)) if special else 0,
        n_inf=int(np.count_nonzero(inf)) if special else 0,
        sums=ExactSum.of(finite),
        squares=ExactSum.of_squares(finite) if figures else ExactSum(),
        weighted=weighted,
        weight=None if divisor is None else ExactSum.of(divisor[rows]),
        min_loss=float(np.fmin.reduce(kept, initial=math.inf)),
        quantiles=QuantileState.of(kept, exact_rows=exact_rows) if figures else None,
        worst=worst_samples(kept, rows + start, worst_wanted, labels, ids),
        worst_wanted=worst_wanted,
        hits=hits,
        divergence=diverged,
        moments=moments,
    )


def _products(loss: FloatArray, weight: FloatArray, samples: IntArray) -> FloatArray:
    """Return losses [n] times weights [n]; `RowError` where a finite loss becomes infinite."""
    with np.errstate(over="ignore", invalid="ignore"):
        products: FloatArray = loss * weight
    lost = np.isfinite(loss) & ~np.isfinite(products)
    if lost.any():
        row = int(np.argmax(lost))
        found = f"{loss[row]:g} nats"
        raise RowError("weight times loss overflows", int(samples[row]), "weights", found, code="loss-overflow")
    return products
