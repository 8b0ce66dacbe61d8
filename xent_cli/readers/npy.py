"""Arrays in .npy files: any rank, class axis, order and byte order, read by ranges of samples."""

from __future__ import annotations

import ast
import math
import os
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from xent_cli.core.block import Rows
from xent_cli.core.inputs import InputDescription
from xent_cli.core.tiles import scratch
from xent_cli.errors import InputError, UsageError
from xent_cli.readers.interface import TASK_BYTES

if TYPE_CHECKING:
    from collections.abc import Iterator
    from io import FileIO

    from xent_cli.core.block import AnyArray, Part

MAGIC = b"\x93NUMPY"
# A header of names and numbers; NumPy itself never writes more than a few hundred bytes.
_MAX_HEADER = 1 << 16


@dataclass(frozen=True, slots=True)
class Header:
    """What the head of a .npy file says.

    Fields
    ------
    shape, fortran_order, dtype
        As `numpy.save` wrote them.
    offset
        Where the data begins, in bytes.
    """

    shape: tuple[int, ...]
    fortran_order: bool
    dtype: np.dtype[Any]
    offset: int


def read_header(path: str, head: bytes) -> Header:
    """Parse the head of a .npy file, versions 1 to 3, without trusting it.

    Raises
    ------
    InputError
        Where the header is damaged, or describes Python objects, which are never unpickled.
    """
    version = head[6:8]
    if version not in (b"\x01\x00", b"\x02\x00", b"\x03\x00"):
        raise InputError("unknown .npy version", path, found=repr(version), expected="version 1, 2 or 3")
    width = 2 if version[0] == 1 else 4
    length = int.from_bytes(head[8 : 8 + width], "little")
    text = head[8 + width : 8 + width + length]
    damaged = InputError("damaged .npy header", path, hint="write the file again with numpy.save")
    if length > _MAX_HEADER or len(text) < length:
        raise damaged
    try:
        fields = ast.literal_eval(text.decode("utf-8" if version[0] == 3 else "latin-1").strip())
        shape, order, descr = fields["shape"], fields["fortran_order"], fields["descr"]
        sound = isinstance(shape, tuple) and all(type(side) is int and side >= 0 for side in shape)
        dtype = np.dtype(descr)
    except (ValueError, SyntaxError, TypeError, KeyError, MemoryError, RecursionError):
        raise damaged from None
    if not sound:
        raise damaged
    if dtype.hasobject:
        raise InputError(
            "Python objects in a .npy file",
            path,
            found="dtype object, which is a pickle",
            expected="numbers",
            hint="pickles can run code and are never loaded; save a plain array, as in numpy.save(path, "
            "numpy.stack(rows))",
        )
    return Header(shape, bool(order), dtype, 8 + width + length)


def open_npy(path: str, role: str, axis: int | None, logits_dtype: str | None) -> NpySource:
    """Open an array; with `axis` None a sample is one number, else it is what lies along that axis.

    Raises
    ------
    InputError
        Where the file is damaged, shorter than its header says, or holds no numbers.
    UsageError
        Where the array has no such axis.
    """
    with Path(path).open("rb") as file:
        head = file.read(_MAX_HEADER + 12)
        size = os.fstat(file.fileno()).st_size
    header = read_header(path, head)
    wanted = header.offset + math.prod(header.shape) * header.dtype.itemsize
    if size < wanted:
        raise InputError(
            "truncated .npy file",
            path,
            found=f"{size} bytes",
            expected=f"{wanted} bytes for shape {header.shape} of {header.dtype}",
            hint="the file was cut short, or is still being written",
        )
    dtype = header.dtype
    if dtype.kind == "V" and dtype.itemsize == 2:
        if logits_dtype != "bfloat16":
            raise InputError(
                "values of unknown type",
                path,
                found="2-byte void (|V2)",
                expected="numbers",
                hint="numpy.save writes bfloat16 like this: add --logits-dtype bfloat16",
            )
    elif dtype.kind not in "biuf" or dtype.itemsize > 8:
        hint = "convert with .astype('float64')" if dtype.kind in "fc" else ""
        raise InputError(
            "values are not numbers" if dtype.kind not in "fc" else "dtype not supported",
            path,
            found=f"dtype {dtype.name}",
            expected="floats of up to 64 bits, integers or bool",
            hint=hint,
        )
    if axis is not None:
        rank = len(header.shape)
        if not -rank <= axis < rank:
            raise UsageError(f"--axis {axis} is out of range: {path} has shape {header.shape}")
        axis %= rank
    return NpySource(path, role, header, axis)


@dataclass(frozen=True, slots=True)
class NpySource:
    """An array in a .npy file, in one role; see `Source`.

    Fields
    ------
    role
        Which field of `Rows` it fills.
    axis
        Class axis, not negative; None where a sample is one number.
    """

    path: str
    role: str
    header: Header
    axis: int | None
    class_names: tuple[str, ...] | None = None
    named_labels: bool = False
    id_name: str | None = None

    @property
    def description(self) -> InputDescription:
        """See `Source`."""
        return InputDescription(self.path, "npy", self.header.shape, self.dtype.name)

    @property
    def dtype(self) -> np.dtype[Any]:
        """See `Source`; a bfloat16 array is read as float32."""
        return np.dtype(np.float32) if self.header.dtype.kind == "V" else self.header.dtype

    @property
    def sample_shape(self) -> tuple[int, ...]:
        """See `Source`."""
        shape = self.header.shape
        return shape if self.axis is None else shape[: self.axis] + shape[self.axis + 1 :]

    @property
    def row_shape(self) -> tuple[int, ...]:
        """See `Source`."""
        return () if self.axis is None else (self.header.shape[self.axis],)

    @property
    def num_rows(self) -> int:
        """See `Source`."""
        return math.prod(self.sample_shape)

    @property
    def brings(self) -> frozenset[str]:
        """See `Source`."""
        return frozenset({self.role})

    def parts(self) -> Iterator[tuple[int, int, Part]]:
        """See `Source`."""
        _, k, b = self._sides()
        step = max(1, TASK_BYTES // (max(1, k) * self.header.dtype.itemsize))
        if step > b > 1:
            step -= step % b  # whole slabs are read in one go
        for start in range(0, self.num_rows, step):
            size = min(step, self.num_rows - start)
            yield start, size, self.rows(start, start + size)

    def rows(self, start: int, stop: int) -> Part:
        """See `Source`."""
        header = self.header
        if header.fortran_order and sum(side > 1 for side in self.sample_shape) > 1:
            return FortranRows(
                self.role, self.path, header.dtype.str, header.offset, header.shape, self.axis, start, stop
            )
        _, k, b = self._sides()
        return NpyRows(self.role, self.path, header.dtype.str, header.offset, k, b, start, stop, self.axis is None)

    def where(self, row: int, role: str) -> str:
        """See `Source`."""
        if len(self.sample_shape) < 2:
            return f"{self.path} sample {row}"
        index = ", ".join(str(i) for i in np.unravel_index(row, self.sample_shape))
        return f"{self.path} sample {row} (at [{index}])"

    def _sides(self) -> tuple[int, int, int]:
        """Shape of the array in file order as [a, k, b], with the classes in the middle."""
        if self.axis is None:
            return self.num_rows, 1, 1
        shape, axis = self.header.shape, self.axis
        if self.header.fortran_order:
            shape, axis = shape[::-1], len(shape) - 1 - axis
        return math.prod(shape[:axis]), shape[axis], math.prod(shape[axis + 1 :])


@dataclass(frozen=True, slots=True)
class NpyRows:
    """Recipe for samples `start` to `stop` of an array seen as [a, k, b] in file order, samples running over a and b.

    A `Part`: what `read` returns is on loan until the same thread reads from the same file again.
    """

    role: str
    path: str
    dtype: str
    offset: int
    k: int
    b: int
    start: int
    stop: int
    scalar: bool

    def read(self) -> Rows:
        """Read the samples as [n, k], or [n] where a sample is one number."""
        n = self.stop - self.start
        with Path(self.path).open("rb", buffering=0) as file:
            if self.b == 1:
                values = scratch(f"{self.role} of {self.path}", (n, self.k), self.dtype)
                self._fill(file, self.start * self.k, values)
            else:
                values = self._gather(file)
        values = _widen(values)
        return Rows(**{self.role: values[:, 0] if self.scalar else values})

    def _gather(self, file: FileIO) -> AnyArray:
        """Read samples whose classes lie `b` apart: a run of them for each class, or whole [k, b] slabs."""
        first, last = self.start // self.b, (self.stop - 1) // self.b
        out = scratch(f"{self.role} of {self.path}", (self.k, self.stop - self.start), self.dtype)
        done = 0
        for a in range(first, last + 1):
            low = self.start - a * self.b if a == first else 0
            high = self.stop - a * self.b if a == last else self.b
            columns = slice(done, done + high - low)
            done = columns.stop
            base = a * self.k * self.b
            if high - low == self.b:
                slab = scratch("slab", (self.k, self.b), self.dtype)
                self._fill(file, base, slab)
                out[:, columns] = slab
            else:
                for c in range(self.k):
                    self._fill(file, base + c * self.b + low, out[c, columns])
        return out.T

    def _fill(self, file: FileIO, element: int, out: AnyArray) -> None:
        """Read consecutive elements from the file into contiguous memory."""
        target = out.reshape(-1).view(np.uint8).data
        file.seek(self.offset + element * out.itemsize)
        done = 0
        while done < len(target):
            got = file.readinto(target[done:])
            if not got:
                raise InputError("file ended early", self.path, hint="it became shorter while it was read")
            done += got


@dataclass(frozen=True, slots=True)
class FortranRows:
    """Recipe for samples of a Fortran-ordered array of more than one sample axis, where they lie scattered."""

    role: str
    path: str
    dtype: str
    offset: int
    shape: tuple[int, ...]
    axis: int | None
    start: int
    stop: int

    def read(self) -> Rows:
        """Read the samples as [n, k], or [n] where a sample is one number."""
        mapped = np.memmap(self.path, self.dtype, "r", self.offset, self.shape, order="F")
        array = mapped if self.axis is None else np.moveaxis(mapped, self.axis, -1)
        samples = array.shape if self.axis is None else array.shape[:-1]
        index = np.unravel_index(np.arange(self.start, self.stop), samples)
        return Rows(**{self.role: _widen(np.asarray(array[index]))})


def _widen(values: AnyArray) -> AnyArray:
    """Turn bfloat16, which is the upper half of a float32, into float32."""
    if values.dtype.kind != "V":
        return values
    return (values.view(np.uint16).astype(np.uint32) << 16).view(np.float32)
