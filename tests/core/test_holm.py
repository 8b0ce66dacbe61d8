"""Several tests at once."""

import json
import math
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from xent_cli.core.statistics.holm import holm

CASES = json.loads((Path(__file__).parents[1] / "oracles" / "clusters.json").read_text())["holm"]


@pytest.mark.parametrize("case", CASES, ids=lambda case: str(len(case["p"])))
def test_adjusted_p_are_those_of_statsmodels(case):
    assert holm(case["p"]) == pytest.approx(case["adjusted"], rel=1e-15)


@given(st.lists(st.one_of(st.floats(0, 1), st.just(math.nan)), max_size=12))
def test_values_that_are_not_tests_change_nothing(values):
    kept = [p for p in values if not math.isnan(p)]
    found = holm(values)
    assert [p for p in found if not math.isnan(p)] == holm(kept)
    assert [math.isnan(p) for p in found] == [math.isnan(p) for p in values]
    assert all(p <= more <= 1.0 for p, more in zip(kept, holm(kept), strict=True))
