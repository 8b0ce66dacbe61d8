"""Refuse tables with a row for each combination of sample and class, and show the lines that pivot them."""

from __future__ import annotations

import json
import shlex
from functools import partial
from itertools import permutations
from typing import TYPE_CHECKING

from xent_cli.errors import printable
from xent_cli.readers.columns.lines import LongTableError, line
from xent_cli.readers.columns.roles import role_named
from xent_cli.readers.columns.sample import BOOL, NUMBER, TEXT
from xent_cli.readers.columns.words import ID, INDEX, LABEL, PREDICTION, kind_of_stem, plain_name
from xent_cli.readers.options import ReadOptions

if TYPE_CHECKING:
    from collections.abc import Mapping

    from xent_cli.readers.columns.roles import Role
    from xent_cli.readers.columns.sample import TableSample

# A table with more columns than this is not a long one.
_MOST_COLUMNS = 40


def refuse_long(sample: TableSample, roles: Mapping[str, Role], options: ReadOptions) -> None:
    """Refuse a table in which ids repeat, one column names the class of each row, and one column holds scores.

    The labels may be a column that is the same in all rows of an id, a column that is 1 or true only in the row of the
    right class, or a table of their own.

    Raises
    ------
    InputError
        With the line that makes a column for each class.
    """
    if options.logits_column or len(sample.kinds) > _MOST_COLUMNS:
        return
    if any(kind not in (NUMBER, TEXT, BOOL) for kind in sample.kinds.values()):
        return
    ids = [name for name, role in roles.items() if role.role in (ID, INDEX)]
    scores = [n for n in roles if sample.kinds[n] == NUMBER and not sample.is_whole(n) and kind_of_stem(n) is not None]
    if len(scores) != 1:
        return
    asked = options.label_column
    for index, names in permutations(dict.fromkeys((*ids, *_class_columns(sample, roles))), 2):
        if index not in ids or not _is_grid(sample, index, names):
            continue
        beside = [n for n in sample.kinds if n not in (index, names, scores[0])]
        same = [n for n in beside if n not in ids or sample.kinds[n] == TEXT]
        same = [n for n in same if _one_each(sample, index, n) and len({*sample.texts(n)}) > 1]
        same = [asked] if asked in same else _named_first(sample, names, same)
        marked = [n for n in beside if _marks_one(sample, index, n)] if not same else []
        raise _long(sample, index, names, scores[0], same, marked, options)


def _class_columns(sample: TableSample, roles: Mapping[str, Role]) -> list[str]:
    """Return columns of text or whole numbers, which may hold the class of a row."""
    some = [name for name, kind in sample.kinds.items() if kind == TEXT or (kind == NUMBER and sample.is_whole(name))]
    return [name for name in some if name in roles]


def _is_grid(sample: TableSample, index: str, names: str) -> bool:
    """Whether each id in the first rows, except the last id, has one row for each class."""
    keys, classes = sample.texts(index), sample.texts(names)
    last = keys[-1] if keys else ""
    rows = [(key, name) for key, name in zip(keys, classes, strict=True) if key != last]
    every, k = {key for key, _ in rows}, len({name for _, name in rows})
    return len(every) > 1 < k and len(set(rows)) == len(rows) == len(every) * k


def _one_each(sample: TableSample, index: str, name: str) -> bool:
    """Whether a column has one value for each id."""
    keys = sample.texts(index)
    return len(set(zip(keys, sample.texts(name), strict=True))) == len(set(keys))


def _named_first(sample: TableSample, names: str, same: list[str]) -> list[str]:
    """Return columns that hold nothing but classes; if some of these are named like labels, only those."""
    classes = set(sample.texts(names))
    found = [name for name in same if set(sample.texts(name)) <= classes]
    labels = [name for name in found if role_named(name) == LABEL]
    return labels or [name for name in found if role_named(name) != PREDICTION]


def _marks_one(sample: TableSample, index: str, name: str) -> bool:
    """Whether a column is 1 or true in one row of each id and 0 in the others; the last id may be incomplete."""
    keys = sample.texts(index)
    last = keys[-1] if keys else ""
    held = [(key, text.lower()) for key, text in zip(keys, sample.texts(name), strict=True) if key != last]
    marked = [key for key, text in held if text in ("1", "true")]
    return {text for _, text in held} <= {"0", "1", "true", "false"} and sorted(set(marked)) == sorted(
        marked
    ) == sorted({key for key, _ in held})


def _long(
    sample: TableSample,
    index: str,
    names: str,
    score: str,
    same: list[str],
    marked: list[str],
    options: ReadOptions,
) -> LongTableError:
    """Return the error, with one line that pivots the table for each column that may hold the labels."""
    read = "parquet" if sample.path.endswith(".parquet") else "csv"
    if sample.path.endswith((".jsonl", ".ndjson", ".json")):
        read = "json"
    quoted = partial(json.dumps, ensure_ascii=False)
    opened = f"pandas.read_{read}({quoted(sample.path)}{', lines=True' if read == 'json' else ''})"
    kind = kind_of_stem(score)
    lines = []
    found: list[str | None] = [*(same or marked)[:3]]
    for label in found or [None]:
        at = [index, label] if label in same else index
        script = f"import pandas; t = {opened}; w = t.pivot(index={quoted(at)}, columns={quoted(names)}"
        script += f", values={quoted(score)}).add_prefix({quoted(plain_name(score) + '_')})"
        if label in marked:
            is_one = (
                f't[t[{quoted(label)}].astype(int) == 1].set_index({quoted(index)})[{quoted(names)}].rename("label")'
            )
            script += f".join({is_one})"
        script += '.reset_index(); w.to_csv("wide.csv", index=False)'
        reading = ReadOptions(
            logits_path="wide.csv",
            labels_path=options.labels_path or ("" if label else "LABELS"),
            label_column=None if label is None else "label" if label in marked else label,
            source=options.source or ("probs" if kind == "probs" else None),
        )
        if label is None and options.labels_path:
            reading = reading._replace(label_column=options.label_column)
        lines.append(f"python -c {shlex.quote(printable(script))} && {line('wide.csv', reading)}")
    return LongTableError(
        "a long table, with a row for each sample and class",
        sample.path,
        found=f'values of "{index}" that repeat, each with every "{names}", and one column of scores, "{score}"',
        expected="a row for each sample, with a column for each class",
        hint="; or ".join(lines),
    )
