"""Tensors in files that torch.save wrote, read in place by ranges, without torch and without running anything."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import IO, TYPE_CHECKING, Any

import numpy as np

from xent_cli.errors import InputError
from xent_cli.readers.arrays.array_source import Layout
from xent_cli.readers.arrays.choose_array import asked_for, choose, is_called
from xent_cli.readers.arrays.npy import open_array
from xent_cli.readers.arrays.numbered_arrays import choose_pieces
from xent_cli.readers.arrays.stored_member import data_offset, opened
from xent_cli.readers.arrays.strided_rows import is_contiguous
from xent_cli.readers.arrays.torch_archive import Archive, open_archive
from xent_cli.readers.arrays.torch_names import Joined
from xent_cli.readers.arrays.torch_pickle import damaged
from xent_cli.readers.arrays.torch_types import SAVE_LINE, Tensor, Unsupported, save_line
from xent_cli.readers.storage.pipe import seekable

if TYPE_CHECKING:
    from collections.abc import Iterator

    from xent_cli.readers.interface import Classes, Source
    from xent_cli.readers.options import ReadOptions
    from xent_cli.readers.storage.interface import Bytes
    from xent_cli.readers.storage.stored import Stored

_DTYPES = {
    "float64": "<f8",
    "float32": "<f4",
    "float16": "<f2",
    "bfloat16": "V2",
    "int64": "<i8",
    "int32": "<i4",
    "int16": "<i2",
    "int8": "i1",
    "uint64": "<u8",
    "uint32": "<u4",
    "uint16": "<u2",
    "uint8": "u1",
    "bool": "?",
}
# A view may repeat the values of its storage (tensor.expand), but a file of a few bytes must not cause years of work.
_MAX_REPEATS, _MAX_REPEATED = 1 << 10, 1 << 28
# Names of layer weights in a state dict.
_WEIGHTS = frozenset({"weight", "bias", "running_mean", "running_var", "num_batches_tracked"})


def open_torch_save(source: Bytes, head: bytes, role: str, options: ReadOptions, classes: Classes) -> Source:
    """Open one array of a file in a role; see `Opener`. The pieces of a list are joined along their first axis.

    Raises
    ------
    InputError
        If the file is damaged, holds more than tensors, or has no array for the role.
    """
    source = seekable(source)
    archive = open_archive(source)
    names = _choose(archive, role, options)
    pieces: list[tuple[str, Tensor]] = []
    for name in names:
        array = archive.array(name)
        if isinstance(array, Unsupported):
            where = source.name if archive.bare else f"{source.name}:{name}"
            hint = save_line(array.plain, role)
            raise InputError("not a plain tensor", where, found=array.what, expected="a dense tensor", hint=hint)
        pieces.extend(array.pieces if isinstance(array, Joined) else [(name, array)])
    with opened(source) as file:
        if len(pieces) == 1:
            ((name, tensor),) = pieces
            return _open_tensor(archive, file, tensor, "" if archive.bare else name, role, options, classes)
        shards = [
            _open_tensor(archive, file, _with_samples(tensor, classes.axis), name, role, options, classes)
            for name, tensor in pieces
        ]
    from xent_cli.readers.shards import join

    name = names[0] if len(names) == 1 else f"{names[0]}..{names[-1]}"
    return join(source.name if archive.bare else f"{source.name}:{name}", role, shards, classes.axis)


def list_tensors(source: Stored) -> Iterator[tuple[str, str, tuple[int, ...]]]:
    """Return the name, dtype and shape of every array that has a name."""
    archive = open_archive(source)
    for name, array in () if archive.bare else archive.arrays.items():
        if isinstance(array, Unsupported):
            yield name, array.what, ()
        elif isinstance(array, Joined):
            (_, first), *_ = array.pieces
            length = sum(tensor.shape[0] if tensor.shape else 1 for _, tensor in array.pieces)
            yield name, f"{first.dtype} in {len(array.pieces)} tensors", (length, *first.shape[1:])
        else:
            yield name, array.dtype, array.shape


def _choose(archive: Archive, role: str, options: ReadOptions) -> tuple[str, ...]:
    """Choose the array for a role, or several that are numbered; items of a list or tuple do not count as numbered."""
    path, names = archive.source.name, list(archive.arrays)
    asked = asked_for(role, options)
    if asked is not None and archive.has(asked):
        return (asked,)
    usual = any(is_called(name, role) for name in names)
    weights = set() if asked is not None else _WEIGHTS & {name.rpartition(".")[2] for name in names}
    # Class weights may be saved as "weight" too, but not next to a bias.
    if (weights and not usual) if role in ("logits", "labels") else len(weights) > 1:
        raise InputError(
            "weights of a model, not its outputs",
            path,
            found=f"a state dict of {len(names)} tensors",
            expected=f"a tensor of {role}",
            hint=f"run the model and save what it returns: {SAVE_LINE}",
        )
    if all(name.isdecimal() for name in names):
        return (choose(path, names, role, options),)
    return choose_pieces(path, names, role, options)


def _open_tensor(
    archive: Archive, file: IO[bytes], tensor: Tensor, name: str, role: str, options: ReadOptions, classes: Classes
) -> Source:
    source = replace(archive.source, name=f"{archive.source.name}:{name}") if name else archive.source
    if tensor.dtype not in _DTYPES:
        plain = "tensor.real" if "complex" in tensor.dtype else "tensor.float()"
        raise InputError(
            "dtype not supported",
            source.name,
            found=f"torch.{tensor.dtype}",
            expected=", ".join(_DTYPES),
            hint=save_line(plain, role),
        )
    member = archive.members.get(f"{archive.root}/data/{tensor.storage}")
    if member is None:
        raise damaged(source.name, f"no storage {tensor.storage!r}")
    dtype = np.dtype(_DTYPES[tensor.dtype])
    held = tensor.capacity * dtype.itemsize
    if member.file_size != held:
        raise damaged(source.name, f"a storage of {member.file_size} bytes that is said to have {held}")
    size = math.prod(tensor.shape)
    reach = sum((side - 1) * stride for side, stride in zip(tensor.shape, tensor.strides, strict=True))
    if size and tensor.offset + reach >= tensor.capacity:
        found = f"shape {tensor.shape} with strides {tensor.strides} from {tensor.offset}"
        raise damaged(source.name, f"{found}, which leaves its storage of {tensor.capacity} values")
    if size > _MAX_REPEATED and size > _MAX_REPEATS * tensor.capacity:
        raise InputError(
            "a view much larger than its storage",
            source.name,
            found=f"shape {tensor.shape} over {tensor.capacity} values",
            hint="save the values once, without tensor.expand",
        )
    start = data_offset(source.name, file, archive.size, member) + tensor.offset * dtype.itemsize
    layout = _layout(tensor, dtype, start)
    return open_array(source, "torch", layout, role, options, classes, bfloat16=tensor.dtype == "bfloat16")


def _layout(tensor: Tensor, dtype: np.dtype[Any], start: int) -> Layout:
    """Layout of a tensor in the file: with strides, unless it is contiguous."""
    contiguous = 0 in tensor.shape or is_contiguous(tensor.shape, tensor.strides)
    return Layout(tensor.shape, False, dtype, start, None if contiguous else tensor.strides)


def _with_samples(tensor: Tensor, axis: int | None) -> Tensor:
    """Return a piece of a joined array; if each piece is one sample, add the axis of samples as torch.stack does."""
    if len(tensor.shape) > (axis is not None):
        return tensor
    return replace(tensor, shape=(1, *tensor.shape), strides=(0, *tensor.strides))
