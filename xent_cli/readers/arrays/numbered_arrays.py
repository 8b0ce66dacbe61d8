"""Arrays in one file that are pieces of one input, recognised by the numbers in their names."""

from __future__ import annotations

import re
from fnmatch import fnmatchcase
from typing import TYPE_CHECKING

from xent_cli.errors import InputError, listing
from xent_cli.readers.arrays.choose_array import choose, is_called
from xent_cli.readers.interface import ARCHIVES
from xent_cli.readers.shards import join
from xent_cli.readers.storage.locate import natural

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from xent_cli.readers.interface import Source
    from xent_cli.readers.options import ReadOptions

# logits_0 or batch_0/logits: the text before the number, the number, and the text after it.
_NUMBERED = re.compile(r"(.*?)[._:/-]?([0-9]+)(?:[._:/-](\D+))?")
_ROLES = ("logits", "labels")
_MAGIC = re.compile(r"[*?\[]")


def in_turn(name: str, keys: Sequence[str], role: str, axis: int | None, open_one: Callable[[str], Source]) -> Source:
    """Open arrays of a file as one input, joined in this order; a single one is returned as it is.

    Parameters
    ----------
    name
        Name of the file.
    axis
        Class axis, or None.
    open_one
        Opens the array of a name.

    Raises
    ------
    InputError
        If the arrays do not have the same shape and type.
    """
    if len(keys) == 1:
        return open_one(keys[0])
    return join(f"{name}:{keys[0]}..{keys[-1]}", role, [open_one(key) for key in keys], axis)


def choose_pieces(path: str, keys: Sequence[str], role: str, options: ReadOptions) -> tuple[str, ...]:
    """Return the name of the array for a role, or the names of several that are numbered from 0 or 1 without a gap.

    A pattern selects the arrays that it matches. Numbered arrays are used if their names say the role, or if all other
    arrays of the file belong to other roles.

    Raises
    ------
    InputError
        As `choose` does, and where logits and labels have different numbers.

    Examples
    --------
    >>> from xent_cli.readers.options import ReadOptions
    >>> choose_pieces("dump.npz", ["logits.1", "logits.0", "logits.10", "labels"], "labels", ReadOptions())
    ('labels',)
    >>> choose_pieces("dump.npz", ["batch_1", "batch_2"], "logits", ReadOptions())
    ('batch_1', 'batch_2')
    """
    asked = {"logits": next(iter(options.logits_column), None), "labels": options.label_column}.get(role)
    if asked is not None and asked not in keys and _MAGIC.search(asked):
        fitting = sorted((key for key in keys if fnmatchcase(key, asked)), key=natural)
        if fitting:
            return tuple(fitting)
    if asked is None and role in _ROLES and sum(is_called(key, role) for key in keys) != 1:
        families = _families(keys)
        called = {
            each: [pieces for (before, behind), pieces in families.items() if is_called(behind or before, each)]
            for each in _ROLES
        }
        found = called[role]
        if not found:
            free = [key for key in keys if not any(is_called(_stem(key), each) for each in _ROLES)]
            # If a file holds nothing else, its arrays may be the labels too, such as the logits of a teacher.
            whole = ({*keys}, {*free})
            found = [family for family in families.values() if {*family.values()} in whole]
        if len(found) == 1:
            _refuse_other_numbers(path, called)
            return tuple(found[0].values())
    return (choose(path, keys, role, options),)


def refuse_other_pieces(logits: Source, labels: Source) -> None:
    """Refuse labels whose pieces are named like those of the logits but have different numbers.

    Raises
    ------
    InputError
        At the first that differs.
    """
    if logits.info.format == "torch":  # list items have an order, and we name them ourselves
        return
    if not {logits.info.format, labels.info.format} <= ARCHIVES:
        return  # files in a folder may be split anywhere
    ours, theirs = ([path.rpartition(":")[2] for path in each.info.description.shards] for each in (logits, labels))
    if {*map(_stem, ours)} != {*map(_stem, theirs)} or not all(map(_NUMBERED.fullmatch, ours)) or ours == theirs:
        return
    place = next((i for i, pair in enumerate(zip(ours, theirs, strict=False)) if pair[0] != pair[1]), -1)
    found, expected = (f'"{names[place]}"' for names in (theirs, ours))
    raise InputError("labels of different pieces", labels.info.path, found, f"{expected}, as among the logits")


def _refuse_other_numbers(path: str, called: Mapping[str, list[dict[int, str]]]) -> None:
    logits, labels = called["logits"], called["labels"]
    if len(logits) == len(labels) == 1 and logits[0].keys() != labels[0].keys():
        found = f"{listing([*logits[0].values()])} beside {listing([*labels[0].values()])}"
        raise InputError("logits and labels have different numbers", path, found, "the same numbers")


def _stem(key: str) -> str:
    """Return the name without its number: the text after the number or, if there is none, the text before it."""
    found = _NUMBERED.fullmatch(key)
    return key if found is None else found[3] or found[1]


def _families(keys: Sequence[str]) -> dict[tuple[str, str], dict[int, str]]:
    """Return arrays whose names differ only in one number, which counts from 0 or 1, by the text around that number."""
    held: dict[tuple[str, str], dict[int, str]] = {}
    for key in keys:
        if found := _NUMBERED.fullmatch(key):
            held.setdefault((found[1], found[3] or ""), {})[int(found[2])] = key
    families: dict[tuple[str, str], dict[int, str]] = {}
    for parts, pieces in held.items():
        numbers = sorted(pieces)
        named = sum(bool((found := _NUMBERED.fullmatch(key)) and (found[1], found[3] or "") == parts) for key in keys)
        if len(numbers) == named > 1 and numbers[0] in (0, 1) and numbers[-1] - numbers[0] == len(numbers) - 1:
            families[parts] = {number: pieces[number] for number in numbers}
    return families
