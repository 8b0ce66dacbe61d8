"""Detect logits that have already been through a softmax, a common mistake."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np

from xent_cli.core.labels.check_labels import SUM_TOLERANCE

if TYPE_CHECKING:
    from xent_cli.core.array_types import AnyArray, FloatArray
    from xent_cli.core.kernel.streamed_logits import StreamedLogits


def count_softmaxed(logits: AnyArray | StreamedLogits, maximum: FloatArray, sum_without_max: FloatArray) -> int:
    """Count the rows of logits [n, k] that are probabilities: all >= 0, with sum 1.

    Parameters
    ----------
    maximum, sum_without_max
        [n] the maximum m of each row, and the sum of exp(z_j - m) over all but the first maximum.

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
    # For such a row, sum exp(z_j) is at least k exp(1/k) (Jensen's inequality) and at most k - 1 + e. This test costs
    # one operation a row instead of one a class, and hardly any row of real logits passes it.
    sum_of_exponentials = (1.0 + sum_without_max[rows]) * np.exp(maximum[rows])
    within = (sum_of_exponentials > k * math.exp(1 / k) * 0.998) & (sum_of_exponentials < (k - 1 + math.e) * 1.002)
    rows = rows[within]
    if rows.size == 0:
        return 0
    z = logits[rows].astype(np.float64)
    return int(np.count_nonzero((z.min(axis=1) >= 0) & (np.abs(z.sum(axis=1) - 1.0) <= SUM_TOLERANCE)))
