"""Cells that mark a sample as not counted: masks and missing labels."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa

from xent_cli.errors import RowError

if TYPE_CHECKING:
    from xent_cli.core.array_types import AnyArray, BoolArray

_WORDS = {"true": 1.0, "false": 0.0}
# What pandas and R write for a missing value.
_MISSING = frozenset({"", "na", "n/a", "nan", "null", "none", "<na>", "nat"})


def mask_of(column: pa.ChunkedArray, start: int) -> AnyArray:
    """Return the mask [n] in a column of bool, numbers or text; `check_mask` judges values other than 0 and 1.

    Raises
    ------
    RowError
        If a cell is empty, or is text other than these words.
    """
    whole = column.combine_chunks()
    whole = whole.chunk(0) if isinstance(whole, pa.ChunkedArray) else whole
    text = pa.types.is_string(whole.type) or pa.types.is_large_string(whole.type)
    if not text and not whole.null_count:
        held: AnyArray = whole.to_numpy(zero_copy_only=False)
        return held
    encoded = whole.dictionary_encode()  # few distinct words, each looked at once
    words = [*encoded.dictionary.to_pylist(), None]
    numbers = np.array([np.nan if (number := _number(word)) is None else number for word in words])
    places = encoded.indices.fill_null(len(words) - 1).to_numpy(zero_copy_only=False)
    values: AnyArray = numbers[places]
    bad = np.isnan(values)
    if bad.any():
        row = int(np.argmax(bad))
        word = words[places[row]]
        found = "nothing" if word is None or word == "" else f'"{word}"'
        raise RowError("invalid mask", start + row, "mask", found=found, expected="0 or 1, or true or false")
    return values


def is_masked(cell: str) -> bool:
    """Whether a mask cell says that its row does not count.

    Examples
    --------
    >>> is_masked("False"), is_masked("0.0"), is_masked("")
    (True, True, False)
    """
    return _number(cell) == 0


def present(column: pa.ChunkedArray, class_names: tuple[str, ...] | None) -> tuple[pa.ChunkedArray, BoolArray | None]:
    """Return a label column with a placeholder for each missing label, and which are missing; None if none are.

    A word for a missing value, such as NA, is a label if a class has that name.
    """
    missing: BoolArray = column.is_null().combine_chunks().to_numpy(zero_copy_only=False)
    text = pa.types.is_string(column.type) or pa.types.is_large_string(column.type)
    if not text:
        return (column.fill_null(0), missing) if missing.any() else (column, None)
    values = column.to_pylist()
    names = set(class_names or ())
    words = (value is not None and value not in names and value.strip().lower() in _MISSING for value in values)
    missing = missing | np.fromiter(words, np.bool_, len(values))
    if not missing.any():
        return column, None
    filler = class_names[0] if class_names else "0"
    filled = [filler if lost else value for value, lost in zip(values, missing.tolist(), strict=True)]
    return pa.chunked_array([pa.array(filled, column.type)]), missing


def _number(value: object) -> float | None:
    if isinstance(value, str):
        word = value.strip().lower()
        try:
            return _WORDS[word] if word in _WORDS else float(word)
        except ValueError:
            return None
    return None if value is None else float(value)  # type: ignore[arg-type]
