"""Refuses, before any work, outputs that would replace an input or each other."""

from __future__ import annotations

import os
import re
import stat
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from xent_cli.errors import UsageError, printable

if TYPE_CHECKING:
    from collections.abc import Iterable

    from xent_cli.cli.options import ComputeOptions, OutputFlags
    from xent_cli.cli.output_plan import OutputPlan
    from xent_cli.cli.runs.check import Limits

_OPEN_FILE = re.compile(r"/dev/(std(in|out|err)|fd/[0-9]+)|/proc/(self|[0-9]+)/fd/[0-9]+")
_READ_NEXT = "be read as an input by the next run"
_MAGIC = re.compile(r"[*?\[]")


class Named(NamedTuple):
    """A path, and the option or argument that it came from."""

    name: str
    path: str


class _Place(NamedTuple):
    """Where an output will be.

    Fields
    ------
    real
        Absolute path without links, or the address of an object in a bucket.
    identity
        Device and inode of the existing file, or None.
    folder
        Whether everything below is replaced too.
    """

    output: Named
    real: str
    identity: tuple[int, int] | None
    folder: bool


def outputs_of(flags: OutputFlags, output: OutputPlan) -> list[Named]:
    """Return the outputs of a command, except reports that are appended to, which replace nothing."""
    named = [("-o", flags.output), ("--gradients", flags.gradients), ("--plot", flags.plot)]
    named += [("--report", target.path) for target in output.reports if not target.appended]
    return [Named(name, path) for name, path in named if path is not None]


def inputs_of(options: ComputeOptions, limits: Limits | None) -> list[Named]:
    """Return the inputs of a command, including its configuration."""
    inputs, loss = options.shared.inputs, options.shared.loss
    named = [
        ("LOGITS", inputs.logits),
        ("LABELS", inputs.labels),
        ("--sample-weight", loss.sample_weight),
        ("--class-weight", loss.class_weight),
        ("--mask", loss.mask),
        ("--units", options.output.units),
        ("--temperature", loss.temperature if isinstance(loss.temperature, str) else None),
        ("--true-labels", loss.true_labels),
        ("--class-names", options.shared.layout.class_names),
        ("--baseline", None if limits is None or limits.baseline is None else limits.baseline.path),
        ("the configuration", options.shared.origin.config_file),
    ]
    # If there is no such file, the name is that of a column.
    named += [("--by", text.rpartition("=")[2]) for text in options.output.by]
    named.append(("--macro", None if options.output.macro is None else options.output.macro.rpartition("=")[2]))
    return [Named(name, path) for name, path in named if path is not None]


def refuse_overlap(inputs: Iterable[Named], outputs: Iterable[Named]) -> None:
    """Refuse an output that is an input or another output, or that the next run would read as one.

    Files are recognised by device and inode, even through links. Pipes and devices are never replaced, so they are not
    refused.

    Raises
    ------
    UsageError
        Naming both paths.
    """
    places = [place for output in outputs if (place := _place(output)) is not None]
    places += _standard_output()
    if not places:
        return
    for number, place in enumerate(places):
        for other in places[:number]:
            if _same(place, other) or _within(place.real, other) or _within(other.real, place):
                raise UsageError(
                    f"two outputs to the same path: {_named(other.output)} and {_named(place.output)}",
                    hint="give each a path of its own",
                )
    for entry in inputs:
        for place in places:
            reason = _overlap(entry, place)
            if reason is not None:
                raise UsageError(
                    f"an output would {reason}",
                    found=f"{_named(place.output)} and {_named(entry)}",
                    hint="write to another path",
                )


def _overlap(entry: Named, place: _Place) -> str | None:
    """Return what an output would do to an input, or None."""
    if "://" in entry.path and not entry.path.startswith("file://"):
        address = entry.path.partition("?")[0].rstrip("/")
        return "replace an input" if address == place.real or _within(address, place) else None
    path = _local(entry.path)
    if not path:
        return None
    try:
        status = os.fstat(0) if path == "-" else Path(path).stat()
    except (OSError, ValueError):
        return _overlap_of_pattern(path, place) if _MAGIC.search(path) else None
    real = "" if path == "-" else os.path.realpath(path)
    if stat.S_ISDIR(status.st_mode):
        if _identity(status) == place.identity or _within(real, place):
            return "replace an input"
        return _overlap_of_folder(real, place)
    if not stat.S_ISREG(status.st_mode):
        return None
    return "replace an input" if _identity(status) == place.identity or _within(real, place) else None


def _overlap_of_folder(folder: str, place: _Place) -> str | None:
    """Return what an output would do to a folder of shards: replace a shard, or be read as one."""
    paths = [path for path in Path(folder).iterdir() if path.is_file()]
    if any(_is_place(path, place) for path in paths if _is_shard(path.name, paths)):
        return "replace an input"
    into, name = os.path.split(place.real)
    return _READ_NEXT if into == folder and not place.folder and _is_shard(name, paths) else None


def _overlap_of_pattern(pattern: str, place: _Place) -> str | None:
    import glob
    from fnmatch import fnmatchcase

    found = map(Path, glob.iglob(pattern, recursive=True))  # noqa: PTH207 (Path.glob takes no absolute pattern)
    paths = [path for path in found if path.is_file()]
    shards = [path for path in paths if _is_shard(path.name, paths)]
    if any(_is_place(path, place) or _within(os.path.realpath(path), place) for path in shards):
        return "replace an input"
    folder, wanted = os.path.split(pattern)
    into, name = os.path.split(place.real)
    if place.folder or not fnmatchcase(name, wanted) or not _is_shard(name, paths):
        return None
    folders = glob.iglob(folder, recursive=True) if _MAGIC.search(folder) else [folder or "."]  # noqa: PTH207
    return _READ_NEXT if into in map(os.path.realpath, folders) else None


def _is_shard(name: str, others: list[Path]) -> bool:
    """Whether a file of this name is read as a shard; a .json beside other files describes them."""
    if name.startswith((".", "_")):
        return False
    return not name.endswith(".json") or all(other.suffix == ".json" for other in others)


def _place(output: Named) -> _Place | None:
    """Return where an output will be; None for pipes and devices, which are not replaced."""
    folder = output.path.endswith("/")
    if "://" in output.path and not output.path.startswith("file://"):
        return _Place(output, output.path.partition("?")[0].rstrip("/"), None, folder)
    path = _local(output.path)
    if _is_open_file(path):
        return None
    real = os.path.realpath(path)
    try:
        status = Path(real).stat()
    except (OSError, ValueError):
        return _Place(output, real, None, folder)
    if not (stat.S_ISREG(status.st_mode) or stat.S_ISDIR(status.st_mode)):
        return None
    return _Place(output, real, _identity(status), folder)


def _standard_output() -> list[_Place]:
    """Return where standard output goes, if that is a file: it must not be read as an input."""
    try:
        status = os.fstat(1)
        real = str(Path("/dev/fd/1").readlink()) if stat.S_ISREG(status.st_mode) else ""
    except OSError:
        return []
    return [_Place(Named("standard output,", real), real, _identity(status), folder=False)] if real else []


def _is_open_file(path: str) -> bool:
    """Whether a path names an open file, such as /dev/stdout, which is appended to and not replaced."""
    return _OPEN_FILE.fullmatch(str(Path(path).absolute())) is not None


def _same(a: _Place, b: _Place) -> bool:
    return a.real == b.real or (a.identity is not None and a.identity == b.identity)


def _within(path: str, place: _Place) -> bool:
    return place.folder and path.startswith(place.real.rstrip("/") + "/")


def _is_place(path: Path, place: _Place) -> bool:
    if place.identity is None:
        return False
    try:
        return _identity(path.stat()) == place.identity
    except OSError:
        return False


def _identity(status: os.stat_result) -> tuple[int, int]:
    return status.st_dev, status.st_ino


def _local(path: str) -> str:
    if path.startswith("file://"):
        from xent_cli.readers.storage.reading import local_path

        return local_path(path)
    return path


def _named(entry: Named) -> str:
    return f"{entry.name} {printable(entry.path)}"
