"""The values of `--by`, `--cluster`, `--macro` and `--units`: which samples belong together, and how long each is."""

from __future__ import annotations

import math
import re
from pathlib import PurePath
from typing import TYPE_CHECKING, Literal, NamedTuple

from xent_cli.errors import UsageError
from xent_cli.readers.options import GroupFile

if TYPE_CHECKING:
    from xent_cli.cli.options import OutputFlags

_NUMBERED = re.compile(r"(axis|every):(.*)", re.DOTALL)
_WHOLE = re.compile(r"-?[0-9]{1,18}")


class GroupChoice(NamedTuple):
    """What defines groups of samples.

    Fields
    ------
    name
        Name of the groups: the column, "axis:0", "label".
    number
        Number of the axis, or how many consecutive samples form a group.
    file
        The file in `NAME=FILE` or `./FILE`; a column may have this name too.
    """

    name: str
    kind: Literal["none", "axis", "every", "label", "column", "file"]
    number: int = 0
    file: GroupFile | None = None


def group_choice(text: str, option: str) -> GroupChoice:
    """Read COLUMN, axis:N or label, and for `--cluster` every:N or none, for others NAME=FILE or ./FILE.

    `column:NAME` is a column of any name.

    Raises
    ------
    UsageError
        If N is not a valid number, or the option does not accept this word.

    Examples
    --------
    >>> [group_choice(text, "--by").kind for text in ("column:label", "label", "axis:0", "./x.npy")]
    ['column', 'label', 'axis', 'file']
    >>> group_choice("axis:0", "--macro").number, group_choice("lang=langs.npy", "--by").file.path
    (0, 'langs.npy')
    """
    cluster = option == "--cluster"
    if text.startswith("column:"):
        return GroupChoice(text.removeprefix("column:"), "column")
    found = _NUMBERED.fullmatch(text)
    if (text == "none" or (found is not None and found[1] == "every")) and not cluster:
        raise UsageError(f"{option} {text}: that is for --cluster", hint=f"{option} column:{text} is a column")
    if text == "none":
        return GroupChoice(text, "none")
    if text == "label" and not cluster:
        return GroupChoice(text, "label")
    if found is not None:
        kind: Literal["axis", "every"] = "axis" if found[1] == "axis" else "every"
        number = int(found[2]) if _WHOLE.fullmatch(found[2]) else None
        if number is None or (kind == "every" and number < 1):
            expected = "axis:N with the number of an axis" if kind == "axis" else "every:N with N samples from 1 on"
            raise UsageError(f"{option} {text}: expected {expected}", hint=f"{option} column:{text} is a column")
        return GroupChoice(f"{kind}:{number}", kind, number)
    if not cluster and text.startswith("./"):
        return GroupChoice(PurePath(text).stem, "file", file=GroupFile(PurePath(text).stem, text, text))
    name, equals, path = text.partition("=")
    if not cluster and equals and name and path:
        return GroupChoice(name, "file", file=GroupFile(name, path, text))
    return GroupChoice(text, "column")


class GroupChoices(NamedTuple):
    """All options of a run about groups of samples.

    Fields
    ------
    units
        Column or file of the units of each sample, or None.
    total_units
        Total number of units of all samples, if given as a number; or None.
    """

    by: tuple[GroupChoice, ...] = ()
    cluster: GroupChoice | None = None
    macro: GroupChoice | None = None
    units: str | None = None
    total_units: float | None = None

    @property
    def _all(self) -> tuple[GroupChoice, ...]:
        return tuple(choice for choice in (*self.by, self.cluster, self.macro) if choice is not None)

    @property
    def columns(self) -> tuple[str, ...]:
        """Columns that may define groups, each once; one of the names may turn out to be a file."""
        found = [choice.name if choice.file is None else choice.file.typed for choice in self._all if _is_read(choice)]
        return tuple(dict.fromkeys(found))

    @property
    def files(self) -> tuple[GroupFile, ...]:
        """Files that define groups, each once."""
        return tuple(dict.fromkeys(choice.file for choice in self._all if choice.file is not None))


def _is_read(choice: GroupChoice) -> bool:
    return choice.kind in ("column", "file")


def group_choices(flags: OutputFlags) -> GroupChoices:
    """Read the options of a run about groups of samples.

    Raises
    ------
    UsageError
        If one is invalid, or two groups have the same name.

    Examples
    --------
    >>> from xent_cli.cli.options import OutputFlags
    >>> choices = group_choices(OutputFlags(by=("axis:0", "split"), units="512"))
    >>> choices.columns, choices.total_units, choices.units
    (('split',), 512.0, None)
    """
    by = tuple(dict.fromkeys(group_choice(text, "--by") for text in flags.by))
    named: dict[str, GroupChoice] = {}
    for choice in by:
        if named.setdefault(choice.name, choice) != choice:
            raise UsageError(f"--by: two kinds of groups called {choice.name}", hint="give one of them another name")
    cluster = None if flags.cluster is None else group_choice(flags.cluster, "--cluster")
    macro = None if flags.macro is None else group_choice(flags.macro, "--macro")
    total = _number(flags.units)
    return GroupChoices(by, cluster, macro, flags.units if total is None else None, total)


def _number(text: str | None) -> float | None:
    """Return the number that a text is; `UsageError` if it cannot be a number of units."""
    try:
        number = float(text or "")
    except ValueError:
        return None
    if not 0 < number < math.inf:
        raise UsageError(
            f"--units {text}: expected a finite number above 0, a column or a file",
            hint="for example --units bytes.npy",
        )
    return number
