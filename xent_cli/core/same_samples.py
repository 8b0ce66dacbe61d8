"""What two inputs say of the same samples must be the same: their ids, and labels that stand in both."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

import numpy as np

from xent_cli.errors import RowError

if TYPE_CHECKING:
    from xent_cli.core.array_types import AnyArray

_MANY = {"loss": "losses", "gradient": "gradients", "mask": "masks"}
# Some tables have whole numbers as floats.
_WHOLE_FLOAT = re.compile(r"(-?\d+)\.0+")


class OtherIdError(RowError):
    """A sample has another id in an input than in the logits."""


class OtherLabelError(RowError):
    """A sample has another label in the file of labels than in the table of logits."""


def plain_id(value: object) -> str | None:
    """An id as it is compared: without outer blanks, whole numbers alike however a table stores them.

    Examples
    --------
    >>> plain_id(" s7"), plain_id("12.0"), plain_id(12), plain_id(None)
    ('s7', '12', '12', None)
    """
    if value is None:
        return None
    text = str(value).strip()
    whole = _WHOLE_FLOAT.fullmatch(text)
    return whole[1] if whole else text


def refuse_other_ids(ours: AnyArray, theirs: AnyArray, start: int, role: str) -> None:
    """Refuse samples that another input names otherwise than the logits do.

    Parameters
    ----------
    ours, theirs
        [n] ids of the logits and of the other input.
    start
        Sample number of the first row.
    role
        The other input: "labels", "weights", ...

    Raises
    ------
    OtherIdError
        At the first such sample.
    """
    for row in np.flatnonzero(ours != theirs).tolist():
        if plain_id(ours[row]) != plain_id(theirs[row]):
            found, expected = _told(theirs[row]), _told(ours[row])
            raise OtherIdError(f"{_MANY.get(role, role)} stand in another order", start + row, role, found, expected)


def refuse_other_labels(ours: AnyArray, theirs: AnyArray, start: int) -> None:
    """Refuse labels of a file that are not those that the table of logits has.

    Raises
    ------
    OtherLabelError
        At the first such sample.
    """
    if ours.ndim != theirs.ndim or ours.dtype.kind not in "biuf" or theirs.dtype.kind not in "biuf":
        return
    unlike = (ours != theirs) & ~((ours != ours) & (theirs != theirs))
    if unlike.any():
        row = int(np.argmax(unlike))
        found, expected = f"class {theirs[row]:g}", f"class {ours[row]:g}"
        raise OtherLabelError("labels differ from those beside the logits", start + row, "labels", found, expected)


def _told(value: object) -> str:
    return "no id" if value is None else f'"{value}"'
