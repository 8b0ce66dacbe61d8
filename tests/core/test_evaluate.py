import json
import math
import pickle
from concurrent.futures import ThreadPoolExecutor
from functools import partial, reduce
from pathlib import Path

import ml_dtypes
import numpy as np
import pytest

from tests.core.blocks import cut
from xent_cli.core.block import Block, BlockRef, Rows
from xent_cli.core.evaluate import evaluate_block, weigh_block
from xent_cli.core.options import LossOptions, Outputs
from xent_cli.core.run_totals import RunTotals
from xent_cli.core.totals.exact_sum import ExactSum
from xent_cli.errors import InputError, RowError

ORACLES = Path(__file__).parents[1] / "oracles"
FRAMEWORKS = json.loads((ORACLES / "frameworks.json").read_text())
OPTION_CASES = [c for c in json.loads((ORACLES / "options.json").read_text())["cases"] if "labels" in c]

LOGITS, DENSE, SPARSE = np.array([[1.0, 2, 3], [4, 5, 6]]), np.array([[0.0, 0, 1], [1, 0, 0]]), np.array([2, 0])
EVERYTHING = Outputs(
    losses=True,
    gradient_dtype="float64",
    worst=4,
    top_k=(1, 5),
    overflow=(np.dtype("float16"), np.dtype(ml_dtypes.bfloat16)),
)


def mean_and_all(tasks, options, wanted=EVERYTHING, engine=map):
    """Run the same loop as the command: weigh, evaluate, merge."""
    divisor = sum((weigh_block(task, options) for task in tasks), ExactSum())
    wanted = Outputs(
        wanted.losses,
        wanted.figures,
        wanted.gradient_dtype,
        float(divisor),
        wanted.overflow,
        wanted.worst,
        wanted.top_k,
    )
    results = list(engine(partial(evaluate_block, options=options, outputs=wanted), tasks))
    totals = reduce(RunTotals.merge, (r.totals for r in results))
    loss = np.concatenate([r.loss for r in results])
    gradient = np.concatenate([r.gradient for r in results])
    assert float(totals.losses.divisor) == float(divisor)
    return loss, gradient, totals


def options_of(case):
    given = dict(case["options"])
    if "class_weight" in given:
        given["class_weight"] = np.array(given["class_weight"], dtype=np.float64)
    if "ignore_index" in given:
        given["ignore_index"] = (given["ignore_index"],)
    return LossOptions(**given, labels="sparse" if np.ndim(case["labels"]) == 1 else "dense")


def floats(nested):
    """Read the numbers of an oracle, in which "inf" and "nan" are texts, and null means no loss."""
    return np.array(
        [floats(x) for x in nested] if isinstance(nested, list) else np.nan if nested is None else float(nested)
    )


def sample(n=60, k=4):
    rng = np.random.default_rng(n)
    logits = (rng.normal(size=(n, k)) * 5).astype(np.float32)
    logits[7, 1] = np.nan
    logits[9] = [-np.inf] + [0.0] * (k - 1)
    labels = rng.integers(0, k, n)
    labels[9] = 0
    labels[::11] = -100
    return Block(
        1000,
        logits,
        labels,
        weights=rng.uniform(0, 2, n),
        unscored=np.arange(n) % 13 == 5,
        ids=np.array([f"s{i}" for i in range(n)]),
    )


def test_the_example_of_tensorflow_gives_what_its_documentation_says():
    for labels, form in ((DENSE, "dense"), (SPARSE, "sparse")):
        result = evaluate_block(Block(0, LOGITS, labels), LossOptions(labels=form), Outputs(losses=True))
        assert result.loss.tolist() == pytest.approx([0.40760596444438, 2.40760596444438], rel=1e-14)
        assert result.totals.losses.summarize().mean_loss == pytest.approx(1.40760596444438, rel=1e-14)


@pytest.mark.parametrize("case", FRAMEWORKS["cases"], ids=lambda case: case["name"])
@pytest.mark.parametrize("size", [1, 4, 100])
def test_mean_sum_and_gradient_are_those_of_high_precision(case, size):
    logits, labels, truth = floats(case["logits"]), np.array(case["labels"]), case["truth"]
    loss, gradient, totals = mean_and_all(cut(Block(0, logits, labels), size), options_of(case))
    summary = totals.losses.summarize()
    assert loss.tolist() == pytest.approx(floats(truth["loss"]).tolist(), rel=1e-15, nan_ok=True)
    assert (summary.mean_loss, summary.sum_loss) == pytest.approx(
        (float(truth["mean"]), float(truth["sum"])), rel=1e-15
    )
    assert gradient == pytest.approx(floats(truth["gradient"]), rel=1e-12, abs=1e-300)


@pytest.mark.parametrize("case", FRAMEWORKS["cases"], ids=lambda case: case["name"])
def test_frameworks_in_double_precision_agree(case):
    logits, labels = floats(case["logits"]), np.array(case["labels"])
    _, _, totals = mean_and_all([Block(0, logits, labels)], options_of(case))
    means = {
        r["function"]: float(r["mean"]) for r in case["results"] if r["dtype"] == "float64" and r["mean"] is not None
    }
    assert means
    for function, mean in means.items():
        if math.isfinite(mean):  # with masked classes, some results are NaN because of 0 times inf
            assert totals.losses.summarize().mean_loss == pytest.approx(mean, rel=1e-13), function


@pytest.mark.parametrize("entry", FRAMEWORKS["reported"], ids=lambda entry: entry["source"])
def test_rows_of_issue_reports_are_answered_right(entry):
    block = Block(0, floats(entry["logits"])[np.newaxis].astype(entry["dtype"]), np.array([entry["label"]]))
    result = evaluate_block(block, LossOptions(), Outputs(losses=True))
    assert result.loss[0] == pytest.approx(float(entry["truth"]), rel=1e-15, nan_ok=True)


@pytest.mark.parametrize("entry", FRAMEWORKS["confident"], ids=lambda e: f"{e['dtype']}-{e['classes']}-{e['margin']}")
def test_confident_rows_keep_their_digits_where_frameworks_say_0(entry):
    logits = np.zeros((1, entry["classes"]), entry["dtype"])
    logits[0, 0] = entry["margin"]
    result = evaluate_block(Block(0, logits, np.array([0])), LossOptions(), Outputs(losses=True))
    assert result.loss[0] == pytest.approx(entry["truth"], rel=1e-15)


@pytest.mark.parametrize("case", OPTION_CASES, ids=lambda case: case["name"])
def test_options_enter_the_mean_and_its_gradient(case):
    logits, labels = floats(case["logits"]).astype(case["dtype"]), np.array(case["labels"])
    _, gradient, totals = mean_and_all(cut(Block(0, logits, labels), 3), options_of(case))
    assert totals.losses.summarize().mean_loss == pytest.approx(float(case["mean"]), rel=1e-14)
    if case["gradient"] is not None:
        assert gradient == pytest.approx(floats(case["gradient"]), rel=1e-12, abs=1e-300)


OPTIONS = LossOptions(ignore_index=(-100,), class_weight=np.array([0.5, 1.0, 2.0, 0.25]), sample_weighted=True)


@pytest.mark.parametrize("size", [1, 2, 7, 59])
@pytest.mark.parametrize("threads", [0, 3])
def test_no_partition_and_no_engine_changes_a_bit(size, threads):
    whole = mean_and_all([sample()], OPTIONS)
    if threads:
        with ThreadPoolExecutor(threads) as pool:
            parts = mean_and_all(cut(sample(), size), OPTIONS, engine=pool.map)
    else:
        parts = mean_and_all(cut(sample(), size), OPTIONS)
    assert np.array_equal(parts[0], whole[0], equal_nan=True)
    assert np.array_equal(parts[1], whole[1], equal_nan=True)
    ours, theirs = parts[2].losses, whole[2].losses
    assert repr(ours.summarize()) == repr(theirs.summarize())
    assert repr((ours.worst, parts[2].formulas)) == repr((theirs.worst, whole[2].formulas))


def test_weights_multiply_losses_and_divide_the_mean():
    block = Block(0, LOGITS, SPARSE, weights=np.array([3.0, 1.0]))
    weight = np.array([0.5, 1.0, 2.0])
    options = LossOptions(class_weight=weight, sample_weighted=True)
    loss, gradient, totals = mean_and_all([block], options)
    low, high = 0.40760596444438, 2.40760596444438
    assert loss.tolist() == pytest.approx([2 * low, 0.5 * high], rel=1e-14)
    assert float(totals.losses.divisor) == 3 * 2 + 1 * 0.5
    assert totals.losses.summarize().mean_loss == pytest.approx((6 * low + 0.5 * high) / 6.5, rel=1e-14)
    p = np.exp(LOGITS - 3) / np.exp(LOGITS - 3).sum(axis=1, keepdims=True)
    assert gradient == pytest.approx((p - DENSE) * [[6 / 6.5], [0.5 / 6.5]], rel=1e-12)


def test_class_weights_leave_the_divisor_of_dense_labels_alone():
    options = LossOptions(labels="dense", class_weight=np.array([0.5, 1.0, 2.0]))
    _, _, totals = mean_and_all([Block(0, LOGITS, DENSE)], options)
    assert float(totals.losses.divisor) == 2
    assert totals.losses.summarize().mean_loss == pytest.approx(
        (2 * 0.40760596444438 + 0.5 * 2.40760596444438) / 2, rel=1e-14
    )


def test_ignored_and_unscored_samples_have_no_loss_and_no_gradient_and_do_not_count():
    block = Block(0, np.array([[1.0, 2], [np.nan, 0], [3, 0], [9, 9]]), np.array([0, -1, 1, 0]))
    unscored = Block(0, block.logits, block.labels, unscored=np.array([False, False, False, True]))
    result = evaluate_block(unscored, LossOptions(ignore_index=(-1,)), EVERYTHING)
    summary = result.totals.losses.summarize()
    assert (summary.n_samples, summary.n_ignored, summary.n_nan) == (2, 2, 0)
    assert result.ignored.tolist() == [False, True, False, True]
    assert np.isnan(result.loss).tolist() == [False, True, False, True]
    assert (result.gradient[[1, 3]] == 0).all()
    assert result.labels.tolist()[:3] == [0, -1, 1]
    assert dict(summary.top_k)[1] == 0.0
    assert [f.naive.n_ok + f.naive.n_imprecise for f in result.totals.formulas] == [2, 2]
    assert result.totals.losses.label_range == (0, 1)


def test_only_requested_results_are_returned():
    result = evaluate_block(Block(5, LOGITS, SPARSE), LossOptions(), Outputs(figures=False))
    assert (result.start, result.size) == (5, 2)
    assert (result.loss, result.gradient, result.ids, result.labels) == (None, None, None, None)
    assert (result.totals.losses.quantiles, result.totals.losses.hits, result.totals.formulas) == (None, (), ())
    assert result.totals.losses.summarize().mean_loss == pytest.approx(1.40760596444438, rel=1e-14)


def test_accuracy_is_the_share_of_labels_among_the_highest():
    block = Block(0, np.array([[3.0, 2, 1], [3, 2, 1], [3, 2, 1], [2, 2, 2]]), np.array([0, 1, 2, 1]))
    result = evaluate_block(block, LossOptions(), Outputs(top_k=(2, 1, 2)))
    assert result.totals.losses.summarize().top_k == ((1, 0.25), (2, 0.75))
    dense = Block(0, block.logits, np.array([[0.6, 0.4, 0], [0, 1, 0], [0, 0, 1], [0, 1, 0]]))
    assert evaluate_block(dense, LossOptions(labels="dense"), Outputs(top_k=(1, 2))).totals.losses.hits == (
        (1, 1),
        (2, 3),
    )


def test_what_looks_odd_is_noticed():
    block = Block(0, np.array([[0.5, 0.5], [0.25, 0.75], [2.0, 0.0]]), np.array([[1.0, 0], [0.5, 0.4], [0, 1.0005]]))
    totals = evaluate_block(block, LossOptions(labels="dense"), Outputs()).totals.losses
    assert (totals.softmaxed, totals.unnormalised, totals.unnormalised_labels, totals.label_range) == (2, 0, 1, None)


def test_the_worst_samples_carry_label_and_id():
    result = evaluate_block(
        Block(10, LOGITS, SPARSE, ids=np.array(["a", "b"])), LossOptions(), Outputs(losses=True, worst=5)
    )
    assert [(w.sample, w.label, w.id) for w in result.totals.losses.worst] == [(11, 0, "b"), (10, 2, "a")]
    assert result.ids.tolist() == ["a", "b"]


@pytest.mark.parametrize(
    ("block", "options", "row", "role"),
    [
        (Block(100, LOGITS, np.array([0, 3])), LossOptions(), 101, "labels"),
        (Block(100, LOGITS, -DENSE), LossOptions(labels="dense"), 100, "labels"),
        (Block(100, LOGITS, SPARSE, weights=np.array([1.0, -1.0])), LossOptions(), 101, "weights"),
    ],
)
def test_an_invalid_row_is_named_by_its_number_in_the_whole_input(block, options, row, role):
    for run in (lambda: evaluate_block(block, options, Outputs()), lambda: weigh_block(block, options)):
        with pytest.raises(RowError) as caught:
            run()
        assert (caught.value.row, caught.value.role) == (row, role)


def test_logits_that_are_not_numbers_are_refused_by_dtype():
    with pytest.raises(InputError, match="logits are not numbers\n  found dtype complex128"):
        evaluate_block(Block(0, LOGITS.astype(complex), SPARSE), LossOptions(), Outputs())


def test_a_recipe_gives_what_its_rows_give():
    recipe = BlockRef(7, 2, (Rows(logits=LOGITS), Rows(labels=SPARSE, ids=np.array(["a", "b"]))))
    recipe = pickle.loads(pickle.dumps(recipe))
    result = evaluate_block(recipe, LossOptions(), Outputs(losses=True))
    assert result.start == 7
    assert result.ids.tolist() == ["a", "b"]
    assert (
        result.loss.tolist()
        == evaluate_block(Block(7, LOGITS, SPARSE), LossOptions(), Outputs(losses=True)).loss.tolist()
    )


def test_labels_are_copied_before_their_memory_is_reused():
    memory = np.array([0, 1])

    class Loan:
        def __init__(self, *labels):
            self.labels = labels

        def load(self):
            memory[:] = self.labels
            return Block(0, np.zeros((2, 3)), memory)

    wanted = Outputs(losses=True)
    first, second = (evaluate_block(loan, LossOptions(), wanted) for loan in (Loan(2, 1), Loan(0, 0)))
    assert first.labels.tolist() == [2, 1]
    assert second.labels.tolist() == [0, 0]


@pytest.mark.parametrize("options", [LossOptions(temperature=2.0), LossOptions(label_smoothing=0.1)])
def test_the_overflow_report_is_held_against_the_plain_loss_whatever_the_options(options):
    logits, labels = np.random.default_rng(0).normal(size=(50, 4)), np.arange(50) % 4
    wanted = Outputs(overflow=(np.dtype(np.float32),))
    (found,) = evaluate_block(Block(0, logits, labels), options, wanted).totals.formulas
    assert (found.naive.n_ok, found.stable.n_ok) == (50, 50)
