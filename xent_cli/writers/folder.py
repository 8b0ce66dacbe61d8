"""Folders of parts: on a disk renamed when complete, in a bucket complete once `_SUCCESS` exists."""

from __future__ import annotations

import json
import os
import re
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

from xent_cli import temporary_files
from xent_cli.errors import OutputError
from xent_cli.writers.file_output import path_beside, refuse_read_only, sync, sync_folder
from xent_cli.writers.parts import Parts, errors_name_folder
from xent_cli.writers.place import file_system, is_elsewhere, on_disk
from xent_cli.writers.publish import Publication

if TYPE_CHECKING:
    from collections.abc import Iterator

    import pyarrow.fs as pa_fs

    from xent_cli.core.evaluate import BlockLoss
    from xent_cli.core.row_columns import RowFormat

_WHOLE = "_SUCCESS"
_MANIFEST = "_manifest.json"
# A part in a folder without a manifest is recognised by its name.
_PART = re.compile(r"part-\d{12,}-[0-9a-f]{8}\.(npy|parquet)")
_CURRENT_FOLDER, _EXCHANGE = -100, 2


class PartsFolder:
    """A folder that is being written, in the main process: the recipe of its parts, and start and size of each."""

    def __init__(self, parts: Parts) -> None:
        self.parts = parts
        self._rows: list[tuple[int, int]] = []

    def note(self, rows: BlockLoss) -> None:
        """Record that the part of a block has been written."""
        self._rows.append((rows.start, rows.size))

    def manifest(self, replaced: list[str]) -> str:
        """Return JSON with the rows of each part, and the files of an earlier run that may still be in the folder."""
        entries = [{"file": self.parts.name(start), "start": start, "rows": size} for start, size in self._rows]
        document: dict[str, Any] = {"written_by": "xent", "rows": sum(size for _, size in self._rows), "parts": entries}
        if replaced:
            document["replaced"] = replaced
        return json.dumps(document, indent=1) + "\n"


def open_folder(outputs: Publication, path: str, columns: RowFormat | None, dtype: str = "<f4") -> PartsFolder:
    """Open a folder for parts that replaces `path` together with the other outputs of the run.

    On a disk the parts are written into a folder beside it, which is then renamed. A bucket cannot rename: there the
    parts are complete once ``_SUCCESS`` exists, which is written last, before parts of an earlier run are removed.

    Raises
    ------
    OutputError
        If there is something at `path` that no manifest of xent lists, or it cannot be written to.
    """
    run = os.urandom(4).hex()
    if is_elsewhere(path):
        bucket = _Bucket(path.rstrip("/"), Parts(path.rstrip("/"), run, columns, dtype, outputs.patience))
        outputs.add(bucket)
        return bucket.folder
    folder = _Folder(on_disk(path), run, columns, dtype)
    outputs.add(folder)
    folder.open()
    return folder.folder


@contextmanager
def publish_parts(path: str, columns: RowFormat | None, dtype: str = "<f4") -> Iterator[PartsFolder]:
    """Open a folder for parts that replaces `path` if the block ends without an error; see `open_folder`."""
    with Publication() as outputs:
        yield open_folder(outputs, path, columns, dtype)


class _Folder:
    """A folder on a disk, written next to its target and then renamed; see `Output`."""

    def __init__(self, path: str, run: str, columns: RowFormat | None, dtype: str) -> None:
        self._path = path
        self._target = Path(os.path.realpath(path))
        self._beside = path_beside(self._target, "tmp")
        self._old: Path | None = None
        self._done = False
        self.folder = PartsFolder(Parts(str(self._beside), run, columns, dtype))

    def open(self) -> None:
        """Check what is at the target, and create the folder."""
        self._refuse_foreign()
        refuse_read_only(self._path, self._target)
        with errors_name_folder(self._path):
            temporary_files.begin(str(self._beside))
            self._beside.mkdir()

    def finish(self) -> None:
        manifest = self.folder.manifest([])
        with errors_name_folder(self._path):
            # A worker that died may have left an incomplete part.
            for name in {entry.name for entry in self._beside.iterdir()} - _listed(manifest.encode()):
                (self._beside / name).unlink()
            for name, text in ((_MANIFEST, manifest), (_WHOLE, "")):
                with (self._beside / name).open("w") as file:
                    file.write(text)
                    file.flush()
                    sync(file.fileno())
            if self._target.exists():
                self._beside.chmod(self._target.stat().st_mode & 0o777)
            sync_folder(self._beside)

    def swap(self, *, undoable: bool) -> None:
        self._refuse_foreign()  # including files added since then
        with errors_name_folder(self._path):
            if not self._target.exists():
                self._beside.rename(self._target)
            elif _exchanged(self._beside, self._target):
                self._old = self._beside
            else:
                old = path_beside(self._target, "old")
                self._target.rename(old)
                try:
                    self._beside.rename(self._target)
                except OSError:
                    old.rename(self._target)
                    raise
                self._old = old
            self._done = True
            temporary_files.end(str(self._beside))

    def undo(self) -> None:
        self._target.rename(aside := path_beside(self._target, "tmp"))
        if self._old is not None:
            self._old.rename(self._target)
            self._old = None
        self._beside = aside
        self._done = False

    def settle(self) -> None:
        if self._old is not None:
            _remove(self._old)
        sync_folder(self._target.parent)

    def drop(self) -> None:
        if not self._done:
            import shutil

            shutil.rmtree(self._beside, ignore_errors=True)
        temporary_files.end(str(self._beside))

    def _refuse_foreign(self) -> None:
        with errors_name_folder(self._path):
            if not self._target.exists():
                return
            if not self._target.is_dir():
                raise _taken(self._path, "a file", "a folder, or nothing")
            names = [entry.name for entry in self._target.iterdir()]
            manifest = self._target / _MANIFEST
            text = manifest.read_bytes() if manifest.is_file() and not manifest.is_symlink() else b""
        _refuse_unlisted(self._path, names, text)


class _Bucket:
    """A folder of parts in a bucket, which cannot rename; see `Output`."""

    def __init__(self, path: str, parts: Parts) -> None:
        self._path = path
        self.folder = PartsFolder(parts)
        with errors_name_folder(path):
            self._files, self._base = file_system(path, parts.patience)
            self._before = [entry.base_name for entry in self._entries()]
            text = self._read(_MANIFEST) if _MANIFEST in self._before else b""
        _refuse_unlisted(path, self._before, text)
        self._manifest = text

    def finish(self) -> None:
        """Do nothing: each part is whole once it is written."""

    def swap(self, *, undoable: bool) -> None:
        obsolete = [name for name in self._before if name not in (_MANIFEST, _WHOLE)]
        with errors_name_folder(self._path):
            self._write(_MANIFEST, self.folder.manifest(obsolete).encode())
            self._write(_WHOLE, b"")
        self._obsolete = obsolete

    def undo(self) -> None:
        if self._before:
            self._write(_MANIFEST, self._manifest)
        else:
            for name in (_WHOLE, _MANIFEST):
                self._files.delete_file(f"{self._base}/{name}")
        self.drop()

    def settle(self) -> None:
        for name in self._obsolete:
            with suppress(OSError):
                self._files.delete_file(f"{self._base}/{name}")

    def drop(self) -> None:
        with suppress(OSError):
            for entry in self._entries():
                if self.folder.parts.run in entry.base_name:
                    self._files.delete_file(f"{self._base}/{entry.base_name}")

    def _entries(self) -> list[Any]:
        from pyarrow import fs

        entries: list[Any] = self._files.get_file_info(fs.FileSelector(self._base, allow_not_found=True))
        return entries

    def _read(self, name: str) -> bytes:
        with self._files.open_input_file(f"{self._base}/{name}") as file:
            return bytes(file.read())

    def _write(self, name: str, data: bytes) -> None:
        with self._files.open_output_stream(f"{self._base}/{name}") as stream:
            stream.write(data)

    _files: pa_fs.FileSystem
    _base: str
    _obsolete: list[str]


def _refuse_unlisted(path: str, names: list[str], manifest: bytes) -> None:
    """Refuse a folder with anything in it that xent did not write."""
    listed = {_MANIFEST, _WHOLE, *_listed(manifest)}
    foreign = sorted(name for name in names if name not in listed)
    if not manifest:
        foreign = sorted(names)
    if foreign and all(_PART.fullmatch(name) for name in foreign):
        counted = "a part" if len(foreign) == 1 else f"{len(foreign)} parts"
        found = f"{counted} that no manifest lists: of a run that was killed, or has not ended"
        hint = f"delete what it left ({foreign[0]} ...), or name another folder"
        raise _taken(path, found, "nothing, or what a run that ended wrote", hint)
    if foreign:
        more = f" and {len(foreign) - 1} more" if len(foreign) > 1 else ""
        raise _taken(path, f'"{foreign[0]}"{more}, which xent did not write', "nothing, or what an earlier run wrote")


def _listed(manifest: bytes) -> set[str]:
    """Return the files that a manifest lists; none if it is not a manifest of xent."""
    try:
        document = json.loads(manifest)
        if document.get("written_by", "xent") != "xent" or type(document["rows"]) is not int:
            return set()
        names = [entry["file"] for entry in document["parts"]] + list(document.get("replaced", ()))
        return {name for name in names if _PART.fullmatch(name)}
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError):
        return set()


def _taken(
    path: str, found: str, expected: str, hint: str = "name another folder, or move away what is in this one"
) -> OutputError:
    return OutputError("will not replace folder", path, found=found, expected=expected, hint=hint)


def _exchanged(one: Path, other: Path) -> bool:
    """Exchange two folders in one step, if the system can, so that neither is ever missing."""
    import ctypes

    try:
        renameat2 = ctypes.CDLL(None).renameat2
    except (OSError, TypeError, AttributeError):
        return False
    paths = os.fsencode(one), os.fsencode(other)
    return renameat2(_CURRENT_FOLDER, paths[0], _CURRENT_FOLDER, paths[1], _EXCHANGE) == 0  # type: ignore[no-any-return]


def _remove(folder: Path) -> None:
    """Remove an earlier output; anything added to it at the last moment is kept under a different name."""
    manifest = folder / _MANIFEST
    with suppress(OSError):
        for name in {_WHOLE, *_listed(manifest.read_bytes() if manifest.exists() else b"")}:
            (folder / name).unlink(missing_ok=True)
        manifest.unlink(missing_ok=True)
        folder.rmdir()
