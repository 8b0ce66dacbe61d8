import json
import math
from pathlib import Path

import numpy as np
import pytest

from tests.oracles.reference import kl_mp, teacher_cross_entropy_mp
from xent_cli.core.options import LossOptions
from xent_cli.core.teacher import teacher_cross_entropy

CASES = json.loads((Path(__file__).parents[1] / "oracles" / "options.json").read_text())["cases"]
TAUGHT = {case["name"]: case for case in CASES if case["name"].startswith("teacher")}
LOGITS = LossOptions(labels="dense", labels_source="logits")


def numbers(values, dtype=float):
    return np.array([[float(x) for x in row] for row in values], dtype)


@pytest.mark.parametrize("name", TAUGHT)
def test_cross_entropy_and_divergence_are_those_of_the_reference(name):
    case = TAUGHT[name]
    student, teacher = numbers(case["logits"], case["dtype"]), numbers(case["teacher"], case["dtype"])
    found = teacher_cross_entropy(student, teacher, LOGITS)
    np.testing.assert_allclose(found.loss, [float(x) for x in case["loss"]], rtol=1e-13)
    expected = np.array([float(x) for x in case["kl"]])
    np.testing.assert_allclose(found.kl, expected, rtol=2e-5, atol=0)


@pytest.mark.parametrize("distance", [1.0, 1e-3, 1e-6, 1e-9])
def test_a_divergence_from_a_near_teacher_keeps_its_digits(distance):
    rng = np.random.default_rng(0)
    student = rng.normal(0, 3, (20, 7))
    teacher = student + distance * rng.normal(size=(20, 7))
    found = teacher_cross_entropy(student, teacher, LOGITS).kl
    expected = [kl_mp(z.tolist(), t.tolist()) for z, t in zip(student, teacher, strict=True)]
    # What is left is the rounding of the differences of probabilities, relative to the differences themselves.
    np.testing.assert_allclose(found, expected, rtol=max(1e-12, 1e-14 / distance))


def test_the_same_outputs_diverge_by_exactly_0_and_shifted_ones_too():
    z = np.random.default_rng(0).integers(-8, 8, (50, 9)).astype(float)
    assert not teacher_cross_entropy(z, z, LOGITS).kl.any()
    assert not teacher_cross_entropy(z, z + 4.0, LOGITS).kl.any()


def test_probabilities_and_their_logarithms_teach_as_logits_do():
    rng = np.random.default_rng(0)
    student, teacher = rng.normal(size=(30, 5)), rng.normal(size=(30, 5))
    log_q = teacher - np.log(np.exp(teacher).sum(axis=1, keepdims=True))
    expected = [teacher_cross_entropy_mp(z.tolist(), t.tolist()) for z, t in zip(student, teacher, strict=True)]
    for source, given in (("logits", teacher), ("log-probs", log_q), ("probs", np.exp(log_q))):
        options = LossOptions(labels="dense", labels_source=source)
        np.testing.assert_allclose(teacher_cross_entropy(student, given, options).loss, expected, rtol=1e-14)


def test_the_gradient_is_p_minus_q_also_where_they_nearly_agree():
    rng = np.random.default_rng(0)
    student = rng.normal(size=(10, 4))
    teacher = student + 1e-7 * rng.normal(size=(10, 4))
    found = teacher_cross_entropy(student, teacher, LOGITS, gradient_dtype="f8").gradient
    import mpmath

    for z, t, row in zip(student, teacher, found, strict=True):
        with mpmath.workdps(50):
            p = [mpmath.exp(x) for x in z.tolist()]
            q = [mpmath.exp(x) for x in t.tolist()]
            expected = [float(a / sum(p) - b / sum(q)) for a, b in zip(p, q, strict=True)]
        np.testing.assert_allclose(row, expected, rtol=1e-7)


def test_rows_that_are_no_distribution_are_nan_and_impossible_classes_may_agree():
    inf = math.inf
    student = np.array([[0.0, math.nan], [0.0, -inf], [0.0, -inf], [-inf, -inf]])
    teacher = np.array([[0.0, 0.0], [0.0, -inf], [0.0, 0.0], [0.0, 0.0]])
    found = teacher_cross_entropy(student, teacher, LOGITS)
    np.testing.assert_array_equal(found.loss, [math.nan, 0.0, inf, math.nan])
    np.testing.assert_array_equal(found.kl, [math.nan, 0.0, inf, math.nan])
