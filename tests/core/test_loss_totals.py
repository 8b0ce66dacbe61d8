import math
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from xent_cli.core.kernel.textbook_formula import FormulaTotals, NaiveTotals
from xent_cli.core.run_totals import RunTotals
from xent_cli.core.totals.loss_totals import LossTotals
from xent_cli.core.totals.quantiles import QuantileState
from xent_cli.core.totals.total_losses import total_losses

finite = st.floats(min_value=0.0, max_value=1e300)
any_loss = st.one_of(finite, st.sampled_from([0.0, math.inf, math.nan, 1.0, 1.0, 5e-324]))
rows = st.lists(st.tuples(any_loss, st.booleans(), st.floats(0.0, 1e6)), max_size=40)


def total(some, start=0, **settings):
    loss, ignored, weight = (list(column) for column in zip(*some, strict=True)) if some else ([], [], [])
    return total_losses(
        "s",
        np.array(loss, dtype=np.float64),
        start=start,
        ignored=np.array(ignored, dtype=np.bool_),
        weight=np.array(weight, dtype=np.float64),
        divisor=np.array(weight, dtype=np.float64),
        labels=np.arange(start, start + len(some)),
        worst_wanted=3,
        **settings,
    )


def said(totals):
    """Return everything that totals hold, with NaN equal to itself."""
    return repr((totals.summarize(), totals.worst, totals.divisor, totals.sums, totals.squares, totals.weighted))


def plain(*loss, **settings):
    return total_losses("s", np.array(loss, dtype=np.float64), **settings)


@given(rows)
def test_empty_is_the_identity(some):
    totals = total(some)
    assert said(LossTotals("s").merge(totals)) == said(totals)
    assert said(totals.merge(LossTotals("s"))) == said(totals)


@given(rows, rows, rows)
def test_merge_is_associative_and_commutative(a, b, c):
    x, y, z = total(a), total(b, len(a)), total(c, len(a) + len(b))
    assert said(x.merge(y).merge(z)) == said(x.merge(y.merge(z)))
    assert said(x.merge(y)) == said(y.merge(x))


@given(rows, st.integers(1, 9), st.randoms(use_true_random=False))
def test_no_partition_and_no_order_changes_a_bit(some, size, random):
    parts = [total(some[i : i + size], i) for i in range(0, len(some), size)] or [total([])]
    random.shuffle(parts)
    merged = LossTotals("s", worst_wanted=3)
    for part in parts:
        merged = merged.merge(part)
    assert said(merged) == said(total(some))


def test_totals_of_unlike_settings_refuse_to_merge():
    with pytest.raises(ValueError, match="different settings"):
        LossTotals("a").merge(LossTotals("b"))


@given(st.lists(finite, min_size=1, max_size=40))
def test_figures_of_unweighted_losses_are_those_of_exact_arithmetic(loss):
    summary = plain(*loss).summarize()
    exact = [Fraction(x) for x in loss]
    assert summary.mean_loss == float(sum(exact) / len(exact))
    assert summary.sum_loss == math.fsum(loss)
    assert (summary.min_loss, summary.max_loss) == (min(loss), max(loss))
    assert summary.worst_sample == loss.index(max(loss))
    assert summary.n_samples == len(loss)
    assert dict(summary.quantiles)["p90_loss"] == pytest.approx(np.quantile(loss, 0.9), rel=1e-15)


@given(st.lists(st.tuples(st.floats(0.0, 1e6), st.floats(0.0, 1e6)), min_size=1, max_size=30))
def test_weights_enter_the_sum_and_the_divisor(pairs):
    loss, weight = (np.array(column) for column in zip(*pairs, strict=True))
    summary = total_losses("s", loss, weight=weight, divisor=weight).summarize()
    products = [Fraction(float(x * w)) for x, w in zip(loss, weight, strict=True)]
    assert summary.sum_loss == float(sum(products))
    if weight.any():
        assert summary.mean_loss == float(sum(products) / sum(Fraction(w) for w in weight.tolist()))
    else:
        assert math.isnan(summary.mean_loss)
    assert summary.std_loss == plain(*loss).summarize().std_loss


def test_class_weights_divide_but_do_not_multiply_again():
    loss = np.array([1.0, 3.0])
    summary = total_losses("s", loss, divisor=np.array([0.5, 1.5])).summarize()
    assert (summary.sum_loss, summary.mean_loss) == (4.0, 2.0)


def test_the_standard_deviation_is_of_the_population():
    assert plain(2.0, 4.0, 4.0, 4.0, 5.0, 5.0, 7.0, 9.0).summarize().std_loss == 2.0


def test_an_infinite_loss_is_counted_and_makes_the_mean_infinite():
    summary = plain(1.0, math.inf, 2.0).summarize()
    assert (summary.n_samples, summary.n_inf, summary.n_nan) == (3, 1, 0)
    assert (summary.mean_loss, summary.sum_loss, summary.max_loss) == (math.inf,) * 3
    assert (summary.min_loss, summary.worst_sample) == (1.0, 1)
    assert math.isnan(summary.std_loss)
    assert summary.perplexity == math.inf


def test_a_nan_loss_is_counted_and_makes_the_mean_nan_even_beside_an_infinite_one():
    summary = plain(1.0, math.inf, math.nan, math.nan).summarize()
    assert (summary.n_samples, summary.n_inf, summary.n_nan) == (4, 1, 2)
    assert (summary.min_loss, summary.worst_sample) == (1.0, 2)
    assert all(math.isnan(x) for x in (summary.mean_loss, summary.sum_loss, summary.std_loss, summary.max_loss))
    assert math.isnan(summary.perplexity)
    assert math.isnan(summary.bits)


def test_nothing_but_nan_has_no_lowest_loss():
    assert math.isnan(plain(math.nan, math.nan).summarize().min_loss)


def test_ignored_samples_leave_every_figure():
    ignored = np.array([False, True, False, True])
    totals = total_losses("s", np.array([1.0, math.nan, 3.0, 1e9]), ignored=ignored, start=10)
    summary = totals.summarize()
    assert (summary.n_samples, summary.n_ignored, summary.n_nan) == (2, 2, 0)
    assert (summary.mean_loss, summary.std_loss, summary.max_loss, summary.worst_sample) == (2.0, 1.0, 3.0, 12)
    assert dict(summary.quantiles)["p50_loss"] == 2.0


def test_nothing_left_to_average_gives_no_figures():
    summary = plain(1.0, ignored=np.array([True])).summarize()
    assert (summary.n_samples, summary.n_ignored, summary.worst_sample) == (0, 1, None)
    assert (summary.sum_loss, math.isnan(summary.mean_loss), math.isnan(summary.min_loss)) == (0.0, True, True)


def test_the_worst_samples_come_nan_first_then_by_loss_then_by_number():
    loss = np.array([2.0, math.inf, math.nan, 7.0, 7.0, math.nan])
    totals = total_losses("s", loss, start=100, worst_wanted=5, labels=np.arange(6), ids=np.array(list("abcdef")))
    assert [w.sample for w in totals.worst] == [102, 105, 101, 103, 104]
    assert [(w.label, w.id) for w in totals.worst[2:4]] == [(1, "b"), (3, "d")]


def test_of_equal_losses_the_first_sample_is_the_worst_in_whatever_order_blocks_are_merged():
    first, second = plain(5.0, start=0), plain(5.0, start=1)
    assert first.merge(second).summarize().worst_sample == 0
    assert second.merge(first).summarize().worst_sample == 0


def test_the_mean_alone_can_be_asked_for():
    summary = plain(1.0, 2.0, figures=False).summarize()
    assert (summary.mean_loss, summary.sum_loss, summary.n_samples, summary.quantiles) == (1.5, 3.0, 2, ())
    assert math.isnan(summary.std_loss)


def test_a_mean_too_large_to_exponentiate_has_infinite_perplexity():
    assert plain(1000.0).summarize().perplexity == math.inf


def test_bits_and_perplexity_follow_from_the_mean():
    summary = plain(math.log(2), math.log(2)).summarize()
    assert (summary.bits, summary.perplexity) == (1.0, 2.0)


def test_beyond_the_exact_rows_the_summary_says_so():
    few, many = (
        plain(*loss)._replace(quantiles=QuantileState.of(np.array(loss), exact_rows=2))
        for loss in ([1.0, 2.0], [1.0, 2.0, 3.0])
    )
    assert few.summarize().quantiles_exact
    assert not many.summarize().quantiles_exact
    assert not few.merge(few).summarize().quantiles_exact


def test_hits_labels_and_noticed_rows_add_up():
    a = LossTotals("s", n_samples=2, hits=((1, 1), (5, 2)), label_range=(1, 4), softmaxed=1, unnormalised=2)
    b = LossTotals("s", n_samples=2, hits=((1, 0), (5, 1)), label_range=(0, 3), softmaxed=1, unnormalised=0)
    both = a.merge(b)
    assert both.summarize().top_k == ((1, 0.25), (5, 0.75))
    assert (both.label_range, both.softmaxed, both.unnormalised) == ((0, 4), 2, 2)


def test_formulas_add_up_by_dtype():
    half = FormulaTotals("float16", NaiveTotals(n_ok=1), NaiveTotals(n_ok=2))
    single = FormulaTotals("float32", NaiveTotals(n_ok=4), NaiveTotals(n_ok=8))
    one = RunTotals(LossTotals("s"), formulas=(half, single))
    both = one.merge(one)
    assert [(f.dtype, f.naive.n_ok, f.stable.n_ok) for f in both.formulas] == [("float16", 2, 4), ("float32", 8, 16)]


def test_a_figure_goes_by_its_name_in_the_document():
    totals = LossTotals("s", n_samples=4, hits=((1, 3), (5, 4)))
    figures = plain(1.0).merge(totals).summarize().as_dict()
    assert list(figures) == [
        "n_samples",
        "n_ignored",
        "n_nan",
        "n_inf",
        "mean_loss",
        "sum_loss",
        "std_loss",
        "se_loss",
        "ci_low",
        "ci_high",
        "confidence_level",
        "min_loss",
        "max_loss",
        "worst_sample",
        "p50_loss",
        "p90_loss",
        "p95_loss",
        "p99_loss",
        "quantiles_exact",
        "perplexity",
        "perplexity_low",
        "perplexity_high",
        "bits",
        "accuracy",
        "top_5_accuracy",
    ]
    assert (figures["accuracy"], figures["top_5_accuracy"]) == (0.6, 0.8)


def test_a_divergence_is_weighted_as_the_loss_is_and_what_is_not_finite_stays():
    loss, kl, weight = np.array([1.0, 2.0, 4.0]), np.array([0.25, 0.5, 1.0]), np.array([1.0, 0.5, 3.0])

    def summary(kl, loss=loss, **weights):
        parts = [
            total_losses(
                "",
                loss[i : i + 1],
                divergence={"kl_divergence": kl[i : i + 1]},
                **{k: w[i : i + 1] for k, w in weights.items()},
            )
            for i in range(3)
        ]
        return parts[2].merge(parts[0]).merge(parts[1]).summarize()

    weights = {"weight": weight, "divisor": weight}
    assert summary(kl).kl_divergence == 1.75 / 3
    assert summary(kl, **weights).kl_divergence == 3.5 / 4.5
    assert summary(loss, **weights).kl_divergence == summary(kl, **weights).mean_loss
    infinite, undefined = np.array([0.25, np.inf, 1.0]), np.array([np.inf, np.nan, 1.0])
    for weighting in ({}, weights):
        assert summary(infinite, **weighting).kl_divergence == np.inf
        assert np.isnan(summary(undefined, **weighting).kl_divergence)
        assert summary(infinite, **weighting).mean_loss == summary(kl, **weighting).mean_loss


def test_one_worst_sample_is_kept_unless_more_are_wanted():
    losses = np.array([1.0, 3.0, 2.0])
    assert [entry.loss for entry in total_losses("", losses).worst] == [3.0]
    assert [entry.loss for entry in total_losses("", losses, worst_wanted=2).worst] == [3.0, 2.0]
