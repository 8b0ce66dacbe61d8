"""The accuracy of two saved runs: flips, the interval of the difference, and the gate."""

import json

import numpy as np
import pytest
from scipy.stats import binomtest, t

from tests.forked import xent

SUFFIXES = (".tsv", ".csv", ".jsonl", ".parquet", ".arrow", "/")
N = 400


@pytest.fixture(scope="module")
def models(tmp_path_factory):
    """Save two checkpoints: both mean loss and accuracy of the second are lower.

    Some labels are ignored, and one row is NaN.
    """
    folder = tmp_path_factory.mktemp("models")
    rng = np.random.default_rng(7)
    labels = rng.integers(0, 3, N)
    old = rng.normal(size=(N, 3)) * 4
    old[np.arange(N), labels] += 4
    new = old / 4  # less confident, so that no loss is large any more
    for i in rng.permutation(N)[:60]:
        new[i, (labels[i] + 1) % 3] = new[i].max() + 0.01
    old[5], new[5] = np.nan, np.nan
    np.save(folder / "y.npy", np.where(np.arange(N) == 9, -100, labels))
    for name, logits in (("old", old), ("new", new)):
        np.save(folder / f"{name}.npy", logits)
        for suffix in SUFFIXES:
            save = ("--ignore-index", "-100", "-q", "--columns", "rank,predicted", "-o", f"{folder}/{name}{suffix}")
            run = xent("compute", folder / f"{name}.npy", folder / "y.npy", *save)
            assert run.returncode == 0, run.stderr
    counted = np.delete(np.arange(N), 9)
    hits = [((z.argmax(1) == labels) & ~np.isnan(z).any(1))[counted] for z in (old, new)]
    return folder, hits


def compared(*args):
    run = xent("compare", *args, "-f", "json", "-q")
    assert run.returncode == 0, run.stderr
    (candidate,) = json.loads(run.stdout)["candidates"]
    return {**candidate, "accuracy": candidate["metrics"][-1]}


def test_accuracy_and_flips_are_the_same_from_every_suffix(models):
    folder, (before, after) = models
    gained, lost = int((after & ~before).sum()), int((before & ~after).sum())
    p = binomtest(gained, gained + lost).pvalue
    expected = {"n": N - 1, "wrong_to_right": gained, "right_to_wrong": lost, "p": pytest.approx(p), "clustered": False}
    for suffix in SUFFIXES:
        found = compared(f"{folder}/old{suffix}", f"{folder}/new.csv")
        assert found["flips"] == expected
        accuracy = found["accuracy"]
        assert (accuracy["metric"], accuracy["n"]) == ("accuracy", N - 1)
        assert accuracy["baseline"] == pytest.approx(before.mean())
        assert accuracy["delta"] == pytest.approx(after.mean() - before.mean())
        difference = after.astype(float) - before
        reach = 1.9659 * difference.std(ddof=1) / np.sqrt(N - 1)
        assert accuracy["high"] - accuracy["low"] == pytest.approx(2 * reach, rel=1e-4)


def test_rows_have_the_accuracy_of_the_summary(models):
    folder, (before, _) = models
    run = xent("compute", folder / "old.npy", folder / "y.npy", "--ignore-index", "-100", "-f", "json")
    assert json.loads(run.stdout)["summary"]["accuracy"] == before.mean()


def test_a_mean_that_falls_does_not_hide_that_accuracy_falls_too(models):
    folder, (before, after) = models
    inputs = ("check", folder / "new.npy", folder / "y.npy", "--ignore-index", "-100", "--baseline")
    significant = ("--require-significant", "-q", "-f", "json")
    for suffix in (".parquet", ".csv"):
        found = xent(*inputs, f"{folder}/old{suffix}", "--max-decrease", "accuracy=0.5%", *significant)
        (check,) = json.loads(found.stdout)["checks"]
        assert found.returncode == 1
        assert (check["baseline"], check["observed"]) == (before.mean(), after.mean())
        assert check["interval"][1] < 0
    wide = xent(*inputs, f"{folder}/old.csv", "--max-decrease", "accuracy=50%", *significant)
    assert wide.returncode == 0


def test_names_of_classes_and_joined_ids_are_compared_too(tmp_path):
    rows = ["id,label,cat,dog", *(f"s{i},{'cat' if i % 2 else 'dog'},{i % 3},{i % 5}" for i in range(12))]
    (tmp_path / "old.csv").write_text("\n".join(rows))
    (tmp_path / "new.csv").write_text("\n".join([rows[0].replace("cat,dog", "dog,cat"), *rows[:0:-1]]))
    for name in ("old", "new"):
        run = xent("compute", tmp_path / f"{name}.csv", "-q", "--columns", "predicted", "-o", tmp_path / f"{name}.tsv")
        assert run.returncode == 0, run.stderr
    found = compared(tmp_path / "old.tsv", tmp_path / "new.tsv")
    z = np.array([[i % 3, i % 5] for i in range(12)])
    before, after = (order.argmax(1) == where for order, where in ((z, np.arange(12) % 2 == 0), (z, np.arange(12) % 2)))
    # The columns are in a different order in the second file, and so are ties.
    assert found["accuracy"]["baseline"] == pytest.approx(before.mean())
    assert found["accuracy"]["candidate"] == pytest.approx(after.mean())


def test_predictions_in_one_file_only_are_a_note(models, tmp_path):
    folder, _ = models
    run = xent(
        "compute", folder / "new.npy", folder / "y.npy", "--ignore-index", "-100", "-q", "-o", tmp_path / "n.csv"
    )
    assert run.returncode == 0
    run = xent("compare", folder / "old.csv", tmp_path / "n.csv")
    assert "n.csv holds no predictions: accuracy is not compared" in run.stderr
    assert "accuracy" not in run.stdout


def test_clusters_widen_the_interval_of_accuracy_and_mcnemar_says_that_it_ignores_them(models):
    folder, (before, after) = models
    found = compared(folder / "old.parquet", folder / "new.parquet", "--cluster", "every:20")
    cluster = np.delete(np.arange(N), 9) // 20
    difference = after.astype(float) - before
    sums = np.bincount(cluster, difference - difference.mean())
    error = np.sqrt(20 / 19 * (sums**2).sum()) / (N - 1)
    accuracy = found["accuracy"]
    assert accuracy["high"] - accuracy["low"] == pytest.approx(2 * t.ppf(0.975, 19) * error, rel=1e-9)
    assert found["flips"]["clustered"] is True
    run = xent("compare", folder / "old.parquet", folder / "new.parquet", "--cluster", "every:20", "-f", "md")
    assert "not clustered" in run.stdout
