"""Groups of samples from a file or an array: one number or text for each sample."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from xent_cli.core.block import Rows
from xent_cli.errors import InputError, printable
from xent_cli.readers.columns.column_plan import ColumnPlan

if TYPE_CHECKING:
    from collections.abc import Iterator

    from xent_cli.core.array_types import AnyArray
    from xent_cli.core.block import Part
    from xent_cli.readers.interface import Source, SourceInfo


def begins_with_a_value(source: Source, logits: Source, name: str) -> bool:
    """Whether the first line of a text file is not a header but the first group, without which a row is missing.

    Raises
    ------
    InputError
        If that cannot be decided: either number of rows fits, or the line equals one of the groups but would be a row
        too many.
    """
    plan, shape, n = source.info.plan, logits.info.sample_shape, logits.info.num_rows
    if source.info.format != "csv" or plan is None or plan.by == (name,) or not source.info.rereadable:
        return False
    found = sum(size for _, size, _ in source.parts())
    if shape is None:  # a table, whose rows may not be counted yet
        counts = {found if n is None else n}
    else:
        counts = {math.prod(shape[:outer]) for outer in range(1, len(shape) + 1)}
    if found not in counts:
        return found + 1 in counts
    if found + 1 in counts or _among_the_first(plan.by, source):
        raise InputError(
            "a first line that may be a name or a value",
            source.info.path,
            found=f'{found + 1:,} lines that begin with "{printable(plan.by[0])}"',
            expected="values, or values below a name that is not one of them",
            hint=f'a first line "{printable(name)}" is sure to be a name'
            + ("" if shape is None else "; --no-header says that the first line is a value"),
        )
    return False


def _among_the_first(names: tuple[str, ...], source: Source) -> bool:
    """Whether the first line is also a value among the samples; only the first part, whose size is bounded, is read."""
    for _, _, part in source.parts():
        groups = part.read().groups
        return groups is not None and bool((groups == names[0]).any())
    return False


@dataclass(frozen=True, slots=True)
class Groups:
    """A source of groups under the name that the user gave; see `Source`."""

    source: Source
    name: str

    @property
    def info(self) -> SourceInfo:
        """See `Source`."""
        plan = self.source.info.plan
        plan = ColumnPlan(by=(self.name,)) if plan is None else plan._replace(by=(self.name,))
        return self.source.info._replace(plan=plan)

    def parts(self, first: int = 0) -> Iterator[tuple[int, int, Part]]:
        """See `Source`."""
        for start, size, part in self.source.parts(first):
            yield start, size, GroupRows(part)

    def rows(self, start: int, stop: int) -> Part | None:
        """See `Source`."""
        part = self.source.rows(start, stop)
        return None if part is None else GroupRows(part)

    def where(self, row: int, role: str, first: int = 0) -> str:
        """See `Source`."""
        return self.source.where(row, role, first)


@dataclass(frozen=True, slots=True)
class GroupRows:
    """Recipe for groups as texts [n, 1]."""

    part: Part

    def read(self) -> Rows:
        """Read the groups as text; numbers are written as those in columns of a table."""
        groups = self.part.read().groups
        assert groups is not None
        return Rows(groups=groups if groups.ndim == 2 else texts_of(groups)[:, np.newaxis])


def texts_of(values: AnyArray) -> AnyArray:
    """Write numbers or texts [n] as text, converting each distinct one once; bytes are UTF-8.

    Examples
    --------
    >>> texts_of(np.array([2, 10, 2])).tolist(), texts_of(np.array([True])).tolist(), texts_of(np.array([0.5])).tolist()
    (['2', '10', '2'], ['true'], ['0.5'])
    """
    distinct, at = np.unique(values, return_inverse=True)
    if distinct.dtype.kind == "S":
        texts = [text.decode("utf-8", "backslashreplace") for text in distinct.tolist()]
    elif distinct.dtype.kind in "Uiu":
        texts = list(map(str, distinct.tolist()))
    else:
        import pyarrow as pa

        texts = pa.array(distinct).cast(pa.string()).to_pylist()
    found: AnyArray = np.array([*texts, None], object)[at.reshape(-1)]
    return found
