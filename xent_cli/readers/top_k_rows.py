"""The k highest probabilities of each row, by class: rows of log-probabilities with NaN for all other classes.

It matters which entries are the k highest, because the least of these bounds all other classes. A sampled token may be
listed too.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from xent_cli.core.diagnostics import Diagnostic
from xent_cli.errors import RowError

if TYPE_CHECKING:
    from collections.abc import Callable

    from xent_cli.core.array_types import AnyArray, BoolArray, FloatArray, IntArray

# Prefixes of the names that programs give to lists or arrays of these.
_STEMS = ("", "topk_", "top_k_", "top_", "logprob_", "teacher_", "teacher_topk_", "teacher_top_k_", "teacher_top_")
_CLASSES = ["indices", "ids", "token_ids", "idx", "indexes", "class_ids"]
_NUMBERS = ["values", "logprobs", "log_probs", "logp", "probs", "vals", "probabilities", "log_probabilities"]
_TOPS = {f"{stem}_{name}" for stem in ("top", "topk", "top_k") for name in ("classes", "tokens")}
INDICES = frozenset(stem + name for stem in _STEMS for name in _CLASSES) | _TOPS
VALUES = frozenset(stem + name for stem in _STEMS for name in _NUMBERS)
# Bits of the significand of each dtype, and the smallest number that it holds, as powers of 2: values are right to half
# a unit of the last bit. Values stored as float64 or as text are taken to be exact.
_PRECISIONS = {"float16": (11, -24), "bfloat16": (8, -133), "float32": (24, -149)}
# Two entries of one class are the same if they differ by no more than rounding.
_SAME = 1e-2
# Marks the absence of an entry, in place of a class.
NOTHING = -(1 << 62)


class Highest(NamedTuple):
    """Entries of rows [n, m].

    Fields
    ------
    classes
        Class of each entry; `NOTHING` after the last entry of a row.
    values
        Log-probability, or probability, of each entry; NaN after the last entry of a row.
    dtype
        Name of the dtype in which values were stored.
    """

    classes: IntArray
    values: FloatArray
    dtype: str = "float64"


class Appended(NamedTuple):
    """Which entry of a row may be a sampled or scored token instead of one of the k highest.

    Fields
    ------
    place
        "first" or "last", "" if there is none.
    usual
        Number of entries of most rows; a row with one more has such a token. 0 if the number varies.
    """

    place: str = ""
    usual: int = 0


class TopKColumns(NamedTuple):
    """The columns that hold the k highest of each row.

    Fields
    ------
    classes, values
        The columns of classes and of values: lists in one column each, or one column for each rank. Without the former,
        cells of the one column are maps from class to value.
    nested
        Whether a cell holds a list or a map.
    probs
        Whether values are probabilities, not their logarithms.
    appended
        Which entry may not be one of the highest.
    names
        Names of the classes, if the table has names and not numbers; or None.
    num_classes
        How many classes there are; 2 if only the label and all others are told apart.
    texts
        Whether classes are texts.
    scored
        Whether only the value of a label next to them is wanted; then the number of classes is not known.
    """

    classes: tuple[str, ...]
    values: tuple[str, ...]
    nested: bool
    probs: bool = False
    appended: Appended = Appended()
    names: tuple[str, ...] | None = None
    num_classes: int = 0
    texts: bool = False
    scored: bool = False

    @property
    def width(self) -> int:
        """Number of columns of the rows, or about the number of entries if the number of classes is not known."""
        return self.num_classes or self.appended.usual or 1


def appended_in(rows: Highest) -> Appended:
    """Decide from the first rows whether a token is listed besides the k highest.

    It is if all entries but the first descend, or if the first or the last one is a class that the others list too.

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
    return Appended(found, usual)


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


def highest_rows(
    rows: Highest, num_classes: int, appended: Appended, *, probs: bool, numbers: IntArray, role: str = "labels"
) -> tuple[FloatArray, FloatArray]:
    """Return rows [n, k] of log-probabilities, with NaN for all classes that are not listed, and their bounds [n, 3].

    Parameters
    ----------
    num_classes
        Number of classes; 0 if it is not known: then the entries are returned in their own order, padded with NaN.
    numbers
        [n] sample numbers, for the error.

    Raises
    ------
    RowError
        At an index that is not a class or occurs twice, or a value that is not a probability.

    Examples
    --------
    >>> rows = Highest(np.array([[2, 0]]), np.array([[-0.5, -1.5]]))
    >>> found, bounds = highest_rows(rows, 3, Appended(), probs=False, numbers=np.arange(1))
    >>> found.tolist(), float(bounds[0, 0])
    ([[-1.5, nan, -0.5]], -1.5)
    """
    index, log_p, cap, width = checked(rows, num_classes, appended, probs=probs, numbers=numbers, role=role)
    if num_classes:
        out = np.full((len(index), num_classes), np.nan)
        at = np.nonzero(index >= 0)
        out[at[0], index[at]] = log_p[at]
        # A row that lists every class is treated like a dense one.
        width[~np.isnan(out).any(axis=1)] = 0.0
    else:
        out = np.where(index == NOTHING, np.nan, log_p)
    return out, np.stack([cap + width, width, np.full(len(out), np.nan)], axis=1)


def checked(
    rows: Highest, num_classes: int, appended: Appended, *, probs: bool, numbers: IntArray, role: str
) -> tuple[IntArray, FloatArray, FloatArray, FloatArray]:
    """Check entries; return classes (`NOTHING` for none) and log-probabilities [n, m], caps and widths [n]."""
    index, values = rows.classes.copy(), rows.values
    held = index != NOTHING
    num_classes = num_classes or 1 << 62
    classes = f"indices from 0 to {num_classes - 1}"
    other = (index >= num_classes) | ((index < 0) & held)
    refuse_rows(other.any(axis=1), "not a class", _first_of(index, other, "index"), classes, numbers, role)
    counts = np.count_nonzero(held, axis=1)
    refuse_rows(counts == 0, "an empty list", lambda _: "no class", "at least one class", numbers, role)
    good = (values >= 0) & (values <= 1) if probs else values <= 0
    bad, expected = ~good & held, "values between 0 and 1, or their logarithms"
    refuse_rows(bad.any(axis=1), "not a probability", _first_of(values, bad, "value"), expected, numbers, role)
    with np.errstate(divide="ignore", invalid="ignore"):
        log_p: FloatArray = np.where(held, np.log(values) if probs else values, np.nan)
    extra = _extra(index, log_p, counts, appended)
    index, log_p = _without_repeated(index, log_p, extra, numbers, role)
    beside = extra | (index < 0)
    highest = np.where(beside, -np.inf, log_p).max(axis=1, keepdims=True)
    # A token that is likelier than the highest is one of them, regardless of the first rows.
    above = np.where(extra & (log_p > highest), log_p, -np.inf).max(axis=1)
    cap = np.where(beside, np.inf, log_p).min(axis=1)
    width = _widths(values, held, rows.dtype, probs=probs)
    if probs and rows.dtype in _PRECISIONS:
        # A value stored as 0 was less than half the smallest number.
        lost = (values == 0) & (index >= 0)
        cap = np.where((lost & ~extra).any(axis=1), (_PRECISIONS[rows.dtype][1] - 1) * np.log(2.0), cap)
        index = np.where(lost, NOTHING, index)
    return index, log_p, np.minimum(np.maximum(cap, above), 0.0), width


def _extra(index: IntArray, log_p: FloatArray, counts: IntArray, appended: Appended) -> BoolArray:
    """Return which entries may not be among the k highest."""
    extra = np.zeros(index.shape, np.bool_)
    rows = np.arange(len(index))
    if appended.place:
        extra[rows, 0 if appended.place == "first" else counts - 1] = True
    elif appended.usual:
        longer = np.flatnonzero(counts == appended.usual + 1)
        lowest = np.argmin(np.where(index >= 0, log_p, np.inf), axis=1)
        extra[longer, lowest[longer]] = True
    return extra


def _without_repeated(
    index: IntArray, log_p: FloatArray, extra: BoolArray, numbers: IntArray, role: str
) -> tuple[IntArray, FloatArray]:
    """Drop a token that the k highest list too; any other class that occurs twice is an error."""
    order = np.argsort(index, axis=1, kind="stable")
    ascending = np.take_along_axis(index, order, axis=1)
    twice = (ascending[:, 1:] == ascending[:, :-1]) & (ascending[:, 1:] >= 0)
    if not twice.any():
        return index, log_p
    pairs = np.nonzero(twice)
    ours, theirs = order[pairs[0], pairs[1]], order[pairs[0], pairs[1] + 1]
    drop = np.where(extra[pairs[0], ours], ours, theirs)
    both = log_p[pairs[0], ours], log_p[pairs[0], theirs]
    with np.errstate(invalid="ignore"):
        alike = (both[0] == both[1]) | (np.abs(both[0] - both[1]) <= _SAME)
    bad = np.zeros(len(index), np.bool_)
    bad[pairs[0][~(alike & extra[pairs[0], drop])]] = True
    found = {int(row): f"class {ascending[row, column]} again" for row, column in zip(*pairs, strict=True) if bad[row]}
    refuse_rows(bad, "a class twice in a row", lambda row: found[row], "each class once", numbers, role)
    index[pairs[0], drop] = NOTHING
    return index, np.where(index < 0, np.nan, log_p)


def _widths(values: FloatArray, held: BoolArray, dtype: str, *, probs: bool) -> FloatArray:
    """Return how far off the logarithms of each row may be, given how they were stored."""
    if dtype not in _PRECISIONS:
        return np.zeros(len(values))
    bits, smallest = _PRECISIONS[dtype]
    relative, absolute = 1.01 * 2.0**-bits, 2.0 ** (smallest - 1)
    with np.errstate(divide="ignore", invalid="ignore"):
        if probs:
            off = np.where(values > 0, np.maximum(relative, -np.log1p(-np.minimum(0.5, absolute / values))), 0.0)
        else:
            off = np.where(np.isfinite(values), np.abs(values) * relative + absolute, 0.0)
    found: FloatArray = np.where(held, off, 0.0).max(axis=1, initial=0.0)
    return found


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


def _first_of(values: AnyArray, bad: BoolArray, what: str) -> Callable[[int], str]:
    """Return a function that shows the first bad entry of a row."""
    return lambda row: f"{what} {values[row, int(np.argmax(bad[row]))]}"


def refuse_rows(bad: Any, what: str, found: Callable[[int], str], expected: str, numbers: IntArray, role: str) -> None:
    """Refuse the first of the bad rows."""
    if bad.any():
        row = int(np.argmax(bad))
        raise RowError(what, int(numbers[row]), role, found(row), expected, code="top-k")
