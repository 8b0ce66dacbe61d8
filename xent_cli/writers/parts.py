"""Folders of numbered parts, written where the work is done: rows as Parquet, gradients as .npy."""

from __future__ import annotations

import json
import os
import shutil
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO

import numpy as np

from xent_cli.errors import OutputError
from xent_cli.writers.npy import GradientWriter
from xent_cli.writers.publish import publish

if TYPE_CHECKING:
    from collections.abc import Iterator

    from xent_cli.core.evaluate import BlockLoss
    from xent_cli.writers.interface import RowFormat

_WHOLE = "_SUCCESS"
_MANIFEST = "_manifest.json"


@dataclass(frozen=True, slots=True)
class Parts:
    """Recipe for writing the part of a block, which any process can follow.

    Fields
    ------
    folder
        Where the parts lie while they are written: a folder beside the one asked for, or the URL itself.
    run
        What tells the names of this run's parts from those of others.
    columns
        Of rows; None where the parts are gradients.
    dtype
        Of gradients, as `numpy.dtype.str` spells it.
    """

    folder: str
    run: str
    columns: RowFormat | None = None
    dtype: str = "<f4"

    def name(self, start: int) -> str:
        """Name the part that begins with sample `start`."""
        return f"part-{start:012d}-{self.run}.{'npy' if self.columns is None else 'parquet'}"

    def write(self, rows: BlockLoss) -> None:
        """Write the part of one block; a second time is as good as the first."""
        with _create(f"{self.folder}/{self.name(rows.start)}") as stream:
            if self.columns is None:
                assert rows.gradient is not None
                GradientWriter(stream, rows.gradient.shape, 1, np.dtype(self.dtype)).write(rows)
                return
            from xent_cli.writers.arrow import ParquetWriter

            writer = ParquetWriter(stream, self.columns)
            writer.write(rows)
            writer.finish()


class PartsFolder:
    """A folder of parts on its way: what the driver knows of it. Keeps start and size of every part."""

    def __init__(self, parts: Parts) -> None:
        self.parts = parts
        self._rows: list[tuple[int, int]] = []

    def note(self, rows: BlockLoss) -> None:
        """Note that the part of a block is there."""
        self._rows.append((rows.start, rows.size))

    def manifest(self) -> str:
        """Which rows are in which part, as JSON."""
        entries = [{"file": self.parts.name(start), "start": start, "rows": size} for start, size in self._rows]
        return json.dumps({"rows": sum(size for _, size in self._rows), "parts": entries}, indent=1) + "\n"


@contextmanager
def publish_parts(path: str, columns: RowFormat | None, dtype: str = "<f4") -> Iterator[PartsFolder]:
    """Open a folder for parts that takes the place of `path` when the block ends well.

    On a disk the parts are written beside it, and the folder is renamed. In a bucket nothing can be renamed: there they
    are whole when ``_SUCCESS`` is there, written last; parts of an earlier run are removed after that.

    Raises
    ------
    OutputError
        Where there is something at `path` that is no earlier output, or it cannot be written to.
    """
    run = os.urandom(4).hex()
    if "://" in path:
        with _in_a_bucket(path.rstrip("/"), Parts(path.rstrip("/"), run, columns, dtype)) as folder:
            yield folder
        return
    target = Path(os.path.realpath(path))
    if target.exists() and not (target.is_dir() and _is_ours({entry.name for entry in target.iterdir()})):
        raise _taken(path)
    beside = target.with_name(f".{target.name[:50]}.{run}.tmp")
    try:
        with _told(path):
            beside.mkdir()
        folder = PartsFolder(Parts(str(beside), run, columns, dtype))
        yield folder
        with _told(path):
            (beside / _MANIFEST).write_text(folder.manifest())
            (beside / _WHOLE).touch()
            if target.exists():
                old = target.with_name(f".{target.name[:50]}.{run}.old")
                target.rename(old)
                beside.rename(target)
                shutil.rmtree(old)
            else:
                beside.rename(target)
    except BaseException:
        shutil.rmtree(beside, ignore_errors=True)
        raise


@contextmanager
def _in_a_bucket(path: str, parts: Parts) -> Iterator[PartsFolder]:
    from pyarrow import fs

    with _told(path):
        filesystem, base = fs.FileSystem.from_uri(path)
        before = [entry.base_name for entry in filesystem.get_file_info(fs.FileSelector(base, allow_not_found=True))]
    if not _is_ours(set(before)):
        raise _taken(path)
    folder = PartsFolder(parts)
    try:
        yield folder
        with _told(path):
            for name, text in ((_MANIFEST, folder.manifest()), (_WHOLE, "")):
                with filesystem.open_output_stream(f"{base}/{name}") as stream:
                    stream.write(text.encode())
            obsolete = [name for name in before if name not in (_MANIFEST, _WHOLE)]
    except BaseException:
        obsolete = []
        with suppress(OSError):
            entries = filesystem.get_file_info(fs.FileSelector(base, allow_not_found=True))
            obsolete = [entry.base_name for entry in entries if parts.run in entry.base_name]
        raise
    finally:
        for name in obsolete:
            with suppress(OSError):
                filesystem.delete_file(f"{base}/{name}")


@contextmanager
def _create(path: str) -> Iterator[BinaryIO]:
    if "://" not in path:
        with publish(path) as stream:
            yield stream
        return
    from pyarrow import fs

    with _told(path):
        filesystem, base = fs.FileSystem.from_uri(path)
        with filesystem.open_output_stream(base) as remote:
            yield remote


def _is_ours(names: set[str]) -> bool:
    return not names or _WHOLE in names


def _taken(path: str) -> OutputError:
    found = "something that is not an earlier output of xent"
    return OutputError(
        "will not replace folder", path, found=found, expected="nothing, or a folder with _SUCCESS in it"
    )


@contextmanager
def _told(path: str) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        found = error.strerror or str(error).split("\n")[0]
        raise OutputError("cannot write folder", path, found=found) from None


def light(rows: BlockLoss) -> BlockLoss:
    """What is left of a block when its part is written: the totals."""
    names = ("loss", "ignored", "labels", "ids", "kl", "gradient", "groups", "weight", "left_out")
    arrays: dict[str, Any] = dict.fromkeys(names)
    return replace(rows, **arrays)
