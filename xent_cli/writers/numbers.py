"""Whether importing Arrow to format numbers pays off."""

from __future__ import annotations

import sys

# Importing pyarrow takes 110 ms, repr takes 0.7 us per number.
_MANY = 100_000
_MANY_ONCE_IMPORTED = 2_000


def worth_arrow(count: int, before: int = 0) -> bool:
    """Whether formatting `count` rows, after `before` earlier ones, is worth importing Arrow: small blocks add up."""
    return count >= _MANY_ONCE_IMPORTED and ("pyarrow" in sys.modules or before + count >= _MANY)
