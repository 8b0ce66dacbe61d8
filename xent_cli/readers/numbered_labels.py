"""Labels that number the classes differently from 0, 1, 2, ..."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from xent_cli.core.labels.check_labels import NO_LABEL
from xent_cli.errors import UnreadableRowError
from xent_cli.readers.class_names import NamedLabels

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator, Sequence

    from xent_cli.core.array_types import AnyArray
    from xent_cli.core.block import Part, Rows
    from xent_cli.readers.interface import Source, SourceInfo


def places_of(labels: AnyArray, numbers: Sequence[int], ignored: Collection[int], start: int) -> AnyArray:
    """Turn labels [n] that are numbers of the classes into class indices; ignored labels keep their value.

    Raises
    ------
    UnreadableRowError
        At the first label that is not the number of a class.

    Examples
    --------
    >>> places_of(np.array([8, 3, -100]), (3, 5, 8), {-100}, 0).tolist()
    [2, 0, -100]
    """
    order = np.argsort(np.asarray(numbers))
    held = np.asarray(numbers)[order]
    at = np.minimum(np.searchsorted(held, labels), len(held) - 1)
    known = held[at] == labels
    skipped = np.isin(labels, list(ignored)) & ~known
    bad = ~(known | skipped)
    if bad.any():
        row = int(np.argmax(bad))
        shown = ", ".join(map(str, numbers[:8])) + (f" and {len(numbers) - 8} more" if len(numbers) > 8 else "")
        others = int(np.count_nonzero(bad)) - 1
        found, expected = f"{labels[row]}", f"one of {shown}, as the columns are numbered"
        hint = "--first-class 0 says that labels are places of columns, from 0" if (labels >= 0).all() else ""
        raise UnreadableRowError("label numbers no class", start + row, "labels", found, expected, hint, others=others)
    places: AnyArray = order[at].astype(np.int64)
    # An ignored label must not look like a class.
    return np.where(skipped, np.where((labels < 0) | (labels >= len(held)), labels, -1), places)


def by_number(source: Source, numbers: tuple[int, ...], ignored: frozenset[int], *, lenient: bool = False) -> Source:
    """Return labels of an array as class indices, if they are class numbers."""
    info = source.info
    if info.row_shape or info.dtype.kind not in "iuf":
        return source
    return NumberedLabels(source, (), numbers=numbers, ignored=ignored, lenient=lenient)


@dataclass(frozen=True, slots=True)
class NumberedLabels(NamedLabels):
    """An array of class numbers as class indices; see `Source`."""

    numbers: tuple[int, ...] = ()
    ignored: frozenset[int] = frozenset()

    @property
    def info(self) -> SourceInfo:
        """See `Source`."""
        return self.labels.info._replace(dtype=np.dtype(np.int64))

    def parts(self, first: int = 0) -> Iterator[tuple[int, int, Part]]:
        """See `Source`."""
        for start, size, part in self.labels.parts(first):
            yield start, size, NumberedRows(part, self.numbers, self.ignored, start, self.lenient, self.judged)

    def rows(self, start: int, stop: int) -> Part | None:
        """See `Source`."""
        part = self.labels.rows(start, stop)
        return None if part is None else NumberedRows(part, self.numbers, self.ignored, start, self.lenient)


@dataclass(frozen=True, slots=True)
class NumberedRows:
    """Recipe for labels that are class numbers, from sample `start` on: a `Part`."""

    part: Part
    numbers: tuple[int, ...]
    ignored: frozenset[int]
    start: int
    lenient: bool = False
    judged: int | None = None

    def read(self) -> Rows:
        """Read them, and find the class of each number."""
        rows = self.part.read()
        assert rows.labels is not None
        labels = rows.labels.reshape(-1)
        if self.judged is not None and self.start <= self.judged < self.start + labels.size:
            places_of(labels[self.judged - self.start :][:1], self.numbers, self.ignored, self.judged)
        if not self.lenient:
            return rows._replace(labels=places_of(labels, self.numbers, self.ignored, self.start))
        bad = ~np.isin(labels, [*self.numbers, *self.ignored])
        places = places_of(np.where(bad, self.numbers[0], labels), self.numbers, self.ignored, self.start)
        return rows._replace(labels=np.where(bad, NO_LABEL, places))
