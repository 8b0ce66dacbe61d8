"""What a gate needs from a run, and limits on slices."""

import json
from dataclasses import replace

import numpy as np
import pytest

from tests.reports.documents import PLAIN, SUMMARY
from xent_cli.cli.options import ComputeOptions, InputFlags, OutputFlags, SharedOptions
from xent_cli.cli.runs.check import LimitFlags, judge, open_limits
from xent_cli.core.block import Block
from xent_cli.core.evaluate import evaluate_block
from xent_cli.core.options import LossOptions, Outputs
from xent_cli.errors import InputError, UsageError
from xent_cli.reports.strict_json import json_text
from xent_cli.reports.summary.json import as_json

SLICED = replace(
    PLAIN,
    slices=(
        {"by": "split", "value": "test", "summary": replace(SUMMARY, mean_loss=0.5)},
        {"by": "split", "value": "a:b=c", "summary": replace(SUMMARY, mean_loss=2.0)},
        {"by": "year", "value": 2024, "summary": SUMMARY},
    ),
)
OPTIONS = ComputeOptions(SharedOptions(InputFlags("l.npy")), OutputFlags(by=("split", "year")))


def checks(document, **limits):
    return judge(open_limits(LimitFlags(**limits), OPTIONS), document, None).checks


def test_a_check_without_a_limit_is_a_usage_error():
    with pytest.raises(UsageError, match="nothing to check"):
        open_limits(LimitFlags(), OPTIONS)


def test_limits_say_what_a_run_has_to_compute():
    flags = LimitFlags(max=("overflow.float16=0",), min=("accuracy=0", "slice:split=x:top_3_accuracy=0"))
    limits = open_limits(flags, OPTIONS)
    assert (limits.needs_overflow, limits.needs_rows, limits.top_k) == (True, False, {1, 3})


def test_a_limit_on_a_slice_is_held_against_that_slice():
    limits = ("slice:split=test:mean_loss=1", "slice:split=a:b=c:mean_loss=1", "slice:year=2024:accuracy=1")
    assert [entry["observed"] for entry in checks(SLICED, max=limits)] == [0.5, 2.0, 0.75]
    assert [entry["passed"] for entry in checks(SLICED, max=limits)] == [True, False, True]


def test_a_slice_that_does_not_occur_is_an_error_and_the_nearest_is_named():
    with pytest.raises(InputError, match="no such slice") as raised:
        checks(SLICED, max=("slice:split=tset:mean_loss=1",))
    assert "slice:split=test:mean_loss" in raised.value.hint
    assert raised.value.exit_code == 3


def test_a_figure_that_does_not_exist_is_an_error():
    with pytest.raises(InputError, match="no such figure"):
        checks(SLICED, max=("kl_divergence=1",))


def test_a_slice_by_an_unknown_column_is_refused_before_any_work():
    with pytest.raises(UsageError, match="there are no slices by spilt") as raised:
        open_limits(LimitFlags(max=("slice:spilt=test:mean_loss=1",)), OPTIONS)
    assert raised.value.hint == "ask for --by spilt"


def test_slices_are_compared_with_those_of_the_baseline(tmp_path):
    path = tmp_path / "b.json"
    path.write_text(json_text(as_json(SLICED)))
    limits = {"baseline": str(path), "max_increase": ("slice:split=test:mean_loss=10%", "slice:year=2024:bits=0")}
    assert [entry["delta"] for entry in checks(SLICED, **limits)] == [0.0, 0.0]
    worse = replace(
        SLICED, slices=({**SLICED.slices[0], "summary": replace(SUMMARY, mean_loss=0.6)}, *SLICED.slices[1:])
    )
    assert [entry["passed"] for entry in checks(worse, **limits)] == [False, True]
    document = json.loads(path.read_text())
    document["slices"].pop(0)
    path.write_text(json.dumps(document))
    with pytest.raises(InputError, match="the baseline has no slice:split=test:mean_loss"):
        checks(SLICED, **limits)


def test_rows_not_ok_of_the_baseline_are_counted_whichever_way_they_are_wrong(tmp_path):
    logits = np.array([[12.0, 0.0], [0.0, 12.0], [1.0, 0.0]])  # in float16 one overflows and one underflows
    wanted = Outputs(overflow=(np.dtype(np.float16),))
    totals = evaluate_block(Block(0, logits, np.zeros(3, np.int64)), LossOptions(), wanted).totals
    assert (totals.formulas[0].naive.n_underflow, totals.formulas[0].naive.n_overflow) == (1, 1)
    document = replace(PLAIN, formulas=totals.formulas)
    path = tmp_path / "o.json"
    path.write_text(json_text(as_json(document)))
    (entry,) = checks(document, baseline=str(path), max_increase=("overflow.float16=0",))
    assert (entry["observed"], entry["baseline"], entry["delta"], entry["passed"]) == (2, 2, 0, True)


def test_a_figure_that_a_slice_does_not_have_is_not_called_a_slice():
    with pytest.raises(InputError, match="no such figure"):
        checks(SLICED, max=("slice:split=test:kl_divergence=1",))
