import math

import mpmath
import pytest

from xent_cli.core.intervals.student_t import quantile, two_sided_p


def oracle(t, df):
    """Return two-sided p from the regularised incomplete beta function, in 50 digits."""
    with mpmath.workdps(50):
        x = mpmath.mpf(df) / (df + mpmath.mpf(t) ** 2)
        return mpmath.betainc(mpmath.mpf(df) / 2, mpmath.mpf(1) / 2, 0, x, regularized=True)


@pytest.mark.parametrize("df", [1, 2, 3, 4, 9, 30, 61, 62, 99, 359, 10_000, 999_999])
def test_p_agrees_with_the_incomplete_beta_function_to_twelve_digits(df):
    for t in (1e-9, 1e-3, 0.5, 0.999, 1.0, 1.001, 1.7320508, 1.96, 2.5, 5.0, 12.0, 30.0):
        truth = oracle(t, df)
        if truth > 1e-300:
            assert abs(two_sided_p(t, df) / truth - 1) < 1e-12, t
        assert two_sided_p(-t, df) == two_sided_p(t, df)


@pytest.mark.parametrize("df", [1, 2, 3])
def test_p_far_out_in_a_heavy_tail_keeps_its_digits(df):
    for t in (1e4, 1e8, 1e20, 1e60):
        assert abs(two_sided_p(t, df) / oracle(t, df) - 1) < 1e-12, t


@pytest.mark.parametrize("df", [1, 2, 3, 9, 30, 359, 10_000, 999_999])
@pytest.mark.parametrize("confidence", [0.1, 0.5, 0.8, 0.9, 0.95, 0.99, 0.999, 1 - 1e-9])
def test_a_quantile_is_where_the_chance_of_more_is_what_is_left(df, confidence):
    t = quantile(confidence, df)
    # The error is at most one unit in the last digit of the confidence.
    assert abs(oracle(t, df) - (1.0 - confidence)) < 1e-12 * (1.0 - confidence) + 1e-16


@pytest.mark.parametrize(
    ("df", "truth"), [(1, 12.706204736174705), (9, 2.262157162798205), (10**8, 1.9599640090742613)]
)
def test_quantiles_of_printed_tables(df, truth):
    """Values inverted in 50 digits by mpmath; 1.959964 is the normal quantile, the limit for large df."""
    with mpmath.workdps(50):
        assert abs(mpmath.findroot(lambda t: oracle(t, df) - (1 - mpmath.mpf(0.95)), truth) - truth) < 1e-9
    assert quantile(0.95, df) == pytest.approx(truth, rel=1e-9)


def test_p_is_nan_for_nan_and_0_for_infinity():
    assert math.isnan(two_sided_p(math.nan, 5))
    assert two_sided_p(math.inf, 5) == 0.0
    assert two_sided_p(0.0, 10**9) == pytest.approx(1.0, abs=1e-14)
