"""Read a whole table as arrays, by the same rules as the commands."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import numpy as np

from xent_cli.errors import InputError, RowError
from xent_cli.readers.interface import Classes
from xent_cli.readers.open import open_source
from xent_cli.readers.options import ReadOptions
from xent_cli.readers.storage.identity import refuse_changed, watching

if TYPE_CHECKING:
    from collections.abc import Sequence

    from xent_cli.core.array_types import AnyArray


def read_table(
    path: str | os.PathLike[str],
    *,
    logits_column: str | Sequence[str] = (),
    label_column: str | None = None,
) -> tuple[AnyArray, AnyArray | None, tuple[str, ...] | None]:
    r"""Read logits, labels and the names of the classes from a table.

    Which columns are the classes, in which order, and what the labels mean is decided as in `xent compute`: by the
    names of the columns and by evidence in labels and rows, never by a guess.

    Parameters
    ----------
    path
        CSV, JSON, Parquet or Arrow; a folder or glob of them; or a URL.
    logits_column
        Names of columns, or globs over them, if the table leaves open which hold the logits.
    label_column
        Name of the column of labels, if the table leaves that open.

    Returns
    -------
    logits
        [n, k], in the order of the classes.
    labels
        [n] class indices, [n, k] soft labels, or None if the table has none.
    class_names
        Names of the k classes, or None if the table does not name them.

    Raises
    ------
    InputError
        If no column fits, the table can be read in several ways, or a row cannot be read.

    Examples
    --------
    >>> import tempfile, pathlib
    >>> path = pathlib.Path(tempfile.mkdtemp(), "t.csv")
    >>> _ = path.write_text("fold,logit_cat,logit_dog,label\n0,2.0,1.0,cat\n1,0.5,3.5,dog\n")
    >>> logits, labels, class_names = read_table(path)
    >>> logits.tolist(), labels.tolist(), class_names
    ([[2.0, 1.0], [0.5, 3.5]], [0, 1], ('cat', 'dog'))
    """
    asked = (logits_column,) if isinstance(logits_column, str) else tuple(logits_column)
    options = ReadOptions(logits_column=asked, label_column=label_column, logits_path=os.fspath(path))
    with watching():
        found = _read(os.fspath(path), options)
        refuse_changed()
    return found


def _read(path: str, options: ReadOptions) -> tuple[AnyArray, AnyArray | None, tuple[str, ...] | None]:
    source = open_source(path, "logits", options, Classes(options.axis))
    if source.info.plan is None:
        raise InputError("not a table", path, found=f"an array ({source.info.format})", expected="columns")
    logits, labels = [], []
    try:
        for _, _, part in source.parts():
            rows = part.read()
            logits.append(np.array(rows.logits))
            if rows.labels is not None:
                labels.append(np.array(rows.labels))
    except RowError as error:
        from xent_cli.readers.pair.bad_rows import complete

        raise complete(error, source) from None
    if not logits:
        raise InputError("no rows", path, expected="at least 1")
    return np.concatenate(logits), np.concatenate(labels) if labels else None, source.info.class_names
