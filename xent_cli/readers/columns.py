"""Which column of a table plays which part."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from xent_cli.readers.interface import ReadOptions

LOGIT_PREFIXES = ("logit_", "logits_", "logit.", "logits.")


@dataclass(frozen=True, slots=True)
class ColumnPlan:
    """The columns of a table by what they hold.

    Fields
    ------
    values
        The columns of logits or of dense labels, one a class, or the one list column of them.
    is_list
        Whether `values` is one list column.
    label, id, weight, mask
        Their names, or None.
    by
        The columns whose values name slices.
    columns
        Every column that the table has.
    values_only
        Whether a missing value is NaN.
    ignore_missing
        Whether a sample may have no label.
    doubtful
        Columns that hold no numbers, and are no logits for that, although they look as if they should.
    """

    values: tuple[str, ...] = ()
    is_list: bool = False
    label: str | None = None
    id: str | None = None
    weight: str | None = None
    mask: str | None = None
    by: tuple[str, ...] = ()
    columns: tuple[str, ...] = ()
    values_only: bool = False
    doubtful: tuple[str, ...] = ()
    ignore_missing: bool = False

    def kept(self, options: ReadOptions) -> ColumnPlan:
        """Leave out the columns that are not wanted."""
        if options.values_only:
            return ColumnPlan(self.values, self.is_list, columns=self.columns, values_only=True)
        return replace(
            self,
            id=None if self.id in options.elsewhere or not options.with_ids else self.id,
            weight=None if self.weight in options.elsewhere else self.weight,
            mask=None if self.mask in options.elsewhere else self.mask,
            ignore_missing=options.ignore_missing,
            by=tuple(name for name in self.by if name not in options.elsewhere),
        )

    @property
    def used(self) -> list[str]:
        """Every column that is read, once."""
        return list(dict.fromkeys((*self.values, *self.singles)))

    @property
    def needed(self) -> list[str]:
        """The columns that must have a value in every row."""
        label = None if self.ignore_missing else self.label
        return [*self.values, *(name for name in (label, self.weight) if name is not None)]

    @property
    def texts(self) -> list[str]:
        """The columns that are read as text and nothing else."""
        others = {*self.needed, self.label}
        texts = (name for name in (self.id, self.mask, *self.by) if name is not None and name not in others)
        return list(dict.fromkeys(texts))

    @property
    def singles(self) -> tuple[str, ...]:
        """The columns beside the values."""
        return (*(name for name in (self.label, self.id, self.weight, self.mask) if name is not None), *self.by)

    def brings(self, role: str) -> frozenset[str]:
        """Which fields of `Rows` the columns fill, where `values` are those of `role`."""
        parts = {role: self.values, "weights": self.weight, "mask": self.mask, "ids": self.id, "groups": self.by}
        return frozenset(name for name, columns in parts.items() if columns) | ({"labels"} if self.label else set())

    def column_of(self, role: str) -> str:
        """Name the column of a role, where it is one, for an error: `, column "label"`."""
        single = {"labels": self.label, "weights": self.weight, "mask": self.mask, "ids": self.id}.get(role)
        if single is None and self.is_list and role:
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
                each for each in LOGIT_PREFIXES if all(len(n) > len(each) and n.startswith(each) for n in self.values)
            )
            prefix = next(shared, "")
        else:
            prefix = pattern.split("*")[0] if pattern.endswith("*") else ""
        return tuple(name.removeprefix(prefix) for name in self.values)


@dataclass(frozen=True, slots=True)
class Reading:
    """What the rows of a table are to become.

    Fields
    ------
    role
        What `plan.values` are: "logits" or "labels".
    width
        How many classes they have; 0 where there are none.
    class_names
        What a label given as text may be, or None.
    """

    plan: ColumnPlan
    role: str
    width: int
    class_names: tuple[str, ...] | None = None
