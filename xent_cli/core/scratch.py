"""Working memory that a thread keeps from one tile to the next, and flat views through which it is written."""

from __future__ import annotations

import math
import threading
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import DTypeLike

    from xent_cli.core.array_types import AnyArray

# Memory begins at a cache line.
_LINE_BYTES = 64

_buffers = threading.local()


def scratch(name: str, shape: tuple[int, ...], dtype: DTypeLike) -> AnyArray:
    """Return an uninitialised array, valid until the same thread asks for the same name again.

    Allocating it anew for each tile would cost a page fault every 4 KiB, a sixth of the run.
    """
    held: tuple[AnyArray | None, AnyArray | None] = getattr(_buffers, name, (None, None))
    memory, last = held
    wanted = np.dtype(dtype)
    if last is not None and last.shape == shape and last.dtype is wanted:
        return last
    size = math.prod(shape) * wanted.itemsize
    if memory is None or memory.size < size:
        memory = np.empty(size + _LINE_BYTES, np.uint8)
        memory = memory[-memory.ctypes.data % _LINE_BYTES :]
    array: AnyArray = memory[:size].view(wanted).reshape(shape)
    setattr(_buffers, name, (memory, array))
    return array


def flat(array: AnyArray) -> AnyArray:
    """Return a one-dimensional view of an array, through which it can be written; ValueError if that would need a copy.

    `ravel` and `reshape` return a view or a copy, depending on the layout, and a write to a copy would be lost.

    Examples
    --------
    >>> tile = np.zeros((2, 3))
    >>> flat(tile)[4] = 1.0
    >>> tile.tolist()
    [[0.0, 0.0, 0.0], [0.0, 1.0, 0.0]]
    """
    if not array.flags.c_contiguous:
        raise ValueError(f"no flat view of an array of shape {array.shape} and strides {array.strides}")
    return array.reshape(-1)
