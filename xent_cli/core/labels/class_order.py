"""Match two lists of class names, whatever prefix or suffix all names of one list share."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

_PREFIX = re.compile(r".*[\W_]", re.DOTALL)
_SUFFIX = re.compile(r"[\W_].*", re.DOTALL)
_NUMBERED = re.compile(r"(.*?)(\d+)(\D*)", re.DOTALL)


def order_of(names: Sequence[str], others: Sequence[str]) -> tuple[int, ...] | None:
    r"""Return the position in `others` of each of `names`, or None if the lists do not match.

    Names match if they are equal as written, or without the prefix and suffix that all names of a list share, or apart
    from case; an accent may be a separate character or not. Whole numbers 0 to k-1, with or without a common stem, are
    positions in `names`.

    Examples
    --------
    >>> order_of(["cat", "dog"], ["prob_dog", "prob_cat"]), order_of(["cat", "dog"], ["p1", "p0"])
    ((1, 0), (1, 0))
    >>> order_of(["caf\u00e9", "bar"], ["bar", "cafe\u0301"])
    (1, 0)
    >>> order_of(["cat", "car"], ["bat", "bar"])
    """
    if len(names) != len(others):
        return None
    for ours, theirs in _spellings(names, others):
        found = {name: place for place, name in enumerate(theirs)}
        if len(found) == len(theirs) and set(ours) == found.keys():
            return tuple(found[name] for name in ours)
    numbers = None if numbers_of(names) else numbers_of(others)
    if numbers is not None and sorted(numbers) == list(range(len(others))):
        places = {number: place for place, number in enumerate(numbers)}
        return tuple(places[number] for number in range(len(others)))
    return None


def columns_named(names: Sequence[str], columns: Sequence[str]) -> tuple[str, ...] | None:
    """Find the columns of the classes: those with the same prefix and suffix around every name; None if ambiguous.

    Examples
    --------
    >>> columns_named(["cat", "dog"], ["id", "grad_dog", "grad_cat", "category"])
    ('grad_cat', 'grad_dog')
    >>> columns_named(["cat", "dog"], ["a_cat", "a_dog", "b_cat", "b_dog"])
    """
    known = set(columns)
    found = []
    for column in columns:
        before, hit, after = column.partition(names[0])
        wanted = [f"{before}{name}{after}" for name in names]
        if hit and known.issuperset(wanted):
            found.append(tuple(wanted))
    return found[0] if len(found) == 1 else None


def _spellings(names: Sequence[str], others: Sequence[str]) -> Iterator[tuple[Sequence[str], Sequence[str]]]:
    """Yield both lists, first as written, then ever more loosely normalised."""
    ours, theirs = [name.strip() for name in names], [name.strip() for name in others]
    yield ours, theirs
    if not all(name.isascii() for name in (*ours, *theirs)):
        from unicodedata import normalize  # few names need it

        ours, theirs = ([normalize("NFC", name) for name in side] for side in (ours, theirs))
        if len({*ours}) < len(ours):
            return
        yield ours, theirs
    yield ours, _cut_like(theirs, ours)
    yield _cut_like(ours, theirs), theirs
    ours, theirs = without_shared(ours), without_shared(theirs)
    yield ours, theirs
    numbers = numbers_of(ours), numbers_of(theirs)
    if None not in numbers:
        yield [str(number) for number in numbers[0] or ()], [str(number) for number in numbers[1] or ()]
    folded: Callable[[str], str] = str.casefold
    if len({folded(name) for name in ours}) == len(ours):
        yield [folded(name) for name in ours], [folded(name) for name in theirs]


def _cut_like(longer: Sequence[str], names: Sequence[str]) -> Sequence[str]:
    """Remove the prefix and suffix around the longest of `names` in one of `longer`, if all of `longer` have them.

    Examples
    --------
    >>> _cut_like(["is_cat?", "is_dog?"], ["cat", "dog"])
    ['cat', 'dog']
    """
    longest = max(names, key=len)
    for name in longer:
        before, found, after = name.partition(longest)
        if found and all(
            other.startswith(before) and other.endswith(after) and len(other) > len(before) + len(after)
            for other in longer
        ):
            return [other[len(before) : len(other) - len(after)] for other in longer]
    return longer


def without_shared(names: Sequence[str]) -> list[str]:
    """Remove the words that all names begin or end with.

    Examples
    --------
    >>> without_shared(["prob_cat", "prob_car"]), without_shared(["cat", "car"])
    (['cat', 'car'], ['cat', 'car'])
    """
    if len(names) < 2:
        return list(names)
    # The first and the last name in sorted order share only what all names share.
    before = _PREFIX.match(_shared(min(names), max(names)))
    start = before.end() if before else 0
    turned = [name[::-1] for name in names]
    after = _shared(min(turned), max(turned))[::-1]
    cut = _SUFFIX.search(after)
    end = len(after) - cut.start() if cut else 0
    if any(len(name) <= start + end for name in names):
        return list(names)
    return [name[start : len(name) - end] for name in names]


def _shared(first: str, last: str) -> str:
    size = next((i for i, (a, b) in enumerate(zip(first, last, strict=False)) if a != b), min(len(first), len(last)))
    return first[:size]


def numbers_of(names: Sequence[str]) -> list[int] | None:
    """Return the number in each name, if the rest of all names is the same; else None.

    Examples
    --------
    >>> numbers_of(["p2", "p10"]), numbers_of(["p", "q"])
    ([2, 10], None)
    """
    found = [_NUMBERED.fullmatch(name) for name in names]
    if not all(found) or len({(match[1], match[3]) for match in found if match}) != 1:
        return None
    return [int(match[2]) for match in found if match]
