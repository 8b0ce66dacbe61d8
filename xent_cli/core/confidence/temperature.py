"""The temperature that minimises the mean loss: a bracketed search for its inverse, several points per pass."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, NamedTuple

from xent_cli.errors import InputError

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from xent_cli.core.confidence.slopes import SlopeTotals
    from xent_cli.core.run_totals import RunTotals
    from xent_cli.core.totals.summary import LossSummary

# Inverse temperatures of the first pass; at 0, all classes are equally likely.
_GRID = (0.0, 1 / 64, 1 / 16, 1 / 8, 1 / 4, 1 / 2, 1.0, 2.0, 4.0, 8.0, 16.0, 64.0)
# If the optimum is beyond this grid, it is looked for in steps of a factor of 4, this many per pass.
_STEPS = 8
# Relative width of a bracket within which the error of the cubic is below 1e-15.
_NARROW = 3e-4
_MOST_PASSES = 60


class Step(NamedTuple):
    """What a pass over the samples computes.

    Fields
    ------
    betas
        Inverse temperatures at which the loss is differentiated.
    folds
        Number of folds.
    temperature
        Temperature at which the figures are computed, or None for no figures.
    fold_temperatures
        For each fold, the temperature at which the figures of its samples are computed; () without folds.
    spread
        Whether the standard error of the slope at the first of `betas` is wanted.
    """

    betas: tuple[float, ...]
    folds: int = 1
    temperature: float | None = None
    fold_temperatures: tuple[float, ...] = ()
    spread: bool = False


class PassTotals(NamedTuple):
    """What a pass found.

    Fields
    ------
    slopes
        Totals of the derivatives at `Step.betas`.
    figures, held_out
        Totals at `Step.temperature`, and with each sample at the temperature of its fold; or None.
    size
        Number of samples, including those left out.
    """

    slopes: SlopeTotals
    figures: RunTotals | None = None
    held_out: RunTotals | None = None
    size: int = 0

    def merge(self, other: PassTotals) -> PassTotals:
        """Return the totals of both."""
        return PassTotals(
            self.slopes.merge(other.slopes),
            _merged(self.figures, other.figures),
            _merged(self.held_out, other.held_out),
            self.size + other.size,
        )


class TemperatureFit(NamedTuple):
    """The temperature that minimises the mean loss, and what it does to the figures.

    Fields
    ------
    temperature
        T, which divides the logits.
    se_temperature
        Its standard error, over clusters of samples if there are any; NaN if there is only one.
    n_clusters
        Number of clusters, or None if samples are independent.
    before, after
        The figures of the samples at temperature 1 and at T.
    passes
        How often the samples were read.
    fold_temperatures, held_out
        With folds: the temperature that is fitted without each fold, and the figures of the samples, each at the
        temperature that was fitted without it; () and None without folds.
    """

    temperature: float
    se_temperature: float
    n_clusters: int | None
    before: LossSummary
    after: LossSummary
    passes: int
    fold_temperatures: tuple[float, ...] = ()
    held_out: LossSummary | None = None

    @property
    def gain(self) -> float:
        """By how many nats the temperature lowers the mean loss of the samples that it was fitted to."""
        return self.before.mean_loss - self.after.mean_loss


def fit_temperature(run: Callable[[Step], PassTotals], folds: int = 1) -> TemperatureFit:
    """Fit a temperature.

    The mean loss is convex in b = 1/T, with slope f' and curvature f'' (see `slopes`). Each pass tries several b.
    Between the two nearest to the optimum, where f' changes its sign, the cubic that matches both slopes and their
    curvatures says where to look next. Its error is of fourth order in the width of the bracket, so two or three
    passes find the optimum to the last digits. ``SE(T) = SE(f') / (f'' b**2)``, with the standard error of the
    mean slope over samples or clusters.

    Parameters
    ----------
    run
        Makes a pass over all samples.
    folds
        Number of folds K; above 1, a temperature is also fitted without each fold.

    Raises
    ------
    InputError
        If no temperature minimises the loss; the message says why.

    References
    ----------
    Guo, Pleiss, Sun & Weinberger, "On calibration of modern neural networks", ICML 2017.
    """
    found = run(Step(_GRID, folds, temperature=1.0))
    before, passes = found.figures, 1
    assert before is not None
    left_out = [None] if folds == 1 else [None, *range(folds)]
    _refuse_without_optimum(found.slopes, left_out)
    points = {fold: found.slopes.means(fold) for fold in left_out}
    while True:
        places = {fold: optimum(points[fold]) for fold in left_out}
        wanted = {beta for fold in left_out if places[fold] is None for beta in next_betas(points[fold], fold is None)}
        if not wanted:
            break
        if passes == _MOST_PASSES:
            raise InputError("the search for a temperature does not end", found=f"{passes} passes over the samples")
        found, passes = run(Step(tuple(sorted(wanted)), folds)), passes + 1
        for fold in left_out:
            points[fold] = sorted((*points[fold], *found.slopes.means(fold)))
    temperatures = [1.0 / (places[fold] or math.nan) for fold in left_out]
    last = run(Step((1.0 / temperatures[0],), folds, temperatures[0], tuple(temperatures[1:]), spread=True))
    assert last.figures is not None
    ((beta, _, curvature),) = last.slopes.means()
    clusters = last.slopes.clusters
    moments = last.slopes.moments if clusters is None else clusters.moments()
    error = math.nan if moments is None or not curvature else moments.standard_error() / (curvature * beta**2)
    return TemperatureFit(
        temperatures[0],
        error,
        None if clusters is None or moments is None else moments.clusters,
        before.summarize(),
        last.figures.summarize(),
        passes + 1,
        tuple(temperatures[1:]),
        None if last.held_out is None else last.held_out.summarize(),
    )


def optimum(points: Sequence[tuple[float, float, float]]) -> float | None:
    """Return the optimum if the points around it determine it to the last digits, else None.

    Parameters
    ----------
    points
        b, slope and curvature, by ascending b; the first slope is below 0.

    Examples
    --------
    >>> optimum([(1.0, -2e-6, 2.0), (1.00001, 18e-6, 2.0)]), optimum([(1.0, -1.0, 2.0), (2.0, 1.0, 2.0)])
    (1.000001, None)
    """
    low, high = _bracket(points)
    if high[1] == 0.0:
        return high[0]
    width = math.log(high[0] / low[0]) if low[0] and high[0] < math.inf else math.inf
    return low[0] * math.exp(_cubic_root(low, high, width)) if width <= _NARROW else None


def next_betas(points: Sequence[tuple[float, float, float]], thorough: bool = True) -> list[float]:
    """Return where to look next: around the root of the cubic, or further out if the root is not bracketed.

    Parameters
    ----------
    thorough
        Whether to look further around that root too, so that the next bracket is small even if the cubic is a bad fit.

    Examples
    --------
    >>> next_betas([(0.0, -1.0, 1.0), (1.0, -0.5, 0.5)])[:2]
    [4.0, 16.0]
    """
    low, high = _bracket(points)
    if high[0] == math.inf:
        return [low[0] * 4.0**power for power in range(1, _STEPS + 1)]
    if low[0] == 0.0:
        return [high[0] / 4.0**power for power in range(1, _STEPS + 1)]
    width = math.log(high[0] / low[0])
    place = _cubic_root(low, high, width)
    # The error of the cubic is of fourth order in the width of the bracket.
    offsets = [0.0, width**3 / 90, -(width**3) / 90]
    if thorough:
        offsets += [width**2 / 8, -(width**2) / 8, width / 2 - place]
    betas = {low[0] * math.exp(place + offset) for offset in offsets if 0.0 < place + offset < width}
    inner = [beta for beta in betas if low[0] < beta < high[0]]
    return inner or [math.sqrt(low[0]) * math.sqrt(high[0])]


def _bracket(points: Sequence[tuple[float, float, float]]) -> tuple[tuple[float, float, float], ...]:
    """Return the last point below the optimum, and the first that is not."""
    high = next((point for point in points if point[1] >= 0.0), (math.inf, math.inf, 0.0))
    return max(point for point in points if point[0] < high[0]), high


def _cubic_root(low: tuple[float, float, float], high: tuple[float, float, float], width: float) -> float:
    """Return where the cubic in log b with the slopes and curvatures at both ends is 0, from 0 to `width`."""
    a, b = low[1], high[1]
    da, db = low[2] * low[0] * width, high[2] * high[0] * width
    left, right = 0.0, 1.0
    for _ in range(60):
        t = (left + right) / 2
        value = (1 + 2 * t) * (1 - t) ** 2 * a + t * (1 - t) ** 2 * da + t * t * (3 - 2 * t) * b + t * t * (t - 1) * db
        left, right = (t, right) if value < 0 else (left, t)
    return (left + right) / 2 * width


def _merged(ours: RunTotals | None, theirs: RunTotals | None) -> RunTotals | None:
    return theirs if ours is None else ours if theirs is None else ours.merge(theirs)


def _refuse_without_optimum(found: SlopeTotals, left_out: Sequence[int | None]) -> None:
    samples = int(found.counts.sum())
    if not samples:
        raise InputError("nothing left to fit a temperature to", found="no sample with a label")
    if len(left_out) > 1 and not found.counts.all():
        raise InputError("a fold without samples", found=f"{samples:,} samples", expected=f"{len(left_out) - 1} folds")
    for fold in left_out:
        which = "" if fold is None else f" outside fold {fold + 1}"
        outside = 0 if fold is None else int(found.counts[fold])
        if not found.below.sum() - (0 if fold is None else found.below[fold]):
            raise InputError(
                "no temperature minimises the loss",
                found=f"labels of all {samples - outside:,} samples{which} among the highest logits of their rows",
                expected="a label that is not: without one, the loss falls as long as the temperature falls",
                code="no-temperature",
            )
        (_, slope, _), *_ = found.means(fold)
        if slope >= 0.0:
            raise InputError(
                "no temperature minimises the loss",
                found=f"logits of the labels{which} that are on average {slope:.6g} below the mean of their rows",
                expected="logits better than chance: otherwise, the loss falls as long as the temperature rises",
                code="no-temperature",
            )
