"""Which column of a table plays which part."""

from __future__ import annotations

import difflib
from dataclasses import dataclass, replace
from fnmatch import fnmatchcase
from typing import TYPE_CHECKING

from xent_cli.errors import InputError

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from xent_cli.readers.interface import ReadOptions

LABEL_NAMES = ("label", "labels", "target", "y")
_LOGIT_PREFIXES = ("logit_", "logits_", "logit.", "logits.")
_NOT_LOGITS = frozenset({"id", "index", "sample", "row_id"})


@dataclass(frozen=True, slots=True)
class ColumnPlan:
    """The columns of a table by what they hold.

    Fields
    ------
    values
        The columns of logits or of dense labels, one a class, or the one list column of them.
    is_list
        Whether `values` is one list column.
    label, id, weight
        Their names, or None.
    values_only
        Whether a missing value is NaN.
    """

    values: tuple[str, ...] = ()
    is_list: bool = False
    label: str | None = None
    id: str | None = None
    weight: str | None = None
    values_only: bool = False

    def kept(self, options: ReadOptions) -> ColumnPlan:
        """Leave out the columns that are not wanted."""
        if options.values_only:
            return ColumnPlan(self.values, self.is_list, values_only=True)
        return self if options.with_ids else replace(self, id=None)

    @property
    def used(self) -> list[str]:
        """Every column that is read."""
        return [*self.values, *(name for name in (self.label, self.id, self.weight) if name is not None)]

    def brings(self, role: str) -> frozenset[str]:
        """Which fields of `Rows` the columns fill, where `values` are those of `role`."""
        given = ((role, self.values), ("labels", self.label), ("weights", self.weight), ("ids", self.id))
        return frozenset(name for name, columns in given if columns)

    def column_of(self, role: str) -> str:
        """Name the column of a role, where it is one, for an error: `, column "label"`."""
        single = {"labels": self.label, "weights": self.weight}.get(role)
        if single is None and self.is_list:
            single = self.values[0]
        return "" if single is None else f', column "{single}"'

    def class_names(self, pattern: str | None) -> tuple[str, ...] | None:
        """Names of the classes: the columns', without what a glob such as ``logit_*`` has before its star.

        Without a glob a prefix such as ``logit_`` that every column has is left out.

        Examples
        --------
        >>> ColumnPlan(("logit_cat", "logit_dog")).class_names(None)
        ('cat', 'dog')
        """
        if self.is_list:
            return None
        if pattern is None:
            shared = (
                each for each in _LOGIT_PREFIXES if all(len(n) > len(each) and n.startswith(each) for n in self.values)
            )
            prefix = next(shared, "")
        else:
            prefix = pattern.split("*")[0] if pattern.endswith("*") else ""
        return tuple(name.removeprefix(prefix) for name in self.values)


def plan_logits(path: str, kinds: Mapping[str, str], options: ReadOptions) -> ColumnPlan:
    """Find logits, label, id and weight in a table.

    Parameters
    ----------
    kinds
        "number", "list" or "other" for each column, in order.

    Raises
    ------
    InputError
        Where a column asked for is missing, or none can hold logits.

    Examples
    --------
    >>> from xent_cli.readers.interface import ReadOptions
    >>> kinds = {"id": "other", "label": "other", "cat": "number", "dog": "number"}
    >>> plan_logits("t.csv", kinds, ReadOptions()).values
    ('cat', 'dog')
    """
    label = _named(path, kinds, options.label_column, "--label-column") or _first(LABEL_NAMES, kinds)
    identity = _named(path, kinds, options.id_column, "--id-column")
    weight = _named(path, kinds, options.weight_column, "--sample-weight-column")
    if options.id_column is None and kinds.get("id") is not None:
        identity = "id"
    claimed = {label, identity, weight}
    pattern = options.logits_column
    if pattern is not None and pattern in kinds and kinds[pattern] == "list":
        return ColumnPlan((pattern,), True, label, identity, weight)
    if pattern is not None:
        chosen = tuple(name for name in kinds if fnmatchcase(name, pattern) and name not in claimed)
        if not chosen:
            raise _missing(path, pattern, kinds, "--logits-column")
        return ColumnPlan(chosen, False, label, identity, weight)
    lists = [name for name in kinds if kinds[name] == "list" and name not in claimed]
    if "logits" in lists or len(lists) == 1:
        return ColumnPlan(("logits" if "logits" in lists else lists[0],), True, label, identity, weight)
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
            found=f"columns {_listing(list(kinds))}",
            hint="name them with --logits-column",
        )
    return ColumnPlan(chosen, False, label, identity, weight)


def plan_labels(
    path: str, kinds: Mapping[str, str], options: ReadOptions, class_names: tuple[str, ...] | None, num_classes: int
) -> ColumnPlan:
    """Find the labels in a table of their own: one column of them, or one for each class.

    Dense columns with the names of the logits' columns are taken in the order of those.
    """
    label = _named(path, kinds, options.label_column, "--label-column") or _first(LABEL_NAMES, kinds)
    if label is not None and options.labels != "dense":
        return ColumnPlan((label,), True) if kinds[label] == "list" else ColumnPlan(label=label)
    if label is not None and kinds[label] == "list":
        return ColumnPlan((label,), True)
    rest = [name for name in kinds if name not in _NOT_LOGITS]
    if len(rest) == 1 and options.labels != "dense" and num_classes != 1:
        return ColumnPlan((rest[0],), True) if kinds[rest[0]] == "list" else ColumnPlan(label=rest[0])
    if class_names is not None and set(class_names) <= set(rest):
        return ColumnPlan(class_names)
    numbers = tuple(name for name in rest if kinds[name] == "number")
    if len(numbers) == num_classes and options.labels != "sparse":
        return ColumnPlan(numbers)
    raise InputError(
        "no labels found",
        path,
        found=f"columns {_listing(list(kinds))}",
        expected=f"one column of labels, or {num_classes} of class probabilities",
        hint="name it with --label-column",
    )


def refuse_repeated(path: str, names: Sequence[str]) -> None:
    """Refuse a table in which a name means two columns."""
    if len(set(names)) < len(names):
        seen: set[str] = set()
        repeated = next(name for name in names if name in seen or seen.add(name))  # type: ignore[func-returns-value]
        raise InputError("two columns of one name", path, found=f'"{repeated}"', hint="rename one of them")


def _named(path: str, kinds: Mapping[str, str], name: str | None, option: str) -> str | None:
    if name is not None and name not in kinds:
        raise _missing(path, name, kinds, option)
    return name


def _first(names: Sequence[str], kinds: Mapping[str, str]) -> str | None:
    return next((name for name in names if name in kinds), None)


def _missing(path: str, name: str, kinds: Mapping[str, str], option: str) -> InputError:
    close = difflib.get_close_matches(name, list(kinds), 1)
    return InputError(
        "no such column",
        path,
        found=f"columns {_listing(list(kinds))}",
        expected=f'"{name}" ({option})',
        hint=f'did you mean "{close[0]}"?' if close else "",
    )


def _listing(names: Sequence[str]) -> str:
    shown = ", ".join(f'"{name}"' for name in names[:6])
    return shown if len(names) <= 6 else f"{shown} and {len(names) - 6} more"
