import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from xent_cli.core.kernel.textbook_formula import try_formulas
from xent_cli.core.metrics import figures, nearest, overflow_figures, overflow_of
from xent_cli.core.number_text import check_cells, distinct
from xent_cli.core.thresholds import KINDS, Threshold

numbers = st.floats(allow_nan=False)
finite = st.floats(allow_nan=False, allow_infinity=False)


@given(numbers, finite)
def test_a_maximum_holds_up_to_itself_and_a_minimum_from_itself_on(observed, limit):
    assert Threshold("bits", "max", limit).judge({"bits": observed}).passed == (observed <= limit)
    assert Threshold("bits", "min", limit).judge({"bits": observed}).passed == (observed >= limit)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("figure", [math.nan, None])
def test_nan_fails_every_check_by_name(kind, figure):
    verdict = Threshold("p99_loss", kind, 0.0, baseline=1.0).judge({"p99_loss": figure})
    assert not verdict.passed
    assert verdict.message == "p99_loss is NaN, and NaN fails every check"


def test_nan_fails_although_an_increase_need_not_be_significant():
    limit = Threshold("mean_loss", "max-increase", 0.0, baseline=1.0, interval=(-1.0, 1.0))
    assert not limit.judge({"mean_loss": math.nan}).passed


@given(finite.filter(lambda x: abs(x) > 1e-300 and abs(x) < 1e300), st.sampled_from(["max", "min"]))
def test_a_neighbour_of_the_limit_is_distinguished_from_it(limit, kind):
    beyond = math.nextafter(limit, math.inf if kind == "max" else -math.inf)
    verdict = Threshold("bits", kind, limit).judge({"bits": beyond})
    assert not verdict.passed
    assert Threshold("bits", kind, limit).judge({"bits": limit}).passed
    told = {word.strip(",") for word in verdict.message.split() if word[0] in "-0123456789"}
    assert len(told) == 2


@given(numbers, numbers)
def test_numbers_are_written_with_six_digits_or_as_many_as_distinguish_them(a, b):
    told = distinct(a, b)
    assert (told[0] == told[1]) == (a == b)
    assert a == 0 or math.isinf(a) or float(told[0]) == pytest.approx(a, rel=5e-6)


def test_the_twelfth_digit_is_shown():
    verdict = Threshold("mean_loss", "max", 0.125248439462).judge({"mean_loss": 0.125248439463})
    assert verdict.message == "mean_loss is 0.125248439463, above the maximum 0.125248439462"
    assert check_cells(verdict.as_dict())[:2] == ("0.125248439462", "0.125248439463")


@given(finite)
def test_the_same_figure_has_increased_by_exactly_0(figure):
    verdict = Threshold("bits", "max-increase", 0.0, baseline=figure).judge({"bits": figure})
    assert verdict.passed
    assert (verdict.delta, str(verdict.delta)) == (0.0, "0.0")
    assert Threshold("bits", "max-increase", 0.0, True, figure).judge({"bits": figure}).passed


def test_a_share_is_one_of_the_magnitude():
    assert Threshold("bits", "max-increase", 10.0, True, -1.0).judge({"bits": -0.95}).passed
    assert not Threshold("bits", "max-increase", 10.0, True, -1.0).judge({"bits": -0.85}).passed


@pytest.mark.parametrize(("interval", "passed"), [((-0.1, 0.3), True), ((0.0, 0.2), True), ((0.05, 0.15), False)])
def test_an_increase_that_must_be_significant_fails_where_the_interval_excludes_0(interval, passed):
    verdict = Threshold("mean_loss", "max-increase", 0.05, baseline=1.0, interval=interval).judge({"mean_loss": 1.1})
    assert verdict.passed == passed
    assert f"{interval[0]:.6g} to {interval[1]:.6g}" in verdict.message
    assert verdict.as_dict()["interval"] == list(interval)


def test_a_significant_increase_within_the_limit_passes():
    assert Threshold("bits", "max-increase", 0.5, baseline=1.0, interval=(0.1, 0.2)).judge({"bits": 1.1}).passed


def test_an_increase_without_a_baseline_cannot_be_judged():
    with pytest.raises(ValueError, match="baseline"):
        Threshold("bits", "max-increase", 0.5).judge({"bits": 1.0})


def test_a_flag_is_1_or_0():
    verdict = Threshold("quantiles_exact", "min", 1.0).judge({"quantiles_exact": True})
    assert verdict.passed
    assert type(verdict.observed) is int


def test_every_figure_has_a_name():
    names = figures({"bits": 1.0}, {"overflow.float16": 7}, [("at", "12:30", {"bits": 2.0}), ("a=b", 3, {"bits": 3.0})])
    assert names == {"bits": 1.0, "overflow.float16": 7, "slice:at=12:30:bits": 2.0, "slice:a=b=3:bits": 3.0}


def test_the_nearest_names_are_few_and_none_where_none_is_near():
    assert nearest("quantile", ["a", "b"]) == ""
    assert nearest("p9_loss", ["p90_loss", "p99_loss", "bits"]) in {
        "did you mean p90_loss or p99_loss?",
        "did you mean p99_loss or p90_loss?",
    }


@given(finite)
def test_the_same_figure_has_decreased_by_exactly_0(figure):
    verdict = Threshold("accuracy", "max-decrease", 0.0, baseline=figure).judge({"accuracy": figure})
    assert (verdict.passed, str(verdict.delta)) == (True, "0.0")
    assert "down by 0:" in verdict.message


def test_a_decrease_must_be_significant_if_requested():
    within, outside = (
        Threshold("accuracy", "max-decrease", 0.0, baseline=0.9, interval=interval).judge({"accuracy": 0.8})
        for interval in ((-0.2, 0.1), (-0.2, -0.1))
    )
    assert (within.passed, outside.passed) == (True, False)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("name", ["mean_loss", "min_loss"])
@pytest.mark.parametrize("metric", ["mean_loss", "accuracy", "n_nan"])
def test_no_limit_holds_where_a_cross_entropy_is_below_0(kind, name, metric):
    found = {"mean_loss": 1.0, "min_loss": 0.0, "accuracy": 1.0, "n_nan": 0} | {name: -4.94}
    limit = -10.0 if kind == "min" else 10.0
    verdict = Threshold(metric, kind, limit, baseline=1.0).judge(found)
    assert not verdict.passed
    assert "-4.94" in verdict.message
    assert Threshold(metric, kind, limit, baseline=1.0).judge(found | {name: -0.0039}).passed


def test_rows_not_ok_are_the_sum_of_every_way_to_be_wrong():
    logits, labels = np.array([[12.0, 0.0], [0.0, 12.0], [1.0, 0.0]], np.float16), np.zeros(3, np.int64)
    truth = np.array([6.144e-6, 12.0000061, 0.3132617])
    found = overflow_of([try_formulas(logits, labels, truth, np.dtype(np.float16))])
    assert found["overflow.float16"] == 2
    assert found["overflow.float16.inf"] + found["overflow.float16.nan"] == 2
    assert list(overflow_figures("float32", 1, 2, 4).values()) == [7, 1, 2, 4]
