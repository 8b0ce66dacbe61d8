"""Means over groups and losses per unit of text, compared with brute force in fractions, for any partition."""

import math
from fractions import Fraction
from functools import reduce
from itertools import pairwise

import mpmath
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from xent_cli.core.block import Block
from xent_cli.core.evaluate import evaluate_block
from xent_cli.core.options import LossOptions, Outputs
from xent_cli.core.run_totals import RunTotals
from xent_cli.core.totals.cluster_rule import ClusterRule
from xent_cli.core.totals.group_keys import GroupKey
from xent_cli.core.totals.loss_totals import LossTotals
from xent_cli.errors import InputError, RowError

COLUMN = ClusterRule('"lang"', 0)


@st.composite
def runs(draw):
    """Draw documents of several steps, some ignored; groups, units and weights; and a partition."""
    documents, steps = draw(st.integers(1, 6)), draw(st.integers(1, 5))
    n = documents * steps
    rng = np.random.default_rng(draw(st.integers(0, 2**32)))
    labels = rng.integers(0, 3, n)
    labels[rng.random(n) < draw(st.sampled_from([0.0, 0.4]))] = -100
    labels[-1] = 1
    logits = rng.normal(size=(n, 3)) * 10.0 ** draw(st.integers(-2, 2))
    units = rng.integers(0, 6, n).astype(float) + draw(st.sampled_from([0.0, 0.25]))
    units[-1] += 1
    groups = np.array([[draw(st.sampled_from(["a", "b", "ü"]))] for _ in range(n)], object)
    weights = rng.integers(1, 4, n) / 4 if draw(st.booleans()) else None
    cuts = sorted(draw(st.sets(st.integers(1, n - 1), max_size=4))) if n > 1 else []
    block = Block(0, logits, labels, weights, groups=groups, units=units)
    return block, steps, cuts, draw(st.randoms())


def cut(block, cuts):
    edges = [0, *cuts, len(block.logits)]
    for first, stop in pairwise(edges):
        fields = {
            name: values if values is None or name == "start" else values[first:stop]
            for name, values in block._asdict().items()
        }
        yield Block(**{**fields, "start": first})


def totals(blocks, outputs, weighted, shuffle=None):
    options = LossOptions(ignore_index=(-100,), sample_weighted=weighted)
    found = [evaluate_block(block, options, outputs).totals for block in blocks]
    if shuffle is not None:
        shuffle.shuffle(found)
    return reduce(RunTotals.merge, found, RunTotals(LossTotals(options.signature(""))))


def scored(block):
    """Return loss, weight, group, units and number of each sample that counts, as fractions."""
    options = LossOptions(ignore_index=(-100,), sample_weighted=block.weights is not None)
    loss = evaluate_block(block, options, Outputs(losses=True)).loss
    weights = np.ones(loss.size) if block.weights is None else block.weights
    return [
        (Fraction(float(loss[i])), Fraction(float(weights[i])), block.groups[i, 0], Fraction(float(block.units[i])), i)
        for i in range(loss.size)
        if block.labels[i] != -100
    ]


def product(loss, weight):
    """Return the product rounded once, as in a run."""
    return Fraction(float(loss) * float(weight))


def figures_of(rows, key):
    """Return the mean of the means of groups, each rounded once, and the mean of their perplexities."""
    groups = {}
    for loss, weight, group, _, i in rows:
        value, divisor = groups.get(key(group, i), (0, 0))
        groups[key(group, i)] = value + product(loss, weight), divisor + weight
    means = [float(value / divisor) for value, divisor in groups.values()]
    powers = [math.exp(mean) if mean < 709 else math.inf for mean in means]
    loss = float(sum(map(Fraction, means)) / len(means))
    perplexity = math.inf if math.inf in powers else float(sum(map(Fraction, powers)) / len(powers))
    return {"n_groups": len(means), "macro_loss": loss, "macro_perplexity": perplexity}


@given(runs())
def test_means_over_groups_are_those_of_brute_force_for_any_partition(run):
    block, steps, cuts, shuffle = run
    rules = {"column": (COLUMN, lambda group, i: group), "axis": (ClusterRule("axis 0", steps=(steps,)), None)}
    rules["axis"] = (rules["axis"][0], lambda group, i: i // steps)
    rules["inner"] = (ClusterRule("axis 1", counts=(steps,)), lambda group, i: i % steps)
    for rule, key in rules.values():
        outputs = Outputs(macro=rule)
        whole = totals([block], outputs, block.weights is not None).losses.summarize()
        parts = totals(cut(block, cuts), outputs, block.weights is not None, shuffle).losses.summarize()
        assert repr(parts) == repr(whole)  # NaN included
        assert dict(whole.by_group) == figures_of(scored(block), key)


def ratio_error(pairs):
    """Return the standard error of sum(v) / sum(u) over clusters, by the textbook formula in 50 digits."""
    with mpmath.workdps(50):
        values = [(mpmath.mpf(v.numerator) / v.denominator, mpmath.mpf(u.numerator) / u.denominator) for v, u in pairs]
        count, total = len(values), sum(u for _, u in values)
        ratio = sum(v for v, _ in values) / total
        if count < 2:
            return math.nan
        spread = sum((v - ratio * u) ** 2 for v, u in values)
        return float(mpmath.sqrt(mpmath.mpf(count) / (count - 1) * spread) / total / mpmath.log(2))


@given(runs(), st.sampled_from(["none", "axis", "column", "documents"]))
def test_losses_per_unit_are_those_of_brute_force_for_any_partition(run, kind):
    block, steps, cuts, shuffle = run
    documents = ClusterRule("axis 0", steps=(steps,))
    rows = scored(block)
    outputs = {
        "none": Outputs(units=True),
        "axis": Outputs(units=True, cluster=documents),
        "column": Outputs(units=True, cluster=COLUMN),
        "documents": Outputs(units=True, cluster=documents, documents=documents),
    }[kind]
    if kind == "documents":
        block = block._replace(units=np.repeat(block.units[::steps] + 1, steps), weights=None)
        rows = scored(block)
    clusters = {}
    for loss, weight, group, unit, i in rows:
        key = {"none": i, "column": group}.get(kind, i // steps)
        value, units = clusters.get(key, (Fraction(0), Fraction(0)))
        more = Fraction(float(unit) * float(weight))
        clusters[key] = value + product(loss, weight), more if kind == "documents" else units + more
    whole = totals([block], outputs, block.weights is not None).losses.summarize()
    parts = totals(cut(block, cuts), outputs, block.weights is not None, shuffle).losses.summarize()
    assert repr(parts) == repr(whole)  # NaN included
    found, all_units = dict(whole.by_group), sum(units for _, units in clusters.values())
    nats = float(sum(value for value, _ in clusters.values()) / all_units)
    assert found["n_units"] == float(all_units)
    assert found["bits_per_unit"] == nats / math.log(2)
    assert found["unit_perplexity"] == (math.exp(nats) if nats < 709 else math.inf)
    np.testing.assert_allclose(found["se_bits_per_unit"], ratio_error(clusters.values()), rtol=1e-14, atol=1e-300)


@given(runs())
def test_slices_have_the_losses_per_unit_of_their_samples(run):
    block, _, cuts, shuffle = run
    outputs = Outputs(units=True, by=("lang",))
    found = totals(cut(block, cuts), outputs, block.weights is not None, shuffle)
    for _, value, summary in found.slices.summaries():
        some = [(product(loss, w), Fraction(float(u) * float(w))) for loss, w, g, u, _ in scored(block) if g == value]
        units = sum(unit for _, unit in some)
        if units:
            nats = float(sum(loss for loss, _ in some) / units)
            assert dict(summary.by_group)["bits_per_unit"] == nats / math.log(2)


@given(runs())
def test_a_document_counts_in_each_slice_that_has_one_of_its_samples(run):
    block, steps, cuts, shuffle = run
    block = block._replace(units=np.repeat(block.units[::steps] + 1, steps), weights=None)
    documents = ClusterRule("axis 0", steps=(steps,))
    outputs = Outputs(units=True, documents=documents, cluster=documents, by=("lang",))
    whole = [*totals([block], outputs, False).slices.summaries()]
    assert repr([*totals(cut(block, cuts), outputs, False, shuffle).slices.summaries()]) == repr(whole)
    for _, value, summary in whole:
        some = [(loss, i // steps, unit) for loss, _, group, unit, i in scored(block) if group == value]
        if some:
            clusters = {}
            for loss, document, unit in some:
                clusters[document] = clusters.get(document, (0, unit))[0] + loss, unit
            found = dict(summary.by_group)
            units = sum(unit for _, unit in clusters.values())
            assert found["n_units"] == float(units)
            assert found["bits_per_unit"] == float(sum(loss for loss, _ in clusters.values()) / units) / math.log(2)
            np.testing.assert_allclose(
                found["se_bits_per_unit"], ratio_error(clusters.values()), rtol=1e-13, atol=1e-300
            )


def test_a_nan_or_infinite_loss_is_in_every_figure_over_groups():
    logits = np.zeros((4, 2))
    for special in (np.nan, np.inf):
        logits[1, 0] = special
        block = Block(0, logits, np.array([0, 1, 0, 1]), groups=np.array([["a"]] * 4, object), units=np.ones(4))
        found = dict(totals([block], Outputs(macro=COLUMN, units=True), False).losses.summarize().by_group)
        assert math.isnan(found["macro_loss"])
        assert math.isnan(found["bits_per_unit"])
        assert math.isnan(found["se_bits_per_unit"])
    logits[1] = 0, -np.inf
    found = dict(totals([block], Outputs(macro=COLUMN, units=True), False).losses.summarize().by_group)
    assert found["macro_loss"] == found["macro_perplexity"] == found["bits_per_unit"] == math.inf


@pytest.mark.parametrize("bad", [-1.0, np.nan, np.inf])
def test_units_of_a_sample_that_counts_are_numbers_from_0_on(bad):
    block = Block(5, np.zeros((3, 2)), np.array([-100, 0, 1]), units=np.array([bad, 1.0, bad]))
    with pytest.raises(RowError, match="invalid units") as caught:
        totals([block], Outputs(units=True), False)
    assert caught.value.row == 7
    fine = block._replace(units=np.array([bad, 1.0, 2.0]))
    assert dict(totals([fine], Outputs(units=True), False).losses.summarize().by_group)["n_units"] == 3


def test_a_sample_without_a_group_has_no_place_in_a_mean_over_groups():
    block = Block(0, np.zeros((2, 2)), np.array([0, 1]), groups=np.array([["a"], [None]], object))
    with pytest.raises(RowError, match="missing group"):
        totals([block], Outputs(macro=COLUMN), False)


def test_groups_in_no_order_are_limited_and_those_along_an_axis_are_not():
    n = 10_002
    rng = np.random.default_rng(1)
    names = rng.permutation(np.arange(n)).astype(str).astype(object)[:, None]
    block = Block(0, np.zeros((n, 2)), np.zeros(n, np.int64), groups=names)
    with pytest.raises(InputError, match="too many"):
        totals([block], Outputs(macro=COLUMN), False)
    found = totals([block], Outputs(macro=ClusterRule("axis 0")), False)
    assert dict(found.losses.summarize().by_group)["n_groups"] == n
    held = totals(cut(block, range(100, n, 100)), Outputs(macro=ClusterRule("axis 0")), False)
    assert len(held.losses.grouped.macro.open) <= 2
    assert held.losses.summarize() == found.losses.summarize()


def test_slices_by_a_key_are_those_by_a_column_that_says_the_same():
    rng = np.random.default_rng(3)
    labels = rng.integers(0, 3, 24)
    labels[::5] = -100
    keys = (
        GroupKey("label"),
        GroupKey("axis:1", ClusterRule("axis 1", counts=(4,))),
        GroupKey("name", None, ("x", "y", "z")),
    )
    block = Block(0, rng.normal(size=(24, 3)), labels)
    names = np.array(["x", "y", "z"], object)
    columns = [
        labels.astype(str),
        (np.arange(24) % 4).astype(str),
        np.where(labels < 0, "-100", names[np.maximum(labels, 0)]),
    ]
    by = tuple(key.name for key in keys)
    told = block._replace(groups=np.array(columns, object).T)
    by_keys = totals(cut(block, [7, 9]), Outputs(by=by, keys=keys, groups=by), False)
    by_columns = totals([told], Outputs(by=by), False)
    assert repr([*by_keys.slices.summaries()]) == repr([*by_columns.slices.summaries()])


def test_slices_named_by_whole_numbers_come_in_their_order():
    block = Block(0, np.zeros((12, 2)), np.zeros(12, np.int64))
    outputs = Outputs(by=("axis:0",), keys=(GroupKey("axis:0", ClusterRule("axis 0")),), groups=("axis:0",))
    found = totals([block], outputs, False)
    assert [value for _, value, _ in found.slices.summaries()] == [str(i) for i in range(12)]


@pytest.mark.parametrize("weighted", [False, True])
def test_very_many_groups_are_added_up_in_pieces(weighted):
    rng = np.random.default_rng(6)
    n, steps = 60_000, 2
    weights = rng.integers(0, 3, n) / 2 if weighted else None
    block = Block(0, rng.normal(size=(n, 2)), rng.integers(0, 2, n), weights)
    rule = ClusterRule("axis 0", steps=(steps,))
    found = dict(totals([block], Outputs(macro=rule), weighted).losses.summarize().by_group)
    loss = evaluate_block(block, LossOptions(), Outputs(losses=True)).loss.reshape(-1, steps)
    share = np.ones((n // steps, steps)) if weights is None else weights.reshape(-1, steps)
    kept = share.sum(axis=1) > 0
    means = (loss * share).sum(axis=1)[kept] / share.sum(axis=1)[kept]
    assert found["n_groups"] == np.count_nonzero(kept)
    assert found["macro_loss"] == pytest.approx(math.fsum(means) / means.size, rel=1e-14)
    assert found["macro_perplexity"] == pytest.approx(math.fsum(np.exp(means)) / means.size, rel=1e-14)
