"""Settings, labels and weights of two results: the same, different, or not known."""

from dataclasses import replace

import numpy as np
import pytest

from tests.readers.test_align import rows, summary
from xent_cli.core.options import LossOptions
from xent_cli.errors import InputError
from xent_cli.readers.saved.align import align
from xent_cli.readers.saved.comparable import figures_of, refuse_unlike, unverified

SETTINGS = LossOptions().signature("0.1.0")


def known(result, *, digest="00", signature=SETTINGS):
    return replace(result, digest=digest, signature=signature)


def weighted(result, **weights):
    return replace(result, **{name: np.array(values, float) for name, values in weights.items()})


def codes(*results, **options):
    return [diagnostic.code for diagnostic in unverified(*results, **options)]


def test_weights_go_with_the_rows_where_those_are_joined_by_id():
    baseline = weighted(rows([1, 2, 4], ids=["a", "b", "c"]), weight=[1, 2, 0], class_weight=[3, 5, 7])
    candidate = weighted(rows([9, 1, 3], ids=["c", "a", "b"]), weight=[0, 1, 2], class_weight=[7, 3, 5])
    both = align(baseline, candidate, by_id=True)
    assert (both.baseline.tolist(), both.candidate.tolist()) == ([1, 2], [1, 3])
    assert (both.weight.tolist(), both.divisor.tolist(), both.n_ignored) == ([1, 2], [3, 10], 1)
    with pytest.raises(InputError, match="different weights") as refused:
        align(baseline, replace(candidate, weight=np.array([0.0, 1.0, 3.0])), by_id=True)
    assert "sample 1" in refused.value.where


@pytest.mark.parametrize("name", ["weight", "class_weight"])
def test_weights_in_one_file_only_are_refused(name):
    with_weights, without = weighted(rows([1, 2]), **{name: [1, 1]}), rows([1, 2])
    for pair in ((with_weights, without), (without, with_weights)):
        with pytest.raises(InputError, match="weights in one file only"):
            align(*pair, by_id=False)
        with pytest.raises(InputError, match="given"):
            refuse_unlike(*pair)


def test_weights_that_sum_to_0_leave_nothing_to_compare():
    with pytest.raises(InputError, match="nothing left to compare"):
        align(*[weighted(rows([1, 2]), class_weight=[0, 0])] * 2, by_id=False)


def test_rows_give_the_figures_of_the_run():
    found = figures_of(weighted(rows([1, 3, 8], ignored=[2]), weight=[1, 3, 1], class_weight=[1, 0.5, 1]))
    assert found["mean_loss"] == (1 + 9) / (1 + 1.5)
    assert (found["n_samples"], found["n_ignored"]) == (2, 1)
    assert figures_of(weighted(rows([1, 3]), weight=[1, 0]))["n_ignored"] == 1
    assert figures_of(replace(rows([1, 3]), kl=np.array([0.5, 1.0])))["kl_divergence"] == 0.75


def test_digests_of_other_labels_are_refused_where_the_order_is_the_same():
    ours, theirs = known(rows([1, 2], ids=["a", "b"])), known(rows([1, 2], ids=["a", "b"]), digest="01")
    turned = known(rows([2, 1], ids=["b", "a"]), digest="01")
    for options in ({}, {"by_id": True}):
        with pytest.raises(InputError, match="different labels"):
            refuse_unlike(ours, theirs, **options)
        refuse_unlike(ours, ours, **options)
        assert codes(ours, ours, **options) == []
    # For rows in a different order, digests are not compared, and a note says so.
    refuse_unlike(ours, turned, by_id=True)
    assert codes(ours, turned, by_id=True) == ["labels-unknown"]


def test_labels_of_rows_are_compared_one_by_one_and_need_no_digest():
    labelled = known(rows([1, 2], labels=[0, 1]), digest=None)
    assert codes(labelled, labelled) == []
    refuse_unlike(labelled, replace(labelled, digest="01"))


@pytest.mark.parametrize(
    ("baseline", "expected"),
    [
        (rows([1, 2, 3]), ["settings-unknown", "labels-unknown"]),
        (rows([1, 2, 3], labels=[0, 1, 2]), ["settings-unknown", "labels-unknown"]),
        (summary(), ["labels-unknown"]),
        (known(summary()), []),
    ],
)
def test_missing_settings_and_labels_are_noted(baseline, expected):
    assert codes(baseline, known(summary())) == expected


def test_arrays_of_another_shape_are_other_samples():
    flat, table = replace(rows([1] * 6), shape=(6,)), replace(rows([1] * 6), shape=(2, 3))
    refuse_unlike(table, replace(table, path="c.npy"))
    refuse_unlike(table, rows([1] * 6))
    with pytest.raises(InputError, match="losses of different shapes"):
        refuse_unlike(table, flat)
