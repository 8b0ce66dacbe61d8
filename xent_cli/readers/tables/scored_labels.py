"""Labels next to the k highest of each row: their log-probabilities, or bounds if they are not among these.

The number of classes is not known, and not needed: the probability of a label that is not listed is at most the least
of the k highest, and at most what these leave of 1.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from xent_cli.core.block import Rows
from xent_cli.errors import MissingValueError
from xent_cli.readers.columns.sample import as_text
from xent_cli.readers.tables.arrow_columns import decoded
from xent_cli.readers.tables.named_lists import nulls_of, whole
from xent_cli.readers.tables.top_k_columns import entries_of, padded, plain
from xent_cli.readers.top_k_rows import NOTHING, Appended, Highest, checked, refuse_rows

if TYPE_CHECKING:
    import pyarrow as pa

    from xent_cli.core.array_types import AnyArray, BoolArray, FloatArray, IntArray
    from xent_cli.readers.columns.column_plan import Reading
    from xent_cli.readers.top_k_rows import TopKColumns

# The probabilities of a row must not sum to more than `_MOST_MASS`, and what they leave of 1 is known up to `_SLACK`:
# they may have been printed with seven digits.
_MOST_MASS, _SLACK = 1.01, 1e-6


def label_rows(table: pa.Table, reading: Reading, top_k: TopKColumns, start: int) -> Rows:
    """Return the log-probability of the label of each row, or its bounds.

    Raises
    ------
    RowError
        At a row without a label or a list, or whose lists are not the highest of a distribution.
    """
    counts, classes, values, missing = entries_of(table, top_k, reading.role, start)
    label = reading.plan.label
    assert label is not None
    labels = plain(whole(decoded(table[label])))
    unscored = nulls_of(whole(decoded(table[label])))
    if labels.dtype.kind == "f":
        unscored = unscored | np.isnan(labels)
    odd = _no_classes(labels) & ~unscored
    lenient = reading.plan.lenient or reading.plan.mask is not None
    if lenient:  # rows that may not count
        unscored = unscored | odd
    absent = missing if reading.plan.ignore_missing else missing | unscored
    if absent.any() and not lenient:
        row, others = int(np.argmax(absent)), int(np.count_nonzero(absent)) - 1
        what = "a label" if not missing[row] else "the highest of each row"
        raise MissingValueError("missing value", start + row, "logits", "null", what, others=others)
    if not lenient:
        _refuse(odd, labels, np.arange(len(labels)) + start, "labels")
    kept = np.flatnonzero(~missing)
    _refuse(_no_classes(classes), classes, np.repeat(kept, counts[kept]) + start, "logits")
    # Labels and classes may be texts or numbers; the same number for each distinct text shows which are equal.
    words = [as_text(each) for each in (*classes.tolist(), *labels.tolist())]
    numbers = {word: place for place, word in enumerate(dict.fromkeys(words))}
    index = np.array([numbers[word] for word in words], np.int64)
    highest = padded(counts[kept], index[: len(classes)], values, top_k)
    rows, bounds = np.full((len(missing), 2), np.nan), np.full((len(missing), 3), np.nan)
    if kept.size:
        wanted = np.where(unscored, NOTHING, index[len(classes) :])[kept]
        rows[kept], bounds[kept] = scored_rows(highest, wanted, top_k.appended, probs=top_k.probs, numbers=kept + start)
    return Rows(
        logits=rows,
        logit_bounds=bounds,
        labels=np.zeros(len(rows), np.int64),
        unscored=unscored if reading.plan.ignore_missing and unscored.any() else None,
        absent=absent if absent.any() else None,
    )


def _no_classes(values: AnyArray) -> BoolArray:
    """Return which numbers cannot name a class; every text can."""
    if values.dtype.kind not in "iuf":
        return np.zeros(len(values), np.bool_)
    with np.errstate(invalid="ignore"):
        good: BoolArray = (values >= 0) & (values == np.rint(values)) & (values < np.inf)
    return ~good


def _refuse(bad: BoolArray, values: AnyArray, numbers: IntArray, role: str) -> None:
    refuse_rows(bad, "not a class", lambda row: f"{values[row]}", "a class index, 0 or more", numbers, role)


def scored_rows(
    rows: Highest, labels: IntArray, appended: Appended, *, probs: bool, numbers: IntArray
) -> tuple[FloatArray, FloatArray]:
    """Return rows [n, 2] of the log-probability of a label, with NaN for all other classes, and their bounds [n, 3].

    A label that is not listed has at most the least of the k highest, and at most what these leave of 1: then the row
    has NaN for it, and the rest of the probability for all other classes.

    Parameters
    ----------
    labels
        [n] classes; `NOTHING` for none.
    numbers
        [n] sample numbers, for the error.

    Raises
    ------
    RowError
        As `highest_rows`.

    Examples
    --------
    >>> rows = Highest(np.array([[7, 5], [7, 5]]), np.array([[0.5, 0.25], [1.0, 0.0]]))
    >>> found, bounds = scored_rows(rows, np.array([5, 2]), Appended(), probs=True, numbers=np.arange(2))
    >>> np.exp(found).round(6).tolist()  # of class 2 it is known that nothing is left for it
    [[0.25, nan], [nan, 1.0]]
    >>> np.exp(bounds[:, 0]).tolist()
    [1.0, 0.0]
    """
    index, log_p, cap, width = checked(rows, 0, appended, probs=probs, numbers=numbers, role="logits")
    held = index != NOTHING
    mass = np.where(held, np.exp(np.where(held, log_p, -np.inf)), 0.0).sum(axis=1) * np.exp(-width)
    sums = [f"probabilities that sum to {each:.6g}" for each in mass[mass > _MOST_MASS][:1]]
    refuse_rows(mass > _MOST_MASS, "not a distribution", lambda _: sums[0], "at most 1", numbers, "logits")
    found = held & (index == labels[:, np.newaxis])
    out = np.full((len(index), 2), np.nan)
    place = np.nonzero(found)
    out[place[0], 0] = log_p[place]
    most = np.minimum(np.exp(np.minimum(cap + width, 0.0)), np.minimum(1.0, np.maximum(0.0, 1.0 - mass) + _SLACK))
    bounded = ~found.any(axis=1)
    with np.errstate(divide="ignore"):
        out[bounded, 1] = np.log1p(-most[bounded])
        caps = np.where(bounded, np.log(most), 0.0)
    return out, np.stack([caps, np.zeros(len(out)), np.full(len(out), np.nan)], axis=1)
