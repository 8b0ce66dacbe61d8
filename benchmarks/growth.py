"""Time and peak memory as the work grows: straight lines are expected, and checked."""

from __future__ import annotations

import statistics
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from benchmarks import data
from benchmarks.process import xent

if TYPE_CHECKING:
    from pathlib import Path

# The machine is shared: a single size may be this far off the line, as a fraction of the longest time.
_TOLERANCE = 0.15


@dataclass(frozen=True, slots=True)
class Growth:
    """Medians at each size.

    Fields
    ------
    against
        What grows.
    sizes, seconds, peaks
        How many rows or classes, the time, and the peak memory in bytes.
    off
        Largest distance of a time from the straight line through all, as a part of the longest time.
    """

    against: str
    sizes: list[int]
    seconds: list[float]
    peaks: list[float]
    off: float

    @property
    def straight(self) -> bool:
        """Whether time grows along a straight line."""
        return self.off <= _TOLERANCE


def grow(work: Path, rounds: int, *, quick: bool) -> list[Growth]:
    """Measure against rows (of 1,000 classes) and against classes (of 10,000 rows)."""
    part = 20 if quick else 1
    rows = [max(1, n // part) for n in (10_000, 50_000, 100_000, 150_000, 200_000)]
    classes = [max(300, k // part) for k in (1_000, 5_000, 10_000, 15_000, 20_000)]
    return [
        _measure("rows", work, rounds, rows, [(n, 1000) for n in rows]),
        _measure("classes", work, rounds, classes, [(10_000, k) for k in classes]),
    ]


def off_line(sizes: list[int], seconds: list[float]) -> float:
    """Largest distance from the least-squares line, as a fraction of the longest time.

    Examples
    --------
    >>> round(off_line([1, 2, 3], [1.0, 2.0, 3.0]), 6)
    0.0
    >>> off_line([1, 2, 3], [1.0, 4.0, 9.0]) > 0.05
    True
    """
    slope, intercept = np.polyfit(sizes, seconds, 1)
    return float(np.max(np.abs(np.asarray(seconds) - (slope * np.asarray(sizes) + intercept))) / max(seconds))


def _measure(against: str, work: Path, rounds: int, sizes: list[int], shapes: list[tuple[int, int]]) -> Growth:
    pairs = [data.sparse_arrays(work, n, k) for n, k in shapes]
    runs = [xent("compute", *pair, "--reduction", "mean", work=work) for pair in pairs]
    for run in runs:
        run()
    samples = [[run() for run in runs] for _ in range(rounds)]
    seconds = [statistics.median(sample[i].seconds for sample in samples) for i in range(len(runs))]
    peaks = [float(statistics.median(sample[i].peak for sample in samples)) for i in range(len(runs))]
    return Growth(against, sizes, seconds, peaks, off_line(sizes, seconds))
