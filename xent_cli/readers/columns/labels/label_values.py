"""What is known about labels before the run, and which columns they name."""

from __future__ import annotations

from functools import lru_cache
from typing import TYPE_CHECKING, NamedTuple

from xent_cli.readers.columns.families import stems_of_labels
from xent_cli.readers.columns.sample import as_integer
from xent_cli.readers.columns.words import LOGIT_PREFIXES, plain_name

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence


class LabelValues(NamedTuple):
    """What is known about labels before the run.

    Fields
    ------
    where
        Where they are, in words for a message: `column "label"`, or a path.
    form
        "whole" for class indices (true and false too), "text" for names, "dense" for a row of numbers each.
    first
        Labels of the first rows as text; "" for a missing one.
    ahead
        Returns every label as text, or None if they cannot be read before the run.
    width
        Number of values of a dense label.
    ignored
        Values that mark samples without a label.
    boolean
        Whether they are true and false.
    offset
        Number of the first class, if the user gives it.
    aligned
        Whether they are in the order of the logits; for two tables with ids this is not known yet.
    lenient
        Whether some samples may be left out, whose labels need not be classes.
    column
        Name of the column that holds them, if it is known.
    """

    where: str
    form: str
    first: Sequence[str] = ()
    ahead: Callable[[], frozenset[str] | None] = lambda: None
    width: int = 0
    ignored: frozenset[int] = frozenset()
    boolean: bool = False
    aligned: bool = True
    offset: int = 0
    lenient: bool = False
    column: str = ""

    def class_index(self, text: str) -> int | None:
        """Return the class index that a text says, or None."""
        found = as_integer(text)
        return None if found is None else found - self.offset

    def integers(self, *, every: bool) -> frozenset[int] | None:
        """Return the distinct class indices of the first rows, or of `every` row; None if these are not known."""
        texts = self.ahead() if every else frozenset(self.first)
        if texts is None:
            return None
        found = {as_integer(text) for text in texts if text} - self.ignored
        return frozenset(value - self.offset for value in found if value is not None)

    def names(self, *, every: bool) -> frozenset[str]:
        """Return the distinct labels of text of `every` row, or of the first rows, also if the others are not known."""
        texts = self.ahead() if every else None
        return frozenset(text.strip() for text in (self.first if texts is None else texts)) - {""}


def run_from_zero(labels: LabelValues, k: int) -> bool:
    """Whether whole-number labels include 0 and k - 1, and none above."""
    for every in (False, True):
        found = labels.integers(every=every)
        if found and labels.lenient:
            found = frozenset(label for label in found if 0 <= label < k)
        if not found or max(found) >= k:
            return False
        if {0, k - 1} <= found:
            return True
    return False


def range_of(labels: LabelValues | None) -> tuple[int, int]:
    """Return the lowest and the highest of whole-number labels; (0, -1) if there are none."""
    if labels is None or labels.form != "whole":
        return 0, -1
    found = labels.integers(every=True) or labels.integers(every=False)
    return (min(found), max(found)) if found else (0, -1)


def columns_of_labels(labels: LabelValues, columns: Sequence[str], *, every: bool) -> dict[str, str] | None:
    """Return the column that each text label names; None if a label names no column.

    Names are matched as written, then without case and punctuation if that leaves one column; the text around the names
    must be the same for all. If two sets of columns fit, as with two models, the answer is None.
    """
    return _columns_named(labels.names(every=every), tuple(columns))


@lru_cache(maxsize=16)
def _columns_named(texts: frozenset[str], columns: tuple[str, ...]) -> dict[str, str] | None:
    if (bare := {name.strip(): name for name in columns}).keys() <= texts:
        # Any other label is not the name of a class; the run reports it.
        return bare
    stems = stems_of_labels(texts, columns)
    if stems:
        before, after = stems[0]
        return {text: bare[f"{before}{text}{after}"] for text in texts} if len(stems) == 1 else None
    known = {f"{prefix}{short}": name for prefix in LOGIT_PREFIXES for short, name in bare.items()} | bare
    if texts and texts <= known.keys():
        return {text: known[text] for text in texts}
    plain = {plain_name(text): text for text in texts}
    if len(plain) < len(texts) or not texts:
        return None
    loose = one_each(columns)
    stems = stems_of_labels(plain, list(loose))
    if len(stems) != 1:
        return None
    before, after = stems[0]
    return {text: loose[f"{before}{short}{after}"] for short, text in plain.items()}


def one_each(names: Sequence[str]) -> dict[str, str]:
    """Return names by their plain form, without those whose plain form is the same.

    Examples
    --------
    >>> one_each(["Cat", "a", "A"])
    {'cat': 'Cat'}
    """
    found: dict[str, str] = {}
    twice = set()
    for name in names:
        plain = plain_name(name)
        if plain in found:
            twice.add(plain)
        found[plain] = name
    return {plain: name for plain, name in found.items() if plain not in twice}
