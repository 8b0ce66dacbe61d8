"""Totals of the values of an input that merge: range, non-finite values, and how often each label occurs."""

from __future__ import annotations

import math
from dataclasses import dataclass, field, fields
from typing import TYPE_CHECKING, Any

import numpy as np

from xent_cli.core.inspect.kept_mass import KeptMass
from xent_cli.core.labels.check_labels import SUM_TOLERANCE
from xent_cli.core.totals.exact_sum import ExactSum

if TYPE_CHECKING:
    from collections.abc import Mapping

    from xent_cli.core.array_types import AnyArray
    from xent_cli.core.block import Rows

FLOAT16_MAX = 65504.0
# Labels within this distance of 0 are counted one by one: more than the size of any vocabulary.
COUNTED = 1 << 20
# Number of values converted at a time: as float64, an input of float16 takes four times its size.
_STEP = 1 << 18


@dataclass(frozen=True, slots=True)
class ValueTotals:
    """Totals of real values in rows; `ValueTotals()` is the identity of `merge`.

    Fields
    ------
    rows, values
        Number of rows and values.
    nan, positive_inf, negative_inf
        Number of values that are not finite.
    negative
        Number of values below 0.
    beyond_float16
        Number of finite values with a magnitude above 65504, the largest float16.
    softmaxed
        Rows with more than one value that are non-negative and sum to 1 within 0.001.
    unnormalised
        Rows that do not sum to 1 within 0.001.
    minimum, maximum
        Extremes of the finite values; inf and -inf if there are none.
    sum
        Exact sum of the finite values.
    """

    rows: int = 0
    values: int = 0
    nan: int = 0
    positive_inf: int = 0
    negative_inf: int = 0
    negative: int = 0
    beyond_float16: int = 0
    softmaxed: int = 0
    unnormalised: int = 0
    minimum: float = math.inf
    maximum: float = -math.inf
    sum: ExactSum = ExactSum()

    @classmethod
    def of(cls, values: AnyArray) -> ValueTotals:
        """Count `values` [n] or [n, k].

        Examples
        --------
        >>> import numpy as np
        >>> found = ValueTotals.of(np.array([[0.25, 0.75], [np.nan, 7e4]]))
        >>> found.softmaxed, found.nan, found.beyond_float16, found.maximum
        (1, 1, 1, 70000.0)
        """
        rows = values.reshape(len(values), -1)
        step = max(1, _STEP // max(1, rows.shape[1]))
        total = cls()
        for start in range(0, len(rows), step):
            # Always in C order, so that the sum of a row does not depend on other rows.
            total = total.merge(cls._of(np.ascontiguousarray(rows[start : start + step], np.float64)))
        return total

    @classmethod
    def _of(cls, z: AnyArray) -> ValueTotals:
        finite = np.isfinite(z)
        kept = z if finite.all() else z[finite]
        with np.errstate(invalid="ignore", over="ignore"):
            normal = np.abs(z.sum(axis=1) - 1.0) <= SUM_TOLERANCE
            positive = (z >= 0).all(axis=1)
        return cls(
            rows=len(z),
            values=z.size,
            nan=int(np.isnan(z).sum()),
            positive_inf=int((z == np.inf).sum()),
            negative_inf=int((z == -np.inf).sum()),
            negative=int((z < 0).sum()),
            beyond_float16=int((np.abs(kept) > FLOAT16_MAX).sum()),
            softmaxed=int((normal & positive).sum()) if z.shape[1] > 1 else 0,
            unnormalised=int((~normal).sum()),
            minimum=float(kept.min(initial=math.inf)),
            maximum=float(kept.max(initial=-math.inf)),
            sum=ExactSum.of(kept),
        )

    def merge(self, other: ValueTotals) -> ValueTotals:
        """Return the totals of both."""
        added = {
            f.name: getattr(self, f.name) + getattr(other, f.name)
            for f in fields(self)
            if f.name not in ("minimum", "maximum")
        }
        low, high = min(self.minimum, other.minimum), max(self.maximum, other.maximum)
        return ValueTotals(**added, minimum=low, maximum=high)

    @property
    def finite(self) -> int:
        """Number of finite values."""
        return self.values - self.nan - self.positive_inf - self.negative_inf

    @property
    def mean(self) -> float:
        """Mean of the finite values, rounded once; NaN if there are none."""
        return self.sum / self.finite


@dataclass(frozen=True, slots=True)
class LabelTotals:
    """How often each class index occurs; `LabelTotals()` is the identity of `merge`.

    Fields
    ------
    rows
        Number of labels.
    fractional
        Number of labels that are NaN, infinite or not whole numbers.
    beyond
        Number of whole labels that are too far from 0 to be counted one by one.
    minimum, maximum
        Extremes of the whole labels, or None.
    counts
        For each label, how often it occurs.
    """

    rows: int = 0
    fractional: int = 0
    beyond: int = 0
    minimum: int | None = None
    maximum: int | None = None
    counts: Mapping[int, int] = field(default_factory=dict)

    @classmethod
    def of(cls, labels: AnyArray) -> LabelTotals:
        """Count labels of any shape.

        Examples
        --------
        >>> import numpy as np
        >>> LabelTotals.of(np.array([2, 0, 2, -100])).counts
        {-100: 1, 0: 1, 2: 2}
        """
        flat = labels.reshape(-1)
        if flat.dtype.kind == "b":
            flat = flat.astype(np.int64)
        whole = flat
        if flat.dtype.kind == "f":
            with np.errstate(invalid="ignore"):
                whole = flat[np.isfinite(flat) & (np.trunc(flat) == flat)]
        near = whole[(whole >= -COUNTED) & (whole < COUNTED)].astype(np.int64)
        counts = {}
        if near.size:
            low = int(near.min())
            often = np.bincount(near - low)
            seen = np.flatnonzero(often)
            counts = dict(zip((seen + low).tolist(), often[seen].tolist(), strict=True))
        low_high = (int(whole.min()), int(whole.max())) if whole.size else (None, None)
        return cls(flat.size, flat.size - whole.size, whole.size - near.size, low_high[0], low_high[1], counts)

    def merge(self, other: LabelTotals) -> LabelTotals:
        """Return the totals of both."""
        counts = dict(self.counts)
        for label, count in other.counts.items():
            counts[label] = counts.get(label, 0) + count
        return LabelTotals(
            self.rows + other.rows,
            self.fractional + other.fractional,
            self.beyond + other.beyond,
            min((x for x in (self.minimum, other.minimum) if x is not None), default=None),
            max((x for x in (self.maximum, other.maximum) if x is not None), default=None),
            counts,
        )

    @property
    def negative(self) -> int:
        """Number of labels below 0, among those that are counted one by one."""
        return sum(count for label, count in self.counts.items() if label < 0)

    def top(self, most: int) -> tuple[tuple[int, int], ...]:
        """Return the most frequent labels with their counts; of equally frequent ones, the lower first.

        Examples
        --------
        >>> LabelTotals(4, counts={0: 1, 2: 2, 1: 1}).top(2)
        ((2, 2), (0, 1))
        """
        return tuple(sorted(self.counts.items(), key=lambda entry: (-entry[1], entry[0]))[:most])

    def one_based(self, num_classes: int) -> bool:
        """Whether the labels, apart from negative ones, run from 1 to the number of classes."""
        lowest = min((label for label in self.counts if label >= 0), default=None)
        return lowest == 1 and self.maximum == num_classes

    def outside(self, num_classes: int) -> dict[int, int]:
        """Return the labels that are not classes with their counts, among those that are counted one by one."""
        return {label: count for label, count in self.counts.items() if not 0 <= label < num_classes}


@dataclass(frozen=True, slots=True)
class Inspection:
    """Totals of all values of an input; `Inspection()` is the identity of `merge`.

    Fields
    ------
    logits, weights
        Totals of logits and sample weights.
    labels
        Totals of class indices.
    soft
        Totals of dense labels.
    kept
        Totals of the mass of rows that are known in part.
    """

    logits: ValueTotals = ValueTotals()
    labels: LabelTotals = LabelTotals()
    soft: ValueTotals = ValueTotals()
    weights: ValueTotals = ValueTotals()
    kept: KeptMass = KeptMass()

    @classmethod
    def of(cls, rows: Rows, *, dense: bool) -> Inspection:
        """Count the values of rows; `dense` says what labels are, since their shape alone does not."""
        found: dict[str, Any] = {}
        if rows.logits is not None:
            found["logits"] = ValueTotals.of(rows.logits)
        if rows.labels is not None and rows.label_bounds is None:
            found["soft" if dense else "labels"] = (ValueTotals if dense else LabelTotals).of(rows.labels)
        for values, bounds in ((rows.logits, rows.logit_bounds), (rows.labels, rows.label_bounds)):
            if values is not None and bounds is not None:
                found["kept"] = KeptMass.of(values)
        if rows.weights is not None:
            found["weights"] = ValueTotals.of(rows.weights)
        return cls(**found)

    def merge(self, other: Inspection) -> Inspection:
        """Return the totals of both."""
        return Inspection(*(getattr(self, f.name).merge(getattr(other, f.name)) for f in fields(self)))

    @property
    def label_rows(self) -> int:
        """Number of samples with a label: sparse, dense or known in part."""
        return self.labels.rows or self.soft.rows or self.kept.rows
