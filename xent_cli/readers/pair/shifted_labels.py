"""Labels, and the columns that go with them, of a later or earlier step of the same document than the logits."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from xent_cli.core.block import Rows
from xent_cli.errors import InputError
from xent_cli.readers.shards import Shards

if TYPE_CHECKING:
    from collections.abc import Iterator

    from xent_cli.core.array_types import AnyArray, BoolArray, IntArray
    from xent_cli.core.block import Part
    from xent_cli.readers.interface import Source

# Length of a document whose end is not known yet.
_OPEN = 1 << 62


class Documents(NamedTuple):
    """Where documents begin and end: runs of samples in which all documents have the same length.

    Fields
    ------
    starts
        First sample of each run.
    steps
        How many samples each document of the run has.

    Examples
    --------
    >>> Documents((0, 4), (2, 3)).outside(0, 7, 1).tolist()
    [False, True, False, True, False, False, True]
    """

    starts: tuple[int, ...]
    steps: tuple[int, ...]

    def outside(self, start: int, stop: int, shift: int) -> BoolArray:
        """Find which of samples `start` to `stop` have the step `shift` positions later in another document."""
        samples = np.arange(start, stop)
        run = np.searchsorted(np.array(self.starts), samples, "right") - 1
        steps = np.array(self.steps)[run]
        place = (samples - np.array(self.starts)[run]) % steps + shift
        beyond: BoolArray = (place < 0) | (place >= steps)
        return beyond

    def cut(self, start: int, stop: int) -> Documents:
        """Return the runs that contain some samples."""
        first = max(0, int(np.searchsorted(np.array(self.starts), start, "right")) - 1)
        last = int(np.searchsorted(np.array(self.starts), stop, "left"))
        return Documents(self.starts[first:last], self.steps[first:last])

    @property
    def longest(self) -> int:
        """Length of the longest document."""
        return max(self.steps)


def documents_of(logits: Source) -> Documents:
    """Return the documents of an input.

    In an array, the last axis of the samples is time, and each shard begins a new document.

    The rows of a table are one document.
    """
    shards = logits.shards if isinstance(logits, Shards) else (logits,)
    starts, steps, start = [], [], 0
    for shard in shards:
        shape = shard.info.sample_shape if shard.info.plan is None else None
        if shape is None:
            return Documents((0,), (_OPEN,))
        if shard.info.num_rows:
            starts.append(start)
            steps.append(shape[-1] if shape else 1)
        start += shard.info.num_rows or 0
    return Documents(tuple(starts), tuple(steps))


def refuse_shift(logits: Source, labels: Source | None, documents: Documents, shift: int, *, by: bool) -> None:
    """Refuse a shift that leaves no sample, and shards of a table that may or may not be documents.

    Parameters
    ----------
    by
        Whether a column says which document each row of a table belongs to.

    Raises
    ------
    InputError
        In either case.
    """
    path = logits.info.path
    if abs(shift) >= documents.longest:
        raise InputError(
            "nothing left to average",
            path,
            found=f"--shift {shift}, and documents of at most {documents.longest} steps",
            expected="a shift by fewer steps than the longest document has",
            hint="use a smaller --shift; 1 is usual for a language model",
        )
    for source in (logits, labels):
        if not isinstance(source, Shards) or len(source.shards) < 2 or by:
            continue
        if source.info.plan is not None and documents.longest == _OPEN:
            raise InputError(
                "shards of a table may be one document, or one each",
                source.info.path,
                found=f"--shift {shift} and {len(source.shards)} shards",
                hint="--cluster COLUMN names the column of documents; or join the shards in one file",
            )
        if source is labels:
            _refuse_cuts(source, path, documents)


def _refuse_cuts(labels: Shards, path: str, documents: Documents) -> None:
    """Refuse shards of labels that begin in the middle of a document."""
    begin = 0
    for shard in labels.shards:
        if begin and shard.info.num_rows:
            place = documents.cut(begin, begin + 1)
            if (begin - place.starts[0]) % place.steps[0]:
                raise InputError(
                    "shards of labels are not the documents of the logits",
                    shard.info.path,
                    found=f"its first label is that of sample {begin}, in the middle of a document of {path}",
                    expected="logits and labels split in the same way",
                )
        begin += shard.info.num_rows or 0


class ShiftedRows(NamedTuple):
    """Recipe for the labels `shift` steps after logits `start` to `stop`, and the columns that go with them."""

    source: Source
    start: int
    stop: int
    shift: int
    documents: Documents

    def read(self) -> Rows:
        """Read them; samples whose step lies outside their document are not scored."""
        total = self.source.info.num_rows or 0
        low, high = max(0, self.start + self.shift), min(total, self.stop + self.shift)
        part = self.source.rows(low, high) if low < high else self.source.rows(0, min(1, total))
        found = Rows() if part is None else part.read()
        if low >= high:
            found, low = found.cut(slice(0, 0)), self.start + self.shift
        outside = self.documents.outside(self.start, self.stop, self.shift)
        # The rows of a table are one document, and only the labels say where it ends.
        scored = np.arange(self.start, self.stop) + self.shift
        outside |= (scored < 0) | (scored >= total)
        placed = place(found, low - self.shift - self.start, outside)
        if placed.groups is not None and outside.any():
            # A step without a label is still in a group: its own.
            own = self.source.rows(self.start, self.stop)
            here = None if own is None else own.read().groups
            if here is not None:
                placed.groups[outside] = here[outside]
        return placed


class ShiftedFollower:
    """The same for an input that can only be read in order; as many rows are kept as the shift needs.

    If the rows name groups, a document ends where the group changes.
    """

    def __init__(self, source: Source, shift: int, documents: Documents, fields: frozenset[str]) -> None:
        self._parts: Iterator[tuple[int, int, Part]] = source.parts()
        self._shift = shift
        self._documents = documents
        self._fields = fields
        self._by_group = "groups" in fields and documents.longest == _OPEN
        self._held: list[tuple[int, Rows]] = []
        self._ended = False
        self.stop = 0

    def take(self, start: int, stop: int) -> Part | None:
        """Return the rows for samples `start` to `stop`, None if there are fewer; it must be called in order."""
        shift = self._shift
        low, high = start + min(shift, 0), stop + max(shift, 0)
        if shift > 0 and not self._by_group:
            low += shift
        while self.stop < high and not self._ended:
            found = next(self._parts, None)
            self._ended = found is None
            if found is not None:
                self._held.append((self.stop, only(found[2].read(), self._fields)))
                self.stop += found[1]
            self._held = [entry for entry in self._held if entry[0] + entry[1].size > low] or self._held[-1:]
        if self.stop < stop:
            return None
        begin = self._held[0][0]
        whole = Rows.concatenate([rows for _, rows in self._held])
        whole, begin = whole.cut(slice(max(0, low - begin), None)), max(low, begin)
        self._held = [(begin, whole)]
        outside = self._documents.outside(start, stop, shift)
        samples = np.arange(start, stop)
        outside |= (samples + shift < 0) | (samples + shift >= self.stop)
        if self._by_group:
            run = _runs(whole.groups)
            here = run[samples - begin]
            there = run[np.clip(samples + shift - begin, 0, run.size - 1)]
            outside |= here != there
        first = max(0, start + shift)
        some = whole.cut(slice(max(0, first - begin), max(0, min(self.stop, stop + shift) - begin)))
        found_rows = place(some, first - shift - start, outside)
        if whole.groups is not None and self._by_group:
            own = whole.groups[samples - begin]
            found_rows.groups[outside] = own[outside]  # type: ignore[index]
        return found_rows

    def rest(self) -> int:
        """Return the total number of rows."""
        self.stop += sum(size for _, size, _ in self._parts)
        return self.stop


class OnlyRows(NamedTuple):
    """Recipe for some fields of rows."""

    part: Part
    fields: frozenset[str]

    def read(self) -> Rows:
        """Read the rows, and leave out the rest."""
        return only(self.part.read(), self.fields)


def only(rows: Rows, fields: frozenset[str]) -> Rows:
    """Return some fields of rows."""
    return Rows(**{name: getattr(rows, name) for name in fields})


def place(found: Rows, first: int, outside: BoolArray) -> Rows:
    """Place rows among n samples, from `first` on; samples `outside` have no label, weight, mask, id or group."""
    fields: dict[str, Any] = {"unscored": outside}
    for name, fill in (("labels", 0), ("weights", 0), ("mask", 0), ("units", 0), ("ids", None), ("groups", None)):
        values = getattr(found, name)
        if values is not None:
            fields[name] = _placed(values, first, outside, fill)
    if found.unscored is not None:
        fields["unscored"] = outside | _placed(found.unscored, first, outside, False)
    return Rows(**fields)


def _placed(values: AnyArray, first: int, outside: BoolArray, fill: Any) -> AnyArray:
    dtype = values.dtype if fill is not None else np.dtype(object)
    out = np.full((outside.size, *values.shape[1:]), fill, dtype)
    out[max(0, first) : max(0, first) + len(values)] = values
    out[outside] = fill
    return out


def _runs(groups: AnyArray | None) -> IntArray:
    """Return, for each row, the number of the run of equal rows that it is in."""
    assert groups is not None
    changes = (groups[1:] != groups[:-1]).any(axis=1)
    return np.concatenate([np.zeros(min(1, len(groups)), np.int64), np.cumsum(changes)])
