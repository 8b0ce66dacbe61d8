"""Which column holds the labels, in the table of the logits or in a separate one."""

from __future__ import annotations

from typing import TYPE_CHECKING

from xent_cli.errors import InputError
from xent_cli.readers.columns.labels.label_values import LabelValues
from xent_cli.readers.columns.lines import line, two_labels
from xent_cli.readers.columns.sample import BOOL, NUMBER, TEXT, TEXTS, as_integer, as_text
from xent_cli.readers.columns.words import ABOUT_SAMPLE, INDEX, LABEL, PREDICTION, plain_name

if TYPE_CHECKING:
    from collections.abc import Mapping

    from xent_cli.readers.columns.roles import Role
    from xent_cli.readers.columns.sample import TableSample
    from xent_cli.readers.options import ReadOptions

# Words in the name of a column that say that its labels are the truth.
_TRUTH_WORDS = ("true", "truth", "gold", "actual", "gt", "obs", "observed", "expected", "reference", "test")


def label_candidates(sample: TableSample, roles: Mapping[str, Role]) -> list[str]:
    """Return the columns that are named like labels and hold values that labels may have."""
    return [
        name for name, role in roles.items() if role.role == LABEL and not role.question and sample.kinds[name] != TEXTS
    ]


def find_label(sample: TableSample, roles: Mapping[str, Role], options: ReadOptions, *, elsewhere: bool) -> str | None:
    """Find the column of labels next to the logits.

    None if there is none, or if there are several and the labels are `elsewhere`.

    Raises
    ------
    InputError
        If several columns may be the labels.
    """
    if options.label_column is not None:
        return options.label_column if options.label_column in sample.kinds else None
    found = label_candidates(sample, roles)
    if len(found) > 1 and not elsewhere:
        raise two_labels(sample, options, found)
    if not found and not elsewhere:
        # A column of this name that holds fractions is reported as a bad label, not used as a class.
        found = [name for name in roles if plain_name(name) in ("label", "labels") and sample.kinds[name] == NUMBER]
    return found[0] if len(found) == 1 else None


def label_values(sample: TableSample, name: str, options: ReadOptions) -> LabelValues:
    """Return what is known about a column of labels before the run."""
    where = f'column "{name}"'
    kind = sample.kinds[name]
    if kind.startswith("list"):
        rows = [row for row in sample.first(name) if isinstance(row, list)]
        if rows and all(len(row) == 1 for row in rows):  # a class in a list of its own
            return LabelValues(
                where,
                "whole" if kind != TEXTS else "text",
                [as_text(row[0]) for row in rows],
                ignored=frozenset(options.ignored),
                offset=options.first_class or 0,
                lenient=options.known.lenient,
            )
        return LabelValues(where, "dense", width=len(rows[0]) if rows else 0)
    texts = sample.texts(name)
    if (names := sample.label_names.get(name)) is not None:
        # The schema says which class a number is.
        named = {str(place): text for place, text in enumerate(names)}
        called = [named.get(text, text) for text in texts]
        return LabelValues(where, "text", called, lambda: frozenset(names), ignored=frozenset(options.ignored))
    # In JSON and Parquet true and false may be text.
    boolean = kind == BOOL or (kind == TEXT and {text.lower() for text in texts if text} == {"true", "false"})
    whole = boolean or all(as_integer(text) is not None for text in texts if text)
    form = "whole" if kind == NUMBER or whole else "text"
    return LabelValues(
        where,
        form,
        texts,
        lambda: sample.every(name),
        ignored=frozenset(options.ignored),
        boolean=boolean,
        offset=options.first_class or 0,
        lenient=options.known.lenient,
        column=name,
    )


def refuse_other_label(
    sample: TableSample,
    roles: Mapping[str, Role],
    options: ReadOptions,
    label: str,
    class_names: tuple[str, ...] | None,
) -> None:
    """Refuse a label whose name does not say that it is the truth, next to text that names different classes.

    A label that the user named is refused only where the text shows that its numbers follow another order.

    Raises
    ------
    InputError
        If the two differ in a row.
    """
    asked = options.label_column is not None
    if class_names is None or (says_truth(label) and not asked):
        return
    texts = [name for name, kind in sample.kinds.items() if kind == TEXT and name != label]
    texts = [name for name in texts if roles[name].role not in (PREDICTION, LABEL, INDEX)]
    known = {name: place for place, name in enumerate(class_names)} if texts else {}
    ours = sample.texts(label)
    for name in texts:
        theirs = sample.texts(name)
        used = {text for text in theirs if text}
        if len(used) < 2 or not used <= set(known):
            continue
        if asked:
            _refuse_other_numbers(sample, options, label, name, known)
            continue
        for one, other in zip(ours, theirs, strict=True):
            if one and other and one != other and as_integer(one) != known[other]:
                raise two_labels(sample, options, [label, name], f', "{one}" and "{other}" in one row')


def _refuse_other_numbers(
    sample: TableSample, options: ReadOptions, label: str, text: str, places: Mapping[str, int]
) -> None:
    """Refuse numbers that stand for the names in a column of text one to one, in another order than the columns."""
    pairs = {*zip(sample.texts(label), sample.texts(text), strict=True)}
    number_of = {name: as_integer(number) for number, name in pairs if number and name}
    if len(number_of) < len(pairs) or len({*number_of.values()} - {None}) < len(pairs):
        return
    first = options.first_class or 0
    odd = [name for name, number in number_of.items() if number is not None and number - first != places[name]]
    if len(odd) > 1:
        raise InputError(
            "labels number the classes in another order than the columns",
            f'{sample.path}, column "{label}"',
            found=f'{number_of[odd[0]]} where "{text}" is "{odd[0]}", whose column is number {places[odd[0]] + first}',
            expected="one order of the classes",
            hint=f"the names say which class it is: {line(sample.path, options, label_column=text)}; "
            "or name the columns in the order of the numbers with --logits-column",
        )


def says_truth(name: str) -> bool:
    """Whether the name of a column of labels says that it is not a prediction.

    Examples
    --------
    >>> says_truth("y_true"), says_truth("label")
    (True, False)
    """
    return bool({*plain_name(name).split("_")} & {*_TRUTH_WORDS})


def only_column(sample: TableSample, roles: Mapping[str, Role]) -> str | None:
    """Return the one column of a table of labels that has no other role."""
    others = (INDEX, PREDICTION, ABOUT_SAMPLE)
    left = [
        name
        for name, role in roles.items()
        if role.role not in others and not (role.role == "id" and role.reason != "text")
    ]
    return left[0] if len(left) == 1 else None
