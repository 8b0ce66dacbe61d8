"""The k highest probabilities of each row: class indices and log-probabilities, in two arrays of one file."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from xent_cli.core.block import Rows
from xent_cli.errors import InputError, RowError
from xent_cli.readers.interface import Classes
from xent_cli.readers.list_contents import list_arrays
from xent_cli.readers.open import open_source
from xent_cli.readers.storage.stored import Stored

if TYPE_CHECKING:
    from collections.abc import Iterator

    from xent_cli.core.array_types import AnyArray, FloatArray
    from xent_cli.core.block import Part
    from xent_cli.readers.interface import Source, SourceInfo
    from xent_cli.readers.options import ReadOptions
    from xent_cli.readers.storage.locate import Located

# Names that programs give to these arrays.
_STEMS = ("", "topk_", "top_k_", "top_")
_INDICES = frozenset(stem + name for stem in _STEMS for name in ("indices", "ids", "token_ids", "idx"))
_VALUES = frozenset(
    stem + name for stem in _STEMS for name in ("values", "logprobs", "log_probs", "logp", "probs", "vals")
)


def open_top_k(located: Located, logits: Source, options: ReadOptions) -> Source | None:
    """Open the k highest probabilities of each row of a teacher; None if the file does not hold such arrays.

    Raises
    ------
    InputError
        If the two arrays do not match each other or the logits.
    """
    if options.labels_source not in ("log-probs", "probs") or not isinstance(located.files[0], Stored):
        return None
    names = [array.name for array in list_arrays(located)]
    found = [[name for name in names if name.lower() in known] for known in (_INDICES, _VALUES)]
    if any(len(some) != 1 for some in found):
        return None
    indices, values = (
        open_source(located, "labels", options._replace(label_column=some[0], labels="dense"), Classes(-1))
        for some in found
    )
    path = located.name
    shapes = indices.info.shape, values.info.shape
    if shapes[0] != shapes[1] or indices.info.dtype.kind not in "iu" or indices.info.num_rows != logits.info.num_rows:
        raise InputError(
            "arrays that do not fit",
            path,
            found=f"{found[0][0]} {shapes[0]} of {indices.info.dtype}, {found[1][0]} {shapes[1]}",
            expected=f"both of one shape, whole numbers the first, {logits.info.num_rows} rows as {logits.info.path}",
        )
    if values.rows(0, 1) is None or indices.rows(0, 1) is None:
        raise InputError("compressed arrays side by side", path, hint="save them with numpy.savez, not compressed")
    return TopKSource(
        indices, values, logits.info.row_shape[0], options.labels_source == "probs", options.run.task_bytes
    )


class TopKSource(NamedTuple):
    """Two arrays as rows of log-probabilities, with NaN for all classes that they do not list; see `Source`."""

    indices: Source
    values: Source
    num_classes: int
    probs: bool
    task_bytes: int

    @property
    def info(self) -> SourceInfo:
        """See `Source`."""
        fields = frozenset({"labels", "label_bounds"})
        return self.values.info._replace(row_shape=(self.num_classes,), dtype=np.dtype(np.float64), fields=fields)

    def parts(self, first: int = 0) -> Iterator[tuple[int, int, Part]]:
        """See `Source`."""
        total = self.values.info.num_rows or 0
        step = max(1, self.task_bytes // (8 * self.num_classes))
        for start in range(0, total, step):
            size = min(step, total - start)
            yield first + start, size, self.rows(start, start + size)

    def rows(self, start: int, stop: int) -> Part:
        """See `Source`."""
        indices, values = self.indices.rows(start, stop), self.values.rows(start, stop)
        assert indices is not None
        assert values is not None
        return TopKRows(indices, values, self.num_classes, self.probs, start)

    def where(self, row: int, role: str, first: int = 0) -> str:
        """See `Source`."""
        return self.values.where(row, role, first)


class TopKRows(NamedTuple):
    """Recipe for rows from sample `start` on, as a `Part`."""

    indices: Part
    values: Part
    num_classes: int
    probs: bool
    start: int

    def read(self) -> Rows:
        """Read the arrays and put each value at its class.

        Raises
        ------
        RowError
            At an index that is not a class or occurs twice, or a value that is not a probability.
        """
        index = np.array(self.indices.read().labels, np.int64)  # both may be read into the same memory
        values = np.array(self.values.read().labels, np.float64)
        with np.errstate(divide="ignore", invalid="ignore"):
            log_p: FloatArray = np.log(values) if self.probs else values
        ascending = np.sort(index, axis=1)
        bad = ((index < 0) | (index >= self.num_classes)).any(axis=1)
        self._refuse(bad, "not a class", f"indices from 0 to {self.num_classes - 1}")
        self._refuse((ascending[:, 1:] == ascending[:, :-1]).any(axis=1), "a class twice in a row", "each class once")
        self._refuse(~(log_p <= 0).all(axis=1), "not a probability", "values between 0 and 1, or their logarithms")
        rows = np.full((len(index), self.num_classes), np.nan)
        np.put_along_axis(rows, index, log_p, axis=1)
        bounds = np.stack([log_p.min(axis=1), np.zeros(len(rows)), np.full(len(rows), np.nan)], axis=1)
        return Rows(labels=rows, label_bounds=bounds)

    def _refuse(self, bad: AnyArray | np.bool_, what: str, expected: str) -> None:
        at = np.flatnonzero(bad)
        if at.size:
            raise RowError(what, self.start + int(at[0]), "labels", "", expected, code="top-k")
