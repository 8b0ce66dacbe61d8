"""`xent check` as a gate: what passes, what fails, and what cannot be judged."""

import json
import os
import subprocess
import sys

import jsonschema
import numpy as np
import pytest
from scipy import optimize, stats

from tests import forked
from xent_cli.reports.strict_json import json_schema

XENT = [sys.executable, "-m", "xent_cli"]
N = 500


def xent(*args, **options):
    return forked.xent(*args, **options)


def losses(logits, labels):
    logits = logits - logits.max(axis=1, keepdims=True)
    return np.log(np.exp(logits).sum(axis=1)) - logits[np.arange(len(labels)), labels]


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Save a model, one that is 1 % worse, and baselines of the first in every form."""
    folder = tmp_path_factory.mktemp("models")
    rng = np.random.default_rng(5)
    labels = rng.integers(0, 4, N)
    logits = rng.normal(size=(N, 4)) + 3 * np.eye(4)[labels]
    noise = rng.normal(size=(N, 4))
    aim = 1.01 * losses(logits, labels).mean()
    amount = optimize.brentq(lambda a: losses(logits + a * noise, labels).mean() - aim, 0, 5)
    np.save(folder / "good.npy", logits)
    np.save(folder / "worse.npy", logits + amount * noise)
    np.save(folder / "far.npy", logits / 3)
    np.save(folder / "nan.npy", np.where(np.arange(N)[:, None] == 7, np.nan, logits))
    np.save(folder / "y.npy", labels)
    for suffix in ("tsv", "csv", "jsonl", "npy", "parquet", "arrow"):
        run = xent("compute", "good.npy", "y.npy", "-o", f"b.{suffix}", "--report", "b.json", cwd=folder)
        assert run.returncode == 0
    return folder


def check(folder, logits, *args, **options):
    return xent("check", logits, "y.npy", "-q", *args, cwd=folder, **options)


def verdicts(folder, *args):
    run = check(folder, *args, "-f", "json")
    document = json.loads(run.stdout)
    jsonschema.Draft202012Validator(json_schema("summary/summary")).validate(document)
    return run.returncode, document["checks"]


BASELINES = [f"b.{suffix}" for suffix in ("json", "tsv", "csv", "jsonl", "npy", "parquet", "arrow")]


@pytest.mark.parametrize("baseline", BASELINES)
def test_the_same_model_passes_with_a_delta_of_exactly_0(folder, baseline):
    limits = ("--max-increase", "mean_loss=0", "--max-increase", "p99_loss=0%", "--max-increase", "std_loss=0")
    code, checks = verdicts(folder, "good.npy", "--baseline", baseline, *limits)
    assert code == 0
    assert [entry["delta"] for entry in checks] == [0.0, 0.0, 0.0]


@pytest.mark.parametrize("baseline", ["b.json", "b.parquet"])
def test_a_model_that_is_1_percent_worse_fails_where_less_is_allowed(folder, baseline):
    for allowed, expected in (("0.9%", 1), ("0.99%", 1), ("1.01%", 0), ("1.5%", 0)):
        code, (entry,) = verdicts(folder, "worse.npy", "--baseline", baseline, "--max-increase", f"mean_loss={allowed}")
        assert (code, entry["passed"]) == (expected, expected == 0)
        assert entry["delta"] / entry["baseline"] == pytest.approx(0.01, rel=1e-6)


def test_an_increase_that_must_be_significant_is_judged_by_the_paired_interval(folder):
    args = ("--baseline", "b.parquet", "--max-increase", "mean_loss=0.1%", "--require-significant")
    labels = np.load(folder / "y.npy")
    before = losses(np.load(folder / "good.npy"), labels)
    for name in ("worse.npy", "far.npy"):
        after = losses(np.load(folder / name), labels)
        interval = stats.ttest_rel(after, before).confidence_interval(0.95)
        code, (entry,) = verdicts(folder, name, *args)
        assert entry["interval"] == pytest.approx(list(interval), rel=1e-6)
        assert code == (0 if interval[0] <= 0 <= interval[1] else 1)
        assert code == ["worse.npy", "far.npy"].index(name)


def test_a_limit_that_differs_in_the_12th_digit_decides_and_is_printed_with_it(folder):
    mean = json.loads((folder / "b.json").read_text())["summary"]["mean_loss"]
    for factor, code in ((1 - 1e-12, 1), (1 + 1e-12, 0)):
        limit = repr(mean * factor)
        run = check(folder, "good.npy", "--max", f"mean_loss={limit}")
        assert run.returncode == code
        word, _, _, told, observed = run.stdout.splitlines()[1].split("\t")[:5]
        assert (word, told, observed) == (("PASS", "FAIL")[code], limit, repr(mean))
    run = check(folder, "good.npy", "--max", f"mean_loss={mean * (1 - 1e-12)!r}")
    words = run.stderr.split()
    shown, limit = words[3].strip(","), words[-1]
    assert shown != limit
    assert float(shown) == pytest.approx(mean, rel=1e-12)


def test_a_nan_fails_by_name_whatever_the_limit(folder):
    run = check(folder, "nan.npy", "--max", "mean_loss=1e9", "--min", "mean_loss=-1e9", "--max", "n_nan=5")
    assert run.returncode == 1
    assert [line.split("\t")[0] for line in run.stdout.splitlines()[1:]] == ["FAIL", "PASS", "FAIL"]
    assert run.stderr.count("mean_loss is NaN") == 2


def test_a_nan_fails_against_rows_too(folder):
    for more in ((), ("--require-significant",)):
        run = check(folder, "nan.npy", "--baseline", "b.parquet", "--max-increase", "mean_loss=50%", *more)
        assert run.returncode == 1, run.stderr
        assert "mean_loss is NaN" in run.stderr


def test_a_baseline_that_was_nan_cannot_be_compared_with(folder):
    xent("compute", "nan.npy", "y.npy", "--report", "bad.json", "-o", "bad.parquet", cwd=folder)
    for baseline in ("bad.json", "bad.parquet"):
        run = check(folder, "good.npy", "--baseline", baseline, "--max-increase", "mean_loss=1%")
        assert (run.returncode, run.stdout) == (3, "")
        assert "the baseline has no mean_loss" in run.stderr


@pytest.mark.parametrize(
    ("change", "told"),
    [
        (lambda d: d.update(signature=d["signature"].replace("smoothing:0.0", "smoothing 0.0")), "smoothing 0.0"),
        (
            lambda d: d.update(signature=d["signature"].replace("smoothing:0.0", "smoothing:0.1")),
            "smoothing 0.0, not 0.1",
        ),
        (lambda d: d.update(labels_digest="0" * 16), "different labels"),
        (lambda d: d["summary"].update(n_samples=N - 1), "n_samples 500"),
        (lambda d: d["summary"].update(n_ignored=1), "n_ignored 0"),
        (lambda d: d["summary"].pop("mean_loss"), "not a summary"),
        (lambda d: d["summary"].update(mean_loss="low"), "summary.mean_loss 'low'"),
        (lambda d: d.pop("signature"), "not a summary"),
        (lambda d: d.update(overflow=[{}]), "not a summary"),
        (lambda d: d.update(slices={"by": 1}), "not a summary"),
        (lambda d: d.update(schema_version=2), "version"),
    ],
)
def test_a_baseline_with_other_settings_exits_3_and_the_difference_is_named(folder, tmp_path, change, told):
    document = json.loads((folder / "b.json").read_text())
    change(document)
    (tmp_path / "other.json").write_text(json.dumps(document))
    run = check(folder, "good.npy", "--baseline", tmp_path / "other.json", "--max-increase", "mean_loss=1%")
    assert (run.returncode, run.stdout) == (3, "")
    assert told in run.stderr


@pytest.mark.parametrize("baseline", ["other_n.json", "other_n.tsv", "other_n.npy"])
def test_a_baseline_of_another_length_exits_3_and_both_lengths_are_named(folder, baseline):
    np.save(folder / "short.npy", np.load(folder / "good.npy")[:-1])
    np.save(folder / "short_y.npy", np.load(folder / "y.npy")[:-1])
    xent(
        "compute",
        "short.npy",
        "short_y.npy",
        "-o",
        baseline.replace("json", "csv"),
        "--report",
        "other_n.json",
        cwd=folder,
    )
    run = check(folder, "good.npy", "--baseline", baseline, "--max-increase", "mean_loss=1%")
    assert (run.returncode, run.stdout) == (3, "")
    assert {"499", "500"} <= set(run.stderr.replace(",", " ").split())


def test_the_version_of_xent_is_not_a_setting_and_a_missing_setting_is_at_its_default(folder, tmp_path):
    document = json.loads((folder / "b.json").read_text())
    document["signature"] = document["signature"].replace("|temperature:1.0", "").replace("|v:", "|shift:0|v:9.")
    (tmp_path / "other.json").write_text(json.dumps(document))
    run = check(folder, "good.npy", "--baseline", tmp_path / "other.json", "--max-increase", "mean_loss=0")
    assert (run.returncode, run.stderr) == (0, "")


def test_rows_with_ids_are_compared_by_id(folder):
    lines = (folder / "b.tsv").read_text().splitlines()
    names = [f"n{i}" for i in range(N)]
    logits, labels = np.load(folder / "good.npy"), np.load(folder / "y.npy")
    table = [f"{name},{y},{','.join(map(repr, z.tolist()))}" for name, y, z in zip(names, labels, logits, strict=True)]
    (folder / "forth.csv").write_text("\n".join(["id,label,c0,c1,c2,c3", *table]) + "\n")
    (folder / "back.csv").write_text("\n".join(["id,label,c0,c1,c2,c3", *table[::-1]]) + "\n")
    assert len(lines) == N + 1
    assert xent("compute", "forth.csv", "-o", "ids.tsv", cwd=folder).returncode == 0
    run = xent("check", "back.csv", "--baseline", "ids.tsv", "--max-increase", "mean_loss=0", "-q", cwd=folder)
    assert run.returncode == 0, run.stderr
    assert run.stdout.splitlines()[1].endswith("\t0")


def test_increases_of_overflow_are_compared_with_those_of_the_document(folder):
    xent("compute", "good.npy", "y.npy", "--overflow-report", "--report", "o.json", cwd=folder)
    args = ("--baseline", "o.json", "--max-increase", "overflow.float16=0")
    assert check(folder, "good.npy", *args).returncode == 0
    run = check(folder, "good.npy", "--baseline", "b.json", "--max-increase", "overflow.float16=0")
    assert run.returncode == 3
    assert "the baseline has no overflow.float16" in run.stderr


@pytest.mark.parametrize("form", ["tsv", "json", "table"])
@pytest.mark.parametrize(("limit", "code"), [("mean_loss=0", 1), ("mean_loss=9", 141)])
def test_a_reader_that_goes_away_does_not_undo_a_verdict(folder, form, limit, code):
    """Standard output is a pipe whose reader is already gone."""
    reading, writing = os.pipe()
    os.close(reading)
    run = subprocess.run(
        [*XENT, "check", "good.npy", "y.npy", "--max", limit, "-f", form],
        cwd=folder, stdout=writing, stderr=subprocess.PIPE, text=True, check=False,
    )  # fmt: skip
    os.close(writing)
    assert run.returncode == code
    assert "Error" not in run.stderr
    assert ("FAIL mean_loss is" in run.stderr) == (code == 1)


def test_a_failing_check_in_a_pipe_to_head_exits_1(folder):
    line = "xent check good.npy y.npy --max mean_loss=0 --max bits=0 2>/dev/null | head -1"
    run = forked.shell(f"{line}; echo ${{PIPESTATUS[0]}}", folder)
    assert run.stdout.splitlines() == ["verdict\tmetric\tkind\tlimit\tobserved\tbaseline\tdelta", "1"]


def test_reports_in_every_form_are_written_in_one_run_also_where_a_check_fails(folder, tmp_path):
    names = ["r.json", "r.md", "r.xml"]
    summary = tmp_path / "summary"
    summary.write_text("before\n")
    args = [arg for name in names for arg in ("--report", tmp_path / name)]
    env = {**os.environ, "GITHUB_STEP_SUMMARY": str(summary)}
    for times in (1, 2):
        run = check(folder, "good.npy", "--max", "mean_loss=0", *args, "--report", f"md:{summary}", env=env)
        assert run.returncode == 1
        assert summary.read_text().startswith("before\n")
        assert summary.read_text().count("## xent FAIL: 1 of 1 check\n") == times
    assert (tmp_path / "r.md").read_text().count("## xent FAIL") == 1
    assert not json.loads((tmp_path / "r.json").read_text())["checks"][0]["passed"]
    assert 'failures="1"' in (tmp_path / "r.xml").read_text()


def test_a_run_that_fails_adds_nothing_to_the_step_summary(folder, tmp_path):
    summary = tmp_path / "summary"
    summary.write_text("before\n")
    env = {**os.environ, "GITHUB_STEP_SUMMARY": str(summary)}
    args = ("--max-increase", "mean_loss=1%", "--baseline", "no.json", "--report", f"md:{summary}")
    assert check(folder, "good.npy", *args, env=env).returncode == 3
    assert summary.read_text() == "before\n"


def test_rows_are_saved_with_a_verdict_and_are_the_next_baseline(folder, tmp_path):
    rows = tmp_path / "rows.parquet"
    run = check(folder, "good.npy", "--baseline", "b.npy", "--max-increase", "mean_loss=0", "-o", rows)
    assert run.returncode == 0
    assert check(folder, "good.npy", "--baseline", rows, "--max-increase", "mean_loss=0").returncode == 0
