"""The same law for every kernel: the values of a formula in extended precision, and the same bits in every layout."""

import itertools

import numpy as np
import pytest

from tests.running_kernel import running
from xent_cli.core.block import Block
from xent_cli.core.evaluate import evaluate_block
from xent_cli.core.options import LossOptions, Outputs

pytestmark = pytest.mark.usefixtures("kernel")
LONG = np.longdouble
CLASS_WEIGHT = {k: np.random.default_rng(k).uniform(0.2, 3.0, k) for k in (1, 2, 7, 300)}
GIVEN = ("logits", "log-probs", "probs")

KERNELS = {
    "sparse": {},
    "smoothing": {"label_smoothing": 0.1},
    "class weights": {"class_weight": True},
    "smoothing and class weights": {"label_smoothing": 0.3, "class_weight": True},
    "temperature": {"temperature": 0.7},
    "dense": {"labels": "dense"},
    "dense, all at once": {"labels": "dense", "label_smoothing": 0.1, "class_weight": True, "temperature": 3.0},
}
for source in GIVEN[1:]:
    KERNELS[source] = {"source": source}
    KERNELS[f"{source}, smoothing"] = {"source": source, "label_smoothing": 0.1, "class_weight": True}
    KERNELS[f"{source}, dense"] = {"source": source, "labels": "dense"}
for source, taught in itertools.product(GIVEN, GIVEN):
    KERNELS[f"{source} of a teacher's {taught}"] = {"source": source, "labels": "dense", "labels_source": taught}
for taught in GIVEN:
    KERNELS[f"temperature and a teacher's {taught}"] = {"labels": "dense", "labels_source": taught, "temperature": 2.0}


def scattered(a):
    room = np.full((2 * a.shape[0], 3 * a.shape[1]), 77, a.dtype)
    room[1::2, 2::3] = a
    return room[1::2, 2::3]


def read_only(a):
    a = a.copy()
    a.flags.writeable = False
    return a


def in_a_cube(a):
    cube = np.full((a.shape[0], a.shape[1], 2), 77, a.dtype)
    cube[:, :, 1] = a
    return cube[:, :, 1]


LAYOUTS = {
    "Fortran order": np.asfortranarray,
    "classes first": lambda a: a.T.copy().T,
    "classes in the middle": in_a_cube,
    "strided": scattered,
    "negative strides": lambda a: a[::-1, ::-1].copy()[::-1, ::-1],
    "negative strides, Fortran order": lambda a: np.asfortranarray(a[::-1, ::-1])[::-1, ::-1],
    "big-endian": lambda a: a.astype(a.dtype.newbyteorder(">")),
    "big-endian, Fortran order": lambda a: np.asfortranarray(a.astype(a.dtype.newbyteorder(">"))),
    "read-only": read_only,
}


def log_softmax(z):
    z = z - z.max(axis=1, keepdims=True)
    return z - np.log(np.exp(z).sum(axis=1, keepdims=True))


def inputs(options, n, k, spread):
    """Return logits or probabilities, labels of any kind, and weights; float64, in C order."""
    rng = np.random.default_rng([n, k, len(options)])

    def outputs(kind):
        z = rng.normal(0, spread, (n, k))
        return z if kind == "logits" else np.exp(log_softmax(z)) if kind == "probs" else log_softmax(z)

    first, taught = outputs(options.get("source", "logits")), options.get("labels_source", "labels")
    if taught != "labels":
        second = outputs(taught)
    elif options.get("labels") == "dense":
        second = rng.dirichlet(np.ones(k), n) * rng.uniform(0.9995, 1.0005, (n, 1))
    else:
        second = rng.integers(0, k, n)
    return first, second, rng.uniform(0.5, 2.0, n)


def reference(first, second, options):
    """Compute loss, divergence and gradient of each row, directly by the formulas."""
    t, k = LONG(options.temperature), first.shape[1]

    def logarithms(a, kind, divisor):
        a = a.astype(LONG)
        if kind == "probs":
            with np.errstate(divide="ignore"):
                return np.log(a)
        if kind == "log-probs":
            return a
        a = a / divisor - (a / divisor).max(axis=1, keepdims=True)
        return a - np.log(np.exp(a).sum(axis=1, keepdims=True))

    log_p = logarithms(first, options.source, t)
    if options.labels_source != "labels":
        log_q = logarithms(second, options.labels_source, LONG(1))
        a = np.exp(log_q)
    else:
        q = np.eye(k, dtype=LONG)[second] if second.ndim == 1 else second.astype(LONG)
        weight = LONG(1) if options.class_weight is None else options.class_weight.astype(LONG)
        eps = LONG(options.label_smoothing)
        a = weight * ((1 - eps) * q + eps / k)
    with np.errstate(invalid="ignore"):
        loss = np.where(a == 0, 0, a * -log_p).sum(axis=1)
        kl = None if options.labels_source == "labels" else np.where(a == 0, 0, a * (log_q - log_p)).sum(axis=1)
    return loss, kl, (a.sum(axis=1, keepdims=True) * np.exp(log_p) - a) / t


def evaluated(first, second, weight, options):
    gradient = "<f8" if options.source == "logits" else None
    wanted = Outputs(losses=True, gradient_dtype=gradient)
    found = evaluate_block(Block(0, first, second, weight), options, wanted)
    return found, found.totals.losses.summarize()


def made(name, k):
    given = dict(KERNELS[name])
    if given.get("class_weight"):
        given["class_weight"] = CLASS_WEIGHT[k]
    return running(LossOptions(**given))


@pytest.mark.parametrize("k", [1, 2, 7, 300])
@pytest.mark.parametrize("name", KERNELS)
def test_every_kernel_agrees_with_its_formula(name, k):
    options = made(name, k)
    first, second, weight = inputs(KERNELS[name], 40, k, 3.0)
    found, summary = evaluated(first, second, weight, options)
    loss, kl, gradient = reference(first, second, options)
    np.testing.assert_allclose(found.loss, loss.astype(float), rtol=1e-12, atol=1e-15)
    w = weight.astype(LONG)
    by_class = options.class_weight[second] if options.class_weight is not None and second.ndim == 1 else LONG(1)
    assert summary.mean_loss == pytest.approx(float((w * loss).sum() / (w * by_class).sum()), rel=1e-12, abs=1e-15)
    if kl is not None:
        # Probabilities sum to 1 only up to rounding, and are used as given.
        loose = 0.0 if options.source == options.labels_source == "logits" else 1e-15
        np.testing.assert_allclose(found.kl, kl.astype(float), rtol=1e-12, atol=max(loose, 1e-18 * (k == 1)))
        assert summary.kl_divergence == pytest.approx(float((w * kl).sum() / w.sum()), rel=1e-12, abs=1e-15)
    if options.source == "logits":
        expected = (gradient * w[:, np.newaxis]).astype(float)
        np.testing.assert_allclose(found.gradient, expected, rtol=1e-12, atol=1e-17 * (1 + k % 2))


@pytest.mark.parametrize("k", [2, 7, 300])
@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("name", KERNELS)
def test_every_layout_gives_the_same_bits(name, layout, k):
    options, lay = made(name, k), LAYOUTS[layout]
    # The second spread is so wide that some rows are computed again.
    for n, spread in ((40, 3.0), (5, 400.0), (1, 3.0)):
        first, second, weight = inputs(KERNELS[name], n, k, spread)
        other = lay(second) if second.ndim == 2 else lay(second[:, np.newaxis])[:, 0]
        expected, found = (
            evaluated(first, second, weight, options),
            evaluated(lay(first), other, lay(weight[:, np.newaxis])[:, 0], options),
        )
        assert_same(found, expected)


@pytest.mark.parametrize("name", KERNELS)
def test_rows_that_are_one_row_in_memory_give_the_same_bits(name):
    options = made(name, 7)
    first, second, weight = inputs(KERNELS[name], 9, 7, 3.0)
    first, second, weight = (np.broadcast_to(a[:1], a.shape) for a in (first, second, weight))
    assert_same(
        evaluated(first, second, weight, options), evaluated(*(a.copy() for a in (first, second, weight)), options)
    )


@pytest.mark.parametrize("dtype", ["f4", "f2", "i1", "u1", "i2", "i4", "i8", "?"])
@pytest.mark.parametrize("name", [name for name in KERNELS if KERNELS[name].get("source", "logits") == "logits"])
def test_every_dtype_gives_what_its_float64_copy_gives(name, dtype):
    options = made(name, 7)
    first, second, weight = inputs(KERNELS[name], 40, 7, 3.0)
    first = np.abs(first).astype(dtype)
    narrow = KERNELS[name].get("labels_source", "labels") == "logits" or second.ndim == 1
    labels = second.astype(dtype) if narrow and dtype != "?" else second
    labels = np.abs(labels) if labels.ndim == 2 and narrow else labels
    found = evaluated(np.asfortranarray(first), labels, weight, options)
    wide = labels.astype("f8") if labels.ndim == 2 else labels.astype("i8")
    expected = evaluated(first.astype("f8"), wide, weight, options)
    # Differences of float16 logits are exact in float32 and float64, so these rows are not computed again.
    np.testing.assert_allclose(found[0].loss, expected[0].loss, rtol=1e-14, atol=1e-300)
    np.testing.assert_allclose(found[0].gradient, expected[0].gradient, rtol=1e-13, atol=1e-17)
    if expected[0].kl is not None:
        np.testing.assert_array_equal(found[0].kl, expected[0].kl)


def assert_same(found, expected):
    for ours, theirs in zip(found[:1], expected[:1], strict=True):
        np.testing.assert_array_equal(ours.loss, theirs.loss)
        assert (ours.kl is None) == (theirs.kl is None)
        if theirs.kl is not None:
            np.testing.assert_array_equal(ours.kl, theirs.kl)
        if theirs.gradient is not None:
            np.testing.assert_array_equal(ours.gradient, theirs.gradient)
    np.testing.assert_equal(found[1].as_dict(), expected[1].as_dict())
