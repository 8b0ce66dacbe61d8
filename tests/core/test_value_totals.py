import math
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from xent_cli.core.block import Rows
from xent_cli.core.inspect.advice import advise
from xent_cli.core.inspect.value_totals import COUNTED, Inspection, LabelTotals, ValueTotals

odd = st.sampled_from([0.0, 0.25, 0.5, 1.0, math.nan, math.inf, -math.inf, 65504.0, 65536.0, -7e4, 1e300, 5e-324])
matrices = hnp.arrays(
    np.float64, st.tuples(st.integers(1, 30), st.integers(1, 4)), elements=st.one_of(odd, st.floats())
)
label_lists = st.lists(st.one_of(st.integers(-3, 5), st.sampled_from([-100, 255, 2**40, -(2**62)])), max_size=30)


def pieces(values, size):
    return [values[i : i + size] for i in range(0, len(values), size)]


@given(matrices, st.integers(1, 7), st.randoms(use_true_random=False))
def test_no_partition_and_no_order_changes_the_figures_of_values(values, size, random):
    parts = [ValueTotals.of(part) for part in pieces(values, size)]
    random.shuffle(parts)
    merged = ValueTotals()
    for part in parts:
        merged = merged.merge(part)
    assert merged == ValueTotals.of(values) == ValueTotals.of(np.asfortranarray(values))


@given(label_lists, st.integers(1, 7), st.randoms(use_true_random=False))
def test_no_partition_and_no_order_changes_the_figures_of_labels(labels, size, random):
    values = np.array(labels, np.int64)
    parts = [LabelTotals.of(part) for part in pieces(values, size)]
    random.shuffle(parts)
    merged = LabelTotals()
    for part in parts:
        merged = merged.merge(part)
    assert merged == LabelTotals.of(values)
    assert merged.merge(LabelTotals()) == LabelTotals().merge(merged) == merged


@given(matrices)
def test_figures_of_values_are_those_of_exact_arithmetic(values):
    found = ValueTotals.of(values)
    flat = values.reshape(-1).tolist()
    finite = [x for x in flat if math.isfinite(x)]
    assert (found.rows, found.values, found.finite) == (*[len(values), len(flat)], len(finite))
    assert found.nan == sum(math.isnan(x) for x in flat)
    assert (found.positive_inf, found.negative_inf) == (flat.count(math.inf), flat.count(-math.inf))
    assert found.beyond_float16 == sum(abs(x) > 65504 for x in finite)
    assert (found.minimum, found.maximum) == (min(finite, default=math.inf), max(finite, default=-math.inf))
    if finite:
        assert found.mean == float(sum(map(Fraction, finite)) / len(finite))


@given(label_lists)
def test_every_label_is_counted_once(labels):
    found = LabelTotals.of(np.array(labels, np.int64))
    near = [label for label in labels if -COUNTED <= label < COUNTED]
    assert found.counts == {label: near.count(label) for label in set(near)}
    assert found.beyond == len(labels) - len(near)
    assert (found.minimum, found.maximum) == (min(labels, default=None), max(labels, default=None))


def test_labels_of_other_types_are_counted_alike():
    assert LabelTotals.of(np.array([1.0, 0.5, np.nan, 2.0])).counts == {1: 1, 2: 1}
    assert LabelTotals.of(np.array([1.0, 0.5, np.nan, 2.0])).fractional == 2
    assert LabelTotals.of(np.array([True, False, True])).counts == {0: 1, 1: 2}
    assert LabelTotals.of(np.array([2**64 - 1, 3], np.uint64)).maximum == 2**64 - 1
    assert LabelTotals.of(np.array([[1], [0]])).rows == 2


def test_a_row_looks_softmaxed_where_it_is_non_negative_and_sums_to_one():
    rows = np.array([[0.5, 0.5], [1.5, -0.5], [0.5, 0.4], [np.nan, 1.0]])
    assert (ValueTotals.of(rows).softmaxed, ValueTotals.of(rows).unnormalised) == (1, 2)
    assert ValueTotals.of(np.ones((3, 1))).softmaxed == 0


def advice_on(logits, labels, num_classes=3, *, dense=False):
    rows = Rows(logits=np.array(logits, float), labels=np.array(labels))
    return advise(Inspection.of(rows, dense=dense), num_classes, dense=dense)


@pytest.mark.parametrize(
    ("labels", "ignore_index", "runs", "codes"),
    [
        ([0, 2, 1, 0], None, True, []),
        ([0, -100, 1, -100], -100, True, ["labels-to-ignore"]),
        ([0, 255, 1, 2], 255, True, ["labels-to-ignore"]),
        ([1, 2, 3, 1], None, True, ["labels-look-1-based"]),
        ([1, -100, 3, 1], -100, True, ["labels-look-1-based", "labels-to-ignore"]),
        ([0, 3, 0, 3], None, False, ["labels-out-of-range"]),
        ([-1, 1, -1, 1], -1, True, ["labels-to-ignore"]),
        ([0, 2, 3, 7], None, False, ["labels-out-of-range"]),
        ([0, 2, 0, 2**40], None, False, ["labels-out-of-range"]),
        ([0.5, 2, 0, 1], None, False, ["labels-not-whole"]),
        ([-1, -1, -1, -1], -1, False, ["labels-to-ignore", "no-labels-left"]),
        ([0, 1], None, False, ["inputs-of-different-length"]),
    ],
)
def test_class_indices_get_the_advice_they_need(labels, ignore_index, runs, codes):
    found = advice_on([[1.0, 2.0, -3.0]] * 4, labels)
    assert (found.ignore_index, found.runs) == (ignore_index, runs)
    assert [diagnostic.code for diagnostic in found.diagnostics] == codes


def test_labels_from_1_are_recognised():
    assert advice_on([[1.0, 2.0, -3.0]] * 4, [1, 2, 3, 1]).first_class == 1
    assert advice_on([[1.0, 2.0, -3.0]] * 4, [0, 2, 1, 1]).first_class is None


def test_labels_of_minus_1_and_1_are_not_padding_of_two_classes():
    found = advice_on([[1.0, -3.0]] * 4, [-1, 1, -1, 1], 2)
    assert (found.ignore_index, found.runs) == (None, False)
    assert "(label + 1) / 2" in found.diagnostics[0].message


def test_probabilities_are_named_unless_one_is_negative():
    assert advice_on([[0.5, 0.25, 0.25]], [0]).source == "probs"
    assert advice_on([[0.5, 0.25, 0.25]] * 200 + [[1.5, -0.5, 0.0]], [0] * 201).source == "logits"


def test_dense_labels_are_a_teachers_where_one_is_negative():
    logits = [[1.0, 2.0, -3.0]]
    assert advice_on(logits, [[1.0, -2.0, 0.5]], dense=True).labels_source == "logits"
    assert advice_on(logits, [[0.5, 0.5, 0.0]], dense=True) == advice_on(logits, [0])
    assert not advice_on(logits, [[np.nan, 0.5, 0.0]], dense=True).runs
    (diagnostic,) = advice_on(logits, [[1.0, 1.0, 0.0]], dense=True).diagnostics
    assert diagnostic.code == "soft-labels-do-not-sum-to-1"
