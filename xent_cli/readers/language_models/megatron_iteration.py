"""One iteration of the log-probabilities that Megatron-LM caches, decompressed, and its tensors; see `megatron`."""

from __future__ import annotations

import io
from functools import lru_cache
from typing import TYPE_CHECKING, Any, NamedTuple, cast

import numpy as np

from xent_cli.errors import InputError
from xent_cli.readers.arrays.stored_member import data_offset
from xent_cli.readers.arrays.strided_rows import is_contiguous
from xent_cli.readers.arrays.torch_archive import open_archive
from xent_cli.readers.arrays.torch_names import Joined
from xent_cli.readers.arrays.torch_types import Tensor
from xent_cli.readers.language_models.tar_members import HINT
from xent_cli.readers.storage.identity import shrunk
from xent_cli.readers.storage.reading import first_line, read_up_to, reading
from xent_cli.readers.top_k_precision import precision_of
from xent_cli.readers.top_k_rows import NOTHING, Highest

if TYPE_CHECKING:
    from xent_cli.core.array_types import AnyArray
    from xent_cli.readers.arrays.torch_archive import Archive
    from xent_cli.readers.language_models.tar_members import TarMember
    from xent_cli.readers.storage.stored import Stored

_DTYPES = {"float16": "<f2", "float32": "<f4", "bfloat16": "<u2", "uint16": "<u2", "bool": "u1"}
_FLOATS = frozenset({"float16", "float32", "bfloat16"})
# Values that mark the absence of an entry: -1e3 and -1e4, also as rounded to bfloat16.
_SENTINELS = (-1000.0, -10000.0, -9984.0)
# An iteration is decompressed whole, so a member that claims to be larger than this is refused.
_MOST_BYTES, _PIECE = 512 << 20, 1 << 20


class Iteration(NamedTuple):
    """One iteration: its tensors of values [s, b, k] and of classes, one after the other."""

    values: tuple[AnyArray, ...]
    classes: tuple[AnyArray, ...]
    dtype: str

    @property
    def num_rows(self) -> int:
        """Number of rows of all tensors together."""
        return sum(values.shape[0] * values.shape[1] for values in self.values)

    def rows(self, start: int, stop: int) -> Highest:
        """Return some rows, in the order of positions."""
        width = max(values.shape[2] for values in self.values)
        values = np.full((stop - start, width), np.nan)
        classes = np.full((stop - start, width), NOTHING)
        begin = 0
        for some, indices in zip(self.values, self.classes, strict=True):
            low, high = max(start, begin), min(stop, begin + some.shape[0] * some.shape[1])
            if low < high:
                here, k = slice(low - start, high - start), some.shape[2]
                values[here, :k] = some.reshape(-1, k)[low - begin : high - begin]
                classes[here, :k] = indices.reshape(-1, k)[low - begin : high - begin]
            begin += some.shape[0] * some.shape[1]
        absent = np.isin(values, _SENTINELS)
        classes[absent], values[absent] = NOTHING, np.nan
        return Highest(classes, values, precision_of(self.dtype))


@lru_cache(maxsize=2)
def read_iteration(file: Stored, member: TarMember) -> Iteration:
    """Decompress an iteration, and check that its tensors fit one another; the last two iterations are kept.

    Raises
    ------
    InputError
        If it is damaged, or too large.
    """
    import pyarrow as pa

    where = f"{file.name}:{member.name}"
    with file.open() as stream, reading(where):
        stream.seek(member.start)
        packed = read_up_to(stream, member.size)
    if len(packed) < member.size:
        raise shrunk(file.name)
    try:
        with pa.CompressedInputStream(pa.BufferReader(packed), "zstd") as unpacked:
            content = _up_to(unpacked, _MOST_BYTES + 1)
    except (OSError, ValueError, pa.ArrowException) as error:
        raise InputError("damaged zstd data", where, first_line(error), hint=HINT) from None
    if len(content) > _MOST_BYTES:
        found = f"more than {_MOST_BYTES >> 20} MiB"
        raise InputError(
            "an iteration too large", where, found, "less", "cache with a smaller batch or --logits-save-top-k"
        )
    archive = open_archive(cast("Stored", _Held(where, content)))
    values, low, high = (_tensors(archive, name, content) for name in ("values", "indices_low", "bit_17"))
    shapes = [[tensor.shape for tensor in each] for each in (values[0], low[0], high[0])]
    dtypes = values[1], low[1], high[1]
    fit = shapes[0] == shapes[1] == shapes[2] and all(len(shape) == 3 and 0 not in shape for shape in shapes[0])
    if not fit or dtypes[1:] != ("uint16", "bool") or dtypes[0] not in _FLOATS:
        found = ", ".join(
            f"{name} {shape} of {dtype}"
            for name, shape, dtype in zip(("values", "indices_low", "bit_17"), shapes, dtypes, strict=True)
        )
        expected = "[position, sequence, k] of one shape, of floats, uint16 and bool"
        raise InputError("tensors that do not fit", where, found, expected, HINT)
    classes = tuple(
        one.astype(np.int64) | (two.astype(np.int64) << 16) for one, two in zip(low[0], high[0], strict=True)
    )
    held = values[0]
    if dtypes[0] == "bfloat16":
        held = tuple((each.astype(np.uint32) << 16).view(np.float32) for each in held)
    return Iteration(held, classes, dtypes[0])


def _up_to(stream: Any, size: int) -> bytes:
    """Read up to `size` bytes, piece by piece, because Arrow allocates all that is asked for at once."""
    parts = []
    while size > 0 and (part := stream.read(min(size, _PIECE))):
        parts.append(part)
        size -= len(part)
    return b"".join(parts)


class _Held(NamedTuple):
    """A file in memory, with the methods that the reader of torch.save needs."""

    name: str
    content: bytes
    path: str = ""
    identity: None = None

    def open(self) -> io.BytesIO:
        return io.BytesIO(self.content)


def _tensors(archive: Archive, name: str, content: bytes) -> tuple[tuple[AnyArray, ...], str]:
    """Return the tensors of a name in order, and their dtype."""
    arrays = archive.arrays
    found = arrays.get(name)
    pieces: list[Any] = [tensor for _, tensor in found.pieces] if isinstance(found, Joined) else [found]
    if found is None:  # tensors of a list that are not alike are named one by one
        pieces = [arrays[key] for key in (f"{name}.{place}" for place in range(len(arrays))) if key in arrays]
    path = archive.source.name
    if not pieces or not all(isinstance(piece, Tensor) and piece.dtype in _DTYPES for piece in pieces):
        expected = f"tensors {name} as Megatron-LM saves them"
        raise InputError("not an iteration of a cache", path, f"names {', '.join(arrays) or 'none'}", expected, HINT)
    if len({piece.dtype for piece in pieces}) > 1:
        raise InputError("tensors of different dtypes", path, name, "one dtype", HINT)
    return tuple(_values(archive, piece, content) for piece in pieces), pieces[0].dtype


def _values(archive: Archive, tensor: Tensor, content: bytes) -> AnyArray:
    """Return the values of a tensor without copying them."""
    path, dtype = archive.source.name, np.dtype(_DTYPES[tensor.dtype])
    member = archive.members.get(f"{archive.root}/data/{tensor.storage}")
    size = int(np.prod(tensor.shape, dtype=object))
    whole = member is not None and member.file_size == tensor.capacity * dtype.itemsize
    if not whole or not is_contiguous(tensor.shape, tensor.strides) or tensor.offset + size > tensor.capacity:
        raise InputError(
            "damaged PyTorch file", path, f"a tensor of shape {tensor.shape} that its storage does not hold"
        )
    assert member is not None
    start = data_offset(path, io.BytesIO(content), archive.size, member) + tensor.offset * dtype.itemsize
    return np.frombuffer(content, dtype, size, start).reshape(tensor.shape)
