"""What speaks against classes in columns whose names do not call them so."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np

from xent_cli.errors import InputError, listing
from xent_cli.readers.columns import evidence
from xent_cli.readers.columns.families import shown
from xent_cli.readers.columns.lines import lone_scores, naming, several_readings
from xent_cli.readers.columns.sample import NUMBER
from xent_cli.readers.columns.words import MAY_BE_CLASSES, MEASURES, NULL_WORDS, plain_name, says_kind_alone

if TYPE_CHECKING:
    from collections.abc import Sequence

    from xent_cli.readers.columns.evidence import TableFacts
    from xent_cli.readers.columns.families import Family
    from xent_cli.readers.columns.labels.label_values import LabelValues
    from xent_cli.readers.columns.sample import TableSample
    from xent_cli.readers.options import ReadOptions

# In fewer rows than this, whole numbers may rise by chance, and scores lie between 0 and 1.
_ENOUGH_ROWS = 8
# Scores of classes differ by less than this factor in their mean size.
_LIKE_SIZE = 10


def without_counters(sample: TableSample, free: Sequence[str]) -> Sequence[str]:
    """Return the columns without those of whole numbers that rise from row to row, which are row numbers or ids."""
    first = sample.numbers(free)
    if len(first) < _ENOUGH_ROWS:
        return free
    rise = (first[1:] > first[:-1]).all(axis=0) & (first == np.floor(first)).all(axis=0)
    return [name for name, counts in zip(free, rise, strict=True) if not counts]


def naming_of(facts: TableFacts, family: Family) -> ReadOptions:
    """Return options that name the columns of a family."""
    kind = family.kind or ("probs" if facts.are_distributions(family.columns) else "")
    return naming(family.columns, facts.sample.kinds, facts.options, family, kind)


def alike(sample: TableSample, classes: Sequence[str], every: Sequence[str]) -> bool:
    """Whether columns beside some classes look like classes too: side by side, of like size, and no measurements."""
    others = [name for name in every if name not in classes]
    if not others or len(others) >= len(classes) or not evidence.side_by_side(sample.kinds, every):
        return False
    sizes = np.abs(sample.numbers(others)).mean(axis=0) / np.abs(sample.numbers(classes)).mean()
    like = bool(((sizes > 1 / _LIKE_SIZE) & (sizes < _LIKE_SIZE)).all())
    return like and not any({*plain_name(name).split("_")} & (MEASURES | MAY_BE_CLASSES) for name in others)


def likeliest_first(facts: TableFacts, families: Sequence[Family]) -> list[Family]:
    """Return families by their mean loss, if labels are numbers, which may be those of one of several targets."""
    labels = facts.labels
    if labels is None or labels.form != "whole" or not labels.aligned:
        return list(families)
    return sorted(families, key=lambda family: _loss(facts, family, labels))


def _loss(facts: TableFacts, family: Family, labels: LabelValues) -> float:
    probabilities = family.kind == "probs" or facts.are_distributions(family.columns)
    loss = evidence.mean_loss(facts.sample.numbers(family.columns), labels, probabilities=probabilities)
    return math.inf if math.isnan(loss) else loss


def refuse_other_model(facts: TableFacts, family: Family, families: Sequence[Family]) -> None:
    """Refuse logits beside probabilities of another name that do not follow from them: two models, or two targets.

    Raises
    ------
    InputError
        With a line for each.
    """
    if facts.options.source or family.kind not in ("logits", "log-probs"):
        return
    others = [other for other in families if other.kind == "probs" and other.topic != family.topic]
    others = [other for other in others if not evidence.follow(facts.sample, family, other)]
    others = [other for other in others if facts.are_distributions(other.columns)]
    if others:
        readings = {each.shown: naming_of(facts, each) for each in likeliest_first(facts, [family, *others])}
        raise several_readings(facts.sample, f"{len(readings)} sets of class columns, not of one model", readings)


def refuse_lone_scores(facts: TableFacts, columns: Sequence[str]) -> None:
    """Refuse a binary classifier's score in several forms: `RawFormulaVal, Probability` are no classes.

    Raises
    ------
    InputError
        With a line for each of the scores.
    """
    labels = facts.labels
    two = labels is not None and labels.form == "whole" and (labels.integers(every=False) or {2}) <= {0, 1}
    if two and all(map(says_kind_alone, columns)):
        raise lone_scores(facts.sample, facts.options, columns)


def measures_something(sample: TableSample, columns: Sequence[str]) -> bool:
    """Whether a name says that a column measures something, or all columns are probabilities of different things."""
    values = sample.numbers(columns)
    apart = len(values) >= _ENOUGH_ROWS and bool(((values >= 0) & (values <= 1)).all())
    plain = {*map(plain_name, columns)} - MAY_BE_CLASSES
    return apart or any({*name.split("_")} & MEASURES for name in plain)


def refuse_text_beside(facts: TableFacts, columns: Sequence[str]) -> None:
    """Refuse text columns among or next to the classes if they hold mostly numbers, or words for missing values.

    Raises
    ------
    InputError
        Naming the columns.
    """
    sample = facts.sample
    order = list(sample.kinds)
    places = [order.index(columns[0]), order.index(columns[-1])]
    around = order[max(0, min(places) - 1) : max(places) + 2]
    suspicious = [
        name
        for name in around
        if sample.kinds[name] not in (NUMBER, "list", "bool") and name in facts.roles and _mostly_numbers(facts, name)
    ]
    if suspicious:
        raise InputError(
            "text where numbers are expected",
            sample.path,
            found=f"text in {listing(suspicious)}, among the class columns {shown(columns)}",
            expected="numbers",
            hint="write them as numbers; or say which columns hold the logits with --logits-column",
        )


def _mostly_numbers(facts: TableFacts, name: str) -> bool:
    texts = facts.sample.texts(name)
    values = facts.sample.numbers([name])[:, 0]
    numbers = sum(1 for text, value in zip(texts, values, strict=True) if value == value)
    nulls = sum(1 for text in texts if not text or text.lower() in NULL_WORDS)
    return 2 * (numbers + nulls) > len(texts) > 0
