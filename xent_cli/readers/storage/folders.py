"""Folders that hold one table: which files contain its rows, in which order, and which columns the folder names add."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any
from urllib.parse import unquote

from xent_cli.errors import InputError, listing

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

# Hive's name for a missing value.
_NULL = "__HIVE_DEFAULT_PARTITION__"
_WHOLE = re.compile(r"-?(0|[1-9][0-9]{0,17})")
# The datasets library puts these next to a table: cached results of a map function.
_CACHE = re.compile(r"cache-[0-9a-f]+(_\d+_of_\d+)?\.arrow|tmp[^/]*")


@dataclass(frozen=True, slots=True)
class Partition:
    """What a folder such as ``split=test`` says about the rows in it.

    Fields
    ------
    name
        Name of the column.
    value
        Whole number or text; None if it is missing.
    values
        The values of all folders with this name.
    """

    name: str
    value: str | int | None
    values: frozenset[str | int | None]


def is_partition(folder: str) -> bool:
    """Whether the name of a folder gives the value of a column for all rows in it.

    Examples
    --------
    >>> is_partition("split=test"), is_partition("test"), is_partition("=")
    (True, False, False)
    """
    return folder.find("=") > 0


def partitions_of(name: str, folders: Sequence[Sequence[str]]) -> tuple[tuple[Partition, ...], ...]:
    """Return the column values that the folders of each file give, in the order of the files.

    Parameters
    ----------
    folders
        For each file, the folders that it is in, such as ``("year=2024", "split=test")``.

    Raises
    ------
    InputError
        If some files are in partitions and others are not, or are in partitions with different names.

    Examples
    --------
    >>> [[part.value for part in parts] for parts in partitions_of("d", [["n=1"], ["n=2"]])]
    [[1], [2]]
    """
    said: list[dict[str, str]] = []
    for path in folders:
        pairs = (folder.partition("=") for folder in path if is_partition(folder))
        said.append({unquote(key): unquote(value) for key, _, value in pairs})
    first = said[0] if said else {}
    for place, found in enumerate(said):
        if list(found) != list(first):
            raise InputError(
                "files in different partitions",
                name,
                found=f"{'/'.join(folders[place]) or 'no folder'} beside {'/'.join(folders[0]) or 'no folder'}",
                expected="folders of the same names around every file",
                hint=f"name the files that belong together, as in '{name}/{_star(folders)}'",
            )
    values = {key: [found[key] for found in said] for key in first}
    typed = {key: _typed(texts) for key, texts in values.items()}
    every = {key: frozenset(held) for key, held in typed.items()}
    return tuple(tuple(Partition(key, typed[key][place], every[key]) for key in first) for place in range(len(said)))


def _star(folders: Sequence[Sequence[str]]) -> str:
    longest = max(folders, key=len)
    return "/".join([*(re.sub("=.*", "=*", folder) for folder in longest), "*"])


def _typed(texts: Sequence[str]) -> list[str | int | None]:
    """Convert the values of a key: to integers if all of them are, otherwise to text."""
    held = [None if text in (_NULL, "") else text for text in texts]
    if all(text is None or _WHOLE.fullmatch(text) for text in held):
        return [None if text is None else int(text) for text in held]
    return list(held)


def refuse_splits(name: str, entries: Sequence[str], described: str | None) -> None:
    """Refuse a folder of the datasets library that holds several tables.

    Parameters
    ----------
    described
        What its ``dataset_dict.json`` contains, if that could be read.

    Raises
    ------
    InputError
        Which lists the splits.
    """
    if "dataset_dict.json" not in entries:
        return
    found = _object(described).get("splits")
    splits = [split for split in found if isinstance(split, str)] if isinstance(found, list) else []
    splits = splits or sorted(entry for entry in entries if "." not in entry)
    chosen = next((split for split in ("test", "validation", *splits) if split in splits), "test")
    raise InputError(
        "several splits",
        name,
        found=f"a DatasetDict of {listing(splits)}",
        expected="one of them",
        hint=f"name one: xent compute {name.rstrip('/')}/{chosen}",
    )


def dataset_files(name: str, names: Sequence[str], described: str | None) -> list[str] | None:
    """Return the files of a table that the datasets library saved, in order; None if the folder is not one.

    Raises
    ------
    InputError
        If a file is missing, or a separate file selects some of the rows.
    """
    if "state.json" not in names:
        return None
    if described is None:
        return [each for each in names if each.endswith(".arrow") and not _CACHE.fullmatch(each)]
    state = _object(described)
    listed = state.get("_data_files")
    if not isinstance(listed, list):
        return None
    if state.get("_indices_files") or state.get("_indices_data_files"):
        raise InputError(
            "rows chosen in a file of their own",
            name,
            found="indices in state.json",
            expected="the rows themselves",
            hint="dataset.flatten_indices().save_to_disk(...) writes them",
        )
    files = [str(_object(entry).get("filename")) for entry in listed]
    missing = [file for file in files if file not in names]
    if missing:
        raise InputError("missing file", f"{name.rstrip('/')}/{missing[0]}", expected="a file that state.json lists")
    return files


def _object(described: Any) -> Mapping[str, Any]:
    try:
        found = json.loads(described) if isinstance(described, str) else described
    except (ValueError, RecursionError):
        return {}
    return found if isinstance(found, Mapping) else {}


def text_of(path: Path) -> str | None:
    """Return the content of a small local file, if it exists and is text."""
    try:
        return path.read_text("utf-8")
    except (OSError, UnicodeDecodeError):
        return None
