"""Types of Arrow columns: what each can be used as, and errors for damaged ones."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa

from xent_cli.errors import InputError, XentError
from xent_cli.readers.storage.reading import first_line, is_url
from xent_cli.readers.storage.stored import Stored

if TYPE_CHECKING:
    from collections.abc import Iterator

    from xent_cli.core.array_types import AnyArray
    from xent_cli.readers.storage.interface import Bytes

# Exceptions of pyarrow for damaged data, besides its own errors: overflowing sizes, invalid UTF-8, nonsense types.
FAILURES = (
    pa.ArrowException,
    OSError,
    ValueError,
    TypeError,
    KeyError,
    IndexError,
    ArithmeticError,
    NotImplementedError,
    MemoryError,
)


def damaged(what: str, where: str, error: Exception, source: Bytes) -> InputError:
    """Return the error for data on which Arrow fails; if memory ran out, the data may be intact."""
    if isinstance(source, Stored) and is_url(source.path) and isinstance(error, OSError):
        from xent_cli.readers.storage.refusals import UNKNOWN, refusal

        refused = refusal(source.path, error, source.timeout)
        if refused.what != UNKNOWN:
            return refused
    if isinstance(error, MemoryError):
        hint = "a damaged file may claim any size; of a sound one fewer --threads hold less at once"
        return InputError("out of memory", where, first_line(error), hint=hint)
    return InputError(what, where, found=first_line(error), hint="write it again")


@contextmanager
def naming_damage(what: str, where: str, source: Bytes) -> Iterator[None]:
    """Turn whatever Arrow raises into an error that names the file: a nonsense type is sometimes a TypeError."""
    try:
        yield
    except XentError:
        raise
    except FAILURES as error:
        raise damaged(what, where, error, source) from None


LISTS = (
    pa.types.is_list,
    pa.types.is_large_list,
    pa.types.is_fixed_size_list,
    pa.types.is_list_view,
    pa.types.is_large_list_view,
)


def stored_as(column_type: pa.DataType) -> pa.DataType:
    """Return the storage type of a column of tensors with one axis; any other type unchanged."""
    if isinstance(column_type, pa.FixedShapeTensorType) and len(column_type.shape) == 1:
        return column_type.storage_type
    return column_type


def kind_of(column_type: pa.DataType) -> str:
    """Return what a column can be used as: "number", "list" (of numbers) or "other"."""
    if pa.types.is_dictionary(column_type):
        return "number" if kind_of(column_type.value_type) == "number" else "other"
    held = stored_as(column_type)
    if any(is_list(held) for is_list in LISTS):
        return "list" if kind_of(held.value_type) == "number" else "other"
    if pa.types.is_integer(column_type) or pa.types.is_floating(column_type) or pa.types.is_boolean(column_type):
        return "number"
    return "number" if pa.types.is_decimal(column_type) else "other"


def is_text(column_type: pa.DataType) -> bool:
    """Whether a column, or the dictionary of one, holds text."""
    return stored_as(column_type) in (pa.string(), pa.large_string(), pa.string_view())


def dtype_of(column_type: pa.DataType) -> np.dtype[Any]:
    """Return the NumPy dtype of the numbers of a column."""
    column_type = column_type.value_type if pa.types.is_dictionary(column_type) else column_type
    return np.dtype(np.float64 if pa.types.is_decimal(column_type) else column_type.to_pandas_dtype())


def to_numpy(values: pa.Array | pa.ChunkedArray) -> AnyArray:
    """Return the values of a column without nulls, not copied if they are contiguous.

    Not by Arrow's method of that name: it imports pandas, which takes longer than reading most files.
    """
    if pa.types.is_decimal(values.type):
        values = values.cast(pa.float64())
    if isinstance(values, pa.ChunkedArray):
        values = values.chunk(0) if values.num_chunks == 1 else values.combine_chunks()
    plain = pa.types.is_integer(values.type) or pa.types.is_floating(values.type)
    if plain and not values.null_count:
        if not len(values):
            return np.empty(0, values.type.to_pandas_dtype())
        # Not the whole buffer: it may be padded, and end within an item.
        held = np.frombuffer(values.buffers()[1], values.type.to_pandas_dtype(), values.offset + len(values))
        return held[values.offset :]
    array: AnyArray = values.to_numpy(zero_copy_only=False)
    return array


def flat(array: pa.Array) -> pa.Array:
    """Return the values of all lists, flattened; Arrow's own function would import pyarrow.compute."""
    if array.null_count or not len(array):
        return array.flatten()
    if pa.types.is_fixed_size_list(array.type):
        size = array.type.list_size
        return array.values.slice(array.offset * size, len(array) * size)
    if pa.types.is_list_view(array.type) or pa.types.is_large_list_view(array.type):
        return array.flatten()
    offsets = to_numpy(array.offsets)
    return array.values.slice(int(offsets[0]), int(offsets[-1] - offsets[0]))
