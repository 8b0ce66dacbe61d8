"""Detect labels that number the classes one higher or one lower than the columns of the logits."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import numpy as np

if TYPE_CHECKING:
    from xent_cli.core.array_types import AnyArray, BoolArray, IntArray

# At most this many samples at the beginning are examined; with more classes fewer, but at least `_FEWEST_SAMPLES`.
_MOST_SAMPLES, _FEWEST_SAMPLES = 1024, 64
_MOST_VALUES = 1 << 20
# The neighbours of the labels must have the highest logit in at least 12 samples and a quarter of all, and three times
# as often as the labels themselves.
_LEAST_HITS = 12
_TIMES_AS_OFTEN = 3
_LEAST_SHARE = 0.25
# A label this far outside the range cannot be a class that is missing.
_FAR = 100


class Offsets(NamedTuple):
    """How often the highest logit is that of the label, of the class after it, and of the class before it.

    Fields
    ------
    samples
        How many samples were examined.
    same, above, below
        How many have the highest logit at the label, at the class after it and at the class before it.
    """

    samples: int = 0
    same: int = 0
    above: int = 0
    below: int = 0

    @classmethod
    def of(
        cls,
        logits: AnyArray,
        labels: IntArray,
        ignored: BoolArray | None,
        start: int,
        peaks: IntArray | None = None,
    ) -> Offsets:
        """Count in those samples of a block that are among the first samples of the input.

        Parameters
        ----------
        labels
            [n] class indices.
        peaks
            [n] the highest logit of each row, if known.

        Examples
        --------
        >>> Offsets.of(np.eye(4), np.array([0, 0, 1, 2]), None, 0)
        Offsets(samples=4, same=1, above=3, below=0)
        """
        most = min(_MOST_SAMPLES, max(_FEWEST_SAMPLES, _MOST_VALUES // max(1, logits.shape[1]))) - start
        if most <= 0 or logits.shape[1] < 2:
            return cls()
        highest = logits[:most].argmax(axis=1) if peaks is None else peaks[:most]
        difference = highest - labels[:most]
        if ignored is not None:
            difference = difference[~ignored[:most]]
        hits = (int(np.count_nonzero(difference == by)) for by in (0, 1, -1))
        return cls(len(difference), *hits)

    def merge(self, other: Offsets) -> Offsets:
        """Return the counts of both."""
        return Offsets(*(a + b for a, b in zip(self, other, strict=True)))

    @property
    def first_class(self) -> int:
        """By how much the number of the first class seems to differ from the declared one: -1, 0 or 1.

        Examples
        --------
        >>> Offsets(100, same=5, above=70).first_class, Offsets(100, same=40, above=30).first_class
        (-1, 0)
        """
        for hits, other, first in ((self.above, self.below, -1), (self.below, self.above, 1)):
            often = hits >= max(_LEAST_HITS, _LEAST_SHARE * self.samples)
            if often and hits >= _TIMES_AS_OFTEN * max(self.same, other, 1):
                return first
        return 0


def is_padding(label: int, first: int, num_classes: int, others: IntArray) -> bool:
    """Whether a label that is not a class looks like a marker of samples without a label.

    Parameters
    ----------
    first
        Number of the first class.
    others
        The rest of the labels, or some of them.

    Examples
    --------
    >>> none = np.empty(0, np.int64)
    >>> is_padding(-100, 0, 10, none), is_padding(255, 0, 19, none), is_padding(10, 0, 10, none)
    (True, True, False)
    >>> is_padding(-1, 0, 2, np.array([1, 1]))
    False
    """
    if label < first:
        return not (label == -1 and num_classes == 2 and others.size > 0 and bool((others == 1).all()))
    return label - first >= max(_FAR, 2 * num_classes) or label in (255, 65535)
