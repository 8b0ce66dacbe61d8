"""Arrays at an offset of a file, of any rank, class axis, order and byte order, read by ranges of samples."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from xent_cli.core.block import Rows
from xent_cli.core.input_description import InputDescription
from xent_cli.core.scratch import flat, scratch
from xent_cli.errors import InputError
from xent_cli.readers.interface import SourceInfo
from xent_cli.readers.storage.identity import shrunk
from xent_cli.readers.storage.reading import fill, reading

if TYPE_CHECKING:
    from collections.abc import Iterator

    from xent_cli.core.array_types import AnyArray
    from xent_cli.core.block import Part
    from xent_cli.readers.options import RunNeeds
    from xent_cli.readers.storage.interface import Stream
    from xent_cli.readers.storage.pipe import Copied, Spill
    from xent_cli.readers.storage.stored import Stored


class Layout(NamedTuple):
    """Layout of an array in a file.

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

    @property
    def num_bytes(self) -> int:
        """How many bytes the values take."""
        return math.prod(self.shape) * self.dtype.itemsize

    def sample_shape(self, axis: int | None) -> tuple[int, ...]:
        """Shape of the samples, given the class axis; see `ArraySource`."""
        return self.shape if axis is None else self.shape[:axis] + self.shape[axis + 1 :]

    def num_samples(self, axis: int | None) -> int:
        """How many samples there are."""
        return math.prod(self.sample_shape(axis))


@dataclass(frozen=True, slots=True, eq=False, repr=False)
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
    needs
        How much of it is read at once, and the name of the memory that it is read into.
    """

    file: Stored | Copied
    format: str
    role: str
    layout: Layout
    axis: int | None
    needs: RunNeeds

    info: SourceInfo = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        info = info_of(self.file.name, self.format, self.role, self.layout, self.axis)
        object.__setattr__(self, "info", info)

    def parts(self, first: int = 0) -> Iterator[tuple[int, int, Part]]:
        """See `Source`."""
        _, k, b = self._sides()
        step = max(1, self.needs.task_bytes // (max(1, k) * self.layout.dtype.itemsize))
        if step > b > 1:
            step -= step % b  # whole slabs are read at once
        total = self.layout.num_samples(self.axis)
        for start in range(0, total, step):
            size = min(step, total - start)
            yield first + start, size, self.rows(start, start + size)

    def rows(self, start: int, stop: int) -> Part:
        """See `Source`."""
        layout = self.layout
        _, k, b = self._sides()
        buffer, dtype = self.needs.buffer_name, layout.dtype.str
        return ArrayRows(self.role, buffer, self.file, dtype, layout.offset, k, b, start, stop, self.axis is None)

    def where(self, row: int, role: str, first: int = 0) -> str:
        """See `Source`."""
        return place(self.file.name, row, row - first, self.layout.sample_shape(self.axis))

    def _sides(self) -> tuple[int, int, int]:
        """Shape of the array in file order as [a, k, b], with the classes in the middle."""
        if self.axis is None:
            return math.prod(self.layout.shape), 1, 1
        shape, axis = self.layout.shape, self.axis
        if self.layout.fortran_order:
            shape, axis = shape[::-1], len(shape) - 1 - axis
        return math.prod(shape[:axis]), shape[axis], math.prod(shape[axis + 1 :])


class ArrayRows(NamedTuple):
    """Recipe for samples `start` to `stop` of an array seen as [a, k, b] in file order, samples running over a and b.

    A `Part`: what `read` returns is valid until the same thread reads into `buffer_name` again.
    """

    role: str
    buffer_name: str
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
                values = scratch(self.buffer_name, (n, self.k), self.dtype)
                self._fill(file, self.start * self.k, flat(values))
            else:
                values = self._gather(file)
        values = widen(values)
        return Rows(**{self.role: values[:, 0] if self.scalar else values})

    def _gather(self, file: Stream) -> AnyArray:
        """Read samples whose classes are `b` apart: a run of samples for each class, or whole [k, b] slabs."""
        first, last = self.start // self.b, (self.stop - 1) // self.b
        out = scratch(self.buffer_name, (self.k, self.stop - self.start), self.dtype)
        done = 0
        for a in range(first, last + 1):
            low = self.start - a * self.b if a == first else 0
            high = self.stop - a * self.b if a == last else self.b
            columns = slice(done, done + high - low)
            done = columns.stop
            base = a * self.k * self.b
            if high - low == self.b:
                slab = scratch("slab", (self.k, self.b), self.dtype)
                self._fill(file, base, flat(slab))
                out[:, columns] = slab
            else:
                for c in range(self.k):
                    self._fill(file, base + c * self.b + low, out[c, columns])
        return out.T

    def _fill(self, file: Stream, element: int, out: AnyArray) -> None:
        """Read consecutive elements from the file into contiguous memory [m]."""
        file.seek(self.offset + element * out.itemsize)
        target = out.view(np.uint8).data
        with reading(self.file.name):
            if fill(file, target) < len(target):
                raise shrunk(self.file.name)


def info_of(
    name: str, format_name: str, role: str, layout: Layout, axis: int | None, *, rereadable: bool = True
) -> SourceInfo:
    """The facts of an array in a role; a bfloat16 array is read as float32."""
    dtype = np.dtype(np.float32) if layout.dtype.kind == "V" else layout.dtype
    return SourceInfo(
        InputDescription(name, format_name, layout.shape, dtype.name),
        dtype,
        () if axis is None else (layout.shape[axis],),
        layout.num_samples(axis),
        layout.sample_shape(axis),
        frozenset({role}),
        rereadable=rereadable,
    )


def lies_scattered(layout: Layout, axis: int | None) -> bool:
    """Whether consecutive samples are scattered over the file: Fortran order and several sample axes."""
    return layout.fortran_order and sum(side > 1 for i, side in enumerate(layout.shape) if i != axis) > 1


def too_much(name: str, found: str, expected: str) -> InputError:
    """Error for a file with more bytes than its array header says."""
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
