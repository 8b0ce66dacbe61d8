"""Conversions in compiled code round like NumPy and ml_dtypes, for every value of 16 bits and near every tie."""

import ml_dtypes
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.running_kernel import COMPILED
from xent_cli.core.kernel.conversions import convert, sum_in_turn
from xent_cli.core.kernel.variants import compiled_module

DTYPES = [np.dtype(np.float16), np.dtype(ml_dtypes.bfloat16)]


def same(found, expected):
    with np.errstate(invalid="ignore"):  # signalling NaN
        plain = [values.astype(np.float64) for values in (found, expected)]
    numbers = ~np.isnan(plain[1])
    assert np.array_equal(*plain, equal_nan=True)
    assert np.array_equal(np.signbit(plain[0][numbers]), np.signbit(plain[1][numbers]))


def converted(values, dtype):
    target = np.empty(values.shape, dtype)
    convert(values, target)
    return target


@pytest.mark.parametrize("dtype", DTYPES, ids=str)
def test_every_value_of_16_bits_and_its_neighbours(dtype):
    every = np.arange(1 << 16, dtype=np.uint16).view(dtype)
    wide = converted(every, np.dtype(np.float32))
    same(wide, every.astype(np.float32))
    with np.errstate(all="ignore"):
        ties = ((wide[:-1].astype(np.float64) + wide[1:]) / 2).astype(np.float32)
        near = [wide, ties, *(np.nextafter(ties, np.float32(to)) for to in (np.inf, -np.inf))]
        for values in near:
            same(converted(values, dtype), values.astype(dtype))


@pytest.mark.skipif(not COMPILED, reason="no compiled kernel")
@pytest.mark.parametrize("kernel", COMPILED)
@pytest.mark.parametrize(("dtype", "kind"), list(zip(DTYPES, (2, 3), strict=True)), ids=str)
def test_every_set_of_instructions_converts_alike(kernel, dtype, kind):
    values = np.random.default_rng(kind).integers(0, 1 << 32, 100_001, np.uint32).view(np.float32)
    found, back = np.empty(values.shape, np.uint16), np.empty_like(values)
    compiled_module().convert(kernel.removeprefix("c-"), values, 1, found, kind)
    with np.errstate(all="ignore"):
        same(found.view(dtype), values.astype(dtype))
    compiled_module().convert(kernel.removeprefix("c-"), found, kind, back, 1)
    same(back, found.view(dtype).astype(np.float32))


@given(
    shape=st.tuples(st.integers(0, 5), st.integers(1, 40)),
    source=st.sampled_from(["f2", "<f4", ">f4", "f8", "i4"]),
    target=st.sampled_from(["f2", "f4", "f8", ml_dtypes.bfloat16]),
    turned=st.booleans(),
)
def test_other_dtypes_and_layouts_are_left_to_numpy(shape, source, target, turned):
    values = np.random.default_rng(0).normal(0, 100, shape).astype(source)
    values = values.T if turned else values
    same(converted(values, np.dtype(target)), values.astype(target))


@pytest.mark.skipif(not COMPILED, reason="no compiled kernel")
@given(
    n=st.integers(1, 40),
    k=st.integers(1, 70),
    dtype=st.sampled_from([*DTYPES, np.dtype("f4"), np.dtype("f8")]),
    sign=st.sampled_from([1, -1]),
    seed=st.integers(0, 2**32 - 1),
)
def test_sums_are_rounded_after_every_addition(n, k, dtype, sign, seed):
    rng = np.random.default_rng(seed)
    with np.errstate(all="ignore"):
        terms = (sign * np.exp(rng.normal(0, rng.choice([0.1, 3, 9]), (n, k)))).astype(dtype)
        terms[rng.random((n, k)) < 0.1] = 0
        terms[0, rng.integers(0, k)] = rng.choice([np.inf, np.nan, 1.0]) * sign
        expected = np.zeros(n, dtype)
        for column in terms.T:
            expected = (expected.astype(np.float64) + column.astype(np.float64)).astype(dtype)
        found = sum_in_turn(terms)
    assert found.dtype == dtype
    same(found, expected)
