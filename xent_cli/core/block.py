"""What a task is made of: aligned rows of logits and labels, and the recipe for reading them."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Protocol

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Sequence

    from xent_cli.core.array_types import AnyArray, BoolArray, IntArray


# Fields that a part brings only where there is such a row in it.
_WHERE_IT_IS_SO = ("unscored", "absent")


@dataclass(frozen=True, slots=True, eq=False)
class Block:
    """Consecutive samples as they stand in the input: nothing is checked or converted yet.

    Fields
    ------
    start
        Number of the first sample in the whole input.
    logits
        [n, k], any real dtype, byte order and strides. It may be on loan: valid until the same thread loads again.
    labels
        [n] class indices, or [n, k] one row of class probabilities (or a teacher's outputs) a sample.
    weights
        [n] sample weights, dimensionless, or None.
    mask
        [n] bool or 0/1, 1 where a sample counts, or None where every one does; where it does not, nothing else is
        looked at.
    unscored
        [n] True where a sample has no label, by its position in a sequence or because a table has none; or None.
    ids
        [n] names carried into the per-sample output, or None.
    groups
        [n, m] texts of the m columns whose values name slices, None where a value is missing; or None.
    absent
        [n] True where logits are missing or cannot be read, which does no harm where a sample does not count; or None.
    """

    start: int
    logits: AnyArray
    labels: AnyArray
    weights: AnyArray | None = None
    unscored: BoolArray | None = None
    ids: AnyArray | None = None
    groups: AnyArray | None = None
    mask: AnyArray | None = None
    absent: BoolArray | None = None

    def load(self) -> Block:
        """Return itself: a block in memory is its own recipe."""
        return self

    def take(self, rows: IntArray) -> Block:
        """Some of the rows, counted from 0, with their labels; weights, mask, ids and groups stay behind."""
        unscored = None if self.unscored is None else self.unscored[rows]
        return Block(0, self.logits.take(rows, axis=0), self.labels.take(rows, axis=0), unscored=unscored)


@dataclass(frozen=True, slots=True, eq=False)
class Rows:
    """What one input contributes to a block; the fields are those of `Block`, None where it has nothing to say."""

    logits: AnyArray | None = None
    labels: AnyArray | None = None
    weights: AnyArray | None = None
    unscored: BoolArray | None = None
    ids: AnyArray | None = None
    groups: AnyArray | None = None
    mask: AnyArray | None = None
    absent: BoolArray | None = None

    def read(self) -> Rows:
        """Return itself: rows in memory are their own recipe."""
        return self

    def cut(self, part: slice) -> Rows:
        """Return some of the rows."""
        return Rows(*(None if values is None else values[part] for values in self._values()))

    @classmethod
    def concatenate(cls, parts: Sequence[Rows]) -> Rows:
        """Join runs of rows that have the same fields, but for those that say of which rows something is missing."""
        if len(parts) == 1:
            return parts[0]
        joined = {}
        for name in cls.__slots__:
            columns = [getattr(part, name) for part in parts]
            if name in _WHERE_IT_IS_SO and not all(column is None for column in columns):
                pairs = zip(columns, parts, strict=True)
                columns = [np.zeros(part.size, np.bool_) if column is None else column for column, part in pairs]
            joined[name] = None if columns[0] is None else np.concatenate(columns)
        return cls(**joined)

    @property
    def size(self) -> int:
        """How many rows there are."""
        return next((len(values) for values in self._values() if values is not None), 0)

    def _values(self) -> tuple[AnyArray | None, ...]:
        return tuple(getattr(self, name) for name in Rows.__slots__)


class Part(Protocol):
    """A picklable recipe for consecutive rows of one input."""

    def read(self) -> Rows:
        """Read the rows; what is returned may be on loan until the same thread reads the same input again."""


class Task(Protocol):
    """What an engine hands around: a `Block`, or a `BlockRef` that becomes one where the work is done."""

    def load(self) -> Block:
        """Return the rows in memory."""


@dataclass(frozen=True, slots=True)
class BlockRef:
    """Recipe for a block: which rows, and the parts of each input that hold them.

    Seekable files ship as a path and a range, a few hundred bytes, not as arrays.
    """

    start: int
    size: int
    parts: tuple[Part, ...]

    def load(self) -> Block:
        """Read every part and put the block together; columns of groups stand side by side.

        Raises
        ------
        RowError
            Where two parts bring ids, or labels, and these are not the same.
        """
        block = Block(self.start, np.empty((self.size, 0)), np.empty(0))
        labelled = False
        for part in self.parts:
            rows = part.read()
            if block.ids is not None and rows.ids is not None:
                from xent_cli.core.same_samples import refuse_other_ids

                roles = (name for name in ("labels", "weights", "mask") if getattr(rows, name) is not None)
                refuse_other_ids(block.ids, rows.ids, self.start, next(roles, "labels"))
            if labelled and rows.labels is not None:
                from xent_cli.core.same_samples import refuse_other_labels

                refuse_other_labels(block.labels, rows.labels, self.start)
            labelled = labelled or rows.labels is not None
            given = {name: getattr(rows, name) for name in Rows.__slots__ if getattr(rows, name) is not None}
            if block.groups is not None and rows.groups is not None:
                given["groups"] = np.hstack([block.groups, rows.groups])
            for name in _WHERE_IT_IS_SO:
                if (so := getattr(block, name)) is not None and name in given:
                    given[name] = so | given[name]
            block = replace(block, **given)
        return block
