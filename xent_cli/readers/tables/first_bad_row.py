"""The first bad row of a block, and the number of other bad rows."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable

    from xent_cli.errors import UnreadableRowError

_ROWS_PER_CLOCK_READ = 1000


def first_with_count(
    rows: Iterable[UnreadableRowError | None], patience_seconds: float = 1.0
) -> UnreadableRowError | None:
    """Return the first bad row of a block with the number of other bad rows, or None if no row is bad.

    The others are counted and not kept, since a block may have a million of them; counting stops after a time.

    Parameters
    ----------
    rows
        For each row the error, or None if it is good.
    patience_seconds
        How long the others are counted after the first was found.

    Examples
    --------
    >>> from xent_cli.errors import UnreadableRowError
    >>> bad = [UnreadableRowError("empty cell", row, "logits") for row in (3, 5, 8)]
    >>> first_with_count([None, *bad]).row, first_with_count(bad).others
    (3, 2)
    """
    first = None
    bad = since = 0
    until = 0.0
    for error in rows:
        if error is not None:
            if first is None:
                first, until = error, time.monotonic() + patience_seconds
            bad += 1 + error.others
        if first is not None:
            since += 1
            if since % _ROWS_PER_CLOCK_READ == 0 and time.monotonic() > until:
                return first.with_others(bad - 1, whole=False)
    return None if first is None else first.with_others(bad - 1)
