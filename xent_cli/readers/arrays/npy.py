"""Arrays in .npy files: the header, read without trusting it."""

from __future__ import annotations

import ast
from typing import TYPE_CHECKING

import numpy as np

from xent_cli.errors import InputError, UsageError
from xent_cli.readers.arrays.array_source import ArraySource, Layout, lies_in_order, too_much
from xent_cli.readers.storage.stored import Stored

if TYPE_CHECKING:
    from xent_cli.readers.interface import Classes, Source
    from xent_cli.readers.options import ReadOptions
    from xent_cli.readers.storage.interface import Bytes
    from xent_cli.readers.storage.pipe import Copied

# A header of names and numbers; NumPy itself never writes more than a few hundred bytes.
_MAX_HEADER = 1 << 16
HEAD_BYTES = _MAX_HEADER + 12


def read_header(path: str, head: bytes) -> Layout:
    """Parse the head of a .npy file, versions 1 to 3, without trusting it.

    Raises
    ------
    InputError
        If the header is damaged, or describes Python objects, which are never unpickled.
    """
    version = head[6:8]
    if version not in (b"\x01\x00", b"\x02\x00", b"\x03\x00"):
        raise InputError("unknown .npy version", path, found=repr(version), expected="version 1, 2 or 3")
    width = 2 if version[0] == 1 else 4
    length = int.from_bytes(head[8 : 8 + width], "little")
    text = head[8 + width : 8 + width + length]
    if length > _MAX_HEADER or len(text) < length:
        raise _damaged(path)
    # numpy.lib.format has public functions for versions 1 and 2, but not for 3, whose names may be beyond Latin-1. This
    # does what they do.
    try:
        fields = ast.literal_eval(text.decode("utf-8" if version[0] == 3 else "latin-1").strip())
        shape, order, descr = fields["shape"], fields["fortran_order"], fields["descr"]
        sound = isinstance(shape, tuple) and all(type(side) is int and side >= 0 for side in shape)
        dtype = np.dtype(descr) if isinstance(descr, str) else np.lib.format.descr_to_dtype(descr)
    except (ValueError, SyntaxError, TypeError, KeyError, IndexError, MemoryError, RecursionError):
        raise _damaged(path) from None
    if not sound:
        raise _damaged(path)
    if dtype.hasobject:
        raise InputError(
            "Python objects in a .npy file",
            path,
            found="dtype object, which is a pickle",
            expected="numbers",
            hint=_line_for_objects(path, shape),
        )
    return Layout(shape, bool(order), dtype, 8 + width + length)


def _damaged(path: str) -> InputError:
    return InputError("damaged .npy header", path, hint="write the file again with numpy.save")


def _line_for_objects(path: str, shape: tuple[int, ...]) -> str:
    """Return the line that converts an array of objects, which are its rows or a single dict."""
    from xent_cli.readers.foreign_formats.refuse import command
    from xent_cli.readers.foreign_formats.signatures import TRUSTED

    file, _, member = path.partition(".npz:")
    held = f"numpy.load(FILE, allow_pickle=True){f'[{member!r}]' if member else ''}"
    held = f"numpy.stack({held})" if shape else f"{held}.item()['logits']"
    return TRUSTED + command(f"import numpy; numpy.save('logits.npy', {held})", f"{file}.npz" if member else file)


def open_npy(source: Bytes, head: bytes, role: str, options: ReadOptions, classes: Classes) -> Source:
    """Open an array in a role; see `Opener`.

    Raises
    ------
    InputError
        If the file is damaged, shorter or longer than its header says, or holds no numbers; labels may be text.
    UsageError
        If the array has no such axis.
    """
    layout = read_header(source.name, head)
    if isinstance(source, Stored) and not source.codec:
        size = source.size()
        wanted = layout.offset + layout.num_bytes
        if size < wanted:
            raise InputError(
                "truncated .npy file",
                source.name,
                found=f"{size} bytes",
                expected=f"{wanted} bytes for shape {layout.shape} of {layout.dtype}",
                hint="the file was cut short, or is still being written",
            )
        if size > wanted:
            raise too_much(source.name, f"{size} bytes", f"{wanted} bytes for shape {layout.shape} of {layout.dtype}")
    if layout.dtype.names is not None:
        from xent_cli.readers.arrays.records import open_records

        return open_records(source, layout, role, options, classes)
    return open_array(source, "npy", layout, role, options, classes)


def open_array(
    source: Bytes,
    format_name: str,
    layout: Layout,
    role: str,
    options: ReadOptions,
    classes: Classes,
    *,
    bfloat16: bool = False,
) -> Source:
    """Open an array whose layout is known; see `open_npy`.

    Parameters
    ----------
    bfloat16
        Whether the file says that its 16-bit values are bfloat16.
    """
    name, found, axis = source.name, layout.dtype, classes.axis
    bfloat16 = bfloat16 or options.bfloat16(role)
    if bfloat16 and found.kind in "iu" and found.itemsize == 2:  # tensor.view(torch.int16)
        if not found.isnative:
            hint = "save them in the machine's own byte order"
            raise InputError(
                "bits of bfloat16 in another byte order", name, f"dtype {found.str}", "int16 or uint16", hint
            )
        found = np.dtype("V2")
        layout = layout._replace(dtype=found)
    if found.kind == "V" and found.itemsize == 2:
        if not bfloat16:
            option = "--labels-dtype" if role == "labels" else "--logits-dtype"
            raise InputError(
                "values of unknown type",
                name,
                found="2-byte void (|V2)",
                expected="numbers",
                hint=f"numpy.save writes bfloat16 like this: add {option} bfloat16",
            )
    elif (found.kind not in "biuf" or found.itemsize > 8) and (
        found.kind not in "US" or role not in ("labels", "groups")
    ):
        hint = "convert with .astype('float64')" if found.kind in "fc" else ""
        raise InputError(
            "values are not numbers" if found.kind not in "fc" else "dtype not supported",
            name,
            found=f"dtype {found.name}",
            expected="floats of up to 64 bits, integers or bool",
            hint=hint,
        )
    if axis is not None:
        rank = len(layout.shape)
        if not -rank <= axis < rank:
            axes = f"{-rank} to {rank - 1}" if rank else "none"
            hint = f"axes of this array are {axes}; by default, the classes are along the last"
            raise UsageError(f"--axis {axis} is out of range: {name} has shape {layout.shape}", hint=hint)
        axis %= rank
    in_order = lies_in_order(layout, axis)
    held: Stored | Copied
    if isinstance(source, Stored) and not source.codec:
        held = source
    else:
        if in_order:
            from xent_cli.readers.arrays.streamed_array import StreamedArray

            return StreamedArray(source, format_name, role, layout, axis, options.run)
        from xent_cli.readers.storage import pipe

        held = pipe.Copied(source)
    if in_order:
        return ArraySource(held, format_name, role, layout, axis, options.run)
    from xent_cli.readers.arrays.strided_array import StridedArray

    return StridedArray(held, format_name, role, layout, axis, options.run)
