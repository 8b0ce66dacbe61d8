"""The float types that the overflow report covers."""

from __future__ import annotations

from typing import Any

import numpy as np


def overflow_dtypes() -> tuple[np.dtype[Any], ...]:
    """Return the float types for the overflow report; bfloat16 needs ml_dtypes."""
    try:
        import ml_dtypes
    except ImportError:
        return np.dtype(np.float16), np.dtype(np.float32), np.dtype(np.float64)
    return np.dtype(np.float16), np.dtype(ml_dtypes.bfloat16), np.dtype(np.float32), np.dtype(np.float64)
