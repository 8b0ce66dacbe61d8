"""Which classes are mistaken for which: samples counted by label and prediction."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

if TYPE_CHECKING:
    from xent_cli.core.array_types import IntArray

# 1.6 MB. A vocabulary has more pairs, and even its highest counts would say little.
MOST_PAIRS = 100_000
_CLASS_BITS = 31


class Confusion(NamedTuple):
    """Number of samples with one label that are predicted as another class."""

    label: int
    predicted: int
    samples: int


def _none() -> IntArray:
    return np.empty(0, np.int64)


@dataclass(frozen=True, slots=True, eq=False)
class Confusions:
    """Number of samples by label and prediction, including right predictions.

    `Confusions()` is the identity of `merge`, which is associative and commutative.

    Fields
    ------
    pairs
        [m] label * 2**31 + predicted, ascending.
    counts
        [m] samples.
    too_many
        Whether there are more than 100,000 pairs; then none is kept.
    """

    pairs: IntArray = field(default_factory=_none)
    counts: IntArray = field(default_factory=_none)
    too_many: bool = False

    @classmethod
    def of(cls, label: IntArray, predicted: IntArray) -> Confusions:
        """Count samples by label [n] and prediction [n], both class indices.

        Examples
        --------
        >>> import numpy as np
        >>> found = Confusions.of(np.array([0, 1, 1, 2, 1]), np.array([0, 0, 0, 1, 1]))
        >>> [tuple(pair) for pair in found.highest(5)]
        [(1, 0, 2), (2, 1, 1)]
        >>> found.matrix(3).tolist()
        [[1, 0, 0], [2, 1, 0], [0, 1, 0]]
        """
        pairs, counts = np.unique((label.astype(np.int64) << _CLASS_BITS) + predicted, return_counts=True)
        return _bounded(pairs, counts.astype(np.int64))

    def merge(self, other: Confusions) -> Confusions:
        """Return the counts of both."""
        if self.too_many or other.too_many:
            return Confusions(too_many=True)
        pairs, at = np.unique(np.concatenate([self.pairs, other.pairs]), return_inverse=True)
        counts = np.zeros(pairs.size, np.int64)
        np.add.at(counts, at, np.concatenate([self.counts, other.counts]))
        return _bounded(pairs, counts)

    def highest(self, most: int) -> list[Confusion]:
        """Return the most frequent wrong predictions; of equal counts, the lower label comes first."""
        label, predicted = self._classes()
        wrong = np.flatnonzero(label != predicted)
        order = wrong[np.argsort(-self.counts[wrong], kind="stable")][:most]
        return [Confusion(int(label[i]), int(predicted[i]), int(self.counts[i])) for i in order]

    def matrix(self, num_classes: int) -> IntArray:
        """Return the counts as [num_classes, num_classes]: a row for each label, a column for each prediction."""
        found = np.zeros((num_classes, num_classes), np.int64)
        found[self._classes()] = self.counts
        return found

    def _classes(self) -> tuple[IntArray, IntArray]:
        return self.pairs >> _CLASS_BITS, self.pairs & ((1 << _CLASS_BITS) - 1)


def _bounded(pairs: IntArray, counts: IntArray) -> Confusions:
    return Confusions(too_many=True) if pairs.size > MOST_PAIRS else Confusions(pairs, counts)
