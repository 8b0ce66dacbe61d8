"""Cross-entropy of rows of probabilities, or of their logarithms: used as given, never clipped."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from xent_cli.core.kernel.cross_entropy import RowLosses
from xent_cli.core.kernel.tiles import rows_per_tile, total
from xent_cli.errors import RowError

if TYPE_CHECKING:
    from xent_cli.core.array_types import AnyArray, FloatArray
    from xent_cli.core.options import LossOptions


def given_cross_entropy(given: AnyArray, labels: AnyArray, options: LossOptions, *, start: int = 0) -> RowLosses:
    """Cross-entropy of each row of probabilities p or log-probabilities against a class, or a row of probabilities.

    ``l_j = -log(p_j)``, inf where p_j is 0; a sparse label costs ``(1 - e) w_y l_y + e/k sum_j w_j l_j`` and a dense
    row q ``sum_j w_j ((1 - e) q_j + e/k) l_j``, with 0 times inf = 0, as in `cross_entropy`.

    Parameters
    ----------
    given
        [n, k]; `options.source` says what they are.
    labels
        [n] int64, each in [0, k), or [n, k], each entry >= 0.
    start
        Sample number of the first row, for the error.

    Returns
    -------
    RowLosses
        NaN for a row with NaN or +inf, or log-probabilities that are all -inf.

    Raises
    ------
    RowError
        At a negative probability.

    Examples
    --------
    >>> import numpy as np
    >>> from xent_cli.core.options import LossOptions
    >>> half = np.array([[0.5, 0.5], [0.0, 1.0]])
    >>> given_cross_entropy(half, np.array([0, 0]), LossOptions(source="probs")).loss.tolist()
    [0.6931471805599453, inf]
    """
    n, k = given.shape
    loss = np.empty(n)
    step = rows_per_tile(k)
    for first in range(0, n, step):
        rows = slice(first, first + step)
        tile = given[rows].astype(np.float64, order="C")
        if options.source == "probs" and (tile < 0).any():
            row, column = (int(i) for i in np.argwhere(tile < 0)[0])
            found = f"{tile[row, column]} for class {column}"
            raise RowError(
                "negative probability",
                start + first + row,
                "logits",
                found,
                "numbers >= 0",
                code="negative-probability",
                data={"role": "logits"},
            )
        log_p, _ = log_probabilities(tile, options.source)
        loss[rows] = _row_losses(log_p, labels[rows], options)
    return RowLosses(loss, 0, None)


def log_probabilities(given: FloatArray, source: str) -> tuple[FloatArray, FloatArray]:
    """Logarithms and probabilities [n, k] of rows that hold either; NaN in every row that is no distribution at all."""
    with np.errstate(divide="ignore", over="ignore", invalid="ignore"):
        log_p, p = (np.log(given), given.copy()) if source == "probs" else (given.copy(), np.exp(given))
    highest = given.max(axis=1)
    lost = np.isnan(highest) | (highest == np.inf) | (highest == -np.inf)
    log_p[lost], p[lost] = np.nan, np.nan
    return log_p, p


def _row_losses(log_p: FloatArray, labels: AnyArray, options: LossOptions) -> FloatArray:
    k = log_p.shape[1]
    smoothing = options.label_smoothing
    weight = np.ones(k) if options.class_weight is None else options.class_weight
    if labels.ndim == 2:
        counts = ((1.0 - smoothing) * labels.astype(np.float64, order="C") + smoothing / k) * weight
        return weighted_sum(counts, -log_p)
    label = labels[:, np.newaxis]
    own = weighted_sum((1.0 - smoothing) * weight[label], -np.take_along_axis(log_p, label, axis=1))
    if not smoothing:
        return own
    return own + weighted_sum(np.broadcast_to(smoothing / k * weight, log_p.shape), -log_p)


def weighted_sum(weights: FloatArray, losses: FloatArray) -> FloatArray:
    """Sum over the classes of weight times loss, with 0 times inf = 0; a row with NaN stays NaN."""
    with np.errstate(invalid="ignore"):
        products = weights * losses
    products[(weights == 0) & np.isinf(losses)] = 0.0
    return total(products, 1)
