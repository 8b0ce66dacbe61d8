import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from xent_cli.core.kernel.cross_entropy import cross_entropy
from xent_cli.core.kernel.top_k import label_ranks
from xent_cli.core.options import LossOptions

values = st.one_of(st.integers(-3, 3).map(float), st.sampled_from([math.inf, -math.inf, math.nan, 0.5]))


def rank(row, label):
    """Count the classes ranked before the label, one by one."""
    if any(math.isnan(x) for x in row):
        return 2**63 - 1
    return sum(1 for j, x in enumerate(row) if x > row[label] or (x == row[label] and j < label))


@given(st.lists(values, min_size=1, max_size=12), st.integers(0, 11), st.sampled_from([0, 60, 120]))
def test_a_rank_is_the_number_of_classes_ahead(row, label, padding):
    row = row + [-5.0] * padding
    label %= len(row)
    assert label_ranks(np.array([row]), np.array([label])).tolist() == [rank(row, label)]


@pytest.mark.parametrize("k", [1, 2, 10, 63, 64, 65, 100, 300])
@pytest.mark.parametrize("dtype", ["f2", "f4", "f8", ">f4", "i1", "i4", "u8", "b1"])
def test_ranks_are_those_of_a_loop_for_every_layout_and_dtype(k, dtype):
    rng = np.random.default_rng(k)
    logits = (rng.integers(0, 2 if dtype == "b1" else 20, (40, k))).astype(dtype)
    labels = rng.integers(0, k, 40)
    expected = [rank(row, label) for row, label in zip(logits.tolist(), labels.tolist(), strict=True)]
    assert label_ranks(logits, labels).tolist() == expected
    assert label_ranks(np.asfortranarray(logits), labels).tolist() == expected


@pytest.mark.parametrize("k", [2, 3, 10, 64, 65, 200])
def test_a_known_loss_spares_work_and_changes_no_rank(k):
    rng = np.random.default_rng(k)
    logits = rng.normal(size=(300, k)) * rng.choice([0.0, 1e-7, 1.0, 20.0], (300, 1))
    labels = np.where(rng.random(300) < 0.5, logits.argmax(1), rng.integers(0, k, 300))
    logits[::50, 0] = np.nan
    loss = cross_entropy(logits, labels, LossOptions()).loss
    assert label_ranks(logits, labels, loss).tolist() == label_ranks(logits, labels).tolist()


def test_a_tie_goes_to_the_lower_class():
    logits = np.array([[1.0, 1.0, 1.0]] * 3)
    assert label_ranks(logits, np.array([0, 1, 2])).tolist() == [0, 1, 2]


def test_more_rows_than_a_tile_holds_are_ranked():
    logits = np.zeros((300_000, 3), np.float32)
    logits[:, 1] = 1
    labels = np.arange(300_000) % 3
    assert np.array_equal(label_ranks(logits, labels), np.array([1, 0, 2])[labels])


def test_no_rows_have_no_ranks():
    assert label_ranks(np.empty((0, 3)), np.empty(0, np.int64)).shape == (0,)
