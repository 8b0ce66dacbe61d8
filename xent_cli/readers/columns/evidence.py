"""What the rows and the labels of a table say of columns that may be its classes."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from xent_cli.core.checks.distributions import FEWEST_ROWS, count_distributions
from xent_cli.errors import InputError
from xent_cli.readers.columns.families import affixes_of_labels, shown
from xent_cli.readers.columns.sample import as_integer
from xent_cli.readers.columns.words import LOGIT_PREFIXES, plain_name

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from xent_cli.readers.columns.sample import TableSample

# What bears out that columns are the classes.
BY_LABELS = "the labels name them"
BY_ROWS = "every row is a distribution"
BY_RANGE = "the labels run from 0 to the last of them"

# Fewer rows than this in one order, or with the labels of their highest class, may be so by chance.
_ROWS_IN_ORDER = 8
_ROWS_ALL_RIGHT = 20
# A top-k output of more classes than this is none.
_MOST_RANKED = 1000


@dataclass(frozen=True, slots=True)
class LabelValues:
    """Labels as far as they are known before the run.

    Fields
    ------
    where
        What holds them, for a sentence: `column "label"`, or a path.
    form
        "whole" for class indices (true and false too), "text" for names, "dense" for a row of numbers each.
    first
        Those of the first rows as text, "" where there is none.
    ahead
        Every label as text; None where they cannot be read ahead.
    width
        How many numbers a dense label has.
    ignored
        Labels that mark samples without one.
    boolean
        Whether they are true and false.
    offset
        What the first class is called, where the user says it.
    aligned
        Whether they stand in the order of the logits; of two tables with ids that is not known yet.
    lenient
        Whether some may not count, and need be no class.
    """

    where: str
    form: str
    first: Sequence[str] = ()
    ahead: Callable[[], frozenset[str] | None] = lambda: None
    width: int = 0
    ignored: frozenset[int] = frozenset()
    boolean: bool = False
    aligned: bool = True
    offset: int = 0
    lenient: bool = False

    def index(self, text: str) -> int | None:
        """The class index that a label is, or None."""
        found = as_integer(text)
        return None if found is None else found - self.offset

    def integers(self, *, every: bool) -> frozenset[int] | None:
        """Distinct class indices: those of the first rows, or `every` one, None where these are not known."""
        texts = self.ahead() if every else frozenset(self.first)
        if texts is None:
            return None
        found = {as_integer(text) for text in texts if text} - self.ignored
        return frozenset(value - self.offset for value in found if value is not None)

    def names(self, *, every: bool) -> frozenset[str]:
        """Distinct labels of text: those of the first rows, or `every` one, as far as they are known."""
        texts = self.ahead() if every else None
        return frozenset(text.strip() for text in (self.first if texts is None else texts)) - {""}


def run_from_zero(labels: LabelValues, k: int) -> bool:
    """Whether whole-number labels hold both 0 and k - 1, and none above."""
    for every in (False, True):
        found = labels.integers(every=every)
        if found and labels.lenient:
            found = frozenset(label for label in found if 0 <= label < k)
        if not found or max(found) >= k:
            return False
        if {0, k - 1} <= found:
            return True
    return False


def columns_of_labels(labels: LabelValues, columns: Sequence[str], *, every: bool) -> dict[str, str] | None:
    """Which column each label of text names; None where one of them names none.

    Names are matched as they stand, then without regard to case and marks where that leaves one column; whatever else
    the names have before and after must be the same for all.
    """
    texts = labels.names(every=every)
    if (bare := {name.strip(): name for name in columns}).keys() <= texts:
        # Whatever else there is among the labels names no class, and the run will say so.
        return bare
    stem = affixes_of_labels(texts, columns)
    if stem is not None:
        known = {name.strip(): name for name in columns}
        return {text: known[f"{stem[0]}{text}{stem[1]}"] for text in texts}
    known = {f"{prefix}{short}": name for prefix in LOGIT_PREFIXES for short, name in bare.items()} | bare
    if texts and texts <= known.keys():
        return {text: known[text] for text in texts}
    loose = one_each(columns)
    plain = {plain_name(text): text for text in texts}
    if len(plain) < len(texts) or not texts:
        return None
    stem = affixes_of_labels(plain, list(loose))
    return None if stem is None else {text: loose[f"{stem[0]}{short}{stem[1]}"] for short, text in plain.items()}


def one_each(names: Sequence[str]) -> dict[str, str]:
    """Names by their plain form, those that share it with another left out.

    Examples
    --------
    >>> one_each(["Cat", "a", "A"])
    {'cat': 'Cat'}
    """
    found: dict[str, str] = {}
    twice = set()
    for name in names:
        plain = plain_name(name)
        if plain in found:
            twice.add(plain)
        found[plain] = name
    return {plain: name for plain, name in found.items() if plain not in twice}


def are_distributions(sample: TableSample, columns: Sequence[str], *, told: bool) -> bool:
    """Whether every row is a probability distribution, of percent too.

    Parameters
    ----------
    told
        Whether the user says that the numbers are probabilities: then a few rows are enough.
    """
    if len(columns) < 2:
        return False
    found = count_distributions(sample.numbers(columns))
    return found.scale is not None and (told or found.sure)


def mean_loss(sample: TableSample, columns: Sequence[str], labels: LabelValues, *, probabilities: bool) -> float:
    """Mean cross-entropy of the first rows in nats, NaN where they are too few to judge by."""
    rows = sample.numbers(columns)
    if np.isnan(rows).any():  # a cell that cannot be read is told with its row
        return math.nan
    index = [labels.index(text) for text in labels.first[: len(rows)]]
    with np.errstate(all="ignore"):
        rows = np.log(rows) if probabilities else rows
        peak = rows.max(axis=1, initial=-math.inf)
        normalizers = peak + np.log(np.exp(rows - peak[:, None]).sum(axis=1))
    losses = [
        float(normalizers[row] - rows[row, label])
        for row, label in enumerate(index)
        if label is not None and 0 <= label < len(columns)
    ]
    finite = [loss for loss in losses if math.isfinite(loss)]
    return math.fsum(finite) / len(finite) if len(finite) >= FEWEST_ROWS else math.nan


def fall_from_left_to_right(sample: TableSample, columns: Sequence[str]) -> bool:
    """Whether the scores of every row are in descending order: the k highest, and of which classes is not said."""
    if not 3 <= len(columns) <= _MOST_RANKED:
        return False
    first = sample.numbers(columns, 1)
    return bool(len(first) and (np.diff(first) <= 0).all()) and ranked(sample.numbers(columns))


def ranked(rows: object) -> bool:
    """Whether every row [k] descends, there are enough of them, and they are not all alike."""
    values = np.asarray(rows, np.float64)
    if values.ndim != 2 or len(values) < _ROWS_IN_ORDER or values.shape[1] < 3:
        return False
    return bool((np.diff(values) <= 0).all() and (values[:, 0] > values[:, -1]).all() and (values != values[0]).any())


def all_are_argmax(sample: TableSample, columns: Sequence[str], names: Sequence[str], labels: LabelValues) -> bool:
    """Whether 20 labels or more all are the class with the highest number of their row: a prediction is."""
    rows = sample.numbers(columns)
    highest = np.argmax(np.where(np.isnan(rows), -np.inf, rows), axis=1) if len(rows) else []
    same = 0
    for text, place in zip(labels.first, highest, strict=False):
        label = labels.index(text) if labels.form == "whole" else None
        if text and label != place and text != names[place]:
            return False
        same += bool(text)
    return same >= _ROWS_ALL_RIGHT


def side_by_side(order: Iterable[str], columns: Sequence[str]) -> bool:
    """Whether no other column stands among some."""
    return len(runs(order, columns)) == 1


def runs(order: Iterable[str], columns: Sequence[str]) -> list[list[str]]:
    """Columns that follow one another without another between them."""
    wanted = set(columns)
    found: list[list[str]] = [[]]
    for name in order:
        if name in wanted:
            found[-1].append(name)
        elif found[-1]:
            found.append([])
    return [run for run in found if run]


def refuse_a_guess(sample: TableSample, columns: Sequence[str], labels: LabelValues, choosing: str) -> None:
    """Refuse columns of which nothing but the range of the labels speaks, and that are worse than no model.

    Raises
    ------
    InputError
        Where the mean loss is above that of a uniform guess.
    """
    loss = mean_loss(sample, columns, labels, probabilities=False) if labels.aligned else math.nan
    if loss > math.log(len(columns)):
        raise InputError(
            "worse than a uniform guess: are these scores?",
            sample.path,
            found=f"a mean loss of {loss:.4g} in the first rows of {shown(columns)}",
            expected=f"at most ln {len(columns)} = {math.log(len(columns)):.4g}, for no name says that they are logits",
            hint=f"if they are: {choosing}",
        )
