"""Numbers without a header, as numpy.tofile, numpy.memmap and C programs write them: the user says what they are."""

from __future__ import annotations

import math
import shlex
from pathlib import PurePath
from typing import TYPE_CHECKING

import numpy as np

from xent_cli.errors import InputError, UsageError
from xent_cli.readers.arrays.array_source import Layout
from xent_cli.readers.arrays.npy import open_array
from xent_cli.readers.storage.pipe import seekable
from xent_cli.readers.storage.stored import Stored

if TYPE_CHECKING:
    from xent_cli.readers.interface import Classes, Source
    from xent_cli.readers.options import ReadOptions
    from xent_cli.readers.storage.interface import Bytes

# Files that begin with these bytes are never read as raw numbers, whatever the user says.
_FORMATS = (b"\x93NUMPY", b"PAR1", b"PK\3\4", b"PK\5\6", b"ARROW1")
# Suffixes that raw numbers have. With any other suffix, at least one byte in `_SHARE` must be one that text does not
# have.
_CALLED = frozenset({"", ".npy", ".bin", ".dat", ".raw", ".mmap", ".memmap", ".mm", ".f32", ".fp32", ".f16", ".fp16"})
_SHARE, _FEW = 32, 4
_LOOKED_AT = 256


def open_raw(source: Bytes, head: bytes, role: str, options: ReadOptions, classes: Classes) -> Source:
    """Open numbers in C order in a role; see `Opener`. They are little-endian unless the dtype says otherwise.

    Raises
    ------
    InputError
        If their shape or type is not said, or the size of the file does not fit it.
    """
    shape, said = options.shape, options.logits_dtype
    if role == "labels":
        shape, said = options.known.labels_shape, options.labels_dtype
    if said is None:
        raise UsageError("--shape without --logits-dtype", hint="say what the numbers are: --logits-dtype float32")
    values = np.dtype("V2" if said == "bfloat16" else said)
    if said.isalnum():
        values = values.newbyteorder("<")
    if -1 in shape and not (isinstance(source, Stored) and not source.codec):
        source = seekable(source)
    if isinstance(source, Stored) and not source.codec:
        shape = shape_of(source.name, source.size(), shape, values.itemsize, said)
    return open_array(source, "raw", Layout(shape, False, values, 0), role, options, classes)


def shape_of(name: str, size: int, shape: tuple[int, ...], itemsize: int, dtype: str) -> tuple[int, ...]:
    """Return the shape, with its unknown length computed from the number of bytes.

    Raises
    ------
    InputError
        If the bytes do not fill such an array.

    Examples
    --------
    >>> shape_of("x.bin", 480, (-1, 3), 4, "float32")
    (40, 3)
    """
    row = math.prod(side for side in shape if side != -1) * itemsize
    product = " x ".join(str(side) for side in (*(side for side in shape if side != -1), itemsize))
    if size % row or (-1 not in shape and size != row):
        wanted = f"a multiple of {row} bytes" if -1 in shape else f"{row} bytes"
        raise InputError(
            "size of the file does not fit the shape",
            name,
            found=f"{size} bytes",
            expected=f"{wanted}: {product} for {dtype} of shape {','.join(map(str, shape))}",
            hint="is the type right, and has the file no header?",
        )
    return tuple(size // row if side == -1 else side for side in shape)


def are_numbers(name: str, head: bytes) -> bool:
    """Whether a file that the user calls raw numbers begins neither like a known format nor like text.

    Raises
    ------
    InputError
        If it has a format that xent recognises but does not read.
    """
    from xent_cli.readers.foreign_formats.refuse import refuse_foreign

    safetensors = head[8:9] == b"{" and head[5:8] == b"\0\0\0"
    text = b"\n" in head and all(byte >= 32 or byte in b"\t\r\n" for byte in head[:_LOOKED_AT]) and head.isascii()
    if head.startswith(_FORMATS) or safetensors or text:
        return False
    refuse_foreign(name, head, certain=True)
    return True


def refuse_numbers(name: str, head: bytes, role: str) -> None:
    """Refuse bytes of an unknown format if too many of them are not text.

    Raises
    ------
    InputError
        With the line that reads numbers without a header.
    """
    head = head[:_LOOKED_AT]
    strange = sum(byte < 32 and byte not in b"\t\r\n\f\x1b" for byte in head)
    called = PurePath(name).suffix.lower() in _CALLED
    if (strange < _FEW or strange * _SHARE < len(head)) and not (called and strange):
        return
    place = shlex.quote(name)
    line = {
        "logits": f"xent compute {place} labels.npy --shape -1,10 --logits-dtype float32",
        "labels": f"xent compute logits.npy {place} --labels-dtype int64",
    }.get(role, f"python -c \"import numpy; numpy.save('values.npy', numpy.fromfile({name!r}, 'float32'))\"")
    raise InputError(
        "no header",
        name,
        found=f"bytes {head[:6]!r}: numbers without shape and type, as numpy.tofile writes them, or damage",
        expected="a file that says what it holds",
        hint=f"for numbers, say what they are, as in {line}",
    )
