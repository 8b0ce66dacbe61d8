"""Columns of one stem: `logit_0 logit_1`, `prob_cat prob_dog`, `cat_score dog_score`, `P(y=a) P(y=b)`."""

from __future__ import annotations

import re
from functools import lru_cache
from typing import TYPE_CHECKING, NamedTuple

from xent_cli.readers.columns.words import NEVER_CLASSES, SCORE_WORD, kind_of_stem, plain_name, says_kind

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

_LAST_NUMBER = re.compile(r"(.*?)(\d+)(\D*)", re.DOTALL)
_FIRST_NUMBER = re.compile(r"(\D*)(\d+)(.*)", re.DOTALL)
_DIGITS = "0123456789"
_INTEGER = re.compile(r"\s*[-+]?\d{1,9}\s*")
# Where a name may be split: at punctuation, and between a lower-case and an upper-case letter.
_CUTS = re.compile(r"[-.\s_:=()\[\]{}<>/]|(?<=[a-z0-9])(?=[A-Z])|(?<=[^\W\d_])(?=\d)")


class Family(NamedTuple):
    """Columns whose names are the same except in one place.

    Fields
    ------
    before, after
        The common text before and after that place.
    kind
        What the stem says they hold: "logits", "log-probs", "probs", "" for scores of any kind; None if not scores.
    columns
        In the order of their numbers, or in that of the table if they have none.
    names
        The parts that differ: names of the classes.
    numbers
        These as numbers, or None.
    """

    before: str
    after: str
    kind: str | None
    columns: tuple[str, ...]
    names: tuple[str, ...]
    numbers: tuple[int, ...] | None = None

    @property
    def never(self) -> bool:
        """Whether the name is one of a model's inputs."""
        return self.kind is None and re.fullmatch(NEVER_CLASSES, plain_name(self.before)) is not None

    @property
    def stem(self) -> str:
        """The common part of the names, with a star for the rest; "" if there is none.

        Examples
        --------
        >>> Family("p", "", "probs", ("p0", "p1"), ("0", "1")).stem
        'p*'
        """
        return f"{self.before}*{self.after}" if self.before or self.after else ""

    @property
    def topic(self) -> frozenset[str]:
        """The words of the stem that do not say what kind of scores they are: those of a model or of a target.

        Examples
        --------
        >>> sorted(Family("student_prob_", "", "probs", ("student_prob_0",), ("0",)).topic)
        ['student']
        """
        words = plain_name(f"{self.before} {self.after}").split("_")
        return frozenset(word for word in words if word and not says_kind(word))

    @property
    def shown(self) -> str:
        """The first and the last of the columns, and how many there are.

        Examples
        --------
        >>> Family("p", "", "probs", ("p0", "p1", "p2"), ("0", "1", "2")).shown
        'p0..p2 (3)'
        """
        return shown(self.columns)


def shown(columns: Sequence[str]) -> str:
    """Describe columns in a few words: by all names if there are at most three, else by the first and the last."""
    alike = len(columns) > 2 and all(name[-1:].isdigit() for name in (columns[0], columns[-1]))
    if len(columns) > 6 or alike:
        return f"{columns[0]}..{columns[-1]} ({len(columns)})"
    return f"{', '.join(columns)} ({len(columns)})"


def numbered(columns: Iterable[str]) -> tuple[Family, ...]:
    """Find families of two columns or more that differ in a number, each in the order of the numbers.

    Examples
    --------
    >>> [family.columns for family in numbered(["logit_10", "logit_2", "cat", "umap_0", "umap_1"])]
    [('logit_2', 'logit_10'), ('umap_0', 'umap_1')]
    >>> numbered(["logit_0", "logit_-1", "logit_1"])[0].columns
    ('logit_-1', 'logit_0', 'logit_1')
    """
    return _numbered(tuple(columns))


def counting_up(names: list[str], start: int) -> int:
    """Count the names from `start` on that are one text and a number that counts up; 0 if the first has no number.

    Examples
    --------
    >>> counting_up(["id", "p_3", "p_4", "p_6"], 1), counting_up(["id", "p_03"], 0), counting_up(["id", "p_03"], 1)
    (2, 0, 0)
    """
    bare = names[start].rstrip(_DIGITS)
    digits = names[start][len(bare) :]
    if not digits or len(digits) > 9 or digits != str(int(digits)):
        return 0
    first, found, size = int(digits), 0, 16
    while True:
        some = names[start + found : start + found + size]
        wanted = [f"{bare}{number}" for number in range(first + found, first + found + len(some))]
        if some != wanted:
            return found + next(place for place, (a, b) in enumerate(zip(some, wanted, strict=True)) if a != b)
        found += len(some)
        if len(some) < size:
            return found
        size *= 2


@lru_cache(maxsize=16)
def _numbered(names: tuple[str, ...]) -> tuple[Family, ...]:
    columns = list(names)
    found: list[Family] = []
    for pattern in (_LAST_NUMBER, _FIRST_NUMBER):
        groups: dict[tuple[str, str], list[tuple[int, str]]] = {}
        # If a hundred thousand names differ only in a number at the end, only one of them is taken apart.
        stems: dict[str, list[tuple[int, str]]] = {}
        behind = 0
        for place, name in enumerate(columns):
            if place < behind:
                continue
            bare = name.rstrip(_DIGITS)
            if bare in stems and (size := counting_up(columns, place)):
                behind = place + size
                stems[bare] += enumerate(columns[place:behind], int(name[len(bare) :]))
                continue
            if len(bare) < len(name) and pattern is _LAST_NUMBER:
                if bare in stems and len(name) - len(bare) <= 9:
                    stems[bare].append((int(name[len(bare) :]), name))
                    continue
                before, digits, after = bare, name[len(bare) :], ""
            elif match := pattern.fullmatch(name):
                before, digits, after = match.groups()
            else:
                continue
            if before.strip() in ("", "-", "+") and not after.strip():
                if not _INTEGER.fullmatch(name):
                    continue
                before, digits = "", name
            elif before[-1:] == "-" and not (before[-2:-1].isalnum() or before[-2:-1] == "-"):
                # After punctuation, a hyphen is a minus sign: logit_-1, P(y=-1).
                before, digits = before[:-1], f"-{digits}"
            elif before[-1:] == "+" and not (before[-2:-1].isalnum() or before[-2:-1] == "+"):
                before = before[:-1]  # logit_+1 beside logit_-1
            if len(digits) <= 9:
                group = groups.setdefault((before, after), [])
                group.append((int(digits), name))
                if pattern is _LAST_NUMBER and before and before == bare:
                    stems[bare] = group
        taken: set[str] = set()
        for (before, after), members in groups.items():
            members.sort()
            numbers = tuple(number for number, _ in members)
            if len(members) > 1 and len(set(numbers)) == len(numbers):
                kind = kind_of_stem(before, after) if before or after else ""
                names = tuple(str(number) for number in numbers)
                found.append(Family(before, after, kind, tuple(name for _, name in members), names, numbers))
                taken |= set(found[-1].columns)
        columns = [name for name in columns if name not in taken]
    return tuple(found)


def named(columns: Sequence[str]) -> list[Family]:
    """Find families of two columns or more that differ in a name and share a word for scores; shortest stem first.

    Examples
    --------
    >>> [(family.before, family.after, family.names) for family in named(["species_cat_SCORE", "species_dog_SCORE"])]
    [('species_', '_SCORE', ('cat', 'dog'))]
    """
    groups: dict[tuple[str, str], list[str]] = {}
    for name in columns:
        if not re.search(SCORE_WORD, name):
            continue
        cuts = [cut for match in _CUTS.finditer(name) for cut in (match.start(), match.end())]
        for cut in dict.fromkeys(cuts):
            for side, part, rest in (("before", name[:cut], name[cut:]), ("after", name[cut:], name[:cut])):
                plain = plain_name(part)
                about = kind_of_stem(part) if side == "before" else kind_of_stem("", part)
                if plain and plain_name(rest) and about is not None:
                    group = groups.setdefault((side, plain), [])
                    if not group or group[-1] != name:
                        group.append(name)
    found: dict[tuple[str, ...], Family] = {}
    for members in sorted(groups.values(), key=len, reverse=True):
        if len(members) > 1 and tuple(members) not in found:
            before, after = affixes(members)
            found[tuple(members)] = family_of(members, before, after)
    return list(found.values())


def family_of(columns: Sequence[str], before: str, after: str, kind: str | None = None) -> Family:
    """Return the columns whose names have the same beginning and end, in the order of the table."""
    names = tuple(name[len(before) : len(name) - len(after)] for name in columns)
    kind = kind_of_stem(before, after) if kind is None else kind
    return Family(before, after, kind, tuple(columns), names)


def affixes(names: Sequence[str]) -> tuple[str, str]:
    """Return the whole words that all names begin and end with; something of each name remains.

    Examples
    --------
    >>> affixes(["P(species=cat)", "P(species=car)"]), affixes(["cat", "car"])
    (('P(species=', ')'), ('', ''))
    """
    first = names[0]
    low, high = min(names), max(names)
    shared = next((i for i, (a, b) in enumerate(zip(low, high, strict=False)) if a != b), min(len(low), len(high)))
    turned = [name[::-1] for name in names]
    low, high = min(turned), max(turned)
    tail = next((i for i, (a, b) in enumerate(zip(low, high, strict=False)) if a != b), min(len(low), len(high)))
    cuts = [cut for match in _CUTS.finditer(first) for cut in (match.start(), match.end())]
    # Punctuation belongs to the shared part, so that no class name begins with it.
    start = max((cut for cut in cuts if cut <= shared and first[:cut].strip()), default=0)
    end = min((cut for cut in cuts if cut >= len(first) - tail and first[cut:].strip()), default=len(first))
    shortest = min(map(len, names))
    tail = len(first) - end
    if start + tail >= shortest:
        start, tail = (start, 0) if start < shortest else (0, 0)
    return first[:start], first[len(first) - tail :]


def affixes_of_labels(labels: Iterable[str], columns: Sequence[str]) -> tuple[str, str] | None:
    """Return the text before and after the label in the name of its column; None if it is not the same for all labels.

    Examples
    --------
    >>> affixes_of_labels(["cat", "dog"], ["P_speciescat", "P_speciesdog", "age"])
    ('P_species', '')
    >>> affixes_of_labels(["cat", "cow"], ["cat", "dog"])
    """
    return next(iter(stems_of_labels(labels, columns)), None)


def stems_of_labels(labels: Iterable[str], columns: Sequence[str]) -> list[tuple[str, str]]:
    """Return every prefix and suffix with which each label is the name of a column, the shortest first.

    If names equal the labels, ("", "") is the only answer; the columns of two models in one table give two.

    Examples
    --------
    >>> stems_of_labels(["cat", "dog"], ["a_cat", "a_dog", "b_cat", "b_dog"])
    [('a_', ''), ('b_', '')]
    >>> stems_of_labels(["cat", "dog"], ["a_cat", "a_dog", "cat", "dog"])
    [('', '')]
    """
    texts = sorted(labels, key=len, reverse=True)
    known = {name.strip(): name for name in columns}
    found: list[tuple[str, str]] = []
    if not texts:
        return found
    longest = texts[0]
    for name in sorted((name for name in known if longest in name), key=len):
        at = name.find(longest)
        while at >= 0:
            before, after = name[:at], name[at + len(longest) :]
            if all(f"{before}{text}{after}" in known for text in texts):
                found.append((before, after))
                if not before and not after:
                    return found
            at = name.find(longest, at + 1)
    return found
