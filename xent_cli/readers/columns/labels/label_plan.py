"""Which columns of a separate table hold the labels: a single one, or one for each class."""

from __future__ import annotations

from typing import TYPE_CHECKING

from xent_cli.errors import InputError, did_you_mean, listing
from xent_cli.readers.columns.asked_columns import asked_labels, missing_column
from xent_cli.readers.columns.column_plan import columns_beside, refuse_repeated
from xent_cli.readers.columns.families import numbered
from xent_cli.readers.columns.labels.label_columns import label_candidates, only_column
from xent_cli.readers.columns.lines import two_labels
from xent_cli.readers.columns.roles import roles_of
from xent_cli.readers.columns.sample import BOOL, FLOATS, NUMBER, TEXT, WHOLES
from xent_cli.readers.columns.words import ID, INDEX, LABEL, LOGIT_PREFIXES

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from xent_cli.readers.columns.column_plan import ColumnPlan
    from xent_cli.readers.columns.roles import Role
    from xent_cli.readers.columns.sample import TableSample
    from xent_cli.readers.options import ReadOptions

_LISTS = (FLOATS, WHOLES)


def plan_labels(
    sample: TableSample, options: ReadOptions, class_names: tuple[str, ...] | None, num_classes: int
) -> ColumnPlan:
    """Find the labels in a separate table: a single column, or one for each class.

    Dense columns that are named like the columns of the logits are put in their order, whatever prefix either has; only
    if no name matches do they keep their own order.

    Raises
    ------
    InputError
        If there are no labels, several columns may be the labels, or columns name some classes but not others.
    """
    refuse_repeated(sample.path, list(sample.kinds))
    asked = asked_labels(sample, options)
    if options.label_column is not None and not asked:
        raise missing_column(sample.path, options.label_column, list(sample.kinds), "--label-column")
    beside = columns_beside(sample, options)
    roles = {
        n: role
        for n, role in roles_of(sample, sample.kinds).items()
        if n not in (beside.id, beside.weight, beside.mask, beside.units)
    }
    if options.id_column is None and "id" in sample.kinds:
        beside = beside._replace(id="id")
    if len(asked) > 1:
        values = _by_class(sample.path, list(asked), class_names)
        if num_classes >= 0 and len(values) != num_classes:
            raise InputError(
                "wrong number of label columns",
                sample.path,
                found=f"{listing(values)} (--label-column {options.label_column})",
                expected=f"{num_classes}, one for each class",
            )
        return beside._replace(values=values)
    label = _label(sample, roles, beside.by, options, num_classes)
    if label is not None:
        # Each class may be in a list of its own.
        if sample.kinds[label] in _LISTS and not all(len(row) == 1 for row in sample.first(label) if row is not None):
            return beside._replace(values=(label,), is_list=True)
        ignored = frozenset(options.ignored)
        numbers, spelt = options.known.label_numbers, options.known.class_columns
        return beside._replace(label=label, numbers=numbers, ignored=ignored, spelt=spelt)
    dense = [name for name in _dense(sample, roles) if name not in beside.by]
    values = _by_class(sample.path, dense, class_names)
    # Before the logits are known, any number of classes is accepted.
    fits = len(values) == num_classes or (num_classes < 0 and len(values) > 1)
    if values and fits and options.labels != "sparse":
        return beside._replace(values=values)
    raise InputError(
        "no labels found",
        sample.path,
        found=f"columns {listing(list(sample.kinds))}",
        expected=f"one column of labels, or {num_classes if num_classes > 0 else 'several'} of class probabilities",
        hint="name it with --label-column",
    )


def _label(
    sample: TableSample, roles: Mapping[str, Role], by: tuple[str, ...], options: ReadOptions, num_classes: int
) -> str | None:
    if options.label_column is not None:
        label = options.label_column
        return None if options.labels == "dense" and sample.kinds[label] not in _LISTS else label
    found = label_candidates(sample, roles)
    if options.labels == "dense":
        found = [name for name in found if sample.kinds[name] in _LISTS]
    if len(found) > 1:
        raise two_labels(sample, options, found)
    if not found and options.labels != "dense" and num_classes != 1:
        only = only_column(sample, {name: role for name, role in roles.items() if name not in by})
        return only if only is not None and sample.kinds[only] in (NUMBER, TEXT, BOOL, *_LISTS) else None
    return found[0] if found else None


def _dense(sample: TableSample, roles: Mapping[str, Role]) -> list[str]:
    """Return columns that may be one for each class, also of true and false; in the order of any numbers they have."""
    names = [
        name
        for name, role in roles.items()
        if sample.kinds[name] in (NUMBER, BOOL) and role.role not in (INDEX, LABEL) and role.role != ID
    ]
    names = [name for name in names if roles[name].role != "about the sample" or sample.kinds[name] == BOOL]
    family = next((f for f in numbered(names) if len(f.columns) == len(names)), None)
    return list(family.columns) if family is not None else names


def _by_class(path: str, names: list[str], class_names: tuple[str, ...] | None) -> tuple[str, ...]:
    """Return columns of dense labels in the order of the classes, if they are named after these."""
    if class_names is None:
        return tuple(names)
    for prefix in ("", *LOGIT_PREFIXES):
        prefixed = tuple(f"{prefix}{name}" for name in class_names)
        if set(prefixed) <= set(names):
            return prefixed
    # Either list may have a word before all of its names: prob_cat and prob_dog are cat and dog.
    ours, theirs = (_without_prefix(each) for each in (class_names, names))
    found = dict(zip(theirs, names, strict=True))
    if set(ours) == set(theirs):
        return tuple(found[short] for short in ours)
    known = set(ours) | set(class_names)
    named = [name for short, name in zip(theirs, names, strict=True) if short in known or name in known]
    if named and len(names) == len(class_names):
        odd, short = next((name, short) for short, name in zip(theirs, names, strict=True) if name not in named)
        raise InputError(
            "columns of labels do not name the classes",
            path,
            found=f'"{odd}", which is not a class, beside "{named[0]}", which is one',
            expected=f"one column for each of {listing(class_names)}",
            hint=did_you_mean(short, class_names) or did_you_mean(odd, class_names),
        )
    return tuple(names)


def _without_prefix(names: Sequence[str]) -> list[str]:
    """Remove what all names begin with."""
    # The first and the last in sorted order share only what all names share.
    first, last = (min(names), max(names)) if len(names) > 1 else ("", "")
    shared = next((i for i, (a, b) in enumerate(zip(first, last, strict=False)) if a != b), len(first))
    return [name[shared:] for name in names]
