"""The k highest probabilities of each row, by class: rows of log-probabilities with NaN for all other classes.

It matters which entries are the k highest, because the least of these bounds all other classes. A sampled token may be
listed too.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from xent_cli.errors import InputError, RowError, listing, printable
from xent_cli.readers.top_k_precision import Precision

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from xent_cli.core.array_types import AnyArray, BoolArray, FloatArray, IntArray

# Prefixes of the names that programs give to lists or arrays of these.
_STEMS = ("", "topk_", "top_k_", "top_", "logprob_", "teacher_", "teacher_topk_", "teacher_top_k_", "teacher_top_")
_CLASSES = ["indices", "ids", "token_ids", "idx", "indexes", "class_ids"]
_NUMBERS = ["values", "logprobs", "log_probs", "logp", "probs", "vals", "probabilities", "log_probabilities"]
_TOPS = {f"{stem}_{name}" for stem in ("top", "topk", "top_k") for name in ("classes", "tokens")}
INDICES = frozenset(stem + name for stem in _STEMS for name in _CLASSES) | _TOPS
VALUES = frozenset(stem + name for stem in _STEMS for name in _NUMBERS)
# Two entries of one class are the same if they differ by no more than rounding.
_SAME = 1e-2
# A probability computed in single precision may exceed 1 by so much.
_ABOVE = 1e-6
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
    precision
        To what values were rounded.
    """

    classes: IntArray
    values: FloatArray
    precision: Precision = Precision()


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
    precision
        To what values were rounded, as far as the first of them show it.
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
    precision: Precision = Precision()

    @property
    def width(self) -> int:
        """Number of columns of the rows, or about the number of entries if the number of classes is not known."""
        return self.num_classes or self.appended.usual or 1


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
    known, num_classes = num_classes > 0, num_classes or 1 << 62
    classes = f"indices from 0 to {num_classes - 1}"
    other = (index >= num_classes) | ((index < 0) & held)
    refuse_rows(other.any(axis=1), "not a class", _first_of(index, other, "index"), classes, numbers, role)
    counts = np.count_nonzero(held, axis=1)
    refuse_rows(counts == 0, "an empty list", lambda _: "no class", "at least one class", numbers, role)
    most = max(_ABOVE, rows.precision.relative) + probs
    good = (values >= 0) & (values <= most) if probs else values <= most
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
    if probs and rows.precision.absolute:
        whole = np.count_nonzero(index >= 0, axis=1) == num_classes
        least = rows.precision.least if known else 0.0
        lost = (values <= least) & (index >= 0) & ~whole[:, np.newaxis]
        most_lost = np.where(lost & ~extra, values, -np.inf).max(axis=1)
        with np.errstate(divide="ignore", invalid="ignore"):
            cap = np.where(most_lost >= 0, np.log(most_lost + rows.precision.absolute), cap)
        index = np.where(lost, NOTHING, index)
    width = rows.precision.widths(values, index >= 0, probs=probs)
    # What exceeds 1 was rounded up to it.
    width = np.maximum(width, np.where(index >= 0, log_p, 0.0).max(axis=1))
    return index, np.minimum(log_p, 0.0), np.minimum(np.maximum(cap, above), 0.0), width


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


def _first_of(values: AnyArray, bad: BoolArray, what: str) -> Callable[[int], str]:
    """Return a function that shows the first bad entry of a row."""
    return lambda row: f"{what} {values[row, int(np.argmax(bad[row]))]}"


def refuse_rows(bad: Any, what: str, found: Callable[[int], str], expected: str, numbers: IntArray, role: str) -> None:
    """Refuse the first of the bad rows."""
    if bad.any():
        row = int(np.argmax(bad))
        raise RowError(what, int(numbers[row]), role, found(row), expected, code="top-k")


def refuse_as_candidate(path: str, names: Sequence[str], *, sure: bool = False) -> None:
    """Refuse the highest of each row in place of the logits of a model.

    Parameters
    ----------
    names
        Those of the arrays or columns.
    sure
        Whether these are known to hold the highest; otherwise their names decide.

    Raises
    ------
    InputError
        If they hold the highest.
    """
    if not sure and not all({name.lower() for name in names} & known for known in (INDICES, VALUES)):
        return
    raise InputError(
        "the highest of each row in place of logits",
        path,
        found=listing(names),
        expected="every class: a class that is not listed could be as rare as one likes, so that nothing bounds a loss",
        hint=f"only a teacher may have the highest alone, and goes second: xent compute LOGITS {printable(path)} "
        "--labels-from log-probs" + ("" if sure else "; if these are all classes, --logits-column names them"),
    )
