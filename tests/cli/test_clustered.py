"""`--cluster`: which samples form a cluster in every format and command, and the notes about it."""

import itertools
import json
import math
import re
from functools import partial

import jsonschema
import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from scipy import stats

import xent_cli
from tests import forked
from xent_cli.reports.strict_json import json_schema

B, T, K = 6, 8, 4
RNG = np.random.default_rng(5)
Z, Y = RNG.normal(size=(B, T, K)), RNG.integers(0, K, (B, T))
Y[0, 1] = Y[3, 5] = -100
LOSS = xent_cli.sparse_softmax_cross_entropy(Z, Y, ignore_index=-100)
DOCS = np.repeat([f"doc{i}" for i in range(B)], T)
IGNORE = ("--ignore-index", "-100")
SUFFIXES = ("npy", "tsv", "csv", "jsonl", "parquet", "arrow")
TOKENS = 500


def brute_force(loss, clusters, weight=None):
    """Return the standard error, the t interval and the number of clusters, from the definition."""
    loss, clusters = np.asarray(loss).reshape(-1), np.asarray(clusters).reshape(-1)
    weight = np.ones(loss.size) if weight is None else np.asarray(weight).reshape(-1)
    keep = ~np.isnan(loss) & (weight > 0)
    loss, clusters, weight = loss[keep], clusters[keep], weight[keep]
    mean = math.fsum(weight * loss) / math.fsum(weight)
    sums = [math.fsum((weight * (loss - mean))[clusters == c]) for c in dict.fromkeys(clusters.tolist())]
    g = len(sums)
    error = math.sqrt(g / (g - 1) * math.fsum(u * u for u in sums)) / math.fsum(weight)
    reach = stats.t.ppf(0.975, g - 1) * error
    return error, (mean - reach, mean + reach), g


def held_to(summary, loss, clusters, weight=None):
    error, interval, count = brute_force(loss, clusters, weight)
    assert summary["se_loss"] == pytest.approx(error, rel=1e-12)
    assert (summary["ci_low"], summary["ci_high"]) == pytest.approx(interval, rel=1e-12)
    assert summary["n_clusters"] == count
    alone, _, _ = brute_force(loss, np.arange(np.size(loss)), weight)
    assert summary["design_effect"] == pytest.approx((error / alone) ** 2, rel=1e-11)
    both = summary["perplexity_low"], summary["perplexity_high"]
    assert both == pytest.approx(tuple(map(math.exp, interval)), rel=1e-12)


@pytest.fixture
def folder(tmp_path):
    np.save(tmp_path / "z.npy", Z)
    np.save(tmp_path / "y.npy", Y)
    np.save(tmp_path / "flat_z.npy", Z.reshape(-1, K))
    np.save(tmp_path / "flat_y.npy", Y.reshape(-1))
    return tmp_path


def table(**more):
    columns = {f"logit_{k}": Z.reshape(-1, K)[:, k] for k in range(K)}
    return pd.DataFrame({**columns, "label": Y.reshape(-1), **more})


def compute(folder, *args, code=0):
    run = forked.xent("compute", *args, *IGNORE, "-f", "json", cwd=folder)
    assert run.returncode == code, run.stderr
    if code:
        return run.stderr
    document = json.loads(run.stdout)
    jsonschema.validate(document, json_schema("summary/summary"))
    return document


def codes(document):
    return [note["code"] for note in document["notes"]]


@pytest.mark.parametrize(
    ("option", "clusters"),
    [
        ((), np.repeat(np.arange(B), T)),
        (("--cluster", "axis:0"), np.repeat(np.arange(B), T)),
        (("--cluster", "axis:1"), np.tile(np.arange(T), B)),
        (("--cluster", "axis:-2"), np.tile(np.arange(T), B)),
        (("--cluster", "every:5"), np.arange(B * T) // 5),
        (("--cluster", "every:1"), np.arange(B * T)),
    ],
)
def test_clusters_of_an_array(folder, option, clusters):
    document = compute(folder, "z.npy", "y.npy", *option)
    held_to(document["summary"], LOSS, clusters)
    assert ("clustered" in codes(document)) == (not option)
    assert ("few-clusters" in codes(document)) == (document["summary"]["n_clusters"] < 40)


def test_the_class_axis_may_stand_between_the_axes_of_samples(folder):
    np.save(folder / "moved.npy", np.moveaxis(Z, -1, 1))
    held_to(compute(folder, "moved.npy", "y.npy", "--axis", "1")["summary"], LOSS, np.repeat(np.arange(B), T))
    found = compute(folder, "moved.npy", "y.npy", "--axis", "1", "--cluster", "axis:2")
    held_to(found["summary"], LOSS, np.tile(np.arange(T), B))


@pytest.mark.parametrize("suffix", ["csv", "parquet", "jsonl"])
@pytest.mark.parametrize("shuffled", [False, True])
def test_clusters_of_a_column(folder, suffix, shuffled):
    order = RNG.permutation(B * T) if shuffled else np.arange(B * T)
    frame = table(doc=DOCS).iloc[order]
    path = folder / f"t.{suffix}"
    if suffix == "jsonl":  # pandas would round
        path.write_text("".join(json.dumps(row) + "\n" for row in frame.to_dict("records")))
    else:
        {"csv": frame.to_csv, "parquet": frame.to_parquet}[suffix](path, index=False)
    document = compute(folder, path.name, "--cluster", "doc")
    held_to(document["summary"], LOSS.reshape(-1)[order], DOCS[order])
    assert "clustered" not in codes(document)


def test_weights_give_the_sandwich_form_with_and_without_clusters(folder):
    weight = RNG.integers(0, 4, (B, T)).astype(float)
    np.save(folder / "w.npy", weight)
    found = compute(folder, "z.npy", "y.npy", "--sample-weight", "w.npy")
    held_to(found["summary"], LOSS, np.repeat(np.arange(B), T), weight)
    alone = compute(folder, "z.npy", "y.npy", "--sample-weight", "w.npy", "--cluster", "none")["summary"]
    assert alone["se_loss"] == pytest.approx(brute_force(LOSS, np.arange(B * T), weight)[0], rel=1e-12)
    assert "n_clusters" not in alone


def test_clusters_of_one_sample_give_students_interval_bit_for_bit(folder):
    alone = compute(folder, "flat_z.npy", "flat_y.npy")["summary"]
    found = compute(folder, "flat_z.npy", "flat_y.npy", "--cluster", "axis:0")["summary"]
    assert found["design_effect"] == 1
    assert {name: figure for name, figure in found.items() if name in alone} == alone
    low, high = stats.t.interval(0.95, B * T - 3, np.nanmean(LOSS), stats.sem(LOSS[~np.isnan(LOSS)]))
    assert (alone["ci_low"], alone["ci_high"]) == pytest.approx((low, high), rel=1e-12)


def test_slices_have_the_clusters_that_they_meet(folder):
    half = np.where(np.arange(B * T) % 3 == 0, "a", "b")
    table(doc=DOCS, half=half).to_csv(folder / "t.csv", index=False)
    found = compute(folder, "t.csv", "--cluster", "doc", "--by", "half")
    for entry in found["slices"]:
        some = half == entry["value"]
        held_to(entry["summary"], np.where(some, LOSS.reshape(-1), np.nan), DOCS)
    assert [entry["by"] for entry in found["slices"]] == ["half", "half"]


def test_an_axis_of_shards_that_differ_in_length_goes_on_from_shard_to_shard(folder):
    np.save(folder / "s0.npy", Z[:2, :3])
    np.save(folder / "s1.npy", Z[2:])
    np.save(folder / "y0.npy", Y[:2, :3])
    np.save(folder / "y1.npy", Y[2:])
    found = compute(folder, "s[01].npy", "y[01].npy")
    loss = np.concatenate([LOSS[:2, :3].reshape(-1), LOSS[2:].reshape(-1)])
    held_to(found["summary"], loss, np.concatenate([np.repeat([0, 1], 3), np.repeat([2, 3, 4, 5], T)]))


def test_a_shift_keeps_to_the_documents_that_clusters_name(folder):
    table(doc=DOCS).to_csv(folder / "t.csv", index=False)
    found = compute(folder, "t.csv", "--cluster", "doc", "--shift", "1")
    wanted = xent_cli.sparse_softmax_cross_entropy(Z[:, :-1], Y[:, 1:], ignore_index=-100)
    held_to(found["summary"], wanted, np.repeat(np.arange(B), T - 1))


def test_one_cluster_has_no_interval(folder):
    np.save(folder / "one_z.npy", Z[:1])
    np.save(folder / "one_y.npy", Y[:1])
    document = compute(folder, "one_z.npy", "one_y.npy")
    assert document["summary"]["n_clusters"] == 1
    assert [document["summary"][name] for name in ("se_loss", "ci_low", "ci_high", "design_effect")] == [None] * 4
    assert "one-cluster" in codes(document)


@pytest.mark.parametrize(
    ("args", "code", "said"),
    [
        (
            ("z.npy", "y.npy", "--cluster", "axis:2"),
            2,
            r"--cluster axis:2 is the class axis\nhint: samples .* axes 0, 1",
        ),
        (("z.npy", "y.npy", "--cluster", "axis:3"), 2, r"z.npy is an array with axes 0 to 2"),
        (("z.npy", "y.npy", "--cluster", "every:0"), 2, r"expected every:N with N samples from 1 on"),
        (("z.npy", "y.npy", "--cluster", "axis:x"), 2, r"expected axis:N with the number of an axis"),
        (("z.npy", "y.npy", "--cluster", "doc"), 2, r"--cluster doc: arrays have no columns"),
        (("t.csv", "--cluster", "dog"), 3, r'expected "dog" \(--cluster\)|--cluster dog'),
        (("t.csv", "--cluster", "axis:1"), 2, r"a table, which has one axis"),
        (("holes.csv", "--cluster", "doc"), 3, r"missing cluster\n  holes.csv line 4"),
    ],
)
def test_a_cluster_option_that_defines_no_clusters_is_refused(folder, args, code, said):
    table(doc=DOCS).to_csv(folder / "t.csv", index=False)
    table(doc=np.where(np.arange(B * T) == 2, "", DOCS)).to_csv(folder / "holes.csv", index=False)
    run = forked.xent("compute", *args, *IGNORE, cwd=folder)
    assert run.returncode == code, run.stderr
    assert re.search(said, run.stderr), run.stderr


def test_a_missing_cluster_of_a_sample_that_does_not_count_is_none(folder):
    table(doc=np.where(Y.reshape(-1) == -100, "", DOCS)).to_csv(folder / "t.csv", index=False)
    held_to(compute(folder, "t.csv", "--cluster", "doc")["summary"], LOSS, DOCS)


def rows(folder, suffix, model=0, *option):
    """Save rows of one of two models, and return their path."""
    shifted = Z + model * np.random.default_rng(8).normal(0.02, 0.3, (B, 1, K))
    np.save(folder / "model.npy", shifted)
    path = f"{model}{''.join(option)}.{suffix}".replace(":", "").replace("-", "")
    run = forked.xent("compute", "model.npy", "y.npy", *IGNORE, "-q", "-o", path, *option, cwd=folder)
    assert run.returncode == 0, run.stderr
    return path


def compared(folder, *args, code=0):
    run = forked.xent("compare", *args, "-f", "json", cwd=folder)
    assert run.returncode == code, run.stderr
    if code:
        return run.stderr
    document = json.loads(run.stdout)
    jsonschema.validate(document, json_schema("comparison/comparison"))
    return document


def mean_of(document, place=0):
    return document["candidates"][place]["metrics"][0]


def test_a_comparison_is_the_same_whatever_the_format_of_the_rows(folder):
    found = []
    for one, other in itertools.product(SUFFIXES, repeat=2):
        if other in (one, "npy", "tsv"):
            document = compared(folder, rows(folder, one), rows(folder, other, 1))
            found.append((one, other, mean_of(document)))
            assert "clustered" in codes(document)
    figures = [entry[2] for entry in found]
    assert all(entry == figures[0] for entry in figures), found
    assert figures[0]["n_clusters"] == B


def test_the_clusters_of_a_comparison_are_those_of_the_definition(folder):
    base, other = rows(folder, "parquet"), rows(folder, "parquet", 1)
    losses = [pq.read_table(folder / path)["loss"].to_numpy() for path in (base, other)]
    difference = losses[1] - losses[0]
    for option, clusters in (
        ((), np.repeat(np.arange(B), T)),
        (("--cluster", "every:4"), np.arange(B * T) // 4),
        (("--cluster", "cluster"), np.repeat(np.arange(B), T)),
    ):
        found = mean_of(compared(folder, base, other, *option))
        error, (low, high), count = brute_force(difference, clusters)
        assert (found["low"], found["high"]) == pytest.approx((low, high), rel=1e-9)
        assert found["n_clusters"] == count
        t = stats.t
        assert found["mde"] == pytest.approx((t.ppf(0.975, count - 1) + t.ppf(0.8, count - 1)) * error, rel=1e-9)
    alone = mean_of(compared(folder, base, other, "--cluster", "none"))
    assert (alone["n_clusters"], alone["design_effect"]) == (None, None)


def test_an_axis_is_that_of_the_array_of_losses(folder):
    base, other = rows(folder, "npy"), rows(folder, "npy", 1)
    assert mean_of(compared(folder, base, other, "--cluster", "axis:1"))["n_clusters"] == T
    assert "losses have axes 0 to 1" in compared(folder, base, other, "--cluster", "axis:2", code=2)


def test_rows_without_clusters_are_compared_as_independent_with_a_note(folder):
    base, other = rows(folder, "csv", 0, "--cluster", "none"), rows(folder, "csv", 1, "--cluster", "none")
    document = compared(folder, base, other)
    assert "not-clustered" in codes(document)
    assert mean_of(document)["n_clusters"] is None
    assert "not-clustered" not in codes(compared(folder, base, other, "--cluster", "none"))


def test_files_with_different_clusters_are_refused(folder):
    base, other = rows(folder, "csv"), rows(folder, "csv", 1, "--cluster", "every:4")
    said = compared(folder, base, other, code=3)
    assert "different clusters" in said
    assert "sample 4" in said
    assert mean_of(compared(folder, base, other, "--cluster", "every:8"))["n_clusters"] == B


def test_several_candidates_have_adjusted_p_and_one_table(folder):
    paths = [rows(folder, "csv"), rows(folder, "csv", 1), rows(folder, "csv", 2)]
    document = compared(folder, *paths)
    p = [mean_of(document, place)["p"] for place in (0, 1)]
    small, large = sorted(p)
    wanted = {small: min(1, 2 * small), large: max(min(1, 2 * small), large)}
    assert [mean_of(document, place)["p_holm"] for place in (0, 1)] == [wanted[value] for value in p]
    assert mean_of(compared(folder, *paths[:2]))["p_holm"] is None
    shown = forked.xent("compare", *paths, "-f", "md", cwd=folder).stdout
    assert shown.startswith("### Mean loss against")
    assert "p (Holm)" in shown.splitlines()[2]


@pytest.fixture
def regression(folder):
    """Save two models of 12 documents of 500 tokens: a few documents became worse, the others a little better."""
    rng = np.random.default_rng(0)
    logits = rng.normal(size=(12, TOKENS, K))
    labels = rng.integers(0, K, (12, TOKENS))
    worse = logits.copy()
    harm = np.array([0.5, 0.4, *[-0.02] * 10])
    np.put_along_axis(
        worse, labels[..., None], np.take_along_axis(worse, labels[..., None], -1) - harm[:, None, None], -1
    )
    np.save(folder / "before.npy", logits)
    np.save(folder / "after.npy", worse)
    np.save(folder / "labels.npy", labels)
    run = forked.xent("compute", "before.npy", "labels.npy", "-q", "-o", "before.parquet", cwd=folder)
    assert run.returncode == 0, run.stderr
    return folder


def test_a_regression_that_tokens_call_significant_and_documents_do_not(regression):
    gate = ("check", "after.npy", "labels.npy", "--baseline", "before.parquet", "--max-increase", "mean_loss=0")
    gate += ("--require-significant", "-f", "json")
    clustered = forked.xent(*gate, cwd=regression)
    tokens = forked.xent(*gate, "--cluster", "none", cwd=regression)
    assert (clustered.returncode, tokens.returncode) == (0, 1)
    run = forked.xent("compute", "after.npy", "labels.npy", "-q", "-o", "after.npy.parquet", cwd=regression)
    assert run.returncode == 0, run.stderr
    paths = "before.parquet", "after.npy.parquet"
    assert mean_of(compared(regression, *paths, "--cluster", "none"))["p"] < 1e-6
    found = mean_of(compared(regression, *paths))
    assert found["p"] > 0.05
    assert found["change"] == "~"
    low, high = json.loads(clustered.stdout)["checks"][0]["interval"]
    assert (low, high) == (found["low"], found["high"])


def test_significance_of_one_cluster_cannot_be_judged(folder):
    np.save(folder / "one_z.npy", Z[:1])
    np.save(folder / "worse.npy", Z[:1] * 1.5)
    np.save(folder / "one_y.npy", Y[:1])
    run = forked.xent("compute", "one_z.npy", "one_y.npy", *IGNORE, "-q", "-o", "one.csv", cwd=folder)
    gate = ("check", "worse.npy", "one_y.npy", *IGNORE, "--baseline", "one.csv", "--max-increase", "mean_loss=0")
    run = forked.xent(*gate, "--require-significant", cwd=folder)
    assert run.returncode == 3
    assert "one cluster" in run.stderr
    assert "hint: --cluster none treats samples as independent" in run.stderr
    assert forked.xent(*gate, "--require-significant", "--cluster", "none", cwd=folder).returncode in (0, 1)
    assert forked.xent(*gate, cwd=folder).returncode in (0, 1)


@pytest.mark.parametrize("limit", [("--max-increase", "mean_loss=0"), ("--max-decrease", "accuracy=0")])
def test_significance_of_one_sample_cannot_be_judged(folder, limit):
    np.save(folder / "right.npy", np.array([[2.0, 1.0]]))
    np.save(folder / "wrong.npy", np.array([[1.0, 2.0]]))
    np.save(folder / "label.npy", np.array([0]))
    forked.xent("compute", "right.npy", "label.npy", "--columns", "predicted", "-q", "-o", "one.parquet", cwd=folder)
    gate = ("check", "wrong.npy", "label.npy", "--baseline", "one.parquet", *limit)
    run = forked.xent(*gate, "--require-significant", cwd=folder)
    assert run.returncode == 3, run.stdout
    assert "error: one sample" in run.stderr
    assert forked.xent(*gate, cwd=folder).returncode == 1


def test_accuracy_has_the_interval_over_clusters(folder):
    shifted = Z + np.random.default_rng(8).normal(0.02, 0.8, (B, 1, K))
    np.save(folder / "model.npy", shifted)
    for name, path in (("z", "a.csv"), ("model", "b.csv")):
        run = forked.xent(
            "compute", f"{name}.npy", "y.npy", *IGNORE, "-q", "--columns", "predicted", "-o", path, cwd=folder
        )
        assert run.returncode == 0, run.stderr
    document = compared(folder, "a.csv", "b.csv")
    accuracy = next(change for change in document["candidates"][0]["metrics"] if change["metric"] == "accuracy")
    right = [np.where(Y == -100, np.nan, logits.argmax(-1) == Y) for logits in (Z, shifted)]
    _, (low, high), count = brute_force(right[1] - right[0], np.repeat(np.arange(B), T))
    assert (accuracy["low"], accuracy["high"], accuracy["n_clusters"]) == pytest.approx((low, high, count), rel=1e-12)
    assert document["candidates"][0]["flips"]["clustered"] is True


@pytest.mark.parametrize("suffix", SUFFIXES[1:])
def test_rows_have_the_cluster_of_each_sample(folder, suffix):
    path = rows(folder, suffix)
    if suffix == "arrow":
        read = pa.ipc.open_stream(folder / path).read_pandas()
    else:
        readers = {"parquet": pd.read_parquet, "jsonl": partial(pd.read_json, lines=True)}
        read = readers.get(suffix, partial(pd.read_csv, sep="\t" if suffix == "tsv" else ","))(folder / path)
    assert list(read.columns)[-1] == "cluster"
    assert read["cluster"].tolist() == np.repeat(np.arange(B), T).tolist()


def test_npy_rows_keep_their_shape(folder):
    assert np.load(folder / rows(folder, "npy")).shape == (B, T)


@pytest.mark.parametrize("option", [("--cluster", "every:4"), ("--cluster", "axis:1"), ()])
def test_a_check_uses_the_clusters_of_its_run(folder, option):
    base, other = rows(folder, "parquet", 0, *option), rows(folder, "parquet", 1, *option)
    gate = ("check", "model.npy", "y.npy", *IGNORE, "--baseline", base, "--max-increase", "mean_loss=0", *option)
    run = forked.xent(*gate, "--require-significant", "-f", "json", cwd=folder)
    check = json.loads(run.stdout)["checks"][0]
    found = mean_of(compared(folder, base, other))
    assert check["delta"] > 0
    assert check["interval"] == [found["low"], found["high"]]
    summary = json.loads(run.stdout)["summary"]
    assert summary["n_clusters"] == found["n_clusters"]


def test_clusters_need_the_losses_of_samples(folder):
    for name in ("a", "b"):
        run = forked.xent("compute", "z.npy", "y.npy", *IGNORE, "--report", f"{name}.json", "-q", cwd=folder)
        assert run.returncode == 0, run.stderr
    said = compared(folder, "a.json", "b.json", "--cluster", "doc", code=2)
    assert "--cluster needs the losses of samples" in said


def test_parts_of_a_folder_have_the_cluster_too(folder):
    for name, path in (("z", "a/"), ("z", "b.csv")):
        run = forked.xent("compute", f"{name}.npy", "y.npy", *IGNORE, "-q", "-o", path, cwd=folder)
        assert run.returncode == 0, run.stderr
    assert mean_of(compared(folder, "a/", "b.csv"))["n_clusters"] == B
