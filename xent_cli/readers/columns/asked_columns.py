"""Columns that the user named: full names, globs, comma-separated lists, or one column that holds whole rows."""

from __future__ import annotations

from fnmatch import fnmatchcase
from typing import TYPE_CHECKING

from xent_cli.errors import InputError, did_you_mean, listing, printable
from xent_cli.readers.columns.cells.named_rows import of_cells
from xent_cli.readers.columns.choice import Choice, of_columns
from xent_cli.readers.columns.lines import one_column
from xent_cli.readers.columns.sample import BOOL, FLOATS, MAP, NUMBER, TEXT, VECTOR, WHOLES
from xent_cli.readers.columns.words import LISTS, plain_name

if TYPE_CHECKING:
    from collections.abc import Sequence

    from xent_cli.readers.columns.sample import TableSample
    from xent_cli.readers.options import ReadOptions


def asked_columns(sample: TableSample, options: ReadOptions, claimed: set[str | None]) -> Choice:
    """Find the columns that `--logits-column` names.

    Raises
    ------
    InputError
        If no column has the name, or it does not hold numbers.
    """
    columns: list[str] = []
    for text in options.logits_column:
        for word in (text,) if text in sample.kinds else [part.strip() for part in text.split(",")]:
            found = [word] if word in sample.kinds else [n for n in sample.kinds if fnmatchcase(n, word)]
            found = [name for name in found if name == word or name not in claimed]
            if not found:
                raise missing_column(sample.path, word, list(sample.kinds), "--logits-column")
            columns += [name for name in found if name not in columns]
    rows = {FLOATS, WHOLES, VECTOR, MAP, *((TEXT,) if len(columns) == 1 else ())}
    lists = [name for name in columns if sample.kinds[name] in rows]
    usable = {NUMBER, BOOL} if not lists else rows
    for name in columns:
        if sample.kinds[name] not in usable:
            raise InputError(
                "column holds no logits",
                f'{sample.path}, column "{name}"',
                found=f"type {sample.types.get(name) or sample.kinds[name]}",
                expected="a column of numbers for each class, or one of lists of numbers",
                hint="--logits-column names columns of numbers",
            )
    if len(lists) > 1:
        raise InputError(
            "several list columns",
            sample.path,
            found=listing(lists),
            expected="one list for each sample",
            hint="name one of them with --logits-column",
        )
    if lists:
        kind = next((kind for kind, words in LISTS if plain_name(lists[0]) in words), "")
        return of_cells(sample, lists[0], "named by --logits-column", kind, asked=True)
    if len(columns) == 1 and not options.binary and not options.run.values_only:
        raise one_column(sample, options, columns[0])
    return of_columns(tuple(columns), "named by --logits-column", asked=True)


def asked_labels(sample: TableSample, options: ReadOptions) -> tuple[str, ...]:
    """Return the columns that `--label-column` names: one, or one for each class (a glob or list); () if none.

    Examples
    --------
    >>> from xent_cli.readers.columns.sample import TableSample
    >>> from xent_cli.readers.options import ReadOptions
    >>> sample = TableSample("t.csv", dict.fromkeys(["y_cat", "y_dog", "p_cat"], "number"))
    >>> asked_labels(sample, ReadOptions(label_column="y_*")), asked_labels(sample, ReadOptions(label_column="y"))
    (('y_cat', 'y_dog'), ())
    """
    text = options.label_column
    if text is None or text in sample.kinds:
        return () if text is None else (text,)
    found: list[str] = []
    for word in map(str.strip, text.split(",")):
        some = [word] if word in sample.kinds else [name for name in sample.kinds if fnmatchcase(name, word)]
        if not some:
            return ()
        found += [name for name in some if name not in found]
    return tuple(found)


def missing_column(path: str, name: str, columns: Sequence[str], option: str) -> InputError:
    """Return the error for a column that does not exist, with the columns that do and the closest name."""
    import shlex

    return InputError(
        "no such column",
        path,
        found=f"columns {listing(columns)}",
        expected=f'"{name}" ({option})',
        hint=did_you_mean(name, columns) or f"xent inspect {shlex.quote(printable(path))} says what each column holds",
    )
