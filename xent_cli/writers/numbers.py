"""Whether Arrow is worth its import to spell numbers."""

from __future__ import annotations

import sys

# Importing pyarrow takes 110 ms, spelling by repr 0.7 us a number.
_MANY = 100_000
_MANY_ONCE_IMPORTED = 2_000


def many(count: int, before: int = 0) -> bool:
    """Whether so many rows are worth Arrow, after so many others `before`: small blocks add up too."""
    return count >= _MANY_ONCE_IMPORTED and ("pyarrow" in sys.modules or before + count >= _MANY)
