"""What `xent compare` does as a process, and what it writes for programs."""

import csv
import io
import json

import jsonschema
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from scipy import stats

from tests import forked
from tests.cli.test_process import DIGITS, SAMPLE, on_terminal
from tests.forked import xent
from xent_cli.reports.strict_json import json_schema

WORSE = [str(SAMPLE / "digits_worse_logits.npy"), DIGITS[1]]


@pytest.fixture(scope="module")
def saved(tmp_path_factory):
    """Save rows and summaries of both models of the sample data, in every format."""
    folder = tmp_path_factory.mktemp("saved")
    for name, inputs in (("old", DIGITS), ("new", WORSE)):
        xent("compute", *inputs, "-q", "-o", folder / f"{name}.parquet", "--report", folder / f"{name}.json")
        table = pq.read_table(folder / f"{name}.parquet")
        np.save(folder / f"{name}.npy", table["loss"].to_numpy())
        for suffix in (".tsv", ".csv", ".jsonl", ".arrow"):
            xent("compute", *inputs, "-q", "-o", folder / f"{name}{suffix}")
    return folder


def compared(*args):
    run = xent("compare", *args, "-f", "json", "-q")
    assert (run.returncode, run.stderr) == (0, "")
    document = json.loads(run.stdout, parse_constant=lambda name: pytest.fail(f"{name} is not JSON"))
    jsonschema.validate(document, json_schema("comparison/comparison"), cls=jsonschema.Draft202012Validator)
    return document


def mean(document, candidate=0):
    return document["candidates"][candidate]["metrics"][0]


def test_every_format_of_rows_gives_the_same_digits_and_they_are_those_of_scipy(saved):
    candidates = [saved / f"new{suffix}" for suffix in (".parquet", ".tsv", ".csv", ".jsonl", ".arrow", ".npy")]
    document = compared(saved / "old.parquet", *candidates)
    found = mean(document)
    assert all(mean(document, place) == found for place in range(len(candidates)))
    old, new = (np.load(saved / f"{name}.npy") for name in ("old", "new"))
    truth = stats.ttest_rel(new, old)
    assert found["p"] == pytest.approx(truth.pvalue, rel=1e-11)
    assert (found["low"], found["high"]) == pytest.approx(tuple(truth.confidence_interval()), rel=1e-12)
    assert found["change"] == "higher"


def test_the_figures_of_rows_are_those_of_the_summaries(saved):
    rows = compared(saved / "old.parquet", saved / "new.parquet")["candidates"][0]["metrics"]
    document = compared(saved / "old.json", saved / "new.json")
    assert document["kind"] == "summary"
    summaries = {change["metric"]: change for change in document["candidates"][0]["metrics"]}
    for change in rows:
        for name in ("baseline", "candidate", "n"):
            assert change[name] == summaries[change["metric"]][name]
        assert change["delta"] == pytest.approx(summaries[change["metric"]]["delta"], rel=1e-12)
    assert summaries["accuracy"]["delta"] < 0
    assert all(change["p"] is None for change in summaries.values())


def test_the_same_model_differs_by_exactly_0_in_every_figure(saved):
    document = compared(saved / "new.parquet", saved / "new.csv", "--by", "label", "--top", "3")
    candidate = document["candidates"][0]
    assert {change["delta"] for change in candidate["metrics"] + candidate["slices"]} == {0}
    assert {change["delta_percent"] for change in candidate["metrics"]} == {0}
    assert mean(document)["change"] == "n/a"
    assert candidate["moved"] == []


@pytest.mark.parametrize(("factor", "change"), [(1.01, "higher"), (0.99, "lower")])
def test_one_percent_is_distinguished_from_chance(factor, change, tmp_path):
    losses = np.random.default_rng(0).exponential(size=2000)
    np.save(tmp_path / "old.npy", losses)
    np.save(tmp_path / "new.npy", losses * factor)
    found = mean(compared(tmp_path / "old.npy", tmp_path / "new.npy"))
    assert found["delta_percent"] == pytest.approx(100 * (factor - 1), rel=1e-9)
    assert found["change"] == change


def test_rows_shuffled_under_their_ids_change_no_digit_and_slices_follow_them(tmp_path):
    rng = np.random.default_rng(0)
    table = pa.table(
        {
            "sample": np.arange(500),
            "name": [f"s{i}" for i in range(500)],
            "label": rng.integers(0, 3, 500),
            "loss": rng.exponential(size=500),
            "split": rng.choice(["seen", "new"], 500),
        }
    )
    worse = table.set_column(3, "loss", [np.abs(table["loss"].to_numpy() + rng.normal(0.1, 1, 500))])
    paths = [tmp_path / name for name in ("old.parquet", "straight.parquet", "shuffled.parquet")]
    for path, rows in zip(paths, (table, worse, worse.take(rng.permutation(500))), strict=True):
        pq.write_table(rows, path)
    document = compared(*paths, "--by", "split", "--by", "label", "--top", "4", "--test", "bootstrap")
    assert document["joined_on"] == "name"
    straight, shuffled = ({**entry, "label": "", "path": ""} for entry in document["candidates"])
    assert straight == shuffled
    assert [(change["by"], change["value"]) for change in straight["slices"]] == [
        ("split", "new"),
        ("split", "seen"),
        ("label", "0"),
        ("label", "1"),
        ("label", "2"),
    ]
    assert sum(change["n"] for change in straight["slices"]) == 1000
    for change in straight["slices"][:2]:
        chosen = np.array(table["split"].to_pylist()) == change["value"]
        difference = worse["loss"].to_numpy()[chosen] - table["loss"].to_numpy()[chosen]
        assert change["delta"] == pytest.approx(difference.mean(), rel=1e-12)
    moved = np.abs(worse["loss"].to_numpy() - table["loss"].to_numpy())
    assert [entry["id"] for entry in straight["moved"]] == [f"s{i}" for i in np.argsort(-moved)[:4]]


@pytest.mark.parametrize("test", ["bootstrap", "permutation"])
def test_a_seed_gives_the_same_text_twice_and_is_shown(test, saved):
    args = ["compare", saved / "old.csv", saved / "new.csv", "--test", test, "--resamples", "500", "--by", "label"]
    first, second, other = xent(*args), xent(*args), xent(*args, "--seed", "1")
    assert first.stdout == second.stdout
    assert "500" in first.stderr
    assert ", seed 0; " in first.stderr
    assert first.stdout != other.stdout
    assert ", seed 1; " in other.stderr


def test_text_for_programs_reads_back_to_the_same_numbers_as_json(saved):
    args = [saved / "old.csv", f"b={saved / 'new.csv'}", f"c={saved / 'old.npy'}", "--by", "label"]
    document = compared(*args)
    wanted = [
        {"label": candidate["label"], "by": None, "value": None, **change}
        for candidate in document["candidates"]
        for change in candidate["metrics"] + candidate["slices"]
    ]
    for form, delimiter in (("tsv", "\t"), ("csv", ",")):
        rows = list(csv.DictReader(io.StringIO(xent("compare", *args, "-f", form).stdout), delimiter=delimiter))
        assert len(rows) == len(wanted)
        for row, change in zip(rows, wanted, strict=True):
            for name, text in row.items():
                assert text == change[name] if isinstance(change[name], str) else number(text) == change[name]


def number(text):
    return None if text == "" else float(text)


def test_a_nan_is_null_in_json_and_named(tmp_path):
    np.save(tmp_path / "old.npy", [1.0, 2.0, 3.0])
    np.save(tmp_path / "new.npy", [1.0, np.inf, np.nan])
    document = compared(tmp_path / "old.npy", tmp_path / "new.npy")
    assert [mean(document)[name] for name in ("baseline", "candidate", "delta", "p")] == [2.0, None, None, None]
    codes = [warning["code"] for warning in document["warnings"]]
    assert codes == ["loss-not-finite", "settings-unknown", "labels-unknown"]
    assert "2 of 3 samples" in document["warnings"][0]["message"]
    assert "first: sample 1" in document["warnings"][0]["message"]


def test_a_file_with_an_equals_sign_in_its_name_is_a_file(tmp_path):
    np.save(tmp_path / "lr=3.npy", [1.0, 2.0])
    run = xent("compare", "lr=3.npy", "again=lr=3.npy", "-f", "json", cwd=tmp_path)
    document = json.loads(run.stdout)
    assert document["baseline"] == {"label": "lr=3.npy", "path": "lr=3.npy", "signature": None}
    assert document["candidates"][0]["label"] == "again"


def test_a_closed_pipe_ends_quietly_with_141(tmp_path):
    rows, label = 5_000, "x" * 1_000  # a few MB, more than a pipe can hold
    pq.write_table(pa.table({"group": [str(i) for i in range(rows)], "loss": np.ones(rows)}), tmp_path / "a.parquet")
    path = tmp_path / "a.parquet"
    line = f"xent compare {path} {label}={path} --by group -q | head -1; echo ${{PIPESTATUS[0]}}"
    run = forked.shell(line, tmp_path)
    assert run.stdout.splitlines()[0].startswith("metric\tbaseline\tcandidate\tdelta")
    assert run.stdout.splitlines()[1:] == ["141"]
    assert run.stderr == ""


def test_a_terminal_gets_a_table_with_the_samples_that_moved_most(saved):
    shown, code = on_terminal(["compare", f"old={saved / 'old.parquet'}", f"new={saved / 'new.parquet'}"])
    assert code == 0
    assert all(word in shown for word in ("95 % interval", "+0.2578", "moved", "309", "joined by position"))
    assert "not shown for lack of room" in shown or "+206 %" in shown


def test_colour_can_be_switched_on_and_off(saved):
    args = ["compare", str(saved / "old.parquet"), str(saved / "new.parquet")]
    assert "\x1b[31m" in on_terminal([*args, "--color", "always"])[0]
    assert "\x1b[3" not in on_terminal([*args, "--color", "never"])[0]


def test_quiet_prints_only_the_result(saved):
    run = xent("compare", saved / "old.csv", saved / "new.csv", "-q", "--top", "3")
    assert (run.returncode, run.stderr) == (0, "")
