"""Cross-entropy of rows of probabilities or log-probabilities: used as they are, never clipped.

See Also
--------
xent_cli.core.kernel.cross_entropy : the same for logits.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from xent_cli.core.kernel.cross_entropy import RowLosses
from xent_cli.core.kernel.tiles import pairwise_sum, rows_per_tile
from xent_cli.errors import RowError

if TYPE_CHECKING:
    from xent_cli.core.array_types import AnyArray, FloatArray
    from xent_cli.core.options import LossOptions


def probability_cross_entropy(rows: AnyArray, labels: AnyArray, options: LossOptions, *, start: int = 0) -> RowLosses:
    """Cross-entropy of each row of probabilities p or log-probabilities against a class, or a row of probabilities.

    The loss of label j is ``l_j = -log(p_j)``, inf where p_j is 0. A sparse label y costs ``(1 - e) w_y l_y + e/k sum_j
    w_j l_j`` and a dense row q ``sum_j w_j ((1 - e) q_j + e/k) l_j``, with 0 times inf = 0, as in `cross_entropy`.

    Parameters
    ----------
    rows
        [n, k] probabilities or log-probabilities, as `options.source` says.
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
    >>> probability_cross_entropy(half, np.array([0, 0]), LossOptions(source="probs")).loss.tolist()
    [0.6931471805599453, inf]
    """
    if options.kernel != "numpy":
        from xent_cli.core.kernel.compiled import compiled_cross_entropy

        loss = compiled_cross_entropy(rows, labels, options).loss
        for row in np.isnan(loss).nonzero()[0] if options.source == "probs" else ():
            _refuse_negative(rows[row : row + 1], start + int(row))
        return RowLosses(loss, 0, None)
    n, k = rows.shape
    loss = np.empty(n)
    step = rows_per_tile(k)
    for first in range(0, n, step):
        part = slice(first, first + step)
        tile = rows[part].astype(np.float64, order="C")
        if options.source == "probs":
            _refuse_negative(tile, start + first)
        log_p, _ = log_probabilities(tile, options.source)
        loss[part] = _row_losses(log_p, labels[part], options)
    return RowLosses(loss, 0, None)


def _refuse_negative(rows: AnyArray, start: int) -> None:
    """Raise RowError at the first negative probability in rows [n, k]."""
    negative = rows < 0
    if negative.any():
        row, column = (int(i) for i in np.argwhere(negative)[0])
        found = f"{float(rows[row, column])} for class {column}"
        code, data = "negative-probability", {"role": "logits"}
        raise RowError("negative probability", start + row, "logits", found, "numbers >= 0", code=code, data=data)


def log_probabilities(rows: FloatArray, source: str) -> tuple[FloatArray, FloatArray]:
    """Return log-probabilities and probabilities [n, k] of rows that hold either; NaN in rows that are invalid."""
    with np.errstate(divide="ignore", over="ignore", invalid="ignore"):
        log_p, p = (np.log(rows), rows.copy()) if source == "probs" else (rows.copy(), np.exp(rows))
    highest = rows.max(axis=1)
    invalid = np.isnan(highest) | (highest == np.inf) | (highest == -np.inf)
    log_p[invalid], p[invalid] = np.nan, np.nan
    return log_p, p


def _row_losses(log_p: FloatArray, labels: AnyArray, options: LossOptions) -> FloatArray:
    k = log_p.shape[1]
    smoothing = options.label_smoothing
    weight = np.ones(k) if options.class_weight is None else options.class_weight
    if labels.ndim == 2:
        weights = ((1.0 - smoothing) * labels.astype(np.float64, order="C") + smoothing / k) * weight
        return weighted_sum(weights, -log_p)
    label = labels[:, np.newaxis]
    own = weighted_sum((1.0 - smoothing) * weight[label], -np.take_along_axis(log_p, label, axis=1))
    if not smoothing:
        return own
    return own + weighted_sum(np.broadcast_to(smoothing / k * weight, log_p.shape), -log_p)


def weighted_sum(weights: FloatArray, losses: FloatArray) -> FloatArray:
    """Sum weight times loss over the classes, with 0 times inf = 0; a row with NaN stays NaN."""
    with np.errstate(invalid="ignore"):
        products = weights * losses
    products[(weights == 0) & np.isinf(losses)] = 0.0
    return pairwise_sum(products)
