"""Tables with a row for each sample and class, which are refused with the lines that pivot them."""

from __future__ import annotations

import json
import shlex
from functools import partial
from typing import TYPE_CHECKING

from xent_cli.errors import InputError, printable
from xent_cli.readers.columns.sample import NUMBER
from xent_cli.readers.columns.words import ID, INDEX, kind_of_stem, plain_name

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from xent_cli.readers.columns.roles import Role
    from xent_cli.readers.columns.sample import TableSample


def refuse_long(sample: TableSample, roles: Mapping[str, Role], labels: Sequence[str]) -> None:
    """Refuse a table in which ids repeat, one of two columns of classes differs within them, and one column is scores.

    Raises
    ------
    InputError
        With the lines that make a column of each class.
    """
    ids = [name for name, role in roles.items() if role.role in (ID, INDEX) and name not in labels]
    scores = [
        name
        for name in roles
        if sample.kinds[name] == NUMBER and not sample.is_whole(name) and kind_of_stem(name) is not None
    ]
    if len(labels) != 2 or len(scores) != 1 or not ids:
        return
    index = ids[0]
    keys = sample.texts(index)
    for which, label in (labels, labels[::-1]):
        rows = list(zip(keys, sample.texts(which), strict=True))
        same = len(set(zip(keys, sample.texts(label), strict=True))) == len(set(keys))
        if len(set(keys)) < len(keys) and len(set(rows)) == len(rows) and same:
            break
    else:
        return
    read = "parquet" if sample.path.endswith(".parquet") else "csv"
    quoted = partial(json.dumps, ensure_ascii=False)
    prefix = f"{plain_name(scores[0])}_"
    script = (
        f"import pandas; pandas.read_{read}({quoted(sample.path)})"
        f".pivot(index={quoted([index, label])}, columns={quoted(which)}, values={quoted(scores[0])})"
        f'.add_prefix({quoted(prefix)}).reset_index().to_csv("wide.csv", index=False)'
    )
    source = " --from probs" if kind_of_stem(scores[0]) == "probs" else ""
    raise InputError(
        "a long table, with a row for each sample and class",
        sample.path,
        found=f'values of "{index}" that repeat, each with every "{which}", and one column of scores, "{scores[0]}"',
        expected="a row for each sample, with a column for each class",
        hint=f"python -c {shlex.quote(printable(script))} && xent compute wide.csv --label-column "
        f"{shlex.quote(printable(label))}{source}",
    )
