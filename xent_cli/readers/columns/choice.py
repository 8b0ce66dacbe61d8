"""The columns chosen as the classes, and why."""

from __future__ import annotations

from typing import NamedTuple

from xent_cli.readers.columns.families import affixes, family_of, numbered


class Choice(NamedTuple):
    """The class columns, or the one list column, and why.

    Fields
    ------
    columns
        The columns, in the order of the classes.
    why
        The rule that chose them, in words for the user.
    names, numbers
        Names and numbers of the classes, if the columns give them.
    kind
        What the columns hold according to their names: "logits", "log-probs", "probs" or "".
    stem
        The common part of the column names, with a star for the rest.
    is_list
        Whether it is one column of lists.
    cells, within
        The number of values in a cell of the one column, if cells are not lists; for maps also the name of this column,
        and `columns` are then their keys.
    asked
        Whether the user named the columns.
    doubt
        Whether the range of the labels is the only evidence for the choice.
    """

    columns: tuple[str, ...]
    why: str
    names: tuple[str, ...] | None = None
    numbers: tuple[int, ...] | None = None
    kind: str = ""
    stem: str = ""
    is_list: bool = False
    asked: bool = False
    doubt: bool = False
    cells: int = 0
    within: str = ""


def of_columns(columns: tuple[str, ...], why: str, *, asked: bool = False, doubt: bool = False) -> Choice:
    """Take columns as classes: in the order of their numbers, or named by the part that differs."""
    family = next((f for f in numbered(columns) if len(f.columns) == len(columns)), None)
    family = family or family_of(columns, *affixes(columns))
    # If no word of the stem means a score, it may belong to the names of the classes (<=50K, >50K).
    plain = family.kind is None and family.numbers is None
    names = tuple(name.strip() for name in (family.columns if plain else family.names))
    kind = family.kind or ""
    return Choice(family.columns, why, names, family.numbers, kind, family.stem, asked=asked, doubt=doubt)
