"""Arrays of one file that are pieces of one input, told by the numbers in their names."""

from __future__ import annotations

import re
from fnmatch import fnmatchcase
from typing import TYPE_CHECKING

from xent_cli.readers.arrays.choose_array import choose, is_called
from xent_cli.readers.shards import join
from xent_cli.readers.storage.locate import natural

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from xent_cli.readers.interface import Source
    from xent_cli.readers.options import ReadOptions

_NUMBERED = re.compile(r"(.*?)[._:/-]?([0-9]+)")
_MAGIC = re.compile(r"[*?\[]")


def in_turn(name: str, keys: Sequence[str], role: str, axis: int | None, open_one: Callable[[str], Source]) -> Source:
    """Open arrays of a file one after the other, or the only one.

    Parameters
    ----------
    name
        Of the file.
    axis
        Class axis, or None.
    open_one
        Opens the array of a name.

    Raises
    ------
    InputError
        Where they are not alike.
    """
    if len(keys) == 1:
        return open_one(keys[0])
    return join(f"{name}:{keys[0]}..{keys[-1]}", role, [open_one(key) for key in keys], axis)


def choose_pieces(path: str, keys: Sequence[str], role: str, options: ReadOptions) -> tuple[str, ...]:
    """Name the array for a role, or several that are numbered from 0 or 1 without a gap, in the order of the numbers.

    A pattern names those that it fits. Numbered arrays are the logits where they are called so, or where the file has
    no others.

    Raises
    ------
    InputError
        As `choose` does.

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
    if asked is None and role in ("logits", "labels") and not any(is_called(key, role) for key in keys):
        families = _families(keys)
        found = [pieces for stem, pieces in families.items() if is_called(stem, role)]
        if role == "logits" and not found and len(families) == 1:
            found = [pieces for pieces in families.values() if len(pieces) == len(keys)]
        if len(found) == 1:
            return found[0]
    return (choose(path, keys, role, options),)


def _families(keys: Sequence[str]) -> dict[str, tuple[str, ...]]:
    """Arrays whose names differ in a last number alone, where these count from 0 or 1."""
    held: dict[str, dict[int, str]] = {}
    for key in keys:
        if found := _NUMBERED.fullmatch(key):
            held.setdefault(found[1], {})[int(found[2])] = key
    families = {}
    for stem, pieces in held.items():
        numbers = sorted(pieces)
        named = sum(bool((found := _NUMBERED.fullmatch(key)) and found[1] == stem) for key in keys)
        if len(numbers) == named > 1 and numbers[0] in (0, 1) and numbers[-1] - numbers[0] == len(numbers) - 1:
            families[stem] = tuple(pieces[number] for number in numbers)
    return families
