"""Results do not depend on the format in which rows were saved, even if losses are infinite or NaN."""

import itertools
import json

import numpy as np
import pytest

from tests.click_runner import runner
from tests.forked import xent
from xent_cli.cli import cli

SUFFIXES = (".tsv", ".csv", ".jsonl", ".npy", ".parquet", ".arrow")


@pytest.fixture(scope="module")
def saved(tmp_path_factory):
    """Save two runs in every format; in both one sample is ignored, one has an infinite loss, and one a NaN loss."""
    folder = tmp_path_factory.mktemp("suffixes")
    logits = np.random.default_rng(0).normal(size=(9, 3))
    np.save(folder / "y.npy", [0, 1, 2, -100, 1, 0, 2, 1, 0])
    for name, shift in (("old", 0.0), ("new", 0.25)):
        z = logits + shift * np.arange(3)
        z[1, 1] = -np.inf
        z[2] = np.nan
        np.save(folder / f"{name}_z.npy", z)
        for suffix in SUFFIXES:
            out = folder / f"{name}{suffix}"
            run = xent("compute", folder / f"{name}_z.npy", folder / "y.npy", "--ignore-index", "-100", "-q", "-o", out)
            assert run.returncode == 0, run.stderr
    return folder


def test_two_runs_compare_alike_whatever_the_suffixes(saved):
    answers = set()
    for ours, theirs in itertools.product(SUFFIXES, SUFFIXES):
        argv = ["compare", f"old={saved}/old{ours}", f"new={saved}/new{theirs}", "-f", "json", "-q", "--top", "3"]
        run = runner().invoke(cli, argv, standalone_mode=False)
        assert (run.exception, run.stderr) == (None, "")
        (candidate,) = json.loads(run.stdout)["candidates"]
        moved = [{**sample, "label": None} for sample in candidate["moved"]]  # which .npy does not have
        answers.add(json.dumps([candidate["n_ignored"], candidate["metrics"], moved]))
    (answer,) = answers
    ignored, metrics, _ = json.loads(answer)
    assert (ignored, metrics[0]["n"], metrics[0]["delta"]) == (1, 8, None)


def test_any_reader_of_an_array_sees_nan(saved):
    assert np.isnan(np.load(saved / "old.npy")).tolist() == [False, False, True, True, *[False] * 5]
    assert np.isinf(np.load(saved / "old.npy")).tolist() == [False, True, *[False] * 7]


def test_where_neither_array_tells_nan_from_ignored_the_two_are_not_compared(tmp_path):
    np.save(tmp_path / "a.npy", [1, 2, np.nan])
    np.save(tmp_path / "b.npy", [2, 3, np.nan])
    run = xent("compare", tmp_path / "a.npy", tmp_path / "b.npy")
    assert run.returncode == 3
    assert run.stderr.startswith("error: NaN that may be an ignored sample or a loss\n")


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_saved_losses_are_verified_alike_whatever_the_suffix(suffix, saved):
    inputs = (saved / "old_z.npy", saved / "y.npy", "--ignore-index", "-100")
    run = xent("verify", *inputs, "--loss", saved / f"old{suffix}", "--rtol", "0", "--atol", "0")
    assert run.returncode == 0, run.stdout + run.stderr
    # Losses that are not finite are matched with their samples: none agrees with the other run.
    other = xent("verify", saved / "new_z.npy", *inputs[1:], "--loss", saved / f"old{suffix}", "-f", "json")
    assert other.returncode == 1
