"""Arrays that lie in a file at some offset: any rank, class axis, order and byte order, read by ranges of samples."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from xent_cli.core.block import Rows
from xent_cli.core.input_description import InputDescription
from xent_cli.core.scratch import flat, scratch
from xent_cli.errors import InputError
from xent_cli.readers.interface import TASK_BYTES
from xent_cli.readers.storage.identity import shrunk
from xent_cli.readers.storage.stored import fill, reading

if TYPE_CHECKING:
    from collections.abc import Iterator

    from xent_cli.core.array_types import AnyArray
    from xent_cli.core.block import Part
    from xent_cli.readers.storage.pipe import Copied, Spill
    from xent_cli.readers.storage.stored import Stored, Stream


@dataclass(frozen=True, slots=True)
class Layout:
    """How an array lies in a file.

    Fields
    ------
    shape, fortran_order, dtype
        As `numpy.save` writes them.
    offset
        Where the first value lies, in bytes.
    strides
        How many values apart neighbours along each axis lie; None where the array is contiguous.
    """

    shape: tuple[int, ...]
    fortran_order: bool
    dtype: np.dtype[Any]
    offset: int
    strides: tuple[int, ...] | None = None


@dataclass(frozen=True, slots=True)
class ArraySource:
    """An array in a file, in one role; see `Source`.

    Fields
    ------
    format
        Of the file: "npy", "npz" or "safetensors".
    role
        Which field of `Rows` it fills.
    axis
        Class axis, not negative; None where a sample is one number.
    loan
        Name of the memory that a thread reads it into: the same for all shards of an input.
    """

    file: Stored | Copied
    format: str
    role: str
    layout: Layout
    axis: int | None
    loan: str
    class_names: tuple[str, ...] | None = None
    named_labels: bool = False
    plan: None = None

    @property
    def description(self) -> InputDescription:
        """See `Source`."""
        return InputDescription(self.file.name, self.format, self.layout.shape, self.dtype.name)

    @property
    def dtype(self) -> np.dtype[Any]:
        """See `Source`; a bfloat16 array is read as float32."""
        return np.dtype(np.float32) if self.layout.dtype.kind == "V" else self.layout.dtype

    @property
    def sample_shape(self) -> tuple[int, ...]:
        """See `Source`."""
        shape = self.layout.shape
        return shape if self.axis is None else shape[: self.axis] + shape[self.axis + 1 :]

    @property
    def row_shape(self) -> tuple[int, ...]:
        """See `Source`."""
        return () if self.axis is None else (self.layout.shape[self.axis],)

    @property
    def num_rows(self) -> int:
        """See `Source`."""
        return math.prod(self.sample_shape)

    @property
    def brings(self) -> frozenset[str]:
        """See `Source`."""
        return frozenset({self.role})

    @property
    def again(self) -> bool:
        """See `Source`."""
        return True

    def parts(self, first: int = 0) -> Iterator[tuple[int, int, Part]]:
        """See `Source`."""
        _, k, b = self._sides()
        step = max(1, TASK_BYTES // (max(1, k) * self.layout.dtype.itemsize))
        if step > b > 1:
            step -= step % b  # whole slabs are read in one go
        for start in range(0, self.num_rows, step):
            size = min(step, self.num_rows - start)
            yield first + start, size, self.rows(start, start + size)

    def rows(self, start: int, stop: int) -> Part:
        """See `Source`."""
        layout = self.layout
        if lies_scattered(layout, self.axis):
            return FortranRows(self.role, self.file, layout, self.axis, start, stop)
        _, k, b = self._sides()
        return ArrayRows(
            self.role, self.loan, self.file, layout.dtype.str, layout.offset, k, b, start, stop, self.axis is None
        )

    def where(self, row: int, role: str, first: int = 0) -> str:
        """See `Source`."""
        return place(self.file.name, row, row - first, self.sample_shape)

    def _sides(self) -> tuple[int, int, int]:
        """Shape of the array in file order as [a, k, b], with the classes in the middle."""
        if self.axis is None:
            return self.num_rows, 1, 1
        shape, axis = self.layout.shape, self.axis
        if self.layout.fortran_order:
            shape, axis = shape[::-1], len(shape) - 1 - axis
        return math.prod(shape[:axis]), shape[axis], math.prod(shape[axis + 1 :])


@dataclass(frozen=True, slots=True)
class ArrayRows:
    """Recipe for samples `start` to `stop` of an array seen as [a, k, b] in file order, samples running over a and b.

    A `Part`: what `read` returns is on loan until the same thread reads from the same file again.
    """

    role: str
    loan: str
    file: Stored | Copied | Spill
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
        with self.file.open() as file:
            if self.b == 1:
                values = scratch(self.loan, (n, self.k), self.dtype)
                self._fill(file, self.start * self.k, values)
            else:
                values = self._gather(file)
        values = widen(values)
        return Rows(**{self.role: values[:, 0] if self.scalar else values})

    def _gather(self, file: Stream) -> AnyArray:
        """Read samples whose classes lie `b` apart: a run of them for each class, or whole [k, b] slabs."""
        first, last = self.start // self.b, (self.stop - 1) // self.b
        out = scratch(self.loan, (self.k, self.stop - self.start), self.dtype)
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

    def _fill(self, file: Stream, element: int, out: AnyArray) -> None:
        """Read consecutive elements from the file into contiguous memory."""
        file.seek(self.offset + element * out.itemsize)
        target = flat(out).view(np.uint8).data
        with reading(self.file.name):
            if fill(file, target) < len(target):
                raise shrunk(self.file.name)


@dataclass(frozen=True, slots=True)
class FortranRows:
    """Recipe for samples of a Fortran-ordered array of more than one sample axis, where they lie scattered.

    They are taken out of a map of a copy: a file that shrinks while it is mapped would end the process.
    """

    role: str
    file: Stored | Copied
    layout: Layout
    axis: int | None
    start: int
    stop: int

    def read(self) -> Rows:
        """Read the samples as [n, k], or [n] where a sample is one number."""
        layout = self.layout
        try:
            mapped = np.memmap(self.file.path, layout.dtype, "r", layout.offset, layout.shape, order="F")
        except ValueError:
            raise shrunk(self.file.name) from None
        array = mapped if self.axis is None else np.moveaxis(mapped, self.axis, -1)
        samples = array.shape if self.axis is None else array.shape[:-1]
        index = np.unravel_index(np.arange(self.start, self.stop), samples)
        return Rows(**{self.role: widen(np.asarray(array[index]))})


def lies_scattered(layout: Layout, axis: int | None) -> bool:
    """Whether consecutive samples lie all over the file: Fortran order, and more than one axis of samples."""
    return layout.fortran_order and sum(side > 1 for i, side in enumerate(layout.shape) if i != axis) > 1


def too_much(name: str, found: str, expected: str) -> InputError:
    """What to say where there is more than the header of an array says."""
    hint = "where arrays were saved one after the other into it, save each in a file of its own, or use numpy.savez"
    return InputError("more than one array", name, found=found, expected=expected, hint=hint)


def widen(values: AnyArray) -> AnyArray:
    """Turn bfloat16, which is the upper half of a float32, into float32."""
    if values.dtype.kind != "V":
        return values
    return (values.view(np.uint16).astype(np.uint32) << 16).view(np.float32)


def place(name: str, row: int, index: int, shape: tuple[int, ...]) -> str:
    """Name sample `row`, which is the one at `index` of an array whose samples have this shape."""
    if len(shape) < 2:
        return f"{name} sample {row}"
    at = ", ".join(str(i) for i in np.unravel_index(index, shape))
    return f"{name} sample {row} (at [{at}])"
