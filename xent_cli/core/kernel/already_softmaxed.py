"""Logits that have been through a softmax already: the classic mistake."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np

from xent_cli.core.labels import SUM_TOLERANCE

if TYPE_CHECKING:
    from xent_cli.core.array_types import AnyArray, FloatArray


def count_softmaxed(logits: AnyArray, maximum: FloatArray, others: FloatArray) -> int:
    """How many rows of logits [n, k] are probabilities: all >= 0, with sum 1.

    `maximum` [n] is that of each row, `others` [n] the sum of exp(z_j - m) over all but the first maximum.

    Examples
    --------
    >>> import numpy as np
    >>> z = np.array([[0.5, 0.5], [2.0, 0.0]])
    >>> count_softmaxed(z, z.max(axis=1), np.exp([0.0, -2.0]))
    1
    """
    k = logits.shape[1]
    rows = ((maximum > 0) & (maximum <= 1.001)).nonzero()[0]
    if k == 1 or rows.size == 0:
        return 0
    # For such a row sum exp(z_j) is at least k exp(1/k) (Jensen) and at most k - 1 + e: a test by row, not by class.
    spread_sum = (1.0 + others[rows]) * np.exp(maximum[rows])
    within = (spread_sum > k * math.exp(1 / k) * 0.998) & (spread_sum < (k - 1 + math.e) * 1.002)
    rows = rows[within]
    if rows.size == 0:
        return 0
    z = logits[rows].astype(np.float64)
    return int(np.count_nonzero((z.min(axis=1) >= 0) & (np.abs(z.sum(axis=1) - 1.0) <= SUM_TOLERANCE)))
