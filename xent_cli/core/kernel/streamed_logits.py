"""Logits whose classes arrive in pieces: losses of many rows at once, with the same bits as of rows read whole.

In an array [k, n] the logits of a sample lie n values apart. Reading whole rows takes memory for all n of them, or
several passes over the array. The compiled kernel keeps sums for every row instead of the row, and so reads the array
twice: once for the maxima, once for the sums.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from xent_cli.core.kernel.compiled import Computed, compiled_cross_entropy, kind_of
from xent_cli.core.kernel.top_k import label_ranks
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
# The kernel adds up this many rows side by side, and fewer take two or three times as long each. So up to `_FEW_ROWS`
# that are left over are put together whole, and more are filled up with what lies beside them and is thrown away.
LANES, _FEW_ROWS = 16, 4
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
        over = n % LANES
        if over > _FEW_ROWS or over == n or over * k * self.dtype.itemsize > _ROWS_BYTES:
            over = 0
        width = n - over if over else -(-n // LANES) * LANES
        apart = np.empty((over, k), self.dtype)
        index = np.zeros(width, np.int64)
        index[:n] = labels[:width]
        weight = None if options.class_weight is None else np.ascontiguousarray(options.class_weight, np.float64)
        room = np.empty(built.slab_room(width), np.int8)
        for second in (False, True):
            for first, piece in self._source.pieces(_STRIP, max(n, width)):
                if over and not second:
                    apart[:, first : first + len(piece)] = piece[:, width:].T
                side = piece[:, :width]
                built.see_piece(variant, index, room, side, kind, first, k, options.temperature, second, ranks)
        total = max(n, width)
        loss, maximum, sum_without_max = np.empty(total), np.empty(total), np.empty(total)
        peaks, ahead, again = np.empty(total, np.int64), np.empty(total, np.int64), np.zeros(total, np.int8)
        rows = (values[:width] for values in (loss, maximum, sum_without_max, peaks, ahead, again))
        built.slab_losses(variant, index, room, weight, kind, k, options.temperature, *rows)
        if over:
            whole = compiled_cross_entropy(apart, labels[width:], options)
            loss[width:], (maximum[width:], sum_without_max[width:]) = whole.loss, whole.sums
            peaks[width:] = apart.argmax(axis=1)
            ahead[width:] = label_ranks(apart, labels[width:]) if ranks else 0
        # The few rows in which the rounding of a difference may be visible in the loss.
        doubtful = again[:n].nonzero()[0]
        for some in self._near(doubtful):
            at = doubtful[some]
            whole = compiled_cross_entropy(self.take(at), labels[at], options)
            loss[at] = whole.loss
            maximum[at], sum_without_max[at] = whole.sums
        loss, maximum, sum_without_max, peaks, ahead = loss[:n], maximum[:n], sum_without_max[:n], peaks[:n], ahead[:n]
        return StreamedLosses(Computed(loss, None, None, (maximum, sum_without_max)), ahead, peaks)
