"""The zip archive that torch.save writes: the offsets of its members, and what its pickle describes."""

from __future__ import annotations

import os
import zipfile
from dataclasses import dataclass
from functools import lru_cache
from typing import IO, TYPE_CHECKING

from xent_cli.errors import InputError
from xent_cli.readers.arrays.stored_member import data_offset, opened
from xent_cli.readers.arrays.torch_names import BARE, Array, Joined, name_tensors
from xent_cli.readers.arrays.torch_pickle import MAX_BYTES, damaged, read_pickle, too_many_objects
from xent_cli.readers.arrays.torch_types import SAVE_LINE, Tensor
from xent_cli.readers.storage.reading import first_line, is_url
from xent_cli.readers.storage.streams import zip_failures

if TYPE_CHECKING:
    from xent_cli.readers.storage.stored import Stored

_PICKLE = "/data.pkl"
_ENCRYPTED = 1


@dataclass(frozen=True, slots=True)
class Archive:
    """A zip archive that torch wrote: its members, and the arrays that its pickle describes."""

    source: Stored
    root: str
    members: dict[str, zipfile.ZipInfo]
    arrays: dict[str, Array]
    size: int

    def array(self, name: str) -> Array:
        """Return the array of this name; each piece of a joined array has its own name."""
        found = self.arrays.get(name)
        return self._pieces()[name] if found is None else found

    @property
    def bare(self) -> bool:
        """Whether the file holds one array, which has no name in it."""
        return list(self.arrays) == [BARE]

    def _pieces(self) -> dict[str, Tensor]:
        joined = [array for array in self.arrays.values() if isinstance(array, Joined)]
        return {name: tensor for array in joined for name, tensor in array.pieces}

    def has(self, name: str) -> bool:
        """Whether there is an array, or a piece of one, of this name."""
        return name in self.arrays or name in self._pieces()


def open_archive(source: Stored) -> Archive:
    """Read what an archive holds; an object whose version the server names is read once for all roles."""
    known = is_url(source.path) and source.identity is not None and source.identity.tag
    return _read_again(source) if known else _read_archive(source)


@lru_cache(maxsize=4)
def _read_again(source: Stored) -> Archive:
    return _read_archive(source)


def _read_archive(source: Stored) -> Archive:
    try:
        with opened(source) as file, zipfile.ZipFile(file) as archive:
            size = file.seek(0, os.SEEK_END)
            infos = archive.infolist()
            members = {info.filename: info for info in infos}
            root = _root(source, members)
            if len(members) < len(infos):
                raise damaged(source.name, "two members of one name")
            for name, info in members.items():
                if info.compress_type != zipfile.ZIP_STORED or info.flag_bits & _ENCRYPTED:
                    hint = "torch.save stores its members: save it again, or unzip it and zip it with zip -0"
                    raise InputError("a compressed PyTorch file", source.name, found=f"member {name}", hint=hint)
            _refuse_other_order(source.name, file, size, members.get(f"{root}/byteorder"))
            pickle = members[root + _PICKLE]
            if pickle.file_size > MAX_BYTES:
                raise too_many_objects(source.name, f"a pickle of {pickle.file_size} bytes")
            tree = read_pickle(_content(source.name, file, size, pickle), source.name)
    except InputError:
        raise
    except zip_failures() as error:
        raise damaged(source.name, first_line(error)) from None
    return Archive(source, root, members, name_tensors(tree, source.name), size)


def _root(source: Stored, members: dict[str, zipfile.ZipInfo]) -> str:
    """The top folder of the archive, whose name may be anything."""
    roots = [name.removesuffix(_PICKLE) for name in members if name.endswith(_PICKLE) and name.count("/") == 1]
    if len(roots) != 1:
        raise damaged(source.name, f"{len(roots)} members called data.pkl")
    (root,) = roots
    if f"{root}/constants.pkl" in members or any(name.startswith(f"{root}/code/") for name in members):
        raise InputError(
            "a model, not its outputs",
            source.name,
            found="a TorchScript archive, which is a program",
            expected="a file of tensors",
            hint=f"run the model and save what it returns: {SAVE_LINE}",
        )
    return root


def _refuse_other_order(name: str, file: IO[bytes], size: int, member: zipfile.ZipInfo | None) -> None:
    order = b"little" if member is None else _content(name, file, size, member)
    if order != b"little":
        raise InputError(
            "bytes in another order",
            name,
            found=f"byte order {order[:20]!r}",
            expected="little",
            hint="load it with torch on a little-endian machine, and save it again",
        )


def _content(name: str, file: IO[bytes], size: int, member: zipfile.ZipInfo) -> bytes:
    """Read a stored member; its checksum is not verified, because torch can be told to leave it out."""
    file.seek(data_offset(name, file, size, member))
    content = file.read(member.file_size)
    if len(content) < member.file_size:
        raise damaged(name, f"member {member.filename} ends early")
    return content
