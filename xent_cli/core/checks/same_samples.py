"""Checks that two inputs agree about the same samples: on their ids, and on labels that both contain."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

import numpy as np

from xent_cli.errors import RowError

if TYPE_CHECKING:
    from xent_cli.core.array_types import AnyArray

_PLURAL = {"loss": "losses", "gradient": "gradients", "mask": "masks"}
# Some tables store whole numbers as floats.
_WHOLE_FLOAT = re.compile(r"(-?\d+)\.0+")


class OtherIdError(RowError):
    """A sample has a different id in an input than in the logits."""


class OtherLabelError(RowError):
    """A sample has a different label in the file of labels than in the table of logits."""


def plain_id(value: object) -> str | None:
    """Normalise an id for comparison: strip it, and write whole numbers the same way however a table stores them.

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
    """Refuse ids of an input that differ from those of the logits.

    Parameters
    ----------
    ours, theirs
        [n] ids of the logits and of the second input.
    start
        Sample number of the first row.
    role
        The second input: "labels", "weights", ...

    Raises
    ------
    OtherIdError
        At the first sample that differs.
    """
    for row in np.flatnonzero(ours != theirs).tolist():
        if plain_id(ours[row]) != plain_id(theirs[row]):
            found, expected = _id_text(theirs[row]), _id_text(ours[row])
            raise OtherIdError(
                f"{_PLURAL.get(role, role)} are in a different order", start + row, role, found, expected
            )


def refuse_other_labels(ours: AnyArray, theirs: AnyArray, start: int) -> None:
    """Refuse labels of a file that differ from those in the table of logits.

    Raises
    ------
    OtherLabelError
        At the first sample that differs.
    """
    if ours.ndim != theirs.ndim or ours.dtype.kind not in "biuf" or theirs.dtype.kind not in "biuf":
        return
    unlike = (ours != theirs) & ~((ours != ours) & (theirs != theirs))
    if unlike.any():
        row = int(np.argmax(unlike))
        found, expected = f"class {theirs[row]:g}", f"class {ours[row]:g}"
        raise OtherLabelError("labels differ from those in the table of logits", start + row, "labels", found, expected)


def _id_text(value: object) -> str:
    return "no id" if value is None else f'"{value}"'
