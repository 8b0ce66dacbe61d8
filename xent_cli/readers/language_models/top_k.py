"""The k highest probabilities of each row: class indices and log-probabilities, in two arrays of one file."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from xent_cli.core.block import Rows
from xent_cli.errors import InputError
from xent_cli.readers.appended_tokens import appended_in, remarks_on
from xent_cli.readers.interface import Classes
from xent_cli.readers.list_contents import list_arrays
from xent_cli.readers.open import open_source
from xent_cli.readers.storage.stored import Stored
from xent_cli.readers.top_k_precision import Precision, precision_of, precision_seen
from xent_cli.readers.top_k_rows import INDICES, VALUES, Appended, Highest, highest_rows

if TYPE_CHECKING:
    from collections.abc import Iterator

    from xent_cli.core.block import Part
    from xent_cli.core.diagnostics import Diagnostic
    from xent_cli.readers.interface import Source, SourceInfo
    from xent_cli.readers.options import ReadOptions
    from xent_cli.readers.storage.interface import Bytes
    from xent_cli.readers.storage.locate import Located


def open_top_k(located: Located, logits: Source | None, options: ReadOptions) -> Source | None:
    """Open the k highest probabilities of each row of a teacher; None if the file does not hold such arrays.

    Parameters
    ----------
    logits
        The logits that the rows are compared with; None to accept any number of classes.

    Raises
    ------
    InputError
        If the two arrays do not match each other or the logits.
    """
    if options.labels_source == "labels" or not isinstance(located.files[0], Stored):
        return None
    names = [array.name for array in list_arrays(located)]
    found = [[name for name in names if name.lower() in known] for known in (INDICES, VALUES)]
    if any(len(some) != 1 for some in found):
        return None
    if options.labels_source == "logits":
        raise InputError(
            "the highest logits of each row",
            located.name,
            found=f"arrays {found[0][0]} and {found[1][0]}",
            expected="log-probabilities or probabilities: logits of some classes do not tell those of the others",
            hint="subtract the logsumexp of all logits before the highest are taken, and say --labels-from log-probs",
        )
    indices, values = (
        open_source(located, "labels", options._replace(label_column=some[0], labels="dense"), Classes(-1))
        for some in found
    )
    path = located.name
    shapes = indices.info.shape, values.info.shape
    if len(shapes[0]) != len(shapes[1]):  # a number for each sample next to rows of all classes
        return None
    expected = "both of one shape, whole numbers the first"
    other = logits is not None and indices.info.num_rows != logits.info.num_rows
    if logits is not None:
        expected += f", {logits.info.num_rows} rows as {logits.info.path}"
    if shapes[0] != shapes[1] or indices.info.dtype.kind not in "iu" or other:
        raise InputError(
            "arrays that do not fit",
            path,
            found=f"{found[0][0]} {shapes[0]} of {indices.info.dtype}, {found[1][0]} {shapes[1]}",
            expected=expected,
        )
    num_classes = 0 if logits is None else logits.info.row_shape[0]
    found_rows = TopKSource(
        indices, values, num_classes, options.labels_source == "probs", Appended(), options.run.task_bytes
    )
    first = found_rows.first()
    precision = precision_of(values.info.description.dtype).coarser(precision_seen(first.values))
    appended = appended_in(first._replace(precision=precision), num_classes, probs=found_rows.probs)
    return found_rows._replace(appended=appended, precision=precision)


class TopKSource(NamedTuple):
    """Two arrays as rows of log-probabilities, with NaN for all classes that they do not list; see `Source`.

    Fields
    ------
    appended
        Which column holds a sampled token besides the highest.
    precision
        To what values were rounded.
    """

    indices: Source
    values: Source
    num_classes: int
    probs: bool
    appended: Appended
    task_bytes: int
    precision: Precision = Precision()

    @property
    def info(self) -> SourceInfo:
        """See `Source`."""
        fields = frozenset({"labels", "label_bounds"})
        rereadable = self.indices.info.rereadable and self.values.info.rereadable
        return self.values.info._replace(
            row_shape=(self.num_classes,), dtype=np.dtype(np.float64), fields=fields, rereadable=rereadable
        )

    @property
    def file(self) -> Bytes:
        """The file of the values."""
        values: Any = self.values
        held: Bytes = getattr(values, "file", None) or values.source
        return held

    @property
    def remarks(self) -> tuple[Diagnostic, ...]:
        """Say which column was not taken for one of the highest."""
        return remarks_on(self.appended, f"of {self.values.info.path}")

    def first(self) -> Highest:
        """The first rows."""
        from xent_cli.readers.columns.sample import SAMPLED_ROWS

        size = min(SAMPLED_ROWS, self.values.info.num_rows or 0)
        for _, _, part in self._parts(0, size):
            return part.entries()
        return Highest(np.empty((0, 0), np.int64), np.empty((0, 0)))

    def parts(self, first: int = 0) -> Iterator[tuple[int, int, Part]]:
        """See `Source`."""
        total = self.values.info.num_rows or 0
        step = max(1, self.task_bytes // (8 * max(self.num_classes, *self.values.info.row_shape)))
        yield from self._parts(first, step) if total else ()

    def _parts(self, first: int, step: int) -> Iterator[tuple[int, int, TopKRows]]:
        """Yield rows of both arrays side by side: any range of an array if possible, else in order."""
        total = self.values.info.num_rows or 0
        sides = _InOrder(self.indices), _InOrder(self.values)
        for start in range(0, total, step):
            stop = min(total, start + step)
            indices, values = (side.take(start, stop) for side in sides)
            yield first + start, stop - start, self._rows(indices, values, start)
        for side in sides:
            side.finish()

    def rows(self, start: int, stop: int) -> Part | None:
        """See `Source`."""
        indices, values = self.indices.rows(start, stop), self.values.rows(start, stop)
        return None if indices is None or values is None else self._rows(indices, values, start)

    def _rows(self, indices: Part, values: Part, start: int) -> TopKRows:
        return TopKRows(indices, values, self.num_classes, self.probs, self.appended, start, self.precision)

    def where(self, row: int, role: str, first: int = 0) -> str:
        """See `Source`."""
        return self.values.where(row, role, first)


class TopKRows(NamedTuple):
    """Recipe for rows from sample `start` on, as a `Part`; see `TopKSource`."""

    indices: Part
    values: Part
    num_classes: int
    probs: bool
    appended: Appended
    start: int
    precision: Precision

    def read(self) -> Rows:
        """Read the arrays and put each value at its class.

        Raises
        ------
        RowError
            At an index that is not a class or occurs twice, or a value that is not a probability.
        """
        highest = self.entries()
        numbers = self.start + np.arange(len(highest.values))
        rows, bounds = highest_rows(highest, self.num_classes, self.appended, probs=self.probs, numbers=numbers)
        return Rows(labels=rows, label_bounds=bounds)

    def entries(self) -> Highest:
        """Read the arrays."""
        index = np.array(self.indices.read().labels, np.int64)  # both may be read into the same memory
        values = np.array(self.values.read().labels, np.float64)
        return Highest(index, values, self.precision)


class _InOrder:
    """An array that is read in order, some rows at a time."""

    def __init__(self, source: Source) -> None:
        self._source = source
        self._parts: Iterator[tuple[int, int, Part]] | None = None
        self._waiting: list[Rows] = []
        self._stop = 0

    def take(self, start: int, stop: int) -> Part:
        """Return the recipe for the next rows."""
        found = self._source.rows(start, stop)
        if found is not None:
            return found
        self._parts = self._parts or self._source.parts()
        while self._stop < stop:
            _, size, part = next(self._parts)
            self._waiting.append(part.read().copied())  # the other array may be read into the same memory
            self._stop += size
        whole = Rows.concatenate(self._waiting)
        self._waiting = [whole.cut(slice(stop - start, None))]
        return whole.cut(slice(0, stop - start))

    def finish(self) -> None:
        """Read to the end, where a stream that is longer than its header says is refused."""
        if self._parts is not None:
            next(self._parts, None)
