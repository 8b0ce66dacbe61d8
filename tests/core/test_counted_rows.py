"""Samples that count in no figure: nothing about them is checked, whatever the kind of labels."""

import dataclasses

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from xent_cli.core.block import Block
from xent_cli.core.evaluate import evaluate_block, weigh_block
from xent_cli.core.labels.check_labels import NO_LABEL
from xent_cli.core.options import LossOptions, Outputs
from xent_cli.core.totals.exact_sum import ExactSum
from xent_cli.core.totals.loss_totals import LossTotals
from xent_cli.engines.local import open_local
from xent_cli.errors import RowError

N, K = 40, 5
CLASS_WEIGHT = np.linspace(0.5, 2.0, K)
RNG = np.random.default_rng(16)
Z, T = RNG.normal(0, 3, (N, K)), RNG.normal(0, 3, (N, K))
Y = RNG.integers(0, K, N)


def log_softmax(z):
    z = np.asarray(z, np.longdouble)
    z = z - z.max(1, keepdims=True)
    return z - np.log(np.exp(z).sum(1, keepdims=True))


P, Q = (np.asarray(np.exp(log_softmax(x)), np.float64) for x in (Z, T))
DENSE = RNG.dirichlet(np.ones(K), N)
# Logits, labels and options for every kernel, and the losses of the rows by a formula in longdouble.
KINDS = {
    "sparse": (Z, Y, {}, lambda: -log_softmax(Z)[np.arange(N), Y]),
    "smoothed": (
        Z,
        Y,
        {"label_smoothing": 0.1},
        lambda: -0.9 * log_softmax(Z)[np.arange(N), Y] - 0.1 * log_softmax(Z).mean(1),
    ),
    "cold": (Z, Y, {"temperature": 0.5}, lambda: -log_softmax(Z * 2)[np.arange(N), Y]),
    "dense": (Z, DENSE, {"labels": "dense"}, lambda: -(DENSE * log_softmax(Z)).sum(1)),
    "teacher": (
        Z,
        T,
        {"labels": "dense", "labels_source": "logits"},
        lambda: -(np.exp(log_softmax(T)) * log_softmax(Z)).sum(1),
    ),
    "teacher's probabilities": (
        Z,
        Q,
        {"labels": "dense", "labels_source": "probs"},
        lambda: -(np.asarray(Q, np.longdouble) * log_softmax(Z)).sum(1),
    ),
    "probabilities": (
        P,
        Y,
        {"source": "probs"},
        lambda: -np.log(np.asarray(P, np.longdouble))[np.arange(N), Y],
    ),
    "log-probabilities": (
        np.asarray(log_softmax(Z), np.float64),
        Y,
        {"source": "log-probs"},
        lambda: -np.asarray(np.asarray(log_softmax(Z), np.float64), np.longdouble)[np.arange(N), Y],
    ),
}
POISONS = {
    "nan": (np.nan, np.nan),
    "inf": (np.inf, -100),
    "-inf": (-np.inf, -1),
    "garbage": (-7e30, 1e9),
}
EVERYTHING = Outputs(losses=True, top_k=(1, 2), worst=3, gradient_dtype="<f8", overflow=(np.dtype("f4"),), digest=True)


def poisoned(kind, out, poison):
    """Return the inputs with values in the rows that are left out which no check would accept."""
    logits, labels, given_options, _ = KINDS[kind]
    logits, labels = logits.copy(), labels.astype(float)
    logits[out], labels[out] = POISONS[poison]
    return logits, labels, given_options


def wanted(options, **changes):
    """Return everything that the kernel can compute."""
    if options.source != "logits":
        changes |= {"gradient_dtype": None, "overflow": ()}
    if options.labels_source != "labels":
        changes |= {"overflow": ()}
    return EVERYTHING._replace(**changes)


def blocks(logits, labels, size=N, **fields):
    for start in range(0, len(logits), size):
        rows = slice(start, start + size)
        yield Block(start, logits[rows], labels[rows], **{name: values[rows] for name, values in fields.items()})


def total(results, options):
    totals = LossTotals(options.signature(""))
    for result in results:
        totals = totals.merge(result.totals.losses)
    return totals


OUT = np.zeros(N, bool)
OUT[[0, 3, 4, 5, 20, 39]] = True


@pytest.mark.parametrize("poison", POISONS)
@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("how", ["mask", "weights", "both"])
def test_a_sample_left_out_does_no_harm_whatever_stands_there(kind, how, poison):
    logits, labels, given_options = poisoned(kind, OUT, poison)
    weights = np.where(OUT, 0, np.arange(N) % 3 + 0.5)
    fields = {"mask": {"mask": ~OUT}, "weights": {"weights": weights}, "both": {"mask": ~OUT, "weights": weights}}[how]
    if how == "both":
        fields["weights"] = np.where(OUT, np.nan, weights)
    options = LossOptions(**given_options, sample_weighted=how != "mask", masked=how != "weights")
    divisor = sum((weigh_block(block, options) for block in blocks(logits, labels, 7, **fields)), ExactSum())
    want = wanted(options, gradient_denominator=float(divisor))
    results = [evaluate_block(block, options, want) for block in blocks(logits, labels, 7, **fields)]
    summary = total(results, options).summarize()
    kept = ~OUT
    loss = KINDS[kind][3]()
    w = np.ones(N) if how == "mask" else weights
    assert (summary.n_samples, summary.n_ignored, summary.n_nan, summary.n_inf) == (N - 6, 6, 0, 0)
    assert summary.mean_loss == pytest.approx(float((loss * w)[kept].sum() / w[kept].sum()), rel=1e-13)
    assert summary.max_loss == pytest.approx(float(loss[kept].max()), rel=1e-13)
    assert summary.worst_sample == int(np.flatnonzero(kept)[loss[kept].argmax()])
    assert float(divisor) == pytest.approx(w[kept].sum())
    found = np.concatenate([result.loss for result in results])
    np.testing.assert_allclose(found[kept], loss[kept].astype(float), rtol=1e-13)
    if options.labels == "sparse":
        ranks = dict(summary.top_k)
        assert ranks[1] == (logits[kept].argmax(1) == labels[kept]).mean()
    if results[0].gradient is not None:
        gradient = np.concatenate([result.gradient for result in results])
        assert (gradient[OUT] == 0).all()
        assert np.abs(gradient[kept]).sum() > 0


@pytest.mark.parametrize("kind", KINDS)
def test_what_is_left_out_changes_no_bit_of_the_rest_in_any_cut_and_on_threads(kind):
    logits, labels, given_options = poisoned(kind, OUT, "nan")
    options = LossOptions(**given_options, masked=True)
    clean = KINDS[kind][0][~OUT], KINDS[kind][1][~OUT]
    want = wanted(options, overflow=(), digest=False, worst=0)
    alone = total([evaluate_block(block, options, want) for block in blocks(*clean)], options).summarize()
    for size in (1, 4, N):
        tasks = list(blocks(logits, labels, size, mask=(~OUT).astype("i1")))
        for map_tasks in (map, open_local(2).map):
            results = map_tasks(lambda block: evaluate_block(block, options, want), tasks)
            found = total(results, options).summarize()
            same = dataclasses.replace(found, n_ignored=0, worst_sample=alone.worst_sample)
            assert same == alone


@given(st.lists(st.sampled_from(["counts", "masked", "weightless", "ignored", "unscored"]), min_size=1, max_size=12))
def test_each_reason_to_leave_a_sample_out_is_counted_once(reasons):
    n = len(reasons)
    at = {
        name: np.array([reason == name for reason in reasons])
        for name in ("masked", "weightless", "ignored", "unscored")
    }
    labels = np.where(at["ignored"], -1, Y[:n])
    block = Block(5, Z[:n], labels, np.where(at["weightless"], 0.0, 2.0), at["unscored"], mask=~at["masked"])
    options = LossOptions(ignore_index=(-1,), sample_weighted=True, masked=True)
    result = evaluate_block(block, options, Outputs(losses=True))
    counted = [reason == "counts" for reason in reasons]
    assert result.totals.losses.n_samples == sum(counted)
    assert result.totals.losses.n_ignored == n - sum(counted)
    with_loss = [reason in ("counts", "weightless") for reason in reasons]
    assert (~np.isnan(result.loss)).tolist() == with_loss
    ignored = np.zeros(n, bool) if result.ignored is None else result.ignored
    assert (~ignored).tolist() == with_loss


def test_a_sample_of_weight_0_keeps_its_loss_where_there_is_one():
    labels = np.array([0, 7, 1, -100])
    block = Block(0, Z[:4], labels, np.array([1.0, 0.0, 0.0, 1.0]))
    options = LossOptions(ignore_index=(-100,), sample_weighted=True)
    result = evaluate_block(block, options, Outputs(losses=True))
    expected = -log_softmax(Z)[[0, 2], [0, 1]].astype(float)
    np.testing.assert_allclose(result.loss[[0, 2]], expected, rtol=1e-14)
    assert result.ignored.tolist() == [False, True, False, True]
    assert result.labels.tolist() == [0, 7, 1, -100]
    assert result.weight.tolist() == [1, 0, 0, 1]
    assert (result.totals.losses.n_samples, result.totals.losses.n_ignored) == (1, 3)


def test_labels_that_are_left_out_stand_in_the_rows_as_they_are_where_they_are_labels():
    labels = np.array([1.0, np.nan, 2.5, 70.0, -100.0])
    result = evaluate_block(
        Block(0, Z[:5], labels, mask=np.array([1, 0, 0, 0, 0])), LossOptions(), Outputs(losses=True)
    )
    assert result.labels.tolist() == [1, NO_LABEL, NO_LABEL, 70, -100]


@pytest.mark.parametrize("source", ["probs", "log-probs"])
def test_ignored_rows_are_not_counted_as_distributions(source):
    rows = np.array([[0.5, 0.5], [0.0, 0.0], [-3.0, np.nan]])
    rows = np.log(rows, out=rows, where=rows > 0) if source == "log-probs" else rows
    block = Block(0, rows, np.array([0, -100, -100]))
    totals = evaluate_block(block, LossOptions(source=source, ignore_index=(-100,)), Outputs()).totals.losses
    assert (totals.n_samples, totals.n_ignored, totals.unnormalised) == (1, 2, 0)


def test_an_error_among_rows_that_count_names_the_sample_of_the_whole_input():
    labels = np.array([9, 9, 0, 9])
    with pytest.raises(RowError) as caught:
        evaluate_block(Block(100, Z[:4], labels, mask=np.array([0, 0, 1, 1])), LossOptions(), Outputs())
    assert (caught.value.row, caught.value.role) == (103, "labels")


@pytest.mark.parametrize(("mask", "row"), [([1, 0, 2], 2), ([1.0, np.nan, 0], 1), ([0.5, 1, 0], 0), ([-1, 1, 0], 0)])
def test_a_mask_is_of_zeros_and_ones(mask, row):
    with pytest.raises(RowError, match="invalid mask") as caught:
        evaluate_block(Block(10, Z[:3], Y[:3], mask=np.array(mask)), LossOptions(), Outputs())
    assert (caught.value.row, caught.value.role) == (10 + row, "mask")


@pytest.mark.parametrize("dtype", ["?", "u1", "i8", "f2", "f8", ">i4"])
def test_a_mask_may_be_of_any_type(dtype):
    mask = np.array([1, 0, 1], dtype)
    assert evaluate_block(Block(0, Z[:3], Y[:3], mask=mask), LossOptions(), Outputs()).totals.losses.n_samples == 2


def test_the_overflow_report_names_samples_of_the_whole_input():
    logits = np.array([[0.0, 1.0], [np.nan, 1.0], [2000.0, 0.0], [3000.0, 0.0]])
    block = Block(10, logits, np.zeros(4), mask=np.array([1, 0, 1, 1]))
    (formulas,) = evaluate_block(block, LossOptions(), Outputs(overflow=(np.dtype("f2"),))).totals.formulas
    assert (formulas.naive.first_row, formulas.naive.n_ok, formulas.naive.n_overflow) == (12, 1, 2)


def test_class_weight_0_is_not_a_mask():
    options = LossOptions(class_weight=np.array([0.0, 1.0]))
    totals = evaluate_block(
        Block(0, np.array([[1.0, 0.0], [1.0, 0.0]]), np.array([0, 1])), options, Outputs()
    ).totals.losses
    assert totals.n_samples == 2
    assert totals.summarize().mean_loss == pytest.approx(np.log1p(np.exp(1.0)))


@pytest.mark.parametrize("first", [-1, 1, 3])
def test_ignored_labels_and_class_weights_follow_the_numbers_of_the_classes(first):
    labels = np.where(OUT, np.nan, Y + float(first))
    wanted_all = Outputs(losses=True, digest=True, top_k=(1,))
    options = LossOptions(masked=True, class_weight=CLASS_WEIGHT)
    plain = evaluate_block(Block(0, Z, Y, mask=~OUT), options, wanted_all)
    called = dataclasses.replace(options, first_class=first)
    found = evaluate_block(Block(0, Z, labels, mask=~OUT), called, wanted_all)
    assert found.totals.losses.digest == plain.totals.losses.digest
    assert found.totals.losses.summarize() == plain.totals.losses.summarize()
    np.testing.assert_array_equal(found.class_weight, plain.class_weight)
    np.testing.assert_array_equal(found.class_weight, np.where(OUT, 0, CLASS_WEIGHT[Y]))
    np.testing.assert_array_equal(found.labels[~OUT], (Y + first)[~OUT])
