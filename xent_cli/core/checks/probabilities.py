"""Check rows that are declared to be probabilities or log-probabilities, and scale them."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from xent_cli.core.checks.distributions import RowFigures, highest_entry, sum_tolerance
from xent_cli.core.kernel.tiles import pairwise_sum, rows_per_tile
from xent_cli.errors import RowError

if TYPE_CHECKING:
    from xent_cli.core.array_types import AnyArray, BoolArray, FloatArray
    from xent_cli.core.options import LossOptions

# By the size of the dtype: how far above 0 rounding may bring a log-probability, and how far from 1 the sum of exp(log
# p).
_ROUNDING = {2: 0.02, 4: 1e-5, 8: 1e-6}
_LOG_SUM = 1e-3


class Declared(NamedTuple):
    """Rows [n, k] as the kernels expect them, and how many of them do not sum to 1."""

    values: AnyArray
    unnormalised: int = 0


def logits_as_declared(values: AnyArray, options: LossOptions, start: int) -> Declared:
    """Return logits unchanged, and probabilities or log-probabilities checked and scaled to fractions.

    Parameters
    ----------
    values
        [n, k] rows, all of which count.
    start
        Sample number of the first row, for the error.

    Raises
    ------
    RowError
        At a probability below 0 or above 1, or a log-probability above 0.

    Examples
    --------
    >>> import numpy as np
    >>> from xent_cli.core.options import LossOptions
    >>> percent = LossOptions(source="probs", scale=100.0)
    >>> logits_as_declared(np.array([[25.0, 75.0], [50.0, 40.0]]), percent, 0)
    Declared(values=array([[0.25, 0.75],
           [0.5 , 0.4 ]]), unnormalised=1)
    """
    if options.source == "logits":
        return Declared(values)
    if options.source == "log-probs":
        return _log_probabilities(values, "logits", options.unit, start)
    return _probabilities(values, "logits", options, options.scale, options.unit, start)


def labels_as_declared(values: AnyArray, options: LossOptions, start: int) -> Declared:
    """Do the same for dense labels or a teacher's outputs; see `logits_as_declared`."""
    source = options.labels_source
    if values.ndim == 1 or source == "logits":
        return Declared(values)
    if source == "log-probs":
        return _log_probabilities(values, "labels", options.labels_unit, start)
    if source == "probs":
        return _probabilities(values, "labels", options, options.labels_scale, options.labels_unit, start)
    # Dense labels may sum to anything, which weights the sample; the rows that do not sum to 1 are counted.
    values = _normalised(values, "labels", start) if options.normalize else values
    return Declared(values, _off(values, sum_tolerance(values.shape[1], options.labels_unit)))


def rounding_of_logarithms(dtype: np.dtype[np.generic]) -> float:
    """Return how far rounding may bring a log-probability of a dtype above 0."""
    return _ROUNDING.get(dtype.itemsize, 0.0) if dtype.kind == "f" else 0.0


def log_sum_tolerance(unit: float) -> float:
    """Return how far the sum of exp(log p) may be from 1, for logarithms rounded to `unit`, a relative error of p."""
    return max(_LOG_SUM, 3 * unit) if unit < 1 else _LOG_SUM


def _probabilities(
    values: AnyArray, role: str, options: LossOptions, scale: float, unit: float, start: int
) -> Declared:
    """Check probabilities, and divide them by `scale`."""
    k = values.shape[1]
    if options.normalize:
        return Declared(_normalised(values, role, start))
    if not values.size:
        return Declared(values)
    unit = 0.0 if unit >= scale else unit / scale
    most = scale * highest_entry(unit)
    lowest, highest = values.min(axis=1), values.max(axis=1)
    bad = (lowest < 0) | (highest > most)
    if bad.any():
        raise _no_probability(values, int(np.argmax(bad)), role, most, start)
    if scale != 1.0:
        values = values.astype(np.float64) / scale
    return Declared(values, _off(values, sum_tolerance(k, unit)))


def _no_probability(values: AnyArray, row: int, role: str, most: float, start: int) -> RowError:
    entries = values[row]
    below = bool((entries < 0).any())
    column = int(np.argmax(entries < 0 if below else entries > most))
    what = "negative probability" if below else f"probability above {1 if most < 2 else 100}"
    quantised = "quantised outputs need their scale and zero point: (q - zero_point) * scale"
    return RowError(
        what,
        start + row,
        role,
        found=f"{entries[column]} for class {column}",
        expected="numbers in [0, 1]" if most < 2 else "numbers in [0, 100]",
        hint=quantised if values.dtype.kind in "iu" else "",
        code="negative-probability" if below else "probability-too-high",
        data={"role": role},
    )


def _log_probabilities(values: AnyArray, role: str, unit: float, start: int) -> Declared:
    """Check that no log-probability is above 0."""
    if not values.size:
        return Declared(values)
    above = values.max(axis=1) > rounding_of_logarithms(values.dtype)
    if above.any():
        row = int(np.argmax(above))
        column = int(np.argmax(values[row] > 0))
        found = f"{values[row, column]} for class {column}"
        raise RowError(
            "log-probability above 0",
            start + row,
            role,
            found,
            "numbers <= 0",
            code="log-probability-above-0",
            data={"role": role},
        )
    return Declared(values, _off(values, log_sum_tolerance(unit), logarithms=True))


def _normalised(values: AnyArray, role: str, start: int) -> FloatArray:
    """Divide rows by their sums; a row with NaN stays NaN."""
    whole = values.astype(np.float64)
    figures = RowFigures.of(whole)
    invalid = (figures.lowest < 0) | (figures.total == 0) | (figures.total == np.inf)
    if invalid.any():
        row = int(np.argmax(invalid))
        negative = bool(figures.lowest[row] < 0)
        found = f"{figures.lowest[row]:g}" if negative else f"a sum of {figures.total[row]:g}"
        what = "negative probability" if negative else "row that cannot be divided by its sum"
        expected = "numbers >= 0, at least one of them above 0"
        raise RowError(what, start + row, role, found, expected, code="row-without-sum", data={"role": role})
    return np.asarray(whole / figures.total[:, np.newaxis])


def _off(values: AnyArray, most: float, *, logarithms: bool = False) -> int:
    """Count the rows that do not sum to 1; a row with NaN is not counted."""
    step = rows_per_tile(max(1, values.shape[1]))
    return sum(
        int(np.count_nonzero(sums_off(values[first : first + step], most, logarithms=logarithms)))
        for first in range(0, len(values), step)
    )


def sums_off(values: AnyArray, most: float, *, logarithms: bool = False) -> BoolArray:
    """Find the rows of probabilities, or of log-probabilities, that do not sum to 1."""
    with np.errstate(over="ignore", invalid="ignore"):
        if logarithms:
            sums = pairwise_sum(np.exp(values.astype(np.float64)))
        else:
            sums = values.sum(axis=1, dtype=np.float64)
        return np.asarray(np.abs(sums - 1.0) > most * (1 + 1e-9))
