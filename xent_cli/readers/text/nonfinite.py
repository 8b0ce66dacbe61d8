"""Losses that JSON cannot write as numbers: null in JSON Lines, with the loss as text next to it."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import pyarrow as pa

NONFINITE = "nonfinite"
_WORDS = ("inf", "-inf", "nan")


def with_nonfinite(rows: pa.Table, name: str = "loss") -> pa.Table:
    """Replace null losses by the number written as text next to them, and drop that column."""
    import pyarrow as pa
    import pyarrow.compute as pc

    if not {name, NONFINITE} <= set(rows.column_names) or not pa.types.is_string(rows[NONFINITE].type):
        return rows
    words = rows[NONFINITE]
    known = pc.and_(pc.is_null(rows[name]), pc.is_in(words, pa.array(_WORDS)))
    loss = pc.if_else(known, pc.if_else(known, words, None).cast(pa.float64()), rows[name])
    return rows.set_column(rows.column_names.index(name), name, loss).drop_columns([NONFINITE])
