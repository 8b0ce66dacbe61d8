"""What each column of a table is used for."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from xent_cli.core.diagnostics import Diagnostic
from xent_cli.errors import InputError
from xent_cli.readers.columns.families import shown
from xent_cli.readers.columns.words import composed

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from typing import Any

    from xent_cli.readers.columns.sample import TableSample
    from xent_cli.readers.options import ReadOptions
    from xent_cli.readers.top_k_rows import TopKColumns

# A document lists at most this many column names.
_MOST_LISTED = 1000
# A sentence lists at most this many unused columns.
_MOST_SAID = 30


class ColumnPlan(NamedTuple):
    """The columns of a table by their use.

    Fields
    ------
    values
        The columns of logits or of dense labels, one for each class, or the one list column of them.
    is_list
        Whether `values` is one list column.
    cells, keys
        If cells of the one column are vectors, maps or text instead of lists: how many numbers a cell holds, and the
        keys of maps in the order of the classes.
    named_by
        The column of lists that name the classes of the scores in `values`; or None.
    top_k
        If the table holds the k highest of each row: which columns of `values` hold classes and which their scores;
        else None.
    label, id, weight, mask, units
        Names of these columns, or None.
    by
        The columns whose values name slices.
    columns
        All columns of the table.
    values_only
        Whether a missing value is read as NaN.
    ignore_missing
        Whether samples may lack a label.
    lenient
        Whether missing values and labels that are not classes are accepted, and checked once it is known which
        samples count.
    judged
        The one sample that is checked nevertheless, to report what is wrong with it; or None.
    names
        Names of the classes, if the columns or the labels give them.
    kind
        What `values` hold according to the names of the columns: "logits", "log-probs", "probs" or "".
    numbers
        Numbers of the classes in labels of whole numbers, if these are not 0, 1, 2, ...
    ignored
        Labels that mark samples to leave out, not classes; they keep their value.
    spelt
        Full names of the class columns, which text labels may use too.
    stem
        Common part of the names of `values`, as in `logit_*`; "" if there is none.
    why
        Why `values` are the classes.
    left_out
        All columns that are not used, each with the reason.
    doubt
        Why the choice may be wrong, or "".
    spelling
        What to tell the user about labels that are written differently from the columns, or "".
    asked
        Whether the user named the columns.
    readings
        If there is no label: for each column, or set of columns, that may hold the labels, the options that select it.
    constants
        Columns that come from the names of the file's folders, each with its value.
    """

    values: tuple[str, ...] = ()
    is_list: bool = False
    cells: int = 0
    keys: tuple[str, ...] = ()
    label: str | None = None
    id: str | None = None
    weight: str | None = None
    mask: str | None = None
    units: str | None = None
    by: tuple[str, ...] = ()
    columns: tuple[str, ...] = ()
    values_only: bool = False
    names: tuple[str, ...] | None = None
    kind: str = ""
    numbers: tuple[int, ...] = ()
    ignored: frozenset[int] = frozenset()
    spelt: tuple[str, ...] = ()
    stem: str = ""
    why: str = ""
    left_out: tuple[tuple[str, str], ...] = ()
    doubt: str = ""
    spelling: str = ""
    asked: bool = False
    ignore_missing: bool = False
    lenient: bool = False
    judged: int | None = None
    readings: tuple[ReadOptions, ...] = ()
    constants: tuple[tuple[str, str | int | None], ...] = ()
    named_by: str | None = None
    top_k: TopKColumns | None = None

    @property
    def file_label(self) -> str | None:
        """The column of labels, if the file has it."""
        return None if self.label in dict(self.constants) else self.label

    @property
    def used(self) -> list[str]:
        """Every column of the file that is read, once."""
        constants = dict(self.constants)
        names = () if self.named_by is None else (self.named_by,)
        found = [name for name in dict.fromkeys((*self.values, *names, *self.singles)) if name not in constants]
        # If everything needed comes from the names of folders, any column serves to count the rows.
        return found or [name for name in self.columns if constants and name not in constants][:1]

    @property
    def wide(self) -> bool:
        """Whether there is one column of numbers for each class."""
        return bool(self.values) and not self.is_list and self.top_k is None

    @property
    def amounts(self) -> list[str]:
        """Names of the numeric columns besides the values."""
        return [name for name in (self.weight, self.units) if name is not None]

    @property
    def needed(self) -> list[str]:
        """The columns of the file that must have a value in every row."""
        label = None if self.ignore_missing else self.file_label
        values = self.values if self.top_k is None or self.top_k.nested else ()  # a row may have fewer ranks
        return [*values, *([] if label is None else [label]), *self.amounts]

    @property
    def texts(self) -> list[str]:
        """The columns of the file that are read as text and nothing else."""
        others = {*self.needed, *self.values, self.label, *dict(self.constants)}
        texts = (name for name in (self.id, self.mask, *self.by) if name is not None and name not in others)
        return list(dict.fromkeys(texts))

    @property
    def singles(self) -> tuple[str, ...]:
        """The columns besides the values."""
        singles = (self.label, self.id, self.weight, self.mask, self.units)
        return (*(name for name in singles if name is not None), *self.by)

    def fields(self, role: str) -> frozenset[str]:
        """Which fields of `Rows` the columns fill if `values` are those of `role`."""
        parts = {role: self.values, "weights": self.weight, "mask": self.mask, "ids": self.id, "groups": self.by}
        parts["units"] = self.units
        parts |= {f"{role.removesuffix('s')}_bounds": self.values} if self.top_k is not None else {}
        return frozenset(name for name, columns in parts.items() if columns) | ({"labels"} if self.label else set())

    def column_of(self, role: str) -> str:
        """Return words that name the column of a role in an error, if it is a single one: `, column "label"`."""
        singles = {"labels": self.label, "weights": self.weight, "mask": self.mask, "ids": self.id, "units": self.units}
        single = singles.get(role)
        if single is None and self.is_list and role:
            single = self.values[0]
        return "" if single is None else f', column "{single}"'

    @property
    def others(self) -> list[str]:
        """Names of the columns that are not class columns."""
        classes = set(self.values)
        return [name for name in self.columns if name not in classes]

    @property
    def diagnostics(self) -> tuple[Diagnostic, ...]:
        """Return what to tell the user about the choice: which columns are left out, and why it may be wrong."""
        found = [Diagnostic("classes-by-elimination", self.doubt)] if self.doubt else []
        if self.spelling:
            found.append(Diagnostic("names-composed", self.spelling, note=True))
        if self.left_out and self.values:
            names = [name.strip() or "the column without a name" for name, _ in self.left_out]
            more = f" and {len(names) - _MOST_SAID} more" if len(names) > _MOST_SAID else ""
            message = f"classes: {shown(self.values)}; left out: {', '.join(names[:_MOST_SAID])}{more}"
            found.append(Diagnostic("columns-left-out", message, note=True))
        return tuple(found)

    @property
    def class_columns(self) -> tuple[str, ...] | Mapping[str, Any]:
        """Describe the class columns for a document: by up to a thousand names, else by stem, first and last name.

        Examples
        --------
        >>> ColumnPlan(("p0", "p1"), names=("0", "1"), stem="p*").class_columns
        {'stem': 'p*', 'first': 'p0', 'last': 'p1', 'n': 2}
        """
        if (self.stem and self.names and self.names[0].isdigit()) or len(self.values) > _MOST_LISTED:
            return {"stem": self.stem, "first": self.values[0], "last": self.values[-1], "n": len(self.values)}
        return self.values


class Reading(NamedTuple):
    """How the rows of a table are to be read.

    Fields
    ------
    role
        What `plan.values` are: "logits" or "labels".
    width
        Number of classes; 0 if there are none.
    class_names
        Names that text labels may have, or None.
    """

    plan: ColumnPlan
    role: str
    width: int
    class_names: tuple[str, ...] | None = None


def columns_beside(sample: TableSample, options: ReadOptions) -> ColumnPlan:
    """Return the requested columns besides logits and labels that this table has."""
    here = sample.kinds
    return ColumnPlan(
        id=options.id_column if options.id_column in here else None,
        weight=None if options.weight_column not in here else options.weight_column,
        mask=None if options.mask_column not in here else options.mask_column,
        units=None if options.units_column not in here else options.units_column,
        by=tuple(name for name in options.by if name in here),
        columns=tuple(here),
    )


def refuse_repeated(path: str, names: Sequence[str]) -> None:
    """Refuse a table in which two columns have the same name."""
    if len(set(names)) < len(names):
        seen: set[str] = set()
        repeated = next(name for name in names if name in seen or seen.add(name))  # type: ignore[func-returns-value]
        raise InputError("two columns of one name", path, found=f'"{repeated}"', hint="rename one of them")
    if "".join(names).isascii():  # of very many names, faster than one by one
        return
    accented = [name for name in names if not name.isascii()]
    composed_names = [composed(name) for name in accented]
    if len(set(composed_names)) < len(accented):
        repeated = next(name for place, name in enumerate(composed_names) if name in composed_names[:place])
        raise InputError(
            "two columns of one name",
            path,
            found=f'"{repeated}" twice, with its accents as characters of their own in one of them (Unicode NFD)',
            hint="rename one of them",
        )
