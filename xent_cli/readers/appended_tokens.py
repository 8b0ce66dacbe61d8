"""Find tokens listed besides the k highest: they were sampled or scored, and bound no other class."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from xent_cli.core.diagnostics import Diagnostic
from xent_cli.readers.top_k_rows import NOTHING, Appended, Highest

if TYPE_CHECKING:
    from xent_cli.core.array_types import AnyArray, IntArray

# A token that was sampled may be likelier than the highest by as much as rounding.
_SAME = 1e-2


def appended_in(rows: Highest, num_classes: int = 0, *, probs: bool = False) -> Appended:
    """Decide from the first rows whether a token is listed besides the k highest.

    It is if all entries but the first descend, if the first or the last one is a class that the others list too, or if
    the last one cannot be one of the highest, because too little probability is left for the other classes.

    Parameters
    ----------
    num_classes
        Number of classes; 0 if that is not known.
    probs
        Whether values are probabilities.

    Examples
    --------
    >>> appended_in(Highest(np.array([[7, 2, 5], [1, 4, 2]]), np.log([[0.1, 0.5, 0.2], [0.1, 0.4, 0.2]])))
    Appended(place='first', usual=3)
    """
    held = rows.classes != NOTHING
    counts = np.count_nonzero(held, axis=1)
    few = counts.size > 0 and counts.max() - counts.min() <= 1
    usual = int(counts.min()) if few else 0
    if rows.classes.shape[1] < 2:
        return Appended("", usual)
    found = ""
    for place in ("first", "last"):
        one, rest = _parted(rows.classes, counts, place), _others(rows.classes, counts, place)
        values = _others(rows.values, counts, place)
        with np.errstate(invalid="ignore"):
            falls = not (np.diff(values, axis=1) > 0).any()
            highest = np.nanmax(values, axis=1, initial=-np.inf)
            value = _parted(rows.values, counts, place)
            fits = not ((value > highest + _SAME) & (counts > 1)).any()
        if fits and (rest == one[:, np.newaxis]).any() and not _repeats(rest):
            found = place if falls else found or place
        elif fits and falls and place == "first" and (value < highest).any():
            found = place
    if not found and num_classes and _too_little(rows, counts, num_classes, probs=probs):
        others = Highest(_others(rows.classes, counts, "last"), _others(rows.values, counts, "last"), rows.precision)
        found = "" if _too_little(others, counts - 1, num_classes, probs=probs) else "last"
    return Appended(found, usual)


def _too_little(rows: Highest, counts: IntArray, num_classes: int, *, probs: bool) -> bool:
    """Whether, in some row, classes at most as likely as the least one listed cannot make up the rest."""
    with np.errstate(divide="ignore", invalid="ignore", over="ignore"):
        p = rows.values if probs else np.exp(rows.values)
        width = rows.precision.widths(rows.values, rows.classes != NOTHING, probs=probs)
    least = np.nanmin(p, axis=1, initial=1.0) * np.exp(width)
    rest = 1.0 - np.nansum(p, axis=1) * np.exp(width)
    return bool(((rest > (num_classes - counts) * least * (1 + _SAME) + _SAME**3) & (counts > 0)).any())


def _repeats(classes: IntArray) -> bool:
    """Whether a row lists a class twice."""
    ascending = np.sort(classes, axis=1)
    return bool(((ascending[:, 1:] == ascending[:, :-1]) & (ascending[:, 1:] != NOTHING)).any())


def remarks_on(appended: Appended, where: str) -> tuple[Diagnostic, ...]:
    """Say which column of some arrays or lists was not taken as one of the highest."""
    if not appended.place:
        return ()
    text = f"the {appended.place} column {where} is a token beside the highest: it bounds no other class"
    return (Diagnostic("token-beside-the-highest", text, note=True),)


def _parted(values: AnyArray, counts: IntArray, place: str) -> AnyArray:
    """Return the first or the last entry of each row."""
    one: AnyArray = values[np.arange(len(values)), 0 if place == "first" else np.maximum(counts - 1, 0)]
    return one


def _others(values: AnyArray, counts: IntArray, place: str) -> AnyArray:
    """Return all other entries, padded with `NOTHING` or NaN."""
    if place == "first":
        return values[:, 1:]
    nothing = NOTHING if values.dtype.kind == "i" else np.nan
    rest: AnyArray = np.where(np.arange(values.shape[1]) == counts[:, np.newaxis] - 1, nothing, values)
    return rest
