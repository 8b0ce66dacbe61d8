"""The arithmetic of the compiled kernel by itself: exp, sums of terms that are hard to add, and bfloat16."""

import math

import mpmath
import numpy as np
import pytest

from tests.oracles.reference import cross_entropy_mp
from tests.running_kernel import COMPILED
from xent_cli.core.kernel.compiled import compiled_cross_entropy
from xent_cli.core.kernel.variants import compiled_module
from xent_cli.core.options import LossOptions

pytestmark = pytest.mark.skipif(not COMPILED, reason="no compiled kernel")
FASTEST = LossOptions(kernel=COMPILED[0] if COMPILED else "numpy")


def ulps(found, expected):
    return np.abs((found - expected) / np.spacing(np.asarray(expected, np.float64))).astype(float)


@pytest.mark.skipif(np.finfo(np.longdouble).nmant < 63, reason="no long double of more digits")
@pytest.mark.parametrize("lowest", [-1.0, -40.0, -620.0])
def test_exponentials_are_within_1_1_ulp(lowest):
    x = np.random.default_rng(int(-lowest)).uniform(lowest, 0.0, 300_000)
    found = compiled_cross_entropy(np.stack([np.zeros_like(x), x], axis=1), np.zeros(len(x), np.int64), FASTEST)
    assert ulps(found.sums[1], np.exp(x.astype(np.longdouble))).max() <= 1.1


def geometric(step, count):
    """Return the sum of `count` terms exp(-step), exp(-2 step) and so on."""
    ratio = mpmath.exp(-mpmath.mpf(step))
    return ratio * (1 - ratio**count) / (1 - ratio)


@pytest.mark.parametrize("k", [100, 128, 129, 5000, 200_000])
def test_sums_that_are_hard_to_add_are_within_4_ulp(k):
    equal = np.full(k, -25.0)
    giant = np.full(k, -36.0)
    giant[k // 2] = -0.5
    falling = -np.arange(k) / 64
    equal[k - 1] = giant[k - 1] = 0.0
    with mpmath.workdps(60):
        sums = [
            (k - 1) * mpmath.exp(-25),
            (k - 2) * mpmath.exp(-36) + mpmath.exp(mpmath.mpf(-0.5)),
            geometric(1 / 64, k - 1),
            geometric(1 / 64, k - 1),
        ]
        expected = [float(mpmath.log1p(s)) for s in sums]
    rows = np.stack([equal, giant, falling, falling[::-1]])
    found = compiled_cross_entropy(rows, rows.argmax(axis=1), FASTEST)
    assert ulps(found.loss, expected).max() <= 4


@pytest.mark.parametrize("k", [3, 200])
def test_bfloat16_is_read_as_the_float32_that_it_begins(k):
    ml_dtypes = pytest.importorskip("ml_dtypes")
    narrow = np.random.default_rng(k).normal(0, 4, (40, k)).astype(ml_dtypes.bfloat16)
    narrow[0, 0], narrow[1, 1] = math.inf, -math.inf
    labels = np.arange(40) % k
    for logits in (narrow, np.asfortranarray(narrow)):
        found = compiled_cross_entropy(logits, labels, FASTEST, gradient_dtype="f4")
        wide = compiled_cross_entropy(narrow.astype(np.float32), labels, FASTEST, gradient_dtype="f4")
        np.testing.assert_array_equal(found.loss, wide.loss)
        np.testing.assert_array_equal(found.gradient, wide.gradient)
    assert ulps(found.loss[2], cross_entropy_mp(narrow[2].astype(float).tolist(), 2)) <= 4


@pytest.mark.parametrize("kernel", COMPILED)
@pytest.mark.parametrize("dtype", ["float16", "float32", "float64"])
@pytest.mark.parametrize("temperature", [1.0, 0.7, 3.0])
@pytest.mark.parametrize("k", [9, 100, 200, 1000])
def test_a_class_too_far_off_to_count_is_as_one_that_is_impossible(k, temperature, dtype, kernel):
    # Steps in which all logits are finite are computed with less care than others; their numbers are the same.
    rng = np.random.default_rng(k)
    student = rng.normal(0, 3, (20, k)).astype(dtype)
    teacher = (student + rng.normal(0, 1, (20, 1)) * rng.normal(0, 1, (20, k))).astype(dtype)
    student[:, :3:2], teacher[:, :3:2] = 20, 30  # two are equally likely, so that no sum is computed again
    options = LossOptions(labels="dense", labels_source="logits", temperature=temperature, kernel=kernel)
    found = []
    for lowest in (-3e4, -math.inf):
        student[:, 1::8] = teacher[:, 1::8] = lowest
        found.append(compiled_cross_entropy(student, teacher, options, gradient_dtype="f8"))
    far, impossible = found
    assert [far.loss.tolist(), far.kl.tolist()] == [impossible.loss.tolist(), impossible.kl.tolist()]
    np.testing.assert_array_equal(far.gradient, impossible.gradient)


def direct(**changed):
    """Call the compiled function itself with 4 rows of 3 float32 logits, or what is changed."""
    n, k = 4, 3
    given = {
        "variant": FASTEST.kernel.removeprefix("c-"), "logits": np.zeros((n, k), np.float32), "kind": 1, "holds": 0,
        "labels": np.zeros(n, np.int64), "labels_kind": 0, "labels_hold": 0, "form": 0, "normal": 0, "smoothing": 0.0,
        "temperature": 1.0, "teacher_temperature": 1.0, "weight": None, "scale": None, "loss": np.empty(n),
        "maximum": np.empty(n), "others": np.empty(n), "kl": None, "gradient": None, "gradient_kind": 0,
    }  # fmt: skip
    assert changed.keys() <= given.keys()
    compiled_module().rows(*(given | changed).values())


def test_the_compiled_function_refuses_arrays_of_other_sizes_than_it_is_told():
    direct()
    for changed in (
        {"kind": 0},
        {"logits": np.zeros((4, 3)), "kind": 1},
        {"logits": np.zeros((4, 3), np.float16), "kind": 1},
        {"labels": np.zeros(3, np.int64)},
        {"labels": np.full(4, 3)},
        {"labels": np.full(4, -1)},
        {"loss": np.empty(3)},
        {"loss": np.empty(4, np.float32)},
        {"gradient": np.empty((4, 3), np.float32), "gradient_kind": 0},
        {"gradient": np.empty((4, 2)), "gradient_kind": 0},
        {"gradient": np.empty((4, 6))[:, ::2], "gradient_kind": 0},
        {"form": 1, "labels": np.zeros((4, 2)), "labels_kind": 0},
        {"form": 1, "labels": np.zeros((4, 3), np.float32), "labels_kind": 0},
        {"form": 1, "logits": np.zeros((4, 0), np.float32), "labels": np.zeros((4, 0)), "labels_kind": 0},
        {"form": 2, "labels": np.zeros((4, 3)), "labels_kind": 0},
        {"weight": np.ones(2)},
        {"scale": np.ones(3)},
    ):
        with pytest.raises(ValueError, match=r"values|labels?|gradient|classes|divergence"):
            direct(**changed)
    for required in ("logits", "labels", "loss", "maximum", "others"):
        with pytest.raises(TypeError):
            direct(**{required: None})
    with pytest.raises(ValueError, match="no room for -1 rows"):
        compiled_module().slab_room(-1)
