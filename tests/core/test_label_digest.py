"""The digest of labels: the same for the same labels in any partition and dtype, and different for different labels."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from xent_cli.core.block import Block
from xent_cli.core.evaluate import evaluate_block
from xent_cli.core.labels.label_digest import add_digests, digest_text, label_digest
from xent_cli.core.options import LossOptions, Outputs, settings_of

labels = st.lists(st.integers(0, 9), min_size=2, max_size=40)


@given(labels, st.data())
def test_any_cut_of_the_samples_has_the_digest_of_the_whole(found, data):
    array = np.array(found)
    ignored = np.array(data.draw(st.lists(st.booleans(), min_size=len(found), max_size=len(found))))
    at = data.draw(st.integers(0, len(found)))
    parts = label_digest(array[:at], 5, ignored[:at]), label_digest(array[at:], 5 + at, ignored[at:])
    assert add_digests(*parts) == add_digests(*parts[::-1]) == label_digest(array, 5, ignored)


@given(labels)
def test_the_dtype_of_the_labels_does_not_matter(found):
    digests = {label_digest(np.array(found, dtype), 0) for dtype in ("u1", "i2", ">i4", "i8", "f4", ">f8")}
    assert len(digests) == 1


@given(labels, st.data())
def test_one_other_label_is_another_digest(found, data):
    at = data.draw(st.integers(0, len(found) - 1))
    other = [*found[:at], found[at] + 1, *found[at + 1 :]]
    assert label_digest(np.array(found), 0) != label_digest(np.array(other), 0)


@given(labels.filter(lambda found: len(set(found)) > 1), st.randoms())
def test_another_order_is_another_digest(found, random):
    other = random.sample(found, len(found))
    assert (label_digest(np.array(found), 0) == label_digest(np.array(other), 0)) == (found == other)


def test_labels_of_ignored_samples_do_not_count_and_which_are_ignored_does():
    ignored = np.array([False, True, False])
    assert label_digest(np.array([1, 2, 0]), 0, ignored) == label_digest(np.array([1, -100, 0]), 0, ignored)
    assert label_digest(np.array([1, 1, 1]), 0, ignored) != label_digest(np.array([1, 1, 1]), 0, ~ignored)


def test_no_two_of_a_million_samples_hash_alike():
    digests = [label_digest(np.array([c]), i) for i in range(300) for c in range(300)]
    assert len(set(digests)) == len(digests)


@pytest.mark.parametrize("dtype", ["f4", "f8", ">f8"])
def test_dense_rows_count_by_their_highest_entry(dtype):
    rows = np.array([[0.25, 0.75, 0.0], [0.5, 0.25, 0.25]])
    digest = label_digest(rows.astype(dtype), 0)
    assert digest == label_digest(np.asfortranarray(rows), 0)
    assert digest != label_digest(rows[::-1].astype(dtype), 0)
    for other in ([[0.25, 0.5, 0.25], [0.5, 0.25, 0.25]], [[0.75, 0.25, 0.0], [0.5, 0.25, 0.25]]):
        assert digest != label_digest(np.array(other).astype(dtype), 0)


def test_a_teacher_may_be_infinite_or_nan():
    rows = np.array([[-np.inf, 1.0], [np.nan, 0.0], [-np.nan, 0.0]])
    assert label_digest(rows, 0) == label_digest(rows.astype("f4"), 0)


def test_sample_weights_count_where_there_are_some():
    found, weights = np.array([0, 1]), np.array([1.0, 0.1])
    digest = label_digest(found, 0, None, weights)
    assert digest == label_digest(found, 0, None, weights.astype("f4"))
    assert digest != label_digest(found, 0, None, weights[::-1])
    assert digest != label_digest(found, 0)


def test_the_digest_has_sixteen_digits():
    assert digest_text(2**64 - 1) == "f" * 16


@pytest.mark.parametrize("wanted", [False, True])
def test_a_run_computes_it_on_request(wanted):
    block = Block(3, np.eye(4), np.arange(4))
    totals = evaluate_block(block, LossOptions(), Outputs(digest=wanted)).totals.losses
    assert totals.digest == (label_digest(np.arange(4), 3) if wanted else None)


def test_a_setting_that_a_signature_does_not_name_is_at_its_default():
    old = "xent|axis:-1|from:logits|labels:sparse|ignore:none|smoothing:0.0|class_weight:none|temperature:1.0|"
    old += "precision:float64|v:0.1.0"
    assert settings_of(old) == settings_of(LossOptions().signature("9.9"))
    assert settings_of(f"{old}|shift:0|labels_from:labels") == settings_of(old)
    assert settings_of(LossOptions(shift=1).signature("0")) != settings_of(old)
    assert settings_of(LossOptions(temperature=2.0).signature("0.1.0")) != settings_of(old)
    assert settings_of(f"{old}|invented:later") != settings_of(old)
