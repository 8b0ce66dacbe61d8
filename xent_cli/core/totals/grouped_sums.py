"""Means over groups, and losses per unit of text, such as bytes: mergeable sums, and the figures computed from them."""

from __future__ import annotations

import math
from typing import NamedTuple

from xent_cli.core.totals.cluster_totals import ClusterTotals
from xent_cli.core.totals.exact_sum import ExactSum
from xent_cli.core.totals.moments import Moments


class GroupedSums(NamedTuple):
    """Sums for means over groups and for units of text; None for those that were not requested.

    Fields
    ------
    macro
        Sums over groups of the groups' means.
    units
        Exact sum of the units, each times its weight.
    unit_sums
        Sums of losses and units over clusters, used instead of `units` if the clusters are known.
    """

    macro: ClusterTotals | None = None
    units: ExactSum | None = None
    unit_sums: ClusterTotals | Moments | None = None

    def merge(self, other: GroupedSums) -> GroupedSums:
        """Return the sums of both, which have the same fields."""
        macro, units, sums = self.macro, self.units, self.unit_sums
        if macro is not None and other.macro is not None:
            macro = macro.merge(other.macro)
        if units is not None and other.units is not None:
            units += other.units
        if isinstance(sums, Moments) and isinstance(other.unit_sums, Moments):
            sums += other.unit_sums
        elif isinstance(sums, ClusterTotals) and isinstance(other.unit_sums, ClusterTotals):
            sums = sums.merge(other.unit_sums)
        return GroupedSums(macro, units, sums)

    def figures(self, total: ExactSum, special: float | None) -> tuple[tuple[str, float], ...]:
        """Return the figures by name.

        Parameters
        ----------
        total
            Sum of the finite losses, each times its weight.
        special
            NaN or inf, if a loss is; or None.
        """
        found: tuple[tuple[str, float], ...] = ()
        if self.macro is not None:
            means = self.macro.means()
            loss, perplexity = (means.macro_loss(), means.macro_perplexity()) if special is None else (special, special)
            found = (("n_groups", means.groups), ("macro_loss", loss), ("macro_perplexity", perplexity))
        if self.unit_sums is not None:
            sums = self.unit_sums if isinstance(self.unit_sums, Moments) else self.unit_sums.moments()
            return (*found, *unit_figures(total, ExactSum(sums.divisor << 1074), special, sums))
        return found if self.units is None else (*found, *unit_figures(total, self.units, special))


def unit_figures(
    total: ExactSum, units: ExactSum, special: float | None, moments: Moments | None = None
) -> tuple[tuple[str, float], ...]:
    """Return the figures per unit by name: ``bits_per_unit = sum(l) / (ln 2 sum(u))`` and ``unit_perplexity``.

    The latter is ``exp(sum(l) / sum(u))``; the standard error is that of a ratio, over clusters.

    Parameters
    ----------
    total, units
        Sums of the losses in nats and of the units.
    special
        NaN or inf, if a loss is; or None.
    moments
        Sums over clusters of losses and units, for the standard error of a ratio; None if these are not known.

    References
    ----------
    Cochran, "Sampling techniques", 3rd ed., 1977, 6.3 (the standard error of a ratio); Gao et al., "The Pile", arXiv
    2101.00027, 2020 (bits per byte).

    Examples
    --------
    >>> import numpy as np
    >>> three = ExactSum.of(np.array([math.log(2), math.log(4)]))  # 3 bits in 6 bytes
    >>> figures = dict(unit_figures(three, ExactSum.of_count(6), None))
    >>> figures["n_units"], round(figures["bits_per_unit"], 12), round(figures["unit_perplexity"], 6)
    (6.0, 0.5, 1.414214)
    """
    nats = total / units if special is None else special
    try:
        perplexity = math.exp(nats)
    except OverflowError:
        perplexity = math.inf
    figures = {"n_units": float(units), "bits_per_unit": nats / math.log(2), "unit_perplexity": perplexity}
    if moments is not None:
        error = moments.standard_error() if special is None else math.nan
        figures["se_bits_per_unit"] = error / math.log(2)
    return tuple(figures.items())
