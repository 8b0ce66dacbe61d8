import json
import math
from dataclasses import replace
from pathlib import Path

import mpmath
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from benchmarks.kernel_coefficients import coefficients
from tests.oracles.reference import cross_entropy_mp, gradient_mp
from tests.running_kernel import COMPILED, running
from xent_cli.core.kernel import compiled
from xent_cli.core.kernel import cross_entropy as kernels
from xent_cli.core.kernel.cross_entropy import reference
from xent_cli.core.kernel.tiles import rows_per_tile
from xent_cli.core.options import LossOptions
from xent_cli.errors import XentError

ORACLES = Path(__file__).parents[1] / "oracles"
PRECISE = np.load(ORACLES / "high_precision.npz")
CASES = sorted(name.removesuffix("_loss") for name in PRECISE.files if name.endswith("_loss"))
OPTION_CASES = [c for c in json.loads((ORACLES / "options.json").read_text())["cases"] if "labels" in c]

PLAIN = LossOptions()
SINGLE = LossOptions(precision="float32")
NAN, INF = math.nan, math.inf
pytestmark = pytest.mark.usefixtures("kernel")


def cross_entropy(logits, labels, options=PLAIN, **outputs):
    return kernels.cross_entropy(logits, labels, running(options), **outputs)


def ulps(found, expected, dtype=np.float64):
    """Return the distance in units in the last place of `expected` rounded to `dtype`; 0 for equal values."""
    rounded = np.asarray(expected).astype(dtype).astype(np.float64)
    same = (found == expected) | (found == rounded)
    with np.errstate(invalid="ignore"):
        return np.where(same, 0.0, np.abs(found - expected) / np.spacing(np.abs(rounded).astype(dtype)))


def excess(found, expected, relative):
    """Return the error as a multiple of the allowed one: a relative error, or 4 ULP if that is more."""
    found, expected = np.asarray(found), np.asarray(expected)
    with np.errstate(invalid="ignore"):
        allowed = np.maximum(relative * np.abs(expected), 4 * np.spacing(np.abs(expected)))
        return np.where(found == expected, 0.0, np.abs(found - expected) / allowed)


def one(row, label, options=PLAIN, dtype=np.float64):
    """Return the loss and the gradient of one row."""
    label = np.asarray(label)
    if label.ndim:
        options = LossOptions(labels="dense", label_smoothing=options.label_smoothing)
    found = cross_entropy(np.array([row], dtype), label[np.newaxis], options, gradient_dtype=np.float64)
    return found.loss[0], found.gradient[0].tolist()


def evaluate(logits, labels, options=PLAIN, scale=None):
    return cross_entropy(logits, labels, options, gradient_dtype=np.float64, gradient_scale=scale)


def same_bits(a, b):
    return np.array_equal(a.loss, b.loss, equal_nan=True) and np.array_equal(a.gradient, b.gradient, equal_nan=True)


def ordinary(n, k, seed=0, dtype=np.float64, sigma=3.0):
    rng = np.random.default_rng([seed, n, k])
    return (rng.normal(size=(n, k)) * sigma).astype(dtype), rng.integers(0, k, n)


# --- accuracy, against arbitrary precision


@pytest.mark.parametrize("name", CASES)
def test_losses_are_those_of_high_precision(name):
    logits, labels = PRECISE[f"{name}_logits"], PRECISE[f"{name}_labels"].astype(np.int64)
    expected = PRECISE[f"{name}_loss"]
    found = cross_entropy(logits, labels, PLAIN).loss
    if logits.dtype == np.float64:
        assert excess(found, expected, 1e-13).max() <= 1
    else:
        assert ulps(found, expected).max() <= 4


@pytest.mark.parametrize("name", CASES)
def test_losses_in_single_precision_are_within_8_ulp_of_it(name):
    logits, labels = PRECISE[f"{name}_logits"], PRECISE[f"{name}_labels"].astype(np.int64)
    found = cross_entropy(logits, labels, SINGLE).loss
    assert ulps(found, PRECISE[f"{name}_loss"], np.float32).max() <= 8


@pytest.mark.parametrize("name", [name for name in CASES if f"{name}_gradient" in PRECISE.files])
def test_gradients_are_those_of_high_precision(name):
    logits, labels = PRECISE[f"{name}_logits"], PRECISE[f"{name}_labels"].astype(np.int64)
    assert excess(evaluate(logits, labels).gradient, PRECISE[f"{name}_gradient"], 1e-12).max() <= 1


@pytest.mark.parametrize("case", OPTION_CASES, ids=lambda case: case["name"])
def test_losses_with_options_are_those_of_high_precision(case):
    weight = case["options"].get("class_weight")
    labels = np.array(case["labels"])
    options = LossOptions(
        **case["options"] | ({} if weight is None else {"class_weight": np.array(weight)}),
        labels="sparse" if labels.ndim == 1 else "dense",
    )
    logits = np.array([[float(x) for x in row] for row in case["logits"]], case["dtype"])
    found = cross_entropy(logits, labels, options).loss
    assert excess(found, [float(x) for x in case["loss"]], 1e-13).max() <= 1


@given(
    st.lists(st.floats(-800, 800, width=32), min_size=1, max_size=6),
    st.integers(0, 5),
    st.sampled_from(["float16", "float32"]),
)
def test_any_narrow_row_is_within_4_ulp(row, label, dtype):
    stored = np.array(row).astype(dtype)
    label %= len(row)
    assert ulps(one(stored, label, dtype=dtype)[0], cross_entropy_mp(stored.tolist(), label)) <= 4


@given(st.lists(st.floats(-1e6, 1e6), min_size=1, max_size=6), st.integers(0, 5), st.sampled_from([1.0, 0.3, 7.0]))
def test_any_row_at_any_temperature_is_within_1e_13(row, label, temperature):
    label %= len(row)
    found = one(row, label, LossOptions(temperature=temperature))[0]
    assert excess(found, cross_entropy_mp(row, label, temperature=temperature), 1e-13) <= 1


@given(
    st.lists(st.tuples(st.floats(-700, 700), st.floats(0, 10)), min_size=1, max_size=6),
    st.sampled_from([0.0, 0.1, 0.875]),
)
def test_any_dense_row_is_within_1e_13(pairs, smoothing):
    row, target = (list(column) for column in zip(*pairs, strict=True))
    found = one(row, target, LossOptions(label_smoothing=smoothing))[0]
    assert excess(found, cross_entropy_mp(row, target, label_smoothing=smoothing), 1e-13) <= 1


@settings(max_examples=50)
@given(st.lists(st.floats(-750, 750, width=32), min_size=2, max_size=5), st.integers(0, 4))
def test_any_gradient_entry_is_within_1e_12(row, label):
    label %= len(row)
    assert excess(one(row, label, dtype=np.float32)[1], gradient_mp(row, label), 1e-12).max() <= 1


@pytest.mark.parametrize("k", [2, 10, 64, 65, 1000])
@pytest.mark.parametrize("margin", [600.0, 708.5, 740.0, 744.875, 745.5, 748.0])
@pytest.mark.parametrize("dtype", [np.float16, np.float32, np.float64])
def test_sums_of_subnormal_terms_keep_their_digits(k, margin, dtype):
    row = np.zeros(k, dtype)
    row[k // 2] = margin
    expected = cross_entropy_mp(row.tolist(), k // 2)
    assert ulps(one(row, k // 2, dtype=dtype)[0], expected) <= 4


@pytest.mark.parametrize("k", [10, 33, 64, 100, 1000])
@pytest.mark.parametrize("options", [PLAIN, SINGLE], ids=["float64", "float32"])
def test_equal_others_do_not_add_up_their_roundings(k, options):
    rng = np.random.default_rng(0)
    logits = np.repeat(-rng.uniform(1, 12, (1000, 1)).astype(np.float32), k, axis=1)
    logits[:, 0] = rng.choice([0, 0.1, 1.7], 1000)
    with mpmath.workdps(60):
        gaps = [mpmath.mpf(other) - mpmath.mpf(top) for top, other in logits[:, :2].tolist()]
        expected = np.array([float(mpmath.log1p((k - 1) * mpmath.exp(gap))) for gap in gaps])
    found = cross_entropy(logits, np.zeros(1000, np.int64), options).loss
    assert ulps(found, expected, options.dtype).max() <= (4 if options is PLAIN else 8)


# --- edge cases, row by row

EDGES = {
    "-inf logit, label elsewhere": ([0.0, -INF, 0.0], 0, math.log(2), [-0.5, 0.0, 0.5]),
    "label on a -inf logit": ([0.0, -INF, 0.0], 1, INF, [0.5, -1.0, 0.5]),
    "NaN in the row": ([0.0, NAN, 0.0], 0, NAN, [NAN] * 3),
    "NaN at the label": ([0.0, NAN, 0.0], 1, NAN, [NAN] * 3),
    "+inf logit": ([0.0, INF, 0.0], 0, NAN, [NAN] * 3),
    "+inf logit at the label": ([0.0, INF, 0.0], 1, NAN, [NAN] * 3),
    "all -inf": ([-INF, -INF, -INF], 0, NAN, [NAN] * 3),
    "NaN beside -inf": ([-INF, NAN, -INF], 0, NAN, [NAN] * 3),
    "dense zero label on a -inf logit": ([0.0, -INF, 0.0], [1.0, 0.0, 0.0], math.log(2), [-0.5, 0.0, 0.5]),
    "dense label on a -inf logit": ([0.0, -INF, 0.0], [0.5, 0.5, 0.0], INF, [0.0, -0.5, 0.5]),
    "dense label, NaN in the row": ([0.0, NAN, 0.0], [1.0, 0.0, 0.0], NAN, [NAN] * 3),
    "dense label, +inf logit": ([0.0, INF, 0.0], [0.0, 1.0, 0.0], NAN, [NAN] * 3),
    "dense label, all -inf": ([-INF, -INF, -INF], [0.0, 0.0, 0.0], NAN, [NAN] * 3),
    "dense labels that are all 0": ([1.0, 2.0, 3.0], [0.0, 0.0, 0.0], 0.0, [0.0] * 3),
    "only one class is possible": ([-INF, 7.0, -INF], 1, 0.0, [0.0] * 3),
    "one class": ([5.0], 0, 0.0, [0.0]),
    "one class, dense": ([5.0], [0.25], 0.0, [0.0]),
    "one class, -inf": ([-INF], 0, NAN, [NAN]),
    "largest and smallest float64": ([1.7e308, -1.7e308], 0, 0.0, [0.0, 0.0]),
}


@pytest.mark.parametrize("wide", [False, True], ids=["by class", "by sample"])
@pytest.mark.parametrize("options", [PLAIN, SINGLE, LossOptions(temperature=1.0 + 2**-30)], ids=["64", "32", "T"])
@pytest.mark.parametrize("name", EDGES)
def test_edge_cases_give_what_the_table_says_and_leave_their_neighbours_alone(name, options, wide):
    row, label, loss, gradient = EDGES[name]
    dense = isinstance(label, list)
    if wide:  # impossible classes change nothing
        row = row + [-INF] * 70
        gradient = gradient + [NAN if math.isnan(loss) else 0.0] * 70
        label = label + [0.0] * 70 if dense else label
    options = LossOptions(
        labels="dense" if dense else "sparse", precision=options.precision, temperature=options.temperature
    )
    neighbour = [0.25] * len(row)
    target = np.eye(len(row))[0] if dense else 0
    found = evaluate(np.array([neighbour, row, neighbour]), np.array([target, label, target]), options)
    tolerance = {"rel": 1e-6, "abs": 1e-300, "nan_ok": True}
    assert found.loss[1] == pytest.approx(loss, **tolerance)
    assert found.gradient[1].tolist() == pytest.approx(gradient, **tolerance)
    assert found.loss[[0, 2]] == pytest.approx(math.log(len(row)), rel=1e-6)
    assert np.isfinite(found.gradient[[0, 2]]).all()


def test_no_rows_have_no_losses():
    found = evaluate(np.empty((0, 3)), np.empty(0, np.int64))
    assert found.loss.shape == (0,)
    assert found.gradient.shape == (0, 3)


def test_a_class_without_weight_costs_nothing_even_where_it_is_impossible():
    options = LossOptions(class_weight=np.array([0.0, 1.0]))
    assert one([-INF, 0.0], 0, options) == (0.0, [0.0, 0.0])


# --- laws

layouts = st.sampled_from([1, 2, 3, 10, 31, 63, 64, 65, 66, 100, 127, 128, 129, 130])
option_sets = st.sampled_from(
    [
        {},
        {"precision": "float32"},
        {"temperature": 0.7},
        {"label_smoothing": 0.1},
        {"label_smoothing": 0.1, "weighted": True, "precision": "float32"},
        {"weighted": True},
        {"labels": "dense"},
        {"labels": "dense", "label_smoothing": 0.1, "weighted": True},
    ]
)


def problem(n, k, given_options, seed, dtype=np.float32):
    """Return logits, with hard rows among them, labels, options and the scale of the gradient."""
    rng = np.random.default_rng([seed, n, k])
    logits = (rng.normal(size=(n, k)) * rng.choice([1.0, 30.0, 300.0], size=(n, 1))).astype(dtype)
    logits[rng.random(size=n) < 0.1] = 1.0  # ties
    logits[rng.random(size=(n, k)) < 0.02] = -np.inf
    logits[rng.random(size=(n, k)) < 0.002] = np.nan
    weighted = given_options.get("weighted")
    options = LossOptions(
        **{name: value for name, value in given_options.items() if name != "weighted"},
        class_weight=rng.uniform(0, 2, k) if weighted else None,
    )
    labels = rng.integers(0, k, n) if options.labels == "sparse" else rng.uniform(0, 1, (n, k))
    return logits, labels, options, rng.uniform(0.5, 2, n)


@given(layouts, option_sets, st.integers(0, 2**32), st.lists(st.integers(1, 9), min_size=1, max_size=5))
def test_no_partition_of_the_rows_changes_a_bit(k, given_options, seed, sizes):
    logits, labels, options, scale = problem(40, k, given_options, seed)
    whole = evaluate(logits, labels, options, scale)
    first, turn = 0, 0
    while first < len(logits):
        rows = slice(first, first + sizes[turn % len(sizes)])
        part = evaluate(logits[rows], labels[rows], options, scale[rows])
        assert np.array_equal(part.loss, whole.loss[rows], equal_nan=True)
        assert np.array_equal(part.gradient, whole.gradient[rows], equal_nan=True)
        first, turn = rows.stop, turn + 1


@pytest.mark.parametrize("k", range(1, 131))
@pytest.mark.parametrize("precision", ["float64", "float32"])
def test_one_row_alone_has_the_bits_it_has_among_others(k, precision):
    logits, labels, options, scale = problem(24, k, {"precision": precision}, seed=1)
    whole = evaluate(logits, labels, options, scale)
    for i in range(len(logits)):
        alone = evaluate(logits[i : i + 1], labels[i : i + 1], options, scale[i : i + 1])
        assert np.array_equal(alone.loss, whole.loss[i : i + 1], equal_nan=True)
        assert np.array_equal(alone.gradient, whole.gradient[i : i + 1], equal_nan=True)


@pytest.mark.parametrize("k", [2, 64, 65, 40_000])
def test_rows_of_several_tiles_have_the_bits_they_have_alone(k):
    n = 3 * (2 << 20) // (8 * k) + 5
    logits, labels = ordinary(n, k, dtype=np.float32)
    whole = cross_entropy(logits, labels, PLAIN).loss
    for i in [0, 1, n // 2, n - 2, n - 1]:
        assert cross_entropy(logits[i : i + 1], labels[i : i + 1], PLAIN).loss[0] == whole[i]


@given(layouts, option_sets, st.integers(0, 2**32))
def test_the_order_and_the_strides_of_memory_change_no_bit(k, given_options, seed):
    logits, labels, options, scale = problem(20, k, given_options, seed)
    whole = evaluate(logits, labels, options, scale)
    spaced = np.empty((40, 3 * k), logits.dtype)
    spaced[::2, ::3] = logits
    spaced_labels = np.repeat(labels, 2, axis=0)
    for variant in (np.asfortranarray(logits), logits.astype(">f4"), spaced[::2, ::3], logits[::-1][::-1]):
        assert same_bits(evaluate(variant, labels, options, scale), whole)
    assert same_bits(evaluate(logits, spaced_labels[::2], options, scale), whole)
    assert same_bits(evaluate(logits, np.asfortranarray(labels), options, scale), whole)


def test_rows_that_share_their_memory_are_read_as_copies_of_each_other():
    row = np.array([0.5, 1.5, -2.0])
    broadcast = np.broadcast_to(row, (5, 3))
    assert same_bits(evaluate(broadcast, np.arange(5) % 3), evaluate(broadcast.copy(), np.arange(5) % 3))


@pytest.mark.parametrize("k", [5, 70])
@pytest.mark.parametrize(
    "dtype", ["b1", "i1", "u1", "i2", "u2", "i4", "u4", "i8", "u8", "f2", "f4", "f8", ">i4", ">u2", ">f2", ">f4", ">f8"]
)
def test_every_dtype_gives_the_answer_of_its_float64_copy(dtype, k):
    logits = np.random.default_rng(k).integers(0, 2 if dtype == "b1" else 100, (30, k)).astype(dtype)
    labels = np.arange(30) % k
    found, copy = evaluate(logits, labels), evaluate(logits.astype(np.float64), labels)
    assert ulps(found.loss, copy.loss).max() <= 4
    assert excess(found.gradient, copy.gradient, 1e-12).max() <= 1


def test_the_input_is_left_as_it_was():
    for k in (3, 70):
        logits, labels, options, scale = problem(9, k, {"labels": "dense", "label_smoothing": 0.1}, seed=3)
        before = logits.copy(), labels.copy(), scale.copy()
        evaluate(logits, labels, options, scale)
        for now, then in zip((logits, labels, scale), before, strict=True):
            assert np.array_equal(now, then, equal_nan=True)


@given(layouts, st.integers(-(10**6), 10**6), st.integers(0, 2**32))
def test_adding_an_integer_to_a_row_of_integers_changes_no_bit(k, shift, seed):
    rng = np.random.default_rng([seed, k])
    logits, labels = rng.integers(-50, 50, (10, k)).astype(np.float64), rng.integers(0, k, 10)
    assert same_bits(evaluate(logits, labels), evaluate(logits + shift, labels))


@given(layouts, st.integers(0, 2**32))
def test_the_order_of_the_classes_does_not_matter(k, seed):
    logits, labels = ordinary(10, k, seed)
    order = np.random.default_rng(seed).permutation(k)
    place = np.argsort(order)
    found, moved = evaluate(logits, labels), evaluate(logits[:, order], place[labels])
    assert ulps(moved.loss, found.loss).max() <= 8
    assert excess(moved.gradient[:, place], found.gradient, 1e-13).max() <= 1


@given(layouts, st.integers(0, 2**32))
def test_a_sparse_label_is_a_dense_one_with_a_single_1(k, seed):
    logits, labels = ordinary(10, k, seed)
    found = evaluate(logits, labels)
    dense = evaluate(logits, np.eye(k)[labels], LossOptions(labels="dense"))
    assert ulps(dense.loss, found.loss).max() <= 8
    assert excess(dense.gradient, found.gradient, 1e-11).max() <= 1


@given(layouts, st.floats(0.0, 1.0, exclude_max=True), st.integers(0, 2**32))
def test_smoothing_is_a_blend_of_the_label_and_a_uniform_row(k, smoothing, seed):
    logits, labels = ordinary(6, k, seed)
    blend = (1 - smoothing) * np.eye(k)[labels] + smoothing / k
    expected = cross_entropy(logits, blend, LossOptions(labels="dense")).loss
    assert (
        excess(cross_entropy(logits, labels, LossOptions(label_smoothing=smoothing)).loss, expected, 1e-13).max() <= 1
    )


# --- gradients


@given(layouts, option_sets, st.integers(0, 2**32))
def test_the_entries_of_a_gradient_add_up_to_nothing(k, given_options, seed):
    logits, labels, options, scale = problem(20, k, given_options | {"precision": "float64"}, seed)
    found = evaluate(logits, labels, options, scale)
    finite = np.isfinite(found.loss)
    size = np.abs(found.gradient[finite]).sum(axis=1)
    # The entry of a class whose probability equals that of its label is near 0: the difference of two larger numbers.
    asked = 0.0 if given_options.keys() <= {"precision", "temperature"} else 2 * k if labels.ndim == 2 else 4.0
    assert (np.abs(found.gradient[finite].sum(axis=1)) <= 1e-13 * (size + asked) + 1e-300).all()


@settings(max_examples=25)
@given(
    st.lists(st.floats(-5, 5), min_size=2, max_size=4),
    st.integers(0, 3),
    st.sampled_from([{}, {"temperature": 0.5}, {"label_smoothing": 0.2}, {"class_weight": [0.5, 2.0, 1.0, 3.0]}]),
)
def test_a_gradient_is_the_slope_of_the_loss(row, label, given_options):
    label %= len(row)
    oracle = dict(given_options)
    if "class_weight" in oracle:
        oracle["class_weight"] = oracle["class_weight"][: len(row)]
    step = mpmath.mpf(2) ** -40
    options = LossOptions(
        **oracle | ({"class_weight": np.array(oracle["class_weight"])} if "class_weight" in oracle else {})
    )
    _, gradient = one(row, label, options)
    for j in range(len(row)):
        with mpmath.workdps(60):
            up, down = ([mpmath.mpf(x) + sign * step * (i == j) for i, x in enumerate(row)] for sign in (1, -1))
            slope = (scalar_loss(up, label, oracle) - scalar_loss(down, label, oracle)) / (2 * step)
        assert gradient[j] == pytest.approx(float(slope), rel=1e-11, abs=1e-18)


def scalar_loss(row, label, options):
    """Compute the loss by its definition in mpmath: the logarithm of a sum of exponentials."""
    z = [x / options.get("temperature", 1) for x in row]
    log_sum = mpmath.log(mpmath.fsum(mpmath.exp(x) for x in z))
    weight = options.get("class_weight", [1] * len(z))
    smoothing = mpmath.mpf(options.get("label_smoothing", 0))
    uniform = smoothing / len(z) * mpmath.fsum(w * (log_sum - x) for w, x in zip(weight, z, strict=True))
    return (1 - smoothing) * weight[label] * (log_sum - z[label]) + uniform


@pytest.mark.parametrize("k", [2, 10, 100, 1000])
@pytest.mark.parametrize("options", [PLAIN, SINGLE], ids=["float64", "float32"])
def test_a_gradient_asked_for_changes_no_bit_of_the_losses(k, options):
    rng = np.random.default_rng(k)
    logits = (3 * rng.normal(size=(4000, k))).astype(np.float32)
    logits[::2, 0] += 12  # confident
    logits[::3, 1] = 1e-12  # its distance from the maximum is not a float64
    labels = np.where(rng.random(4000) < 0.5, logits.argmax(axis=1), rng.integers(0, k, 4000))
    plain = cross_entropy(logits, labels, options).loss
    assert cross_entropy(logits, labels, options, gradient_dtype="f8").loss.tobytes() == plain.tobytes()


def test_a_gradient_is_scaled_and_rounded_to_the_dtype_asked_for():
    logits, labels = ordinary(50, 7)
    scale = np.linspace(0.1, 3, 50)
    full = cross_entropy(logits, labels, PLAIN, gradient_dtype=np.float64)
    for dtype in (np.float64, np.float32, np.float16):
        found = cross_entropy(logits, labels, PLAIN, gradient_dtype=dtype, gradient_scale=scale).gradient
        assert found.dtype == dtype
        wanted = full.gradient * scale[:, np.newaxis]
        assert (np.abs(found - wanted) <= 0.51 * np.spacing(np.abs(wanted).astype(dtype)) + 4e-16).all()


def test_a_gradient_beyond_its_dtype_is_infinite_and_warns_nobody():
    found = cross_entropy(
        np.zeros((1, 2)), np.array([0]), PLAIN, gradient_dtype=np.float16, gradient_scale=np.array([1e6])
    )
    assert found.gradient.tolist() == [[-INF, INF]]


def test_a_confident_row_keeps_the_digits_of_its_gradient():
    loss, gradient = one([40.0, 0.0], 0)
    assert loss == pytest.approx(4.248354255291589e-18, rel=1e-15)
    assert gradient == pytest.approx([-4.248354255291589e-18, 4.248354255291589e-18], rel=1e-15)


# --- other inputs of the kernel


@pytest.mark.parametrize("k", [2, 5, 64, 65, 300])
def test_rows_that_are_probabilities_are_counted(k):
    rng = np.random.default_rng(k)
    uniform, peaked = np.full((1, k), 1 / k), np.eye(k)[:1]
    random = rng.dirichlet(np.full(k, 0.3), 200)
    logits = np.concatenate([random, uniform, peaked, random + 0.1, rng.normal(size=(50, k)), -random])
    labels = np.zeros(len(logits), np.int64)
    assert cross_entropy(logits.astype(np.float32), labels, PLAIN).softmaxed == 202


def test_one_class_and_rows_without_an_answer_are_not_taken_for_probabilities():
    assert cross_entropy(np.ones((5, 1)), np.zeros(5, np.int64), PLAIN).softmaxed == 0
    odd = np.array([[NAN, 1.0], [INF, 0.0], [-INF, -INF], [2.0, -1.0]])
    assert cross_entropy(odd, np.zeros(4, np.int64), PLAIN).softmaxed == 0


@pytest.mark.parametrize("gradient", [None, "f8"])
@pytest.mark.parametrize(("n", "k"), [(40, 60_000), (2, 600_000), (1, 300_000), (3000, 300)])
def test_smoothed_labels_in_more_rows_than_one_tile_cost_what_they_cost_row_by_row(n, k, gradient):
    logits = np.random.default_rng(0).normal(0, 3, (n, k)).astype(np.float32)
    labels = np.arange(n) % k
    options = LossOptions(label_smoothing=0.1)
    found = cross_entropy(logits, labels, options, gradient_dtype=gradient)
    for i in range(0, n, max(1, n // 10)):
        own = cross_entropy(logits[i : i + 1], labels[i : i + 1], options, gradient_dtype=gradient)
        assert found.loss[i] == own.loss[0]
        if gradient:
            np.testing.assert_array_equal(found.gradient[i], own.gradient[0])


def test_a_row_longer_than_a_tile_is_a_tile():
    assert rows_per_tile(10**6) == 1
    for k in (300_000, 600_000):
        logits = np.zeros((1, k), np.float32)
        logits[0, 7] = 3.0
        for gradient in (None, "f4"):
            found = cross_entropy(logits, np.array([7]), LossOptions(), gradient_dtype=gradient)
            assert found.loss[0] == pytest.approx(math.log(k - 1 + math.exp(3.0)) - 3.0, rel=1e-14)


@pytest.mark.parametrize("temperature", [0.7, 1.3, 3.1])
def test_confident_rows_keep_their_digits_at_a_temperature_of_many_bits(temperature):
    margins = np.random.default_rng(1).uniform(130, 690, 60) * temperature
    logits = np.stack([margins, np.zeros(60), -np.ones(60) / 3], axis=1) + np.pi
    found = cross_entropy(logits, np.zeros(60, np.int64), LossOptions(temperature=temperature)).loss
    expected = np.array([cross_entropy_mp(row, 0, temperature=temperature) for row in logits.tolist()])
    assert np.max(np.abs(found - expected) / np.spacing(expected)) <= 4


def test_smoothing_with_classes_of_weight_0_keeps_the_digits_of_float32_arithmetic():
    rng = np.random.default_rng(2)
    logits = (rng.normal(size=(50, 3)) + np.array([90.0, 0.0, 0.0])).astype(np.float32)
    weight = np.array([1.0, 0.0, 0.0])
    options = LossOptions(precision="float32", label_smoothing=0.1, class_weight=weight)
    found = cross_entropy(logits, np.ones(50, np.int64), options).loss
    expected = [cross_entropy_mp(row, 1, label_smoothing=0.1, class_weight=weight.tolist()) for row in logits.tolist()]
    # The error is relative even for the smallest values, which have fewer digits in float32.
    np.testing.assert_allclose(found, expected, rtol=4 * 2.0**-23)


@pytest.mark.parametrize("others", [-2237.0, -30.0, -3.0, 0.0])
def test_the_gradient_at_a_smoothed_label_of_little_weight_keeps_its_digits(others):
    weight = np.array([1.0, 1e-5, 0.0])
    logits = np.array([[others, others, 2.0]])
    options = LossOptions(label_smoothing=0.5, class_weight=weight)
    for label in range(3):
        found = cross_entropy(logits, np.array([label]), options, gradient_dtype="f8").gradient[0]
        expected = gradient_mp(logits[0].tolist(), label, label_smoothing=0.5, class_weight=weight.tolist())
        np.testing.assert_allclose(found, expected, rtol=1e-13, atol=1e-300)


@pytest.mark.parametrize("k", [1, 2, 10, 33, 300, 1000])
@pytest.mark.parametrize("scale", [0.1, 10.0, 300.0])
def test_the_kernel_computes_what_its_plain_reference_does(k, scale):
    rng = np.random.default_rng(k)
    logits, labels = rng.normal(size=(200, k)) * scale, rng.integers(0, k, 200)
    np.testing.assert_allclose(
        cross_entropy(logits, labels, LossOptions()).loss, reference(logits, labels), rtol=1e-13, atol=1e-300
    )


@pytest.mark.parametrize("k", [1, 2, 10, 127, 128, 129, 255, 256, 257, 1000, 5000])
@pytest.mark.parametrize("dtype", [np.float16, np.float32, np.float64])
@pytest.mark.parametrize("options", [PLAIN, LossOptions(temperature=2.5), LossOptions(label_smoothing=0.1)])
def test_every_instruction_set_gives_the_same_bits(k, dtype, options):
    rng = np.random.default_rng(k)
    logits = (rng.normal(size=(40, k)) * rng.choice([0.1, 3, 40, 300], (40, 1))).astype(dtype)
    logits[rng.random(logits.shape) < 0.01] = rng.choice([NAN, INF, -INF, 0.0, 1e-9])
    labels = rng.integers(0, k, 40)
    found = [
        kernels.cross_entropy(logits, labels, replace(options, kernel=name), gradient_dtype=np.float64)
        for name in COMPILED
    ]
    for other in found[1:]:
        assert other.loss.tobytes() == found[0].loss.tobytes()
        assert other.gradient.tobytes() == found[0].gradient.tobytes()


def test_a_compiled_kernel_that_is_not_here_is_refused():
    with pytest.raises(XentError, match="the c-mmx kernel is not available on this machine"):
        kernels.cross_entropy(np.zeros((1, 2)), np.array([0]), LossOptions(kernel="c-mmx"))


# mpmath 1.4 warns about an order that is the only one in 1.3
@pytest.mark.filterwarnings("ignore:Descending:DeprecationWarning")
def test_the_polynomials_of_the_compiled_kernel_are_those_that_are_derived():
    source = (Path(compiled.__file__).parent / "c" / "scalars.h").read_text()
    for constants in coefficients().values():
        assert [constant for constant in constants if constant not in source] == []
