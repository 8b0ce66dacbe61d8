"""Run the contenders of a case in turn, round after round, and hold the ratios of each round to the goals."""

from __future__ import annotations

import statistics
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING

from benchmarks.case import Missing

if TYPE_CHECKING:
    from benchmarks.case import Case, Goal, Sample

# Thread pools of other contenders spin for some milliseconds after their work.
_PAUSE = 0.02


@dataclass(frozen=True, slots=True)
class Outcome:
    """Result of a case.

    Fields
    ------
    seconds, peaks
        By contender, one figure a round.
    skipped
        Why a contender did not run.
    verdicts
        One for each goal whose contenders ran.
    """

    name: str
    title: str
    seconds: dict[str, list[float]]
    peaks: dict[str, list[int]]
    skipped: dict[str, str]
    verdicts: list[Verdict]


@dataclass(frozen=True, slots=True)
class Verdict:
    """A goal and the figure measured: its median over the rounds, and the quartiles as the spread."""

    goal: str
    ours: str
    theirs: str
    figure: str
    limit: float
    at_least: bool
    median: float
    low: float
    high: float
    met: bool


def race(case: Case, rounds: int) -> Outcome:
    """Run every contender once to warm up and then once a round, one after the other, so that load hits all alike."""
    skipped = dict(case.skipped)
    samples: dict[str, list[Sample]] = {}
    for name, contender in case.contenders.items():
        try:
            contender()
            samples[name] = []
        except Missing as reason:
            skipped[name] = str(reason)
    for _ in range(rounds):
        for name, runs in samples.items():
            time.sleep(_PAUSE)
            runs.append(case.contenders[name]())
    seconds = {name: [run.seconds for run in runs] for name, runs in samples.items()}
    peaks = {name: [run.peak for run in runs] for name, runs in samples.items()}
    verdicts = [judge(g, seconds, peaks) for g in case.goals if g.ours in samples and g.theirs in (*samples, "")]
    return Outcome(case.name, case.title, seconds, peaks, skipped, verdicts)


def judge(goal: Goal, seconds: dict[str, list[float]], peaks: dict[str, list[int]]) -> Verdict:
    """Hold the median of the ratios of each round to the goal.

    Examples
    --------
    >>> from benchmarks.case import faster
    >>> verdict = judge(faster("", "a", "b", 2.0), {"a": [1.0, 1.0, 2.0], "b": [3.0, 3.0, 3.0]}, {})
    >>> verdict.median, verdict.met
    (3.0, True)
    """
    if goal.figure == "peak":
        figures = [float(peak) for peak in peaks[goal.ours]]
    elif goal.figure == "memory":
        figures = [a / b for a, b in zip(peaks[goal.ours], peaks[goal.theirs], strict=True)]
    else:
        pairs = zip(seconds[goal.ours], seconds[goal.theirs], strict=True)
        figures = [(a / goal.work_ours) / (b / goal.work_theirs) for a, b in pairs]
        if goal.figure == "speed":
            figures = [1 / ratio for ratio in figures]
    median = statistics.median(figures)
    low, _, high = statistics.quantiles(figures, n=4, method="inclusive") if len(figures) > 1 else (median,) * 3
    met = median >= goal.limit if goal.at_least else median <= goal.limit
    return Verdict(goal.what, goal.ours, goal.theirs, goal.figure, goal.limit, goal.at_least, median, low, high, met)
