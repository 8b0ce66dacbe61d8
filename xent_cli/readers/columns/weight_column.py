"""Which column holds the weights, mask, units or groups, in a table that the run uses for nothing else."""

from __future__ import annotations

from typing import TYPE_CHECKING

from xent_cli.errors import InputError, listing
from xent_cli.readers.columns.column_plan import ColumnPlan

if TYPE_CHECKING:
    from collections.abc import Mapping

NAMES = {
    "weights": ("weight", "weights", "sample_weight", "sample_weights"),
    "mask": ("mask", "attention_mask", "loss_mask", "label_mask", "valid_mask"),
    "units": ("units", "bytes", "n_bytes", "num_bytes", "words", "n_words", "num_words", "chars", "characters"),
}
_INDEX = frozenset({"", "id", "ids", "index", "sample", "sample_id", "row", "row_id", "idx"})


_TOLD = {"weights": "weights", "mask": "a mask", "units": "units", "groups": "groups"}


def plan_beside(path: str, kinds: Mapping[str, str], role: str, group: str | None = None) -> ColumnPlan:
    """Find the column for a role: by its name, or else the only one that does not hold row numbers.

    Parameters
    ----------
    group
        What the user calls the groups.

    Raises
    ------
    InputError
        If there is none, or more than one.

    Examples
    --------
    >>> plan_beside("w.csv", {"sample": "number", "w": "number"}, "weights").weight
    'w'
    """
    usual = (str(group),) if role == "groups" else NAMES[role]
    named = [name for name in kinds if name.strip() in usual or name.strip().lower() in usual]
    found = named or [name for name in kinds if name.strip().lower() not in _INDEX]
    if len(kinds) == 1:
        found = list(kinds)
    if len(found) != 1:
        what = _TOLD[role]
        raise InputError(
            f"no column of {what}" if not found else f"several columns that may be {what}",
            path,
            found=f"columns {listing(list(kinds))}",
            expected=f'one column, or one named "{usual[0]}"',
            hint=f'name the right one "{usual[0]}", or leave out the others',
        )
    (column,) = found
    columns = tuple(kinds)
    plans = {
        "weights": ColumnPlan(weight=column, columns=columns),
        "mask": ColumnPlan(mask=column, columns=columns),
        "units": ColumnPlan(units=column, columns=columns),
        "groups": ColumnPlan(by=(column,), columns=columns),
    }
    return plans[role]
