"""Turn columns of the k highest probabilities of each row into rows of log-probabilities; see `columns.top_k_plan`."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa

from xent_cli.core.block import Rows
from xent_cli.errors import MissingValueError, RowError, UnreadableRowError, listing
from xent_cli.readers.columns.cells.cell_text import CellError, row_of_cell
from xent_cli.readers.columns.cells.entries import entries_of_cell
from xent_cli.readers.columns.sample import as_text
from xent_cli.readers.tables.arrow_columns import decoded
from xent_cli.readers.tables.column_types import flat, is_text, kind_of, to_numpy
from xent_cli.readers.tables.named_lists import as_maps, lengths_of, nulls_of, whole
from xent_cli.readers.top_k_precision import precision_of
from xent_cli.readers.top_k_rows import NOTHING, Highest, highest_rows

if TYPE_CHECKING:
    from xent_cli.core.array_types import AnyArray, BoolArray, IntArray
    from xent_cli.readers.columns.column_plan import Reading
    from xent_cli.readers.top_k_rows import TopKColumns

    # Number of entries of each row, classes and values of all entries, and which rows have no list.
    Entries = tuple[IntArray, AnyArray, AnyArray, BoolArray]


def top_k_rows(table: pa.Table, reading: Reading, top_k: TopKColumns, start: int, *, lenient: bool) -> Rows:
    """Return the rows of a teacher, with NaN for classes that are not listed.

    Parameters
    ----------
    lenient
        Whether rows without a list are accepted, because it is only known later which samples count.

    Raises
    ------
    RowError
        At a row without a list, or whose lists are not the highest of a distribution.
    """
    counts, classes, values, missing = entries_of(table, top_k, reading.role, start)
    if missing.any() and not lenient:
        row, others = int(np.argmax(missing)), int(np.count_nonzero(missing)) - 1
        raise MissingValueError(
            "missing value", start + row, reading.role, "null", "the highest of each row", others=others
        )
    kept = np.flatnonzero(~missing)
    highest = padded(
        counts[kept], _numbers(classes, top_k, np.repeat(kept, counts[kept]) + start, reading.role), values, top_k
    )
    found, found_bounds = highest_rows(
        highest, top_k.num_classes, top_k.appended, probs=top_k.probs, numbers=kept + start
    )
    if kept.size == len(missing):
        return Rows(labels=found, label_bounds=found_bounds)
    rows, bounds = np.full((len(missing), found.shape[1]), np.nan), np.full((len(missing), 3), np.nan)
    rows[kept], bounds[kept] = found, found_bounds
    return Rows(labels=rows, label_bounds=bounds, absent=missing)


def padded(counts: IntArray, classes: IntArray, values: AnyArray, top_k: TopKColumns) -> Highest:
    """Arrange entries as a table [n, m], in which short rows are padded with `NOTHING` and NaN."""
    held = np.arange(counts.max(initial=0)) < counts[:, np.newaxis]
    index, entries = np.full(held.shape, NOTHING), np.full(held.shape, np.nan)
    index[held], entries[held] = classes, values
    return Highest(index, entries, precision_of(values.dtype.name).coarser(top_k.precision))


def _numbers(classes: AnyArray, top_k: TopKColumns, samples: IntArray, role: str) -> IntArray:
    """Return the class indices of entries.

    Raises
    ------
    RowError
        At an entry that is not a class.
    """
    if classes.dtype.kind in "iu":
        return classes.astype(np.int64)
    if classes.dtype.kind == "f":
        with np.errstate(invalid="ignore"):
            good = (classes == np.rint(classes)) & (np.abs(classes) < 1 << 53)
        index = np.where(good, classes, 0).astype(np.int64)
    else:
        places = {name: place for place, name in enumerate(top_k.names or ())}
        known = {word: places.get(as_text(word), -1) for word in set(classes.tolist())}
        if not top_k.num_classes:  # any name is a class
            known = {word: place for place, word in enumerate(known)}
        index = np.array([known[word] for word in classes.tolist()], np.int64)
        good = index >= 0
    if not good.all():
        at = int(np.argmin(good))
        found = f'"{classes[at]}"' if isinstance(classes[at], str) else f"{classes[at]}"
        raise RowError(
            "not a class", int(samples[at]), role, found, f"one of {listing(top_k.names or ())}", code="top-k"
        )
    return index


def entries_of(table: pa.Table, top_k: TopKColumns, role: str, start: int) -> Entries:
    """Read the entries of all rows.

    Raises
    ------
    RowError
        At a row that does not have as many classes as values.
    """
    if not top_k.nested:
        return _of_ranks(table, top_k)
    if not top_k.classes:
        return _of_maps(decoded(table[top_k.values[0]]), top_k.values[0], role, start)
    sides = [_lists(decoded(table[name])) for name in (*top_k.classes, *top_k.values)]
    (counts, classes, lacks), (others, values, lost) = sides
    missing = lacks | lost
    if ((counts != others) & ~missing).any():
        bad = (counts != others) & ~missing
        row = int(np.argmax(bad))
        found = f'{others[row]} values and {counts[row]} classes in "{top_k.classes[0]}"'
        raise UnreadableRowError(
            "lists of different length",
            start + row,
            role,
            found,
            "as many of either",
            column=top_k.values[0],
            others=int(np.count_nonzero(bad)) - 1,
        )
    if missing.any():
        classes, values = classes[~np.repeat(missing, counts)], values[~np.repeat(missing, others)]
    return counts, classes, values, missing


def _of_ranks(table: pa.Table, top_k: TopKColumns) -> Entries:
    """Read one column for each rank; a rank that a row lacks is empty in both of its columns."""
    sides = []
    lacks = []
    for names in (top_k.classes, top_k.values):
        columns = [decoded(table[name]) for name in names]
        lacks.append(np.stack([nulls_of(whole(column)) for column in columns], axis=1))
        sides.append(np.stack([plain(whole(column)) for column in columns], axis=1))
    # If only one of the two is missing, the entry is invalid: a missing value is NaN, a missing class is none.
    held: BoolArray = ~(lacks[0] & lacks[1])
    counts = np.count_nonzero(held, axis=1)
    return counts, sides[0][held], sides[1][held], counts == 0


def _lists(column: pa.ChunkedArray) -> tuple[IntArray, AnyArray, BoolArray]:
    """Return the length of each list, all their items, and which rows have no list."""
    array = whole(column)
    if is_text(array.type):
        return _of_texts(array)
    return lengths_of(array), plain(flat(array)), nulls_of(array)


def _of_texts(array: pa.Array) -> tuple[IntArray, AnyArray, BoolArray]:
    counts, values = np.zeros(len(array), np.int64), []
    missing = nulls_of(array)
    for row, text in enumerate(array.to_pylist()):
        try:
            cell = [] if text is None else row_of_cell(text).values
        except ValueError:  # not a list of numbers: the check of the rows refuses the entry
            cell = [np.nan]
        counts[row] = len(cell)
        values += cell
    return counts, np.array(values, np.float64), missing


def _of_maps(column: pa.ChunkedArray, name: str, role: str, start: int) -> Entries:
    """Read maps from class to value, or structs with a field for each class, some of which are null."""
    column = as_maps(column)
    array = whole(column)
    missing = nulls_of(array)
    if pa.types.is_map(array.type):
        kept = array.take(pa.array(np.flatnonzero(~missing)))
        offsets = to_numpy(kept.offsets)
        low, size = int(offsets[0]), int(offsets[-1] - offsets[0])
        counts = np.zeros(len(array), np.int64)
        counts[~missing] = np.diff(offsets)
        return counts, plain(kept.keys.slice(low, size)), plain(kept.items.slice(low, size)), missing
    if pa.types.is_struct(array.type):
        names = [field.name for field in array.type]
        columns = array.flatten()
        held = np.stack([~nulls_of(each) for each in columns], axis=1) & ~missing[:, np.newaxis]
        entries = np.stack([plain(each) for each in columns], axis=1)
        keys = np.broadcast_to(np.array(names, object), held.shape)
        counts = np.count_nonzero(held, axis=1)
        return counts, keys[held], entries[held], missing | (counts == 0)
    counts, words, numbers = np.zeros(len(array), np.int64), list[str](), list[float]()
    for row, text in enumerate(array.to_pylist()):
        if text is None:
            missing[row] = True
            continue
        try:
            cell = entries_of_cell(text)
        except CellError as error:
            expected = "a map from class to value"
            raise UnreadableRowError(
                "a value cannot be read", start + row, role, error.found, expected, error.hint, column=name
            ) from None
        counts[row] = len(cell.values)
        words += cell.keys or ("",) * len(cell.values)
        numbers += cell.values
    return counts, np.array(words, object), np.array(numbers, np.float64), missing


def plain(array: pa.Array) -> AnyArray:
    """Return numbers, with NaN for a missing one; or texts."""
    if pa.types.is_dictionary(array.type) or is_text(array.type) or kind_of(array.type) != "number":
        return np.array([None if each is None else as_text(each) for each in array.to_pylist()], object)
    if array.null_count:
        array = array.cast(pa.float64()).fill_null(np.nan)
    return to_numpy(array)
