"""Columns that hold the k highest probabilities of each row: lists of classes and of values, pairs of columns, or maps.

They are recognised by their names: a list `top_indices` beside a list `top_logprobs`; `top1_id`, `top1_logprob`,
`top2_id` and so on; or maps in `top_logprobs` from class to value. If the names allow two readings, the user is asked.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np

from xent_cli.errors import InputError, listing
from xent_cli.readers.appended_tokens import appended_in
from xent_cli.readers.columns.asked_columns import asked_labels
from xent_cli.readers.columns.cells.entries import entries_of_cell
from xent_cli.readers.columns.column_plan import columns_beside
from xent_cli.readers.columns.families import numbered
from xent_cli.readers.columns.labels.label_columns import find_label
from xent_cli.readers.columns.lines import several_readings
from xent_cli.readers.columns.roles import roles_of
from xent_cli.readers.columns.sample import FLOATS, MAP, NUMBER, TEXT, TEXTS, WHOLES, as_text
from xent_cli.readers.columns.words import kind_of_stem, plain_name, words
from xent_cli.readers.top_k_precision import precision_seen
from xent_cli.readers.top_k_rows import INDICES, NOTHING, VALUES, Highest, TopKColumns, refuse_as_candidate

if TYPE_CHECKING:
    from collections.abc import Sequence
    from typing import Any

    from xent_cli.readers.columns.column_plan import ColumnPlan
    from xent_cli.readers.columns.families import Family
    from xent_cli.readers.columns.sample import TableSample
    from xent_cli.readers.interface import Classes
    from xent_cli.readers.options import ReadOptions

# The last word of a numbered family of classes, and the words of one of values that do not say what these are.
_CLASS_WORDS = words("id ids idx index class label token name")
_VALUE_WORDS = words("value val logp")
# Probabilities of all classes sum to 1 up to this much, which may be lost when they are rounded for printing.
_SAME_MASS = 1e-3


def plan_teacher(sample: TableSample, options: ReadOptions, classes: Classes) -> ColumnPlan | None:
    """The plan of a table of a teacher's highest probabilities; None if the table has no such columns.

    Raises
    ------
    InputError
        If there are several readings, or values are logits, which need those of all classes.
    """
    top_k = find_top_k(sample, options, options.labels_source, abs(classes.num_classes))
    if top_k is None:
        return None
    num_classes = abs(classes.num_classes)
    # The keys of maps are text, also if they are numbers.
    names = classes.names if classes.names is not None else tuple(map(str, range(num_classes)))
    top_k = top_k._replace(num_classes=num_classes, names=names)
    beside = columns_beside(sample, options)
    if options.id_column is None and "id" in sample.kinds:
        beside = beside._replace(id="id")
    named_by = sample.names_of(top_k.values[0])
    return beside._replace(values=(*top_k.classes, *top_k.values), is_list=True, top_k=top_k, named_by=named_by)


def plan_scored(sample: TableSample, options: ReadOptions) -> ColumnPlan | None:
    """The plan of a table with the highest of each row beside a label; None if it has no such columns.

    Raises
    ------
    InputError
        If there are several readings, or nothing says what the values are.
    """
    if options.logits_column or options.run.values_only or options.binary:
        return None
    kind = options.source or ""
    some = [name for name in sample.kinds if "top" in plain_name(name)]
    top_k = find_top_k(replace(sample, kinds={name: sample.kinds[name] for name in some}), options, kind)
    if top_k is None or not (top_k.classes or keys_differ(sample, top_k.values[0]) or leaves_mass(sample, top_k)):
        return None
    if options.labels_path:
        if options.labels_source != "labels":
            refuse_as_candidate(sample.path, [*top_k.classes, *top_k.values], sure=True)
        raise InputError(
            "the highest of each row, and labels elsewhere",
            sample.path,
            found=f"columns {listing((*top_k.classes, *top_k.values))}, and labels in {options.labels_path}",
            expected="labels beside the highest, in a column of the same table",
            hint=f"as a teacher they go second: xent compute LOGITS {sample.path} --labels-from log-probs",
        )
    used = (*top_k.classes, *top_k.values)
    roles = {name: role for name, role in roles_of(sample, sample.kinds).items() if name not in used}
    label = find_label(sample, roles, options, elsewhere=False)
    if label is None:
        return None
    _refuse_numbers_of_names(sample, top_k, label)
    named_by = sample.names_of(top_k.values[0])
    top_k = top_k._replace(scored=True, num_classes=2)
    why = "the highest of each row, by their names"
    beside = columns_beside(sample, options)
    return beside._replace(values=used, is_list=True, top_k=top_k, named_by=named_by, label=label, why=why)


def _refuse_numbers_of_names(sample: TableSample, top_k: TopKColumns, label: str) -> None:
    """Refuse labels that are numbers next to classes that are names.

    Such labels are not classes beyond the highest, but positions in a list.
    """
    labels = [as_text(each) for each in sample.first(label) if each is not None]
    rows = [row for row in _cells(sample, top_k)[0] if isinstance(row, list | tuple)]  # the run reports any other value
    names = [as_text(each) for row in rows for each in row if each is not None]
    if labels and names and all(map(_is_number, labels)) and not any(map(_is_number, names)):
        raise InputError(
            "labels are numbers, and the highest of each row are named",
            f'{sample.path}, column "{label}"',
            found=f"labels such as {labels[0]}, and names such as {listing(names[:1])}",
            expected="labels and names of the same classes",
            hint="write the name of each label in its place",
        )


def _is_number(word: str) -> bool:
    return word.strip().lstrip("-").isdecimal()


def find_top_k(sample: TableSample, options: ReadOptions, kind: str, num_classes: int = 0) -> TopKColumns | None:
    """Find the columns; None if the table has none.

    Parameters
    ----------
    kind
        What the user says that the values are: "log-probs", "probs", or "" if their name must say it.
    num_classes
        How many classes there are; 0 if that is not known.

    Raises
    ------
    InputError
        If there are several readings, or nothing says what the values are.
    """
    asked = asked_labels(sample, options) if options.labels_source != "labels" else ()
    found = [*_lists(sample), *_wide(sample), *_maps(sample)]
    if asked:
        found = [each for each in found if {*asked} <= {*each.classes, *each.values}]
    if len(found) > 1 and kind:
        said = [each for each in found if kind_of_name(each.values[0]) == kind]
        found = said or found
    if len(found) > 1:
        names = [each.values[0] if each.nested else ",".join((*each.classes, *each.values)) for each in found]
        readings = {
            f"values in {name}": options._replace(label_column=name)
            if options.labels_source != "labels"
            else options._replace(logits_column=(name,))
            for name in names
        }
        raise several_readings(sample, "which columns are the highest of each row?", readings, "one set of them")
    if not found:
        return None
    (top_k,) = found
    kind = kind or kind_of_name(top_k.values[0])
    if kind not in ("log-probs", "probs"):
        raise InputError(
            "the highest of each row, of which nothing says what they are",
            f'{sample.path}, column "{top_k.values[0]}"',
            expected="log-probabilities or probabilities: logits of some classes do not tell those of the others",
            hint="--from log-probs or --from probs says which; for a teacher, --labels-from",
        )
    texts = any(sample.kinds[name] in (TEXT, TEXTS) for name in top_k.classes)
    first = _first(sample, top_k)
    first = first._replace(precision=precision_seen(first.values))
    appended = appended_in(first, num_classes, probs=kind == "probs")
    return top_k._replace(probs=kind == "probs", appended=appended, texts=texts, precision=first.precision)


def kind_of_name(name: str) -> str:
    """Return what the values of a column are according to its name: "log-probs", "probs", "logits" or ""."""
    plain = plain_name(name)
    if plain.endswith("logp") or "logp_" in plain:
        return "log-probs"
    return kind_of_stem(name) or ""


def _lists(sample: TableSample) -> list[TopKColumns]:
    classes = [name for name in sample.kinds if plain_name(name) in INDICES and _holds_classes(sample, name)]
    values = [name for name, kind in sample.kinds.items() if kind in (FLOATS, WHOLES) and plain_name(name) in VALUES]
    return [TopKColumns((one,), (other,), nested=True) for one in classes for other in values if one != other]


def _holds_classes(sample: TableSample, name: str) -> bool:
    """Whether a column holds lists of classes; in a column of text, lists of any numbers may be classes."""
    kind = sample.kinds[name]
    if kind != FLOATS:
        return kind in (WHOLES, TEXTS)
    rows = [row for row in sample.first(name) if isinstance(row, list)]
    numbers = [item for row in rows for item in row if isinstance(item, int | float)]
    return bool(numbers) and all(float(number).is_integer() for number in numbers)


def _wide(sample: TableSample) -> list[TopKColumns]:
    """Find pairs of families with the same numbers: one of classes, one of their values."""
    numbers = [name for name, kind in sample.kinds.items() if kind in (NUMBER, TEXT)]
    families = [family for family in numbered(numbers) if family.numbers is not None]
    classes = [family for family in families if _words(family) & _CLASS_WORDS and _names_classes(sample, family)]
    values = [family for family in families if family.kind is not None or _words(family) & _VALUE_WORDS]
    values = [family for family in values if all(sample.kinds[name] == NUMBER for name in family.columns)]
    return [
        TopKColumns(one.columns, other.columns, nested=False)
        for one in classes
        for other in values
        if one.columns != other.columns and one.numbers == other.numbers and not {*one.columns} & {*other.columns}
    ]


def _words(family: Family) -> set[str]:
    return {*plain_name(f"{family.before} {family.after}").split("_")}


def _names_classes(sample: TableSample, family: Family) -> bool:
    return all(sample.kinds[name] != NUMBER or sample.is_whole(name) for name in family.columns)


def _maps(sample: TableSample) -> list[TopKColumns]:
    """Find columns of maps from class to value."""
    maps = [name for name, kind in sample.kinds.items() if kind == MAP]
    # A list of names and a list of scores in JSON are read as one map, called scores.
    maps = [
        name for name in maps if plain_name(name) in (*VALUES, "scores") or kind_of_name(name) in ("log-probs", "probs")
    ]
    return [TopKColumns((), (name,), nested=True) for name in maps]


def keys_differ(sample: TableSample, name: str) -> bool:
    """Whether maps of a column have different keys from row to row."""
    keys = set()
    for cell in sample.first(name):
        try:
            keys.add(frozenset(entries_of_cell(_given(cell)).keys) if cell is not None else None)
        except ValueError:  # the run reports it with its row
            continue
    return len(keys - {None}) > 1


def leaves_mass(sample: TableSample, top_k: TopKColumns) -> bool:
    """Whether the probabilities of a row sum to less than 1.

    If so, there are more classes even if all rows list the same ones.
    """
    values = _first(sample, top_k).values
    with np.errstate(over="ignore"):
        masses = np.nansum(values if top_k.probs else np.exp(values), axis=1)
    return bool((masses < 1 - _SAME_MASS).any())


def _given(cell: Any) -> Any:
    """Return a map without missing values: a struct has a field for every class that occurs in any row."""
    return {key: value for key, value in cell.items() if value is not None} if isinstance(cell, dict) else cell


def _first(sample: TableSample, top_k: TopKColumns) -> Highest:
    """Return those of the first rows that can be read; the numbers given to classes with names are arbitrary."""
    rows: list[tuple[list[int], list[float]]] = []
    numbers: dict[Any, int] = {}
    for classes, values in zip(*_cells(sample, top_k), strict=False):
        try:
            entries = [float(value) for value in values if value is not None]
            listed = [numbers.setdefault(as_text(each), len(numbers)) for each in classes if each is not None]
        except (TypeError, ValueError):  # the run reports it with its row
            continue
        size = min(len(listed), len(entries))
        rows.append((listed[:size], entries[:size]))
    width = max((len(values) for _, values in rows), default=0)
    index = np.full((len(rows), width), NOTHING)
    held = np.full((len(rows), width), np.nan)
    for place, (listed, entries) in enumerate(rows):
        index[place, : len(entries)], held[place, : len(entries)] = listed, entries
    return Highest(index, held)


def _cells(sample: TableSample, top_k: TopKColumns) -> tuple[Sequence[Any], Sequence[Any]]:
    """Return the classes and the values of each of the first rows."""
    if not top_k.nested:
        classes, ranks = (
            list(zip(*(sample.first(name) for name in names), strict=True)) for names in (top_k.classes, top_k.values)
        )
        return classes, ranks
    cells = sample.first(top_k.values[0])
    if top_k.classes:
        return [cell or () for cell in sample.first(top_k.classes[0])], [cell or () for cell in cells]
    keys: list[Sequence[str]] = []
    values: list[Sequence[float]] = []
    for cell in cells:
        try:
            row = entries_of_cell(_given(cell)) if cell is not None else None
        except ValueError:
            row = None
        keys.append(() if row is None else row.keys)
        values.append([] if row is None else row.values)
    return keys, values
