"""Losses by class, and how far the model's confidence can be trusted."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from xent_cli.core.totals.exact_sum import ExactSum
from xent_cli.core.totals.group_sums import GroupSums

if TYPE_CHECKING:
    from xent_cli.core.array_types import BoolArray, FloatArray, IntArray

NUM_BINS = 15


class ClassFigures(NamedTuple):
    """One class: its index, how many samples have that label, how many of them are predicted right, their mean loss."""

    label: int
    samples: int
    correct: int
    mean_loss: float


class ReliabilityBin(NamedTuple):
    """Samples with a confidence in (low, high]: how many, how many are right, and their mean confidence."""

    low: float
    high: float
    samples: int
    correct: int
    confidence: float


@dataclass(frozen=True, slots=True, eq=False)
class Calibration:
    """Losses by class, and confidence against accuracy, of samples with sparse labels.

    ``Calibration()`` is empty and the identity of `merge`, which is associative and commutative: any partition of the
    samples ends in the same bits. Its size depends on the number of classes seen, not on the number of samples.

    Fields
    ------
    by_class
        Losses in nats by label; a hit is a label with the highest logit, the first of equal ones.
    by_confidence
        Confidences in bins of equal width; a sample with a NaN confidence is in none.
    """

    by_class: GroupSums = GroupSums()
    by_confidence: GroupSums = GroupSums()

    @classmethod
    def of(cls, label: IntArray, loss: FloatArray, predicted: IntArray, confidence: FloatArray) -> Calibration:
        """Calibration of samples.

        Parameters
        ----------
        label, predicted
            [n] class indices: the label, and the class with the highest logit.
        loss
            [n] nats.
        confidence
            [n] softmax probability of the predicted class; may be NaN.

        Examples
        --------
        >>> import numpy as np
        >>> two = Calibration.of(np.array([0, 1]), np.array([0.5, 2.0]), np.array([0, 0]), np.array([0.75, 0.75]))
        >>> two.calibration_error, [(c.label, c.mean_loss) for c in two.worst_classes(9)]
        (0.25, [(1, 2.0), (0, 0.5)])
        """
        known = ~np.isnan(confidence)
        hit = (label == predicted) & known
        bins = np.clip(np.ceil(confidence[known] * NUM_BINS) - 1, 0, NUM_BINS - 1).astype(np.int64)
        return cls(GroupSums.of(label, loss, hit), GroupSums.of(bins, confidence[known], hit[known]))

    def merge(self, other: Calibration) -> Calibration:
        """Return the totals of both."""
        return Calibration(self.by_class.merge(other.by_class), self.by_confidence.merge(other.by_confidence))

    def worst_classes(self, most: int) -> list[ClassFigures]:
        """Return the classes with the highest mean losses, NaN before inf; of equal ones, the lower index first."""
        sums = self.by_class
        means = np.array(sums.means())
        order = np.lexsort((sums.groups, -means, ~np.isnan(means)))[:most]
        return [
            ClassFigures(int(sums.groups[i]), int(sums.counts[i]), int(sums.hits[i]), float(means[i])) for i in order
        ]

    def reliability(self) -> list[ReliabilityBin]:
        """Return the bins with samples, by ascending confidence."""
        sums = self.by_confidence
        rows = zip(sums.groups.tolist(), sums.counts.tolist(), sums.hits.tolist(), sums.means(), strict=True)
        return [ReliabilityBin(b / NUM_BINS, (b + 1) / NUM_BINS, n, hits, mean) for b, n, hits, mean in rows]

    @property
    def calibration_error(self) -> float:
        """Expected calibration error: the sum over bins of n_b / n |accuracy_b - mean confidence_b|.

        References
        ----------
        Guo, Pleiss, Sun & Weinberger, "On calibration of modern neural networks", ICML 2017.
        """
        sums = self.by_confidence
        whole = ExactSum.of_count(1).units
        exact = (total.units for total in sums.totals())
        gaps = (abs(hits * whole - units) for hits, units in zip(sums.hits.tolist(), exact, strict=True))
        n = int(sums.counts.sum())
        return ExactSum(sum(gaps)) / n if n else math.nan


def calibration_of(
    label: IntArray, loss: FloatArray, predicted: IntArray, predicted_loss: FloatArray, scored: BoolArray | None
) -> Calibration:
    """Calibration of the scored samples of a block; `predicted_loss` [n] is -log of the confidence, in nats."""
    confidence = np.exp(-predicted_loss)
    if scored is None:
        return Calibration.of(label, loss, predicted, confidence)
    return Calibration.of(label[scored], loss[scored], predicted[scored], confidence[scored])
