"""Parts of a benchmark: contenders that run in turn, and goals for their times and memory."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping


class Missing(Exception):  # noqa: N818  # not an error: a missing contender is skipped, and reported as skipped
    """A contender cannot run here; the message says why."""


@dataclass(frozen=True, slots=True)
class Sample:
    """One run of a contender.

    Fields
    ------
    seconds
        Wall clock.
    peak
        Largest resident memory of the process in bytes, or 0 where several contenders share one.
    """

    seconds: float
    peak: int = 0


@dataclass(frozen=True, slots=True)
class Goal:
    """A limit on a figure of `ours`, or on its ratio to that of `theirs`.

    Fields
    ------
    what
        As it reads in the table.
    figure
        "speed": how many times as fast ours is; "time": its time, "memory": its peak, as a multiple of theirs;
        "peak": its peak in bytes, for which there is no `theirs`.
    limit, at_least
        The goal holds where the figure is at least, or at most, the limit.
    work_ours, work_theirs
        What each does in one run, where that differs: times are divided by it.
    """

    what: str
    ours: str
    theirs: str
    figure: str
    limit: float
    at_least: bool = False
    work_ours: float = 1.0
    work_theirs: float = 1.0


@dataclass(frozen=True, slots=True)
class Case:
    """Contenders that do the same work, by name, and the goals for it."""

    name: str
    title: str
    contenders: Mapping[str, Callable[[], Sample]]
    goals: tuple[Goal, ...] = ()
    skipped: Mapping[str, str] = field(default_factory=dict)


def faster(what: str, ours: str, theirs: str, limit: float) -> Goal:
    """Ours is at least `limit` times as fast."""
    return Goal(what, ours, theirs, "speed", limit, at_least=True)


def at_most(what: str, ours: str, theirs: str, limit: float) -> Goal:
    """Ours takes at most `limit` of the time of theirs."""
    return Goal(what, ours, theirs, "time", limit)


def peak_below(what: str, ours: str, megabytes: float) -> Goal:
    """The peak memory of ours is below `limit` MB."""
    return Goal(what, ours, "", "peak", megabytes * 1e6)
