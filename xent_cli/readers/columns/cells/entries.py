"""Cells that list some classes, each with a value, where a class may be listed twice."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from xent_cli.readers.columns.cells.cell_text import Row, row_of_cell
from xent_cli.readers.columns.cells.named_scores import objects_of, scores_by_name
from xent_cli.readers.columns.sample import as_text

if TYPE_CHECKING:
    from collections.abc import Sequence


def entries_of_cell(cell: object) -> Row:
    """Read a cell as `row_of_cell` does, except that a class may be listed twice, once of these as the sampled token.

    Raises
    ------
    ValueError
        If it is not a row of numbers.

    Examples
    --------
    >>> entries_of_cell('[{"token": "a", "logprob": -1}, {"token": "a", "logprob": -1}]')
    Row(values=[-1.0, -1.0], keys=('a', 'a'), indices=None, size=0)
    """
    if isinstance(cell, str) and cell.lstrip().startswith("["):
        cell = objects_of(cell) or cell
    pairs: Sequence[tuple[Any, Any]] | None = None
    if isinstance(cell, list) and cell:
        pairs = cell if isinstance(cell[0], tuple) else scores_by_name(cell)
    keys = [as_text(key) for key, _ in pairs or ()]
    if len({*keys}) == len(keys):
        return row_of_cell(cell)
    return Row(
        [row_of_cell({key: value}).values[0] for key, (_, value) in zip(keys, pairs or (), strict=True)], (*keys,)
    )
