"""The role of a column by its name and values: index, label, id, something about the prediction or the sample."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from xent_cli.readers.columns import words as say
from xent_cli.readers.columns.families import counting_up
from xent_cli.readers.columns.sample import BOOL, DATE, NUMBER, TEXT

if TYPE_CHECKING:
    from collections.abc import Iterable

    from xent_cli.readers.columns.sample import TableSample

# Digits at the end of a name are dropped, so that a role is looked up once for all columns of a stem.
_DIGITS = "0123456789"


class Role(NamedTuple):
    """The role of a column.

    Fields
    ------
    role
        One of the roles in `words`, or "" if the column may hold anything.
    reason
        In words, for the user.
    question
        Whether it is a float column whose name says a role, but which may be a class just as well.
    must
        Whether its name says a role, but its numbers are impossible for that role, so that it must be a class.
    """

    role: str
    reason: str
    question: bool = False
    must: bool = False


FREE = Role("", "")


def roles_of(sample: TableSample, names: Iterable[str]) -> dict[str, Role]:
    """Return the role of each column, in order; `FREE` for those without one.

    Examples
    --------
    >>> from xent_cli.readers.columns.sample import TableSample
    >>> sample = TableSample("t.csv", {"fold": "number", "cat": "number"}, lambda names: dict.fromkeys(names, [1, 2]))
    >>> {name: role.role for name, role in roles_of(sample, sample.kinds).items()}
    {'fold': 'about the sample', 'cat': ''}
    """
    stems: dict[str, bool] = {}
    found = {}
    folders, index, kinds = sample.folders, sample.index_columns, sample.kinds
    every, behind = list(names), 0
    for place, name in enumerate(every):
        if place < behind:
            continue
        if name in folders:
            role = _role_of(sample, name, first=False)
            found[name] = role if role.role else Role(say.ABOUT_SAMPLE, "it is part of a folder's name")
            continue
        if name[-1:].isdigit() and name not in index and kinds[name] == NUMBER:
            # The role of one numbered column is the role of all with the same stem.
            stem = name.rstrip(_DIGITS)
            if stem not in stems:
                stems[stem] = _named(say.plain_name(f"{stem}0")) is None
            if stems[stem]:
                run = every[place : place + (counting_up(every, place) or 1)]
                if all(kinds[each] == NUMBER for each in run) and index.isdisjoint(run) and folders.isdisjoint(run):
                    behind = place + len(run)
                    found.update(dict.fromkeys(run, FREE))
                else:
                    found[name] = FREE
                continue
        found[name] = _role_of(sample, name, first=place == 0)
    predictions = [name for name, role in found.items() if role.role == say.PREDICTION]
    for suffix in ("_pred",):
        # A single column with this suffix is the prediction; several are a family.
        alike = [name for name in predictions if say.plain_name(name).endswith(suffix) and name.count("_") == 1]
        if len(alike) > 1 and all(sample.kinds[name] == NUMBER and not sample.is_whole(name) for name in alike):
            found |= dict.fromkeys(alike, FREE)
    return found


def role_named(name: str, *, text: bool = False) -> str:
    """Return the role that the name says, or ""; a column without a name is an index.

    Parameters
    ----------
    text
        Whether the column is known to hold text.

    Examples
    --------
    >>> role_named("imageId"), role_named("Unnamed: 0"), role_named("cat")
    ('id', 'index', '')
    """
    found = _named(say.plain_name(name), text=text)
    return found.role if found is not None else "" if name.strip() else say.INDEX


def _role_of(sample: TableSample, name: str, *, first: bool) -> Role:
    kind = sample.kinds[name]
    if name in sample.index_columns:
        return Role(say.INDEX, "index of the rows, says pandas")
    plain = say.plain_name(name)
    if not name.strip() and (first or (kind == NUMBER and sample.is_whole(name))):
        return Role(say.INDEX, "index of the rows: it has no name")
    named = _named(plain, text=kind in (TEXT, BOOL))
    if kind == BOOL and (named is None or named.role != say.LABEL):
        return Role(named.role if named else say.ABOUT_SAMPLE, "true and false are not logits")
    if kind == DATE:
        return Role(say.ABOUT_SAMPLE, "dates")
    if named is None:
        return Role(say.ID, "text") if kind == TEXT else FREE
    reason = f"{named.role}, says its name"
    if kind != NUMBER:
        # Text is never read as numbers, whatever its name.
        return Role(named.role, reason) if kind in (TEXT, BOOL) or named.role == say.LABEL else FREE
    # One bad cell must not turn a label into a class.
    if named.whole and not sample.is_whole(name, mostly=True):
        return Role("", f"its name is that of {named.role}, and its numbers are not whole", plain in say.MAY_BE_CLASSES)
    if plain in say.NEVER_NEGATIVE and _has_negative(sample, name):
        return Role("", "", must=True)
    return Role(named.role, reason, plain in say.MAY_BE_CLASSES and not sample.is_whole(name))


def _named(plain: str, *, text: bool = False) -> say.RoleWords | None:
    counted = f"{plain.rstrip(_DIGITS)}#" if plain[-1:].isdigit() else plain
    for entry in say.ROLES:
        if plain in entry.exact or counted in entry.exact:
            return entry
    for entry in say.ROLES:
        if (plain.startswith(entry.begin) or plain.endswith(entry.end)) and (text or not entry.text):
            return entry
    return None


def _has_negative(sample: TableSample, name: str) -> bool:
    return bool((sample.numbers([name]) < 0).any())
