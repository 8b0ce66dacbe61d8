"""Sums over clusters merge to the same bits for any partition, in memory that does not grow with closed clusters."""

import pickle
from fractions import Fraction
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from xent_cli.core.totals.cluster_rule import ClusteredBlock, ClusterRule
from xent_cli.core.totals.cluster_totals import ClusterTotals
from xent_cli.core.totals.moments import ONE, Moments
from xent_cli.errors import InputError, RowError


def whole(value):
    return int(Fraction(value) * (1 << 1074))


def brute_force(clusters, values, weights, counted):
    """Compute the moments from the definition, with a dictionary of clusters."""
    sums = {}
    for cluster, value, weight in zip(clusters[counted].tolist(), values[counted], weights[counted], strict=True):
        d, v = sums.get(cluster, (0, 0))
        sums[cluster] = d + whole(weight), v + whole(value)
    return sum((Moments.of_cluster(v, d) for d, v in sums.values()), Moments())


@st.composite
def runs(draw):
    """Draw samples in clusters of each kind, some that do not count, and a partition that is merged in any order."""
    n = draw(st.integers(1, 40))
    rng = np.random.default_rng(draw(st.integers(0, 2**32)))
    kind = draw(st.sampled_from(["numbers", "sorted texts", "numbers as texts", "any order"]))
    ids = np.cumsum(rng.random(n) < 0.4)
    if kind == "sorted texts":
        ids = np.array([f"doc-{i:03d}" for i in ids], object)
    elif kind == "numbers as texts":
        ids = np.array([f"{i + 95}" for i in ids], object)
    elif kind == "any order":
        ids = np.array([f"{i}" for i in rng.integers(0, 6, n)], object)
    cuts = sorted({0, n, *draw(st.lists(st.integers(0, n), max_size=5))})
    order = draw(st.permutations(range(len(cuts) - 1)))
    return kind, ids, rng.exponential(size=n), rng.random(n) < 0.8, cuts, order, rng


def totals_of(kind, ids, values, counted, cuts, order, weights=None, groups=None, most_open=3):
    parts = []
    for start, stop in pairwise(cuts):
        rows = np.flatnonzero(counted[start:stop]) + start
        parts.append(
            ClusterTotals.of(
                start,
                stop - start,
                ids[rows],
                values[rows],
                None if weights is None else weights[rows],
                name="ids",
                contiguous=kind == "numbers",
                groups=() if groups is None else ((groups[rows], ("a", "b", None)),),
                most_open=10 if kind == "any order" else most_open,
            )
        )
    whole_run = ClusterTotals()
    for place in order:
        whole_run = whole_run.merge(parts[place]) if place % 2 else parts[place].merge(whole_run)
    return whole_run


@given(runs(), st.booleans())
def test_any_partition_gives_the_sums_of_the_definition(run, weighted):
    kind, ids, values, counted, cuts, order, rng = run
    weights = rng.integers(0, 3, values.size).astype(float) if weighted else None
    found = totals_of(kind, ids, values, counted, cuts, order, weights)
    assert found.moments() == brute_force(ids, values, np.ones(ids.size) if weights is None else weights, counted)


@given(runs())
def test_groups_have_their_own_clusters(run):
    kind, ids, values, counted, cuts, order, rng = run
    groups = rng.integers(0, 3, values.size)
    found = totals_of(kind, ids, values, counted, cuts, order, groups=groups)
    for number, group in enumerate(("a", "b", None)):
        wanted = brute_force(ids, values, np.ones(ids.size), counted & (groups == number))
        assert found.moments(group) == wanted
        assert found.of_group(group).moments() == wanted


@given(runs())
def test_only_clusters_that_may_go_on_stay_in_memory(run):
    kind, ids, values, counted, cuts, order, _ = run
    found = totals_of(kind, ids, values, counted, cuts, order)
    assert len(found.open) <= {"numbers": 2, "any order": 6}.get(kind, 3)
    again = pickle.loads(pickle.dumps(found))
    assert again.moments() == found.moments()


def test_ten_thousand_contiguous_clusters_a_block_leave_two_open():
    block = 20_000
    found = ClusterTotals()
    for start in range(0, 5 * block, block):
        found = found.merge(ClusterTotals.of(start, block, np.arange(start, start + block) // 2, np.ones(block)))
    assert (found.moments().clusters, len(found.open), len(found.spans)) == (50_000, 2, 1)


@given(st.permutations([0, 1, 2, 3]))
def test_many_clusters_in_no_order_are_refused_whatever_the_order_of_blocks(order):
    texts = [["a", "b", "c"], ["d", "e"], ["f"], ["b"]]  # b again
    starts = np.cumsum([0, *map(len, texts[:-1])]).tolist()

    def merged():
        found = ClusterTotals()
        for place in order:
            ids = np.array(texts[place], object)
            part = ClusterTotals.of(starts[place], ids.size, ids, np.ones(ids.size), contiguous=False, most_open=3)
            found = found.merge(part)
        return found

    with pytest.raises(InputError, match=r"(?s)too many unordered clusters.*more than 3 clusters"):
        merged()


def test_groups_of_one_cluster_count_it_once_each():
    numbers = np.array([0, 1, 0])
    found = ClusterTotals.of(0, 3, np.array([5, 5, 5]), np.array([1.0, 2.0, 4.0]), groups=((numbers, ("x", "y")),))
    assert found.moments("x") == Moments.of_cluster(5 * ONE, 2 * ONE)
    assert found.moments("y") == Moments.of_cluster(2 * ONE, ONE)
    assert found.moments("z") == Moments()


@pytest.mark.parametrize(
    ("rule", "wanted"),
    [
        (ClusterRule("axis 0", steps=(3,)), [0, 0, 0, 1, 1, 1, 2]),
        (ClusterRule("axis 1", counts=(3,)), [0, 1, 2, 0, 1, 2, 0]),
        (ClusterRule("axis 0", None, (0, 4), (2, 3), (0, 0), (0, 2)), [0, 0, 1, 1, 2, 2, 2]),  # [2, 2] and [1, 3]
        (ClusterRule("axis 1", None, (0, 4), (1, 1), (2, 3), (0, 0)), [0, 1, 0, 1, 0, 1, 2]),
    ],
)
def test_clusters_follow_from_sample_numbers_wherever_a_block_begins(rule, wanted):
    assert rule.clusters(0, 7).tolist() == wanted
    assert [rule.clusters(i, 1).tolist()[0] for i in range(7)] == wanted
    assert rule.contiguous == (rule.name == "axis 0")


def test_a_sample_that_counts_must_have_a_cluster():
    rule = ClusterRule('column "doc"', column=1)
    groups = np.array([["x", "a"], ["x", None], ["x", None]], object)
    clusters = rule.clusters(0, 3, groups)
    assert ClusteredBlock.of(rule, 0, clusters, np.array([True, False, False])).clusters.tolist() == ["a"]
    with pytest.raises(RowError, match="missing cluster") as caught:
        ClusteredBlock.of(rule, 10, clusters, np.array([True, False, True]))
    assert caught.value.row == 12
