"""Class columns whose names do not say so: those that no role explains, if labels or rows confirm them."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, NamedTuple

from xent_cli.errors import InputError, listing
from xent_cli.readers.columns import evidence
from xent_cli.readers.columns.choice import Choice, of_columns
from xent_cli.readers.columns.doubts import (
    alike,
    measures_something,
    refuse_lone_scores,
    refuse_text_beside,
    without_counters,
)
from xent_cli.readers.columns.families import affixes, affixes_of_labels, family_of, numbered, shown, stems_of_labels
from xent_cli.readers.columns.labels.label_values import columns_of_labels, range_of
from xent_cli.readers.columns.lines import columns_beside, naming, question
from xent_cli.readers.columns.words import YES_NO, kind_of_stem, plain_name

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from xent_cli.readers.columns.evidence import TableFacts
    from xent_cli.readers.columns.labels.label_values import LabelValues
    from xent_cli.readers.options import ReadOptions

# At most this many ranges of adjacent columns are tried in a table with many columns.
_MOST_WINDOWS = 64


class Left(NamedTuple):
    """Columns that no role explains.

    Fields
    ------
    free
        Columns of numbers without a role.
    questions
        Float columns whose names say a role, but which may be classes just as well.
    every
        Both, in the order of the table.
    """

    facts: TableFacts
    free: tuple[str, ...]
    questions: tuple[str, ...]
    every: tuple[str, ...]


class Rule(NamedTuple):
    """A rule that finds the classes among the columns that no role explains.

    Fields
    ------
    why
        The evidence, in words for the user; "" if `take` returns it.
    take
        Returns the columns, or None if the rule does not apply.
    """

    why: str
    take: Callable[[Left], Sequence[str] | None]


def what_is_left(facts: TableFacts, free: Sequence[str], questions: Sequence[str]) -> Choice:
    """Take columns that no role explains by the first rule of `RULES` that applies.

    Raises
    ------
    InputError
        If neither labels nor rows confirm them.
    """
    free = without_counters(facts.sample, free)
    wanted = {*free, *questions}
    left = Left(facts, tuple(free), tuple(questions), tuple(name for name in facts.sample.kinds if name in wanted))
    for rule in RULES:
        columns = rule.take(left)
        if columns is not None:
            refuse_text_beside(facts, columns)
            return of_columns(tuple(columns), rule.why)
    refuse_lone_scores(facts, left.every)
    why = _borne_out(left)
    if why and not (why == evidence.BY_RANGE and measures_something(facts.sample, left.free)):
        refuse_text_beside(facts, left.free)
        return of_columns(left.free, _SAID.get(why, why), doubt=why == evidence.BY_RANGE)
    raise _question(left)


def _named_by_labels(left: Left) -> Sequence[str] | None:
    """Return the columns that text labels name, if the others may be something else or the rows confirm the choice."""
    labels = left.facts.labels
    if labels is None or labels.form != "text":
        return None
    every, sure = left.every, {name for name in left.free if left.facts.roles[name].must}
    for ahead in (False, True):
        found = columns_of_labels(labels, every, every=ahead)
        if found is None:  # or two sets of columns match the first rows
            continue
        named = set(found.values())
        classes = [name for name in every if name in named]
        stem = affixes_of_labels(found, every)
        some, whole = list(left.free), list(every)
        if stem is not None and any(stem):
            # Other columns with the same prefix and suffix are of the same kind.
            around = len("".join(stem))
            some = [n for n in left.free if n.startswith(stem[0]) and n.endswith(stem[1]) and len(n) > around]
            named |= set(some)
            whole = [n for n in every if n in named]
        if len(whole) > 1 and set(whole) == {*classes, *sure}:
            return whole
        if len(classes) > 1 and any(set(classes) <= set(f.columns) == set(every) for f in numbered(left.free)):
            # The names are numbers of classes, some of which no label has, and no other columns are left.
            return every
        # Whether columns that no label names are classes too, the rows decide: they must be distributions.
        for columns in (whole, some, classes):
            if left.facts.are_distributions(columns):
                return columns
    return None


def _named_probabilities(left: Left) -> Sequence[str] | None:
    """Return the one set of columns that sums to 1, if labels name several, such as means and standard deviations."""
    sets, source = _named_sets(left), left.facts.options.source
    found = [columns for _, columns in sets if left.facts.are_distributions(columns)]
    all_probabilities = all(source == "probs" or kind == "probs" for kind, _ in sets)
    return found[0] if len(found) == 1 < len(sets) and all_probabilities else None


def _named_sets(left: Left) -> list[tuple[str | None, list[str]]]:
    """Return the sets of columns that text labels name, each with what it holds according to its stem."""
    labels, found = left.facts.labels, []
    texts = labels.names(every=True) if labels is not None and labels.form == "text" else frozenset()
    for before, after in stems_of_labels(texts, left.every):
        some = {f"{before}{text}{after}" for text in texts}
        found.append((kind_of_stem(before, after), [name for name in left.every if name.strip() in some]))
    return found


def _true_and_false(left: Left) -> Sequence[str] | None:
    """Return two columns with names such as yes and no, if the labels are true and false."""
    labels = left.facts.labels
    plain = tuple(map(plain_name, left.every))
    fits = labels is not None and labels.boolean and (plain in YES_NO or plain[::-1] in YES_NO)
    return left.every if fits else None


def _distributions(left: Left) -> Sequence[str] | None:
    """Return columns whose rows sum to 1.

    Columns in question are included if possible: a class that never occurs adds nothing to the sums.
    """
    return next((some for some in (left.every, left.free) if left.facts.are_distributions(some)), None)


# Tried from the top; if none applies, `_borne_out` looks for evidence that all columns left are the classes.
RULES = (
    Rule(evidence.BY_LABELS, _named_by_labels),
    Rule(f"{evidence.BY_LABELS}, and {evidence.BY_ROWS}", _named_probabilities),
    Rule(evidence.BY_LABELS, _true_and_false),
    Rule(evidence.BY_ROWS, _distributions),
)
_SAID = {
    evidence.WITHOUT_LABELS: evidence.UNSURE,
    evidence.AS_MANY: "what is left, as many columns as numbers in a label",
}


def _borne_out(left: Left) -> str:
    """Return the evidence that all columns left are the classes; "" if there is none, or if some are doubtful."""
    facts = left.facts
    if len(left.free) < 2 or left.questions:
        return ""
    choosing = naming(left.free, facts.sample.kinds, facts.options)
    return evidence.bears_out(facts, left.free, left.free, choosing, guess=True)


def _question(left: Left) -> InputError:
    """Return the error that says what was found, why it is not enough, and which command lines decide."""
    facts, every = left.facts, left.every
    found = f"{shown(every)}, and {_said_of_labels(facts.labels, every)}"
    if left.questions:
        found += f"; {listing(left.questions)} may be a class or not"
    beside = columns_beside(facts.roles, every)
    return question(
        "the column names do not say which are the classes",
        facts.sample.path,
        found,
        "names such as logit_0 and logit_1, or labels that name every column",
        [_reading(facts, columns) for columns in _readings(left)],
        before="say which they are: ",
        more=f"not taken: {beside}" if beside else "",
    )


def _reading(facts: TableFacts, columns: Sequence[str]) -> ReadOptions:
    """Return options that name columns, and that say that they are probabilities if every row is a distribution."""
    family = next((f for f in numbered(columns) if set(f.columns) == set(columns)), None)
    family = family or family_of(columns, *affixes(columns))
    kind = "probs" if facts.are_distributions(columns) else family.kind or ""
    reading = naming(columns, facts.sample.kinds, facts.options, family, kind)
    lowest, highest = range_of(facts.labels)
    one_based = reading.first_class is None and lowest == 1 and highest == len(columns)
    return reading._replace(first_class=1) if one_based else reading


def _said_of_labels(labels: LabelValues | None, columns: Sequence[str]) -> str:
    if labels is None:
        return "no labels"
    if labels.form == "text":
        known = {plain_name(name) for name in (*columns, *family_of(columns, *affixes(columns)).names)}
        odd = sorted(text for text in labels.names(every=True) if plain_name(text) not in known)
        if not odd or columns_of_labels(labels, columns, every=True) is not None:
            return f"labels of text in {labels.where}"
        return f"labels of text in {labels.where}, of which {listing(odd)} name{'s' * (len(odd) == 1)} none of them"
    if labels.form == "dense":
        return f"labels of {labels.width} numbers in {labels.where}"
    if odd := sorted(text for text in labels.names(every=True) if labels.class_index(text) is None):
        return f"labels of text and of numbers in {labels.where}, such as {listing(odd[:1])}"
    found = labels.integers(every=True) or labels.integers(every=False)
    return f"labels from {min(found)} to {max(found)} in {labels.where}" if found else f"no labels in {labels.where}"


def _readings(left: Left) -> list[list[str]]:
    """Return the likely sets of class columns: those that labels name or confirm, families, adjacent columns, all."""
    labels, every = left.facts.labels, left.every
    named_sets = [columns for _, columns in _named_sets(left)]
    found = [*named_sets]
    if labels is not None and labels.form == "text":
        named = set((columns_of_labels(labels, every, every=True) or {}).values())
        found.append([name for name in every if name in named])
    found += _windows(left)
    found += [list(family.columns) for family in numbered(left.free)]
    found += [run for run in evidence.runs(left.facts.sample.kinds, left.free) if len(run) > 1]
    if len(named_sets) == 1 and alike(left.facts.sample, named_sets[0], every):
        found.insert(0, list(every))  # the rest are classes that never occur
    found.append(list(every))
    distinct = {tuple(columns): columns for columns in found if len(columns) > 1}
    return list(distinct.values())[:3]


def _windows(left: Left) -> list[list[str]]:
    """Return sets of adjacent columns, as many as the labels have classes, that rows or the mean loss confirm."""
    facts, every = left.facts, list(left.every)
    lowest, highest = range_of(facts.labels)
    k = highest - lowest + 1
    if facts.labels is None or lowest not in (0, 1) or not 1 < k < len(every):
        return []
    labels = facts.labels._replace(offset=facts.labels.offset + lowest)
    found: list[tuple[float, list[str]]] = []
    for start in range(min(len(every) - k + 1, _MOST_WINDOWS)):
        some = every[start : start + k]
        if not evidence.side_by_side(facts.sample.kinds, some):
            continue
        probabilities = facts.are_distributions(some)
        loss = evidence.mean_loss(facts.sample.numbers(some), labels, probabilities=probabilities)
        if probabilities or loss < math.log(k):
            found.append((-1.0 if probabilities else loss, some))
    return [some for _, some in sorted(found)[:2]]
