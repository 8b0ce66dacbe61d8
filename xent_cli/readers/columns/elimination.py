"""Class columns that nothing names: what is left of a table, where labels or rows bear it out."""

from __future__ import annotations

from typing import TYPE_CHECKING

from xent_cli.errors import InputError, listing
from xent_cli.readers.columns import evidence
from xent_cli.readers.columns.families import affixes_of_labels, numbered, shown
from xent_cli.readers.columns.lines import columns_beside, line, naming
from xent_cli.readers.columns.sample import NUMBER, TEXT
from xent_cli.readers.columns.words import NULL_WORDS, YES_NO, plain_name

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from xent_cli.readers.columns.evidence import LabelValues
    from xent_cli.readers.columns.roles import Role
    from xent_cli.readers.columns.sample import TableSample
    from xent_cli.readers.options import ReadOptions


def what_is_left(
    sample: TableSample,
    left: list[str],
    questions: list[str],
    roles: Mapping[str, Role],
    options: ReadOptions,
    labels: LabelValues | None,
) -> tuple[tuple[str, ...], str, bool]:
    """Take the columns that no role explains; also say why, and whether the number is in doubt.

    Parameters
    ----------
    left
        Columns of numbers without a role.
    questions
        Float columns that have the name of a role and may as well be classes.

    Raises
    ------
    InputError
        Where the file does not bear them out.
    """
    wanted = {*left, *questions}
    every = [name for name in sample.kinds if name in wanted]
    told = options.source == "probs"
    if labels is not None and labels.form == "text":
        sure = {name for name in left if roles[name].must}
        found = _by_labels(sample, left, every, labels, sure, told=told)
        if found is not None:
            refuse_text_beside(sample, found, roles)
            return found, evidence.BY_LABELS, False
    if labels is not None and labels.boolean and {tuple(map(plain_name, o)) for o in (every, every[::-1])} & {*YES_NO}:
        return tuple(every), evidence.BY_LABELS, False
    # With the columns in question first: a class that never occurs adds nothing to a sum.
    for columns in (every, left) if questions else (left,):
        if evidence.are_distributions(sample, columns, told=told):
            refuse_text_beside(sample, columns, roles)
            return tuple(columns), evidence.BY_ROWS, False
    if len(left) > 1 and not questions:
        refuse_text_beside(sample, left, roles)
        if labels is None:
            return tuple(left), "what is left, and there are no labels to tell", False
        if labels.form == "dense" and labels.width == len(left):
            return tuple(left), "what is left, as many as numbers in a label", False
        names = options.class_names
        if names is not None and {*map(plain_name, names)} == {*map(plain_name, left)}:
            return tuple(left), "--class-names names them", False
        whole = labels.form == "whole"
        if whole and evidence.run_from_zero(labels, len(left)) and evidence.side_by_side(sample.kinds, left):
            words = naming(left, sample.kinds)
            evidence.refuse_a_guess(sample, left, labels, line(sample.path, options, *words))
            return tuple(left), evidence.BY_RANGE, True
    raise _question(sample, left, questions, every, roles, options, labels)


def _by_labels(
    sample: TableSample, left: list[str], every: list[str], labels: LabelValues, sure: set[str], *, told: bool
) -> tuple[str, ...] | None:
    """The columns that the labels name, where they name all that are not `sure`, or rows tell the rest from them."""
    for ahead in (False, True):
        found = evidence.columns_of_labels(labels, every, every=ahead)
        if found is None:
            return None
        known = set(found.values())
        classes = [name for name in every if name in known]
        stem = affixes_of_labels(found, every)
        some, whole = left, every
        if stem is not None and any(stem):
            # Whatever else has the same before and after its name is of the same kind.
            around = len("".join(stem))
            some = [n for n in left if n.startswith(stem[0]) and n.endswith(stem[1]) and len(n) > around]
            known |= set(some)
            whole = [n for n in every if n in known]
        if len(whole) > 1 and set(whole) == {*classes, *sure}:
            return tuple(whole)
        if len(classes) > 1 and any(set(classes) <= set(f.columns) == set(every) for f in numbered(left)):
            # Ids of classes, of which some do not occur: nothing else is left.
            return tuple(every)
        # What the labels do not name is a question, which rows may answer.
        for columns in (whole, some, classes):
            if evidence.are_distributions(sample, columns, told=told):
                return tuple(columns)
    return None


def refuse_text_beside(sample: TableSample, columns: Sequence[str], roles: Mapping[str, Role]) -> None:
    """Refuse text among, directly before or after the classes that is mostly numbers or words for nothing.

    Raises
    ------
    InputError
        Naming the columns.
    """
    order = list(sample.kinds)
    places = [order.index(columns[0]), order.index(columns[-1])]
    around = order[max(0, min(places) - 1) : max(places) + 2]
    suspicious = [
        name
        for name in around
        if sample.kinds[name] not in (NUMBER, "list", "bool") and name in roles and _mostly_numbers(sample, name)
    ]
    if suspicious:
        raise InputError(
            "text where numbers are expected",
            sample.path,
            found=f"text in {listing(suspicious)}, among the class columns {shown(columns)}",
            expected="numbers",
            hint="write them as numbers; or say which columns hold the logits with --logits-column",
        )


def _mostly_numbers(sample: TableSample, name: str) -> bool:
    texts = sample.texts(name)
    values = sample.numbers([name])[:, 0]
    numbers = sum(1 for text, value in zip(texts, values, strict=True) if value == value)
    nulls = sum(1 for text in texts if not text or text.lower() in NULL_WORDS)
    return 2 * (numbers + nulls) > len(texts) > 0


def _question(
    sample: TableSample,
    left: list[str],
    questions: list[str],
    every: list[str],
    roles: Mapping[str, Role],
    options: ReadOptions,
    labels: LabelValues | None,
) -> InputError:
    """What is found, why it is not enough, and the lines that choose."""
    readings = [tuple(naming(columns, sample.kinds)) for columns in _readings(sample, left, every, labels)]
    if labels is None and options.label_column is None and not options.labels_path:
        readings = [*_naming_labels(sample, every, roles, options), *readings]
    lines = [line(sample.path, options, *words) for words in readings]
    found = f"{shown(every)}, and {_told(labels, every)}"
    if questions:
        found += f"; {listing(questions)} may be a class or not"
    return InputError(
        "the classes are not told by the names of the columns",
        sample.path,
        found=found,
        expected="names such as logit_0 and logit_1, or labels that name every column",
        hint="say which they are: " + "; or ".join(lines),
        more=f"not taken: {beside}" if (beside := columns_beside(roles, every)) else "",
    )


def _naming_labels(
    sample: TableSample, every: list[str], roles: Mapping[str, Role], options: ReadOptions
) -> list[tuple[str, ...]]:
    """The words that name each column of text that names these classes."""
    from xent_cli.readers.columns.choice import of_columns
    from xent_cli.readers.columns.likely_labels import likely_labels

    texts = [name for name in roles if sample.kinds[name] == TEXT]
    return list(likely_labels(sample, texts, of_columns(tuple(every), ""), options)[:2])


def _told(labels: LabelValues | None, columns: Sequence[str]) -> str:
    if labels is None:
        return "no labels"
    if labels.form == "text":
        known = {plain_name(name) for name in columns}
        odd = sorted(text for text in labels.names(every=True) if plain_name(text) not in known)
        named_by = evidence.columns_of_labels(labels, columns, every=True)
        none = f", of which {listing(odd)} name none of them" if odd and named_by is None else ""
        return f"labels of text in {labels.where}{none}"
    if labels.form == "dense":
        return f"labels of {labels.width} numbers in {labels.where}"
    found = labels.integers(every=True) or labels.integers(every=False)
    return f"labels from {min(found)} to {max(found)} in {labels.where}" if found else f"no labels in {labels.where}"


def _readings(
    sample: TableSample, left: list[str], every: list[str], labels: LabelValues | None
) -> list[Sequence[str]]:
    """The likely sets of classes: those that labels name, families of a stem, runs that stand side by side, all."""
    found: list[Sequence[str]] = []
    if labels is not None and labels.form == "text":
        named_by = evidence.columns_of_labels(labels, every, every=True)
        known = set((named_by or {}).values())
        found += [[name for name in every if name in known]]
    found += [family.columns for family in numbered(left)]
    found += [run for run in evidence.runs(sample.kinds, left) if len(run) > 1]
    found.append(every)
    distinct = {tuple(columns): columns for columns in found if len(columns) > 1}
    return list(distinct.values())[:3]
