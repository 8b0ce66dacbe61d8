"""Pointer files, which a repository stores in place of large files."""

from __future__ import annotations

from xent_cli.errors import InputError

_POINTERS = (
    (b"version https://git-lfs", "a Git LFS pointer, not the file", "git lfs pull --include '{}'"),
    (b"/annex/objects/", "a git-annex pointer, not the file", "git annex get '{}'"),
    (b"outs:\n- ", "a DVC file, which says where the file is", "dvc pull '{}', then name the file that it fetches"),
    (b"md5: ", "a DVC file, which says where the file is", "dvc pull '{}', then name the file that it fetches"),
)
_LOOKED_AT = 64


def refuse_pointer(name: str, head: bytes) -> None:
    """Refuse a pointer file of Git LFS, git-annex or DVC.

    Raises
    ------
    InputError
        The hint is the command that fetches the file.
    """
    for magic, found, hint in _POINTERS:
        if head.startswith(magic) and (magic != b"md5: " or name.endswith(".dvc")):
            raise InputError("not the file itself", name, found=found, hint=hint.format(name))
