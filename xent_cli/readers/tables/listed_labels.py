"""Labels in lists: a single class, or a one-hot vector."""

from __future__ import annotations

from contextlib import suppress
from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa

from xent_cli.errors import UnreadableRowError
from xent_cli.readers.columns.cells.cell_text import row_of_cell
from xent_cli.readers.tables.column_types import LISTS, flat, to_numpy

if TYPE_CHECKING:
    from xent_cli.core.array_types import AnyArray


def with_single_labels(table: pa.Table, label: str | None, width: int, start: int, *, lenient: bool) -> pa.Table:
    """Return the table with one label per row, if its label column holds lists; see `single_labels`."""
    if label is None or not any(is_list(table[label].type) for is_list in LISTS):
        return table
    labels = single_labels(table[label], width, start, lenient=lenient)
    return table.set_column(table.column_names.index(label), label, labels)


def single_labels(column: pa.ChunkedArray, width: int, start: int, *, lenient: bool = False) -> pa.ChunkedArray:
    """Return the one label of each list of a column; null for a missing list.

    Parameters
    ----------
    width
        Number of classes; 0 if that is not known.
    lenient
        Whether a list that gives no label becomes null too, to be judged once it is known which samples count.

    Raises
    ------
    UnreadableRowError
        At a list that is neither one label nor a one-hot vector, which has a number for each class and a single 1.

    Examples
    --------
    >>> single_labels(pa.chunked_array([[[0.0, 1.0], [1.0, 0.0]]]), 2, 0).to_pylist()
    [1, 0]
    """
    array = column.combine_chunks()
    array = array.chunk(0) if isinstance(array, pa.ChunkedArray) else array
    if not len(array):
        return pa.chunked_array([pa.array([], pa.int64())])
    nulls = array.is_null().to_numpy(zero_copy_only=False)
    values = flat(array)
    lengths = np.array([0 if each is None else len(each) for each in array]) if nulls.any() else _lengths(array)
    if (lengths[~nulls] == 1).all():
        labels = values.take(_places(nulls))
        with suppress(pa.ArrowInvalid):  # a fraction is reported with its row later
            labels = labels if pa.types.is_string(labels.type) else labels.cast(pa.int64())
        return pa.chunked_array([labels])
    size = width or int(lengths[~nulls][0])
    good = ~nulls & (lengths == size)
    label = np.zeros(len(array), np.int64)
    if pa.types.is_integer(values.type) or pa.types.is_floating(values.type) or pa.types.is_boolean(values.type):
        numbers = to_numpy(values.cast(pa.float64()).fill_null(np.nan))
        rows = numbers[np.repeat(good, lengths)].reshape(-1, size)
        one_hot = ((rows == 0) | (rows == 1)).all(axis=1) & ((rows == 1).sum(axis=1) == 1)
        label[good] = rows.argmax(axis=1)
        good[good] = one_hot
    else:
        good[:] = False
    bad = ~good & ~nulls
    if bad.any() and not lenient:
        row = int(np.argmax(bad))
        raise UnreadableRowError(
            "label is not a single class",
            start + row,
            "labels",
            found=str(array[row].as_py())[:60],
            expected=f"one class, or {size} numbers of which one is 1 and the others are 0",
            hint="save rows of probabilities as LABELS, in a file of their own",
            others=int(np.count_nonzero(bad)) - 1,
        )
    return pa.chunked_array([pa.array(label, mask=~good)])


def lists_of_cells(column: pa.ChunkedArray, start: int) -> pa.ChunkedArray:
    """Parse the lists in cells of text.

    Raises
    ------
    UnreadableRowError
        At a cell that is not a list.
    """
    lists = []
    for row, cell in enumerate(column.to_pylist()):
        try:
            lists.append(None if cell is None else row_of_cell(cell).values)
        except ValueError:
            found, expected = f'"{cell}"', "a list, as in the rows before"
            raise UnreadableRowError("label is not a list", start + row, "labels", found, expected) from None
    return pa.chunked_array([pa.array(lists, pa.list_(pa.float64()))])


def _lengths(array: pa.Array) -> AnyArray:
    if pa.types.is_fixed_size_list(array.type):
        return np.full(len(array), array.type.list_size)
    if pa.types.is_list_view(array.type) or pa.types.is_large_list_view(array.type):
        return to_numpy(array.sizes)
    lengths: AnyArray = np.diff(to_numpy(array.offsets))
    return lengths


def _places(nulls: AnyArray) -> pa.Array:
    """Return the index, among all values, of the only value of each list; null for a missing list."""
    return pa.array(np.cumsum(~nulls) - 1, mask=nulls)
