"""Which column of a table holds weights or a mask, where the table holds nothing else of a run."""

from __future__ import annotations

from typing import TYPE_CHECKING

from xent_cli.errors import InputError, listing
from xent_cli.readers.columns.column_plan import ColumnPlan

if TYPE_CHECKING:
    from collections.abc import Mapping

NAMES = {
    "weights": ("weight", "weights", "sample_weight", "sample_weights"),
    "mask": ("mask", "attention_mask", "loss_mask", "label_mask", "valid_mask"),
}
_INDEX = frozenset({"", "id", "ids", "index", "sample", "sample_id", "row", "row_id", "idx"})


def plan_beside(path: str, kinds: Mapping[str, str], role: str) -> ColumnPlan:
    """Find the one column of weights, or of a mask: by its name, else the only one that numbers no rows.

    Raises
    ------
    InputError
        Where there is none, or more than one.

    Examples
    --------
    >>> plan_beside("w.csv", {"sample": "number", "w": "number"}, "weights").weight
    'w'
    """
    named = [name for name in kinds if name.strip().lower() in NAMES[role]]
    found = named or [name for name in kinds if name.strip().lower() not in _INDEX]
    if len(kinds) == 1:
        found = list(kinds)
    if len(found) != 1:
        what = "a mask" if role == "mask" else "weights"
        raise InputError(
            f"no column of {what}" if not found else f"several columns that may be {what}",
            path,
            found=f"columns {listing(list(kinds))}",
            expected=f'one column, or one named "{NAMES[role][0]}"',
            hint=f'name the right one "{NAMES[role][0]}", or leave out the others',
        )
    (column,) = found
    if role == "mask":
        return ColumnPlan(mask=column, columns=tuple(kinds))
    return ColumnPlan(weight=column, columns=tuple(kinds))
