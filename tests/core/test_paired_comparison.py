import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from xent_cli.core.statistics.paired_test import DEFAULT_RESAMPLES, compare_losses, largest_moves, percent
from xent_cli.core.statistics.resampling import bootstrap_means, sign_flip_p

LOSSES = st.floats(0, 1e6, allow_subnormal=False)


def losses(n, *, worse=0.05, seed=0):
    rng = np.random.default_rng([seed, n])
    baseline = rng.exponential(size=n)
    return baseline, np.abs(baseline + rng.normal(worse, 0.3, n))


@pytest.mark.parametrize("n", [2, 3, 10, 360, 20_000])
@pytest.mark.parametrize("confidence", [0.5, 0.95, 0.999])
def test_t_agrees_with_scipy(n, confidence):
    baseline, candidate = losses(n)
    ours = compare_losses(baseline, candidate, confidence=confidence)
    theirs = stats.ttest_rel(candidate, baseline)
    low, high = theirs.confidence_interval(confidence)
    assert ours.delta == pytest.approx((candidate - baseline).mean(), rel=1e-12)
    assert ours.std == pytest.approx((candidate - baseline).std(ddof=1), rel=1e-12)
    assert ours.p == pytest.approx(theirs.pvalue, rel=1e-11)
    assert (ours.low, ours.high) == pytest.approx((low, high), rel=1e-12, abs=1e-15)
    assert (ours.resamples, ours.seed) == (None, None)


@pytest.mark.parametrize("n", [5, 40, 360])
@pytest.mark.parametrize("confidence", [0.9, 0.95])
def test_a_bootstrap_interval_is_that_of_scipy_for_the_same_seed(n, confidence):
    baseline, candidate = losses(n)
    ours = compare_losses(baseline, candidate, test="bootstrap", confidence=confidence, seed=7)
    theirs = stats.bootstrap(
        (candidate - baseline,), np.mean, confidence_level=confidence, method="BCa", rng=np.random.default_rng(7)
    )
    assert (ours.low, ours.high) == pytest.approx(tuple(theirs.confidence_interval), rel=1e-12, abs=1e-15)
    assert (ours.resamples, ours.seed) == (DEFAULT_RESAMPLES, 7)


@pytest.mark.parametrize("n", [2, 3, 8, 13])
def test_few_rows_are_permuted_in_every_way_as_scipy_does(n):
    baseline, candidate = losses(n, worse=0.4)
    ours = compare_losses(baseline, candidate, test="permutation")
    assert ours.p == permuted(baseline, candidate).pvalue
    assert (ours.resamples, ours.seed) == (None, None)


def test_many_rows_are_permuted_at_random_and_p_is_that_of_scipy_as_far_as_seeds_allow():
    baseline, candidate = losses(60, worse=0.02)
    ours = compare_losses(baseline, candidate, test="permutation", resamples=20_000)
    theirs = permuted(baseline, candidate, n_resamples=20_000).pvalue
    # Two draws of 20,000 differ by less than five standard errors of their difference.
    assert abs(ours.p - theirs) < 5 * math.sqrt(2 * theirs * (1 - theirs) / 20_000)
    assert ours.p * 20_001 == pytest.approx(round(ours.p * 20_001))
    assert (ours.resamples, ours.seed) == (20_000, 0)


def permuted(baseline, candidate, **settings):
    def mean_difference(a, b, axis):
        return np.mean(a - b, axis=axis)

    pair = (candidate, baseline)
    return stats.permutation_test(pair, mean_difference, permutation_type="samples", vectorized=True, rng=1, **settings)


def test_an_effect_no_permutation_reaches_has_the_lowest_p_there_is():
    baseline, _ = losses(400)
    rng = np.random.default_rng(1)
    candidate = baseline + rng.uniform(1.0, 1.1, 400)
    for test in ("bootstrap", "permutation"):
        assert compare_losses(baseline, candidate, test=test, resamples=999).p == 1 / 1000


@pytest.mark.parametrize("test", ["bootstrap", "permutation"])
def test_the_same_seed_gives_the_same_digits_and_another_seed_others(test):
    pair = losses(200, worse=0.02)
    first, again, other = (compare_losses(*pair, test=test, seed=seed) for seed in (3, 3, 4))
    assert repr(first) == repr(again)  # NaN is not equal to itself
    assert first.p != other.p


@pytest.mark.parametrize("block", [1, 7, 64, 1000])
def test_blocks_of_draws_do_not_change_the_draws(block):
    difference = np.random.default_rng(0).normal(size=50)
    whole = bootstrap_means(difference, 30, 1)
    assert bootstrap_means(difference, 30, 1, most_at_once=block) == pytest.approx(whole, rel=1e-12)


def test_a_block_smaller_than_a_row_still_counts_every_row():
    difference = np.random.default_rng(0).normal(0.3, 1.0, size=100)
    whole, _ = sign_flip_p(difference, 4000, 1)
    cut, _ = sign_flip_p(difference, 4000, 1, most_at_once=16)
    assert cut == pytest.approx(whole, abs=5 * math.sqrt(2 * whole / 4000))


@given(st.lists(LOSSES, min_size=1, max_size=40))
def test_the_same_losses_differ_by_exactly_0_and_there_is_no_interval(values):
    array = np.array(values)
    same = compare_losses(array, array.copy())
    assert (same.delta, same.delta_percent) == (0.0, 0.0)
    assert all(math.isnan(figure) for figure in (same.low, same.high, same.p))
    assert same.significant is None


@given(st.lists(st.tuples(LOSSES, LOSSES), min_size=1, max_size=40), st.randoms())
def test_the_order_of_the_samples_does_not_change_a_digit(pairs, random):
    shuffled = random.sample(pairs, len(pairs))
    first, second = (compare_losses(*np.array(rows).T) for rows in (pairs, shuffled))
    # repr, because NaN is not equal to itself.
    assert repr(first) == repr(second)


@given(st.lists(st.tuples(LOSSES, LOSSES), min_size=2, max_size=40))
def test_changing_sides_changes_the_sign_and_nothing_else(pairs):
    baseline, candidate = np.array(pairs).T
    there, back = compare_losses(baseline, candidate), compare_losses(candidate, baseline)
    assert back.delta == -there.delta
    np.testing.assert_array_equal([back.p, back.low, back.high], [there.p, -there.high, -there.low])
    assert there.significant == back.significant


def test_differences_that_are_all_the_same_have_no_interval():
    shift = compare_losses(np.array([1.0, 2.0, 3.0]), np.array([1.5, 2.5, 3.5]))
    assert (shift.delta, shift.std) == (0.5, 0.0)
    assert math.isnan(shift.p)
    assert shift.significant is None


def test_one_pair_has_a_difference_and_no_interval():
    one = compare_losses(np.array([1.0]), np.array([3.0]))
    assert (one.n, one.delta, one.delta_percent) == (1, 2.0, 200.0)
    assert math.isnan(one.std)
    assert one.significant is None


@pytest.mark.parametrize("test", ["t", "bootstrap", "permutation"])
def test_a_loss_that_is_not_finite_is_named_and_no_figure_pretends(test):
    baseline, candidate = losses(20)
    candidate[7] = math.nan
    candidate[9] = math.inf
    odd = compare_losses(baseline, candidate, test=test)
    assert (odd.n, odd.n_not_finite, odd.first_not_finite) == (20, 2, 7)
    assert math.isfinite(odd.mean_baseline)
    assert all(math.isnan(value) for value in (odd.mean_candidate, odd.delta, odd.low, odd.high, odd.p, odd.std))
    candidate[7] = 1.0
    infinite = compare_losses(baseline, candidate, test=test)
    assert (infinite.mean_candidate, infinite.delta) == (math.inf, math.inf)
    assert math.isnan(infinite.p)


def test_a_difference_in_the_last_digit_of_one_loss_is_found():
    baseline = np.full(1000, 0.1)
    candidate = baseline.copy()
    candidate[500] = np.nextafter(0.1, 1)
    assert compare_losses(baseline, candidate).delta == pytest.approx((candidate[500] - 0.1) / 1000, rel=1e-15)


@pytest.mark.parametrize("shapes", [((3,), (4,)), ((0,), (0,)), ((2, 2), (2, 2))])
def test_arrays_that_are_not_pairs_are_refused(shapes):
    with pytest.raises(ValueError, match="expected"):
        compare_losses(*(np.zeros(shape) for shape in shapes))


def test_samples_that_moved_most_come_first_and_those_that_did_not_move_never():
    baseline = np.array([1.0, 1.0, 1.0, 1.0, math.inf, math.nan, 1.0])
    candidate = np.array([1.5, 1.0, 0.0, 2.0, math.inf, math.nan, math.nan])
    assert largest_moves(baseline, candidate, 9).tolist() == [6, 2, 3, 0]
    assert largest_moves(baseline, candidate, 2).tolist() == [6, 2]


def test_percent_is_of_the_baseline():
    assert percent(-0.5, 2.0) == -25.0
    assert math.isnan(percent(1.0, 0.0))


def sandwich(difference, weight, divisor):
    """Compute mean and standard error by the formula, in long doubles."""
    d, w, v = (np.asarray(x, np.longdouble) for x in (difference, weight, divisor))
    mean = (w * d).sum() / v.sum()
    n = d.size
    return float(mean), float(np.sqrt(n / (n - 1) * ((w * d - v * mean) ** 2).sum()) / v.sum())


def weights(n):
    rng = np.random.default_rng(n)
    return rng.exponential(size=n) + 0.01, rng.choice([0.25, 1.0, 3.0], n)


@pytest.mark.parametrize("n", [2, 3, 40, 5000])
@pytest.mark.parametrize("which", ["sample", "class", "both"])
def test_a_weighted_mean_has_the_error_of_the_sandwich(n, which):
    baseline, candidate = losses(n)
    weight, by_class = weights(n)
    weight = None if which == "class" else weight
    divisor = {"sample": None, "class": by_class, "both": by_class if weight is None else by_class * weight}[which]
    found = compare_losses(baseline, candidate, weight=weight, divisor=divisor)
    w = np.ones(n) if weight is None else weight
    v = w if divisor is None else divisor
    mean, error = sandwich(candidate - baseline, w, v)
    assert found.delta == pytest.approx(mean, rel=1e-12)
    assert found.std / np.sqrt(n) == pytest.approx(error, rel=1e-12)
    assert (found.high - found.low) / 2 == pytest.approx(stats.t.ppf(0.975, n - 1) * error, rel=1e-10)
    assert found.p == pytest.approx(2 * stats.t.sf(abs(mean / error), n - 1), rel=1e-9)
    assert found.mean_candidate - found.mean_baseline == pytest.approx(mean, rel=1e-9)


@pytest.mark.parametrize("test", ["t", "bootstrap", "permutation"])
def test_weights_of_1_change_nothing(test):
    baseline, candidate = losses(40)
    plain = compare_losses(baseline, candidate, test=test, resamples=500)
    ones = compare_losses(baseline, candidate, test=test, resamples=500, weight=np.ones(40))
    assert (ones.delta, ones.p) == pytest.approx((plain.delta, plain.p), rel=1e-12)
    assert (ones.low, ones.high) == pytest.approx((plain.low, plain.high), rel=1e-12)


def test_a_weight_that_is_a_whole_number_has_the_mean_of_so_many_copies():
    baseline, candidate = losses(30)
    copies = np.arange(30) % 4 + 1
    found = compare_losses(baseline, candidate, weight=copies.astype(float))
    many = compare_losses(np.repeat(baseline, copies), np.repeat(candidate, copies))
    assert (found.delta, found.mean_baseline) == pytest.approx((many.delta, many.mean_baseline), rel=1e-13)
    assert found.std > 0


def test_a_weighted_bootstrap_has_about_the_interval_of_the_sandwich():
    baseline, candidate = losses(400)
    weight, by_class = weights(400)
    some = compare_losses(
        baseline, candidate, test="bootstrap", resamples=2000, weight=weight, divisor=weight * by_class
    )
    t = compare_losses(baseline, candidate, weight=weight, divisor=weight * by_class)
    assert (some.low, some.high) == pytest.approx((t.low, t.high), abs=0.25 * (t.high - t.low))


def test_the_same_weighted_losses_differ_by_exactly_0_and_equal_differences_have_no_interval():
    baseline, _ = losses(50)
    weight, _ = weights(50)
    same = compare_losses(baseline, baseline, weight=weight)
    assert (same.delta, same.std, same.significant) == (0.0, 0.0, None)
    shifted = compare_losses(np.zeros(50), np.full(50, 0.1), weight=weight)
    assert (shifted.delta, shifted.std, shifted.significant) == (pytest.approx(0.1), 0.0, None)


@pytest.mark.parametrize("test", ["t", "bootstrap", "permutation"])
def test_differences_near_the_end_of_the_range_are_compared_as_smaller_ones_are(test):
    rng = np.random.default_rng(0)
    baseline, candidate = rng.exponential(size=30), rng.exponential(size=30)
    scale = 2.0**1020
    small, large = (compare_losses(baseline * s, candidate * s, test=test, resamples=200) for s in (1.0, scale))
    assert (large.low / scale, large.high / scale) == pytest.approx((small.low, small.high), rel=1e-12)
    assert (large.delta / scale, large.p) == pytest.approx((small.delta, small.p), rel=1e-12)
