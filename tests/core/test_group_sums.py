"""Sums by group are exact, whatever the size of the values and of the groups."""

from fractions import Fraction

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from xent_cli.core.totals.group_sums import squares_by_group, sums_by_group

UNIT = 2**2148  # the number 1 in units of an exact sum
FINITE = st.floats(allow_nan=False, allow_infinity=False)


@given(st.lists(st.tuples(st.integers(0, 3), FINITE), max_size=30))
def test_sums_and_squares_are_those_of_fractions(pairs):
    at = np.array([group for group, _ in pairs], np.uint16)
    values = np.array([value for _, value in pairs], float)
    sums, squares = sums_by_group(at, values, 4), squares_by_group(at, values, 4)
    for group in range(4):
        own = [Fraction(value) for place, value in pairs if place == group]
        assert sums[group] == sum(own) * UNIT
        assert squares[group] == sum(value**2 for value in own) * UNIT


def test_a_million_values_of_one_group_beside_a_group_of_one_lose_no_bit():
    values = np.random.default_rng(0).normal(size=1_000_001) * np.exp2(np.arange(1_000_001) % 80 - 40)
    at = np.zeros(values.size, np.uint16)
    at[7] = 1
    numerators = (values * np.exp2(120)).tolist()  # exact whole numbers: no value has a bit below 2**-120
    exact = [sum(map(int, numerators)) - int(numerators[7]), int(numerators[7])]
    assert sums_by_group(at, values, 2).tolist() == [whole << (2148 - 120) for whole in exact]
