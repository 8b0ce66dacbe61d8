"""Totals of the probability in the known classes of partly known rows, as immutable values that merge."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from xent_cli.core.totals.exact_sum import ExactSum
from xent_cli.core.totals.quantiles import QuantileState

if TYPE_CHECKING:
    from xent_cli.core.array_types import FloatArray


class KeptMass(NamedTuple):
    """Totals of the mass of rows; `KeptMass()` is the identity of `merge`.

    Fields
    ------
    rows, above_one
        Number of rows, and of those whose probabilities sum to more than 1.
    total, masses
        Sum and distribution of the masses.
    """

    rows: int = 0
    above_one: int = 0
    total: ExactSum = ExactSum()
    masses: QuantileState = QuantileState()

    @classmethod
    def of(cls, log_p: FloatArray) -> KeptMass:
        """Count rows [n, k] of log-probabilities, of which NaN is not known.

        Examples
        --------
        >>> found = KeptMass.of(np.log([[0.5, np.nan], [0.75, 0.5]]))
        >>> found.rows, found.above_one, round(found.median, 9)
        (2, 1, 0.875)
        """
        masses = np.exp(np.where(np.isnan(log_p), -np.inf, log_p)).sum(axis=1)
        masses = masses[np.isfinite(masses)]
        return cls(len(log_p), int(np.count_nonzero(masses > 1.0)), ExactSum.of(masses), QuantileState.of(masses))

    def merge(self, other: KeptMass) -> KeptMass:
        """Return the totals of both."""
        rows, above = self.rows + other.rows, self.above_one + other.above_one
        return KeptMass(rows, above, self.total + other.total, self.masses.merge(other.masses))

    @property
    def median(self) -> float:
        """The median."""
        return self.masses.quantiles([0.5])[0]
