"""What is said of an input in every document."""

from __future__ import annotations

from dataclasses import dataclass


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
    """

    path: str
    format: str
    shape: tuple[int | None, ...]
    dtype: str
    shards: tuple[str, ...] = ()
