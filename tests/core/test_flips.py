import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import binomtest

from xent_cli.core.statistics.flips import flips_of, mcnemar_p


@given(st.integers(0, 400), st.integers(0, 400))
def test_p_is_that_of_an_exact_binomial_test(gained, lost):
    expected = binomtest(gained, gained + lost).pvalue if gained + lost else 1.0
    assert mcnemar_p(gained, lost) == pytest.approx(expected, rel=1e-12)
    assert mcnemar_p(gained, lost) == mcnemar_p(lost, gained)


@pytest.mark.parametrize("n", [1001, 20_000, 1_000_003, 10**8])
@pytest.mark.parametrize("share", [0.4, 0.49, 0.499, 0.4999, 0.49999])
def test_p_keeps_its_digits_among_many_flips(n, share):
    expected = binomtest(int(n * share), n).pvalue
    assert mcnemar_p(int(n * share), n - int(n * share)) == pytest.approx(expected, rel=1e-9, abs=1e-300)


@given(st.lists(st.tuples(st.booleans(), st.booleans()), min_size=1))
def test_flips_are_what_one_model_alone_has_right(pairs):
    before, after = (np.array(side) for side in zip(*pairs, strict=True))
    found = flips_of(before, after)
    assert found.wrong_to_right == sum(b and not a for a, b in pairs)
    assert found.right_to_wrong == sum(a and not b for a, b in pairs)
    assert found.wrong_to_right - found.right_to_wrong == int(after.sum()) - int(before.sum())
