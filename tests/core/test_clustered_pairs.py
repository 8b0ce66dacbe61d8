"""Paired comparison of clustered samples: statsmodels' numbers, coverage, and the false positives of chance."""

import itertools
import json
import math
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from scipy import stats

from xent_cli.core.statistics.paired_test import compare_losses
from xent_cli.readers.saved.saved_clusters import numbered

CLUSTERED = json.loads((Path(__file__).parents[1] / "oracles" / "clusters.json").read_text())["means"]


@pytest.mark.parametrize("case", CLUSTERED, ids=lambda case: f"{len(case['values'])}-{case['weights'] is not None}")
def test_intervals_and_p_over_clusters_are_those_of_statsmodels(case):
    values = np.array(case["values"])
    weight = None if case["weights"] is None else np.array(case["weights"])
    found = compare_losses(np.zeros(values.size), values, weight=weight, cluster=numbered(np.array(case["groups"])))
    assert found.delta == pytest.approx(case["mean"], rel=1e-13)
    assert found.error == pytest.approx(case["se"], rel=1e-13)
    assert (found.low, found.high) == pytest.approx((case["low"], case["high"]), rel=1e-12, abs=1e-15)
    assert found.p == pytest.approx(case["p"], rel=1e-11)
    assert found.n_clusters == len(set(case["groups"]))


@pytest.mark.parametrize("test", ["t", "bootstrap", "permutation"])
@pytest.mark.parametrize("weighted", [False, True])
def test_clusters_of_one_pair_give_the_same_bits_as_none(test, weighted):
    rng = np.random.default_rng(3)
    a, b, w = rng.exponential(size=(3, 40))
    weight = w if weighted else None
    alone = compare_losses(a, b, test=test, weight=weight, resamples=99)
    found = compare_losses(a, b, test=test, weight=weight, resamples=99, cluster=np.arange(40))
    assert found == replace(alone, n_clusters=40, design_effect=1.0)


@pytest.mark.parametrize("odd", [np.nan, np.inf])
@pytest.mark.parametrize("cluster", [np.arange(4), np.array([0, 0, 1, 1])])
def test_there_is_no_design_effect_without_a_variance(odd, cluster):
    baseline, same = np.array([1.0, 2.0, 4.0, 8.0]), np.array([1.5, 2.5, 4.5, 8.5])
    assert np.isnan(compare_losses(baseline, np.array([1.0, odd, 3.0, 5.0]), cluster=cluster).design_effect)
    assert np.isnan(compare_losses(baseline, same, cluster=cluster).design_effect)


def test_clusters_make_a_shared_shift_uncertain():
    # 200 pairs that move together in five documents: as independent pairs they are significant at 1e-6.
    rng = np.random.default_rng(0)
    document = np.repeat(np.arange(5), 40)
    before = rng.exponential(size=200)
    after = before + np.array([0.30, -0.05, 0.20, -0.10, 0.25])[document] + rng.normal(0, 0.1, 200)
    alone, found = compare_losses(before, after), compare_losses(before, after, cluster=document)
    assert alone.p < 1e-6
    assert found.p > 0.05
    assert not found.significant
    assert found.delta == alone.delta
    assert found.design_effect == pytest.approx((found.error / alone.error) ** 2, rel=1e-15)
    assert found.design_effect > 10


def test_one_cluster_has_no_interval():
    found = compare_losses(np.zeros(5), np.arange(5.0), cluster=np.zeros(5, int))
    assert (found.n_clusters, found.significant) == (1, None)
    assert math.isnan(found.error)
    assert math.isnan(found.mde)
    assert math.isnan(found.p)


def test_a_bootstrap_draws_clusters():
    rng = np.random.default_rng(5)
    cluster = numbered(rng.integers(0, 12, 60))
    difference = rng.normal(size=60) + rng.normal(size=12)[cluster]
    found = compare_losses(np.zeros(60), difference, test="bootstrap", resamples=2000, seed=7, cluster=cluster)
    sums = np.bincount(cluster, difference)
    counts = np.bincount(cluster).astype(float)
    wanted = stats.bootstrap(
        (sums, counts),
        lambda s, c, axis=-1: s.sum(axis) / c.sum(axis),
        paired=True,
        n_resamples=2000,
        rng=np.random.default_rng(7),
    ).confidence_interval
    # scipy's jackknife of a ratio leaves out each cluster in turn; ours is the linear part of that.
    assert (found.low, found.high) == pytest.approx(tuple(wanted), abs=0.1 * (wanted.high - wanted.low))


def test_a_permutation_flips_one_sign_a_cluster():
    cluster = np.repeat(np.arange(8), 3)
    difference = np.random.default_rng(1).normal(0.4, 1, 24)
    found = compare_losses(np.zeros(24), difference, test="permutation", cluster=cluster)
    sums = np.bincount(cluster, difference)
    signs = np.array(list(itertools.product([1, -1], repeat=8)))
    totals = np.abs(signs @ sums)
    assert found.p == np.mean(totals >= abs(sums.sum()) * (1 - 1e-12))
    assert found.resamples is None


def test_the_interval_over_clusters_covers_the_truth():
    # 1,000 experiments with 50 documents of 1 to 20 tokens; half of the variance is between documents.
    rng = np.random.default_rng(42)
    held = alone = 0
    for _ in range(1000):
        sizes = rng.integers(1, 21, 50)
        cluster = np.repeat(np.arange(50), sizes)
        difference = rng.normal(size=50)[cluster] + rng.normal(size=cluster.size)
        for clusters in (cluster, None):
            found = compare_losses(np.zeros(cluster.size), difference, cluster=clusters)
            held += clusters is not None and not found.significant
            alone += clusters is None and not found.significant
    assert 0.93 <= held / 1000 <= 0.96
    assert alone / 1000 < 0.6


def test_the_minimum_detectable_difference_is_found_four_times_in_five():
    rng = np.random.default_rng(9)
    cluster = np.repeat(np.arange(30), 4)
    error = np.sqrt((1 + 0.25) / 30)  # documents have variance 1, and tokens within them too
    true = (stats.t.ppf(0.975, 29) + stats.t.ppf(0.8, 29)) * error
    found = [
        compare_losses(np.zeros(120), true + rng.normal(size=30)[cluster] + rng.normal(size=120), cluster=cluster)
        for _ in range(500)
    ]
    assert np.mean([one.mde for one in found]) == pytest.approx(true, rel=0.02)
    assert 0.75 < np.mean([bool(one.significant) for one in found]) < 0.85
