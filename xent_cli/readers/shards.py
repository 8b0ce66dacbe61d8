"""Several files that are one input: the rows of each follow those of the file before."""

from __future__ import annotations

import math
from bisect import bisect_left, bisect_right
from dataclasses import dataclass, replace
from itertools import accumulate
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from xent_cli.core.block import Rows
from xent_cli.errors import InputError, UnreadableRowError
from xent_cli.readers.interface import ARRAYS

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from xent_cli.core.block import Part
    from xent_cli.core.diagnostics import Diagnostic
    from xent_cli.readers.interface import Source, SourceInfo

# Array parts from several shards are combined into one task of up to this size.
_TOGETHER_BYTES = 1 << 20


def join(name: str, role: str, shards: Sequence[Source], axis: int | None, empty: tuple[str, ...] = ()) -> Shards:
    """Combine shards that have the same format, columns, dtype and width.

    The other axes of arrays may differ in length, as in batches that are each padded to a different length.

    Parameters
    ----------
    name
        The name of all of them together: what the user typed.
    axis
        Class axis of arrays; these are joined along the first other axis.
    empty
        Names of files that hold no rows.

    Raises
    ------
    InputError
        At the first shard that is not like the first one.
    """
    first = shards[0].info
    rank = len(first.shape)
    along = 1 if axis is not None and rank > 1 and axis % rank == 0 else 0
    infos = [shard.info for shard in shards]
    # A shard in which a label is missing has floats where others have whole numbers.
    indices = role == "labels" and all(not info.row_shape and info.dtype.kind in "iuf" for info in infos)
    for info in infos[1:]:
        for what in ("format",) if indices else ("format", "dtype"):
            found, expected = getattr(info.description, what), getattr(first.description, what)
            if found != expected:
                raise _unlike(what, first, info, expected, found)
        if info.class_names != first.class_names:
            raise _unlike("columns", first, info, _listing(first.class_names), _listing(info.class_names))
        if info.row_shape != first.row_shape or len(info.shape) != rank:
            raise _unlike("shape", first, info, str(first.shape), str(info.shape))
        plans = [one.plan.singles if one.plan is not None else () for one in (first, info)]
        if plans[0] != plans[1]:
            raise _unlike("columns", first, info, _listing(plans[0]), _listing(plans[1]))
    return Shards(name, role, tuple(shards), along, empty, _info_of(name, infos, along), _stops(infos))


def with_shards(source: Shards, shards: Iterable[Source]) -> Shards:
    """Return the same input with different shards."""
    some = tuple(shards)
    infos = [shard.info for shard in some]
    return replace(source, shards=some, info=_info_of(source.name, infos, source.along), stops=_stops(infos))


def _stops(infos: Sequence[SourceInfo]) -> tuple[int, ...] | None:
    counts = [info.num_rows for info in infos]
    return None if None in counts else tuple(accumulate(count for count in counts if count is not None))


def _info_of(name: str, infos: Sequence[SourceInfo], along: int) -> SourceInfo:
    """Return the facts of all shards together; `along` as in `Shards`."""
    first = infos[0]
    dtypes = {info.dtype for info in infos}
    dtype = dtypes.pop() if len(dtypes) == 1 else np.result_type(*dtypes)
    sides = list(zip(*(info.shape for info in infos), strict=True))
    shape = [side[0] if len(set(side)) == 1 else None for side in sides]
    if sides:
        known = [side for side in sides[along] if side is not None]
        shape[along] = sum(known) if len(known) == len(infos) else None
    same_dtype = len({info.description.dtype for info in infos}) == 1
    stops = _stops(infos)
    return first._replace(
        description=first.description._replace(
            path=name,
            shape=tuple(shape),
            dtype=first.description.dtype if same_dtype else dtype.name,
            shards=tuple(info.path for info in infos),
        ),
        dtype=dtype,
        num_rows=None if stops is None else stops[-1],
        sample_shape=_sample_shape(infos, along),
        named_labels=any(info.named_labels for info in infos),
        rereadable=all(info.rereadable for info in infos),
    )


def _sample_shape(infos: Sequence[SourceInfo], along: int) -> tuple[int, ...] | None:
    """Return the shape of all samples; if shards differ in shape, samples are counted along one axis."""
    known = [info.sample_shape for info in infos if info.sample_shape is not None]
    if len(known) < len(infos):
        return None
    if _differ(infos, along):
        return (sum(math.prod(shape) for shape in known),)
    return (sum(shape[0] if shape else 1 for shape in known), *known[0][1:])


def _differ(infos: Sequence[SourceInfo], along: int) -> bool:
    """Whether arrays differ along any axis but the one on which they are concatenated."""
    sides = zip(*(info.shape for info in infos), strict=True)
    return any(len(set(side)) > 1 for i, side in enumerate(sides) if i != along)


@dataclass(frozen=True, slots=True, eq=False, repr=False)
class Shards:
    """Several sources as one; see `Source`.

    Fields
    ------
    along
        Axis of the shape along which the shards are joined.
    empty
        Names of files that were left out because they hold no rows.
    stops
        Number of the first sample after each shard, or None if that is not known.
    """

    name: str
    role: str
    shards: tuple[Source, ...]
    along: int
    empty: tuple[str, ...]
    info: SourceInfo
    stops: tuple[int, ...] | None

    @property
    def ragged(self) -> bool:
        """Whether shards of arrays differ in length along any axis but the one along which they are joined."""
        return _differ([shard.info for shard in self.shards], self.along)

    @property
    def remarks(self) -> tuple[Diagnostic, ...]:
        """Return the remarks on each shard."""
        return tuple(remark for shard in self.shards for remark in getattr(shard, "remarks", ()))

    def parts(self, first: int = 0) -> Iterator[tuple[int, int, Part]]:
        """See `Source`; small arrays are read together, because a separate task costs more than reading one."""
        if self.info.format not in ARRAYS or len({shard.info.dtype for shard in self.shards}) > 1:
            yield from self._parts(first)
            return
        most = max(1, _TOGETHER_BYTES // (self.info.dtype.itemsize * max(1, math.prod(self.info.row_shape))))
        held: list[Part] = []
        begin = rows = 0
        for start, size, part in self._parts(first):
            if held and rows + size > most:
                yield begin, rows, _in_turn(held)
                held, rows = [], 0
            if size >= most:
                yield start, size, part
            else:
                begin = begin if held else start
                held.append(part)
                rows += size
            del part
        if held:
            yield begin, rows, _in_turn(held)

    def streamed(self, threads: int) -> Shards:
        """See `StridedArray.streamed`."""
        arrays = (getattr(shard, "streamed", None) for shard in self.shards)
        shards = zip(self.shards, arrays, strict=True)
        return replace(
            self, shards=tuple(shard if streamed is None else streamed(threads) for shard, streamed in shards)
        )

    def _parts(self, first: int) -> Iterator[tuple[int, int, Part]]:
        for shard in self.shards:
            stop = first
            for start, size, part in shard.parts(first):
                stop = start + size
                yield start, size, part
                del part
            first = stop

    def rows(self, start: int, stop: int) -> Part | None:
        """See `Source`."""
        if self.stops is None:
            return None
        found: list[Part] = []
        last = min(bisect_left(self.stops, stop), len(self.stops) - 1)
        for index in range(bisect_right(self.stops, start), last + 1):
            begin, end = self.stops[index - 1] if index else 0, self.stops[index]
            part = self.shards[index].rows(max(start, begin) - begin, min(stop, end) - begin)
            if part is None:
                return None
            found.append(LaterRows(part, begin) if begin and self.role == "labels" else part)
        return _in_turn(found)

    def where(self, row: int, role: str, first: int = 0) -> str:
        """See `Source`; shards of text must be read to count their rows."""
        for shard in self.shards:
            size = shard.info.num_rows
            if size is None:
                size = sum(size for _, size, _ in shard.parts())
            if row < first + size:
                return shard.where(row, role, first)
            first += size
        return f"{self.name} sample {row}"


def cut_alike(values: Source, logits: Source, *, by_class: bool = False) -> bool:
    """Whether each shard has the shape of the logits' shard at its place: a value for each sample or each class."""
    if not isinstance(values, Shards) or not isinstance(logits, Shards) or len(values.shards) != len(logits.shards):
        return False
    pairs = zip(values.shards, logits.shards, strict=True)
    infos = ((one.info, other.info) for one, other in pairs)
    return all(one.shape == (other.shape if by_class else other.sample_shape) for one, other in infos)


class LaterRows(NamedTuple):
    """Recipe for rows of a shard that comes after `begin` rows of other shards."""

    part: Part
    begin: int

    def read(self) -> Rows:
        """Read the rows; row numbers in errors count from the first shard."""
        try:
            return self.part.read()
        except UnreadableRowError as error:
            raise error.at_row(error.row + self.begin) from None


def _in_turn(parts: Sequence[Part]) -> Part:
    return parts[0] if len(parts) == 1 else RowsInTurn(tuple(parts))


class RowsInTurn(NamedTuple):
    """Recipe for rows that extend from one shard to another."""

    parts: tuple[Part, ...]

    def read(self) -> Rows:
        """Read the rows; those of each shard are copied, because the next may be read into the same memory."""
        return Rows.concatenate([part.read().copied() for part in self.parts])


def _unlike(what: str, first: SourceInfo, shard: SourceInfo, expected: str, found: str) -> InputError:
    return InputError(
        f"shard of another {what}" if what != "columns" else "shard with other columns",
        shard.path,
        found=found,
        expected=f"{expected}, as in {first.path}",
        hint="a folder or pattern names parts of one input; name one file where it holds logits and labels",
    )


def _listing(names: tuple[str, ...] | None) -> str:
    shown = names or ()
    return ", ".join(shown[:6]) + (f" and {len(shown) - 6} more" if len(shown) > 6 else "") or "no names"
