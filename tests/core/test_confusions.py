"""Confusions of classes: the same counts as with a dictionary, for any partition, in bounded memory."""

from collections import Counter

import numpy as np
from hypothesis import given
from hypothesis import strategies as st
from sklearn.metrics import confusion_matrix

from xent_cli.core.confidence.confusions import MOST_PAIRS, Confusions

SAMPLES = st.lists(st.tuples(st.integers(0, 4), st.integers(0, 4)), max_size=40)


def counted(samples):
    label, predicted = np.array(samples, np.int64).reshape(-1, 2).T
    return Confusions.of(label, predicted)


@given(SAMPLES, st.integers(0, 40))
def test_any_partition_gives_the_counts_of_the_whole(samples, cut):
    merged = counted(samples[cut:]).merge(Confusions()).merge(counted(samples[:cut]))
    expected = Counter(samples)
    assert {(c.label, c.predicted): c.samples for c in merged.highest(99)} == {
        pair: n for pair, n in expected.items() if pair[0] != pair[1]
    }
    if samples:
        assert (merged.matrix(5) == confusion_matrix(*zip(*samples, strict=True), labels=range(5))).all()


def test_the_most_frequent_come_first_and_equal_ones_by_label():
    found = counted([(1, 2), (0, 1), (1, 2), (0, 2), (3, 3)])
    assert [tuple(c) for c in found.highest(2)] == [(1, 2, 2), (0, 1, 1)]


def test_more_pairs_than_are_kept_end_in_none_whatever_the_order():
    half = np.arange(MOST_PAIRS // 2 + 1, dtype=np.int64)
    low, high = Confusions.of(half, half + 1), Confusions.of(half, half + 2)
    for merged in (low.merge(high), high.merge(low), Confusions().merge(low.merge(high)), low.merge(high).merge(low)):
        assert merged.too_many
        assert merged.highest(5) == []
    assert not low.too_many
