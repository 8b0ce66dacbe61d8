"""An array stored in a file, of any rank, class axis, order and byte order, read by ranges of samples."""

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
    from xent_cli.readers.storage.pipe import Copied, Spill
    from xent_cli.readers.storage.stored import Stored

# A run of up to this many tasks is cut into a multiple of `_SHARES`; in a longer one, an odd last task matters less.
_FEW_TASKS, _SHARES = 8, 4


class Layout(NamedTuple):
    """Layout of an array in a file.

    Fields
    ------
    shape, fortran_order, dtype
        As `numpy.save` writes them.
    offset
        Offset of the first value in the file, in bytes.
    strides
        Distance between neighbours along each axis, counted in values; None if the array is contiguous.
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
    """An array in a file, in one role, whose samples lie one after another; see `Source`.

    Fields
    ------
    format
        Of the file: "npy", "npz" or "safetensors".
    role
        Which field of `Rows` it fills.
    axis
        Class axis, not negative; None if a sample is one number.
    needs
        How much is read at once, and the name of the buffer that it is read into.
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
        total = self.layout.num_samples(self.axis)
        step = samples_a_task(total, self._row_bytes(), self.needs.task_bytes)
        for start in range(0, total, step):
            size = min(step, total - start)
            yield first + start, size, self.rows(start, start + size)

    def _row_bytes(self) -> int:
        """How many bytes a sample takes."""
        k = 1 if self.axis is None else self.layout.shape[self.axis]
        return max(1, k) * self.layout.dtype.itemsize

    def rows(self, start: int, stop: int) -> Part:
        """See `Source`."""
        layout, axis = self.layout, self.axis
        k = 1 if axis is None else layout.shape[axis]
        buffer, dtype = self.needs.buffer_name, layout.dtype.str
        return ArrayRows(self.role, buffer, self.file, dtype, layout.offset, k, start, stop, axis is None)

    def where(self, row: int, role: str, first: int = 0) -> str:
        """See `Source`."""
        return place(self.file.name, row, row - first, self.layout.sample_shape(self.axis))


def samples_a_task(total: int, row_bytes: int, task_bytes: int) -> int:
    """Return the number of samples in a task: short runs have a multiple of four, for two or four threads to share.

    It does not depend on the number of threads, as what a run writes must not.

    Examples
    --------
    >>> samples_a_task(1_000_000, 40, 8 << 20)  # eight tasks, as five would be three for one thread and two for another
    125000
    >>> samples_a_task(100_000_000, 40, 8 << 20)
    209715
    """
    most = max(1, task_bytes // row_bytes)
    tasks = -(-total // most)
    return most if tasks < 2 or tasks > _FEW_TASKS else -(-total // (-(-tasks // _SHARES) * _SHARES))


class ArrayRows(NamedTuple):
    """Recipe for samples `start` to `stop` of an array whose samples lie one after another, as [n, k] in C order.

    A `Part`: what `read` returns is valid until the same thread reads into `buffer_name` again.
    """

    role: str
    buffer_name: str
    file: Stored | Copied | Spill
    dtype: str
    offset: int
    k: int
    start: int
    stop: int
    scalar: bool

    def read(self) -> Rows:
        """Read the samples as [n, k], or [n] where a sample is one number."""
        values = scratch(self.buffer_name, (self.stop - self.start, self.k), self.dtype)
        target = flat(values).view(np.uint8).data
        with self.file.open() as file, reading(self.file.name):
            file.seek(self.offset + self.start * self.k * values.itemsize)
            if fill(file, target) < len(target):
                raise shrunk(self.file.name)
        values = widen(values)
        return Rows(**{self.role: values[:, 0] if self.scalar else values})


def info_of(
    name: str, format_name: str, role: str, layout: Layout, axis: int | None, *, rereadable: bool = True
) -> SourceInfo:
    """The facts of an array in a role; a bfloat16 array is read as float32."""
    stored = "bfloat16" if layout.dtype.kind == "V" else layout.dtype.name
    dtype = np.dtype(np.float32) if layout.dtype.kind == "V" else layout.dtype
    return SourceInfo(
        InputDescription(name, format_name, layout.shape, stored),
        dtype,
        () if axis is None else (layout.shape[axis],),
        layout.num_samples(axis),
        layout.sample_shape(axis),
        frozenset({role}),
        rereadable=rereadable,
    )


def lies_in_order(layout: Layout, axis: int | None) -> bool:
    """Whether the values of each sample are contiguous, and follow those of the previous sample.

    Examples
    --------
    >>> lies_in_order(Layout((3, 4), False, np.dtype("f4"), 128), 1)
    True
    >>> lies_in_order(Layout((3, 4), True, np.dtype("f4"), 128), 1)
    False
    """
    if layout.strides is not None:
        return False
    long = [i for i, side in enumerate(layout.shape) if side != 1]
    if axis is not None and axis in long:
        last = long[0] if layout.fortran_order else long[-1]
        if axis != last:
            return False
        long.remove(axis)
    return len(long) < 2 or not layout.fortran_order


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
    """Return the location of sample `row`, which has number `index` in an array whose samples have this shape."""
    if len(shape) < 2:
        return f"{name} sample {row}"
    at = ", ".join(str(i) for i in np.unravel_index(index, shape))
    return f"{name} sample {row} (at [{at}])"
