"""One score per sample: no softmax over one class unless the user insists; right if the options say what it is."""

import json
import shlex

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from tests import forked

RNG = np.random.default_rng(5)
SCORES = RNG.normal(size=60) * 4
LABELS = (RNG.random(60) < 1 / (1 + np.exp(-SCORES))).astype(np.int64)
LONG = SCORES.astype(np.longdouble)
LOSS = np.log1p(np.exp(-np.abs(LONG))) + np.maximum(LONG, 0) - LONG * LABELS
PROBS = 1 / (1 + np.exp(-SCORES))
FORMS = ["flat", "column", "csv", "parquet", "fortran"]


def xent(*words, folder):
    run = forked.xent(*words, cwd=folder)
    assert "Traceback" not in run.stderr
    assert run.returncode != 4, run.stderr
    return run


def write(form, folder, scores, labels=LABELS):
    np.save(folder / "y.npy", labels)
    if form == "csv":
        rows = zip(scores.tolist(), np.asarray(labels).tolist(), strict=True)
        (folder / "s.csv").write_text("score,label\n" + "".join(f"{a!r},{b}\n" for a, b in rows))
        return ["s.csv"]
    if form == "parquet":
        pq.write_table(pa.table({"score": scores, "label": np.asarray(labels)}), folder / "s.parquet")
        return ["s.parquet"]
    shaped = {"flat": scores, "column": scores[:, None], "fortran": np.asfortranarray(scores[:, None])}[form]
    np.save(folder / "s.npy", shaped)
    return ["s.npy", "y.npy"]


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("dtype", [np.int64, np.uint8, np.float64, np.bool_])
def test_scores_are_refused_with_the_option_that_accepts_them(form, dtype, tmp_path):
    files = write(form, tmp_path, SCORES, LABELS.astype(dtype))
    run = xent("compute", *files, folder=tmp_path)
    assert run.returncode == 3
    assert run.stdout == ""
    assert "--binary" in run.stderr


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("dtype", [np.float64, np.float32, np.float16])
def test_a_score_is_the_logit_of_the_second_class(form, dtype, tmp_path):
    if form in ("csv", "parquet") and dtype == np.float16:
        dtype = np.float32
    files = write(form, tmp_path, SCORES.astype(dtype))
    run = xent("compute", *files, "--binary", "-f", "json", folder=tmp_path)
    z = SCORES.astype(dtype).astype(np.longdouble)
    right = np.log1p(np.exp(-np.abs(z))) + np.maximum(z, 0) - z * LABELS
    summary = json.loads(run.stdout)["summary"]
    assert summary["mean_loss"] == pytest.approx(float(right.mean()), rel=1e-13)
    assert summary["accuracy"] == ((SCORES > 0) == LABELS).mean()


@pytest.mark.parametrize("form", FORMS)
def test_a_probability_is_that_of_the_second_class(form, tmp_path):
    files = write(form, tmp_path, PROBS)
    run = xent("compute", *files, "--binary", "--from", "probs", "--reduction", "mean", folder=tmp_path)
    assert float(run.stdout) == pytest.approx(float(LOSS.mean()), rel=1e-12)
    run = xent("compute", *files, "--binary", folder=tmp_path)
    assert run.returncode == 3
    assert "--from probs" in run.stderr


@pytest.mark.parametrize("bad", [[2], [-1], [0.5]])
def test_labels_must_be_0_or_1(bad, tmp_path):
    labels = np.concatenate([LABELS[:-1], bad])
    assert xent("compute", *write("flat", tmp_path, SCORES, labels), "--binary", folder=tmp_path).returncode == 3


def test_labels_of_minus_1_and_1_are_told_apart_from_padding(tmp_path):
    run = xent("compute", *write("flat", tmp_path, SCORES, 2 * LABELS - 1), "--binary", folder=tmp_path)
    assert run.returncode == 3
    assert "(label + 1) / 2" in run.stderr
    assert "--ignore-index" not in run.stderr


@pytest.mark.parametrize("form", ["flat", "column"])
def test_the_gradient_is_that_of_the_score_in_its_shape_and_verify_holds_one_to_it(form, tmp_path):
    files = write(form, tmp_path, SCORES)
    assert xent("compute", *files, "--binary", "--gradients", "g.npy", folder=tmp_path).returncode == 0
    gradient = np.load(tmp_path / "g.npy")
    assert gradient.shape == np.load(tmp_path / "s.npy").shape
    right = (1 / (1 + np.exp(-LONG)) - LABELS) / 60
    np.testing.assert_allclose(gradient.ravel(), right.astype(float), rtol=1e-13)
    np.save(tmp_path / "l.npy", LOSS.astype(float))
    held = ["--loss", "l.npy", "--gradient", "g.npy"]
    assert xent("verify", *files, "--binary", *held, folder=tmp_path).returncode == 0
    np.save(tmp_path / "g.npy", -gradient)
    assert xent("verify", *files, "--binary", *held, folder=tmp_path).returncode == 1


def test_more_than_one_score_a_sample_is_not_binary(tmp_path):
    np.save(tmp_path / "s.npy", RNG.normal(size=(60, 3)))
    np.save(tmp_path / "y.npy", LABELS)
    run = xent("compute", "s.npy", "y.npy", "--binary", folder=tmp_path)
    assert run.returncode == 3
    assert "more than one score" in run.stderr


def test_one_class_is_computed_if_the_user_insists_with_a_remark(tmp_path):
    files = write("column", tmp_path, SCORES, np.zeros(60, int))
    run = xent("compute", *files, "--labels", "sparse", "--reduction", "mean", folder=tmp_path)
    assert (run.returncode, float(run.stdout)) == (0, 0.0)
    assert "[one-class]" in run.stderr


def softmax(z):
    e = np.exp(z - z.max(axis=1, keepdims=True))
    return e / e.sum(axis=1, keepdims=True)


Z = RNG.normal(size=(200, 6)) * 3
Y = (softmax(Z)[:, :].cumsum(axis=1) > RNG.random((200, 1))).argmax(axis=1)


def mean(z, y):
    return float(-np.log(softmax(z.astype(np.longdouble))[np.arange(len(y)), y]).mean())


@pytest.mark.parametrize("first", [1, -1, 3])
@pytest.mark.parametrize("dtype", [np.int64, np.int8, np.float64])
def test_first_class_shifts_the_numbers_of_labels(first, dtype, tmp_path):
    np.save(tmp_path / "z.npy", Z)
    np.save(tmp_path / "y.npy", (Y + first).astype(dtype))
    run = xent("compute", "z.npy", "y.npy", "--first-class", first, "-f", "json", folder=tmp_path)
    document = json.loads(run.stdout)
    assert document["summary"]["mean_loss"] == pytest.approx(mean(Z, Y), rel=1e-12)
    rows = xent("compute", "z.npy", "y.npy", "--first-class", first, folder=tmp_path).stdout.splitlines()
    assert [int(row.split("\t")[1]) for row in rows[1:]] == (Y + first).tolist()
    np.save(tmp_path / "plain.npy", Y)
    plain = json.loads(xent("compute", "z.npy", "plain.npy", "-f", "json", folder=tmp_path).stdout)
    assert plain["labels_digest"] == document["labels_digest"]


def test_a_label_before_the_first_class_is_out_of_range_unless_it_is_ignored(tmp_path):
    np.save(tmp_path / "z.npy", Z)
    labels = Y + 1
    labels[7] = 0
    np.save(tmp_path / "y.npy", labels.astype(np.uint8))
    run = xent("compute", "z.npy", "y.npy", "--first-class", 1, folder=tmp_path)
    assert run.returncode == 3
    assert "found 0, expected 1..6" in run.stderr
    kept = np.arange(200) != 7
    words = ["--first-class", 1, "--ignore-index", 0, "--reduction", "mean"]
    run = xent("compute", "z.npy", "y.npy", *words, folder=tmp_path)
    assert float(run.stdout) == pytest.approx(mean(Z[kept], Y[kept]), rel=1e-12)


def test_first_class_means_nothing_to_dense_labels(tmp_path):
    np.save(tmp_path / "z.npy", Z)
    np.save(tmp_path / "q.npy", softmax(Z))
    assert xent("compute", "z.npy", "q.npy", "--first-class", 1, folder=tmp_path).returncode == 2


def test_a_background_class_in_front_is_warned_of_with_the_line(tmp_path):
    z = np.hstack([np.full((200, 1), -5.0), Z])
    np.save(tmp_path / "z.npy", z)
    np.save(tmp_path / "y.npy", Y)
    run = xent("compute", "z.npy", "y.npy", "--reduction", "mean", folder=tmp_path)
    assert run.returncode == 0
    assert "--first-class -1 [labels-off-by-one]" in run.stderr
    run = xent("compute", "z.npy", "y.npy", "--first-class", -1, "--strict", "--reduction", "mean", folder=tmp_path)
    assert float(run.stdout) == pytest.approx(mean(z, Y + 1), rel=1e-12)


@pytest.mark.parametrize("zero_marks_nothing", [False, True])
def test_labels_from_1_whose_last_class_does_not_occur_are_warned_of_with_the_line(zero_marks_nothing, tmp_path):
    kept = Y < 5
    z, labels = Z[kept], Y[kept] + 1
    scored = np.ones(len(labels), bool)
    if zero_marks_nothing:
        scored[::9] = False
        labels = np.where(scored, labels, 0)
    np.save(tmp_path / "z.npy", z)
    np.save(tmp_path / "y.npy", labels)
    run = xent("compute", "z.npy", "y.npy", folder=tmp_path)
    line = "--first-class 1" + (" --ignore-index 0" if zero_marks_nothing else "")
    assert f"{line} [labels-off-by-one]" in run.stderr
    run = xent("compute", "z.npy", "y.npy", *line.split(), "--strict", "--reduction", "mean", folder=tmp_path)
    assert float(run.stdout) == pytest.approx(mean(z[scored], Y[kept][scored]), rel=1e-12)


@pytest.mark.parametrize("labels", [Y, RNG.integers(0, 6, 200)])
def test_right_labels_and_random_ones_are_not_off_by_one(labels, tmp_path):
    np.save(tmp_path / "z.npy", Z)
    np.save(tmp_path / "y.npy", labels)
    assert "off-by-one" not in xent("compute", "z.npy", "y.npy", folder=tmp_path).stderr


@pytest.mark.parametrize(
    ("label", "offered"), [(-100, True), (255, True), (-1, True), (6, False), (7, False), (9, False)]
)
def test_only_what_looks_like_padding_may_be_ignored(label, offered, tmp_path):
    labels = Y.copy()
    labels[[3, 90]] = label
    np.save(tmp_path / "z.npy", Z)
    np.save(tmp_path / "y.npy", labels)
    run = xent("compute", "z.npy", "y.npy", folder=tmp_path)
    assert run.returncode == 3
    assert ("--ignore-index" in run.stderr) == offered


@pytest.mark.parametrize("words", [[], ["--reduction", "mean"]])
def test_labels_of_a_table_that_are_all_predicted_look_like_predictions(words, tmp_path):
    def table(labels):
        rows = (",".join(map(repr, row)) + f",{label}\n" for row, label in zip(Z.tolist(), labels, strict=True))
        (tmp_path / "t.csv").write_text("logit_0,logit_1,logit_2,logit_3,logit_4,logit_5,label\n" + "".join(rows))
        return xent("compute", "t.csv", *words, folder=tmp_path).stderr

    assert "[labels-are-argmax]" in table(Z.argmax(axis=1))
    assert "argmax" not in table(Y)


def suggested(*files, folder):
    """Run the command that inspect ends with, and return the mean."""
    document = json.loads(xent("inspect", *files, "-q", "-f", "json", folder=folder).stdout)
    words = shlex.split(document["command"])
    return words, float(xent(*words[1:], "--reduction", "mean", "-q", folder=folder).stdout)


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("probs", [False, True])
def test_inspect_recognises_one_score_per_sample(form, probs, tmp_path):
    words, found = suggested(*write(form, tmp_path, PROBS if probs else SCORES), folder=tmp_path)
    assert "--binary" in words
    assert found == pytest.approx(float(LOSS.mean()), rel=1e-12)


@pytest.mark.parametrize("kind", ["background", "from 1", "last left out", "zero is nothing", "votes", "percent"])
def test_the_line_of_inspect_gives_the_right_mean(kind, tmp_path):
    z, y, right = Z, Y, mean(Z, Y)
    if kind == "background":
        z = np.hstack([np.full((200, 1), -5.0), Z])
        right = mean(z, Y + 1)
    if kind == "from 1":
        y = Y + 1
    if kind in ("last left out", "zero is nothing"):
        kept = Y < 5
        z, y = Z[kept], Y[kept] + 1
        scored = np.ones(len(y), bool)
        if kind == "zero is nothing":
            scored[::9] = False
            y = np.where(scored, y, 0)
        right = mean(z[scored], Y[kept][scored])
    if kind == "votes":
        y = RNG.integers(0, 9, (200, 6)) + np.eye(6, dtype=int)[Y]
        right = float(-(y / y.sum(axis=1, keepdims=True) * np.log(softmax(Z))).sum(axis=1).mean())
    if kind == "percent":
        z = (100 * softmax(Z) * 0.94 + 1).round(1)
        right = float(-np.log(z[np.arange(200), Y] / 100).mean())
    np.save(tmp_path / "z.npy", z)
    np.save(tmp_path / "y.npy", y)
    assert suggested("z.npy", "y.npy", folder=tmp_path)[1] == pytest.approx(right, rel=1e-12)


def test_no_line_is_suggested_if_none_would_be_right(tmp_path):
    np.save(tmp_path / "z.npy", Z)
    np.save(tmp_path / "y.npy", RNG.integers(0, 2, (200, 6)))
    assert json.loads(xent("inspect", "z.npy", "y.npy", "-f", "json", folder=tmp_path).stdout)["command"] is None
    np.save(tmp_path / "y.npy", np.where(Y == 5, 6, Y))
    document = json.loads(xent("inspect", "z.npy", "y.npy", "-f", "json", folder=tmp_path).stdout)
    assert "--ignore-index" not in str(document["command"])


@pytest.mark.parametrize("labels", ["float64", "int64", "bool", "a column"])
def test_inspect_ends_with_the_line_for_an_array_of_scores_whatever_type_its_labels_have(labels, tmp_path):
    scores = np.random.default_rng(5).normal(size=30)
    truth = np.arange(30) % 2
    np.save(tmp_path / "z.npy", scores)
    np.save(tmp_path / "y.npy", truth[:, None] if labels == "a column" else truth.astype(labels))
    line = inspected("z.npy", "y.npy", folder=tmp_path)
    assert line == "xent compute z.npy y.npy --binary"
    run = xent("compute", "z.npy", "y.npy", folder=tmp_path)
    assert (run.returncode, "--binary" in run.stderr) == (3, True)


@pytest.mark.parametrize("suffix", ["csv", "parquet", "jsonl"])
@pytest.mark.parametrize("name", ["score", "logit", "prob"])
def test_inspect_ends_with_the_line_for_a_table_of_one_score(suffix, name, tmp_path):
    scores = np.random.default_rng(5).normal(size=30)
    truth = np.arange(30) % 2
    if name == "prob":
        scores = 1 / (1 + np.exp(-scores))
    frame = pd.DataFrame({"id": [f"s{i}" for i in range(30)], name: scores, "label": truth})
    path = tmp_path / f"t.{suffix}"
    if suffix == "csv":
        frame.to_csv(path, index=False)
    elif suffix == "parquet":
        frame.to_parquet(path)
    else:
        frame.to_json(path, orient="records", lines=True, double_precision=15)
    line = inspected(path.name, folder=tmp_path)
    words = shlex.split(line)[1:]
    run = xent(*words, "--reduction", "mean", folder=tmp_path)
    p = scores if name == "prob" else 1 / (1 + np.exp(-scores))
    wanted = -np.log(np.where(truth == 1, p, 1 - p)).mean()
    assert float(run.stdout) == pytest.approx(wanted, rel=1e-9)


def inspected(*paths, folder):
    run = xent("inspect", *paths, folder=folder)
    assert run.returncode == 0, run.stderr
    return run.stdout.rstrip().splitlines()[-1].removeprefix("command\t")
