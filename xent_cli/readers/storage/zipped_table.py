"""A zip archive that holds a single table, as pandas and download pages make them."""

from __future__ import annotations

import io
import zipfile
from dataclasses import replace
from pathlib import PurePosixPath
from typing import TYPE_CHECKING, Any

from xent_cli.errors import InputError, listing
from xent_cli.readers.storage.reading import first_line
from xent_cli.readers.storage.streams import Packed, zip_failures

if TYPE_CHECKING:
    from xent_cli.readers.storage.stored import Stored

# Suffixes of files that are allowed next to a table; with any other file, the archive is not a zipped table.
_BESIDE = frozenset({"", ".md", ".rst", ".pdf", ".html"})
_TABLES = frozenset({".csv", ".tsv", ".tab", ".txt", ".json", ".jsonl", ".ndjson", ".parquet", ".arrow", ".feather"})


def zipped_table(source: Stored) -> Stored | None:
    """Return the table in an archive; None if it holds arrays, or no file named like a table.

    Raises
    ------
    InputError
        If the archive holds several tables, or is damaged.
    """
    try:
        raw: Any = source.open()
        with io.BufferedReader(raw) as file, zipfile.ZipFile(file) as archive:
            # Not `is_dir`: it breaks on a damaged archive whose member has no name.
            files = [info for info in archive.infolist() if not info.filename.endswith("/")]
            members = [info for info in files if not _is_hidden(info.filename)]
            if any(info.flag_bits & 1 for info in members):
                hint = f"unpack it with its password: unzip '{source.name}'"
                raise InputError("encrypted archive", source.name, found=listing([members[0].filename]), hint=hint)
            tables = [info for info in members if _suffix(info) in _TABLES]
            for table in tables[:1]:
                archive.open(table).close()  # zipfile compares the directory with the member's own header
    except zip_failures() as error:
        if isinstance(error, InputError):
            raise
        raise InputError("damaged zip archive", source.name, found=first_line(error)) from None
    if not tables or not {*map(_suffix, members)} <= _TABLES | _BESIDE:
        return None
    if len(tables) > 1:
        raise InputError(
            "several tables in a zip archive",
            source.name,
            found=listing([table.filename for table in tables]),
            expected="one",
            hint=f"unpack it, and name one of them: unzip '{source.name}'",
        )
    name = f"{source.name}:{tables[0].filename}"
    return replace(source, name=name, codec="zip", member=Packed.of(tables[0]))


def _suffix(info: zipfile.ZipInfo) -> str:
    return PurePosixPath(info.filename).suffix.lower()


def _is_hidden(name: str) -> bool:
    return any(part.startswith(".") or part == "__MACOSX" for part in PurePosixPath(name).parts)
