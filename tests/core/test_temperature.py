import mpmath
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.optimize import minimize_scalar
from scipy.special import log_softmax

import xent_cli
from xent_cli.core.block import Block
from xent_cli.core.confidence.calibration import EQUAL_WIDTH
from xent_cli.core.confidence.fit_block import fit_block, folds_of
from xent_cli.core.confidence.slopes import slopes
from xent_cli.core.confidence.temperature import PassTotals, Step, fit_temperature
from xent_cli.core.options import LossOptions, Outputs
from xent_cli.core.totals.cluster_rule import ClusterRule
from xent_cli.errors import InputError, RowError


def model(n, k, scale, seed=0, share=0.7):
    """Return logits whose true temperature is about `scale`: labels are drawn from softmax(logits / scale)."""
    rng = np.random.default_rng(seed)
    logits = rng.normal(size=(n, k)) * 2
    p = np.exp(log_softmax(logits, axis=1))
    labels = (p.cumsum(axis=1) < rng.random(n)[:, None]).sum(axis=1)
    return logits * scale, np.minimum(labels, k - 1)


def mean_loss(logits, labels, temperature, weight=None):
    loss = -log_softmax(logits / temperature, axis=1)[np.arange(len(labels)), labels]
    return np.average(loss, weights=weight)


def test_the_temperature_is_the_root_of_the_slope_at_forty_digits():
    logits, labels = model(60, 5, 2.5)
    logits[3, 1 if labels[3] != 1 else 2] = -np.inf  # an impossible class
    mpmath.mp.dps = 40

    def slope(beta):
        total = mpmath.mpf(0)
        for row, label in zip(logits.tolist(), labels.tolist(), strict=True):
            kept = [mpmath.mpf(z) for z in row if z > -np.inf]
            terms = [mpmath.exp(beta * z) for z in kept]
            total += sum(t * z for t, z in zip(terms, kept, strict=True)) / sum(terms) - mpmath.mpf(row[label])
        return total

    root = 1 / mpmath.findroot(slope, (0.2, 1.0), solver="anderson", tol=1e-60)
    assert xent_cli.calibrate(logits, labels).temperature == pytest.approx(float(root), rel=1e-13)


@pytest.mark.parametrize("scale", [1e-6, 0.05, 0.7, 1.0, 4.0, 300.0, 1e8])
def test_the_loss_is_the_least_that_scipy_finds(scale):
    logits, labels = model(500, 7, scale, seed=2)
    weight = np.random.default_rng(1).exponential(size=500)
    fit = xent_cli.calibrate(logits, labels, sample_weight=weight)
    ends = np.log(scale / 9), np.log(scale * 9)
    found = minimize_scalar(lambda x: mean_loss(logits, labels, np.exp(x), weight), bounds=ends, method="bounded")
    assert fit.after.mean_loss == pytest.approx(found.fun, abs=1e-10)
    assert fit.after.mean_loss <= found.fun + 1e-14
    assert fit.temperature == pytest.approx(np.exp(found.x), rel=1e-4)
    assert fit.before.mean_loss == pytest.approx(mean_loss(logits, labels, 1.0, weight))
    assert fit.passes <= (4 if 0.05 < scale < 30 else 8)


@settings(deadline=None, max_examples=40)
@given(st.integers(0, 999), st.integers(2, 40), st.floats(-20, 20))
def test_twice_the_logits_have_twice_the_temperature(seed, n, power):
    logits, labels = model(n, 3, 1.0, seed)
    try:
        one = xent_cli.calibrate(logits, labels).temperature
    except InputError:
        with pytest.raises(InputError):
            xent_cli.calibrate(logits * 2.0**power, labels)
        return
    assert xent_cli.calibrate(logits * 2, labels).temperature == pytest.approx(2 * one, rel=1e-12)
    assert xent_cli.calibrate(logits * 2.0**power, labels).temperature == pytest.approx(2.0**power * one, rel=1e-12)
    shifted = logits + np.arange(n)[:, None]
    assert xent_cli.calibrate(shifted, labels).temperature == pytest.approx(one, rel=1e-9)


def test_an_overconfident_model_of_a_hundred_classes_is_cooled():
    # As in gpleiss/temperature_scaling#20: optimisers ended at 5.8, 1.8 and 1386304 for the same model.
    logits, labels = model(4000, 100, 3.0, seed=4)
    fit = xent_cli.calibrate(logits, labels)
    assert fit.before.ece > 0.2
    assert fit.temperature == pytest.approx(3.0, rel=0.1)
    assert fit.after.mean_loss < fit.before.mean_loss - 0.5
    assert fit.after.ece < 0.05


def test_an_underconfident_model_is_sharpened():
    # As in gpleiss/temperature_scaling#29: the optimiser moved to 1.229, and both loss and calibration error rose.
    logits, labels = model(4000, 10, 0.4, seed=5)
    fit = xent_cli.calibrate(logits, labels)
    assert fit.before.ece > 0.15
    assert fit.temperature == pytest.approx(0.4, rel=0.1)
    assert fit.after.mean_loss < fit.before.mean_loss
    assert fit.after.ece < 0.05


def test_the_standard_error_is_that_of_the_sandwich():
    logits, labels = model(300, 4, 2.0, seed=6)
    weight = np.random.default_rng(0).integers(1, 4, 300).astype(float)
    for w in (None, weight):
        fit = xent_cli.calibrate(logits, labels, sample_weight=w)
        v = np.ones(300) if w is None else w
        p = np.exp(log_softmax(logits / fit.temperature, axis=1))
        slope = (p * logits).sum(axis=1) - logits[np.arange(300), labels]
        curvature = np.average((p * logits**2).sum(axis=1) - (p * logits).sum(axis=1) ** 2, weights=v)
        error = np.sqrt(300 / 299 * ((v * slope) ** 2).sum()) / v.sum() / curvature * fit.temperature**2
        assert fit.se_temperature == pytest.approx(error, rel=1e-9)


def test_the_standard_error_covers_the_spread_of_repeated_fits():
    fits = [xent_cli.calibrate(*model(400, 5, 1.5, seed)) for seed in range(120)]
    spread = np.std([fit.temperature for fit in fits], ddof=1)
    assert np.mean([fit.se_temperature for fit in fits]) == pytest.approx(spread, rel=0.2)


def test_folds_are_fitted_without_their_samples():
    logits, labels = model(90, 4, 2.0, seed=8)
    fit = xent_cli.calibrate(logits, labels, folds=3)
    loss = np.empty(90)
    for fold in range(3):
        inside = np.arange(90) % 3 == fold
        own = xent_cli.calibrate(logits[~inside], labels[~inside]).temperature
        assert fit.fold_temperatures[fold] == pytest.approx(own, rel=1e-12)
        loss[inside] = xent_cli.sparse_softmax_cross_entropy(logits[inside], labels[inside], temperature=own)
    assert fit.held_out.mean_loss == pytest.approx(loss.mean(), rel=1e-12)
    assert fit.after.mean_loss <= fit.held_out.mean_loss


def test_a_fold_without_an_optimum_is_named():
    logits = [[1.0, 0.0], [0.0, 2.0], [1.0, 0.0], [4.0, 1.0]]
    with pytest.raises(InputError, match="all 2 samples outside fold 2 among the highest"):
        xent_cli.calibrate(logits, [0, 0, 0, 0], folds=2)
    with pytest.raises(InputError, match="a fold without samples"):
        xent_cli.calibrate(logits, [0, 0, 0, 0], folds=5)


def passes(blocks, rule=None, options=None):
    def run(step):
        options_ = options or LossOptions(ignore_index=(-1,))
        outputs = Outputs(calibration=EQUAL_WIDTH)
        found = [fit_block(block, options_, outputs, rule, step) for block in blocks]
        whole = found[-1]  # in any order
        for part in found[:-1]:
            whole = PassTotals.merge(part, whole)
        return whole

    return run


def cut(logits, labels, edges, **columns):
    return [
        Block(a, logits[a:b], labels[a:b], **{name: values[a:b] for name, values in columns.items()})
        for a, b in zip(edges, [*edges[1:], len(labels)], strict=True)
    ]


@settings(deadline=None, max_examples=20)
@given(st.lists(st.integers(1, 119), max_size=5, unique=True), st.booleans())
def test_any_partition_gives_the_same_bits(places, clustered):
    logits, labels = model(120, 4, 2.0, seed=9)
    labels[::7] = -1
    rule = ClusterRule("axis 0", steps=(10,)) if clustered else None
    edges = [0, *sorted(places)]
    whole = fit_temperature(passes(cut(logits, labels, [0]), rule), 3)
    assert repr(fit_temperature(passes(cut(logits, labels, edges), rule), 3)) == repr(whole)


def test_clusters_are_counted_once_each():
    logits, labels = model(60, 4, 2.0, seed=10)
    twice = np.repeat(np.arange(60), 5)
    rule = ClusterRule("every 5 samples", steps=(5,))
    fit = fit_temperature(passes(cut(logits[twice], labels[twice], [0, 7, 150]), rule))
    alone = xent_cli.calibrate(logits, labels)
    assert fit.n_clusters == 60
    assert fit.temperature == pytest.approx(alone.temperature, rel=1e-12)
    assert fit.se_temperature == pytest.approx(alone.se_temperature, rel=1e-9)


def test_samples_of_a_cluster_share_a_fold():
    texts = np.array(["a", "b", "a", "c", "b"], object)
    fold = folds_of(texts, 3)
    assert fold[0] == fold[2]
    assert fold[1] == fold[4]
    assert set(fold.tolist()) <= {0, 1, 2}


def test_slopes_are_those_of_differences():
    logits, labels = model(40, 6, 1.0, seed=11)
    logits[2, (labels[2] + 1) % 6] = -np.inf
    found = slopes(logits, labels, (0.3, 1.0, 2.0))
    for i, beta in enumerate((0.3, 1.0, 2.0)):
        at = [-log_softmax(b * logits, axis=1)[np.arange(40), labels] for b in (beta - 1e-4, beta, beta + 1e-4)]
        assert found.first[i] == pytest.approx((at[2] - at[0]) / 2e-4, abs=1e-6)
        assert found.second[i] == pytest.approx((at[2] - 2 * at[1] + at[0]) / 1e-8, abs=1e-5)


@pytest.mark.parametrize(
    ("logits", "labels", "why"),
    [
        ([[1.0, 0.0], [0.0, 2.0], [1.0, 1.0]], [0, 1, 1], "among the highest logits of their rows"),
        ([[1.0, 1.0], [0.0, 0.0]], [0, 1], "among the highest logits"),
        ([[1.0, 0.0], [0.0, 2.0], [3.0, 1.0]], [1, 0, 0], "below the mean of their rows"),
        ([[1.0, 0.0], [0.0, 1.0]], [0, 0], "on average 0 below the mean"),
    ],
)
def test_what_has_no_optimum_is_refused_with_the_reason(logits, labels, why):
    with pytest.raises(InputError, match=why):
        xent_cli.calibrate(logits, labels)


@pytest.mark.parametrize("value", [-np.inf, np.nan, np.inf])
def test_a_row_without_a_finite_loss_is_named(value):
    logits, labels = model(9, 3, 1.0)
    logits[4, labels[4]] = value
    with pytest.raises(RowError) as caught:
        xent_cli.calibrate(logits, labels)
    assert caught.value.row == 4
    labels[4] = -100
    assert xent_cli.calibrate(logits, labels, ignore_index=-100).before.n_ignored == 1


def test_a_step_without_figures_computes_none():
    found = passes(cut(*model(9, 3, 1.0), [0]))(Step((1.0,)))
    assert found.figures is None
    assert found.slopes.moments is None


def test_the_function_takes_the_clusters_of_several_axes_of_samples():
    logits, labels = model(120, 4, 2.0, seed=12)
    deep = xent_cli.calibrate(logits.reshape(12, 10, 4), labels.reshape(12, 10), folds=3)
    named = xent_cli.calibrate(logits, labels, folds=3, cluster=np.arange(120) // 10)
    alone = xent_cli.calibrate(logits, labels)
    assert (deep.n_clusters, alone.n_clusters) == (12, None)
    assert deep.temperature == named.temperature == alone.temperature
    assert deep.se_temperature == pytest.approx(named.se_temperature, rel=1e-12)
    assert deep.se_temperature != alone.se_temperature


@pytest.mark.parametrize("dtype", ["i2", "i8", "u1", "f2", ">f4", "f8"])
def test_logits_of_every_dtype_have_the_same_temperature(dtype):
    rng = np.random.default_rng(13)
    logits = rng.integers(0, 11, (60, 4))
    labels = np.where(rng.random(60) < 0.6, logits.argmax(axis=1), rng.integers(0, 4, 60))
    expected = xent_cli.calibrate(logits.astype(float), labels).temperature
    assert xent_cli.calibrate(logits.astype(dtype), labels).temperature == expected
    assert xent_cli.calibrate(np.asfortranarray(logits.T).astype(dtype), labels, axis=0).temperature == expected


def test_a_sample_that_counts_without_a_cluster_is_named():
    logits, labels = model(6, 3, 1.0, seed=3)
    rule = ClusterRule('column "doc"', column=0)
    groups = np.array([["a"], ["b"], [None], ["a"], ["b"], [None]], object)
    labels[2] = -1  # an ignored sample needs no label
    with pytest.raises(RowError) as caught:
        fit_temperature(passes(cut(logits, labels, [0], groups=groups), rule))
    assert caught.value.row == 5
