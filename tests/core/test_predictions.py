import math

import mpmath
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from xent_cli.core.block import Block
from xent_cli.core.confidence.predictions import predictions_of
from xent_cli.core.evaluate import evaluate_block
from xent_cli.core.labels.check_labels import NO_LABEL
from xent_cli.core.options import LossOptions, Outputs
from xent_cli.core.row_columns import PREDICTIONS

ROWS = [
    [0.0, 0.0, 0.0],
    [1.0, 2.0, 3.0],
    [1e4, 1e4 + 1, 1e4 - 700],
    [-math.inf, 0.5, -2.0],
    [40.0, 0.0, 39.9],
    [700.0, -700.0, 0.0],
]
LABELS = [2, 0, 1, 1, 0, 1]


def block(rows=ROWS, labels=LABELS, **fields):
    return Block(fields.pop("start", 0), np.array(rows, float), np.array(labels), **fields)


def truth(row, label, temperature=1.0):
    """Compute every column with 700 digits, in the order of `PREDICTIONS`."""
    mpmath.mp.dps = 700  # a probability of 1 - exp(-700) needs that many
    z = [mpmath.mpf(value) / mpmath.mpf(temperature) for value in row]
    e = [mpmath.exp(value) for value in z]
    p = [value / sum(e) for value in e]
    best = max(range(len(row)), key=lambda j: (row[j], -j))
    others = [value for j, value in enumerate(z) if j != label]
    entropy = -sum(value * mpmath.log(value) for value in p if value)
    rank = 1 + sum(row[j] > row[label] or (row[j] == row[label] and j < label) for j in range(len(row)))
    return best, p[best], p[label], z[label] - max(others), rank, entropy


@pytest.mark.parametrize("temperature", [1.0, 2.5])
def test_every_column_has_the_value_of_many_digits(temperature):
    found = predictions_of(block(), np.array(LABELS), LossOptions(temperature=temperature), PREDICTIONS)
    for i, (row, label) in enumerate(zip(ROWS, LABELS, strict=True)):
        for name, exact in zip(PREDICTIONS, truth(row, label, temperature), strict=True):
            assert float(found[name][i]) == pytest.approx(float(exact), rel=1e-13, abs=1e-300), (name, row)


def test_probabilities_are_used_as_they_are():
    p = [[0.2, 0.5, 0.3], [0.0, 0.0, 1.0]]
    found = predictions_of(block(p, [0, 2]), np.array([0, 2]), LossOptions(source="probs"), PREDICTIONS)
    assert found["predicted"].tolist() == [1, 2]
    assert found["confidence"] == pytest.approx([0.5, 1.0])
    assert found["p_label"] == pytest.approx([0.2, 1.0])
    assert found["margin"].tolist() == pytest.approx([math.log(0.2) - math.log(0.5), math.inf])
    assert found["rank"].tolist() == [3, 1]
    assert found["entropy"] == pytest.approx([-(0.2 * math.log(0.2) + 0.5 * math.log(0.5) + 0.3 * math.log(0.3)), 0.0])


def test_a_row_that_is_no_distribution_has_no_probabilities():
    rows = [[math.nan, 1.0], [math.inf, 1.0], [-math.inf, -math.inf]]
    found = predictions_of(block(rows, [0, 0, 0]), np.zeros(3, int), LossOptions(), PREDICTIONS)
    assert found["predicted"].tolist() == [NO_LABEL, 0, 0]
    assert found["rank"].tolist() == [0, 1, 1]  # the same as for accuracy
    assert all(np.isnan(found[name]).all() for name in ("confidence", "p_label", "margin", "entropy"))


def test_ignored_samples_have_no_prediction_and_classes_are_numbered_as_the_labels_are():
    found = evaluate_block(
        block([[0.0, 1.0], [5.0, 1.0], [0.0, 1.0]], [2, -100, 1]),
        LossOptions(ignore_index=(-100,), first_class=1),
        Outputs(losses=True, columns=("predicted", "p_label", "rank")),
    ).predictions
    assert found["predicted"].tolist() == [2, NO_LABEL, 2]
    assert found["rank"].tolist() == [1, 0, 2]
    assert np.isnan(found["p_label"]).tolist() == [False, True, False]


def test_smoothing_and_class_weights_change_no_prediction():
    plain = predictions_of(block(), np.array(LABELS), LossOptions(), PREDICTIONS)
    options = LossOptions(label_smoothing=0.1, class_weight=np.array([1.0, 2.0, 3.0]))
    other = predictions_of(block(), np.array(LABELS), options, PREDICTIONS)
    assert all((plain[name] == other[name]).all() for name in PREDICTIONS)


def test_the_worst_samples_say_what_was_predicted_and_how_surely():
    totals = evaluate_block(block(start=7), LossOptions(first_class=0), Outputs(worst=2)).totals.losses
    assert [(worst.sample, worst.predicted) for worst in totals.worst] == [(12, 0), (8, 2)]
    assert [worst.confidence for worst in totals.worst] == [1.0, pytest.approx(0.665, abs=1e-3)]


@given(
    st.integers(1, 300), st.sampled_from([1, 2, 31, 33, 300]), st.sampled_from(["<f2", "<f4", "<f8", "<i2"]), st.data()
)
def test_any_partition_gives_the_same_bits(n, k, dtype, data):
    rng = np.random.default_rng(n * k)
    logits, labels = (rng.normal(size=(n, k)) * 5).astype(dtype), rng.integers(0, k, n)
    whole = Block(0, logits, labels)
    outputs = Outputs(losses=True, columns=PREDICTIONS)
    at = data.draw(st.integers(0, n))
    found = evaluate_block(whole, LossOptions(), outputs).predictions
    parts = [Block(i, logits[i:j], labels[i:j]) for i, j in ((0, at), (at, n)) if i < j]
    cut = [evaluate_block(part, LossOptions(), outputs).predictions for part in parts]
    for name in PREDICTIONS:
        assert np.concatenate([part[name] for part in cut]).tobytes() == found[name].tobytes()


def test_dense_labels_leave_the_columns_of_the_model():
    dense = block()._replace(labels=np.full((len(ROWS), 3), 1 / 3))
    wanted = ("predicted", "confidence", "entropy")
    found = evaluate_block(dense, LossOptions(labels="dense"), Outputs(losses=True, columns=wanted)).predictions
    same = predictions_of(block(), None, LossOptions(), wanted)
    assert all((found[name] == same[name]).all() for name in wanted)
