"""Which saved predictions are right."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from xent_cli.core.array_types import BoolArray
    from xent_cli.readers.saved.saved_results import SavedResults


def hits_of(result: SavedResults) -> BoolArray | None:
    """Return which samples [n] are predicted right, False if a sample has no prediction; None if the file does not say.

    Labels and predictions are written alike, but a column with a missing value is read as text.
    """
    if result.predicted is None or result.labels is None:
        return None
    predicted, labels = result.predicted, result.labels
    if predicted.dtype != labels.dtype:
        predicted, labels = predicted.astype(str), labels.astype(str)
    hits: BoolArray = np.asarray(predicted == labels, np.bool_)
    return hits
