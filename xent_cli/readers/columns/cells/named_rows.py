"""Cells that hold a whole row of scores: lists and vectors by place, maps by the names of the classes."""

from __future__ import annotations

from contextlib import suppress
from typing import TYPE_CHECKING

import numpy as np

from xent_cli.errors import InputError, listing
from xent_cli.readers.columns.choice import Choice, of_columns
from xent_cli.readers.columns.lines import line
from xent_cli.readers.columns.sample import FLOATS, WHOLES
from xent_cli.readers.columns.words import YES_NO, plain_name

if TYPE_CHECKING:
    from collections.abc import Callable

    from xent_cli.core.array_types import FloatArray
    from xent_cli.readers.columns.labels.label_values import LabelValues
    from xent_cli.readers.columns.sample import TableSample
    from xent_cli.readers.options import ReadOptions

# A single row may descend by chance.
_ROWS_IN_ORDER = 2


def of_cells(sample: TableSample, name: str, why: str, kind: str, *, asked: bool = False) -> Choice:
    """Choose the one column whose cells hold a number for each class.

    Raises
    ------
    InputError
        If the first cell of the column is not a row of numbers.
    """
    if sample.kinds[name] in (FLOATS, WHOLES):
        return Choice((name,), why, kind=kind, is_list=True, asked=asked)
    from xent_cli.readers.columns.cells.cell_text import layout_of_cells

    layout = layout_of_cells(sample, name)
    if not layout.keys:
        return Choice((name,), why, kind=kind, is_list=True, asked=asked, cells=layout.width)
    # The keys of a map are to their cells what columns are to a table.
    found = of_columns(layout.keys, why, asked=asked)
    return found._replace(kind=kind or found.kind, cells=layout.width, within=name)


def numbers_of(sample: TableSample, choice: Choice) -> FloatArray:
    """Return the first rows [m, k] of the chosen columns, or of the chosen column of maps; NaN for a missing value."""
    return rows_of_maps(sample, choice.within, choice.columns) if choice.within else sample.numbers(choice.columns)


def rows_of_maps(sample: TableSample, name: str, keys: tuple[str, ...]) -> FloatArray:
    """Return the first rows [m, k] of a column of maps; NaN for a cell with different keys."""
    from xent_cli.readers.columns.cells.cell_text import dense, row_of_cell

    cells = sample.first(name)
    rows = np.full((len(cells), len(keys)), np.nan)
    for row, cell in zip(rows, cells, strict=True):
        with suppress(ValueError):  # the run reports it with its row
            row[:] = dense(row_of_cell(cell), keys, len(row))
    return rows


def refuse_unordered(
    sample: TableSample, choice: Choice, options: ReadOptions, labels: Callable[[], LabelValues | None]
) -> None:
    """Refuse maps whose keys give no order of the classes, if labels are numbers.

    Raises
    ------
    InputError
        If keys are in the order of their scores, or in a different order from row to row.
    """
    if not choice.within or choice.numbers is not None or options.class_names is not None:
        return
    known = labels()
    if known is None and not options.labels_path:
        return  # the user is told that there are no labels
    if known is not None and (known.form == "text" or (known.boolean and _say_yes_and_no(choice))):
        return
    from xent_cli.readers.columns.cells.cell_text import row_of_cell

    rows = []
    for cell in sample.first(choice.within):
        try:
            row = row_of_cell(cell)
        except ValueError:  # the run reports it with its row
            continue
        if {*row.keys} == {*choice.columns}:
            rows.append(row)
    if len({row.keys for row in rows}) > 1:
        found = "maps whose keys are in a different order from row to row"
    elif (
        len(rows) >= _ROWS_IN_ORDER
        and len(choice.columns) > 1
        and all(np.all(r.values[1:] <= r.values[:-1]) for r in rows)
    ):
        found = "maps whose keys are in the order of their scores"
    else:
        return
    raise InputError(
        "classes are named row by row, but labels are numbers",
        f'{sample.path}, column "{choice.within}"',
        found=found,
        expected=f"labels that are names, such as {listing(choice.columns[:2])}, or the order of the classes",
        hint="write the names in the order of their numbers to a file, one a line: "
        + line(sample.path, options, class_names_file="NAMES.txt"),
    )


def _say_yes_and_no(choice: Choice) -> bool:
    plain = tuple(map(plain_name, choice.names or ()))
    return plain in YES_NO or plain[::-1] in YES_NO
