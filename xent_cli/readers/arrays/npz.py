"""Arrays in .npz archives: read in place where they are stored, streamed where they are deflated."""

from __future__ import annotations

import os
import zipfile
from dataclasses import replace
from typing import TYPE_CHECKING

from xent_cli.errors import InputError
from xent_cli.readers.arrays.array_source import too_much
from xent_cli.readers.arrays.npy import HEAD_BYTES, open_array, read_header
from xent_cli.readers.arrays.numbered_arrays import choose_pieces, in_turn
from xent_cli.readers.arrays.stored_member import data_offset, opened
from xent_cli.readers.storage.pipe import seekable
from xent_cli.readers.storage.reading import first_line, read_up_to
from xent_cli.readers.storage.streams import Packed, zip_failures

if TYPE_CHECKING:
    from xent_cli.readers.interface import Classes, Source
    from xent_cli.readers.options import ReadOptions
    from xent_cli.readers.storage.interface import Bytes
    from xent_cli.readers.storage.stored import Stored


def open_npz(source: Bytes, head: bytes, role: str, options: ReadOptions, classes: Classes) -> Source:
    """Open one array of an archive in a role, or numbered ones one after the other; see `Opener`.

    Raises
    ------
    InputError
        If the archive is damaged, or has no array for the role.
    """
    source = seekable(source)
    try:
        with opened(source) as file, zipfile.ZipFile(file) as archive:
            infos = archive.infolist()
            members = {info.filename.removesuffix(".npy"): info for info in infos}
            if not any(info.filename.endswith(".npy") for info in members.values()):
                if any(name.endswith("/data.pkl") for name in members):
                    from xent_cli.readers.arrays.torch_save import open_torch_save

                    return open_torch_save(source, head, role, options, classes)
                from xent_cli.readers.foreign_formats.archives import refuse_archive

                refuse_archive(source.name, archive.namelist())
            if len(members) < len(infos):
                names = [info.filename.removesuffix(".npy") for info in infos]
                twice = next(name for name in members if names.count(name) > 1)
                hint = "an array was saved again under its name: write the archive again with numpy.savez"
                raise InputError("two arrays of one name", source.name, f'"{twice}"', "each name once", hint)
            keys = choose_pieces(source.name, list(members), role, options)
            heads = {key: _head(archive, members[key]) for key in keys}
            stored = [key for key in keys if members[key].compress_type == zipfile.ZIP_STORED]
            size = file.seek(0, os.SEEK_END)
            starts = {key: data_offset(source.name, file, size, members[key]) for key in stored}
    except InputError:
        raise
    except zip_failures() as error:
        raise InputError("damaged .npz file", source.name, found=first_line(error)) from None

    def open_member(key: str) -> Source:
        return _open_member(source, members[key], heads[key], starts.get(key), role, options, classes)

    return in_turn(source.name, keys, role, classes.axis, open_member)


def _head(archive: zipfile.ZipFile, member: zipfile.ZipInfo) -> bytes:
    with archive.open(member) as stream:
        return read_up_to(stream, HEAD_BYTES)  # type: ignore[arg-type]


def _open_member(
    source: Stored,
    member: zipfile.ZipInfo,
    head: bytes,
    start: int | None,
    role: str,
    options: ReadOptions,
    classes: Classes,
) -> Source:
    """Open an array from its first bytes, and its offset in the archive if it is uncompressed."""
    key = member.filename.removesuffix(".npy")
    array = replace(source, name=f"{source.name}:{key}", codec="zip", member=Packed.of(member))
    layout = read_header(array.name, head)
    wanted = layout.offset + layout.num_bytes
    if member.file_size < wanted:
        found = f"{member.file_size} bytes"
        raise InputError("truncated array", array.name, found=found, expected=f"{wanted} bytes for {layout.shape}")
    if member.file_size > wanted:
        raise too_much(array.name, f"{member.file_size} bytes", f"{wanted} bytes for {layout.shape}")
    if start is not None:
        array = replace(array, codec="", member=None)
        layout = layout._replace(offset=start + layout.offset)
    if layout.dtype.names is not None:
        from xent_cli.readers.arrays.records import open_records

        return open_records(array, layout, role, options, classes)
    return open_array(array, "npz", layout, role, options, classes)
