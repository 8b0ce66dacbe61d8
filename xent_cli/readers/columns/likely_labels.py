"""Which columns that are not called labels may be the labels: the likely line where a table says nothing more."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from xent_cli.readers.columns import evidence
from xent_cli.readers.columns.label_columns import label_values
from xent_cli.readers.columns.roles import role_named
from xent_cli.readers.columns.sample import BOOL, NUMBER, TEXT
from xent_cli.readers.columns.words import ABOUT_SAMPLE, ID, INDEX, PREDICTION

if TYPE_CHECKING:
    from collections.abc import Iterable

    from xent_cli.readers.columns.choice import Choice
    from xent_cli.readers.columns.sample import TableSample
    from xent_cli.readers.options import ReadOptions


def likely_labels(
    sample: TableSample, others: Iterable[str], classes: Choice, options: ReadOptions
) -> tuple[tuple[str, ...], ...]:
    """Words that name each column that holds what labels of these classes are, and what the classes hold.

    Columns of names count before numbers, which must also be better than a guess. What is the highest class in every
    row is a prediction, where something else is not; of columns that hold the same, the first is enough.
    """
    if classes.is_list:
        return ()
    held = evidence.are_distributions(sample, classes.columns, told=options.source == "probs")
    texts: dict[tuple[str, ...], tuple[str, bool]] = {}
    numbers: dict[tuple[str, ...], tuple[str, bool]] = {}
    for name in others:
        kind = sample.kinds[name]
        known = role_named(name) in (PREDICTION, INDEX, ID, ABOUT_SAMPLE)
        if known or name in classes.columns or kind not in (TEXT, BOOL, NUMBER):
            continue
        if kind == NUMBER and not sample.is_whole(name):
            continue
        values = label_values(sample, name, options)
        if len(values.names(every=False)) < 2:
            continue
        key, names = tuple(values.first), classes.names or classes.columns
        if kind == TEXT:
            found = evidence.columns_of_labels(values, classes.columns, every=False)
            if found is None:
                continue
            called = {column: text for text, column in found.items()}
            names = tuple(called.get(column, "") for column in classes.columns)
        elif not _better_than_a_guess(sample, classes, values, probabilities=held):
            continue
        predicted = evidence.all_are_argmax(sample, classes.columns, names, values)
        (texts if kind == TEXT else numbers).setdefault(key, (name, predicted))
    some = list((texts or numbers).values())
    told = [name for name, predicted in some if not predicted] or [name for name, _ in some]
    words = ("--from", "probs") if options.source is None and (held or classes.kind == "probs") else ()
    return tuple(("--label-column", name, *words) for name in told)


def _better_than_a_guess(
    sample: TableSample, classes: Choice, labels: evidence.LabelValues, *, probabilities: bool
) -> bool:
    found = labels.integers(every=False) or frozenset()
    k, numbers = len(classes.columns), classes.numbers
    if numbers is not None and numbers != tuple(range(k)) and found <= set(numbers):
        return True
    if not found or min(found) < 0 or max(found) >= k:
        return False
    return evidence.mean_loss(sample, classes.columns, labels, probabilities=probabilities) < math.log(k)
