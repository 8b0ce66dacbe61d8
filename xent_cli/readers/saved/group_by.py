"""Samples by the value of a column."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from xent_cli.errors import InputError, did_you_mean

if TYPE_CHECKING:
    from collections.abc import Iterator

    from xent_cli.core.array_types import AnyArray, IntArray
    from xent_cli.readers.saved.saved_results import SavedResults


def groups(values: AnyArray) -> Iterator[tuple[str | None, IntArray]]:
    """Return the distinct values in ascending order, None last, each with the rows that have it.

    Examples
    --------
    >>> [(value, places.tolist()) for value, places in groups(np.array(["b", "a", None, "b"], object))]
    [('a', [1]), ('b', [0, 3]), (None, [2])]
    """
    import pandas as pd

    codes, distinct = pd.factorize(values, sort=True)
    order = np.argsort(codes, kind="stable")
    counts = np.bincount(codes + 1, minlength=len(distinct) + 1)
    missing, *places = np.split(order, np.cumsum(counts)[:-1])
    for value, where in zip(distinct.tolist(), places, strict=True):
        yield str(value), where
    if missing.size:
        yield None, missing


def column_of(name: str, result: SavedResults, rows: IntArray) -> AnyArray | None:
    """Return the values of a column in some rows: labels, ids or another column that was read; None if missing."""
    values = result.labels if name == "label" else result.ids if name == result.id_name else result.columns.get(name)
    return None if values is None else values[rows]


def no_such_column(name: str, results: list[SavedResults], option: str = "--by") -> InputError:
    """Return the error for a column that neither file has, with the columns that there are."""
    there = list(dict.fromkeys(column for result in results for column in result.names))
    return InputError(
        "no such column",
        ", ".join(dict.fromkeys(result.path for result in results)),
        found=f"columns {', '.join(there)}" if there else "arrays without columns",
        expected=f'"{name}" ({option}) in one of them',
        hint=did_you_mean(name, there),
    )
