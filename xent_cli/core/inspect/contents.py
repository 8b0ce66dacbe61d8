"""What the headers of an input list beside the values that are read."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Entry:
    """One array or column.

    Fields
    ------
    name, dtype
        As the file has them; "" where a type is not known.
    shape
        Of an array; None for a column.
    role
        "logits", "label", "id", "weight", or "" where it is not read.
    reason
        Why a column is not read; "" where nothing tells.
    """

    name: str
    dtype: str
    shape: tuple[int, ...] | None = None
    role: str = ""
    reason: str = ""


@dataclass(frozen=True, slots=True)
class Contents:
    """What headers say.

    Fields
    ------
    size_bytes
        Of all files as stored; None for what came through a pipe.
    compression
        "" without any.
    layout
        In words: "C order", "4 row groups", or "".
    entries
        Every array or column, those that are not used too.
    """

    size_bytes: int | None
    compression: str
    layout: str
    entries: tuple[Entry, ...] = ()
