"""How far the model's confidence can be trusted: calibration error, Brier score, and losses by class."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from xent_cli.core.confidence.confusions import Confusions
from xent_cli.core.totals.exact_sum import ExactSum
from xent_cli.core.totals.group_sums import GroupSums
from xent_cli.core.totals.quantiles import EXACT_ROWS, QuantileState, exponents

if TYPE_CHECKING:
    from xent_cli.core.array_types import FloatArray, IntArray

NUM_BINS = 15


class Binning(NamedTuple):
    """How confidences are binned: bins of equal width in (0, 1], or bins that hold equally many samples."""

    bins: int = NUM_BINS
    by_mass: bool = False


EQUAL_WIDTH = Binning()


class ClassFigures(NamedTuple):
    """One class: its index, how many samples have that label, how many are predicted right, and their mean loss."""

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


class Judged(NamedTuple):
    """Predictions for n samples, and how they turned out.

    Fields
    ------
    label, predicted
        [n] class indices: the label, and the class with the highest logit.
    loss
        [n] nats.
    predicted_loss
        [n] -log of the confidence, the probability of the predicted class; may be NaN.
    brier
        [n] Brier scores.
    weight
        [n] sample weights, or None.
    """

    label: IntArray
    predicted: IntArray
    loss: FloatArray
    predicted_loss: FloatArray
    brier: FloatArray
    weight: FloatArray | None = None


@dataclass(frozen=True, slots=True, eq=False)
class Calibration:
    """Calibration of predictions of samples with sparse labels.

    ``Calibration(binning)`` is empty and the identity of `merge`, which is associative and commutative: any partition
    of the samples gives the same bits. Its size depends on the number of bins (and of classes, if requested), not of
    samples; only with bins by mass does it grow, up to four million samples.

    Fields
    ------
    binning
        How confidences are binned.
    by_confidence
        Confidences and hits (right predictions) in bins of equal width, without weights.
    ranked
        With bins by mass: -log of the confidences, negative where the prediction is wrong.
    brier
        Exact sum of the Brier scores, each times the weight of its sample.
    weight, weighted_confidence, weighted_hits
        Exact sum of the weights, and of the weighted confidences and hits by bin; None without weights.
    n_unknown
        Samples without a confidence, whose logits hold NaN or +inf: they are in no bin and make the figures NaN.
    by_class
        Losses in nats by label, if requested; a hit is a label that is predicted.
    confusions
        Samples by label and prediction, if classes are requested.
    """

    binning: Binning = EQUAL_WIDTH
    by_confidence: GroupSums = GroupSums()
    ranked: QuantileState | None = None
    brier: ExactSum = ExactSum()
    weight: ExactSum | None = None
    weighted_confidence: GroupSums | None = None
    weighted_hits: GroupSums | None = None
    n_unknown: int = 0
    by_class: GroupSums = GroupSums()
    confusions: Confusions = Confusions()

    @classmethod
    def of(
        cls, samples: Judged, binning: Binning = EQUAL_WIDTH, *, classes: bool = True, exact_rows: int = EXACT_ROWS
    ) -> Calibration:
        """Calibration of samples.

        Parameters
        ----------
        classes
            Whether losses by class and confusions between classes are wanted.
        exact_rows
            Number of samples up to which bins by mass are exact.

        Examples
        --------
        >>> import numpy as np
        >>> sure = -np.log([0.75, 0.75])
        >>> two = Judged(np.array([0, 1]), np.array([0, 0]), np.array([0.5, 2.0]), sure, np.array([0.125, 1.125]))
        >>> found = Calibration.of(two)
        >>> found.ece, found.brier_score, [(c.label, c.mean_loss) for c in found.worst_classes(9)]
        (0.25, 0.625, [(1, 2.0), (0, 0.5)])
        """
        known = ~np.isnan(samples.predicted_loss)
        right = samples.label == samples.predicted
        confidence, hit = np.exp(-samples.predicted_loss[known]), right[known]
        count = binning.bins
        bins = np.clip(np.ceil(confidence * count) - 1, 0, count - 1).astype(np.int64)
        weight = weighted_confidence = weighted_hits = ranked = None
        scores = samples.brier[known]
        if samples.weight is not None:
            w = samples.weight[known]
            weight, scores = ExactSum.of(w), scores * w
            weighted_confidence = GroupSums.of(bins, confidence * w, hit)
            weighted_hits = GroupSums.of(bins, np.where(hit, w, 0.0), hit)
        if binning.by_mass:
            surprise = np.maximum(samples.predicted_loss[known], 0.0)
            ranked = QuantileState.of(np.where(hit, surprise, -surprise), exact_rows=exact_rows)
        return cls(
            binning,
            GroupSums.of(bins, confidence, hit),
            ranked,
            ExactSum.of(scores),
            weight,
            weighted_confidence,
            weighted_hits,
            int(known.size - confidence.size),
            GroupSums.of(samples.label, samples.loss, right & known) if classes else GroupSums(),
            Confusions.of(samples.label[known], samples.predicted[known]) if classes else Confusions(),
        )

    def merge(self, other: Calibration) -> Calibration:
        """Return the totals of both."""
        ranked = self.ranked
        if other.ranked is not None:
            ranked = other.ranked if ranked is None else ranked.merge(other.ranked)
        weight = self.weight
        if other.weight is not None:
            weight = other.weight if weight is None else weight + other.weight
        return Calibration(
            self.binning,
            self.by_confidence.merge(other.by_confidence),
            ranked,
            self.brier + other.brier,
            weight,
            _merged(self.weighted_confidence, other.weighted_confidence),
            _merged(self.weighted_hits, other.weighted_hits),
            self.n_unknown + other.n_unknown,
            self.by_class.merge(other.by_class),
            self.confusions.merge(other.confusions),
        )

    def worst_classes(self, most: int) -> list[ClassFigures]:
        """Return the classes with the highest mean losses, NaN before inf; ties go to the lower index."""
        sums = self.by_class
        means = np.array(sums.means())
        order = np.lexsort((sums.groups, -means, ~np.isnan(means)))[:most]
        return [
            ClassFigures(int(sums.groups[i]), int(sums.counts[i]), int(sums.hits[i]), float(means[i])) for i in order
        ]

    def reliability(self) -> list[ReliabilityBin]:
        """Return the non-empty bins of equal width by ascending confidence, without weights."""
        sums, count = self.by_confidence, self.binning.bins
        rows = zip(sums.groups.tolist(), sums.counts.tolist(), sums.hits.tolist(), sums.means(), strict=True)
        return [ReliabilityBin(b / count, (b + 1) / count, n, hits, mean) for b, n, hits, mean in rows]

    @property
    def ece(self) -> float:
        """Expected calibration error: the sum over bins of w_b / w |accuracy_b - mean confidence_b|.

        NaN if a sample has no confidence.

        References
        ----------
        Guo, Pleiss, Sun & Weinberger, "On calibration of modern neural networks", ICML 2017; for bins by mass, Nguyen &
        O'Connor, "Posterior calibration and exploratory analysis for natural language processing models", EMNLP 2015.
        """
        sums = self.by_confidence if self.ranked is None else _by_mass(self.ranked, self.binning.bins)
        count = int(sums.counts.sum())
        if self.n_unknown or not count:
            return math.nan
        one = ExactSum.of_count(1).units
        hits = [hit * one for hit in sums.hits.tolist()]
        whole: ExactSum | int = count
        if self.weight is not None and self.weighted_confidence is not None and self.weighted_hits is not None:
            sums, whole = self.weighted_confidence, self.weight
            hits = [total.units for total in self.weighted_hits.totals()]
        gaps = (abs(hit - total.units) for hit, total in zip(hits, sums.totals(), strict=True))
        return ExactSum(sum(gaps)) / whole

    @property
    def brier_score(self) -> float:
        """Brier score: the mean of ``sum_j (p_j - [j = y])**2``, between 0 and 2; NaN if a row has no probabilities.

        References
        ----------
        Brier, "Verification of forecasts expressed in terms of probability", Monthly Weather Review 78, 1950.
        """
        count = int(self.by_confidence.counts.sum())
        if self.n_unknown or not count:
            return math.nan
        return self.brier / (count if self.weight is None else self.weight)

    def figures(self) -> tuple[tuple[str, float], ...]:
        """Return the figures of a summary by name."""
        return ("ece", self.ece), ("brier", self.brier_score)


def _merged(ours: GroupSums | None, theirs: GroupSums | None) -> GroupSums | None:
    return theirs if ours is None else ours if theirs is None else ours.merge(theirs)


def _by_mass(ranked: QuantileState, count: int) -> GroupSums:
    """Sum confidences in bins of equally many samples; equal confidences all go into the first bin that they reach.

    Beyond the exact rows, each confidence is represented by the middle of a fine bin.
    """
    if ranked.histogram is None:
        signed = np.concatenate([np.empty(0), *ranked.parts])
        size = np.ones(signed.size, np.int64)
    else:
        signed, size = exponents(ranked.bins())
    surprise, hit = np.abs(signed), ~np.signbit(signed)
    distinct, place = np.unique(-surprise, return_inverse=True)
    samples = np.bincount(place, size, distinct.size).astype(np.int64)
    lower = np.cumsum(samples) - samples
    group = (lower * count // max(1, int(samples.sum())))[place]
    confidence = np.exp(-surprise)
    if ranked.histogram is None:
        return GroupSums.of(group, confidence, hit)
    sums = GroupSums.of(group, confidence * size, hit)
    counted = np.bincount(group, size, count)[sums.groups], np.bincount(group[hit], size[hit], count)[sums.groups]
    counts, hits = (values.astype(np.int64) for values in counted)
    return GroupSums(sums.groups, counts, hits, sums.special, sums.units)
