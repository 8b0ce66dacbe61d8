"""Logits whose classes arrive in pieces: losses of many rows at once, with the same bits as of rows read whole.

In an array [k, n] the logits of a sample lie n values apart. Reading whole rows takes memory for all n of them, or
several passes over the array. The compiled kernel keeps sums for every row instead of the row, and so reads the array
twice: once for the maxima, once for the sums.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from xent_cli.core.kernel.compiled import Computed, compiled_cross_entropy, kind_of
from xent_cli.core.kernel.variants import compiled_module, variant_of

if TYPE_CHECKING:
    from collections.abc import Iterator
    from typing import Any, Protocol

    from xent_cli.core.array_types import AnyArray, BoolArray, IntArray
    from xent_cli.core.options import LossOptions

    class Pieces(Protocol):
        """Logits that are read some classes at a time."""

        def pieces(self, multiple: int, width: int) -> Iterator[tuple[int, AnyArray]]:
            """Yield the number of the first class and the logits [c, width] of consecutive classes; c is a multiple.

            Width is at least n; whatever is beyond the n samples may be anything.
            """

        def rows(self, start: int, stop: int) -> AnyArray:
            """Read rows [m, k]."""


# The kernel adds up this many classes first, and then the sums of these; so a piece begins at a multiple of it.
_STRIP = 128
# So many rows are added up side by side. Fewer take the kernel two or three times as long a row, so others, which
# nobody looks at, fill up the last of them.
LANES = 16
# Rows that are read whole are read this many bytes at a time.
_ROWS_BYTES = 32 << 20


class StreamedLosses(NamedTuple):
    """What is known about n samples once all classes have been read.

    Fields
    ------
    computed
        Losses, and what else the kernel returns.
    ranks
        [n] as `label_ranks` returns them.
    peaks
        [n] as `argmax` returns them.
    """

    computed: Computed
    ranks: IntArray
    peaks: IntArray


class StreamedLogits:
    """Logits [n, k] that stay in the file, class by class. Indexing reads the rows that it asks for.

    Parameters
    ----------
    source
        Where they are.
    shape, dtype
        Of all of them.
    """

    def __init__(self, source: Pieces, shape: tuple[int, int], dtype: np.dtype[Any]) -> None:
        self._source = source
        self.shape = shape
        self.dtype = dtype
        self.ndim = 2

    def __len__(self) -> int:
        return self.shape[0]

    def __getitem__(self, rows: slice | IntArray | BoolArray) -> AnyArray:
        """Read some rows."""
        return self.take(np.arange(self.shape[0])[rows])

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> AnyArray:
        """Read all rows."""
        rows = self._source.rows(0, self.shape[0])
        return rows.astype(dtype or rows.dtype, copy=copy is not False)

    def copy(self) -> AnyArray:
        """Read all rows, into memory of their own."""
        return np.array(self)

    def take(self, rows: IntArray, axis: int = 0) -> AnyArray:
        """Read some rows, as `ndarray.take` picks them; only along the first axis."""
        assert axis == 0
        found = np.empty((len(rows), self.shape[1]), self.dtype)
        for some in self._near(rows):
            first = int(rows[some].min())
            found[some] = self._source.rows(first, int(rows[some].max()) + 1)[rows[some] - first]
        return found

    def _near(self, rows: IntArray) -> Iterator[IntArray]:
        """Yield ranges of `rows` that are close enough to be read together."""
        step = max(1, _ROWS_BYTES // (self.shape[1] * self.dtype.itemsize))
        at = rows // step
        for block in np.unique(at):
            yield np.flatnonzero(at == block)

    def losses(self, labels: IntArray, options: LossOptions, *, ranks: bool) -> StreamedLosses:
        """Compute the losses against labels [n], each in [0, k), without smoothing, and the ranks if wanted."""
        variant, built = variant_of(options.kernel), compiled_module()
        n, k = self.shape
        kind = kind_of(self.dtype)
        width = -(-n // LANES) * LANES
        index = np.zeros(width, np.int64)
        index[:n] = labels
        weight = None if options.class_weight is None else np.ascontiguousarray(options.class_weight, np.float64)
        room = np.empty(built.slab_room(width), np.int8)
        for second in (False, True):
            for first, piece in self._source.pieces(_STRIP, width):
                built.see_piece(variant, index, room, piece, kind, first, k, options.temperature, second, ranks)
        loss, maximum, sum_without_max = np.empty(width), np.empty(width), np.empty(width)
        peaks, ahead, again = np.empty(width, np.int64), np.empty(width, np.int64), np.empty(width, np.int8)
        rows = loss, maximum, sum_without_max, peaks, ahead, again
        built.slab_losses(variant, index, room, weight, kind, k, options.temperature, *rows)
        loss, maximum, sum_without_max, peaks, ahead = loss[:n], maximum[:n], sum_without_max[:n], peaks[:n], ahead[:n]
        # The few rows in which the rounding of a difference may be visible in the loss.
        doubtful = again[:n].nonzero()[0]
        for some in self._near(doubtful):
            at = doubtful[some]
            whole = compiled_cross_entropy(self.take(at), labels[at], options)
            loss[at] = whole.loss
            maximum[at], sum_without_max[at] = whole.sums
        return StreamedLosses(Computed(loss, None, None, (maximum, sum_without_max)), ahead, peaks)
