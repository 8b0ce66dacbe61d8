"""Labels that are names of classes."""

from __future__ import annotations

import re
import sys
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from xent_cli.core.labels.check_labels import NO_LABEL
from xent_cli.core.labels.class_order import without_shared
from xent_cli.errors import InputError, RowError, UnreadableRowError, did_you_mean, listing
from xent_cli.readers.columns.families import affixes
from xent_cli.readers.columns.labels.label_values import one_each
from xent_cli.readers.columns.words import LOGIT_PREFIXES, plain_name

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from typing import Any

    from xent_cli.core.array_types import AnyArray, IntArray
    from xent_cli.core.block import Part, Rows
    from xent_cli.readers.interface import Source, SourceInfo

# The error for a label that is not the name of a class.
NO_CLASS = "label names no class"
# NumPy pads every name to the length of the longest: if that were longer than this, few names would fit into a block.
_LONGEST = 1 << 12
_WHOLE_FLOAT = re.compile(r"\s*(-?\d+)\.0+\s*")
_HEADERS = frozenset(
    {"name", "names", "class", "classes", "class_name", "class_names", "label", "labels", "category", "0"}
)


def refuse_other_number(names: Sequence[str], num_classes: int) -> None:
    """Refuse names unless there is one for each class."""
    if len(names) != num_classes:
        found, expected = f"{len(names)} names", f"{num_classes}, one a class"
        header = len(names) == num_classes + 1 and names[0].strip().lower() in _HEADERS
        hint = f'the first one, "{names[0]}", looks like the name of a column: take it out' if header else ""
        raise InputError("wrong number of class names", "--class-names", found, expected, hint)


def other_names(names: Sequence[str], others: Sequence[str], where: str, expected_in: str) -> InputError:
    """Say which names one input has and the other lacks.

    Parameters
    ----------
    where, expected_in
        The input that has `others`, and the one that has `names`.
    """
    ours, theirs = (without_shared([name.strip() for name in side]) for side in (names, others))
    known, there = set(ours), set(theirs)
    odd = next((name for short, name in zip(theirs, others, strict=True) if short not in known), None)
    lacking = next((name for short, name in zip(ours, names, strict=True) if short not in there), None)
    if odd is None or lacking is None:
        found = f'no "{lacking}"' if lacking is not None else f'"{odd}"'
    else:
        found = f'"{odd}", and no "{lacking}"'
    return InputError(
        "names of different classes",
        where,
        found=found,
        expected=f"{expected_in}: {listing(names)}",
        hint=(did_you_mean(odd, names) if odd is not None else "") or "--class-names FILE says what the classes are",
    )


def aliases(names: Sequence[str]) -> dict[str, int]:
    """Other spellings of names, and the class of each: with the prefix that logits columns have.

    Examples
    --------
    >>> aliases(["cat", "dog"])["logit_dog"]
    1
    """
    return {f"{prefix}{name}": index for prefix in LOGIT_PREFIXES for index, name in enumerate(names)}


class NameIndex:
    """Finds the class that a text names: as written, without surrounding blanks, or loosely if only one class fits.

    Examples
    --------
    >>> index = NameIndex(("a", "A", "Big Cat"))
    >>> index.place("A"), index.place(" a "), index.place("big_cat"), index.place("logit_a"), index.place("b")
    (1, 0, 2, 0, None)
    >>> NameIndex(("a_cat", "a_dog")).place("dog")
    1
    """

    def __init__(self, names: Sequence[str], spelt: Sequence[str] = ()) -> None:
        self._exact = {name: place for place, name in enumerate(names)}
        self._names = names
        self._spelt = spelt

    def place(self, text: str) -> int | None:
        """Return the number of the class that a text names, or None."""
        found = self._exact.get(text)
        if found is None:
            found = self._loose.get(text.strip(), self._loose.get(plain_name(text)))
        # As pandas writes integers when some are missing.
        whole = _WHOLE_FLOAT.fullmatch(text) if found is None else None
        return self._loose.get(whole[1]) if whole is not None else found

    @cached_property
    def _loose(self) -> dict[str, int]:
        places = {name: place for place, name in enumerate(self._names)}
        before, after = affixes(self._names) if len(self._names) > 1 else ("", "")
        short = {name[len(before) : len(name) - len(after)].strip(): place for name, place in places.items()}
        plain = {each: places[name] for each, name in one_each(self._names).items()}
        whole = {name.strip(): place for place, name in enumerate(self._spelt)}
        return short | plain | aliases(self._names) | whole | {name.strip(): place for name, place in places.items()}


def unknown_name(text: str, names: Sequence[str], row: int, others: int = 0) -> UnreadableRowError:
    """Say that the label of a sample names no class, and which one is nearest."""
    shown = ", ".join(names[:8]) + (f" and {len(names) - 8} more" if len(names) > 8 else "")
    found, expected = f'"{text}"', f"one of {shown}"
    hint = did_you_mean(text, names)
    return UnreadableRowError(NO_CLASS, row, "labels", found, expected, hint, others=others)


def named(
    source: Source, names: tuple[str, ...] | None, spelt: tuple[str, ...] = (), *, lenient: bool = False
) -> Source:
    """Labels as class indices, if an array holds class names; any other source unchanged.

    Parameters
    ----------
    lenient
        As in `ColumnPlan`.

    Raises
    ------
    InputError
        If nothing says which class a name is.
    """
    info = source.info
    if info.dtype.kind not in "US":
        return source
    if names is None or info.row_shape or not 0 < info.dtype.itemsize <= _LONGEST:
        hint = "" if names else "--class-names FILE says which class each name is"
        raise InputError("values are not numbers", info.path, "text", "class indices", hint)
    return NamedLabels(source, names, spelt=spelt, lenient=lenient)


@dataclass(frozen=True, slots=True, eq=False, repr=False)
class NamedLabels:
    """An array of class names as class indices; see `Source`."""

    labels: Source
    names: tuple[str, ...]
    spelt: tuple[str, ...] = ()
    lenient: bool = False
    judged: int | None = None

    @property
    def info(self) -> SourceInfo:
        """See `Source`; the dtype does not say how long the names are, which may differ from shard to shard."""
        info = self.labels.info
        description = info.description._replace(dtype="str")
        return info._replace(description=description, dtype=np.dtype(np.int64), row_shape=(), named_labels=True)

    def parts(self, first: int = 0) -> Iterator[tuple[int, int, Part]]:
        """See `Source`."""
        for start, size, part in self.labels.parts(first):
            yield start, size, NamedRows(part, self.names, start, self.spelt, self.lenient, self.judged)

    def rows(self, start: int, stop: int) -> Part | None:
        """See `Source`."""
        part = self.labels.rows(start, stop)
        return None if part is None else NamedRows(part, self.names, start, self.spelt, self.lenient)

    def where(self, row: int, role: str, first: int = 0) -> str:
        """See `Source`."""
        return self.labels.where(row, role, first)


class NamedRows(NamedTuple):
    """Recipe for labels that are class names, from sample `start` on: a `Part`."""

    part: Part
    names: tuple[str, ...]
    start: int
    spelt: tuple[str, ...] = ()
    lenient: bool = False
    judged: int | None = None

    def read(self) -> Rows:
        """Read the labels, and look up each name once."""
        rows = self.part.read()
        assert rows.labels is not None
        labels = rows.labels.reshape(-1)
        if self.judged is not None and self.start <= self.judged < self.start + labels.size:
            row = self.judged - self.start
            _index(labels[row : row + 1], self.names, self.spelt, self.judged, lenient=False)
        return rows._replace(labels=_index(labels, self.names, self.spelt, self.start, lenient=self.lenient))


def _index(labels: AnyArray, names: tuple[str, ...], spelt: tuple[str, ...], start: int, *, lenient: bool) -> IntArray:
    words, places = np.unique(labels, return_inverse=True)
    index = NameIndex(names, spelt)
    # NumPy would make strings of invalid code points, on which Python fails.
    if words.dtype.kind == "U" and words.view(f"{words.dtype.str[0]}u4").max(initial=0) > sys.maxunicode:
        found, hint = "characters that Unicode does not have", "the file is damaged"
        raise RowError("labels are not text", start, "labels", found, hint=hint)
    texts = [_text(word) for word in words]
    classes = [index.place(text) for text in texts]
    unknown = np.array([place is None for place in classes], bool)[places.reshape(-1)]
    if unknown.any() and not lenient:
        row = int(np.argmax(unknown))
        raise unknown_name(texts[places.reshape(-1)[row]], names, start + row, int(np.count_nonzero(unknown)) - 1)
    return np.array([NO_LABEL if place is None else place for place in classes], np.int64)[places.reshape(-1)]


def _text(word: Any) -> str:
    """Return one name as text, which may be invalid in a damaged file."""
    return word.decode("utf-8", "backslashreplace") if isinstance(word, bytes) else str(word)
