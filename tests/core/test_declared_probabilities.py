import numpy as np
import pytest

from xent_cli.core.block import Block
from xent_cli.core.checks.first_rows import FirstRows, rows_that_count
from xent_cli.core.checks.probabilities import labels_as_declared, logits_as_declared
from xent_cli.core.evaluate import evaluate_block
from xent_cli.core.options import LossOptions, Outputs
from xent_cli.errors import RowError

RNG = np.random.default_rng(2)
P = RNG.dirichlet(np.ones(5), 40)


def held(values, role, source, **changes):
    if role == "logits":
        return logits_as_declared(values, LossOptions(source=source, **changes), 100)
    return labels_as_declared(values, LossOptions(labels="dense", labels_source=source, **changes), 100)


@pytest.mark.parametrize("role", ["logits", "labels"])
@pytest.mark.parametrize("order", ["C", "F"])
@pytest.mark.parametrize("dtype", [np.float16, np.float32, np.float64])
def test_what_is_as_declared_passes_as_it_is(role, order, dtype):
    values = np.asarray(P.astype(dtype), order=order)
    found = held(values, role, "probs", unit=2.0**-11, labels_unit=2.0**-11)
    assert found.values is values
    assert found.unnormalised == 0
    logs = np.asarray(np.log(P).astype(dtype), order=order)
    assert held(logs, role, "log-probs", unit=2.0**-11, labels_unit=2.0**-11).values is logs


@pytest.mark.parametrize("role", ["logits", "labels"])
@pytest.mark.parametrize(
    ("source", "entry", "what"),
    [
        ("probs", -1e-9, "negative probability"),
        ("probs", 1.001, "probability above 1"),
        ("log-probs", 1e-3, "log-probability above 0"),
    ],
)
def test_an_impossible_entry_is_named_with_its_row_and_side(role, source, entry, what):
    values = P.copy() if source == "probs" else np.log(P)
    values[7, 2] = entry
    with pytest.raises(RowError) as refusal:
        held(values, role, source)
    assert (refusal.value.what, refusal.value.row, refusal.value.role) == (what, 107, role)
    assert refusal.value.found == f"{entry} for class 2"


@pytest.mark.parametrize("role", ["logits", "labels"])
def test_rows_are_divided_by_their_sums_and_one_that_cannot_be_is_named(role):
    scaled = P * RNG.uniform(0.5, 90, (40, 1))
    np.testing.assert_allclose(held(scaled, role, "probs", normalize=True).values, P, rtol=1e-14)
    for bad in ([0, 0, 0, 0, 0], [1, -1, 1, 1, 1], [np.inf, 0, 0, 0, 0]):
        scaled[3] = bad
        with pytest.raises(RowError) as refusal:
            held(scaled, role, "probs", normalize=True)
        assert refusal.value.row == 103


def test_percentages_of_either_side_are_divided_by_100():
    percent = 100 * P
    np.testing.assert_allclose(held(percent, "logits", "probs", scale=100.0).values, P, rtol=1e-15)
    np.testing.assert_allclose(held(percent, "labels", "probs", labels_scale=100.0).values, P, rtol=1e-15)
    with pytest.raises(RowError, match="above 100"):
        held(percent + 60, "logits", "probs", scale=100.0)


def test_sums_of_either_side_are_counted_by_themselves():
    student, teacher = P.copy(), P.copy()
    student[:3] *= 0.9
    teacher[5:12] *= 0.8
    options = LossOptions(source="probs", labels="dense", labels_source="probs")
    totals = evaluate_block(Block(0, student, teacher), options, Outputs()).totals.losses
    assert (totals.unnormalised, totals.unnormalised_labels) == (3, 7)


def test_nan_has_no_sum_and_is_not_an_impossible_entry():
    values = P.copy()
    values[4, 1] = np.nan
    assert held(values, "logits", "probs").unnormalised == 0


@pytest.mark.parametrize("cut", [1, 7, 16, 1000, 3000])
def test_the_first_rows_that_count_are_the_same_however_they_are_cut(cut):
    rows = np.vstack([np.zeros((30, 5)), np.tile(P, (50, 1))])
    first = FirstRows()
    for start in range(0, len(rows), cut):
        first.add(rows[start : start + cut], np.arange(start, min(start + cut, len(rows))))
    assert first.samples == list(range(30, 1054))
    assert first.enough
    assert first.distributions() == (1024, 1024, 0)


@pytest.mark.parametrize(("width", "most"), [(5, 65_536), (1000, 16_777), (50_000, 1024), (200_000, 332)])
@pytest.mark.parametrize("cut", [1 << 20, 1000])
def test_rows_that_cannot_be_judged_are_skipped_up_to_a_limit_for_any_partition(width, most, cut):
    def looked_at(silent):
        first = FirstRows()
        rows = np.broadcast_to(np.float32(0), (silent, width))
        for start in range(0, silent, cut):
            first.add(rows[start : start + cut], np.arange(start, min(start + cut, silent)))
        first.add(np.eye(2, width), np.arange(silent, silent + 2))
        return first

    assert looked_at(most - 1).samples == [most - 1, most]
    assert looked_at(most).samples == []
    assert looked_at(most + cut % 7).enough


def test_a_few_rows_show_that_logits_are_not_distributions():
    first = FirstRows(whole=False)
    first.add(RNG.normal(size=(100_000, 5)), np.arange(100_000))
    assert first.enough
    assert len(first.samples) <= 16
    assert first.distributions().scale is None


def test_masked_weightless_ignored_and_missing_rows_do_not_count():
    labels = np.array([0.0, -100.0, np.nan, 1.0, 2.0])
    block = Block(
        0,
        P[:5],
        labels,
        weights=np.array([1.0, 1.0, 1.0, 0.0, 1.0]),
        mask=np.array([True, True, True, True, False]),
    )
    options = LossOptions(ignore_index=(-100,), ignore_missing=True, sample_weighted=True, masked=True)
    assert rows_that_count(block, options).tolist() == [True, False, False, False, False]
