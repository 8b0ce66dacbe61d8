"""Tensors in files that torch.save wrote, read in place by ranges, without torch and without running anything."""

from __future__ import annotations

import io
import math
import zipfile
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from xent_cli.errors import InputError
from xent_cli.readers.arrays.array_source import Layout, lies_scattered
from xent_cli.readers.arrays.choose_array import choose, is_called
from xent_cli.readers.arrays.npy import open_array
from xent_cli.readers.arrays.torch_names import BARE, Array, Joined, name_tensors
from xent_cli.readers.arrays.torch_objects import SAVE_LINE, Tensor, Unsupported
from xent_cli.readers.arrays.torch_pickle import MAX_BYTES, damaged, read_pickle, too_many_objects
from xent_cli.readers.storage.pipe import seekable
from xent_cli.readers.storage.reading import first_line, read_up_to
from xent_cli.readers.storage.streams import zip_failures

if TYPE_CHECKING:
    from collections.abc import Iterator

    from xent_cli.readers.interface import Source
    from xent_cli.readers.options import Classes, ReadOptions
    from xent_cli.readers.storage.interface import Bytes, Stream
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
_PICKLE = "/data.pkl"
# Up to its name, the header of a member has 30 bytes; the last four say how long the name and the extra field are.
_MEMBER_HEADER = 30
_ENCRYPTED = 1
# A view may repeat the values of its storage (tensor.expand), but not so often that to read it never ends.
_MAX_REPEATS, _MAX_REPEATED = 1 << 10, 1 << 28
# What the weights of layers are called in a state dict.
_WEIGHTS = frozenset({"weight", "bias", "running_mean", "running_var", "num_batches_tracked"})


@dataclass(frozen=True, slots=True)
class _Archive:
    """A zip archive that torch wrote: its members, and the arrays that its pickle describes."""

    source: Stored
    root: str
    members: dict[str, zipfile.ZipInfo]
    arrays: dict[str, Array]

    def array(self, name: str) -> Array:
        """The array of a name; of joined ones, each piece has a name of its own."""
        found = self.arrays.get(name)
        return self._pieces()[name] if found is None else found

    @property
    def bare(self) -> bool:
        """Whether the file holds one array, which has no name in it."""
        return list(self.arrays) == [BARE]

    def _pieces(self) -> dict[str, Tensor]:
        joined = [array for array in self.arrays.values() if isinstance(array, Joined)]
        return {name: tensor for array in joined for name, tensor in array.pieces}

    def has(self, name: str) -> bool:
        return name in self.arrays or name in self._pieces()


def open_torch_save(source: Bytes, head: bytes, role: str, options: ReadOptions, classes: Classes) -> Source:
    """Open one array of a file in a role; see `Opener`. The pieces of a list are joined along their first axis.

    Raises
    ------
    InputError
        Where the file is damaged, holds more than tensors, or has no array for the role.
    """
    source = seekable(source)
    archive = _open_archive(source)
    name = _choose(archive, role, options)
    array = archive.array(name)
    bare = archive.bare
    if isinstance(array, Unsupported):
        where = source.name if bare else f"{source.name}:{name}"
        raise InputError("not a plain tensor", where, found=array.what, expected="a dense tensor", hint=array.hint)
    with source.open() as file:
        if isinstance(array, Tensor):
            return _open_tensor(archive, file, array, "" if bare else name, role, options, classes)
        pieces = [
            _open_tensor(archive, file, _with_samples(tensor, classes.axis), piece, role, options, classes)
            for piece, tensor in array.pieces
        ]
    from xent_cli.readers.shards import join

    return join(source.name if bare else f"{source.name}:{name}", role, pieces, classes.axis)


def list_tensors(source: Stored) -> Iterator[tuple[str, str, tuple[int, ...]]]:
    """Name, dtype and shape of every array that has a name."""
    archive = _open_archive(source)
    for name, array in () if archive.bare else archive.arrays.items():
        if isinstance(array, Unsupported):
            yield name, array.what, ()
        elif isinstance(array, Joined):
            (_, first), *_ = array.pieces
            length = sum(tensor.shape[0] if tensor.shape else 1 for _, tensor in array.pieces)
            yield name, f"{first.dtype} in {len(array.pieces)} tensors", (length, *first.shape[1:])
        else:
            yield name, array.dtype, array.shape


def _choose(archive: _Archive, role: str, options: ReadOptions) -> str:
    path, names = archive.source.name, list(archive.arrays)
    asked = options.logits_column[:1] if role == "logits" else (options.label_column,) if role == "labels" else ()
    if asked and asked[0] is not None:
        return asked[0] if archive.has(asked[0]) else choose(path, names, role, options)
    usual = any(is_called(name, role) for name in names)
    if role in ("logits", "labels") and not usual and any(name.rpartition(".")[2] in _WEIGHTS for name in names):
        raise InputError(
            "weights of a model, not its outputs",
            path,
            found=f"a state dict of {len(names)} tensors",
            expected=f"a tensor of {role}",
            hint=f"run the model and save what it returns: {SAVE_LINE}",
        )
    return choose(path, names, role, options)


def _open_tensor(
    archive: _Archive, file: Stream, tensor: Tensor, name: str, role: str, options: ReadOptions, classes: Classes
) -> Source:
    source = replace(archive.source, name=f"{archive.source.name}:{name}") if name else archive.source
    if tensor.dtype not in _DTYPES:
        hint = "save tensor.real" if "complex" in tensor.dtype else "save tensor.float()"
        raise InputError(
            "dtype not supported", source.name, found=f"torch.{tensor.dtype}", expected=", ".join(_DTYPES), hint=hint
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
    start = _data_offset(source, file, member) + tensor.offset * dtype.itemsize
    layout = _layout(tensor, dtype, start, classes.axis)
    return open_array(source, "torch", layout, role, options, classes, bfloat16=tensor.dtype == "bfloat16")


def _layout(tensor: Tensor, dtype: np.dtype[Any], start: int, axis: int | None) -> Layout:
    """How a tensor lies in the file: contiguous in either order where it does, else by its strides."""
    shape, strides = tensor.shape, tensor.strides
    if 0 in shape or _contiguous(shape, strides):
        return Layout(shape, False, dtype, start)
    turned = Layout(shape, True, dtype, start)
    if _contiguous(shape[::-1], strides[::-1]) and not lies_scattered(
        turned, None if axis is None else axis % len(shape)
    ):
        return turned
    return Layout(shape, False, dtype, start, strides)


def _contiguous(shape: tuple[int, ...], strides: tuple[int, ...]) -> bool:
    expected = 1
    for side, stride in zip(reversed(shape), reversed(strides), strict=True):
        if side > 1 and stride != expected:
            return False
        expected *= side
    return True


def _with_samples(tensor: Tensor, axis: int | None) -> Tensor:
    """A piece of a joined array with an axis of samples: torch.stack adds one where each piece is one sample."""
    if len(tensor.shape) > (axis is not None):
        return tensor
    return replace(tensor, shape=(1, *tensor.shape), strides=(0, *tensor.strides))


def _open_archive(source: Stored) -> _Archive:
    try:
        with io.BufferedReader(source.open()) as file, zipfile.ZipFile(file) as archive:  # type: ignore[type-var]
            infos = archive.infolist()
            members = {info.filename: info for info in infos}
            root = _root(source, members)
            if len(members) < len(infos):
                raise damaged(source.name, "two members of one name")
            for name, info in members.items():
                if info.compress_type != zipfile.ZIP_STORED or info.flag_bits & _ENCRYPTED:
                    hint = "torch.save stores its members: save it again, or unzip it and zip it with zip -0"
                    raise InputError("a compressed PyTorch file", source.name, found=f"member {name}", hint=hint)
            _refuse_other_order(source, file, members.get(f"{root}/byteorder"))
            pickle = members[root + _PICKLE]
            if pickle.file_size > MAX_BYTES:
                raise too_many_objects(source.name, f"a pickle of {pickle.file_size} bytes")
            tree = read_pickle(_content(source, file, pickle), source.name)
    except InputError:
        raise
    except zip_failures() as error:
        raise damaged(source.name, first_line(error)) from None
    return _Archive(source, root, members, name_tensors(tree, source.name))


def _root(source: Stored, members: dict[str, zipfile.ZipInfo]) -> str:
    """The folder in which everything lies, which has any name."""
    roots = [name.removesuffix(_PICKLE) for name in members if name.endswith(_PICKLE) and name.count("/") == 1]
    if len(roots) != 1:
        raise damaged(source.name, f"{len(roots)} members called data.pkl")
    (root,) = roots
    if f"{root}/constants.pkl" in members or any(name.startswith(f"{root}/code/") for name in members):
        raise InputError(
            "a model, not its outputs",
            source.name,
            found="a TorchScript archive, which is a program",
            expected="a file of tensors",
            hint=f"run the model and save what it returns: {SAVE_LINE}",
        )
    return root


def _refuse_other_order(source: Stored, file: Stream, member: zipfile.ZipInfo | None) -> None:
    order = b"little" if member is None else _content(source, file, member)
    if order != b"little":
        raise InputError(
            "bytes in another order",
            source.name,
            found=f"byte order {order[:20]!r}",
            expected="little",
            hint="load it with torch on a little-endian machine, and save it again",
        )


def _content(source: Stored, file: Stream, member: zipfile.ZipInfo) -> bytes:
    """The bytes of a stored member; without its checksum, which torch may be told to leave out."""
    file.seek(_data_offset(source, file, member))
    content = read_up_to(file, member.file_size)
    if len(content) < member.file_size:
        raise damaged(source.name, f"member {member.filename} ends early")
    return content


def _data_offset(source: Stored, file: Stream, member: zipfile.ZipInfo) -> int:
    """Where the bytes of a stored member begin: after its header, whose padding only the header itself tells."""
    file.seek(member.header_offset)
    header = read_up_to(file, _MEMBER_HEADER)
    start = member.header_offset + _MEMBER_HEADER
    start += int.from_bytes(header[26:28], "little") + int.from_bytes(header[28:30], "little")
    if not header.startswith(b"PK\3\4") or start + member.file_size > source.size():
        raise damaged(source.name, f"no member {member.filename} where the archive says")
    return start
