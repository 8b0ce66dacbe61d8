"""Brier scores of rows of logits or probabilities."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from xent_cli.core.kernel.tiles import pairwise_sum, rows_per_tile, tile_of

if TYPE_CHECKING:
    from xent_cli.core.array_types import AnyArray, FloatArray, IntArray
    from xent_cli.core.options import LossOptions


def brier_scores(rows: AnyArray, labels: IntArray, options: LossOptions) -> FloatArray:
    """Brier score of each row, ``(1 - p_y)**2 + sum_{j != y} p_j**2``, with p the softmax of the logits over T.

    1 - p_y is computed as the sum of the other probabilities, so that the score of a confident prediction keeps its
    digits. Probabilities and log-probabilities are used as given.

    Parameters
    ----------
    rows
        [n, k] logits, or what `options.source` says.
    labels
        [n] int64, each in [0, k).

    Returns
    -------
    [n] float64 in [0, 2]; NaN for a row with NaN or +inf, or nothing but -inf.

    Examples
    --------
    >>> from xent_cli.core.options import LossOptions
    >>> brier_scores(np.log([[0.25, 0.75]]), np.array([0]), LossOptions()).round(6).tolist()
    [1.125]
    """
    n, k = rows.shape
    scores = np.empty(n)
    step = rows_per_tile(k)
    for first in range(0, n, step):
        part = slice(first, first + step)
        with np.errstate(over="ignore", invalid="ignore"):
            p = tile_of(rows[part], np.float64)
            if options.source == "logits":
                p -= p.max(axis=1, keepdims=True)
                p /= options.temperature
            if options.source != "probs":
                np.exp(p, out=p)
            own = np.arange(len(p)), labels[part]
            label = p[own]
            p[own] = 0.0
            others = pairwise_sum(p)
            np.multiply(p, p, out=p)
            squares = pairwise_sum(p)
            if options.source == "logits":
                whole = others + label
                scores[part] = (others / whole) ** 2 + squares / whole**2
            else:
                scores[part] = (1.0 - label) ** 2 + squares
    return scores
