"""What all sources of rows of columns have in common."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from xent_cli.core.input_description import InputDescription
from xent_cli.errors import RowError
from xent_cli.readers.columns.column_plan import ColumnPlan, Reading
from xent_cli.readers.columns.sample import as_text

if TYPE_CHECKING:
    import numpy as np

    from xent_cli.core.block import Part
    from xent_cli.readers.storage.stored import Bytes


@dataclass(frozen=True, slots=True)
class Table:
    """An opened table; the fields that `Source` has are those of `Source`.

    Fields
    ------
    format
        Its name, for the documents.
    role, width
        As in `Reading`.
    """

    source: Bytes
    format: str
    role: str
    plan: ColumnPlan
    width: int
    dtype: np.dtype[Any]
    class_names: tuple[str, ...] | None
    named_labels: bool

    @property
    def reading(self) -> Reading:
        """What its rows are to become."""
        return Reading(self.plan, self.role, self.width, self.class_names)

    @property
    def num_rows(self) -> int | None:
        """See `Source`."""
        return None

    @property
    def sample_shape(self) -> tuple[int, ...] | None:
        """See `Source`."""
        return None if self.num_rows is None else (self.num_rows,)

    @property
    def row_shape(self) -> tuple[int, ...]:
        """See `Source`."""
        return (self.width,) if self.plan.values else ()

    @property
    def description(self) -> InputDescription:
        """See `Source`."""
        shape = (self.num_rows, *self.row_shape)
        found = InputDescription(self.source.name, self.format, shape, self.dtype.name)
        if self.role != "logits" or not self.plan.values:
            return found
        return replace(found, class_columns=self.plan.class_columns, left_out=self.plan.left_out)

    @property
    def brings(self) -> frozenset[str]:
        """See `Source`."""
        return self.plan.brings(self.role)

    @property
    def again(self) -> bool:
        """See `Source`."""
        return self.source.again

    def rows(self, start: int, stop: int) -> Part | None:
        """See `Source`."""
        return None

    def where(self, row: int, role: str, first: int = 0) -> str:
        """See `Source`."""
        return f"{self.source.name} row {row - first} (sample {row}){self.plan.column_of(role)}"


# Labels of more kinds than this are no labels.
_MOST_DISTINCT = 1 << 20


def texts_ahead(bare: Table, name: str) -> frozenset[str] | None:
    """Read a column ahead of the run: its distinct values as text, None of a pipe or where they are too many."""
    if not bare.again:
        return None
    found: set[str] = set()
    probe: Any = replace(bare, plan=ColumnPlan(id=name, columns=bare.plan.columns))
    for _, _, part in probe.parts():
        try:
            ids = part.read().ids
        except RowError:  # which the run will meet again, and tell with its row
            return None
        found.update(() if ids is None else ids.tolist())
        if len(found) > _MOST_DISTINCT:
            return None
    return frozenset("" if text is None else as_text(text) for text in found)
