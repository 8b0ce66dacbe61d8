"""The highest log-probabilities of a teacher as Megatron-LM caches them for distillation: `--logits-save-dir`.

A tar archive of ``_meta.json`` and of one member ``ITERATION.pt.zst`` for each iteration, which is a file of torch.save
compressed with zstd (NVIDIA/Megatron-LM, megatron/training/distillation)::

    values        [position, sequence, k] log-probabilities in float16, bfloat16 or float32; or a list of such tensors,
                  one for each microbatch
    indices_low   uint16 of the same shape: the lower 16 bits of the classes
    bit_17        bool: the bit above these

With top-P, rows have fewer entries, and the rest of a row is filled with a log-probability of -1000 (-10000 in older
files) and the class -1, which is stored as 131071. That may be a class too, so only the value shows where there is no
entry.
"""

from __future__ import annotations

import re
from bisect import bisect_right
from itertools import accumulate
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from xent_cli.core.block import Rows
from xent_cli.core.input_description import InputDescription
from xent_cli.errors import InputError, UsageError
from xent_cli.readers.interface import MEGATRON, SourceInfo
from xent_cli.readers.language_models.megatron_iteration import read_iteration
from xent_cli.readers.language_models.tar_members import HINT, TarMember, tar_members
from xent_cli.readers.storage.pipe import seekable
from xent_cli.readers.top_k_rows import Appended, highest_rows

if TYPE_CHECKING:
    from collections.abc import Iterator

    from xent_cli.core.block import Part
    from xent_cli.readers.interface import Classes, Source
    from xent_cli.readers.options import ReadOptions
    from xent_cli.readers.storage.interface import Bytes
    from xent_cli.readers.storage.stored import Stored

_META = "_meta.json"
_PAYLOAD = re.compile(r"(\d{1,18})\.pt\.zst")


def open_megatron(source: Bytes, head: bytes, role: str, options: ReadOptions, classes: Classes) -> Source:
    """Open cached log-probabilities as a teacher; see `Opener`.

    Raises
    ------
    InputError
        If the archive is damaged, or cannot be used in this role.
    """
    if role != "labels":
        expected = "logits: these are the highest log-probabilities of a teacher, which go second, as LABELS"
        raise InputError("cached log-probabilities of Megatron-LM", source.name, f"a file of them as {role}", expected)
    if options.label_column is not None:
        raise UsageError(f"--label-column {options.label_column}: {source.name} has no columns")
    file = seekable(source)
    members: dict[int, TarMember] = {}
    for member in tar_members(file):
        if member.name == _META:
            continue
        match = _PAYLOAD.fullmatch(member.name)
        if match is None or int(match[1]) in members:
            found = f'"{member.name}"' if match is None else f"iteration {match[1]} again"
            expected = f"{_META} and one member ITERATION.pt.zst for each iteration"
            raise InputError("not a cache of Megatron-LM", file.name, found, expected, HINT)
        members[int(match[1])] = member
    if not members:
        raise InputError("no rows", file.name, "no iteration", "at least one member ITERATION.pt.zst")
    kept = tuple(members.values())
    sizes, dtypes, highest = [], set(), 0
    for member in kept:
        iteration = read_iteration(file, member)
        sizes.append(iteration.num_rows)
        dtypes.add(iteration.dtype)
        if not classes.num_classes:
            found_rows = iteration.rows(0, iteration.num_rows)
            highest = max(highest, int(found_rows.classes.max(initial=0)))
    if len(dtypes) > 1:
        raise InputError("iterations of different dtypes", file.name, " and ".join(sorted(dtypes)), "one", HINT)
    num_classes = classes.num_classes if classes.num_classes > 0 else highest + 1
    return MegatronSource(file, kept, tuple(accumulate(sizes)), dtypes.pop(), num_classes, options.run.task_bytes)


class MegatronSource(NamedTuple):
    """A cache as rows of log-probabilities, with NaN for all classes that it does not list; see `Source`.

    Fields
    ------
    members, stops
        The iterations, and the number of rows up to the end of each.
    dtype
        The dtype in which values are stored.
    """

    file: Stored
    members: tuple[TarMember, ...]
    stops: tuple[int, ...]
    dtype: str
    num_classes: int
    task_bytes: int

    @property
    def info(self) -> SourceInfo:
        """See `Source`."""
        total = self.stops[-1]
        description = InputDescription(self.file.name, MEGATRON, (total, self.num_classes), self.dtype)
        fields = frozenset({"labels", "label_bounds"})
        return SourceInfo(description, np.dtype(np.float64), (self.num_classes,), total, (total,), fields)

    def parts(self, first: int = 0) -> Iterator[tuple[int, int, Part]]:
        """See `Source`: an iteration is decompressed once, if its rows are read one after the other."""
        step = max(1, self.task_bytes // (8 * self.num_classes))
        for start in range(0, self.stops[-1], step):
            stop = min(self.stops[-1], start + step)
            yield first + start, stop - start, self.rows(start, stop)

    def rows(self, start: int, stop: int) -> Part:
        """See `Source`."""
        low, high = bisect_right(self.stops, start), bisect_right(self.stops, max(start, stop - 1))
        offset = self.stops[low - 1] if low else 0
        members = self.members[low : high + 1]
        return MegatronRows(self.file, members, self.num_classes, start - offset, stop - offset, start)

    def where(self, row: int, role: str, first: int = 0) -> str:
        """See `Source`."""
        at = bisect_right(self.stops, row - first)
        inner = row - first - (self.stops[at - 1] if at else 0)
        return f"{self.file.name}:{self.members[at].name} row {inner} (sample {row})"


class MegatronRows(NamedTuple):
    """Recipe for rows `low` to `high` of some iterations, as a `Part`; `start` is the sample number of the first."""

    file: Stored
    members: tuple[TarMember, ...]
    num_classes: int
    low: int
    high: int
    start: int

    def read(self) -> Rows:
        """Read the rows.

        Raises
        ------
        RowError
            At a row that cannot be the highest of a distribution.
        """
        rows, bounds, begin = [], [], 0
        for member in self.members:
            iteration = read_iteration(self.file, member)
            low, high = max(self.low, begin), min(self.high, begin + iteration.num_rows)
            highest = iteration.rows(low - begin, high - begin)
            numbers = self.start - self.low + np.arange(low, high)
            found = highest_rows(highest, self.num_classes, Appended(), probs=False, numbers=numbers)
            rows.append(found[0])
            bounds.append(found[1])
            begin += iteration.num_rows
        return Rows(labels=np.concatenate(rows), label_bounds=np.concatenate(bounds))
