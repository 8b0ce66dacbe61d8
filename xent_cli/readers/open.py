"""Tell the format of a file from its content and open it."""

from __future__ import annotations

import difflib
from pathlib import Path
from typing import TYPE_CHECKING

from xent_cli.errors import InputError

if TYPE_CHECKING:
    from xent_cli.readers.interface import ReadOptions, Source

_TEXT_SUFFIXES = (".csv", ".tsv", ".tab", ".txt")


def open_source(
    path: str,
    role: str,
    options: ReadOptions,
    *,
    axis: int | None = None,
    class_names: tuple[str, ...] | None = None,
    num_classes: int = 0,
) -> Source:
    """Open a file in a role.

    Parameters
    ----------
    path
        A file.
    role
        "logits", "labels" or "weights".
    axis
        Class axis of an array; None where a sample is one number.
    class_names, num_classes
        Of the logits, for labels that go with them.

    Raises
    ------
    InputError
        Where there is no such file, or its format is not known.
    """
    format_name = options.input_format or _format_of(path)
    if format_name == "npy":
        from xent_cli.readers.npy import open_npy

        return open_npy(path, role, axis, options.logits_dtype if role == "logits" else None)
    if format_name == "parquet":
        from xent_cli.readers.parquet import open_parquet

        return open_parquet(path, role, options, class_names=class_names, num_classes=num_classes)
    from xent_cli.readers.csv import open_csv

    return open_csv(path, role, options, class_names=class_names, num_classes=num_classes)


def _format_of(path: str) -> str:
    try:
        with Path(path).open("rb") as file:
            head = file.read(8)
    except FileNotFoundError:
        folder = Path(path).parent
        near = (
            difflib.get_close_matches(Path(path).name, [p.name for p in folder.glob("*")], 1) if folder.is_dir() else []
        )
        hint = f"did you mean {folder / near[0]}?" if near else ""
        raise InputError("no such file", path, hint=hint) from None
    except IsADirectoryError:
        raise InputError("not a file", path, found="a directory", expected="a file") from None
    except OSError as error:
        raise InputError("cannot read file", path, found=error.strerror or str(error)) from None
    if head.startswith(b"\x93NUMPY"):
        return "npy"
    if head.startswith(b"PAR1"):
        return "parquet"
    suffix = Path(path).suffix.lower()
    if not head:
        raise InputError("empty file", path, found="0 bytes")
    if suffix in (".npy", ".parquet") and not _looks_like_text(head):
        raise InputError(
            "content does not fit the name",
            path,
            found=f"bytes {head[:6]!r}",
            expected=f"a {suffix} file",
            hint="the file is damaged, or of another format",
        )
    return "csv"


def _looks_like_text(head: bytes) -> bool:
    return all(byte >= 32 or byte in b"\t\r\n" for byte in head)
