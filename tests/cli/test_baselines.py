"""Baselines of a run: its own results in every form and those of 0.1.0, but no results for other labels."""

import json
import shutil
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from tests.click_runner import runner
from xent_cli.cli import cli
from xent_cli.errors import XentError

STORED = Path(__file__).parent / "stored" / "0.1.0"
N, C = 40, 4
TABLES = ("tsv", "csv", "jsonl", "parquet", "arrow")
FORMS = ("b.json", *(f"b.{suffix}" for suffix in (*TABLES, "npy")), "parts/")
LOOSE = ("--max-increase", "mean_loss=100000%")
EXACT = ("--max-increase", "mean_loss=0", "--max-increase", "sum_loss=0", "--max-increase", "perplexity=0")


def xent(*args):
    """Return the exit code, standard output and standard error of a run, in this process, as there are many runs."""
    run = runner().invoke(cli, [str(arg) for arg in args])
    if isinstance(run.exception, XentError):
        return run.exception.exit_code, run.stdout, run.stderr + str(run.exception)
    if run.exception is not None and not isinstance(run.exception, SystemExit):
        raise run.exception
    return run.exit_code, run.stdout, run.stderr


def softmax(z):
    e = np.exp(z - z.max(axis=1, keepdims=True))
    return e / e.sum(axis=1, keepdims=True)


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """Save a model's outputs, and its results in every form."""
    folder = tmp_path_factory.mktemp("made")
    rng = np.random.default_rng(1)
    logits, labels = rng.normal(size=(N, C)), rng.integers(0, C, N)
    labels[5] = -100
    np.save(folder / "z.npy", logits)
    np.save(folder / "y.npy", labels)
    for form in FORMS:
        into = ("--report" if form.endswith(".json") else "-o", f"{folder}/{form}")
        assert xent("compute", folder / "z.npy", folder / "y.npy", "--ignore-index", "-100", "-q", *into)[0] == 0
    return folder


@pytest.fixture
def folder(made, tmp_path, monkeypatch):
    monkeypatch.chdir(shutil.copytree(made, tmp_path / "here"))
    return tmp_path / "here"


def check(*args, ignore=("--ignore-index", "-100"), limits=LOOSE):
    return xent("check", "z.npy", "y.npy", *ignore, "-q", *limits, *args)


@pytest.mark.parametrize("form", FORMS)
def test_a_run_passes_against_itself_and_says_what_is_not_known(folder, form):
    code, _, told = check("--baseline", form, limits=EXACT)
    assert code == 0
    assert ("settings-unknown" in told) == (form.rpartition(".")[2] in ("tsv", "csv", "jsonl", "npy"))
    assert ("labels-unknown" in told) == form.endswith(".npy")
    assert check("--baseline", form, "--strict", limits=EXACT)[0] == (3 if told else 0)


@pytest.mark.parametrize("form", FORMS)
def test_a_masked_run_passes_against_itself_and_not_against_one_of_another_mask(folder, form):
    np.save("mask.npy", np.arange(N) % 7 > 0)
    run = ("z.npy", "y.npy", "--ignore-index", "-100", "--mask", "mask.npy", "-q")
    assert xent("compute", *run, "--report" if form.endswith(".json") else "-o", form)[0] == 0
    assert xent("check", *run, "--baseline", form, *EXACT)[0] == 0
    np.save("mask.npy", np.arange(N) % 7 > 1)
    assert xent("check", *run, "--baseline", form, *LOOSE)[0] == 3
    np.save("mask.npy", np.arange(N) % 7 < 6)  # the same number of samples
    assert xent("check", *run, "--baseline", form, *LOOSE)[0] == 3


def other_labels(z, y):
    y[3] = (y[3] + 1) % C
    return z, y


def permuted_labels(z, y):
    return z, np.roll(y, 1)


def dropped_rows(z, y):
    return z[:-2], y[:-2]


def shuffled_rows(z, y):
    order = np.random.default_rng(2).permutation(N)
    return z[order], y[order]


def another_sample_ignored(z, y):
    y[[5, 6]] = y[[6, 5]]
    return z, y


def one_nan(z, y):
    z[7, 2] = np.nan
    return z, y


REGRESSIONS = (other_labels, permuted_labels, dropped_rows, shuffled_rows, another_sample_ignored, one_nan)


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("change", REGRESSIONS)
def test_a_regression_of_the_samples_never_passes(folder, form, change):
    logits, labels = change(np.load("z.npy"), np.load("y.npy"))
    np.save("z.npy", logits)
    np.save("y.npy", labels)
    code, _, told = check("--baseline", form)
    if code == 0:  # an array of losses has no labels, so a note says that they cannot be compared
        assert form == "b.npy"
        assert "labels-unknown" in told
        code = check("--baseline", form, "--strict")[0]
    assert code == (1 if change is one_nan else 3), told


OTHER_SETTINGS = (
    ("--temperature", "3"),
    ("--label-smoothing", "0.1"),
    ("--class-weight", "cw.npy"),
    ("--sample-weight", "sw.npy"),
    ("--precision", "float32"),
    ("--mask", "mask.npy"),
    ("--from", "log-probs"),
    ("--ignore-index", "2"),
    ("--shift", "1"),
)


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("settings", OTHER_SETTINGS, ids=lambda settings: settings[0])
def test_results_of_other_settings_are_not_a_baseline(folder, form, settings):
    np.save("cw.npy", np.linspace(0.5, 2, C))
    np.save("sw.npy", np.linspace(0.5, 2, N))
    np.save("mask.npy", np.arange(N) % 7 > 0)
    if "log-probs" in settings:
        np.save("z.npy", np.log(softmax(np.load("z.npy"))))
    code, _, told = check(*settings, "--baseline", form)
    if code == 0:  # text and arrays lack the settings, so a note says that these cannot be compared
        assert "settings-unknown" in told
        code = check(*settings, "--baseline", form, "--strict")[0]
    assert code in ((2, 3) if settings == ("--shift", "1") else (3,)), told


WEIGHTS = {
    "sample": ("--sample-weight", "sw.npy"),
    "class": ("--class-weight", "cw.npy"),
    "both": ("--sample-weight", "sw.npy", "--class-weight", "cw.npy"),
}


@pytest.fixture
def weighted(folder):
    rng = np.random.default_rng(4)
    np.save("cw.npy", rng.random(C))
    np.save("sw.npy", np.where(np.arange(N) % 9 == 0, 0.0, rng.random(N)))
    return folder


def pytorch_mean(z, y, sample, by_class):
    kept = (y >= 0) & (sample > 0)
    z, y, sample = z[kept].astype(np.longdouble), y[kept], sample[kept]
    loss = -np.log(softmax(z))[np.arange(y.size), y]
    return float((sample * by_class[y] * loss).sum() / (sample * by_class[y]).sum())


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("which", WEIGHTS)
def test_a_weighted_run_passes_against_itself_wherever_weights_have_a_place(weighted, form, which):
    run = ("z.npy", "y.npy", "--ignore-index", "-100", *WEIGHTS[which], "-q")
    into = ("--report", form) if form.endswith(".json") else ("-o", form)
    assert xent("compute", *run, *into)[0] == 0
    code, out, told = xent("check", *run, "--baseline", form, *EXACT, "-f", "json")
    if form == "b.npy":
        assert (code, out) == (3, "")
        assert "class_weight" in told or "sample_weight" in told
        return
    assert code == 0, told
    entry, *others = json.loads(out)["checks"]
    assert all(entry["delta"] == 0.0 for entry in [entry, *others])
    sample = np.load("sw.npy") if which != "class" else np.ones(N)
    by_class = np.load("cw.npy") if which != "sample" else np.ones(C)
    truth = pytorch_mean(np.load("z.npy"), np.load("y.npy"), sample, by_class)
    assert entry["baseline"] == pytest.approx(truth, rel=1e-12)


@pytest.mark.parametrize("suffix", TABLES)
@pytest.mark.parametrize("which", WEIGHTS)
def test_weighted_rows_are_compared_by_the_weighted_mean(weighted, suffix, which):
    np.save("worse.npy", np.load("z.npy") / 2)
    for name in ("z", "worse"):
        run = (f"{name}.npy", "y.npy", "--ignore-index", "-100", *WEIGHTS[which], "-q")
        assert xent("compute", *run, "-o", f"{name}.{suffix}")[0] == 0
    code, out, _ = xent("compare", f"z.{suffix}", f"worse.{suffix}", "-f", "json")
    assert code == 0
    found = json.loads(out)["candidates"][0]["metrics"][0]
    sample = np.load("sw.npy") if which != "class" else np.ones(N)
    by_class = np.load("cw.npy") if which != "sample" else np.ones(C)
    for name, side in (("z", "baseline"), ("worse", "candidate")):
        truth = pytorch_mean(np.load(f"{name}.npy"), np.load("y.npy"), sample, by_class)
        assert found[side] == pytest.approx(truth, rel=1e-12)
    assert found["low"] < found["delta"] < found["high"]
    assert found["n"] == (N - 1 if which == "class" else N - 1 - 5)


@pytest.mark.parametrize("form", [form for form in FORMS if form != "b.npy"])
@pytest.mark.parametrize("which", WEIGHTS)
def test_rows_of_other_weights_are_not_a_baseline(weighted, form, which):
    run = ("z.npy", "y.npy", "--ignore-index", "-100", *WEIGHTS[which], "-q")
    into = ("--report", form) if form.endswith(".json") else ("-o", form)
    assert xent("compute", *run, *into)[0] == 0
    for name in ("sw", "cw"):
        np.save(f"{name}.npy", np.load(f"{name}.npy")[::-1])
    code, _, told = xent("check", *run, "--baseline", form, *LOOSE)
    assert code == 3, told


@pytest.mark.parametrize("form", ["b.json", "b.parquet", "b.arrow", "parts/"])
@pytest.mark.parametrize("kind", ["dense", "teacher"])
def test_other_soft_labels_are_distinguished_from_the_first(folder, form, kind):
    rng = np.random.default_rng(8)
    second = rng.normal(size=(N, C))
    np.save("q.npy", second if kind == "teacher" else softmax(second))
    options = ("--labels-from", "logits") if kind == "teacher" else ()
    into = ("--report", form) if form.endswith(".json") else ("-o", form)
    assert xent("compute", "z.npy", "q.npy", *options, "-q", *into)[0] == 0
    gate = ("check", "z.npy", "q.npy", *options, "-q", "--baseline", form)
    assert xent(*gate, *EXACT)[0] == 0
    np.save("q.npy", np.load("q.npy")[::-1].copy())
    code, _, told = xent(*gate, *LOOSE)
    assert code == 3
    assert "different labels" in told


def test_the_digest_is_that_of_the_labels_in_any_dtype_format_and_partition(folder):
    y = np.load("y.npy")
    found = set()
    np.save("f.npy", y.astype(np.float64))
    np.save("small.npy", y.astype(np.int8))
    Path("y.csv").write_text("label\n" + "".join(f"{label}\n" for label in y))
    pq.write_table(pa.table({"logits": np.load("z.npy").tolist(), "label": y}), "both.parquet", row_group_size=7)
    Path("shards").mkdir()
    for i in range(3):
        np.save(f"shards/y-{i}.npy", y[i * 15 : i * 15 + 15])
    for inputs in (("y.npy",), ("f.npy",), ("small.npy",), ("y.csv",), ("shards",), None):
        files = ("both.parquet",) if inputs is None else ("z.npy", *inputs)
        for threads in ("1", "3"):
            code, out, told = xent("compute", *files, "--ignore-index", "-100", "-f", "json", "--threads", threads)
            assert code == 0, told
            found.add(json.loads(out)["labels_digest"])
    assert found == {json.loads(Path("b.json").read_text())["labels_digest"]}


# 0.1.0 had only this kernel.
OLD = ("logits.npy", "labels.npy", "--ignore-index", "-100", "-q", "--kernel", "numpy")


@pytest.mark.parametrize("form", ["summary.json", *(f"rows.{suffix}" for suffix in (*TABLES, "npy")), "parts"])
def test_results_of_0_1_0_are_baselines_and_missing_settings_are_noted(form, monkeypatch):
    monkeypatch.chdir(STORED)
    code, _, told = xent("check", *OLD, "--baseline", form, *EXACT)
    assert code == 0, told
    codes = {"summary.json": ["labels"], "rows.npy": ["settings", "labels"]}.get(form, ["settings"])
    assert [line.rpartition("[")[2] for line in told.splitlines()] == [f"{name}-unknown]" for name in codes]
    other = xent("check", *OLD, "--temperature", "2", "--baseline", form, *LOOSE, "--strict")
    assert other[0] == 3


def test_a_weighted_document_of_0_1_0_is_a_baseline_and_its_rows_which_hold_no_weights_are_not(monkeypatch):
    monkeypatch.chdir(STORED)
    run = ("check", *OLD, "--sample-weight", "weights.npy", "--class-weight", "class_weights.npy", *EXACT)
    assert xent(*run, "--baseline", "weighted.json")[0] == 0
    code, _, told = xent(*run, "--baseline", "weighted.parquet")
    assert code == 3
    assert "none, not given" in told or "given, not none" in told


@pytest.mark.parametrize(
    ("name", "array"),
    [
        ("logits", np.random.default_rng(0).normal(size=(8, 3))),
        ("single", np.random.default_rng(0).random((8, 3)).astype(np.float32)),
        ("integers", np.arange(8)),
        ("flags", np.ones(8, np.bool_)),
        ("negative", np.array([0.5, -1.0, 2.0])),
        ("probabilities", softmax(np.random.default_rng(0).normal(size=(20, 3)))),
        ("one_hot", np.eye(3)[np.arange(20) % 3]),
    ],
)
def test_an_array_that_is_not_losses_is_not_compared(tmp_path, monkeypatch, name, array):
    monkeypatch.chdir(tmp_path)
    np.save(f"{name}.npy", array)
    np.save("z.npy", np.zeros((len(array), 2)))
    np.save("y.npy", np.zeros(len(array), int))
    file = f"{name}.npy"
    for args in (("compare", file, file), ("check", "z.npy", "y.npy", *LOOSE, "--baseline", file)):
        code, _, told = xent(*args)
        assert code == 3
        assert "not saved losses" in told


@pytest.mark.parametrize(
    ("columns", "told"),
    [
        ({"loss": [1, 2]}, "not numbers"),
        ({"loss": [True, False]}, "not numbers"),
        ({"loss": ["a", "b"]}, "not numbers"),
        ({"loss": [0.5, -2.0]}, "not saved losses"),
        ({"loss": [0.5, 2.0], "weight": [1.0, -1.0]}, "invalid weight"),
        ({"loss": [0.5, 2.0], "weight": ["a", "b"]}, "invalid weight"),
    ],
)
def test_a_table_of_values_that_are_not_losses_is_not_compared(tmp_path, columns, told):
    pq.write_table(pa.table(columns), tmp_path / "t.parquet")
    code, _, found = xent("compare", tmp_path / "t.parquet", tmp_path / "t.parquet")
    assert code == 3
    assert told in found


def test_losses_of_sequences_keep_their_shape_and_are_compared_in_it(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    rng = np.random.default_rng(0)
    np.save("z.npy", rng.normal(size=(6, 5, 3)))
    np.save("y.npy", rng.integers(0, 3, (6, 5)))
    assert xent("compute", "z.npy", "y.npy", "-o", "b.npy", "-q")[0] == 0
    assert xent("compare", "b.npy", "b.npy", "-q")[0] == 0
    assert xent("check", "z.npy", "y.npy", "--baseline", "b.npy", *EXACT)[0] == 0
    np.save("turned.npy", np.load("b.npy").T.copy())
    code, _, told = xent("check", "z.npy", "y.npy", "--baseline", "turned.npy", *LOOSE)
    assert code == 3
    assert "(5, 6)" in told


def test_the_answer_does_not_depend_on_the_suffix_where_losses_are_not_finite(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    z = np.random.default_rng(0).normal(size=(12, 3))
    y = np.arange(12) % 3
    z[3, y[3]] = -np.inf
    y[8] = -100
    np.save("y.npy", y)
    np.save("old.npy", z)
    z[1, 0] = np.nan
    np.save("new.npy", z)
    answers, verdicts = set(), set()
    for suffix in (*TABLES, "npy"):
        for name in ("old", "new"):
            run = (f"{name}.npy", "y.npy", "--ignore-index", "-100", "-q")
            assert xent("compute", *run, "-o", f"{name}_rows.{suffix}")[0] == 0
        code, out, told = xent("compare", f"old_rows.{suffix}", f"new_rows.{suffix}", "-f", "json")
        assert code == 0, told
        answers.add(json.dumps(json.loads(out)["candidates"][0]["metrics"]))
        limits = ("--max-increase", "p50_loss=1", "--max-increase", "min_loss=1", "--max-increase", "mean_loss=1")
        gate = ("check", "new.npy", "y.npy", "--ignore-index", "-100", "--baseline", f"old_rows.{suffix}")
        verdicts.add(xent(*gate, *limits, "-q")[0])
    assert len(answers) == 1
    assert verdicts == {3}


def test_parts_of_different_runs_are_refused(folder):
    xent("compute", "z.npy", "y.npy", "--ignore-index", "-100", "--temperature", "2", "-o", "hot/", "-q")
    part = next(Path("hot").glob("part-*"))
    shutil.copy(part, Path("parts") / f"part-000000000099-{part.name.rpartition('-')[2]}")
    code, _, told = check("--baseline", "parts/")
    assert code == 3
    assert "parts of different runs" in told


@pytest.mark.parametrize("form", [form for form in FORMS if form not in ("b.json", "b.npy")])
def test_divergences_of_saved_rows_are_a_baseline_too(folder, form):
    rng = np.random.default_rng(9)
    np.save("t.npy", rng.normal(size=(N, C)))
    np.save("sw.npy", rng.random(N))
    run = ("z.npy", "t.npy", "--labels-from", "logits", "--sample-weight", "sw.npy", "-q")
    assert xent("compute", *run, "-o", form)[0] == 0
    gate = ("check", *run, "--baseline", form, "--max-increase", "kl_divergence=0")
    assert xent(*gate)[0] == 0
    np.save("z.npy", np.load("z.npy") * 5)
    assert xent(*gate)[0] == 1


@pytest.mark.parametrize("name", ["weight", "class_weight", "kl_divergence", "loss"])
def test_no_input_column_is_written_under_a_name_that_xent_reads(tmp_path, name):
    table, rows = tmp_path / "t.csv", tmp_path / "o.csv"
    table.write_text(f"a,b,label,{name}\n1,2,0,x\n2,1,1,y\n")
    code, _, told = xent("compute", table, "--by", name, "--logits-column", "[ab]", "-o", rows)
    assert code == 2
    assert "rename it" in told


EDITED = (None, "x", "nan", [], [1], {}, {"a": 1}, True, -1, 1.5, 10**400, float("inf"), float("nan"), ...)


def places_in(value, before=()):
    """Return every key and index of a document, from the root."""
    held = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, inner in held:
        yield (*before, key)
        yield from places_in(inner, (*before, key))


def edited(document, place, value):
    """Return the document with a different value in a place, or without it."""
    document = json.loads(json.dumps(document))
    inner = document
    for key in place[:-1]:
        inner = inner[key]
    if value is ...:
        del inner[place[-1]]
    else:
        inner[place[-1]] = value
    return document


@pytest.fixture(scope="module")
def edits(made):
    """Return a document with every field that is read."""
    report = made / "every.json"
    options = ("--ignore-index", "-100", "--overflow-report", "-q", "--report", report)
    assert xent("compute", made / "z.npy", made / "y.npy", *options)[0] == 0
    document = json.loads(report.read_text())
    document["slices"] = [{"by": "split", "value": "test", "summary": dict(document["summary"])}]
    return document


@pytest.mark.parametrize("value", EDITED, ids=str)
def test_a_document_that_somebody_edited_is_compared_or_refused_and_is_never_a_bug(folder, edits, value):
    Path("whole.json").write_text(json.dumps(edits))
    limits = (*LOOSE, "--max-decrease", "accuracy=1", "--max-increase", "overflow.float16=1000")
    for place in places_in(edits):
        if place[0] == "inputs" and len(place) > 1:
            continue
        Path("edited.json").write_text(json.dumps(edited(edits, place, value)))
        codes = {
            check("--baseline", "edited.json", limits=limits)[0],
            xent("compare", "whole.json", "edited.json")[0],
        }
        assert codes <= {0, 3}, place


@pytest.mark.parametrize(
    ("place", "values"),
    [
        (("summary", "mean_loss"), ("x", "nan", [], {}, True, -1, float("inf"), 10**400, ...)),
        (("summary", "accuracy"), ("x", [], True, -0.5, 1.5, float("nan"))),
        (("summary", "n_samples"), (None, "x", True, -1, 1.5, ...)),
        (("summary", "p99_loss"), ("x", [1], False, -3, 10**400)),
        (("labels_digest",), (7, [], "", "0123", "0123456789ABCDEF")),
        (("slices", 0), (None, 3, {}, {"by": "split", "value": "a"})),
        (("overflow", 0, "n_overflow"), (None, "1", True, -1, 0.5, ...)),
        (("schema_version",), (None, "1", True, 2, ...)),
    ],
    ids=lambda place: ".".join(map(str, place)) if isinstance(place, tuple) and isinstance(place[0], str) else "values",
)
def test_a_value_that_xent_writes_in_no_document_is_refused_by_check_and_compare(folder, edits, place, values):
    Path("whole.json").write_text(json.dumps(edits))
    for value in values:
        Path("edited.json").write_text(json.dumps(edited(edits, place, value)))
        for code, _, told in (check("--baseline", "edited.json"), xent("compare", "whole.json", "edited.json")):
            assert code == 3, (value, told)
            assert "edited.json" in told


def test_compare_refuses_under_strict_what_it_warns_of(folder):
    code, out, told = xent("compare", "b.npy", "b.npy", "-f", "tsv")
    assert (code, "warning" in told) == (0, True)
    code, out, told = xent("compare", "b.npy", "b.npy", "-f", "tsv", "--strict")
    assert (code, out) == (3, "")
    assert "settings-unknown" in told
    assert xent("compare", "b.parquet", "b.parquet", "-f", "tsv", "--strict")[0] == 0


def test_summaries_without_a_finite_mean_are_warned_of(folder, edits):
    Path("edited.json").write_text(json.dumps(edited(edits, ("summary", "mean_loss"), None)))
    Path("whole.json").write_text(json.dumps(edits))
    code, _, told = xent("compare", "whole.json", "edited.json", "-f", "tsv")
    assert (code, "no finite mean loss in edited.json [loss-not-finite]" in told) == (0, True)
