"""The columns that are taken for the classes, and why."""

from __future__ import annotations

from typing import NamedTuple

from xent_cli.readers.columns.families import affixes, family_of, numbered


class Choice(NamedTuple):
    """The class columns, or the one list column, and why.

    Fields
    ------
    columns
        In the order of the classes.
    why
        The rule that chose them, for the user.
    names, numbers
        Of the classes, as far as the columns say.
    kind
        What their names say that they hold: "logits", "log-probs", "probs" or "".
    stem
        What their names share, around a star.
    is_list
        Whether it is one column of lists.
    cells, within
        How many numbers a cell of the one column holds, where they are not lists; of maps also the column itself,
        `columns` being their keys.
    asked
        Whether the user named them.
    doubt
        Whether nothing but the labels that occur bears them out.
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
    """Columns as classes: in the order of their numbers, or called by what their names do not share."""
    family = next((f for f in numbered(columns) if len(f.columns) == len(columns)), None)
    family = family or family_of(columns, *affixes(columns))
    # Where no word of the stem is about scores, it may be a part of the names of the classes (<=50K, >50K).
    plain = family.kind is None and family.numbers is None
    names = tuple(name.strip() for name in (family.columns if plain else family.names))
    kind = family.kind or ""
    return Choice(family.columns, why, names, family.numbers, kind, family.stem, asked=asked, doubt=doubt)
