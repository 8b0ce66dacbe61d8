"""Slices: totals by the values of a column equal the totals of the samples with these values."""

from dataclasses import replace
from functools import reduce
from itertools import permutations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.core.blocks import cut
from xent_cli.core.block import Block, BlockRef, Rows
from xent_cli.core.evaluate import evaluate_block
from xent_cli.core.options import LossOptions, Outputs
from xent_cli.core.run_totals import RunTotals
from xent_cli.core.totals.group_totals import GroupTotals, Scored
from xent_cli.core.totals.loss_totals import LossTotals
from xent_cli.core.totals.slices import MOST_VALUES
from xent_cli.errors import InputError

VALUES = st.sampled_from(["a", "b", "ü", "", None])


@st.composite
def runs(draw):
    """Draw a block with two columns of groups, and options that request everything."""
    n = draw(st.integers(1, 40))
    rng = np.random.default_rng(draw(st.integers(0, 2**32)))
    labels = rng.integers(0, 3, n)
    labels[rng.random(n) < draw(st.sampled_from([0.0, 0.3, 0.9]))] = -100
    groups = np.array([[draw(VALUES), draw(VALUES)] for _ in range(n)], object)
    weights = rng.random(n) if draw(st.booleans()) else None
    logits = rng.normal(size=(n, 3)) * 10.0 ** draw(st.integers(-2, 3))
    logits[rng.random(n) < 0.05] = np.nan
    block = Block(7, logits, labels, weights, ids=np.arange(n).astype(str), groups=groups)
    class_weight = np.array([1.0, 0.5, 2.0]) if draw(st.booleans()) else None
    options = LossOptions(ignore_index=(-100,), class_weight=class_weight, sample_weighted=weights is not None)
    return block, options, draw(st.integers(1, n))


WANTED = Outputs(by=("one", "two"), top_k=(1, 2), worst=3, losses=True)


def whole(blocks, options):
    """Return the totals of a run."""
    found = [evaluate_block(block, options, WANTED).totals for block in blocks]
    return reduce(RunTotals.merge, found)


@given(runs())
def test_the_slices_of_a_column_merge_to_the_totals_exactly(run):
    block, options, _ = run
    totals = whole([block], options)
    for by_value in totals.slices.totals:
        merged = reduce(LossTotals.merge, by_value.values())
        assert repr(merged.summarize()) == repr(totals.losses.summarize())
        assert (merged.sums, merged.squares, merged.weighted, merged.weight) == (
            totals.losses.sums,
            totals.losses.squares,
            totals.losses.weighted,
            totals.losses.weight,
        )


@given(runs())
def test_slices_do_not_depend_on_how_the_samples_are_cut_into_blocks(run):
    block, options, size = run
    once, pieces = (list(whole(blocks, options).slices.summaries()) for blocks in ([block], cut(block, size)))
    assert repr(once) == repr(pieces)


@given(runs(), st.integers(0, 20), st.data())
def test_slices_do_not_depend_on_how_many_samples_wait_nor_on_the_order_of_merging(run, waiting, data):
    block, options, size = run
    once = list(whole([block], options).slices.summaries())
    parts = [evaluate_block(part, options, WANTED).totals.slices for part in cut(block, size)]
    parts = [replace(part, most_waiting=waiting) for part in parts]
    while len(parts) > 1:
        first = parts.pop(data.draw(st.integers(0, len(parts) - 1)))
        place = data.draw(st.integers(0, len(parts) - 1))
        parts[place] = parts[place].merge(first)
    assert repr(list(parts[0].summaries())) == repr(once)


@given(runs())
def test_a_slice_has_the_figures_of_a_run_on_its_samples_alone(run):
    block, options, _ = run
    for column, by_value in enumerate(whole([block], options).slices.totals):
        for value, totals in by_value.items():
            places = np.array([i for i, group in enumerate(block.groups[:, column]) if group == value])
            fields = (block.labels, block.weights, None, block.ids, block.groups)
            part = Block(0, block.logits[places], *(None if field is None else field[places] for field in fields))
            alone = evaluate_block(part, options, WANTED).totals.losses.summarize()
            found = totals.summarize()
            sample = None if alone.worst_sample is None else 7 + places[alone.worst_sample]
            assert found.worst_sample == sample
            for name in ("n_samples", "n_ignored", "mean_loss", "std_loss", "quantiles", "top_k", "min_loss"):
                assert repr(getattr(found, name)) == repr(getattr(alone, name)), name


def test_a_slice_of_ignored_samples_has_no_samples_and_no_figures():
    groups = np.array([["kept"], ["gone"]], object)
    block = Block(0, np.array([[1.0, 2.0], [3.0, 4.0]]), np.array([0, -100]), groups=groups)
    totals = evaluate_block(block, LossOptions(ignore_index=(-100,)), Outputs(by=("part",), top_k=(1,))).totals
    (_, first, gone), (_, second, kept) = totals.slices.summaries()
    assert (first, second) == ("gone", "kept")
    assert (gone.n_samples, gone.n_ignored, kept.n_samples) == (0, 1, 1)
    assert all(np.isnan(x) for x in (gone.mean_loss, gone.max_loss, gone.min_loss, gone.std_loss, gone.accuracy))


def test_slices_come_in_the_order_of_code_points_and_a_missing_value_last():
    groups = np.array([[None], ["b"], ["10"], [""], ["9"], ["ä"]], object)
    block = Block(0, np.zeros((6, 2)), np.zeros(6, int), groups=groups)
    totals = evaluate_block(block, LossOptions(), Outputs(by=("part",))).totals
    assert [value for _, value, _ in totals.slices.summaries()] == ["", "10", "9", "b", "ä", None]


def ids(first, count):
    """Return a block in which every sample has a different value."""
    groups = np.array([[str(i)] for i in range(first, first + count)], object)
    return Block(first, np.zeros((count, 2)), np.zeros(count, int), groups=groups)


@pytest.mark.parametrize("sizes", [(MOST_VALUES + 1,), (MOST_VALUES - 10, 11)])
def test_a_column_of_ids_is_refused(sizes):
    blocks = [ids(sum(sizes[:i]), size) for i, size in enumerate(sizes)]
    with pytest.raises(InputError, match="more than 10,000 values") as caught:
        reduce(RunTotals.merge, (evaluate_block(block, LossOptions(), Outputs(by=("key",))).totals for block in blocks))
    assert caught.value.code == "too-many-slices"


def test_columns_of_both_inputs_stand_side_by_side():
    one, two = np.array([["a"], ["b"]], object), np.array([["x", "y"], ["z", None]], object)
    parts = (Rows(logits=np.zeros((2, 3)), groups=one), Rows(labels=np.array([0, 1]), groups=two))
    assert BlockRef(0, 2, parts).load().groups.tolist() == [["a", "x", "y"], ["b", "z", None]]


def test_a_value_that_only_waiting_samples_have_is_merged_into_either_side():
    def slices(start, *values):
        groups = np.array([[value] for value in values], object)
        block = Block(start, np.zeros((len(values), 2)), np.zeros(len(values), int), groups=groups)
        return replace(evaluate_block(block, LossOptions(), Outputs(by=("part",))).totals.slices, most_waiting=2)

    totalled = slices(0, "a", "a").merge(slices(2, "a"))
    partly = totalled.merge(slices(3, "b"))
    assert partly.waiting
    assert partly.totalled
    other = slices(4, "c")
    for merged in (other.merge(partly), partly.merge(other)):
        assert {value: summary.n_samples for _, value, summary in merged.summaries()} == {"a": 3, "b": 1, "c": 1}


@pytest.mark.parametrize("highest", [3.0, np.inf, np.nan])
def test_the_worst_sample_of_a_slice_is_the_first_of_equals_whichever_block_comes_first(highest):
    nobody = np.array([], np.uint16)
    blocks = []
    for start in (0, 2, 4):
        scored = Scored(np.array([start, start + 1]), np.array([2.0, highest]), None, None, {}, None)
        blocks.append(GroupTotals.of(np.array([0, 1], np.uint16), scored, nobody, 2, figures=True))
    for order in permutations(blocks):
        merged = reduce(GroupTotals.merge, order)
        assert merged.worst.tolist() == [0, 1]
        np.testing.assert_array_equal(merged.high, [2.0, highest])


def test_a_loss_that_is_not_a_number_is_worse_than_any_in_either_order():
    nobody = np.array([], np.uint16)
    scored = [Scored(np.array([i]), np.array([x]), None, None, {}, None) for i, x in ((0, np.inf), (1, np.nan))]
    numbers, nan = (GroupTotals.of(np.array([0], np.uint16), one, nobody, 1, figures=False) for one in scored)
    assert numbers.merge(nan).worst.tolist() == nan.merge(numbers).worst.tolist() == [1]
