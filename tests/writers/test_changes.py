import csv
import io
import math
from dataclasses import replace

import numpy as np
import pytest
from rich.console import Console

from tests.writers.rows import HOSTILE
from xent_cli.core.statistics.comparison import (
    Change,
    Comparison,
    Model,
    ModelChange,
    MovedSample,
    changes_of_divergence,
    changes_of_losses,
    changes_of_summaries,
    mean_change,
)
from xent_cli.core.statistics.paired_test import compare_losses
from xent_cli.reports.comparison.table import print_comparison
from xent_cli.reports.comparison.text import cells, delimited_changes, footnote, markdown_changes, plain_moved

SURE = Change("mean_loss", 2.0, 2.5, 0.5, 9, low=0.25, high=0.75, p=0.001234, mark="higher")
CHANCE = replace(SURE, low=-0.25, mark="~")
NONE = Change("mean_loss", 2.0, 2.0, 0.0, 9, mark="n/a")


def comparison(*candidates, **changes):
    settings = {
        "version": "0.1.0",
        "kind": "rows",
        "baseline": Model("old", "old.csv"),
        "candidates": candidates or (ModelChange(Model("new", "new.csv"), (SURE,)),),
        "joined_on": None,
        "test": "t",
        "confidence": 0.95,
        "resamples": None,
        "seed": None,
    }
    return Comparison(**settings | changes)


def test_a_significant_change_shows_percent_a_chance_change_a_tilde():
    assert cells(SURE) == ["mean_loss", "2", "2.5", "+0.5", "+25 %", "[+0.25, +0.75]", "0.00123", "9"]
    assert cells(CHANCE)[4:6] == ["~", "[-0.25, +0.75]"]
    assert cells(NONE)[3:7] == ["0", "0 %", "n/a", "n/a"]


def test_a_change_from_0_or_to_nan_has_no_share():
    assert cells(Change("max_loss", 0.0, 1.0, 1.0, 9))[3:7] == ["+1", "n/a", "", ""]
    assert cells(Change("mean_loss", 1.0, math.nan, math.nan, 9, mark="n/a"))[2:5] == ["nan", "nan", "n/a"]


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({}, "Student's paired t; ~ where the interval holds 0; joined by position"),
        ({"test": "bootstrap", "resamples": 99, "seed": 7}, "bootstrap (BCa) of 99 resamples, seed 7"),
        (
            {"test": "permutation", "resamples": 99, "seed": 7},
            "p by all signs or, beyond 99, so many at random",
        ),
        ({"joined_on": "name"}, "joined by name"),
        ({"kind": "summary"}, "no intervals"),
    ],
)
def test_the_footnote_says_how_it_was_done(changes, said):
    assert said in footnote(comparison(**changes))


@pytest.mark.parametrize("delimiter", ["\t", ","])
def test_text_for_programs_survives_any_label_and_value(delimiter):
    slices = tuple(replace(SURE, by="name", value=value) for value in HOSTILE)
    made = comparison(*(ModelChange(Model(label, "new.csv"), (SURE,), slices) for label in HOSTILE))
    rows = list(csv.DictReader(io.StringIO(delimited_changes(made, delimiter), newline=""), delimiter=delimiter))
    assert [row["value"] for row in rows] == ["", *HOSTILE] * len(HOSTILE)
    assert [row["label"] for row in rows[:: len(HOSTILE) + 1]] == HOSTILE


@pytest.mark.parametrize("text", HOSTILE)
def test_no_text_from_a_file_reaches_a_terminal_raw_or_breaks_a_table(text):
    moved = (MovedSample(3, text, text, 1.0, 2.0),)
    made = comparison(ModelChange(Model(text, text), (SURE,), (replace(SURE, by=text, value=text),), moved))
    console = Console(file=io.StringIO(), width=200)
    print_comparison(console, made)
    document = markdown_changes(made)
    for shown in (console.file.getvalue(), document, plain_moved(made)):
        assert not {c for c in shown if not c.isprintable()} - {"\n", "\t"}
    tables = [line for line in document.splitlines() if line.startswith("|")]
    widths = [len([c for c in line.replace("\\\\", "").replace("\\|", "") if c == "|"]) for line in tables]
    assert widths == [9] * 4 + [8] * 3
    assert "[bold]" not in document


def test_the_figures_of_losses_are_those_of_numpy():
    rng = np.random.default_rng(0)
    old, new = rng.exponential(size=(2, 101))
    changes = {change.metric: change for change in changes_of_losses(old, new, compare_losses(old, new))}
    for name, figure in {
        "mean_loss": np.mean,
        "perplexity": lambda loss: np.exp(loss.mean()),
        "p90_loss": lambda loss: np.quantile(loss, 0.9),
        "max_loss": np.max,
    }.items():
        change = changes[name]
        assert (change.baseline, change.candidate) == pytest.approx((figure(old), figure(new)), rel=1e-12)
        assert change.delta == pytest.approx(figure(new) - figure(old), rel=1e-9)
    assert {change.n for change in changes.values()} == {101}


def test_figures_that_one_summary_lacks_are_left_out():
    old = {"n_samples": 3, "mean_loss": 1.0, "accuracy": 0.5, "top_5_accuracy": 1.0, "max_loss": math.inf}
    new = {"n_samples": 3, "mean_loss": 1.5, "accuracy": 0.25, "kl_divergence": 0.1, "max_loss": math.inf}
    changes = changes_of_summaries(old, new)
    assert [(change.metric, change.delta) for change in changes] == [
        ("mean_loss", 0.5),
        ("max_loss", 0.0),
        ("accuracy", -0.25),
    ]
    assert [change.mark for change in changes] == ["n/a", "", ""]


@pytest.mark.parametrize(
    ("candidate", "mark"),
    [([1.5, 2.6, 3.4], "higher"), ([0.5, 1.6, 2.4], "lower"), ([0.5, 2.0, 4.0], "~"), ([1.5, 2.5, 3.5], "n/a")],
)
def test_a_mean_is_marked_by_where_its_interval_lies(candidate, mark):
    assert mean_change(compare_losses(np.array([1.0, 2.0, 3.0]), np.array(candidate))).mark == mark


def test_divergences_are_compared_as_losses_are():
    rng = np.random.default_rng(1)
    old, new = rng.exponential(size=(2, 101))
    changes = {change.metric: change for change in changes_of_divergence(old, new, compare_losses(old, new))}
    assert list(changes) == ["kl_divergence", "p50_kl", "p90_kl", "p95_kl", "p99_kl", "p999_kl", "max_kl"]
    for name, level in {"p50_kl": 0.5, "p999_kl": 0.999, "max_kl": 1.0}.items():
        change = changes[name]
        assert (change.baseline, change.candidate) == pytest.approx((np.quantile(old, level), np.quantile(new, level)))
    low, high = changes["kl_divergence"].low, changes["kl_divergence"].high
    assert low < (new - old).mean() < high
