"""The true classes next to the outputs of a model and of a teacher."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from xent_cli.core.block import Rows
from xent_cli.errors import RowError

if TYPE_CHECKING:
    from collections.abc import Iterator

    from xent_cli.core.block import Part
    from xent_cli.readers.interface import Source, SourceInfo


@dataclass(frozen=True, slots=True)
class TrueLabels:
    """Labels that fill the field `true_labels` of `Rows`; see `Source`."""

    labels: Source

    @property
    def info(self) -> SourceInfo:
        """See `Source`."""
        return self.labels.info._replace(fields=frozenset({"true_labels", "unscored"}))

    def parts(self, first: int = 0) -> Iterator[tuple[int, int, Part]]:
        """See `Source`."""
        for start, size, part in self.labels.parts(first):
            yield start, size, TrueLabelRows(part)

    def rows(self, start: int, stop: int) -> Part | None:
        """See `Source`."""
        part = self.labels.rows(start, stop)
        return None if part is None else TrueLabelRows(part)

    def where(self, row: int, role: str, first: int = 0) -> str:
        """See `Source`."""
        return self.labels.where(row, "labels" if role == "true_labels" else role, first)


@dataclass(frozen=True, slots=True)
class TrueLabelRows:
    """Recipe for labels, as a `Part`."""

    part: Part

    def read(self) -> Rows:
        """Read the labels, and return them as true labels."""
        try:
            rows = self.part.read()
        except RowError as error:
            raise error.for_role("true_labels") from None
        return Rows(true_labels=rows.labels, unscored=rows.unscored)
