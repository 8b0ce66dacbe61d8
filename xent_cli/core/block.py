"""A block of aligned rows of logits and labels, and the picklable recipe for reading it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple, Protocol

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Sequence

    from xent_cli.core.array_types import AnyArray, BoolArray, FloatArray, IntArray


# Flags that are None in a part without a flagged row.
_FLAGS = ("unscored", "absent")


class Block(NamedTuple):
    """Consecutive samples as in the input: nothing is checked or converted yet.

    Fields
    ------
    start
        Sample number of the first row in the whole input.
    logits
        [n, k], any real dtype, byte order and strides. The memory may be reused when the same thread loads again.
    labels
        [n] class indices, or [n, k] one row of class probabilities or of a teacher's outputs per sample.
    weights
        [n] sample weights, dimensionless, or None.
    mask
        [n] bool or 0/1, 1 where a sample counts, or None if every sample does. Nothing else is checked where it is 0.
    unscored
        [n] True where a sample has no label, because of its position in a sequence or a missing value; or None.
    ids
        [n] names for the per-sample output, or None.
    groups
        [n, m] texts of the m columns whose values name slices, None for a missing value; or None.
    absent
        [n] True where logits are missing or unreadable, an error only if the sample counts; or None.
    true_labels
        [n] class indices where `labels` are a teacher's outputs, or None.
    logit_bounds, label_bounds
        [n, 3] the fields of `kernel.partial_rows.Bounds` for log-probabilities that are NaN where they are not known;
        None if all are.
    units
        [n] number of units of text, such as bytes, of each sample or of the document that it is in; or None.
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
    true_labels: AnyArray | None = None
    units: AnyArray | None = None
    logit_bounds: FloatArray | None = None
    label_bounds: FloatArray | None = None

    def load(self) -> Block:
        """Return the block itself, which is already in memory."""
        return self

    def take(self, rows: IntArray) -> Block:
        """Return some rows, numbered from 0, with their labels only: no weights, mask, ids, groups or units."""
        kept = ("unscored", "true_labels", "logit_bounds", "label_bounds")
        fields = {name: values[rows] for name in kept if (values := getattr(self, name)) is not None}
        return Block(0, self.logits[rows], self.labels[rows], **fields)


class Rows(NamedTuple):
    """The fields of a `Block` that one input provides; the rest are None."""

    logits: AnyArray | None = None
    labels: AnyArray | None = None
    weights: AnyArray | None = None
    unscored: BoolArray | None = None
    ids: AnyArray | None = None
    groups: AnyArray | None = None
    mask: AnyArray | None = None
    absent: BoolArray | None = None
    true_labels: AnyArray | None = None
    units: AnyArray | None = None
    logit_bounds: FloatArray | None = None
    label_bounds: FloatArray | None = None

    def read(self) -> Rows:
        """Return the rows themselves, which are already in memory."""
        return self

    def copied(self) -> Rows:
        """Return a copy of the rows: what is read may be valid only until the next read."""
        return Rows(*(None if values is None else values.copy() for values in self._values()))

    def given(self) -> dict[str, Any]:
        """The fields that are not None, by name."""
        return {name: values for name, values in zip(Rows._fields, self._values(), strict=True) if values is not None}

    def cut(self, part: slice) -> Rows:
        """Return consecutive rows."""
        return Rows(*(None if values is None else values[part] for values in self._values()))

    @classmethod
    def concatenate(cls, parts: Sequence[Rows]) -> Rows:
        """Join parts with the same fields; the flags of missing values may be None in some of them."""
        if len(parts) == 1:
            return parts[0]
        joined = {}
        for name in cls._fields:
            columns = [getattr(part, name) for part in parts]
            if name in _FLAGS and not all(column is None for column in columns):
                pairs = zip(columns, parts, strict=True)
                columns = [np.zeros(part.size, np.bool_) if column is None else column for column, part in pairs]
            joined[name] = None if columns[0] is None else np.concatenate(columns)
        return cls(**joined)

    @property
    def size(self) -> int:
        """Number of rows."""
        return next((len(values) for values in self._values() if values is not None), 0)

    def _values(self) -> tuple[AnyArray | None, ...]:
        return tuple(getattr(self, name) for name in Rows._fields)


class Part(Protocol):
    """A picklable recipe for consecutive rows of one input."""

    def read(self) -> Rows:
        """Read the rows; their memory may be reused when the same thread reads the same input again."""


class Task(Protocol):
    """What an engine distributes: a `Block`, or a `BlockRef` that the worker turns into one."""

    def load(self) -> Block:
        """Return the rows in memory."""


class BlockRef(NamedTuple):
    """Recipe for a block: which rows it has, and the parts of each input that contain them.

    For seekable files this is a path and a range, a few hundred bytes, so that engines do not send arrays.
    """

    start: int
    size: int
    parts: tuple[Part, ...]

    def load(self) -> Block:
        """Read every part and assemble the block; columns of groups are placed side by side.

        Raises
        ------
        RowError
            If two parts have different ids or labels for a sample.
        """
        block = Block(self.start, np.empty((self.size, 0)), np.empty(0))
        labelled = False
        for part in self.parts:
            rows = part.read()
            if block.ids is not None and rows.ids is not None:
                from xent_cli.core.checks.same_samples import refuse_other_ids

                roles = (name for name in ("labels", "weights", "mask") if getattr(rows, name) is not None)
                refuse_other_ids(block.ids, rows.ids, self.start, next(roles, "labels"))
            if labelled and rows.labels is not None:
                from xent_cli.core.checks.same_samples import refuse_other_labels

                refuse_other_labels(block.labels, rows.labels, self.start)
            labelled = labelled or rows.labels is not None
            fields = rows.given()
            if block.groups is not None and rows.groups is not None:
                fields["groups"] = np.hstack([block.groups, rows.groups])
            for name in _FLAGS:
                if (flags := getattr(block, name)) is not None and name in fields:
                    fields[name] = flags | fields[name]
            block = block._replace(**fields)
        return block
