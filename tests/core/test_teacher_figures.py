import dataclasses
import math

import mpmath
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.spatial.distance import jensenshannon
from scipy.special import log_softmax, rel_entr, softmax
from scipy.stats import entropy

from tests.oracles.reference import log_softmax_mpf
from xent_cli.core.kernel.teacher_figures import FIGURES, teacher_figures
from xent_cli.core.options import LossOptions

LOGITS = LossOptions(labels="dense", labels_source="logits")


def reference(z, t, temperature=1.0, teacher_temperature=1.0):
    """Compute reverse KL, Jensen-Shannon divergence and entropy in 700 digits."""
    with mpmath.workdps(700):
        (own, p), (taught, q) = log_softmax_mpf(z, temperature), log_softmax_mpf(t, teacher_temperature)
        log_m = [mpmath.log((a + b) / 2) for a, b in zip(p, q, strict=True)]
        reverse = mpmath.fsum(a * (lq - lp) for a, lp, lq in zip(p, own, taught, strict=True))
        shannon = mpmath.fsum(
            a * (-lp - lm) + b * (-lq - lm) for a, b, lp, lq, lm in zip(p, q, own, taught, log_m, strict=True)
        )
        return float(reverse), float(shannon / 2), float(mpmath.fsum(b * lq for b, lq in zip(q, taught, strict=True)))


@pytest.mark.parametrize("temperatures", [(1.0, 1.0), (2.0, 0.5)])
@pytest.mark.parametrize("size", [0.3, 30.0, 300.0])
@pytest.mark.parametrize("distance", [1000.0, 100.0, 1.0, 0.1, 1e-3, 1e-6, 1e-9])
def test_figures_of_logits_keep_their_digits_at_every_distance(distance, size, temperatures):
    rng = np.random.default_rng(0)
    temperature, teacher_temperature = temperatures
    student = rng.normal(0, size, (4, 5))
    teacher = (student / temperature + distance * rng.normal(size=(4, 5))) * teacher_temperature
    options = dataclasses.replace(LOGITS, temperature=temperature, teacher_temperature=teacher_temperature)
    found = teacher_figures(student, teacher, options, FIGURES)
    for i, (z, t) in enumerate(zip(student.tolist(), teacher.tolist(), strict=True)):
        expected = reference(z, t, *temperatures)
        for name, value in zip(("reverse_kl", "js_divergence", "ref_entropy"), expected, strict=True):
            assert found[name][i] == pytest.approx(value, rel=2e-12, abs=1e-300), name


@pytest.mark.parametrize("source", ["logits", "log-probs", "probs"])
@pytest.mark.parametrize("taught", ["logits", "log-probs", "probs"])
def test_figures_of_whatever_is_given_are_those_of_scipy(source, taught):
    rng = np.random.default_rng(1)
    z, t = rng.normal(0, 3, (50, 9)), rng.normal(0, 3, (50, 9))
    form = {"logits": lambda x: x, "probs": lambda x: softmax(x, axis=1), "log-probs": lambda x: log_softmax(x, axis=1)}
    options = LossOptions(source=source, labels="dense", labels_source=taught)
    found = teacher_figures(form[source](z), form[taught](t), options, FIGURES)
    p, q = softmax(z, axis=1), softmax(t, axis=1)
    np.testing.assert_allclose(found["reverse_kl"], rel_entr(p, q).sum(axis=1), rtol=1e-12)
    np.testing.assert_allclose(found["js_divergence"], jensenshannon(p, q, axis=1) ** 2, rtol=1e-12)
    np.testing.assert_allclose(found["ref_entropy"], entropy(q, axis=1), rtol=1e-12)


def test_the_same_outputs_are_exactly_0_apart_and_disjoint_ones_log_2():
    z = np.random.default_rng(0).integers(-8, 8, (50, 9)).astype(float)
    found = teacher_figures(z, z + 4.0, LOGITS, FIGURES)
    assert not found["reverse_kl"].any()
    assert not found["js_divergence"].any()
    assert (found["top5_overlap"] == 1).all()
    probs = LossOptions(source="probs", labels="dense", labels_source="probs")
    for options in (probs, dataclasses.replace(probs, normalize=True)):
        apart = teacher_figures(np.array([[1.0, 0.0, 0.0]]), np.array([[0.0, 1.0, 0.0]]), options, FIGURES)
        assert apart["js_divergence"][0] == pytest.approx(math.log(2), rel=1e-15)
        assert (apart["reverse_kl"][0], apart["ref_entropy"][0]) == (math.inf, 0.0)


@given(st.integers(1, 12), st.integers(1, 6), st.integers(0, 2**32))
def test_the_overlap_counts_classes_and_of_equal_ones_takes_the_first(k, values, seed):
    rng = np.random.default_rng(seed)
    z, t = rng.integers(0, values, (6, k)), rng.integers(0, values, (6, k))
    found = teacher_figures(z, t, LOGITS, ["top5_overlap"])["top5_overlap"]
    for own, other, overlap in zip(z.tolist(), t.tolist(), found, strict=True):
        first = [set(sorted(range(k), key=lambda j, row=row: (-row[j], j))[:5]) for row in (own, other)]
        assert overlap == len(first[0] & first[1]) / min(5, k)


def test_rows_that_are_no_distribution_are_nan_and_classes_that_both_rule_out_add_nothing():
    inf = math.inf
    student = np.array([[0.0, math.nan], [0.0, -inf], [-inf, -inf], [1.0, -inf]])
    teacher = np.array([[0.0, 0.0], [inf, 0.0], [0.0, 0.0], [5.0, -inf]])
    for name, values in teacher_figures(student, teacher, LOGITS, FIGURES).items():
        assert np.isnan(values).tolist() == [True, True, True, False], name
        assert values[3] == (1.0 if name == "top5_overlap" else 0.0)
