import math
from fractions import Fraction

import mpmath
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from xent_cli.core.totals.exact_sum import ExactSum, standard_deviation

UNIT = Fraction(1, 2**2148)

anything = st.floats(allow_nan=False, allow_infinity=False)
edges = st.sampled_from([5e-324, 2.2e-308, 1e-150, 1.0, 2.0**53, 1e16, 2.0**960, 1.7976931348623157e308, 0.0])
values = st.lists(st.one_of(anything, edges, edges.map(lambda x: -x)), max_size=60)
losses = st.lists(st.floats(min_value=0.0, max_value=1e6), min_size=1, max_size=60)


def array(xs):
    return np.array(xs, dtype=np.float64)


def fractions(xs):
    return sum((Fraction(x) for x in xs), Fraction(0))


def rounded(value):
    try:
        return float(value)
    except OverflowError:
        return math.inf if value > 0 else -math.inf


def spread_over_the_exponents(n, seed):
    rng = np.random.default_rng(seed)
    return np.ldexp(rng.uniform(-1, 1, n), rng.integers(-1080, 1020, n))


@given(values)
def test_a_sum_is_the_sum_of_the_fractions(xs):
    assert ExactSum.of(array(xs)).units * UNIT == fractions(xs)


@given(values)
def test_a_sum_of_squares_is_the_sum_of_the_squared_fractions(xs):
    assert ExactSum.of_squares(array(xs)).units * UNIT == sum((Fraction(x) ** 2 for x in xs), Fraction(0))


@given(losses)
def test_a_sum_as_a_float_is_what_fsum_says(xs):
    assert float(ExactSum.of(array(xs))) == math.fsum(xs)


@pytest.mark.parametrize("n", [1, 65_535, 65_536, 65_537, 200_000])
def test_many_values_of_every_size_add_up_exactly(n):
    x = spread_over_the_exponents(n, seed=n)
    assert ExactSum.of(x).units * UNIT == Fraction(sum(int(Fraction(v) / UNIT) for v in x.tolist())) * UNIT


def test_a_chunk_of_the_largest_values_does_not_overflow():
    x = np.full(70_000, np.finfo(np.float64).max)
    assert ExactSum.of(x).units * UNIT == 70_000 * Fraction(np.finfo(np.float64).max)
    assert float(ExactSum.of(x)) == math.inf
    assert float(ExactSum.of(-x)) == -math.inf
    assert ExactSum.of(x) / 70_000 == np.finfo(np.float64).max


def test_squares_of_every_size_add_up_exactly():
    x = spread_over_the_exponents(5_000, seed=1)
    assert ExactSum.of_squares(x).units * UNIT == sum((Fraction(v) ** 2 for v in x.tolist()), Fraction(0))


@given(values, st.randoms(use_true_random=False), st.integers(1, 7))
def test_no_order_and_no_partition_changes_a_sum(xs, random, size):
    whole, squares = ExactSum.of(array(xs)), ExactSum.of_squares(array(xs))
    shuffled = list(xs)
    random.shuffle(shuffled)
    parts = [array(shuffled[i : i + size]) for i in range(0, len(xs), size)]
    assert sum((ExactSum.of(part) for part in parts), ExactSum()) == whole
    assert sum((ExactSum.of_squares(part) for part in parts), ExactSum()) == squares


@given(values, values, values)
def test_addition_is_associative_and_commutative_and_has_an_identity(a, b, c):
    x, y, z = (ExactSum.of(array(xs)) for xs in (a, b, c))
    assert (x + y) + z == x + (y + z)
    assert x + y == y + x
    assert x + ExactSum() == x


@given(values, st.integers(1, 10**7))
def test_a_mean_is_rounded_once(xs, count):
    assert ExactSum.of(array(xs)) / count == rounded(fractions(xs) / count)


@given(losses, losses)
def test_a_quotient_of_sums_is_rounded_once(xs, ys):
    if not any(ys):
        assert math.isnan(ExactSum.of(array(xs)) / ExactSum.of(array(ys)))
        return
    assert ExactSum.of(array(xs)) / ExactSum.of(array(ys)) == rounded(fractions(xs) / fractions(ys))


def rounded_root(square):
    """Return the root of a fraction, rounded once: 2500 digits decide every case that is not a tie."""
    with mpmath.workdps(2500):
        root = mpmath.sqrt(mpmath.mpf(square.numerator) / square.denominator)
        return float(Fraction(int(mpmath.floor(mpmath.ldexp(root, 2200)))) / 2**2200)


@given(st.one_of(losses, st.lists(anything, min_size=1, max_size=20)))
def test_a_standard_deviation_is_rounded_once(xs):
    n = len(xs)
    variance = sum((Fraction(x) ** 2 for x in xs), Fraction(0)) / n - (fractions(xs) / n) ** 2
    x = array(xs)
    assert standard_deviation(ExactSum.of(x), ExactSum.of_squares(x), n) == rounded_root(variance)


def test_equal_losses_do_not_deviate():
    x = np.full(1000, 0.1)
    assert standard_deviation(ExactSum.of(x), ExactSum.of_squares(x), 1000) == 0.0


def test_losses_that_differ_in_their_last_digit_deviate_by_half_of_it():
    x = np.array([1.0, 1.0 + 2.0**-52])
    assert standard_deviation(ExactSum.of(x), ExactSum.of_squares(x), 2) == 2.0**-53


def test_an_empty_sum_has_no_mean_and_no_deviation():
    assert math.isnan(ExactSum() / 0)
    assert math.isnan(standard_deviation(ExactSum(), ExactSum(), 0))
    assert ExactSum.of(np.empty(0)) == ExactSum()


def test_a_count_divides_like_a_number():
    assert ExactSum.of(np.array([1.0])) / ExactSum.of_count(3) == 1 / 3


@given(values)
def test_a_few_values_add_up_as_they_do_among_many(xs):
    few, many = array(xs[:16]), array([*xs[:16], *[0.0] * 17])
    assert ExactSum.of(few) == ExactSum.of(many)
    assert ExactSum.of_squares(few) == ExactSum.of_squares(many)


@pytest.mark.parametrize(
    ("squares", "expected"),
    [
        # Roots just above, at and just below a tie of float64, which goes to the even number.
        (((2**53 + 1) ** 2 << 2146) + 1, 2**52 + 1),
        ((2**53 + 1) ** 2 << 2146, 2**52),
        (((2**53 + 1) ** 2 << 2146) - 1, 2**52),
        (((2**53 + 3) ** 2 << 2146) - 1, 2**52 + 1),
        ((2**53 + 3) ** 2 << 2146, 2**52 + 2),
    ],
)
def test_a_deviation_next_to_a_tie_is_rounded_to_its_side(squares, expected):
    assert standard_deviation(ExactSum(0), ExactSum(squares), 1) == expected


def test_a_deviation_on_a_tie_is_rounded_to_the_even():
    values = np.array([2.0**53 + 2, -1.0])
    assert standard_deviation(ExactSum.of(values), ExactSum.of_squares(values), 2) == 2**52 + 2
