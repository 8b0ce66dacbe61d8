import math

import mpmath
import numpy as np
import pytest

from xent_cli.core.kernel.label_figures import label_figures


@pytest.mark.parametrize("apart", [0.0, 1e-12, 1e-6, 0.5, 3.0, 700.0])
@pytest.mark.parametrize("loss", [0.0, 1e-9, 0.1, 5.0, 40.0])
def test_a_difference_of_probabilities_keeps_its_digits(loss, apart):
    for pair in ((loss, loss + apart), (loss + apart, loss)):
        found = label_figures(*(np.array([x]) for x in pair))
        with mpmath.workdps(400):
            own, other = (mpmath.exp(-mpmath.mpf(float(x))) for x in pair)
            expected = float(own - other)
        assert found["mean_delta_p"][0] == pytest.approx(expected, rel=1e-14, abs=0)
        assert found["squared_delta_p"][0] == pytest.approx(expected**2, rel=1e-14, abs=1e-300)
        assert found["log_ppl_ratio"][0] == pair[0] - pair[1]


def test_an_impossible_label_is_infinitely_worse_and_two_of_them_cannot_be_compared():
    inf = math.inf
    found = label_figures(np.array([inf, 0.0, inf]), np.array([0.0, inf, inf]))
    assert found["mean_delta_p"].tolist()[:2] == [-1.0, 1.0]
    np.testing.assert_array_equal(found["log_ppl_ratio"], [inf, -inf, math.nan])
