"""Files that hold one input together, one after the other."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np

from xent_cli.core.block import Rows
from xent_cli.errors import InputError, UnreadableRowError

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from typing import Any

    from xent_cli.core.block import Part
    from xent_cli.core.input_description import InputDescription
    from xent_cli.readers.columns.column_plan import ColumnPlan
    from xent_cli.readers.interface import Source


def join(name: str, role: str, shards: Sequence[Source], axis: int | None, empty: tuple[str, ...] = ()) -> Shards:
    """Put shards together that are alike in format, columns, dtype and width.

    The other sides of arrays may differ, as those of batches do that are each padded to their own length.

    Parameters
    ----------
    name
        Of all of them: what the user typed.
    axis
        Class axis of arrays; these are joined along the first other axis.
    empty
        Names of files that hold no rows.

    Raises
    ------
    InputError
        At the first shard that is not like the first one.
    """
    first = shards[0]
    rank = len(first.description.shape)
    along = 1 if axis is not None and rank > 1 and axis % rank == 0 else 0
    # A shard in which a label is missing has floats where others have whole numbers.
    indices = role == "labels" and all(not shard.row_shape and shard.dtype.kind in "iuf" for shard in shards)
    model = first.description
    for shard in shards[1:]:
        found = shard.description
        for what in ("format",) if indices else ("format", "dtype"):
            if getattr(found, what) != getattr(model, what):
                raise _unlike(what, first, shard, getattr(model, what), getattr(found, what))
        if shard.class_names != first.class_names:
            raise _unlike("columns", first, shard, _listing(first.class_names), _listing(shard.class_names))
        if shard.row_shape != first.row_shape or len(found.shape) != rank:
            raise _unlike("shape", first, shard, str(model.shape), str(found.shape))
        plans = [shard.plan.singles if shard.plan is not None else () for shard in (first, shard)]
        if plans[0] != plans[1]:
            raise _unlike("columns", first, shard, _listing(plans[0]), _listing(plans[1]))
    return Shards(name, role, tuple(shards), along, empty)


@dataclass(frozen=True, slots=True)
class Shards:
    """Several sources as one; see `Source`.

    Fields
    ------
    along
        Axis of the shape in which the shards follow one another.
    empty
        Names of files that were left out because they hold no rows.
    """

    name: str
    role: str
    shards: tuple[Source, ...]
    along: int
    empty: tuple[str, ...] = ()

    @property
    def description(self) -> InputDescription:
        """See `Source`."""
        found = [shard.description for shard in self.shards]
        sides = list(zip(*(each.shape for each in found), strict=True))
        shape = [along[0] if len(set(along)) == 1 else None for along in sides]
        if sides:
            known = [side for side in sides[self.along] if side is not None]
            shape[self.along] = sum(known) if len(known) == len(self.shards) else None
        names = tuple(each.path for each in found)
        dtype = found[0].dtype if len({each.dtype for each in found}) == 1 else self.dtype.name
        return replace(found[0], path=self.name, shape=tuple(shape), dtype=dtype, shards=names)

    @property
    def ragged(self) -> bool:
        """Whether shards of arrays differ in more than the side along which they follow one another."""
        sides = zip(*(shard.description.shape for shard in self.shards), strict=True)
        return any(len(set(side)) > 1 for i, side in enumerate(sides) if i != self.along)

    @property
    def num_rows(self) -> int | None:
        """See `Source`."""
        counts = [shard.num_rows for shard in self.shards]
        return None if None in counts else sum(count for count in counts if count is not None)

    @property
    def row_shape(self) -> tuple[int, ...]:
        """See `Source`."""
        return self.shards[0].row_shape

    @property
    def sample_shape(self) -> tuple[int, ...] | None:
        """See `Source`; samples of shards that differ in shape stand in a row."""
        shapes = [shard.sample_shape for shard in self.shards]
        known = [shape for shape in shapes if shape is not None]
        if len(known) < len(shapes):
            return None
        if self.ragged:
            return (sum(math.prod(shape) for shape in known),)
        return (sum(shape[0] if shape else 1 for shape in known), *known[0][1:])

    @property
    def dtype(self) -> np.dtype[Any]:
        """See `Source`; one that takes the values of all."""
        dtypes = {shard.dtype for shard in self.shards}
        return dtypes.pop() if len(dtypes) == 1 else np.result_type(*dtypes)

    @property
    def brings(self) -> frozenset[str]:
        """See `Source`."""
        return self.shards[0].brings

    @property
    def class_names(self) -> tuple[str, ...] | None:
        """See `Source`."""
        return self.shards[0].class_names

    @property
    def named_labels(self) -> bool:
        """See `Source`."""
        return any(shard.named_labels for shard in self.shards)

    @property
    def plan(self) -> ColumnPlan | None:
        """See `Source`."""
        return self.shards[0].plan

    @property
    def again(self) -> bool:
        """See `Source`."""
        return all(shard.again for shard in self.shards)

    def parts(self, first: int = 0) -> Iterator[tuple[int, int, Part]]:
        """See `Source`."""
        for shard in self.shards:
            stop = first
            for start, size, part in shard.parts(first):
                stop = start + size
                yield start, size, part
            first = stop

    def rows(self, start: int, stop: int) -> Part | None:
        """See `Source`."""
        found: list[Part] = []
        begin = 0
        for shard in self.shards:
            if shard.num_rows is None:
                return None
            end = begin + shard.num_rows
            low, high = max(start, begin), min(stop, end)
            if low < high:
                part = shard.rows(low - begin, high - begin)
                if part is None:
                    return None
                found.append(LaterRows(part, begin) if begin and shard.named_labels else part)
            begin = end
        return found[0] if len(found) == 1 else RowsInTurn(tuple(found))

    def where(self, row: int, role: str, first: int = 0) -> str:
        """See `Source`; rows of text are counted for it."""
        for shard in self.shards:
            size = shard.num_rows
            if size is None:
                size = sum(size for _, size, _ in shard.parts())
            if row < first + size:
                return shard.where(row, role, first)
            first += size
        return f"{self.name} sample {row}"


def cut_alike(values: Source, logits: Source, *, by_class: bool = False) -> bool:
    """Whether shards hold, one by one and in their shape, a value for each sample of the logits, or for each class."""
    if not isinstance(values, Shards) or not isinstance(logits, Shards) or len(values.shards) != len(logits.shards):
        return False
    pairs = zip(values.shards, logits.shards, strict=True)
    if by_class:
        return all(one.description.shape == other.description.shape for one, other in pairs)
    return all(one.description.shape == other.sample_shape for one, other in pairs)


@dataclass(frozen=True, slots=True)
class LaterRows:
    """Recipe for rows of a shard, before which `begin` others stand."""

    part: Part
    begin: int

    def read(self) -> Rows:
        """Read them; what cannot be read is numbered over all shards."""
        try:
            return self.part.read()
        except UnreadableRowError as error:
            raise error.at_row(error.row + self.begin) from None


@dataclass(frozen=True, slots=True)
class RowsInTurn:
    """Recipe for rows that begin in one shard and end in another."""

    parts: tuple[Part, ...]

    def read(self) -> Rows:
        """Read them; each is copied, for the next one may be read into the same memory."""
        copies = []
        for part in self.parts:
            rows = part.read()
            copies.append(
                Rows(**{name: None if (v := getattr(rows, name)) is None else v.copy() for name in Rows.__slots__})
            )
        return Rows.concatenate(copies)


def _unlike(what: str, first: Source, shard: Source, expected: str, found: str) -> InputError:
    return InputError(
        f"shard of another {what}" if what != "columns" else "shard with other columns",
        shard.description.path,
        found=found,
        expected=f"{expected}, as in {first.description.path}",
    )


def _listing(names: tuple[str, ...] | None) -> str:
    shown = names or ()
    return ", ".join(shown[:6]) + (f" and {len(shown) - 6} more" if len(shown) > 6 else "") or "no names"
