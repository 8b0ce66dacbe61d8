"""The highest log-probabilities of a teacher as Megatron-LM caches them for distillation: `--logits-save-dir`.

A tar archive of ``_meta.json`` and of one member ``ITERATION.pt.zst`` for each iteration, which is a file of torch.save
compressed with zstd (NVIDIA/Megatron-LM, megatron/training/distillation)::

    values        [position, sequence, k] log-probabilities in float16, bfloat16 or float32; or a list of such tensors,
                  one for each microbatch
    indices_low   uint16 of the same shape: the lower 16 bits of the classes
    bit_17        bool: the bit above these

With top-P, rows have fewer entries; the rest of a row is filled with a log-probability of -1000 (-10000 in older files)
and the class -1, of which 131071 is left. That may be a class too, so it is the value that says so.
"""

from __future__ import annotations

import io
import re
from bisect import bisect_right
from functools import lru_cache
from itertools import accumulate
from typing import TYPE_CHECKING, Any, NamedTuple, cast

import numpy as np

from xent_cli.core.block import Rows
from xent_cli.core.input_description import InputDescription
from xent_cli.errors import InputError, UsageError
from xent_cli.readers.arrays.stored_member import data_offset
from xent_cli.readers.arrays.strided_rows import is_contiguous
from xent_cli.readers.arrays.torch_archive import open_archive
from xent_cli.readers.arrays.torch_names import Joined
from xent_cli.readers.arrays.torch_types import Tensor
from xent_cli.readers.interface import MEGATRON, SourceInfo
from xent_cli.readers.language_models.tar_members import TarMember, tar_members
from xent_cli.readers.storage.identity import shrunk
from xent_cli.readers.storage.pipe import seekable
from xent_cli.readers.storage.reading import first_line, read_up_to, reading
from xent_cli.readers.storage.stored import Stored
from xent_cli.readers.top_k_rows import NOTHING, Appended, Highest, highest_rows

if TYPE_CHECKING:
    from collections.abc import Iterator

    from xent_cli.core.array_types import AnyArray
    from xent_cli.core.block import Part
    from xent_cli.readers.arrays.torch_archive import Archive
    from xent_cli.readers.interface import Classes, Source
    from xent_cli.readers.options import ReadOptions
    from xent_cli.readers.storage.interface import Bytes

_META = "_meta.json"
_PAYLOAD = re.compile(r"(\d{1,18})\.pt\.zst")
_DTYPES = {"float16": "<f2", "float32": "<f4", "bfloat16": "<u2", "uint16": "<u2", "bool": "u1"}
_FLOATS = frozenset({"float16", "float32", "bfloat16"})
# What stands for no entry: -1e3 and -1e4, as bfloat16 rounds them too.
_SENTINELS = (-1000.0, -10000.0, -9984.0)
# An iteration is decompressed whole: a member that claims more is refused.
_MOST_BYTES = 512 << 20
_HINT = "write the file again"


class Iteration(NamedTuple):
    """One iteration: its tensors of values [s, b, k] and of classes, one after the other."""

    values: tuple[AnyArray, ...]
    classes: tuple[AnyArray, ...]
    dtype: str

    @property
    def num_rows(self) -> int:
        """How many rows all tensors have."""
        return sum(values.shape[0] * values.shape[1] for values in self.values)

    def rows(self, start: int, stop: int) -> Highest:
        """Some rows, positions first."""
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
        return Highest(classes, values, self.dtype)


def open_megatron(source: Bytes, head: bytes, role: str, options: ReadOptions, classes: Classes) -> Source:
    """Open cached log-probabilities as a teacher; see `Opener`.

    Raises
    ------
    InputError
        If the archive is damaged, or cannot be used in this role.
    """
    if role != "labels":
        expected = "logits: these are the highest log-probabilities of a teacher, which go second, as LABELS"
        raise InputError("cached log-probabilities of Megatron-LM", source.name, f"a file of them as {role}", expected)
    if options.label_column is not None:
        raise UsageError(f"--label-column {options.label_column}: {source.name} has no columns")
    file = source if isinstance(source, Stored) and not source.codec else seekable(source)
    members: dict[int, TarMember] = {}
    for member in tar_members(file):
        if member.name == _META:
            continue
        match = _PAYLOAD.fullmatch(member.name)
        if match is None or int(match[1]) in members:
            found = f'"{member.name}"' if match is None else f"iteration {match[1]} again"
            expected = f"{_META} and one member ITERATION.pt.zst for each iteration"
            raise InputError("not a cache of Megatron-LM", file.name, found, expected, _HINT)
        members[int(match[1])] = member
    if not members:
        raise InputError("no rows", file.name, "no iteration", "at least one member ITERATION.pt.zst")
    kept = tuple(members.values())
    sizes, dtypes, highest = [], set(), 0
    for member in kept:
        iteration = read_iteration(file, member)
        sizes.append(iteration.num_rows)
        dtypes.add(iteration.dtype)
        if not classes.num_classes:
            found_rows = iteration.rows(0, iteration.num_rows)
            highest = max(highest, int(found_rows.classes.max(initial=0)))
    if len(dtypes) > 1:
        raise InputError("iterations of different dtypes", file.name, " and ".join(sorted(dtypes)), "one", _HINT)
    num_classes = classes.num_classes if classes.num_classes > 0 else highest + 1
    return MegatronSource(file, kept, tuple(accumulate(sizes)), dtypes.pop(), num_classes, options.run.task_bytes)


@lru_cache(maxsize=2)
def read_iteration(file: Stored, member: TarMember) -> Iteration:
    """Decompress an iteration, and check that its tensors fit one another; the last two are kept.

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
            content = unpacked.read(_MOST_BYTES + 1)
    except (OSError, ValueError, pa.ArrowException) as error:
        raise InputError("damaged zstd data", where, first_line(error), hint=_HINT) from None
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
        raise InputError("tensors that do not fit", where, found, expected, _HINT)
    classes = tuple(
        one.astype(np.int64) | (two.astype(np.int64) << 16) for one, two in zip(low[0], high[0], strict=True)
    )
    held = values[0]
    if dtypes[0] == "bfloat16":
        held = tuple((each.astype(np.uint32) << 16).view(np.float32) for each in held)
    return Iteration(held, classes, dtypes[0])


class _Held(NamedTuple):
    """A file in memory, as far as the reader of torch.save asks for one."""

    name: str
    content: bytes
    path: str = ""
    identity: None = None

    def open(self) -> io.BytesIO:
        return io.BytesIO(self.content)


def _tensors(archive: Archive, name: str, content: bytes) -> tuple[tuple[AnyArray, ...], str]:
    """The tensors of a name in order, and their dtype."""
    arrays = archive.arrays
    found = arrays.get(name)
    pieces: list[Any] = [tensor for _, tensor in found.pieces] if isinstance(found, Joined) else [found]
    if found is None:  # tensors of a list that are not alike are named one by one
        pieces = [arrays[key] for key in (f"{name}.{place}" for place in range(len(arrays))) if key in arrays]
    path = archive.source.name
    if not pieces or not all(isinstance(piece, Tensor) and piece.dtype in _DTYPES for piece in pieces):
        expected = f"tensors {name} as Megatron-LM saves them"
        raise InputError("not an iteration of a cache", path, f"names {', '.join(arrays) or 'none'}", expected, _HINT)
    if len({piece.dtype for piece in pieces}) > 1:
        raise InputError("tensors of different dtypes", path, name, "one dtype", _HINT)
    return tuple(_values(archive, piece, content) for piece in pieces), pieces[0].dtype


def _values(archive: Archive, tensor: Tensor, content: bytes) -> AnyArray:
    """The values of a tensor, in memory that is not copied."""
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


class MegatronSource(NamedTuple):
    """A cache as rows of log-probabilities, with NaN for all classes that it does not list; see `Source`.

    Fields
    ------
    members, stops
        The iterations, and how many rows there are up to the end of each.
    dtype
        In which values are stored.
    """

    file: Stored
    members: tuple[TarMember, ...]
    stops: tuple[int, ...]
    dtype: str
    num_classes: int
    task_bytes: int

    @property
    def info(self) -> SourceInfo:
        """See `Source`."""
        total = self.stops[-1]
        description = InputDescription(self.file.name, MEGATRON, (total, self.num_classes), self.dtype)
        fields = frozenset({"labels", "label_bounds"})
        return SourceInfo(description, np.dtype(np.float64), (self.num_classes,), total, (total,), fields)

    def parts(self, first: int = 0) -> Iterator[tuple[int, int, Part]]:
        """See `Source`: an iteration is decompressed once, if its rows are read one after the other."""
        step = max(1, self.task_bytes // (8 * self.num_classes))
        for start in range(0, self.stops[-1], step):
            stop = min(self.stops[-1], start + step)
            yield first + start, stop - start, self.rows(start, stop)

    def rows(self, start: int, stop: int) -> Part:
        """See `Source`."""
        low, high = bisect_right(self.stops, start), bisect_right(self.stops, max(start, stop - 1))
        offset = self.stops[low - 1] if low else 0
        members = self.members[low : high + 1]
        return MegatronRows(self.file, members, self.num_classes, start - offset, stop - offset, start)

    def where(self, row: int, role: str, first: int = 0) -> str:
        """See `Source`."""
        at = bisect_right(self.stops, row - first)
        inner = row - first - (self.stops[at - 1] if at else 0)
        return f"{self.file.name}:{self.members[at].name} row {inner} (sample {row})"


class MegatronRows(NamedTuple):
    """Recipe for rows `low` to `high` of some iterations, as a `Part`; `start` is the sample number of the first."""

    file: Stored
    members: tuple[TarMember, ...]
    num_classes: int
    low: int
    high: int
    start: int

    def read(self) -> Rows:
        """Read the rows.

        Raises
        ------
        RowError
            At a row that cannot be the highest of a distribution.
        """
        rows, bounds, begin = [], [], 0
        for member in self.members:
            iteration = read_iteration(self.file, member)
            low, high = max(self.low, begin), min(self.high, begin + iteration.num_rows)
            highest = iteration.rows(low - begin, high - begin)
            place = self.start + low - self.low
            found = highest_rows(highest, self.num_classes, Appended(), probs=False, start=place)
            rows.append(found[0])
            bounds.append(found[1])
            begin += iteration.num_rows
        return Rows(labels=np.concatenate(rows), label_bounds=np.concatenate(bounds))
