"""A model compared with its teacher, from files of every kind, with and without true classes."""

import json

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from scipy.special import log_softmax, softmax

from tests.forked import xent

N, K = 90, 6
RNG = np.random.default_rng(11)
STUDENT = RNG.normal(0, 2, (N, K))
TEACHER = STUDENT + RNG.normal(0, 1, (N, K))
TRUTH = RNG.integers(0, K, N)
IGNORED = np.where(np.arange(N) % 7 == 3, -100, TRUTH)
WEIGHTS = RNG.integers(0, 3, N) / 2.0


@pytest.fixture
def files(tmp_path):
    np.save(tmp_path / "z.npy", STUDENT)
    np.save(tmp_path / "t.npy", TEACHER)
    np.save(tmp_path / "y.npy", TRUTH)
    np.save(tmp_path / "ignored.npy", IGNORED)
    np.save(tmp_path / "w.npy", WEIGHTS)
    np.save(tmp_path / "m.npy", np.arange(N) % 4 > 0)
    (tmp_path / "y.csv").write_text("label\n" + "".join(f"{y}\n" for y in TRUTH))
    pq.write_table(pa.table({"label": TRUTH}), tmp_path / "y.parquet")
    for name, rows in (("z", STUDENT), ("t", TEACHER)):
        columns = {f"logit_{j}": rows[:, j] for j in range(K)}
        pq.write_table(pa.table(columns), tmp_path / f"{name}.parquet")
        text = [",".join(columns), *(",".join(map(repr, row)) for row in rows.tolist())]
        (tmp_path / f"{name}.csv").write_text("\n".join(text) + "\n")
    return tmp_path


def summary(folder, *args):
    run = xent("compute", *args, "-f", "json", cwd=folder)
    assert run.returncode == 0, run.stderr
    return json.loads(run.stdout)["summary"]


def by_hand(counted, weight):
    """Compute every figure that needs true labels, in plain NumPy."""
    log_p, log_q = log_softmax(STUDENT, axis=1), log_softmax(TEACHER, axis=1)
    rows = np.flatnonzero(counted)
    at = rows, TRUTH[rows]
    delta, w = np.exp(log_p[at]) - np.exp(log_q[at]), weight[rows]
    return {
        "mean_delta_p": np.average(delta, weights=w),
        "rms_delta_p": np.sqrt(np.average(delta**2, weights=w)),
        "p1_delta_p": np.quantile(delta, 0.01),
        "p99_delta_p": np.quantile(delta, 0.99),
        "min_delta_p": delta.min(),
        "max_delta_p": delta.max(),
        "log_ppl_ratio": np.average(log_q[at] - log_p[at], weights=w),
        "se_log_ppl_ratio": sandwich(log_q[at] - log_p[at], w, np.arange(rows.size)),
        "n_samples": rows.size,
    }


def sandwich(apart, weight, clusters):
    """Return the standard error of a weighted mean over clusters."""
    residual = weight * (apart - np.average(apart, weights=weight))
    sums = np.array([residual[clusters == cluster].sum() for cluster in np.unique(clusters)])
    return np.sqrt(sums.size / (sums.size - 1) * (sums**2).sum()) / weight.sum()


def test_the_error_of_the_ratio_is_that_of_clusters_where_they_are_in_force(files):
    options = ("--labels-from", "logits", "--true-labels", "y.npy", "--cluster", "every:9", "--sample-weight", "w.npy")
    found = summary(files, "z.npy", "t.npy", *options)
    at = np.arange(N), TRUTH
    apart = (log_softmax(TEACHER, axis=1) - log_softmax(STUDENT, axis=1))[at]
    kept = WEIGHTS > 0
    expected = sandwich(apart[kept], WEIGHTS[kept], (np.arange(N) // 9)[kept])
    assert found["se_log_ppl_ratio"] == pytest.approx(expected, rel=1e-12)


def test_a_divergence_below_0_is_warned_of(files):
    np.save(files / "p.npy", softmax(STUDENT, axis=1))
    np.save(files / "q.npy", softmax(TEACHER, axis=1) * 0.5)
    args = ("p.npy", "q.npy", "--from", "probs", "--labels-from", "probs", "--unnormalized", "-q", "-f", "json")
    run = xent("compute", *args, cwd=files)
    assert "divergence-below-0" in [entry["code"] for entry in json.loads(run.stdout)["warnings"]]


@pytest.mark.parametrize("truth", ["y.npy", "y.csv", "y.parquet"])
@pytest.mark.parametrize("suffix", ["npy", "csv", "parquet"])
def test_true_labels_show_how_their_probability_changes(files, suffix, truth):
    found = summary(files, f"z.{suffix}", f"t.{suffix}", "--labels-from", "logits", "--true-labels", truth)
    for name, value in by_hand(np.ones(N, bool), np.ones(N)).items():
        assert found[name] == pytest.approx(value, rel=1e-11, abs=1e-14), name


def test_ignored_true_labels_masks_and_weights_leave_samples_out_of_every_figure(files):
    options = ("--ignore-index", "-100", "--mask", "m.npy", "--sample-weight", "w.npy")
    found = summary(files, "z.npy", "t.npy", "--labels-from", "logits", "--true-labels", "ignored.npy", *options)
    counted = (IGNORED >= 0) & (np.arange(N) % 4 > 0) & (WEIGHTS > 0)
    for name, value in by_hand(counted, WEIGHTS).items():
        assert found[name] == pytest.approx(value, rel=1e-12, abs=1e-15), name
    kl = (softmax(TEACHER, axis=1) * (log_softmax(TEACHER, axis=1) - log_softmax(STUDENT, axis=1))).sum(axis=1)
    assert found["kl_divergence"] == pytest.approx(np.average(kl[counted], weights=WEIGHTS[counted]), rel=1e-12)


def test_probabilities_are_compared_as_they_are_given(files):
    np.save(files / "p.npy", softmax(STUDENT, axis=1))
    np.save(files / "lq.npy", log_softmax(TEACHER, axis=1))
    options = ("--from", "probs", "--labels-from", "log-probs", "--true-labels", "y.npy")
    found = summary(files, "p.npy", "lq.npy", *options)
    for name, value in by_hand(np.ones(N, bool), np.ones(N)).items():
        assert found[name] == pytest.approx(value, rel=1e-11, abs=1e-14), name


def test_each_side_has_its_temperature_at_the_true_label_too(files):
    found = summary(
        files, "z.npy", "t.npy", "--labels-from", "logits", "--true-labels", "y.npy", "--teacher-temperature", "2"
    )
    at = np.arange(N), TRUTH
    apart = log_softmax(TEACHER / 2, axis=1)[at] - log_softmax(STUDENT, axis=1)[at]
    assert found["log_ppl_ratio"] == pytest.approx(apart.mean(), rel=1e-12)


def test_a_bad_true_label_is_named_in_its_own_file(files):
    (files / "bad.csv").write_text("label\n" + "".join(f"{9 if i == 5 else 0}\n" for i in range(N)))
    run = xent("compute", "z.npy", "t.npy", "--labels-from", "logits", "--true-labels", "bad.csv", cwd=files)
    assert run.returncode == 3
    assert "bad.csv line 7" in run.stderr
    assert "found 9, expected 0..5" in run.stderr


@pytest.mark.parametrize(
    ("args", "code", "said"),
    [
        (("y.npy", "--true-labels", "y.npy"), 2, "--true-labels goes with a teacher"),
        (("t.npy", "--labels-from", "logits", "--true-labels", "y.npy", "--shift", "1"), 2, "cannot be combined"),
        (("t.npy", "--labels-from", "logits", "--true-labels", "t.npy"), 3, "t.npy"),
        (("t.npy", "--labels-from", "logits", "--true-labels", "gone.npy"), 3, "gone.npy"),
        (("t.npy", "--labels-from", "logits", "--ignore-index", "0"), 2, "--ignore-index is a class index"),
    ],
)
def test_true_labels_that_make_no_sense_are_refused(files, args, code, said):
    run = xent("compute", "z.npy", *args, cwd=files)
    assert (run.returncode, said in run.stderr) == (code, True), run.stderr


def test_figures_at_true_labels_can_be_gated_and_sliced(files):
    table = pq.read_table(files / "z.parquet").append_column("part", pa.array(["ab"[i % 2] for i in range(N)]))
    pq.write_table(table, files / "parts.parquet")
    limits = ("--max", "slice:part=a:log_ppl_ratio=9", "--min", "mean_delta_p=-1", "--max", "rms_delta_p=0.0001")
    args = ("parts.parquet", "t.parquet", "--labels-from", "logits", "--true-labels", "y.npy", "--by", "part")
    run = xent("check", *args, *limits, cwd=files)
    assert run.returncode == 1, run.stderr
    assert [line.split("\t")[0] for line in run.stdout.splitlines()[1:]] == ["PASS", "FAIL", "PASS"]
