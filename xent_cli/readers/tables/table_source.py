"""What the sources of all table formats have in common."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from xent_cli.core.diagnostics import Diagnostic
from xent_cli.core.input_description import InputDescription
from xent_cli.errors import RowError
from xent_cli.readers.columns.column_plan import ColumnPlan, Reading
from xent_cli.readers.columns.sample import as_text
from xent_cli.readers.interface import SourceInfo

if TYPE_CHECKING:
    import numpy as np

    from xent_cli.core.block import Part
    from xent_cli.readers.options import RunNeeds
    from xent_cli.readers.storage.interface import Bytes


@dataclass(frozen=True, slots=True, eq=False, repr=False)
class Table:
    """An opened table: what all formats have in common; see `Source`.

    Fields
    ------
    source
        The bytes of the table.
    format
        Name of the format, for reports.
    role, width
        As in `Reading`.
    plan, dtype, class_names, named_labels
        As in `SourceInfo`.
    needs
        How much of the table is read at once.
    """

    source: Bytes
    format: str
    role: str
    plan: ColumnPlan
    width: int
    dtype: np.dtype[Any]
    class_names: tuple[str, ...] | None
    named_labels: bool
    needs: RunNeeds

    @property
    def reading(self) -> Reading:
        """How the columns are used."""
        return Reading(self.plan, self.role, self.width, self.class_names)

    @property
    def row_count(self) -> int | None:
        """Number of rows, or None if only reading to the end tells."""
        return None

    @property
    def info(self) -> SourceInfo:
        """See `Source`."""
        plan, count = self.plan, self.row_count
        row_shape = (self.width,) if plan.values else ()
        description = InputDescription(self.source.name, self.format, (count, *row_shape), self.dtype.name)
        if self.role == "logits" and plan.values:
            description = description._replace(class_columns=plan.class_columns, left_out=plan.left_out)
        return SourceInfo(
            description,
            self.dtype,
            row_shape,
            count,
            None if count is None else (count,),
            plan.fields(self.role),
            self.class_names,
            self.named_labels and not (plan.top_k is not None and plan.top_k.scored),
            plan,
            self.source.rereadable,
        )

    @property
    def remarks(self) -> tuple[Diagnostic, ...]:
        """Say which entry was not taken as one of the highest of a row."""
        if self.plan.top_k is None:
            return ()
        from xent_cli.readers.appended_tokens import remarks_on

        found = remarks_on(self.plan.top_k.appended, f'of "{self.plan.values[-1]}" in {self.source.name}')
        if not self.plan.top_k.scored:
            return found
        where = f'the highest of each row in "{self.plan.values[-1]}"'
        text = f'losses are those of "{self.plan.label}" among {where}: a label that is not there is only bounded'
        return (*found, Diagnostic("labels-among-the-highest", text, note=True))

    def rows(self, start: int, stop: int) -> Part | None:
        """See `Source`."""
        return None

    def where(self, row: int, role: str, first: int = 0) -> str:
        """See `Source`."""
        return f"{self.source.name} row {row - first} (sample {row}){self.plan.column_of(role)}"


# A column with more distinct values than this does not hold labels.
_MOST_DISTINCT = 1 << 20


def texts_ahead(bare: Table, name: str) -> frozenset[str] | None:
    """Read the distinct values of a column before the run, as text; None for a pipe, or if there are too many."""
    if not bare.source.rereadable:
        return None
    found: set[str] = set()
    probe: Any = replace(bare, plan=ColumnPlan(id=name, columns=bare.plan.columns))
    for _, _, part in probe.parts():
        try:
            ids = part.read().ids
        except RowError:  # the run reports it with its row
            return None
        found.update(() if ids is None else ids.tolist())
        if len(found) > _MOST_DISTINCT:
            return None
    return frozenset("" if text is None else as_text(text) for text in found)
