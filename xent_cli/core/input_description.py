"""The description of an input in reports."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import Any


class InputDescription(NamedTuple):
    """An input, as reports describe it.

    Fields
    ------
    path
        As the user gave it.
    format
        "npy", "csv", "parquet", ...
    shape
        Shape of the values read, with None for a number of rows that is not known before the end of the file.
    dtype
        Name of the dtype as stored: that of NumPy, or "bfloat16".
    shards
        The files in order, if there are several.
    n_classes
        Number of classes, for logits only.
    class_columns
        Columns of a table that hold the logits: their names or, if they are numbered or very many, stem, first and
        last; None for an array.
    left_out
        Columns of the table that are not used, each with the reason.
    """

    path: str
    format: str
    shape: tuple[int | None, ...]
    dtype: str
    shards: tuple[str, ...] = ()
    n_classes: int | None = None
    class_columns: tuple[str, ...] | Mapping[str, Any] | None = None
    left_out: tuple[tuple[str, str], ...] = ()
