"""What the headers of an input list, including arrays and columns that are not read."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Entry:
    """One array or column.

    Fields
    ------
    name, dtype
        Name and dtype in the file; "" if the dtype is not known.
    shape
        Shape of an array; None for a column.
    role
        "logits", "label", "id", "weight", or "" if it is not read.
    reason
        Why a column is not read; "" if not known.
    """

    name: str
    dtype: str
    shape: tuple[int, ...] | None = None
    role: str = ""
    reason: str = ""


@dataclass(frozen=True, slots=True)
class Contents:
    """What the headers of an input say.

    Fields
    ------
    size_bytes
        Size of all files as stored; None for a pipe.
    compression
        Name of the compression, or "".
    layout
        In words: "C order", "4 row groups", or "".
    entries
        All arrays or columns, used or not.
    """

    size_bytes: int | None
    compression: str
    layout: str
    entries: tuple[Entry, ...] = ()
