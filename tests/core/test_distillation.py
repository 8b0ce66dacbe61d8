import dataclasses
import json
import math
from pathlib import Path

import mpmath
import numpy as np
import pytest

from tests.oracles.reference import gradient_mp, log_softmax_mpf, teacher_cross_entropy_mp
from tests.running_kernel import running
from xent_cli.core.kernel import distillation
from xent_cli.core.options import LossOptions

CASES = json.loads((Path(__file__).parents[1] / "oracles" / "options.json").read_text())["cases"]
TAUGHT = {case["name"]: case for case in CASES if case["name"].startswith("teacher")}
LOGITS = LossOptions(labels="dense", labels_source="logits")
pytestmark = pytest.mark.usefixtures("kernel")


def teacher_cross_entropy(student, teacher, options, **outputs):
    return distillation.teacher_cross_entropy(student, teacher, running(options), **outputs)


def numbers(values, dtype=float):
    return np.array([[float(x) for x in row] for row in values], dtype)


@pytest.mark.parametrize("name", TAUGHT)
def test_cross_entropy_and_divergence_are_those_of_the_reference(name):
    case = TAUGHT[name]
    student, teacher = numbers(case["logits"], case["dtype"]), numbers(case["teacher"], case["dtype"])
    found = teacher_cross_entropy(student, teacher, LOGITS)
    np.testing.assert_allclose(found.loss, [float(x) for x in case["loss"]], rtol=1e-13)
    expected = np.array([float(x) for x in case["kl"]])
    np.testing.assert_allclose(found.kl, expected, rtol=1e-12, atol=0)


@pytest.mark.parametrize("offset", [0.0, 1000.0])
@pytest.mark.parametrize("temperature", [1.0, 2.0, 0.7])
@pytest.mark.parametrize("size", [0.3, 300.0])
@pytest.mark.parametrize("distance", [100.0, 1.0, 0.4, 0.1, 1e-3, 3e-5, 1e-6, 1e-9, 1e-12])
def test_divergence_and_gradient_keep_their_digits_at_every_distance(distance, size, temperature, offset):
    rng = np.random.default_rng(0)
    student = rng.normal(0, size, (4, 5))
    teacher = student / temperature + distance * rng.normal(size=(4, 5)) + offset
    teacher[0, 1] -= 40.0  # one class far off among near ones
    options = dataclasses.replace(LOGITS, temperature=temperature)
    found = teacher_cross_entropy(student, teacher, options, gradient_dtype="f8")
    for i, (z, t) in enumerate(zip(student.tolist(), teacher.tolist(), strict=True)):
        loss, kl, gradient = reference(z, t, temperature)
        assert found.loss[i] == pytest.approx(loss, rel=1e-12, abs=1e-300)
        assert found.kl[i] == pytest.approx(kl, rel=1e-12, abs=1e-300)
        np.testing.assert_allclose(found.gradient[i], gradient, rtol=1e-12, atol=1e-300)


def reference(z, t, temperature, teacher_temperature=1.0):
    """Compute loss, divergence and its gradient with respect to z in 700 digits, so that 1 - 1e-300 is not 1."""
    with mpmath.workdps(700):
        own, p = log_softmax_mpf(z, temperature)
        taught, q = log_softmax_mpf(t, teacher_temperature)
        loss = mpmath.fsum(b * a for a, b in zip(own, q, strict=True))
        kl = mpmath.fsum(c * (a - b) for a, b, c in zip(own, taught, q, strict=True))
        return float(loss), float(kl), [float((a - b) / temperature) for a, b in zip(p, q, strict=True)]


@pytest.mark.parametrize(
    ("source", "taught"), [("probs", "logits"), ("logits", "probs"), ("probs", "probs"), ("log-probs", "log-probs")]
)
def test_a_near_teacher_given_as_probabilities_diverges_by_their_own_sum(source, taught):
    rng = np.random.default_rng(3)
    z = rng.normal(size=(20, 6))
    given = []
    for kind, logits in ((source, z), (taught, z + 0.01 * rng.normal(size=(20, 6)))):
        p = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
        given.append(logits if kind == "logits" else p if kind == "probs" else np.log(p))
    options = LossOptions(source=source, labels="dense", labels_source=taught)
    found = teacher_cross_entropy(*given, options).kl
    for i in range(20):
        with mpmath.workdps(50):
            log_p, log_q = (logarithms(a[i].tolist(), kind) for a, kind in zip(given, (source, taught), strict=True))
            expected = float(mpmath.fsum(mpmath.exp(b) * (b - a) for a, b in zip(log_p, log_q, strict=True)))
        assert found[i] == pytest.approx(expected, rel=1e-9, abs=1e-15)


@pytest.mark.parametrize("distance", [0.1, 1e-3, 1e-6, 1e-9])
def test_given_probabilities_diverge_up_to_a_rounding_of_each_class_at_every_distance(distance):
    rng = np.random.default_rng(7)
    p = rng.dirichlet(np.ones(6), 20)
    q = p * (1 + distance * rng.uniform(-1, 1, p.shape))
    q[:, 0] = 1e-12 * p[:, 0]  # one class far off among near ones
    options = LossOptions(source="probs", labels="dense", labels_source="probs")
    for found, own, other in zip(teacher_cross_entropy(p, q, options).kl, p.tolist(), q.tolist(), strict=True):
        with mpmath.workdps(50):
            terms = [mpmath.mpf(b) * mpmath.log(mpmath.mpf(b) / mpmath.mpf(a)) for a, b in zip(own, other, strict=True)]
            assert abs(found - mpmath.fsum(terms)) <= 8 * np.finfo(float).eps * mpmath.fsum(map(abs, terms))


@pytest.mark.parametrize("source", ["logits", "log-probs", "probs"])
@pytest.mark.parametrize("taught", ["logits", "log-probs", "probs"])
def test_the_divergence_is_that_of_what_is_given_whichever_side_does_not_sum_to_1(source, taught):
    rng = np.random.default_rng(4)
    given = []
    for kind in (source, taught):
        weights = rng.dirichlet(np.ones(5), 10) * (1.0 if kind == "logits" else 0.75)
        given.append(weights if kind == "probs" else np.log(weights))
    found = teacher_cross_entropy(*given, LossOptions(source=source, labels="dense", labels_source=taught)).kl
    p, q = (side if kind == "probs" else np.exp(side) for side, kind in zip(given, (source, taught), strict=True))
    np.testing.assert_allclose(found, (q * np.log(q / p)).sum(axis=1), rtol=1e-12, atol=1e-14)


def logarithms(row, kind):
    if kind == "logits":
        return [-loss for loss in log_softmax_mpf(row)[0]]
    return [mpmath.log(mpmath.mpf(x)) if kind == "probs" else mpmath.mpf(x) for x in row]


def test_a_teacher_that_does_not_sum_to_1_may_diverge_by_less_than_0():
    student, teacher = np.array([[0.5, 0.5]]), np.array([[0.25, 0.25]])
    options = LossOptions(source="probs", labels="dense", labels_source="probs")
    found = teacher_cross_entropy(student, teacher, options)
    assert found.kl.tolist() == pytest.approx([0.5 * math.log(0.5)], rel=1e-15)
    assert found.loss.tolist() == pytest.approx([-0.5 * math.log(0.5)], rel=1e-15)


@pytest.mark.parametrize("taught", ["logits", "log-probs", "probs"])
@pytest.mark.parametrize("temperature", [1.0, 2.0])
def test_the_gradient_is_scaled_by_row_and_divided_by_the_temperature(taught, temperature):
    rng = np.random.default_rng(1)
    # Probabilities are used as given, even if they do not sum to 1.
    z, q = rng.normal(size=(3, 4)), rng.dirichlet(np.ones(4), 3) * (1.0 if taught == "logits" else 0.75)
    teacher = q if taught == "probs" else np.log(q)
    scale = np.array([0.5, 1.0, 2.0])
    options = LossOptions(labels="dense", labels_source=taught, temperature=temperature)
    found = teacher_cross_entropy(z, teacher, options, gradient_dtype="f8", gradient_scale=scale).gradient
    e = np.exp((z / temperature).astype(np.longdouble))
    p = e / e.sum(axis=1, keepdims=True)
    expected = (q.sum(axis=1, keepdims=True) * p - q) * (scale / temperature)[:, np.newaxis]
    np.testing.assert_allclose(found, expected.astype(float), rtol=1e-12)


def test_the_gradient_keeps_its_digits_where_a_given_teacher_and_the_student_are_sure_of_one_class():
    # p of class 0 is about 1 - 3e-31, so that p - q has no digits.
    z, q = np.array([[70.0, 0.0, -1.0]]), np.array([[0.75, 0.25, 0.0], [1.0, 0.0, 0.0], [1.0, 1e-20, 0.0]])
    for taught in ("probs", "log-probs"):
        with np.errstate(divide="ignore"):
            teacher = q if taught == "probs" else np.log(q)
        options = LossOptions(labels="dense", labels_source=taught)
        found = teacher_cross_entropy(z.repeat(3, axis=0), teacher, options, gradient_dtype="f8").gradient
        for row, own in zip(found, q.tolist(), strict=True):
            np.testing.assert_allclose(row, gradient_mp(z[0].tolist(), own), rtol=1e-12)


@pytest.mark.parametrize("far", [300.0, 600.0, 720.0, 735.0, 744.0, 800.0, 1e5])
@pytest.mark.parametrize("temperature", [1.0, 3.0])
def test_divergence_is_accurate_if_one_side_nearly_excludes_a_class(far, temperature):
    near, apart = [0.5, 0.0, -0.25], [0.25, -far, 0.0]
    for z, t in ((near, apart), (apart, near), ([far, 0.0, 1.0], [0.0, far, 1.0])):
        options = dataclasses.replace(LOGITS, temperature=temperature)
        found = teacher_cross_entropy(np.array([z]), np.array([t]), options, gradient_dtype="f8")
        loss, kl, gradient = reference(z, t, temperature)
        assert found.loss[0] == pytest.approx(loss, rel=1e-12)
        assert found.kl[0] == pytest.approx(kl, rel=1e-12)
        np.testing.assert_allclose(found.gradient[0], gradient, rtol=1e-12, atol=1e-300)


@pytest.mark.parametrize("source", ["logits", "log-probs", "probs"])
def test_a_teacher_that_is_sure_diverges_by_the_loss_of_its_class(source):
    p = np.array([[0.5, 0.25, 0.25]])
    student = p if source == "probs" else np.log(p)
    for taught in ("log-probs", "probs"):
        with np.errstate(divide="ignore"):
            teacher = np.array([[0.0, 1.0, 0.0]]) if taught == "probs" else np.log([[0.0, 1.0, 0.0]])
        options = LossOptions(source=source, labels="dense", labels_source=taught)
        found = teacher_cross_entropy(student, teacher, options)
        assert (found.loss[0], found.kl[0]) == pytest.approx((math.log(4), math.log(4)), rel=1e-15)


def test_opposite_logits_near_the_end_of_the_range_do_not_overflow_before_they_are_divided():
    z, t = np.array([[1.5e308, -1.5e308]]), np.array([[0.0, 0.0]])
    options = dataclasses.replace(LOGITS, temperature=1e10)
    found = teacher_cross_entropy(z, t, options)
    assert found.loss.tolist() == pytest.approx([1.5e298], rel=1e-15)
    assert found.kl.tolist() == pytest.approx([1.5e298], rel=1e-15)


@pytest.mark.parametrize("teacher_temperature", [0.25, 3.0])
@pytest.mark.parametrize("temperature", [1.0, 3.0])
def test_each_side_is_divided_by_a_temperature_of_its_own(temperature, teacher_temperature):
    rng = np.random.default_rng(5)
    student, teacher = rng.normal(0, 5, (6, 7)), rng.normal(0, 5, (6, 7))
    options = dataclasses.replace(LOGITS, temperature=temperature, teacher_temperature=teacher_temperature)
    found = teacher_cross_entropy(student, teacher, options, gradient_dtype="f8")
    for i, (z, t) in enumerate(zip(student.tolist(), teacher.tolist(), strict=True)):
        loss, kl, gradient = reference(z, t, temperature, teacher_temperature)
        assert (found.loss[i], found.kl[i]) == pytest.approx((loss, kl), rel=1e-12)
        np.testing.assert_allclose(found.gradient[i], gradient, rtol=1e-12, atol=1e-300)
    # Equal after the division, which is exact for a power of two.
    options = dataclasses.replace(LOGITS, temperature=0.5, teacher_temperature=2.0)
    assert not teacher_cross_entropy(student, 4 * student, options).kl.any()


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


def test_rows_that_are_not_a_distribution_are_nan_and_impossible_classes_may_agree():
    inf = math.inf
    student = np.array([[0.0, math.nan], [0.0, -inf], [0.0, -inf], [-inf, -inf]])
    teacher = np.array([[0.0, 0.0], [0.0, -inf], [0.0, 0.0], [0.0, 0.0]])
    found = teacher_cross_entropy(student, teacher, LOGITS, gradient_dtype="f8")
    assert np.isnan(found.gradient).tolist() == [[True] * 2, [False] * 2, [False] * 2, [True] * 2]
    np.testing.assert_array_equal(found.loss, [math.nan, 0.0, inf, math.nan])
    np.testing.assert_array_equal(found.kl, [math.nan, 0.0, inf, math.nan])


def test_the_gradient_of_a_row_without_a_distribution_is_nan_in_every_class():
    student, teacher = np.array([[0.5, -math.inf], [0.5, 0.0]]), np.array([[-math.inf, -math.inf], [math.nan, 0.0]])
    for taught in ("logits", "log-probs"):
        options = LossOptions(labels="dense", labels_source=taught)
        found = teacher_cross_entropy(student, teacher, options, gradient_dtype="f8")
        assert np.isnan(found.gradient).all()


@pytest.mark.parametrize("distance", [1.0, 1e-3, 1e-6, 1e-9])
def test_rows_divided_by_their_sums_diverge_by_no_less_than_0_and_with_all_digits(distance):
    rng = np.random.default_rng(0)
    p = rng.dirichlet(np.ones(6), 20)
    q = p * (1 + distance * rng.uniform(-0.5, 0.5, p.shape))
    q /= q.sum(axis=1, keepdims=True)
    options = LossOptions(source="probs", labels="dense", labels_source="probs", normalize=True)
    found = teacher_cross_entropy(p, q, options).kl
    for row, own, other in zip(found, p.tolist(), q.tolist(), strict=True):
        with mpmath.workdps(60):
            a, b = ([mpmath.mpf(x) / mpmath.fsum(map(mpmath.mpf, xs)) for x in xs] for xs in (own, other))
            expected = float(mpmath.fsum(y * mpmath.log(y / x) for x, y in zip(a, b, strict=True)))
        assert row == pytest.approx(expected, rel=max(1e-12, 3e-15 / distance))
        assert row >= 0
    assert not teacher_cross_entropy(p, p, options).kl.any()
