"""From what the user typed to the files it means: one file, a folder or glob of shards, a URL, standard input."""

from __future__ import annotations

import re
import stat
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from xent_cli.errors import InputError, UsageError, without_secrets
from xent_cli.readers.storage.reading import first_line, is_url, local_path, timeout
from xent_cli.readers.storage.stored import Stored, recognised

if TYPE_CHECKING:
    from xent_cli.readers.storage.interface import Bytes

_MAGIC = re.compile(r"[*?\[]")


@dataclass(frozen=True, slots=True)
class Located:
    """The files that an input consists of.

    Fields
    ------
    name
        What the user typed.
    files
        One, or shards in order; these are not looked at before they are opened.
    sharded
        Whether a folder or a glob was typed.
    """

    name: str
    files: tuple[Bytes, ...]
    sharded: bool = False


def locate(path: str | Located) -> Located:
    """Find the files that a path means; shards come in natural order. What has been found stays as it is.

    Raises
    ------
    InputError
        Where there are none, or they may not be read.
    """
    if isinstance(path, Located):
        return path
    if path == "-":
        from xent_cli.readers.storage.pipe import standard_input

        return Located("standard input", (standard_input(),))
    if is_url(path) and not path.startswith("file://"):
        urls = _remote(path)
        files = tuple(Stored(without_secrets(url), url) for url in urls)
        sharded = urls != [path]
        return Located(without_secrets(path), files if sharded else (recognised(*files),), sharded)
    return _local(path, local_path(path))


def refuse_two_pipes(*paths: str | Located | None) -> None:
    """Refuse standard input in two places: what one of them reads the other would miss.

    Raises
    ------
    UsageError
        Where more than one of the paths is ``-``.
    """
    if paths.count("-") > 1:
        raise UsageError("only one input can be standard input")


def natural(name: str) -> list[tuple[bool, int, str]]:
    """Key that sorts numbers in names by their value.

    Examples
    --------
    >>> sorted(["part-10.npy", "part-2.npy"], key=natural)
    ['part-2.npy', 'part-10.npy']
    """
    parts = re.split(r"([0-9]+)", name)
    return [(part.isdecimal(), int(part) if part.isdecimal() else 0, part) for part in parts]


def _local(name: str, path: str) -> Located:
    try:
        mode = Path(path).stat().st_mode
        if stat.S_ISDIR(mode):
            from xent_cli.readers.foreign_formats.folders import entries_of, refuse_folder

            refuse_folder(name, entries_of(path))
            return _shards(name, [str(entry) for entry in Path(path).iterdir() if entry.is_file()])
    except FileNotFoundError:
        if _MAGIC.search(path):
            import glob

            found = glob.glob(path, recursive=True)  # noqa: PTH207 (Path.glob takes no absolute pattern)
            return _shards(name, [entry for entry in found if Path(entry).is_file()])
        import difflib

        folder = Path(path).parent
        near = difflib.get_close_matches(Path(path).name, [p.name for p in folder.glob("*")], 1)
        hint = f"did you mean {folder / near[0]}?" if near else ""
        linked = ""
        if Path(path).is_symlink():  # as git-annex and DVC leave what they have not brought yet
            linked, hint = f"a link to {Path(path).readlink()}, which is not there", "bring what the link points to"
        raise InputError("no such file", name, found=linked, hint=hint) from None
    except (OSError, ValueError) as error:
        raise InputError("cannot read file", name, found=first_line(error)) from None
    if not stat.S_ISREG(mode):
        from xent_cli.readers.storage.pipe import open_pipe

        return Located(name, (open_pipe(path),))
    return Located(name, (recognised(Stored(name, str(Path(path).absolute()))),))


def _shards(name: str, paths: list[str]) -> Located:
    shards = (Stored(path, str(Path(path).absolute())) for path in _rows_alone(name, paths))
    return Located(name, tuple(shards), sharded=True)


def _rows_alone(name: str, paths: list[str]) -> list[str]:
    """The files among the shards that hold rows, in order.

    Hidden files and markers such as _SUCCESS do not, nor does the .json that describes the others (state.json).
    """
    held = [path for path in paths if not path.replace("\\", "/").rsplit("/", 1)[-1].startswith((".", "_"))]
    held = [path for path in held if not path.endswith(".json")] or held
    if not held:
        raise InputError("no files", name, found="none", expected="at least one shard")
    return sorted(held, key=natural)


def _remote(url: str) -> list[str]:
    """URLs of the objects that a URL means; what stands behind a ? is a query, never a glob."""
    from xent_cli.readers.storage.remote import entries, path_of

    seconds = timeout.get()
    if url.lower().startswith(("http://", "https://")):
        entries(url, None, False, seconds)
        return [url]
    address, mark, query = url.partition("?")
    path = path_of(url, seconds)
    prefix = address.removesuffix("/").removesuffix(path)
    magic = _MAGIC.search(path)
    if magic:
        folder = path[: magic.start()].rpartition("/")[0]
        wanted = _as_expression(path)
        inside = entries(url, folder, "/" in path[len(folder) + 1 :], seconds) or []
        held = [name for name, is_file in inside if is_file and wanted.fullmatch(name)]
    else:
        if entries(url, None, False, seconds) is not None:
            return [url]
        held = [name for name, is_file in entries(url, path, False, seconds) or [] if is_file]
    paths = _rows_alone(without_secrets(url), held)
    return [f"{prefix}{found}{mark}{query}" for found in paths]


def _as_expression(pattern: str) -> re.Pattern[str]:
    """A glob as a regular expression; a star stays within its folder, two stars do not."""
    translated = {"**/": "(?:.*/)?", "**": ".*", "*": "[^/]*", "?": "[^/]"}
    parts = re.split(r"(\*\*/|\*\*|\*|\?|\[[^\]]+\])", pattern)
    return re.compile(
        "".join(
            translated.get(part) or (part.replace("[!", "[^", 1) if part.startswith("[") else re.escape(part))
            for part in parts
        )
    )
