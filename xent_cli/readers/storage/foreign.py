"""What people take for a file of numbers: pointers to one, and numbers without a header."""

from __future__ import annotations

from pathlib import PurePath
from typing import TYPE_CHECKING

from xent_cli.errors import InputError

if TYPE_CHECKING:
    from xent_cli.readers.storage.stored import Stored

_POINTERS = (
    (b"version https://git-lfs", "a Git LFS pointer, not the file", "git lfs pull --include '{}'"),
    (b"/annex/objects/", "a git-annex pointer, not the file", "git annex get '{}'"),
    (b"outs:\n- ", "a DVC file, which says where the file is", "dvc pull '{}', and name what it brings"),
    (b"md5: ", "a DVC file, which says where the file is", "dvc pull '{}', and name what it brings"),
)
# What raw numbers are called.
_RAW = frozenset({"", ".npy", ".bin", ".dat", ".raw", ".mmap", ".memmap", ".mm", ".f32", ".fp32", ".f16", ".fp16"})
_LOOKED_AT = 64


def refuse_pointer(source: Stored) -> None:
    """Refuse a small text that stands for a file.

    Raises
    ------
    InputError
        Which names the program that brings the file.
    """
    head = source.peek(_LOOKED_AT)
    for magic, found, hint in _POINTERS:
        if head.startswith(magic) and (magic != b"md5: " or source.name.endswith(".dvc")):
            raise InputError("not the file itself", source.name, found=found, hint=hint.format(source.name))


def refuse_raw(name: str, head: bytes) -> None:
    """Refuse numbers that stand without a header, as numpy.memmap and tofile leave them.

    Raises
    ------
    InputError
        Where a file is called so, and is no text.
    """
    suffix = PurePath(name).suffix.lower()
    text = all(byte >= 32 or byte in b"\t\r\n" for byte in head[:_LOOKED_AT])
    if suffix not in _RAW or text or head.startswith((b"\xff\xfe", b"\xfe\xff")):
        return
    raise InputError(
        "no header",
        name,
        found=f"bytes {head[:6]!r}: numbers without shape and dtype, as numpy.memmap and tofile write them, or damage",
        expected="a .npy file",
        hint=f"numpy.save('logits.npy', numpy.memmap('{name}', dtype='float32', mode='r', shape=(n, k)))",
    )
