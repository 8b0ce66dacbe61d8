"""Records of llama.cpp's log-probabilities: a scale, a minimum and 16 bits for each class; see `kld`."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from xent_cli.errors import RowError

if TYPE_CHECKING:
    from xent_cli.core.array_types import AnyArray, BoolArray, FloatArray, IntArray

# Highest minus lowest stored log-probability if a floor was applied, up to the rounding of float32.
_FLOORS = (16.0, 24.0)
_FLOOR_TOLERANCE = 1e-5
# Rounding of q, and of the float32 log-probabilities that the writer computed with: see `widths`.
_HALF_A_STEP, _FLOAT32 = 0.51, 2.0**-21
# A log-probability above this is not explained by rounding.
_ABOVE_ZERO = 0.01
# No program stores log-probabilities further below 0.
_FURTHEST = 1000.0


def decoded(
    q: AnyArray, scale: FloatArray, lowest: FloatArray, numbers: IntArray, role: str
) -> tuple[FloatArray, FloatArray]:
    """Return log-probabilities [n, k], NaN below a floor, and their bounds [n, 3].

    Parameters
    ----------
    q, scale, lowest
        The records: [n, k], [n] and [n].
    numbers
        [n] sample numbers, for the error.

    Raises
    ------
    RowError
        At a record that cannot be one of log-probabilities.
    """
    with np.errstate(invalid="ignore", over="ignore"):
        highest = lowest + scale * q.max(axis=1)
        good = (scale >= 0) & (65535 * scale <= _FURTHEST) & (lowest >= -_FURTHEST) & (highest <= _ABOVE_ZERO)
    if not good.all():
        at = int(np.argmin(good))
        found = f"scale {scale[at]:g} and minimum {lowest[at]:g}"
        expected = f"a scale of 0 or more, and log-probabilities from {-_FURTHEST:g} to 0"
        raise RowError("damaged record", int(numbers[at]), role, found, expected, code="damaged-record")
    log_p = lowest[:, np.newaxis] + scale[:, np.newaxis] * q
    width = widths(scale, lowest)
    floored = has_floor(scale)[:, np.newaxis] & (q == 0)
    log_p[floored] = np.nan
    return log_p, np.stack([lowest + width, width, lowest], axis=1)


def widths(scale: FloatArray, lowest: FloatArray) -> FloatArray:
    """Return how far off log-probabilities may be: half a step of q, plus the rounding of the writer's float32.

    Examples
    --------
    >>> widths(np.array([16 / 65535]), np.array([-17.0])).round(6).tolist()
    [0.00014]
    """
    return _HALF_A_STEP * scale + _FLOAT32 * (np.abs(lowest) + 65535 * scale)


def has_floor(scale: FloatArray) -> BoolArray:
    """Whether a floor was applied, so that q = 0 only means "at or below it".

    Examples
    --------
    >>> has_floor(np.array([16.0, 15.9, 24.0, 0.0]) / 65535).tolist()
    [True, False, True, False]
    """
    span = 65535 * scale
    found: BoolArray = np.any([np.abs(span - floor) <= _FLOOR_TOLERANCE * floor for floor in _FLOORS], axis=0)
    return found | (span > _FLOORS[-1])
