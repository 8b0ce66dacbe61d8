import math
from fractions import Fraction
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn.calibration import calibration_curve

from xent_cli.core.block import Block
from xent_cli.core.evaluate import evaluate_block
from xent_cli.core.options import LossOptions, Outputs
from xent_cli.core.totals.calibration import NUM_BINS, Calibration
from xent_cli.core.totals.group_sums import GroupSums

finite = st.floats(allow_nan=False, allow_infinity=False)
rows = st.lists(st.tuples(st.integers(0, 4), finite, st.booleans()), max_size=40)
samples = st.lists(
    st.tuples(
        st.integers(0, 4),
        st.one_of(st.floats(0, 1e300), st.just(math.inf), st.just(math.nan)),
        st.integers(0, 4),
        st.one_of(st.floats(0, 1), st.just(math.nan)),
    ),
    max_size=40,
)


def sums(entries):
    group, values, hit = zip(*entries, strict=True) if entries else ((), (), ())
    return GroupSums.of(np.array(group, np.int64), np.array(values, float), np.array(hit, bool))


def calibration_of(entries):
    label, loss, predicted, confidence = zip(*entries, strict=True) if entries else ((), (), (), ())
    return Calibration.of(
        np.array(label, np.int64), np.array(loss, float), np.array(predicted, np.int64), np.array(confidence, float)
    )


def bits(value):
    """Everything a value holds, with NaN equal to itself."""
    if isinstance(value, Calibration):
        return bits(value.by_class), bits(value.by_confidence)
    return [repr(getattr(value, name).tolist()) for name in GroupSums.__slots__]


@given(rows)
def test_sums_are_those_of_exact_fractions(entries):
    found = sums(entries)
    for i, group in enumerate(found.groups.tolist()):
        mine = [Fraction(value) for g, value, _ in entries if g == group]
        assert Fraction(int(found.units[i]), 2**1108) == sum(mine)
        assert found.counts[i] == len(mine)
        assert found.hits[i] == sum(hit for g, _, hit in entries if g == group)
    assert found.groups.tolist() == sorted({g for g, _, _ in entries})


def test_sums_of_more_than_a_chunk_and_of_both_ends_of_the_range_are_exact():
    rng = np.random.default_rng(0)
    values = np.ldexp(rng.normal(size=200_000), rng.integers(-1070, 1020, 200_000))
    group = rng.integers(0, 3, values.size)
    found = GroupSums.of(group, values, np.zeros(values.size, bool))
    for g in range(3):
        exact = sum(int(m * 2**53) << int(e + 1108 - 53) if e + 1108 >= 53 else int(m * 2**53) >> int(53 - e - 1108)
                    for m, e in zip(*np.frexp(values[group == g]), strict=True))  # fmt: skip
        assert int(found.units[g]) == exact


@given(samples, st.data())
def test_any_partition_and_any_order_give_the_same_bits(entries, data):
    whole = calibration_of(entries)
    shuffled = data.draw(st.permutations(entries))
    cuts = sorted(data.draw(st.lists(st.integers(0, len(entries)), max_size=4)))
    parts = [shuffled[a:b] for a, b in zip([0, *cuts], [*cuts, len(entries)], strict=True)]
    merged = Calibration()
    for part in parts:
        merged = merged.merge(calibration_of(part))
    assert bits(merged) == bits(whole)


@given(samples, samples, samples)
def test_merging_is_associative_and_commutative_with_the_empty_calibration_for_an_identity(a, b, c):
    a, b, c = calibration_of(a), calibration_of(b), calibration_of(c)
    assert bits(a.merge(b).merge(c)) == bits(a.merge(b.merge(c)))
    assert bits(a.merge(b)) == bits(b.merge(a))
    assert bits(Calibration().merge(a)) == bits(a) == bits(a.merge(Calibration()))


def test_a_nan_or_infinite_loss_makes_the_mean_of_its_class_so():
    found = sums([(0, math.nan, True), (0, 1.0, True), (1, math.inf, True), (1, 1.0, False), (2, 1.0, True)])
    assert [str(mean) for mean in found.means()] == ["nan", "inf", "1.0"]
    worst = Calibration(found).worst_classes(2)
    assert [(c.label, c.samples, c.correct) for c in worst] == [(0, 2, 2), (1, 2, 1)]


def evaluated(logits, labels, options=None, cuts=(), **block):
    totals = None
    edges = [0, *cuts, len(logits)]
    for first, last in pairwise(edges):
        part = Block(first, logits[first:last], labels[first:last], **block)
        found = evaluate_block(part, options or LossOptions(), Outputs(calibration=True)).totals
        totals = found if totals is None else totals.merge(found)
    return totals


def softmax(z):
    e = np.exp(z - z.max(axis=1, keepdims=True))
    return e / e.sum(axis=1, keepdims=True)


@pytest.fixture(scope="module")
def data():
    rng = np.random.default_rng(1)
    logits = rng.normal(size=(3000, 7)) * 2
    return logits, np.where(rng.random(3000) < 0.6, logits.argmax(axis=1), rng.integers(0, 7, 3000))


def test_losses_by_class_are_those_of_numpy(data):
    logits, labels = data
    p = softmax(logits)
    loss = -np.log(p[np.arange(len(p)), labels])
    found = {c.label: c for c in evaluated(logits, labels, cuts=(7, 1000)).calibration.worst_classes(99)}
    for label in range(7):
        mine = labels == label
        assert found[label].mean_loss == pytest.approx(loss[mine].mean(), rel=1e-12)
        assert (found[label].samples, found[label].correct) == (
            mine.sum(),
            (p.argmax(axis=1) == label)[mine].sum(),
        )
    means = [c.mean_loss for c in evaluated(logits, labels).calibration.worst_classes(99)]
    assert means == sorted(means, reverse=True)


def test_the_reliability_bins_are_those_of_scikit_learn(data):
    logits, labels = data
    p = softmax(logits)
    accuracy, confidence = calibration_curve(p.argmax(axis=1) == labels, p.max(axis=1), n_bins=NUM_BINS)
    bins = evaluated(logits, labels).calibration.reliability()
    assert [b.correct / b.samples for b in bins] == pytest.approx(accuracy.tolist())
    assert [b.confidence for b in bins] == pytest.approx(confidence.tolist())


def test_the_calibration_error_is_the_textbook_one(data):
    logits, labels = data
    p = softmax(logits)
    confidence, hit = p.max(axis=1), p.argmax(axis=1) == labels
    expected = 0.0
    for b in range(15):
        inside = (confidence > b / 15) & (confidence <= (b + 1) / 15)
        if inside.any():
            expected += inside.mean() * abs(hit[inside].mean() - confidence[inside].mean())
    found = evaluated(logits, labels, cuts=(1, 2, 2999)).calibration
    assert found.calibration_error == pytest.approx(expected, rel=1e-12)


def test_blocks_in_any_partition_give_the_same_bits(data):
    logits, labels = data
    assert bits(evaluated(logits, labels, cuts=(1, 64, 900)).calibration) == bits(evaluated(logits, labels).calibration)


def test_a_temperature_changes_the_confidence_and_smoothing_does_not(data):
    logits, labels = data
    cold = evaluated(logits, labels, LossOptions(temperature=3.0)).calibration.reliability()
    assert sum(b.samples * b.confidence for b in cold) == pytest.approx(softmax(logits / 3).max(axis=1).sum())
    smooth = evaluated(logits, labels, LossOptions(label_smoothing=0.5)).calibration
    assert bits(smooth.by_confidence) == bits(evaluated(logits, labels).calibration.by_confidence)


def test_probabilities_are_their_own_confidence(data):
    logits, labels = data
    p = softmax(logits)
    bins = evaluated(p, labels, LossOptions(source="probs")).calibration.reliability()
    assert sum(b.samples * b.confidence for b in bins) == pytest.approx(p.max(axis=1).sum())


def test_ignored_samples_are_in_no_class_and_no_bin():
    logits = np.array([[2.0, 0.0], [0.0, 2.0], [1.0, 1.0]])
    found = evaluated(logits, np.array([0, -1, 1]), LossOptions(ignore_index=(-1,))).calibration
    assert found.by_class.counts.tolist() == [1, 1]
    assert found.by_class.hits.tolist() == [1, 0]  # of equal logits the first is what the model says
    assert found.by_confidence.counts.sum() == 2


def test_a_row_with_nan_is_wrong_and_has_no_confidence():
    found = evaluated(np.array([[math.nan, 0.0], [3.0, 0.0]]), np.array([0, 0])).calibration
    assert (found.by_class.counts.tolist(), found.by_class.hits.tolist()) == ([2], [1])
    assert found.by_confidence.counts.tolist() == [1]


def test_dense_labels_have_no_profile_and_nothing_is_profiled_unasked():
    logits = np.array([[1.0, 0.0]])
    assert evaluated(logits, np.array([[0.5, 0.5]]), LossOptions(labels="dense")).calibration is None
    assert evaluate_block(Block(0, logits, np.array([0])), LossOptions(), Outputs()).totals.calibration is None


def test_an_empty_profile_has_no_calibration_error():
    assert math.isnan(Calibration().calibration_error)
    assert Calibration().worst_classes(5) == []


def test_a_profile_holds_what_was_seen_and_not_what_could_have_been():
    found = Calibration.of(
        np.array([128_255, 5]), np.array([1.0, 2.0]), np.array([128_255, 128_255]), np.array([0.5, 0.5])
    )
    assert found.by_class.groups.tolist() == [5, 128_255]
    assert found.by_class.units.size == 2
