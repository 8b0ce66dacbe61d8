"""What is said of an input in every document."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import Any


@dataclass(frozen=True, slots=True)
class InputDescription:
    """An input as it was found.

    Fields
    ------
    path
        As the user gave it.
    format
        "npy", "csv", "parquet", ...
    shape
        Of the values read; None in place of a number of rows that only the end of the file tells.
    dtype
        NumPy's name for the values as stored.
    shards
        The files in the order in which they follow one another, where there are several.
    n_classes
        How many classes logits have; None of another input.
    class_columns
        Columns of a table that hold the logits: their names, or stem, first and last where they are numbered or very
        many; None of an array.
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
