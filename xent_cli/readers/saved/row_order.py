"""Which row of a candidate belongs to each row of the baseline: by id, or by position."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np

from xent_cli.errors import InputError, more_rows

if TYPE_CHECKING:
    from xent_cli.core.array_types import BoolArray, IntArray
    from xent_cli.readers.saved.saved_results import SavedResults


def common_id(results: list[SavedResults]) -> str | None:
    """Return the name of the id column that all files share; None if rows are compared by position."""
    names = {result.id_name for result in results}
    return names.pop() if len(names) == 1 else None


def row_name(result: SavedResults, row: int, *, by_id: bool = False) -> str:
    """Name a row as the user knows it: by its id if there is one, otherwise by its number."""
    if by_id and result.ids is not None:
        return f'{result.id_name} "{result.ids[row]}"'
    return f"sample {row if result.sample is None else result.sample[row]}"


def order_by_place(baseline: SavedResults, candidate: SavedResults) -> IntArray:
    """Return the numbers of the rows, which are the same in both files.

    Raises
    ------
    InputError
        If the files have different numbers of rows, or their column of sample numbers differs.
    """
    sizes = _sizes(baseline, candidate)
    if sizes[0] != sizes[1]:
        raise InputError(
            "different number of samples",
            candidate.path,
            found=f"{sizes[1]} samples",
            expected=f"{sizes[0]} as in {baseline.path}",
            hint="rows are compared by position; --id-column joins them by name",
        )
    if baseline.sample is not None and candidate.sample is not None:
        unlike = baseline.sample != candidate.sample
        if unlike.any():
            row = int(np.argmax(unlike))
            raise InputError(
                "samples in a different order",
                f"{candidate.path} row {row}",
                found=f"sample {candidate.sample[row]}",
                expected=f"sample {baseline.sample[row]} as in {baseline.path}",
                hint="--id-column sample joins rows by their number",
            )
    return np.arange(sizes[0])


def order_by_id(baseline: SavedResults, candidate: SavedResults) -> IntArray:
    """Return, for each row of the baseline, the row of the candidate with the same id.

    Raises
    ------
    InputError
        If an id is missing, occurs twice, or is in one file only.
    """
    import pandas as pd

    baseline, candidate = (_without_nameless(result) for result in (baseline, candidate))
    for result in (baseline, candidate):
        _refuse_unclear_ids(result)
    wanted: Any = baseline.ids
    there: Any = candidate.ids
    found = pd.Index(there)
    order: IntArray = found.get_indexer(pd.Index(wanted)).astype(np.int64)
    if (order < 0).any():
        raise _missing_ids(candidate, baseline, order < 0)
    if len(found) > order.size:
        extra = np.ones(len(found), np.bool_)
        extra[order] = False
        raise _missing_ids(baseline, candidate, extra)
    return order


def _without_nameless(result: SavedResults) -> SavedResults:
    """Match ignored samples without an id, which a shift leaves at the end of a document, in order."""
    import pandas as pd

    assert result.ignored is not None
    nameless = pd.Series(result.ids).isna().to_numpy() & result.ignored
    if not nameless.any():
        return result
    ids = np.array(result.ids, object)
    ids[nameless] = [f"\0{number}" for number in range(np.count_nonzero(nameless))]
    return replace(result, ids=ids)


def _refuse_unclear_ids(result: SavedResults) -> None:
    import pandas as pd

    ids: Any = pd.Series(result.ids)
    empty = ids.isna().to_numpy()
    if empty.any():
        where = f"{result.path} {row_name(result, int(np.argmax(empty)))}"
        raise InputError("missing id", where, found=f'nothing in column "{result.id_name}"', expected="an id")
    repeated = ids.duplicated().to_numpy()
    if repeated.any():
        row = int(np.argmax(repeated))
        raise InputError(
            "duplicate id",
            f"{result.path} {row_name(result, row)}",
            found=f'{result.id_name} "{ids[row]}" again',
            expected="each id once",
            more=more_of(repeated),
        )


def _missing_ids(where: SavedResults, other: SavedResults, missing: BoolArray) -> InputError:
    sizes = _sizes(where, other)
    return InputError(
        "different samples",
        where.path,
        found=f"{sizes[0]} samples, none with {row_name(other, int(np.argmax(missing)), by_id=True)}",
        expected=f"the {sizes[1]} samples of {other.path}",
        more=more_of(missing),
    )


def _sizes(*results: SavedResults) -> list[int]:
    return [0 if result.loss is None else result.loss.size for result in results]


def more_of(unlike: BoolArray) -> str:
    """Say how many more rows differ in the same way."""
    return more_rows(int(np.count_nonzero(unlike)) - 1)
