import math

import ml_dtypes
import mpmath
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.oracles.reference import cross_entropy_mp, naive_scalar, round_mpf
from xent_cli.core.kernel.cross_entropy import cross_entropy
from xent_cli.core.kernel.textbook_formula import FormulaTotals, NaiveTotals, _exp, _judge, try_formulas
from xent_cli.core.options import LossOptions

DTYPES = {name: np.dtype(name) for name in ("float16", "float32", "float64")} | {
    "bfloat16": np.dtype(ml_dtypes.bfloat16)
}
NARROW = ["float16", "bfloat16"]
NAN, INF = math.nan, math.inf


def values(row, label, name):
    """Return the losses of one row by both formulas, as errors from 0; NaN counts as overflow and inf as underflow."""
    both = try_formulas(np.array([row]), np.asarray(label)[np.newaxis], np.zeros(1), DTYPES[name])
    return [NAN if t.n_overflow else INF if t.n_underflow else t.max_abs_error for t in (both.naive, both.stable)]


def judged(row, label, name):
    """Return the counts for one row by the textbook formula, compared with the true loss."""
    truth = np.array([cross_entropy_mp(row, label)])
    naive = try_formulas(np.array([row]), np.array([label]), truth, DTYPES[name]).naive
    said = {
        "ok": naive.n_ok,
        "imprecise": naive.n_imprecise,
        "underflow": naive.n_underflow,
        "overflow": naive.n_overflow,
    }
    assert sum(said.values()) == 1
    return next(name for name, count in said.items() if count)


@pytest.mark.parametrize("name", NARROW)
def test_exponentials_of_all_numbers_of_16_bits_are_those_of_their_dtype(name):
    everything = np.arange(1 << 16, dtype=np.uint16).view(DTYPES[name]).reshape(256, 256)
    with np.errstate(all="ignore"):
        assert _exp(everything).tobytes() == np.exp(everything).tobytes()


rows = st.lists(st.one_of(st.floats(-20, 20), st.floats(-200, 200), st.floats(-2000, 2000)), min_size=1, max_size=6)


@pytest.mark.parametrize("name", NARROW)
@given(rows, st.integers(0, 5))
def test_the_textbook_formula_rounds_after_every_operation(name, row, label):
    label %= len(row)
    expected = abs(float(naive_scalar(row, label, name)))
    assert values(row, label, name)[0] == pytest.approx(expected, rel=0, abs=0, nan_ok=True)


@pytest.mark.parametrize("name", ["float32", "float64"])
@given(rows, st.integers(0, 5))
def test_the_textbook_formula_in_wider_dtypes_is_that_of_a_loop_but_for_the_last_digits_of_exp(name, row, label):
    label %= len(row)
    expected = abs(float(naive_scalar(row, label, name)))
    epsilon = float(np.finfo(name).eps)
    # A subnormal exponential has fewer digits, so an error in the last digit is larger.
    with mpmath.workdps(30):
        share = float(mpmath.exp(mpmath.mpf(row[label])))
    if 0 < share < float(np.finfo(name).tiny):
        return
    assert values(row, label, name)[0] == pytest.approx(expected, rel=4 * epsilon, abs=8 * epsilon, nan_ok=True)


@pytest.mark.parametrize("name", DTYPES)
def test_the_largest_safe_logit_is_the_last_whose_exponential_is_finite(name):
    dtype = DTYPES[name]
    safe = FormulaTotals(name, NaiveTotals(), NaiveTotals()).max_safe_logit
    assert float(dtype.type(safe)) == safe
    following = float(np.nextafter(dtype.type(safe), dtype.type(INF)))
    with mpmath.workdps(60):
        assert math.isfinite(round_mpf(mpmath.exp(mpmath.mpf(safe)), name))
        assert math.isinf(round_mpf(mpmath.exp(mpmath.mpf(following)), name))
    assert values([safe, 0.0], 0, name)[0] < 1e-2
    assert math.isnan(values([following, 0.0], 0, name)[0])


@pytest.mark.parametrize("name", DTYPES)
def test_the_result_of_each_row_is_counted(name):
    edge = FormulaTotals(name, NaiveTotals(), NaiveTotals()).max_safe_logit
    assert judged([0.0, 0.0], 0, name) == "ok"
    assert judged([1.0, 2.0], 1, name) == "ok"
    assert judged([2 * edge, 0.0], 0, name) == "overflow"
    assert judged([0.0, 2 * edge], 0, name) == "underflow"
    assert judged([-4 * edge, 0.0], 0, name) == "underflow"
    assert judged([-4 * edge, -4 * edge], 0, name) == "overflow"
    assert judged([edge * 0.75, 0.0], 0, name) == "imprecise"


@pytest.mark.parametrize("name", DTYPES)
def test_the_stable_formula_survives_where_the_textbook_does_not(name):
    edge = FormulaTotals(name, NaiveTotals(), NaiveTotals()).max_safe_logit
    logits = np.array([[2 * edge, 0.0], [0.0, 2 * edge], [-4 * edge, -4 * edge], [edge * 0.75, 0.0]])
    logits = logits.astype(DTYPES[name]).astype(np.float64)
    labels = np.zeros(4, np.int64)
    truth = np.array([cross_entropy_mp(row, 0) for row in logits.tolist()])
    both = try_formulas(logits, labels, truth, DTYPES[name])
    assert both.naive.n_ok == 0
    assert (both.stable.n_ok, both.stable.first_row, both.stable.worst_row) == (4, None, None)


@pytest.mark.parametrize("name", DTYPES)
def test_dense_labels_are_weighed_class_by_class(name):
    row, label = [0.5, -1.0, 2.0], [0.25, 0.25, 0.5]
    truth = cross_entropy_mp(row, label)
    for found in values(row, label, name):
        assert found == pytest.approx(truth, rel=4 * float(ml_dtypes.finfo(DTYPES[name]).eps))


def test_a_dense_label_of_0_on_an_impossible_class_is_nothing_to_the_stable_formula():
    naive, stable = values([1.0, -INF], [1.0, 0.0], "float32")
    assert math.isnan(naive)
    assert stable == 0.0


def test_a_row_whose_true_loss_is_infinite_or_nan_is_right_to_be_so():
    logits = np.array([[0.0, -INF], [NAN, 0.0], [0.0, 0.0]])
    labels, truth = np.array([1, 0, 0]), np.array([INF, NAN, math.log(2)])
    both = try_formulas(logits, labels, truth, DTYPES["float32"])
    assert (both.naive.n_ok, both.stable.n_ok) == (3, 3)
    assert both.naive.max_abs_error < 1e-7


def test_the_first_and_the_worst_row_are_numbered_over_the_whole_input():
    logits = np.array([[0.0, 0.0], [9.0, 0.0], [6.0, 0.0], [20.0, 0.0], [0.0, 20.0]])
    labels = np.zeros(5, np.int64)
    truth = np.array([cross_entropy_mp(row, 0) for row in logits.tolist()])
    naive = try_formulas(logits, labels, truth, DTYPES["float16"], start=100).naive
    assert (naive.n_ok, naive.n_imprecise, naive.n_overflow, naive.n_underflow) == (1, 2, 1, 1)
    assert (naive.first_row, naive.worst_row, naive.worst_error) == (101, 103, INF)
    finite = [float(naive_scalar(row, 0, "float16")) for row in logits[:3].tolist()]
    assert naive.max_abs_error == np.abs(np.array(finite) - truth[:3]).max()


def test_samples_without_a_loss_are_not_judged():
    logits, truth = np.array([[20.0, 0.0], [0.0, 0.0]]), np.array([2e-9, math.log(2)])
    both = try_formulas(logits, np.zeros(2, np.int64), truth, DTYPES["float16"], scored=np.array([False, True]))
    assert (both.naive.n_ok, both.naive.n_overflow, both.naive.first_row) == (1, 0, None)


def test_the_formulas_of_no_rows_have_no_counts():
    both = try_formulas(np.empty((0, 3)), np.empty(0, np.int64), np.empty(0), DTYPES["float32"])
    assert (both.naive, both.stable) == (NaiveTotals(), NaiveTotals())


@pytest.mark.parametrize("size", range(1, 8))
def test_no_partition_and_no_order_changes_the_counts(size):
    rng = np.random.default_rng(5)
    logits = rng.normal(size=(40, 4)) * rng.choice([1.0, 10.0], (40, 1))
    labels = rng.integers(0, 4, 40)
    truth = cross_entropy(logits, labels, LossOptions()).loss
    whole = try_formulas(logits, labels, truth, DTYPES["float16"], start=3)
    cuts = [slice(i, i + size) for i in range(0, 40, size)]
    parts = [try_formulas(logits[c], labels[c], truth[c], DTYPES["float16"], start=3 + c.start) for c in cuts]
    merged = FormulaTotals("float16", NaiveTotals(), NaiveTotals())
    for i in rng.permutation(len(parts)):
        merged = merged.merge(parts[i])
    assert merged == whole
    assert whole.naive.n_imprecise
    assert whole.naive.n_ok


@pytest.mark.parametrize("name", list(DTYPES))
@pytest.mark.parametrize("dense", [False, True])
@pytest.mark.parametrize("finite", [False, True])
def test_many_rows_at_once_have_the_digits_of_few(name, dense, finite):
    rng = np.random.default_rng(7)
    for num_classes, scale in ((2, 1.0), (11, 8.0), (40, 3.0), (300, 0.1)):
        logits = (rng.standard_normal((600, num_classes)) * scale).astype(np.float32)
        if not finite:
            logits[0, 0], logits[1, 0], logits[2, 0], logits[3] = np.inf, -np.inf, np.nan, -np.inf
        labels = rng.random((600, num_classes)) if dense else rng.integers(0, num_classes, 600)
        truth = np.zeros(600)
        together = try_formulas(logits, labels, truth, DTYPES[name])
        few = [slice(i, i + 100) for i in range(0, 600, 100)]
        parts = [try_formulas(logits[c], labels[c], truth[c], DTYPES[name], start=c.start) for c in few]
        merged = parts[0]
        for part in parts[1:]:
            merged = merged.merge(part)
        assert repr(merged) == repr(together)


@pytest.mark.parametrize("name", ["float16", "bfloat16", "float32", "float64"])
def test_a_loss_of_eight_units_in_the_last_place_off_is_right_and_nine_are_not(name):
    dtype, truth = np.dtype(getattr(ml_dtypes, name, name)), 1.5
    unit = 2.0 ** -{"float16": 10, "bfloat16": 7, "float32": 23, "float64": 52}[name]
    for units, ok in ((8, 1), (9, 0), (-8, 1), (-9, 0)):
        judged = _judge(np.array([truth + units * unit]), np.array([truth]), dtype, np.arange(1))
        assert (judged.n_ok, judged.n_imprecise) == (ok, 1 - ok)


@pytest.mark.parametrize(("name", "smallest"), [("float16", -24), ("bfloat16", -133), ("float32", -149)])
def test_below_the_normal_range_a_unit_is_the_smallest_subnormal(name, smallest):
    dtype = np.dtype(getattr(ml_dtypes, name, name))
    truth = np.array([100 * 2.0**smallest])
    for units, ok in ((106, 1), (108, 1), (109, 0), (92, 1), (91, 0)):
        assert _judge(np.array([units * 2.0**smallest]), truth, dtype, np.arange(1)).n_ok == ok
