"""Put columns in the order of the classes: by number, by name, or by the names in the labels."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from xent_cli.errors import InputError, listing
from xent_cli.readers.columns.evidence import are_distributions, better_by_name, distributions
from xent_cli.readers.columns.families import affixes, affixes_of_labels
from xent_cli.readers.columns.labels.label_values import columns_of_labels
from xent_cli.readers.columns.lines import line, naming, several_readings
from xent_cli.readers.columns.words import affirmed_by, plain_name, says_yes_before_no

if TYPE_CHECKING:
    from collections.abc import Sequence

    from xent_cli.readers.columns.choice import Choice
    from xent_cli.readers.columns.labels.label_values import LabelValues
    from xent_cli.readers.columns.sample import TableSample
    from xent_cli.readers.options import ReadOptions


# With more columns than this, the order of their names is not tried.
_MOST_ORDERED = 64


class Order(NamedTuple):
    """Class columns in the order of the classes, and the numbers of the classes in the labels.

    Fields
    ------
    choice
        The choice, with columns and names in the order of the classes.
    numbers
        Numbers of the classes in labels of whole numbers, if these are not 0, 1, 2, ...; else ().
    """

    choice: Choice
    numbers: tuple[int, ...] = ()


def settle(sample: TableSample, choice: Choice, options: ReadOptions, labels: LabelValues | None) -> Order:
    """Put the columns in order, and find out which class each number in the labels means.

    Raises
    ------
    InputError
        If the labels can be read in two ways.
    """
    if choice.is_list:
        return Order(choice)
    if options.class_names is not None:
        return Order(_as_listed(choice, options.class_names))
    if labels is None or labels.form == "dense":
        return Order(choice)
    if labels.form == "text":
        return Order(_named_by_labels(choice, labels))
    if labels.boolean:
        return Order(_no_before_yes(choice, labels))
    k = len(choice.columns)
    if choice.numbers is not None and choice.numbers != tuple(range(k)):
        return _numbered(sample, choice, choice.numbers, options, labels)
    if choice.numbers is None and choice.names is not None and not choice.asked:
        _refuse_yes_before_no(sample, choice, options, labels)
        _refuse_worse_order(sample, choice, options, labels)
    if k == 2 and options.first_class is None and labels.integers(every=True) == frozenset((-1, 1)):
        return Order(choice, (-1, 1))  # as support vector machines number two classes
    return Order(choice)


def reordered(choice: Choice, names: Sequence[str]) -> Choice | None:
    """Return the columns in the order of the class names; None if their names do not match."""
    if choice.names is None or len(names) != len(choice.columns):
        return None
    for spell in (str.strip, plain_name):
        before, after = affixes(choice.columns)
        short = tuple(name[len(before) : len(name) - len(after)] for name in choice.columns)
        for ours in (choice.names, choice.columns, short):
            found = {spell(name): place for place, name in enumerate(ours)}
            wanted = [spell(name) for name in names]
            if len(found) == len(ours) and set(found) == set(wanted):
                places = [found[name] for name in wanted]
                columns = tuple(choice.columns[place] for place in places)
                return choice._replace(columns=columns, names=tuple(names), numbers=None)
    return None


def _as_listed(choice: Choice, names: Sequence[str]) -> Choice:
    found = reordered(choice, names)
    return choice._replace(names=tuple(names)) if found is None else found


def _named_by_labels(choice: Choice, labels: LabelValues) -> Choice:
    """Return the class names as the labels write them, without the prefix and suffix that all column names share."""
    for every in (False, True):
        found = columns_of_labels(labels, choice.columns, every=every)
        stem = None if found is None else affixes_of_labels(found, choice.columns)
        if stem is not None and all(name.startswith(stem[0]) and name.endswith(stem[1]) for name in choice.columns):
            names = tuple(name[len(stem[0]) : len(name) - len(stem[1])].strip() for name in choice.columns)
            if len({*names}) == len(names):
                return choice._replace(names=names)
    return choice


def _no_before_yes(choice: Choice, labels: LabelValues) -> Choice:
    """Return the columns of two classes with the negative one first, as false is 0 and true is 1."""
    asked_about = affirmed_by(labels.column, choice.names or ())
    if asked_about == 0 or (asked_about is None and says_yes_before_no(choice.names or ())):
        names = None if choice.names is None else choice.names[::-1]
        return choice._replace(columns=choice.columns[::-1], names=names)
    return choice


def _refuse_yes_before_no(sample: TableSample, choice: Choice, options: ReadOptions, labels: LabelValues) -> None:
    assert choice.names is not None
    asked_about = affirmed_by(labels.column, choice.names)
    if asked_about == 0 or (asked_about is None and says_yes_before_no(choice.names)):
        first, second = choice.columns
        held = are_distributions(sample, choice.columns, declared=options.source == "probs")
        kind = choice.kind or ("probs" if held else "")
        readings = {
            f'0 is "{one}"': naming((one, other), sample.kinds, options, kind=kind)
            for one, other in ((second, first), (first, second))
        }
        raise several_readings(sample, f'is label 0 "{first}" or "{second}"?', readings)


def _refuse_worse_order(sample: TableSample, choice: Choice, options: ReadOptions, labels: LabelValues) -> None:
    """Refuse named columns if scores are worse than a guess in their order, but not in the order of the sorted names.

    The classes of a data set are often numbered by sorted name, while columns may be in any order.
    """
    if len(choice.columns) > _MOST_ORDERED or not labels.aligned or choice.within or choice.names is None:
        return
    rows = sample.numbers(choice.columns)
    declared = options.source == "probs" or choice.kind == "probs"
    held = distributions(rows, declared=declared)
    order = better_by_name(rows, choice.names, labels, probabilities=held or declared)
    if order is not None:
        sorted_columns = tuple(choice.columns[place] for place in order)
        kind = choice.kind or ("probs" if held else "")
        readings = {
            f'0 is "{columns[0]}"': naming(columns, sample.kinds, options, kind=kind)
            for columns in (sorted_columns, choice.columns)
        }
        expected = "one order of the classes; in that of the columns, a uniform guess is better"
        raise several_readings(sample, "which class is label 0?", readings, expected)


def _numbered(
    sample: TableSample, choice: Choice, numbers: tuple[int, ...], options: ReadOptions, labels: LabelValues
) -> Order:
    """Order columns whose numbers are not 0, 1, 2, ...: labels are either these numbers, or positions."""
    k = len(numbers)
    first = options.first_class
    if first is not None:
        if first not in (0, numbers[0]) or (first and numbers != tuple(range(first, first + k))):
            raise InputError(
                "--first-class does not fit the columns",
                sample.path,
                found=f"--first-class {first}",
                expected=f"0, or the first of the numbers {_few(numbers)}",
            )
        return Order(choice)
    found = labels.integers(every=True)
    whole = found is not None
    found = found if found is not None else labels.integers(every=False) or frozenset()
    are_names, are_places = found <= set(numbers), found <= set(range(k))
    if are_names and not are_places:
        return Order(choice, numbers)
    if are_places and not are_names and whole:
        return Order(choice)
    if are_names or (are_places and not whole):
        held = choice.kind == "probs" or are_distributions(sample, choice.columns, declared=options.source == "probs")
        source = options.source or ("probs" if held else None)
        readings = {
            "numbers of columns": options._replace(first_class=numbers[0], source=source),
            "places of columns": options._replace(first_class=0, source=source),
        }
        what = f"are labels the numbers {_few(numbers)} of the columns, or their places from 0?"
        raise several_readings(sample, what, readings)
    odd = sorted(found - set(numbers)) if not are_places else []
    command = line(sample.path, options, logits_column=("NAMES",))
    raise InputError(
        "labels are neither the numbers of the columns nor their places",
        labels.where,
        found=f"{', '.join(map(str, odd[:3]))} beside columns {_few(numbers)}",
        expected=f"{_few(numbers)}, or 0..{k - 1}",
        hint=f"are all class columns there? Or say which they are: {command}",
    )


def _few(numbers: Sequence[int]) -> str:
    together = tuple(numbers) == tuple(range(numbers[0], numbers[0] + len(numbers)))
    return f"{numbers[0]}..{numbers[-1]}" if together else listing([str(n) for n in numbers]).replace('"', "")
