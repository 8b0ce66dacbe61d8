"""What the rows and labels of a table say about columns that may be its classes."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from xent_cli.core.checks.distributions import FEWEST_ROWS, count_distributions
from xent_cli.errors import InputError
from xent_cli.readers.columns.families import shown
from xent_cli.readers.columns.labels.label_values import columns_of_labels, run_from_zero
from xent_cli.readers.columns.lines import line
from xent_cli.readers.columns.words import plain_name

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence

    from xent_cli.core.array_types import FloatArray
    from xent_cli.readers.columns.families import Family
    from xent_cli.readers.columns.labels.label_values import LabelValues
    from xent_cli.readers.columns.roles import Role
    from xent_cli.readers.columns.sample import TableSample
    from xent_cli.readers.options import ReadOptions

# Reasons why columns are the classes, in words for the user.
BY_LABELS = "the labels name them"
BY_ROWS = "every row is a distribution"
BY_RANGE = "the labels run from 0 to the last of them"
BY_LIST = "--class-names names them"
WITHOUT_LABELS = "there are no labels to tell otherwise"
# Columns chosen for this reason may include some that are not classes.
UNSURE = "what is left, and there are no labels to tell"
AS_MANY = "there are as many as numbers in each label"

# In fewer rows than this, a common order, or labels that equal the highest class, may be chance.
_ROWS_IN_ORDER = 8
_ROWS_ALL_RIGHT = 20
# Of the probabilities of one model, at least this share of rows is in the order of its logits, but for this much.
_MOST_ROWS, _ROUNDED = 0.95, 0.02
# More columns than this are not the k highest of a row.
_MOST_RANKED = 1000


class TableFacts(NamedTuple):
    """A table in which class columns are searched.

    Fields
    ------
    roles
        Roles of all columns that the options do not use for anything else.
    find_labels
        Returns what is known about the labels, or None if there are none; called only if needed.
    """

    sample: TableSample
    roles: Mapping[str, Role]
    options: ReadOptions
    find_labels: Callable[[], LabelValues | None]

    @property
    def labels(self) -> LabelValues | None:
        """The labels, which are searched for only once."""
        return self.find_labels()

    def are_distributions(self, columns: Sequence[str]) -> bool:
        """Whether every row of some columns is a distribution; if the user says so, a few rows are enough."""
        return are_distributions(self.sample, columns, declared=self.options.source == "probs")


def are_distributions(sample: TableSample, columns: Sequence[str], *, declared: bool) -> bool:
    """Whether every row is a probability distribution, possibly in percent.

    Parameters
    ----------
    declared
        Whether the user says that the numbers are probabilities: then a few rows are enough.
    """
    if len(columns) < 2:
        return False
    wanted = tuple(columns)
    found = sample.remember(("distributions", wanted), lambda: count_distributions(sample.numbers(wanted)))
    return found.scale is not None and (declared or found.sure)


def distributions(rows: FloatArray, *, declared: bool) -> bool:
    """Whether every row of scores [m, k] is a probability distribution; see `are_distributions`."""
    found = count_distributions(rows)
    return found.scale is not None and (declared or found.sure)


def mean_loss(rows: FloatArray, labels: LabelValues, *, probabilities: bool) -> float:
    """Mean cross-entropy of the first rows [m, k] in nats; NaN if they are too few to judge by."""
    if np.isnan(rows).any():  # a cell that cannot be read is reported with its row
        return math.nan
    index = [labels.class_index(text) for text in labels.first[: len(rows)]]
    with np.errstate(all="ignore"):
        rows = np.log(rows) if probabilities else rows
        peak = rows.max(axis=1, initial=-math.inf)
        normalizers = peak + np.log(np.exp(rows - peak[:, None]).sum(axis=1))
    losses = [
        float(normalizers[row] - rows[row, label])
        for row, label in enumerate(index)
        if label is not None and 0 <= label < rows.shape[1]
    ]
    finite = [loss for loss in losses if math.isfinite(loss)]
    return math.fsum(finite) / len(finite) if len(finite) >= FEWEST_ROWS else math.nan


def better_by_name(
    rows: FloatArray, names: Sequence[str], labels: LabelValues, *, probabilities: bool
) -> list[int] | None:
    """Return the names in sorted order, if scores [m, k] are better than a guess only in that order.

    Two classes that are already sorted are tried in the opposite order.
    """
    k = len(names)
    if not mean_loss(rows, labels, probabilities=probabilities) > math.log(k):
        return None
    order = sorted(range(k), key=lambda place: plain_name(names[place]))
    order = order[::-1] if k == 2 and order == [0, 1] else order
    return order if mean_loss(rows[:, order], labels, probabilities=probabilities) < math.log(k) else None


def fall_from_left_to_right(sample: TableSample, columns: Sequence[str]) -> bool:
    """Whether the scores of every row are in descending order: the k highest, of unknown classes."""
    if not 3 <= len(columns) <= _MOST_RANKED:
        return False
    # Two columns nearly always decide, and are read at once.
    first = sample.numbers(columns[:2])
    return bool(len(first) and (first[:, 1:] <= first[:, :-1]).all()) and ranked(sample.numbers(columns))


def ranked(rows: object) -> bool:
    """Whether every row [k] descends, and there are enough rows that are not all the same."""
    values = np.asarray(rows, np.float64)
    if values.ndim != 2 or len(values) < _ROWS_IN_ORDER or values.shape[1] < 3:
        return False
    return bool(
        (values[:, 1:] <= values[:, :-1]).all() and (values[:, 0] > values[:, -1]).all() and (values != values[0]).any()
    )


def all_are_argmax(rows: FloatArray, names: Sequence[str], labels: LabelValues) -> bool:
    """Whether all labels, 20 or more, equal the class with the highest score of their row [k], as predictions would."""
    highest = np.argmax(np.where(np.isnan(rows), -np.inf, rows), axis=1) if len(rows) else []
    same = 0
    for text, place in zip(labels.first, highest, strict=False):
        label = labels.class_index(text) if labels.form == "whole" else None
        if text and label != place and (place >= len(names) or text != names[place]):
            return False
        same += bool(text)
    return same >= _ROWS_ALL_RIGHT


def follow(sample: TableSample, logits: Family, probabilities: Family) -> bool:
    """Whether some probabilities are those of some logits: nearly every row has the classes of both in one order.

    Rounding may leave the order of nearly equal ones open, and a temperature changes no order.
    """
    places = {plain_name(name): column for name, column in zip(probabilities.names, probabilities.columns, strict=True)}
    columns = [places[plain_name(name)] for name in logits.names if plain_name(name) in places]
    if len(columns) < len(logits.columns):
        return False
    order = np.argsort(-sample.numbers(logits.columns), axis=1, kind="stable")
    held = np.take_along_axis(sample.numbers(columns), order, axis=1)
    falls = (np.diff(held, axis=1) <= _ROUNDED * held.sum(axis=1, keepdims=True)).all(axis=1)
    return not len(falls) or bool(falls.mean() >= _MOST_ROWS)


def side_by_side(order: Iterable[str], columns: Sequence[str]) -> bool:
    """Whether the columns are adjacent."""
    return len(runs(order, columns)) == 1


def runs(order: Iterable[str], columns: Sequence[str]) -> list[list[str]]:
    """Runs of adjacent columns."""
    wanted = set(columns)
    found: list[list[str]] = [[]]
    for name in order:
        if name in wanted:
            found[-1].append(name)
        elif found[-1]:
            found.append([])
    return [run for run in found if run]


def bears_out(
    facts: TableFacts, columns: Sequence[str], names: Sequence[str], choosing: ReadOptions, *, guess: bool
) -> str:
    """Return the first evidence that columns are the classes, or "" if there is none.

    Parameters
    ----------
    names
        Names of the classes in the columns.
    choosing
        The options that name these columns.
    guess
        Whether nothing else shows that these are scores, so that they must be better than a guess.

    Raises
    ------
    InputError
        If the labels use all columns and yet the scores are worse than a guess.
    """
    labels, listed = facts.labels, facts.options.class_names
    if listed is not None and {*map(plain_name, listed)} == {*map(plain_name, names)}:
        return BY_LIST
    if facts.are_distributions(columns):
        return BY_ROWS
    if labels is None:
        return WITHOUT_LABELS
    if labels.form == "dense":
        return AS_MANY if labels.width == len(columns) else ""
    if labels.form == "text":
        return BY_LABELS if _all_named(labels, columns, names) else ""
    if not run_from_zero(labels, len(columns)) or not side_by_side(facts.sample.kinds, columns):
        return ""
    if guess:
        _refuse_a_guess(facts.sample, columns, names, labels, choosing)
    return BY_RANGE


def _all_named(labels: LabelValues, columns: Sequence[str], names: Sequence[str]) -> bool:
    """Whether labels of text name every column; the run reports labels that are not classes."""
    plain = {*map(plain_name, names)}
    for every in (False, True):
        if plain <= {*map(plain_name, labels.names(every=every))}:
            return True
        named_by = columns_of_labels(labels, columns, every=every)
        if named_by is not None and set(named_by.values()) == set(columns):
            return True
    return False


def _refuse_a_guess(
    sample: TableSample, columns: Sequence[str], names: Sequence[str], labels: LabelValues, choosing: ReadOptions
) -> None:
    """Refuse columns that only the range of the labels supports and that predict worse than no model.

    Raises
    ------
    InputError
        If the mean loss is above that of a uniform guess.
    """
    rows = sample.numbers(columns)
    loss = mean_loss(rows, labels, probabilities=False) if labels.aligned else math.nan
    # If another order of the names is better, the user is asked for the order.
    if loss > math.log(len(columns)) and better_by_name(rows, names, labels, probabilities=False) is None:
        raise InputError(
            "worse than a uniform guess: are these scores?",
            sample.path,
            found=f"a mean loss of {loss:.4g} in the first rows of {shown(columns)}",
            expected=f"at most ln {len(columns)} = {math.log(len(columns)):.4g}, for no name says that they are logits",
            hint=f"if they are: {line(sample.path, choosing)}",
        )
