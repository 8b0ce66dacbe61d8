import math
from fractions import Fraction
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn.calibration import calibration_curve
from sklearn.metrics import brier_score_loss

import xent_cli
from xent_cli.core.block import Block
from xent_cli.core.confidence.calibration import EQUAL_WIDTH, NUM_BINS, Binning, Calibration, Judged
from xent_cli.core.evaluate import evaluate_block
from xent_cli.core.kernel.brier import brier_scores
from xent_cli.core.options import LossOptions, Outputs
from xent_cli.core.totals.group_sums import GroupSums
from xent_cli.errors import UsageError

finite = st.floats(allow_nan=False, allow_infinity=False)
rows = st.lists(st.tuples(st.integers(0, 4), finite, st.booleans()), max_size=40)
samples = st.lists(
    st.tuples(
        st.integers(0, 4),
        st.one_of(st.floats(0, 1e300), st.just(math.inf), st.just(math.nan)),
        st.integers(0, 4),
        st.one_of(st.floats(0, 1), st.just(math.nan)),
        st.floats(0, 4),
    ),
    max_size=40,
)


def sums(entries):
    group, values, hit = zip(*entries, strict=True) if entries else ((), (), ())
    return GroupSums.of(np.array(group, np.int64), np.array(values, float), np.array(hit, bool))


BY_MASS = Binning(4, by_mass=True)
# One calibration without weights, with bins by mass; and one with weights.
EMPTY = Calibration(BY_MASS), Calibration()


def both(a, b):
    return tuple(ours.merge(theirs) for ours, theirs in zip(a, b, strict=True))


def ranked_bits(state):
    bins = state.bins()
    return state.size, state.exact, bins.keys.tolist(), bins.counts.tolist()


def calibration_of(entries):
    label, loss, predicted, confidence, weight = zip(*entries, strict=True) if entries else ((), (), (), (), ())
    with np.errstate(divide="ignore"):
        surprise = -np.log(np.array(confidence, float))
    brier = np.where(np.isnan(surprise), np.nan, np.array(weight, float) / 2)
    judged = Judged(np.array(label, np.int64), np.array(predicted, np.int64), np.array(loss, float), surprise, brier)
    weighted = judged._replace(weight=np.array(weight, float))
    return Calibration.of(judged, BY_MASS, exact_rows=25), Calibration.of(weighted)


def bits(value):
    """Return everything that a value holds, with NaN equal to itself."""
    if isinstance(value, tuple) and not isinstance(value, Binning):
        return [bits(each) for each in value]
    if isinstance(value, Calibration):
        held = [bits(getattr(value, name)) for name in Calibration.__slots__ if name != "ranked"]
        ranked = value.ranked and ranked_bits(value.ranked)
        return held, ranked, repr(value.figures())
    if not isinstance(value, GroupSums):
        return repr(value)
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
    merged = EMPTY
    for part in parts:
        merged = both(merged, calibration_of(part))
    assert bits(merged) == bits(whole)


@given(samples, samples, samples)
def test_merging_is_associative_and_commutative_with_the_empty_calibration_for_an_identity(a, b, c):
    a, b, c = calibration_of(a), calibration_of(b), calibration_of(c)
    assert bits(both(both(a, b), c)) == bits(both(a, both(b, c)))
    assert bits(both(a, b)) == bits(both(b, a))
    assert bits(both(EMPTY, a)) == bits(a) == bits(both(a, EMPTY))


def test_a_nan_or_infinite_loss_makes_the_mean_of_its_class_so():
    found = sums([(0, math.nan, True), (0, 1.0, True), (1, math.inf, True), (1, 1.0, False), (2, 1.0, True)])
    assert [str(mean) for mean in found.means()] == ["nan", "inf", "1.0"]
    worst = Calibration(by_class=found).worst_classes(2)
    assert [(c.label, c.samples, c.correct) for c in worst] == [(0, 2, 2), (1, 2, 1)]


def evaluated(logits, labels, options=None, cuts=(), binning=EQUAL_WIDTH, **block):
    totals = None
    edges = [0, *cuts, len(logits)]
    for first, last in pairwise(edges):
        part = Block(first, logits[first:last], labels[first:last], **block)
        found = evaluate_block(part, options or LossOptions(), Outputs(calibration=binning, by_class=True)).totals
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
    assert found.ece == pytest.approx(expected, rel=1e-12)


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
    assert found.by_class.hits.tolist() == [1, 0]  # of equal logits, the first is the prediction
    assert found.by_confidence.counts.sum() == 2


def test_a_row_with_nan_is_wrong_and_has_no_confidence():
    found = evaluated(np.array([[math.nan, 0.0], [3.0, 0.0]]), np.array([0, 0])).calibration
    assert (found.by_class.counts.tolist(), found.by_class.hits.tolist()) == ([2], [1])
    assert found.by_confidence.counts.tolist() == [1]


def test_dense_labels_have_no_calibration_and_it_is_only_computed_on_request():
    logits = np.array([[1.0, 0.0]])
    assert evaluated(logits, np.array([[0.5, 0.5]]), LossOptions(labels="dense")).calibration is None
    assert evaluate_block(Block(0, logits, np.array([0])), LossOptions(), Outputs()).totals.calibration is None


def test_an_empty_calibration_has_no_error():
    assert math.isnan(Calibration().ece)
    assert math.isnan(Calibration(Binning(3, by_mass=True)).brier_score)
    assert Calibration().worst_classes(5) == []


def test_a_calibration_grows_with_the_classes_seen_not_with_all_classes():
    labels, predicted = np.array([128_255, 5]), np.array([128_255, 128_255])
    found = Calibration.of(Judged(labels, predicted, np.array([1.0, 2.0]), np.full(2, 0.7), np.zeros(2)))
    assert found.by_class.groups.tolist() == [5, 128_255]
    assert found.by_class.units.size == 2


def textbook_ece(confidence, hit, group, weight=None):
    weight = np.ones(hit.size) if weight is None else weight
    gaps = 0.0
    for b in np.unique(group):
        inside = group == b
        gaps += abs((weight * hit)[inside].sum() - (weight * confidence)[inside].sum())
    return gaps / weight.sum()


@pytest.mark.parametrize("count", [1, 15, 400])
def test_bins_by_mass_hold_equally_many_samples_and_ties_stay_together(count, data):
    logits, labels = data
    logits = np.round(logits * 2) / 2  # many equal confidences
    logits.sort(axis=1)
    p = softmax(logits)
    confidence, hit = p.max(axis=1), p.argmax(axis=1) == labels
    found = evaluated(logits, labels, cuts=(1, 2, 2999), binning=Binning(count, by_mass=True)).calibration
    # Ties as the program finds them: equal losses of the predicted class.
    surprise = np.log(np.exp(logits - logits.max(axis=1, keepdims=True))[:, :-1].sum(axis=1) + 1)
    confidence = np.round(np.exp(-surprise), 13)
    lower = np.array([(confidence < c).sum() for c in confidence])
    group = lower * count // confidence.size
    assert found.ece == pytest.approx(textbook_ece(p.max(axis=1), hit, group), rel=1e-9)


def test_bins_by_mass_stay_close_beyond_the_rows_that_are_exact():
    rng = np.random.default_rng(3)
    confidence, n = rng.beta(5, 1, 50_000), 50_000
    hit = rng.random(n) < confidence**1.2
    judged = Judged(np.where(hit, 0, 1), np.zeros(n, int), np.zeros(n), -np.log(confidence), np.zeros(n))
    exact = Calibration.of(judged, Binning(15, by_mass=True), classes=False).ece
    rough = Calibration.of(judged, Binning(15, by_mass=True), classes=False, exact_rows=1000).ece
    assert rough == pytest.approx(exact, abs=1e-4)


def test_the_brier_score_is_that_of_scikit_learn(data):
    logits, labels = data
    weight = np.random.default_rng(0).exponential(size=len(labels))
    p = softmax(logits / 1.7)
    plain = evaluated(logits, labels, LossOptions(temperature=1.7), cuts=(9, 2000))
    assert plain.summarize().brier == pytest.approx(brier_score_loss(labels, p, labels=range(7)), rel=1e-12)
    options = LossOptions(temperature=1.7, sample_weighted=True)
    found = evaluated(logits, labels, options, weights=weight).calibration
    expected = brier_score_loss(labels, p, labels=range(7), sample_weight=weight)
    assert found.brier_score == pytest.approx(expected, rel=1e-12)
    confidence, hit = p.max(axis=1), p.argmax(axis=1) == labels
    group = np.ceil(confidence * 15)
    assert found.ece == pytest.approx(textbook_ece(confidence, hit, group, weight), rel=1e-12)


@pytest.mark.parametrize("source", ["probs", "log-probs"])
def test_the_brier_score_of_probabilities_is_theirs(source, data):
    logits, labels = data
    p = softmax(logits)
    rows = p if source == "probs" else np.log(p)
    found = evaluated(rows, labels, LossOptions(source=source)).calibration
    assert found.brier_score == pytest.approx(brier_score_loss(labels, p, labels=range(7)), rel=1e-12)


def test_the_brier_score_of_a_confident_row_keeps_its_digits():
    (score,) = brier_scores(np.array([[40.0, 0.0, 0.0]]), np.array([0]), LossOptions()).tolist()
    assert score == pytest.approx(6 * math.exp(-80), rel=1e-13)


def test_a_weight_of_two_is_a_sample_twice(data):
    logits, labels = data[0][:40], data[1][:40]
    weight = np.where(np.arange(40) % 3, 1.0, 2.0)
    twice = np.repeat(np.arange(40), weight.astype(int))
    found = evaluated(logits, labels, LossOptions(sample_weighted=True), weights=weight).summarize()
    again = evaluated(logits[twice], labels[twice]).summarize()
    assert (found.ece, found.brier) == (pytest.approx(again.ece), pytest.approx(again.brier))


def test_a_row_without_probabilities_makes_the_figures_nan():
    found = evaluated(np.array([[math.nan, 0.0], [3.0, 0.0]]), np.array([0, 0])).summarize()
    assert math.isnan(found.ece)
    assert math.isnan(found.brier)


def test_evaluate_gives_both_figures_on_request(data):
    logits, labels = data
    found = xent_cli.evaluate(logits, labels, calibration=True)
    same = evaluated(logits, labels).summarize()
    assert (found.ece, found.brier) == (same.ece, same.brier)
    assert xent_cli.evaluate(logits, labels).ece is None
    with pytest.raises(UsageError, match="the label of each sample"):
        xent_cli.evaluate([[1.0, 0.0]], [[0.5, 0.5]], calibration=True)
