"""Find the files that an argument means: one file, a folder or glob of shards, a URL, or standard input."""

from __future__ import annotations

import re
import stat
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from xent_cli.errors import InputError, UsageError, without_secrets
from xent_cli.readers.storage.reading import first_line, is_url, local_path, timeout, unreadable
from xent_cli.readers.storage.stored import Stored, recognised

if TYPE_CHECKING:
    from xent_cli.readers.storage.folders import Partition
    from xent_cli.readers.storage.interface import Bytes

_MAGIC = re.compile(r"[*?\[]")


class Located(NamedTuple):
    """The files that an input consists of.

    Fields
    ------
    name
        What the user typed.
    files
        One file, or shards in order, which are not examined before they are opened.
    sharded
        Whether a folder or a glob was typed.
    partitions
        The column values from the folders of each file, such as ``split=test``; () if there are none.
    """

    name: str
    files: tuple[Bytes, ...]
    sharded: bool = False
    partitions: tuple[tuple[Partition, ...], ...] = ()


def locate(path: str | Located) -> Located:
    """Find the files that a path means; shards are in natural order. A path already located is returned unchanged.

    Raises
    ------
    InputError
        If there are none, or they may not be read.
    UsageError
        If the path is empty.
    """
    if isinstance(path, Located):
        return path
    if not path:  # which would be the working directory
        raise UsageError("the path of a file is empty", hint="is a variable of the shell not set?")
    if path == "-":
        from xent_cli.readers.storage.pipe import standard_input

        return Located("standard input", (standard_input(),))
    if is_url(path) and not path.startswith("file://"):
        return _remote(path)
    return _local(path, local_path(path))


def refuse_two_pipes(*paths: str | Located | None) -> None:
    """Refuse standard input in two places: each would miss what the other reads.

    Raises
    ------
    UsageError
        If more than one of the paths is ``-``.
    """
    if paths.count("-") > 1:
        raise UsageError("only one input can be standard input", hint="save the other one, and name its file")


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
            return _folder(name, Path(path))
    except FileNotFoundError:
        if magic := _MAGIC.search(path):
            import glob

            found = glob.glob(path, recursive=True)  # noqa: PTH207 (Path.glob takes no absolute pattern)
            files = _rows_alone(name, [entry for entry in found if Path(entry).is_file()])
            return _shards(name, files, _globbed(name, files, path[: magic.start()].rpartition("/")[0]))
        import difflib

        folder = Path(path).parent
        # Stems are compared, because names that have only `.npy` in common would seem similar.
        stems = {entry.stem: entry for entry in sorted(folder.glob("*"), key=lambda p: p.suffix == Path(path).suffix)}
        near = difflib.get_close_matches(Path(path).stem, stems, 1)
        hint = f"did you mean {stems[near[0]]}?" if near else ""
        linked = ""
        if Path(path).is_symlink():  # git-annex and DVC leave these for files they have not fetched yet
            linked, hint = (
                f"a link to {Path(path).readlink()}, which is not there",
                "fetch the file that the link points to",
            )
        raise InputError("no such file", name, found=linked, hint=hint) from None
    except OSError as error:
        raise unreadable(name, error) from None
    except ValueError as error:  # a NUL in the path
        raise InputError("cannot read file", name, found=first_line(error)) from None
    if not stat.S_ISREG(mode):
        from xent_cli.readers.storage.pipe import open_pipe

        return Located(name, (open_pipe(path),))
    return Located(name, (recognised(Stored(name, str(Path(path).absolute()))),))


def _folder(name: str, folder: Path) -> Located:
    """Find the shards in a local folder, or in its subfolders that give the value of a column."""
    from xent_cli.readers.foreign_formats.folders import entries_of, refuse_folder
    from xent_cli.readers.storage.folders import dataset_files, is_partition, partitions_of, refuse_splits, text_of

    refuse_folder(name, entries_of(str(folder)))
    entries = list(folder.iterdir())
    names = [entry.name for entry in entries]
    refuse_splits(name, names, text_of(folder / "dataset_dict.json"))
    listed = dataset_files(name, names, text_of(folder / "state.json"))
    if listed is not None:
        return _shards(name, [str(folder / file) for file in listed])
    if not any(entry.is_dir() and is_partition(entry.name) for entry in entries):
        hint = f"name the files below it, as in '{name.rstrip('/')}/*/*'" if any(folder.glob("*/*")) else ""
        return _shards(name, _rows_alone(name, [str(entry) for entry in entries if entry.is_file()], hint))
    files = _rows_alone(name, [str(path) for path in folder.rglob("*") if path.is_file()], below=str(folder))
    return _shards(name, files, partitions_of(name, [_between(str(folder), file) for file in files]))


def _shards(name: str, files: list[str], partitions: tuple[tuple[Partition, ...], ...] = ()) -> Located:
    stored = tuple(Stored(path, str(Path(path).absolute())) for path in files)
    return Located(name, stored, sharded=True, partitions=partitions)


def _globbed(name: str, files: list[str], fixed: str) -> tuple[tuple[Partition, ...], ...]:
    """Return column values from the folders of files that a pattern found, if every file has them."""
    from xent_cli.readers.storage.folders import is_partition, partitions_of

    folders = [[folder for folder in _between(fixed, file) if is_partition(folder)] for file in files]
    keys = {tuple(folder.partition("=")[0] for folder in path) for path in folders}
    return partitions_of(name, folders) if len(keys) == 1 and keys != {()} else ()


def _between(folder: str, file: str) -> list[str]:
    """Return the folders on the path from a folder to a file in it."""
    return file[len(folder) :].strip("/").split("/")[:-1]


def _rows_alone(name: str, paths: list[str], hint: str = "", below: str = "") -> list[str]:
    """Return the files that contain rows, in order.

    Hidden files and markers such as _SUCCESS do not, nor does a .json file that describes the others (state.json), nor
    do files in hidden folders such as _temporary.
    """
    names = [path[len(below) :].replace("\\", "/").split("/") for path in paths]
    held = [
        path
        for path, parts in zip(paths, names, strict=True)
        if not any(part.startswith((".", "_")) for part in (parts if below else parts[-1:]))
    ]
    held = [path for path in held if not path.endswith(".json")] or held
    if not held:
        hint = hint or "is the path right, and has the program that writes these files run?"
        raise InputError("no files", name, found="none", expected="at least one shard", hint=hint)
    return sorted(held, key=natural)


def _remote(url: str) -> Located:
    """Find the object that a URL means, or those in a folder; the part after a ? is a query, never a glob."""
    from xent_cli.readers.storage.refusals import NO_OBJECT, UNKNOWN
    from xent_cli.readers.storage.remote import entries, path_of

    seconds, name = timeout.get(), without_secrets(url)
    page = url.lower().startswith(("http://", "https://"))
    address, mark, query = url.partition("?")
    missing = None
    if page or not (address.endswith("/") or _MAGIC.search(address)):
        try:
            return Located(name, (recognised(Stored(name, url)),))
        except InputError as error:  # a folder is not an object
            if page or error.what not in (NO_OBJECT, UNKNOWN):
                raise
            missing = error
    path = path_of(url, seconds)
    prefix = address.removesuffix("/").removesuffix(path)
    partitions: tuple[tuple[Partition, ...], ...] = ()
    if magic := _MAGIC.search(path):
        folder = path[: magic.start()].rpartition("/")[0]
        wanted = _as_expression(path)
        inside = entries(url, folder, "/" in path[len(folder) + 1 :], seconds)
        files = _rows_alone(name, [each for each, is_file in inside if is_file and wanted.fullmatch(each)])
        partitions = _globbed(name, files, folder)
    else:
        files, partitions = _remote_folder(url, name, path, missing)
    urls = [f"{prefix}{file}{mark}{query}" for file in files]
    stored = tuple(Stored(without_secrets(each), each) for each in urls)
    return Located(name, stored, sharded=True, partitions=partitions)


def _remote_folder(
    url: str, name: str, path: str, missing: InputError | None
) -> tuple[list[str], tuple[tuple[Partition, ...], ...]]:
    """Find the objects in a folder of a bucket, as `_folder` finds local files, and the column values of their folders.

    `missing` is the error to raise if there are none: it says why no object has that name either.
    """
    from xent_cli.readers.foreign_formats.folders import refuse_folder
    from xent_cli.readers.storage.folders import dataset_files, is_partition, partitions_of, refuse_splits
    from xent_cli.readers.storage.remote import entries

    seconds = timeout.get()
    inside = entries(url, path, False, seconds)
    if not inside and missing is not None:
        raise missing
    names = [each.rstrip("/").rpartition("/")[2] for each, _ in inside]
    refuse_folder(name, names)
    refuse_splits(name, names, None)
    files = [each for each, is_file in inside if is_file]
    listed = dataset_files(name, names, None)
    if listed is not None:
        return _rows_alone(name, [each for each in files if each.rpartition("/")[2] in listed]), ()
    if all(is_file or not is_partition(each) for (_, is_file), each in zip(inside, names, strict=True)):
        return _rows_alone(name, files), ()
    deeper = [each for each, is_file in entries(url, path, True, seconds) if is_file]
    files = _rows_alone(name, deeper, below=path)
    return files, partitions_of(name, [_between(path, file) for file in files])


def _as_expression(pattern: str) -> re.Pattern[str]:
    """Turn a glob into a regular expression; a star matches within a folder, two stars at any depth."""
    translated = {"**/": "(?:.*/)?", "**": ".*", "*": "[^/]*", "?": "[^/]"}
    parts = re.split(r"(\*\*/|\*\*|\*|\?|\[[^\]]+\])", pattern)
    return re.compile(
        "".join(
            translated.get(part) or (part.replace("[!", "[^", 1) if part.startswith("[") else re.escape(part))
            for part in parts
        )
    )
