"""Totals of losses by group, for all groups at once: the fields of `LossTotals` as arrays [m]."""

from __future__ import annotations

import math
from dataclasses import dataclass
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from xent_cli.core.totals.exact_sum import ExactSum
from xent_cli.core.totals.group_sums import products_by_group, squares_by_group, sums_by_group
from xent_cli.core.totals.grouped_sums import GroupedSums
from xent_cli.core.totals.loss_totals import LossTotals
from xent_cli.core.totals.moments import Moments
from xent_cli.core.totals.quantiles import EXACT_ROWS, QuantileState
from xent_cli.core.totals.summary import WorstSample

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from numpy.typing import NDArray

    from xent_cli.core.array_types import BoolArray, FloatArray, IntArray
    from xent_cli.core.totals.divergence_totals import DivergenceTotals

    Numbers = NDArray[np.uint16]

# Sums of products with weights, from which `Moments` are made.
_PRODUCTS = ("value_squares", "cross", "divisor_squares")
_NO_SAMPLE = np.iinfo(np.int64).max


class Scored(NamedTuple):
    """Samples that have a loss, with everything that their totals need.

    Fields
    ------
    sample
        [n] sample numbers.
    loss
        [n] nats; may be NaN or inf.
    product, divisor
        [n] loss times weight, and the weight in the divisor of the mean; None if all are 1.
    hits
        For each k, [n] whether the label is among the k highest.
    divergence
        [n] figures of the divergence from a reference, by name.
    weight
        [n] weight of each sample in these figures; None if all are 1.
    exact_rows
        Number of samples up to which quantiles are exact.
    units
        [n] units of text, each times the weight of its sample; or None.
    """

    sample: IntArray
    loss: FloatArray
    product: FloatArray | None
    divisor: FloatArray | None
    hits: Mapping[int, BoolArray]
    divergence: Mapping[str, FloatArray] = MappingProxyType({})
    weight: FloatArray | None = None
    exact_rows: int = EXACT_ROWS
    units: FloatArray | None = None

    @classmethod
    def concatenate(cls, parts: Sequence[Scored]) -> Scored:
        """Concatenate samples."""
        first, *_ = parts

        def joined(name: str) -> Any:
            return None if getattr(first, name) is None else np.concatenate([getattr(part, name) for part in parts])

        hits = {k: np.concatenate([part.hits[k] for part in parts]) for k in first.hits}
        divergence = {name: np.concatenate([part.divergence[name] for part in parts]) for name in first.divergence}
        sample, loss, product, divisor, weight = map(joined, ("sample", "loss", "product", "divisor", "weight"))
        return cls(sample, loss, product, divisor, hits, divergence, weight, first.exact_rows, joined("units"))


@dataclass(frozen=True, slots=True, eq=False)
class GroupTotals:
    """Totals of the losses of each of m groups; `merge` is associative and commutative, to the last bit.

    Fields
    ------
    counts
        [m] for each name of a field of `LossTotals`.
    hits
        For each k, [m] how many labels are among the k highest.
    sums
        [m] for each name of a field, the units of exact sums; with weights, those of `Moments` too.
    low
        [m] lowest loss, inf without losses.
    high, worst
        [m] highest loss, NaN above inf, and the first sample that has it.
    quantiles
        State of each group; None if only the mean is wanted.
    divergence
        Totals of each group; None without a reference.
    """

    counts: Mapping[str, IntArray]
    hits: Mapping[int, IntArray]
    sums: Mapping[str, NDArray[np.object_]]
    low: FloatArray
    high: FloatArray
    worst: IntArray
    quantiles: tuple[QuantileState, ...] | None
    divergence: tuple[DivergenceTotals, ...] | None = None

    @classmethod
    def of(cls, at: Numbers, samples: Scored, ignored: Numbers, m: int, *, figures: bool) -> GroupTotals:
        """Total samples by group.

        Parameters
        ----------
        at, ignored
            Group of each sample [n], and of each sample without a loss, from 0 to m - 1.
        figures
            Whether more than the mean is wanted.

        Examples
        --------
        >>> import numpy as np
        >>> three = Scored(np.arange(3), np.array([1.0, 4.0, 2.0]), None, None, {})
        >>> totals = GroupTotals.of(np.array([0, 1, 0], np.uint16), three, np.array([], np.uint16), 2, figures=True)
        >>> [totals.total(group).summarize().mean_loss for group in (0, 1)]
        [1.5, 4.0]
        """
        loss, sizes = samples.loss, np.bincount(at, minlength=m)

        def count(which: BoolArray) -> IntArray:
            return np.bincount(at[which], minlength=m)

        def total(values: FloatArray) -> NDArray[np.object_]:
            finite = np.isfinite(values)
            return sums_by_group(at[finite], values[finite], m)

        finite = np.isfinite(loss)
        counts = {
            "n_samples": sizes,
            "n_ignored": np.bincount(ignored, minlength=m),
            "n_nan": count(np.isnan(loss)),
            "n_inf": count(np.isinf(loss)),
        }
        sums = {"sums": total(loss)}
        if figures:
            sums["squares"] = squares_by_group(at[finite], loss[finite], m)
        if samples.product is not None and samples.divisor is not None:
            sums |= {"weighted": total(samples.product), "weight": sums_by_group(at, samples.divisor, m)}
            if figures:
                known = np.isfinite(samples.product)
                some, product, divisor = at[known], samples.product[known], samples.divisor[known]
                sums["value_squares"] = squares_by_group(some, product, m)
                sums["cross"] = products_by_group(some, product, divisor, m)
                sums["divisor_squares"] = squares_by_group(some, divisor, m)
        if samples.units is not None:
            sums["units"] = sums_by_group(at, samples.units, m)
        order = np.argsort(at, kind="stable")  # a radix sort, for 16 bits
        ordered = loss[order]
        low, high, worst = _extremes(at[order], ordered, samples.sample[order], sizes)
        runs = np.split(ordered, np.cumsum(sizes)[:-1]) if figures else []
        quantiles = tuple(QuantileState.of(run, exact_rows=samples.exact_rows) for run in runs) if figures else None
        divergence = _divergence(samples, order, sizes, figures=figures) if samples.divergence else None
        hits = {k: count(hit) for k, hit in samples.hits.items()}
        return cls(counts, hits, sums, low, high, worst, quantiles, divergence)

    def placed(self, places: Numbers, m: int) -> GroupTotals:
        """Return totals of m groups, in which these groups take the numbers `places` and all others are empty."""

        def put(values: Any, fill: object) -> Any:
            all_groups = np.full(m, fill, values.dtype)
            all_groups[places] = values
            return all_groups

        def put_all(values: tuple[Any, ...] | None, fill: Any) -> tuple[Any, ...] | None:
            if values is None:
                return None
            all_groups = [fill] * m
            for place, value in zip(places.tolist(), values, strict=True):
                all_groups[place] = value
            return tuple(all_groups)

        divergence = None
        if self.divergence is not None:
            from xent_cli.core.totals.divergence_totals import DivergenceTotals

            divergence = put_all(self.divergence, DivergenceTotals())
        return GroupTotals(
            {name: put(values, 0) for name, values in self.counts.items()},
            {k: put(values, 0) for k, values in self.hits.items()},
            {name: put(values, 0) for name, values in self.sums.items()},
            put(self.low, math.inf),
            put(self.high, -math.inf),
            put(self.worst, _NO_SAMPLE),
            put_all(self.quantiles, QuantileState()),
            divergence,
        )

    def merge(self, other: GroupTotals) -> GroupTotals:
        """Return the totals of both, for the same groups."""
        ours, theirs = self.high, other.high
        equal = (ours == theirs) | (np.isnan(ours) & np.isnan(theirs))
        higher = (theirs > ours) | (np.isnan(theirs) & ~np.isnan(ours)) | (equal & (other.worst < self.worst))
        return GroupTotals(
            {name: values + other.counts[name] for name, values in self.counts.items()},
            {k: values + other.hits[k] for k, values in self.hits.items()},
            {name: values + other.sums[name] for name, values in self.sums.items()},
            np.minimum(self.low, other.low),
            np.where(higher, theirs, ours),
            np.where(higher, other.worst, self.worst),
            _merged(self.quantiles, other.quantiles),
            _merged(self.divergence, other.divergence),
        )

    def total(self, group: int) -> LossTotals:
        """Return the totals of one group."""
        sample = int(self.worst[group])
        figures: dict[str, Any] = {name: int(counts[group]) for name, counts in self.counts.items()}
        figures |= {name: ExactSum(units[group]) for name, units in self.sums.items() if name not in _PRODUCTS}
        if "cross" in self.sums:
            firsts = (figures["weighted"].units >> 1074, figures["weight"].units >> 1074)
            figures["moments"] = Moments(figures["n_samples"], *firsts, *(self.sums[name][group] for name in _PRODUCTS))
        if "units" in figures:
            figures["grouped"] = GroupedSums(units=figures.pop("units"))
        return LossTotals(
            "",
            **figures,
            min_loss=float(self.low[group]),
            quantiles=None if self.quantiles is None else self.quantiles[group],
            worst=() if sample == _NO_SAMPLE else (WorstSample(float(self.high[group]), sample, None, None),),
            hits=tuple((k, int(hits[group])) for k, hits in self.hits.items()),
            divergence=None if self.divergence is None else self.divergence[group],
        )


def _merged(ours: tuple[Any, ...] | None, theirs: tuple[Any, ...] | None) -> tuple[Any, ...] | None:
    if ours is None or theirs is None:
        return None
    return tuple(a.merge(b) for a, b in zip(ours, theirs, strict=True))


def _divergence(samples: Scored, order: IntArray, sizes: IntArray, *, figures: bool) -> tuple[DivergenceTotals, ...]:
    """Return the totals of the divergence of each group; sorting the samples by `order` groups them."""
    from xent_cli.core.totals.divergence_totals import DivergenceTotals

    cuts = np.cumsum(sizes)[:-1]
    columns = {name: np.split(values[order], cuts) for name, values in samples.divergence.items()}
    weights = [None] * sizes.size if samples.weight is None else np.split(samples.weight[order], cuts)
    return tuple(
        DivergenceTotals.of(
            {name: parts[group] for name, parts in columns.items()},
            weight,
            spread=figures,
            exact_rows=samples.exact_rows,
        )
        for group, weight in enumerate(weights)
    )


def _extremes(
    at: Numbers, loss: FloatArray, sample: IntArray, sizes: IntArray
) -> tuple[FloatArray, FloatArray, IntArray]:
    """Return lowest and highest loss of each group, and the first sample with the highest; samples sorted by group."""
    low, high = np.full(sizes.size, math.inf), np.full(sizes.size, -math.inf)
    worst = np.full(sizes.size, _NO_SAMPLE)
    held = np.flatnonzero(sizes)
    if not held.size:
        return low, high, worst
    begins = (np.cumsum(sizes) - sizes)[held]
    low[held] = np.fmin.reduceat(loss, begins)
    low[np.isnan(low)] = math.inf
    high[held] = np.maximum.reduceat(loss, begins)
    top = high[at]
    best = np.flatnonzero((loss == top) | (np.isnan(loss) & np.isnan(top)))
    best = best[np.lexsort((sample[best], at[best]))]
    groups, first = np.unique(at[best], return_index=True)
    worst[groups] = sample[best[first]]
    return low, high, worst
