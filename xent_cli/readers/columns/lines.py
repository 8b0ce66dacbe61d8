"""The command lines that choose columns, and the errors that show them."""

from __future__ import annotations

import shlex
from fnmatch import fnmatchcase
from typing import TYPE_CHECKING

from xent_cli.errors import InputError, listing, printable
from xent_cli.readers.columns.families import shown
from xent_cli.readers.columns.sample import MAP, VECTOR
from xent_cli.readers.columns.words import LABEL

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from xent_cli.readers.columns.column_plan import ColumnPlan
    from xent_cli.readers.columns.families import Family
    from xent_cli.readers.columns.roles import Role
    from xent_cli.readers.columns.sample import TableSample
    from xent_cli.readers.options import ReadOptions

# A line with more names than this is not one to copy.
_MOST_NAMED = 30
_MAGIC = "*?["


class OneScoreError(InputError):
    """A softmax would be one of a single class."""


def line(path: str, options: ReadOptions, *words: str) -> str:
    """A line that computes, with what the user gave and some words more.

    Examples
    --------
    >>> from xent_cli.readers.options import ReadOptions
    >>> line("my table.csv", ReadOptions(label_column="gold"), "--logits-column", "logit_*")
    "xent compute 'my table.csv' --label-column gold --logits-column 'logit_*'"
    """
    given = [word for word in (options.logits_path or path, options.labels_path) if word]
    if options.label_column is not None and "--label-column" not in words:
        given += ["--label-column", options.label_column]
    if options.logits_column and "--logits-column" not in words:
        given += [word for name in options.logits_column for word in ("--logits-column", name)]
    if options.source is not None and "--from" not in words:
        given += ["--from", options.source]
    return " ".join(shlex.quote(printable(word)) for word in ("xent", "compute", *given, *words))


def naming(columns: Sequence[str], every: Iterable[str], family: Family | None = None, kind: str = "") -> list[str]:
    """The words that choose columns: a glob where it means these and no others, else their names."""
    words = ["--from", "probs"] if kind == "probs" else []
    if family is not None and (family.before or family.after) and not set(_MAGIC) & set(family.before + family.after):
        glob = f"{family.before}*{family.after}"
        if {name for name in every if fnmatchcase(name, glob)} == set(columns):
            return ["--logits-column", glob, *words]
    if any("," in name for name in columns):
        return [word for name in columns for word in ("--logits-column", name)] + words
    if len(columns) > _MOST_NAMED:
        return ["--logits-column", f"{columns[0]},...,{columns[-1]}", *words]
    return ["--logits-column", ",".join(columns), *words]


def several_readings(
    sample: TableSample, options: ReadOptions, what: str, readings: Mapping[str, Sequence[str]], expected: str = ""
) -> InputError:
    """Refuse a table that can be read in several ways.

    Parameters
    ----------
    readings
        What each takes for the classes, and the words that choose it.
    """
    lines = [line(sample.path, options, *words) for words in readings.values()]
    return InputError(
        what,
        sample.path,
        found=" or ".join(readings),
        expected=expected or "one reading",
        hint="; or ".join(lines),
    )


def columns_beside(roles: Mapping[str, Role], taken: Iterable[str]) -> str:
    """Which columns are not taken, each with the reason: `id (id), fold (about the sample)`."""
    held = set(taken)
    parts = [f"{name} ({role.role or 'free'})" for name, role in roles.items() if name not in held]
    few = 12
    return ", ".join(parts[:few]) + (f" and {len(parts) - few} more" if len(parts) > few else "")


def named_probabilities(path: str, plan: ColumnPlan, labels_path: str | None) -> InputError:
    """Refuse columns that are named probabilities where nothing says what they hold."""
    words = ["xent", "compute", path, *((labels_path,) if labels_path else ())]
    if plan.asked:
        words += ["--logits-column", plan.stem or ",".join(plan.values[:_MOST_NAMED])]
    told = " ".join(shlex.quote(printable(word)) for word in words)
    return InputError(
        "probabilities where logits are expected",
        path,
        found=f"columns named {shown(plan.values)}" if not plan.is_list else f'lists named "{plan.values[0]}"',
        expected="logits, or what they hold said with --from",
        hint=f"{told} --from probs; --from logits insists that they are logits",
    )


def two_labels(sample: TableSample, options: ReadOptions, names: Sequence[str], why: str = "") -> InputError:
    """Refuse a table with two columns that may be the labels."""
    lines = "; or ".join(line(sample.path, options, "--label-column", name) for name in names)
    return InputError(
        "several columns of labels", sample.path, found=f"{listing(names)}{why}", expected="one", hint=lines
    )


def one_column(sample: TableSample, options: ReadOptions, name: str) -> OneScoreError:
    """Refuse a single column of scores."""
    return OneScoreError(
        "one column is no softmax",
        sample.path,
        found=f'"{name}" alone beside the other columns',
        expected="a column for each class, two or more",
        hint="scores of a binary classifier: " + line(sample.path, options, "--logits-column", name, "--binary"),
    )


def no_columns(sample: TableSample, options: ReadOptions, roles: Mapping[str, Role]) -> InputError:
    """Refuse a table in which no column is a class."""
    names = list(sample.kinds)
    labels = [name for name, role in roles.items() if role.role == LABEL]
    if len(names) == 1 or set(names) <= {*labels, *(n for n, r in roles.items() if r.role in ("index", "id"))}:
        swapped = f": xent compute {options.labels_path} {sample.path}?" if options.labels_path else ""
        return InputError(
            "labels where the logits belong" if labels or len(names) == 1 else "no columns of logits",
            sample.path,
            found=f"columns {listing(names)}",
            expected="a column of scores for each class",
            hint=f"LOGITS comes first, LABELS after it{swapped}",
        )
    numbers = [n for n, kind in sample.kinds.items() if kind == "number" and n not in labels]
    some = shown(numbers) if len(numbers) > 1 else ""
    cells = [name for name, kind in sample.kinds.items() if kind in (VECTOR, MAP)]
    lines = "; or ".join(line(sample.path, options, "--logits-column", name) for name in cells[:3])
    return InputError(
        "no columns of logits",
        sample.path,
        found=f"columns {listing(names)}",
        expected="a list column named logits, or columns such as logit_0 and logit_1",
        hint=f"if they are the logits: {lines}"
        if lines
        else "name them with --logits-column" + (f", if they are {some}" if some else ""),
        more=f"not taken: {columns_beside(roles, labels)}" if roles else "",
    )
