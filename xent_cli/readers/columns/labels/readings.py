"""Columns that may hold the labels, if no name says so, with the options that select each of them."""

from __future__ import annotations

import math
from contextlib import suppress
from functools import partial
from typing import TYPE_CHECKING

import numpy as np

from xent_cli.core.checks.distributions import FEWEST_ROWS
from xent_cli.errors import InputError
from xent_cli.readers.columns import evidence
from xent_cli.readers.columns.cells.named_rows import rows_of_maps
from xent_cli.readers.columns.families import affixes, family_of, numbered, stems_of_labels
from xent_cli.readers.columns.labels.label_columns import label_values
from xent_cli.readers.columns.labels.label_values import LabelValues, columns_of_labels, range_of
from xent_cli.readers.columns.lines import QuestionError, naming
from xent_cli.readers.columns.roles import role_named
from xent_cli.readers.columns.sample import BOOL, NUMBER, TEXT
from xent_cli.readers.columns.words import ABOUT_SAMPLE, ID, INDEX, PREDICTION, plain_name

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from xent_cli.core.array_types import FloatArray
    from xent_cli.readers.columns.column_plan import ColumnPlan
    from xent_cli.readers.columns.sample import TableSample
    from xent_cli.readers.options import ReadOptions

    Planner = Callable[[ReadOptions], ColumnPlan]

# At most this many columns are tried, and this many lines are shown.
_MOST_TRIED, _MOST_SHOWN = 24, 3
# A table with more columns than this is not searched for one-hot columns.
_MOST_COLUMNS = 4096
_MARKS = {"0": 0.0, "1": 1.0, "false": 0.0, "true": 1.0}


def label_readings(
    sample: TableSample, columns: Iterable[str], options: ReadOptions, plan: Planner
) -> tuple[ReadOptions, ...]:
    """Return the ways to read a table in which one of some columns, or one column for each class, holds the labels.

    Columns that are 1 for one class in every row come first, then columns of names, then numbers, which must also be
    better than a guess. A column that equals the highest class in every row is a prediction, unless all columns do; of
    columns with the same values, only the first is shown.

    Parameters
    ----------
    plan
        Plans the columns of the table with different options.
    """
    dense = _one_hot(sample, options, plan)
    if dense:
        return dense
    texts: dict[tuple[str, ...], tuple[ReadOptions, bool]] = {}
    numbers: dict[tuple[str, ...], tuple[ReadOptions, bool]] = {}
    for name in [name for name in columns if _may_be_labels(sample, name)][:_MOST_TRIED]:
        reading = options._replace(label_column=name)
        kind = texts if label_values(sample, name, reading).form == "text" else numbers
        for some, classes in _plans(sample, reading, label_values(sample, name, reading), plan):
            values = label_values(sample, name, some)
            found = None if _mixed(sample, classes) else _fitting(sample, classes, values, some)
            if found is not None:
                kind.setdefault((*values.first, *classes.values), found)
    return _not_predicted((texts or numbers).values())


def _plans(
    sample: TableSample, reading: ReadOptions, labels: LabelValues, plan: Planner
) -> list[tuple[ReadOptions, ColumnPlan]]:
    """The class columns under some options: those chosen, or those of each answer to the question that is left."""
    try:
        return [(reading, plan(reading))]
    except InputError as error:
        answers = error.readings if isinstance(error, QuestionError) else ()
    found = []
    for answer in (*answers, *_scores_alone(sample, reading, labels)):
        with suppress(InputError):
            found.append((answer, plan(answer)))
    return found


def _mixed(sample: TableSample, classes: ColumnPlan) -> bool:
    """Whether whole numbers stand among the fractions of some classes: these are not scores."""
    if not classes.wide or classes.keys or len(sample.numbers(classes.values)) < FEWEST_ROWS:
        return False
    return len({sample.is_whole(name) for name in classes.values}) > 1


def _scores_alone(sample: TableSample, reading: ReadOptions, labels: LabelValues) -> list[ReadOptions]:
    """Readings of the numbered columns that are distributions, or of all fractions, as many as labels have classes."""
    fractions = [n for n, kind in sample.kinds.items() if kind == NUMBER and not sample.is_whole(n)]
    sets = [list(family.columns) for family in numbered(fractions) if not family.never]
    sets = [some for some in sets if evidence.are_distributions(sample, some, declared=reading.source == "probs")]
    lowest, highest = range_of(labels)
    fit = [some for some in (*sets, fractions) if lowest in (0, 1) and len(some) == highest - lowest + 1 > 1]
    return [naming(some, sample.kinds, reading) for some in fit[:1]]


def _not_predicted(found: Iterable[tuple[ReadOptions, bool]]) -> tuple[ReadOptions, ...]:
    """Leave out readings whose labels are the highest class in every row, as predictions are, unless all are."""
    some = list(found)
    kept = [reading for reading, predicted in some if not predicted] or [reading for reading, _ in some]
    return tuple(kept[:_MOST_SHOWN])


def _may_be_labels(sample: TableSample, name: str) -> bool:
    kind = sample.kinds[name]
    # A column of text that names the classes holds labels, whatever its own name says.
    others = (PREDICTION, INDEX) if kind == TEXT else (PREDICTION, INDEX, ID, ABOUT_SAMPLE)
    if role_named(name, text=kind == TEXT) in others or kind not in (TEXT, BOOL, NUMBER):
        return False
    return (kind != NUMBER or sample.is_whole(name)) and len({*sample.texts(name)} - {""}) > 1


def _fitting(
    sample: TableSample, classes: ColumnPlan, labels: LabelValues, reading: ReadOptions
) -> tuple[ReadOptions, bool] | None:
    """Return the options that select some labels, and whether these are predictions; None if they do not fit."""
    scores = _scores(sample, classes)
    if scores is None:
        return None
    held = evidence.distributions(scores, declared=reading.source == "probs")
    if reading.source is None and (held or classes.kind == "probs"):
        reading = reading._replace(source="probs")
    columns = classes.keys or classes.values
    names: Sequence[str] = classes.names or columns
    if labels.form == "text":
        by_name = bool(classes.keys) or not classes.is_list
        found = columns_of_labels(labels, columns, every=False) if by_name else None
        if found is None:
            return (reading, False) if labels.names(every=False) <= {*names} else None
        called = {column: text for text, column in found.items()}
        names = tuple(called.get(column, "") for column in columns)
    elif not _better_than_a_guess(scores, classes, labels, probabilities=held):
        # Labels count from 1, as in R and MATLAB.
        labels = labels._replace(offset=1)
        last = scores.shape[1] - 1
        if labels.offset == reading.first_class or not {0, last} <= (labels.integers(every=False) or set()):
            return None
        if not _better_than_a_guess(scores, classes._replace(numbers=()), labels, probabilities=held):
            return None
        reading = reading._replace(first_class=1)
    return reading, evidence.all_are_argmax(scores, names, labels)


def _scores(sample: TableSample, classes: ColumnPlan) -> FloatArray | None:
    """Return the first rows of the classes as [m, k]; None if lists differ in length or a cell is not a map."""
    if classes.keys:
        return rows_of_maps(sample, classes.values[0], classes.keys)
    if not classes.values:
        return None
    if not classes.is_list:
        return sample.numbers(classes.values)
    rows = sample.first(classes.values[0])
    if classes.cells:
        from xent_cli.readers.columns.cells.cell_text import row_of_cell

        with suppress(ValueError):  # the run reports it with its row
            rows = [None if cell is None else list(row_of_cell(cell).values) for cell in rows]
    rows = [row for row in rows if isinstance(row, list)]
    alike = len(rows) == len(sample.first(classes.values[0])) and len({len(row) for row in rows}) == 1
    try:
        return np.array(rows, np.float64) if alike else None
    except (TypeError, ValueError):
        return None


def _better_than_a_guess(scores: FloatArray, classes: ColumnPlan, labels: LabelValues, *, probabilities: bool) -> bool:
    found = labels.integers(every=False) or frozenset()
    k, numbers = scores.shape[1], classes.numbers
    if numbers and found <= set(numbers):
        return True
    if not found or min(found) < 0 or max(found) >= k:
        return False
    return evidence.mean_loss(scores, labels, probabilities=probabilities) < math.log(k)


def _one_hot(sample: TableSample, options: ReadOptions, plan: Planner) -> tuple[ReadOptions, ...]:
    """Return the ways to read a table that has a column for each class, which is 1 if that class is the label."""
    if len(sample.kinds) > _MOST_COLUMNS or options.logits_path == "-":
        return ()
    marks = [name for name, kind in sample.kinds.items() if kind == BOOL or (kind == NUMBER and sample.is_whole(name))]
    if len(marks) < 2:
        return ()
    marks = [name for name in marks if {*np.unique(_marks(sample, [name]))} == {0.0, 1.0}]
    found: dict[frozenset[str], tuple[ReadOptions, bool]] = {}
    for some in _sets(marks, sample, options, plan):
        labels = _marks(sample, some)
        if frozenset(some) in found or not (labels.sum(axis=1) == 1).all():
            continue
        family = next((f for f in numbered(some) if set(f.columns) == set(some)), None)
        reading = naming(some, sample.kinds, options, family or family_of(some, *affixes(some)), labels=True)
        path = options.logits_path or sample.path
        known = reading.known._replace(labels_ahead=partial(_dense, sample.path, len(some)))
        reading = reading._replace(logits_path=path, labels_path=path, known=known)
        try:
            classes = plan(reading)
        except InputError:
            continue
        scores = _scores(sample, classes)
        if scores is None or scores.shape[1] != len(some) or set(classes.values) & set(some):
            continue
        probabilities = evidence.distributions(scores, declared=options.source == "probs") or classes.kind == "probs"
        reading = reading._replace(source="probs") if probabilities and options.source is None else reading
        rows = [str(place) for place in labels.argmax(axis=1)]
        predicted = evidence.all_are_argmax(scores, some, LabelValues(sample.path, "whole", rows))
        found[frozenset(some)] = reading, predicted
    return _not_predicted(found.values())


def _dense(path: str, width: int) -> LabelValues:
    return LabelValues(path, "dense", width=width)


def _sets(marks: list[str], sample: TableSample, options: ReadOptions, plan: Planner) -> list[list[str]]:
    """Yield sets of columns of 0 and 1 that may belong together: numbered ones, named ones, all."""
    found = [list(family.columns) for family in numbered(marks)]
    try:
        names = plan(options).names
    except InputError:
        names = None
    if names is not None:
        for spell in (str, plain_name):
            plain = {spell(name): name for name in marks}
            for before, after in stems_of_labels(map(spell, names), list(plain)):
                found.append([plain[f"{before}{spell(name)}{after}"] for name in names])
    return [*found, marks] if len(marks) > 1 else found


def _marks(sample: TableSample, names: Sequence[str]) -> FloatArray:
    """Return columns of 0 and 1, or of true and false, as numbers [m, k]; NaN for anything else."""
    return np.array([[_MARKS.get(text.lower(), math.nan) for text in sample.texts(name)] for name in names]).T
