"""Which columns of a table to read, from their names, what they can serve as, and the options."""

from __future__ import annotations

from dataclasses import replace
from fnmatch import fnmatchcase
from typing import TYPE_CHECKING

from xent_cli.errors import InputError, did_you_mean, listing
from xent_cli.readers.columns import LOGIT_PREFIXES, ColumnPlan
from xent_cli.readers.plan_beside import plan_beside

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from xent_cli.readers.interface import ReadOptions

LABEL_NAMES = ("label", "labels", "target", "y")
_DIGITS = "0123456789"
_NOT_LOGITS = frozenset({"id", "index", "sample", "row_id"})


def choose(
    path: str,
    kinds: Mapping[str, str],
    role: str,
    options: ReadOptions,
    class_names: tuple[str, ...] | None,
    num_classes: int,
    *,
    alone: bool = False,
    nameless: bool = False,
) -> tuple[ColumnPlan, tuple[str, ...] | None]:
    """Choose the columns of a table that is opened as logits, or as the labels of logits; also name the classes.

    Parameters
    ----------
    kinds
        "number", "list" or "other" for each column, in order.
    class_names, num_classes
        Those of the logits, where the table holds the labels of these.
    alone, nameless
        Whether there is one row to tell kinds from; whether the names of columns are their numbers.
    """
    if role in ("weights", "mask"):
        return plan_beside(path, kinds, role), class_names
    if role != "logits":
        return plan_labels(path, kinds, options, class_names, num_classes).kept(options), class_names
    plan = plan_logits(path, kinds, options, alone=alone)
    names = options.class_names or (None if nameless else plan.class_names(options.logits_column))
    return plan.kept(options), names


def plan_logits(path: str, kinds: Mapping[str, str], options: ReadOptions, *, alone: bool = False) -> ColumnPlan:
    """Find logits, label, id, weight and slices in a table; what is missing may be in another.

    Parameters
    ----------
    kinds
        "number", "list" or "other" for each column, in order.
    alone
        Whether they were told from a single row, in which one bad cell turns a column into text.

    Raises
    ------
    InputError
        Where the columns of logits asked for are missing, or none can hold logits.

    Examples
    --------
    >>> from xent_cli.readers.interface import ReadOptions
    >>> kinds = {"id": "other", "label": "other", "cat": "number", "dog": "number"}
    >>> plan_logits("t.csv", kinds, ReadOptions()).values
    ('cat', 'dog')
    """
    label = _first(LABEL_NAMES if options.label_column is None else (options.label_column,), kinds)
    beside = _beside(kinds, options)
    claimed = {label, *beside.singles}
    pattern = options.logits_column
    if pattern is not None and pattern in kinds and kinds[pattern] == "list":
        return replace(beside, values=(pattern,), is_list=True, label=label)
    if pattern is not None:
        chosen = tuple(name for name in kinds if fnmatchcase(name, pattern) and name not in claimed)
        if not chosen:
            raise missing_column(path, pattern, list(kinds), "--logits-column")
        return replace(beside, values=chosen, label=label)
    lists = [name for name in kinds if kinds[name] == "list" and name not in claimed]
    if "logits" in lists or len(lists) == 1:
        return replace(beside, values=("logits" if "logits" in lists else lists[0],), is_list=True, label=label)
    if lists:
        raise InputError(
            "several list columns", path, found=", ".join(lists), hint="name the one to use with --logits-column"
        )
    chosen = tuple(
        name for name, kind in kinds.items() if kind == "number" and name not in claimed and name not in _NOT_LOGITS
    )
    if not chosen:
        raise InputError(
            "no columns of logits",
            path,
            found=f"columns {listing(list(kinds))}",
            hint="name them with --logits-column",
        )
    return replace(beside, values=chosen, label=label, doubtful=_doubtful(kinds, chosen, claimed, alone=alone))


def _doubtful(
    kinds: Mapping[str, str], chosen: tuple[str, ...], claimed: set[str | None], *, alone: bool
) -> tuple[str, ...]:
    """Columns of text that stand among the logits or are named like them; any, where the rest may be too few."""
    names = list(kinds)
    among = names[names.index(chosen[0]) : names.index(chosen[-1])]
    stems = {name.rstrip(_DIGITS) for name in chosen if name[-1:].isdigit()}
    alike = tuple(LOGIT_PREFIXES) + tuple(stem for stem in stems if stem)
    return tuple(
        name
        for name in names
        if kinds[name] == "other"
        and name not in claimed
        and name not in _NOT_LOGITS
        and (alone or len(chosen) == 1 or name in among or (alike and name.startswith(alike)))
    )


def plan_labels(
    path: str, kinds: Mapping[str, str], options: ReadOptions, class_names: tuple[str, ...] | None, num_classes: int
) -> ColumnPlan:
    """Find the labels in a table of their own: one column of them, or one for each class.

    Dense columns with the names of the logits' columns are taken in the order of those, whatever either has before all
    of them; only names that have nothing in common are taken as they come.

    Raises
    ------
    InputError
        Where there are no labels, or their columns name some of the classes and not others.
    """
    if options.label_column is not None and options.label_column not in kinds:
        raise missing_column(path, options.label_column, list(kinds), "--label-column")
    label = _first(LABEL_NAMES if options.label_column is None else (options.label_column,), kinds)
    beside = _beside(kinds, options)
    rest = [name for name in kinds if name not in _NOT_LOGITS and name not in beside.singles]
    if label is not None and options.labels == "dense" and kinds[label] != "list":
        label = None
    elif label is None and len(rest) == 1 and options.labels != "dense" and num_classes != 1:
        label = rest[0]
    if label is not None:
        is_list = kinds[label] == "list"
        return replace(beside, values=(label,), is_list=True) if is_list else replace(beside, label=label)
    values = _by_class(path, [name for name in rest if kinds[name] == "number"], class_names)
    if len(values) == num_classes and options.labels != "sparse":
        return replace(beside, values=values)
    raise InputError(
        "no labels found",
        path,
        found=f"columns {listing(list(kinds))}",
        expected=f"one column of labels, or {num_classes} of class probabilities",
        hint="name it with --label-column",
    )


def refuse_repeated(path: str, names: Sequence[str]) -> None:
    """Refuse a table in which a name means two columns."""
    if len(set(names)) < len(names):
        seen: set[str] = set()
        repeated = next(name for name in names if name in seen or seen.add(name))  # type: ignore[func-returns-value]
        raise InputError("two columns of one name", path, found=f'"{repeated}"', hint="rename one of them")


def _beside(kinds: Mapping[str, str], options: ReadOptions) -> ColumnPlan:
    """The columns that go along with logits or labels, as far as they are here."""
    return ColumnPlan(
        id=_first(("id",) if options.id_column is None else (options.id_column,), kinds),
        weight=None if options.weight_column not in kinds else options.weight_column,
        mask=None if options.mask_column not in kinds else options.mask_column,
        by=tuple(name for name in options.by if name in kinds),
        columns=tuple(kinds),
    )


def _by_class(path: str, names: list[str], class_names: tuple[str, ...] | None) -> tuple[str, ...]:
    """Columns of dense labels in the order of the classes, as far as they are named after these."""
    if class_names is None:
        return tuple(names)
    for prefix in ("", *LOGIT_PREFIXES):
        prefixed = tuple(f"{prefix}{name}" for name in class_names)
        if set(prefixed) <= set(names):
            return prefixed
    # Any other word may stand before all names of one side: prob_cat and prob_dog are cat and dog.
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
            found=f'"{odd}", which is no class, beside "{named[0]}", which is one',
            expected=f"one column for each of {listing(class_names)}",
            hint=did_you_mean(short, class_names) or did_you_mean(odd, class_names),
        )
    return tuple(names)


def _without_prefix(names: Sequence[str]) -> list[str]:
    """Leave out what all names begin with."""
    # The first and the last in order differ where any two do.
    first, last = (min(names), max(names)) if len(names) > 1 else ("", "")
    shared = next((i for i, (a, b) in enumerate(zip(first, last, strict=False)) if a != b), len(first))
    return [name[shared:] for name in names]


def _first(names: Sequence[str], kinds: Mapping[str, str]) -> str | None:
    return next((name for name in names if name in kinds), None)


def missing_column(path: str, name: str, columns: Sequence[str], option: str) -> InputError:
    """Say which columns there are in place of one that was asked for, and which is nearest."""
    return InputError(
        "no such column",
        path,
        found=f"columns {listing(columns)}",
        expected=f'"{name}" ({option})',
        hint=did_you_mean(name, columns),
    )
