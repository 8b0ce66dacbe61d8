import struct

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from xent_cli.core.number_text import spell

BITS = st.integers(0, 2**64 - 1)


def by_arrow(values):
    return pa.array(values, pa.float64()).cast(pa.string()).to_pylist()


@given(BITS)
@example(0x8000000000000000)
@example(0xFFF8000000000001)
@example(1)
@example(0x7FEFFFFFFFFFFFFF)
def test_any_bit_pattern_is_spelled_as_arrow_spells_it(bits):
    value = struct.unpack("<d", struct.pack("<Q", bits))[0]
    assert [spell(value)] == by_arrow([value])


@given(st.floats(1e-9, 1e13) | st.integers(-(10**17), 10**17).map(float))
def test_the_usual_sizes_are_spelled_as_arrow_spells_them(value):
    assert [spell(value)] == by_arrow([value])


def test_powers_of_two_and_ten_and_their_neighbours_are_spelled_as_arrow_spells_them():
    powers = np.concatenate([np.ldexp(1.0, np.arange(-1074, 1024)), 10.0 ** np.arange(-307, 309)])
    values = np.concatenate([powers, np.nextafter(powers, 0), np.nextafter(powers, np.inf)])
    assert [spell(value) for value in values.tolist()] == by_arrow(values)


@pytest.mark.parametrize(
    "text", ["1", "0.00001", "1e-7", "1.23456789015e+10", "9999999999", "1e+10", "-0", "inf", "nan"]
)
def test_numbers_are_spelled_as_listed(text):
    assert spell(float(text)) == text
