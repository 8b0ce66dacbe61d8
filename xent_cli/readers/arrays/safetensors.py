"""Tensors in .safetensors files, read in place by ranges: a header of JSON, then the bytes."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np

from xent_cli.errors import InputError
from xent_cli.readers.arrays.array_source import Layout
from xent_cli.readers.arrays.npy import open_array
from xent_cli.readers.arrays.numbered_arrays import choose_pieces, in_turn
from xent_cli.readers.storage.pipe import seekable
from xent_cli.readers.storage.reading import read_up_to

if TYPE_CHECKING:
    from xent_cli.readers.interface import Classes, Source
    from xent_cli.readers.options import ReadOptions
    from xent_cli.readers.storage.interface import Bytes
    from xent_cli.readers.storage.stored import Stored

# The limit of the format.
_MAX_HEADER = 100_000_000
# bfloat16 is not a NumPy dtype: its two bytes are widened when read.
_DTYPES = {
    "F64": "<f8",
    "F32": "<f4",
    "F16": "<f2",
    "BF16": "V2",
    "I64": "<i8",
    "I32": "<i4",
    "I16": "<i2",
    "I8": "i1",
    "U64": "<u8",
    "U32": "<u4",
    "U16": "<u2",
    "U8": "u1",
    "BOOL": "?",
}


def open_safetensors(source: Bytes, head: bytes, role: str, options: ReadOptions, classes: Classes) -> Source:
    """Open one tensor of a file in a role, or numbered ones one after another; see `Opener`.

    Raises
    ------
    InputError
        If the header is damaged, or there is no tensor for the role.
    """
    source = seekable(source)
    tensors, length = _header(source)
    size = source.size()

    def open_tensor(key: str) -> Source:
        tensor = replace(source, name=f"{source.name}:{key}")
        layout, bfloat16 = _layout(tensor, tensors, key, 8 + length, size)
        return open_array(tensor, "safetensors", layout, role, options, classes, bfloat16=bfloat16)

    keys = choose_pieces(source.name, list(tensors), role, options)
    return in_turn(source.name, keys, role, classes.axis, open_tensor)


def _layout(tensor: Stored, tensors: dict[str, Any], key: str, begin: int, size: int) -> tuple[Layout, bool]:
    """Layout of a tensor, from the size of the file and the offset of its data; and whether it is bfloat16."""
    try:
        dtype, shape = tensors[key]["dtype"], tuple(tensors[key]["shape"])
        start, stop = tensors[key]["data_offsets"]
        sound = all(type(number) is int and number >= 0 for number in (*shape, start, stop))
        end = begin + max(entry["data_offsets"][1] for entry in tensors.values())
    except (TypeError, KeyError, ValueError):
        raise _damaged(tensor, "no dtype, shape and offsets") from None
    if not isinstance(dtype, str) or dtype not in _DTYPES:
        raise InputError("dtype not supported", tensor.name, found=str(dtype), expected=", ".join(_DTYPES))
    layout = Layout(shape, False, np.dtype(_DTYPES[dtype]), begin + start if sound else 0)
    if not sound or layout.num_bytes != stop - start or begin + stop > size:
        raise _damaged(tensor, f"bytes {start} to {stop} for {dtype} of shape {shape}, in a file of {size} bytes")
    if size > end:
        raise _damaged(tensor, f"{size} bytes where the header tells of {end}")
    return layout, dtype == "BF16"


def _header(source: Stored) -> tuple[dict[str, Any], int]:
    """Return what the header says about each tensor, and the length of the header."""
    size = source.size()
    with source.open() as file:
        length = int.from_bytes(read_up_to(file, 8), "little")
        if length > min(_MAX_HEADER, size - 8):
            raise _damaged(source, f"a header of {length} bytes in a file of {size}")
        text = read_up_to(file, length)
    try:
        header = json.loads(text, object_pairs_hook=_unique)
        tensors = {key: entry for key, entry in header.items() if key != "__metadata__"}
    except (ValueError, AttributeError, RecursionError):
        raise _damaged(source, "a header that is not JSON, or that has a name twice") from None
    return tensors, length


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """Return a JSON object; raise `ValueError` if it has a name twice, because `json` would silently keep the last."""
    held = dict(pairs)
    if len(held) < len(pairs):
        raise ValueError
    return held


def _damaged(source: Stored, found: str) -> InputError:
    return InputError("damaged .safetensors file", source.name, found=found, hint="write it again")
