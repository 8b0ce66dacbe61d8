"""Inputs are judged before anything is written: every form of input, by the first 1,024 rows that count."""

import json
import shlex

import numpy as np
import pyarrow as pa
import pyarrow.csv as pa_csv
import pyarrow.parquet as pq
import pytest

from tests import forked
from xent_cli.cli.options import InputFlags, SharedOptions
from xent_cli.cli.runs.preview import preview
from xent_cli.core.options import LossOptions
from xent_cli.readers.options import ReadOptions
from xent_cli.readers.pair.pair import open_pair

RNG = np.random.default_rng(7)


def softmax(z):
    e = np.exp(z - z.max(axis=-1, keepdims=True))
    return e / e.sum(axis=-1, keepdims=True)


def true_mean(p, y):
    return float(-np.log(np.asarray(p, np.longdouble)[np.arange(len(y)), y]).mean())


LOGITS = RNG.normal(size=(40, 3)) * 2
LABELS = (softmax(LOGITS).cumsum(axis=1) > RNG.random((40, 1))).argmax(axis=1)
PROBS = softmax(LOGITS)


def xent(*words, folder, text=None):
    run = forked.xent(*words, cwd=folder, input=text)
    assert "Traceback" not in run.stderr
    assert run.returncode != 4, run.stderr
    return run


def write(form, folder, values):
    """Write values and labels in a form, and return the arguments that name them."""
    np.save(folder / "y.npy", LABELS[: len(values)])
    if form == "npy":
        np.save(folder / "v.npy", values)
    elif form == "fortran":
        np.save(folder / "v.npy", np.asfortranarray(values))
    elif form == "csv":
        lines = [",".join(map(str, row)) for row in values.tolist()]
        (folder / "v.csv").write_text("a,b,c\n" + "\n".join(lines) + "\n")
    elif form == "parquet":
        pq.write_table(pa.table({name: values[:, i] for i, name in enumerate("abc")}), folder / "v.parquet")
    elif form == "list":
        pq.write_table(pa.table({"outputs": values.tolist()}), folder / "v.parquet")
    elif form == "jsonl":
        (folder / "v.jsonl").write_text("".join(json.dumps({"outputs": row}) + "\n" for row in values.tolist()))
    elif form == "shards":
        (folder / "v").mkdir()
        for i in range(4):
            np.save(folder / "v" / f"{i}.npy", values[10 * i : 10 * (i + 1)])
        return ["v", "y.npy"]
    (name,) = [path.name for path in folder.glob("v.*")]
    return [name, "y.npy"]


FORMS = ["npy", "fortran", "csv", "parquet", "list", "jsonl", "shards"]


@pytest.mark.parametrize("form", FORMS)
def test_probabilities_given_as_logits_are_refused_with_the_line_that_accepts_them(form, tmp_path):
    files = write(form, tmp_path, PROBS)
    run = xent("compute", *files, "--report", "a.json", folder=tmp_path)
    assert run.returncode == 3
    assert not (tmp_path / "a.json").exists()
    assert run.stdout == ""
    (line,) = [text for text in run.stderr.splitlines() if text.startswith("hint: ")]
    line = line.removeprefix("hint: ").split(";")[0]
    run = xent(*shlex.split(line)[1:], "-f", "json", folder=tmp_path)
    assert json.loads(run.stdout)["summary"]["mean_loss"] == pytest.approx(true_mean(PROBS, LABELS), rel=1e-12)


@pytest.mark.parametrize("form", FORMS)
def test_a_user_who_insists_on_logits_is_believed(form, tmp_path):
    run = xent(
        "compute", *write(form, tmp_path, PROBS), "--from", "logits", "--strict", "--reduction", "mean", folder=tmp_path
    )
    assert run.returncode == 0
    assert float(run.stdout) == pytest.approx(true_mean(softmax(PROBS), LABELS), rel=1e-12)


@pytest.mark.parametrize("command", ["check", "verify"])
def test_every_command_refuses_them(command, tmp_path):
    files = write("npy", tmp_path, PROBS)
    np.save(tmp_path / "loss.npy", np.zeros(40))
    more = ["--max", "mean_loss=9"] if command == "check" else ["--loss", "loss.npy"]
    assert xent(command, *files, *more, folder=tmp_path).returncode == 3


def test_what_comes_through_a_pipe_is_judged_and_nothing_of_it_is_lost(tmp_path):
    write("npy", tmp_path, PROBS)
    (tmp_path / "csv").mkdir()
    write("csv", tmp_path / "csv", PROBS)
    for name in ("v.npy", "csv/v.csv"):
        piped = f"cat {name} | xent compute - y.npy --reduction mean"
        for words, code in ((" --from probs", 0), ("", 3), (" --from logits", 0)):
            run = forked.shell(piped + words, tmp_path)
            assert run.returncode == code, run.stderr
            if "probs" in words:
                assert float(run.stdout) == pytest.approx(true_mean(PROBS, LABELS), rel=1e-12)


def test_seven_rows_are_too_few_for_a_verdict_and_are_warned_of(tmp_path):
    run = xent("compute", *write("npy", tmp_path, PROBS[:7]), folder=tmp_path)
    assert run.returncode == 0
    assert "[logits-look-softmaxed]" in run.stderr


@pytest.mark.parametrize("kind", ["whole", "rounded", "half", "a row of zeros", "most rows ignored"])
def test_few_probabilities_are_warned_of_once_whatever_their_digits(kind, tmp_path):
    few, labels = PROBS[:7].copy(), LABELS[:7].copy()
    if kind == "rounded":
        few = few.round(2)
    elif kind == "half":
        few = (few.astype(np.float32).view(np.uint32) & 0xFFFF0000).view(np.float32)
    elif kind == "a row of zeros":
        few[3] = 0
    elif kind == "most rows ignored":
        few = np.vstack([few, np.full((40, 3), -7.5)])
        labels = np.concatenate([labels, np.full(40, -100)])
    np.save(tmp_path / "v.npy", few)
    np.save(tmp_path / "y.npy", labels)
    words = ("v.npy", "y.npy", "--reduction", "mean", "--ignore-index", -100)
    run = xent("compute", *words, folder=tmp_path)
    assert (run.returncode, run.stderr.count("[logits-look-softmaxed]")) == (0, 1), run.stderr
    assert xent("compute", *words, "--strict", folder=tmp_path).returncode == 3


@pytest.mark.parametrize("scale", [1, 100])
def test_a_softmaxed_teacher_is_refused_unless_both_are_said_to_be_logits_and_a_small_one_is_warned_of(scale, tmp_path):
    np.save(tmp_path / "z.npy", np.log(PROBS))
    np.save(tmp_path / "t.npy", scale * PROBS)
    np.save(tmp_path / "z7.npy", np.log(PROBS[:7]))
    np.save(tmp_path / "t7.npy", scale * PROBS[:7])
    teacher = ("--labels-from", "logits", "--reduction", "mean")
    run = xent("compute", "z.npy", "t.npy", *teacher, folder=tmp_path)
    assert (run.returncode, "t.npy" in run.stderr, "--labels-from probs" in run.stderr) == (3, True, True)
    run = xent("compute", "z.npy", "t.npy", *teacher, "--from", "logits", "--strict", folder=tmp_path)
    assert (run.returncode, "note: " in run.stderr) == (0, True)
    q = softmax(scale * PROBS)
    assert float(run.stdout) == pytest.approx(-(q * np.log(PROBS)).sum(axis=1).mean(), rel=1e-12)
    run = xent("compute", "z7.npy", "t7.npy", *teacher, folder=tmp_path)
    assert (run.returncode, run.stderr.count("[teacher-looks-softmaxed]")) == (0, 1)
    assert xent("compute", "z7.npy", "t7.npy", *teacher, "--strict", folder=tmp_path).returncode == 3


def test_ignored_rows_do_not_count(tmp_path):
    """Padding of any kind before the first row that counts hides nothing, however long it is."""
    values = np.vstack([np.full((3000, 3), -7.5), PROBS])
    np.save(tmp_path / "v.npy", values)
    np.save(tmp_path / "y.npy", np.concatenate([np.full(3000, -100), LABELS]))
    assert xent("compute", "v.npy", "y.npy", "--ignore-index", -100, folder=tmp_path).returncode == 3
    np.save(tmp_path / "v.npy", np.vstack([np.full((3000, 3), 1 / 3), LOGITS]))
    assert xent("compute", "v.npy", "y.npy", "--ignore-index", -100, folder=tmp_path).returncode == 0


@pytest.mark.parametrize("bad", [10, 11])
def test_the_first_1024_rows_decide_and_99_percent_of_them(bad, tmp_path):
    values = np.vstack([np.tile(PROBS, (26, 1))[:1024], np.tile(LOGITS, (50, 1))])
    values[5 : 5 + bad] = [3.0, -1.0, 2.0]
    np.save(tmp_path / "v.npy", values)
    np.save(tmp_path / "y.npy", np.zeros(len(values), int))
    assert xent("compute", "v.npy", "y.npy", folder=tmp_path).returncode == (3 if bad == 10 else 0)


@pytest.mark.parametrize("form", ["csv", "jsonl", "npy"])
@pytest.mark.parametrize("digits", [2, 3])
def test_rounded_probabilities_are_known_and_used_as_they_are(form, digits, tmp_path):
    p = (0.91 * PROBS + 0.03).round(digits)
    files = write(form, tmp_path, p)
    assert xent("compute", *files, folder=tmp_path).returncode == 3
    run = xent("compute", *files, "--from", "probs", "--strict", "--reduction", "mean", folder=tmp_path)
    assert float(run.stdout) == pytest.approx(true_mean(p, LABELS), rel=1e-12)


@pytest.mark.parametrize("form", ["csv", "npy"])
@pytest.mark.parametrize("digits", [0, 1, 12])
def test_percentages_are_divided_by_100_with_a_note(form, digits, tmp_path):
    p = (91 * PROBS + 3).round(digits)
    files = write(form, tmp_path, p)
    assert xent("compute", *files, folder=tmp_path).returncode == 3
    run = xent("compute", *files, "--from", "probs", "--strict", "-f", "json", folder=tmp_path)
    document = json.loads(run.stdout)
    assert document["summary"]["mean_loss"] == pytest.approx(true_mean(p / 100, LABELS), rel=1e-12)
    assert [note["code"] for note in document["notes"]] == ["percentages"]


def test_probabilities_that_do_not_sum_to_1_are_refused_by_the_row_unless_they_are_divided_or_taken(tmp_path):
    p = PROBS.copy()
    p[[4, 9]] *= 1.01
    files = write("npy", tmp_path, p)
    run = xent("compute", *files, "--from", "probs", folder=tmp_path)
    assert run.returncode == 3
    assert "v.npy sample 4: found a sum of 1.01" in run.stderr
    assert "1 more row like this, of the first 40" in run.stderr
    run = xent("compute", *files, "--from", "probs", "--unnormalized", "-f", "json", folder=tmp_path)
    assert json.loads(run.stdout)["summary"]["mean_loss"] == pytest.approx(true_mean(p, LABELS), rel=1e-12)
    assert "warning: 2 of 40 rows of probabilities (v.npy) do not sum to 1" in run.stderr
    run = xent("compute", *files, "--from", "probs", "--normalize", "--strict", "-f", "json", folder=tmp_path)
    assert json.loads(run.stdout)["summary"]["mean_loss"] == pytest.approx(true_mean(PROBS, LABELS), rel=1e-12)


def test_sums_beyond_the_first_rows_are_counted_and_warned_of(tmp_path):
    p = np.tile(PROBS, (60, 1))
    p[1500] *= 1.1
    np.save(tmp_path / "v.npy", p)
    np.save(tmp_path / "y.npy", np.tile(LABELS, 60))
    run = xent("compute", "v.npy", "y.npy", "--from", "probs", "--reduction", "mean", folder=tmp_path)
    assert run.returncode == 0
    assert "1 of 2400 rows of probabilities" in run.stderr


@pytest.mark.parametrize("entry", [-0.1, 1.01, 1.42])
@pytest.mark.parametrize("more", [[], ["--unnormalized"]])
def test_a_probability_below_0_or_above_1_is_refused(entry, more, tmp_path):
    p = PROBS.copy()
    p[30, 1] = entry
    run = xent("compute", *write("npy", tmp_path, p), "--from", "probs", *more, folder=tmp_path)
    assert run.returncode == 3
    assert f"sample 30: found {entry} for class 1" in run.stderr


@pytest.mark.parametrize("dtype", [np.uint8, np.int8, np.int64])
@pytest.mark.parametrize("command", [["compute"], ["check", "--max", "mean_loss=0.7"]])
def test_quantised_probabilities_are_refused_and_nothing_passes(dtype, command, tmp_path):
    values = (PROBS * 255).round() - (128 if dtype is np.int8 else 0)
    files = write("npy", tmp_path, values.astype(dtype))
    run = xent(*command, *files, "--from", "probs", folder=tmp_path)
    assert run.returncode == 3
    assert "zero_point" in run.stderr


@pytest.mark.parametrize("dtype", [np.uint8, np.int8, np.int16, np.float16, np.float32])
def test_quantised_logits_are_warned_of_in_whatever_type_they_stand(dtype, tmp_path):
    values = np.clip((LOGITS * 30).round(), -128, 127) + (128 if dtype is np.uint8 else 0)
    run = xent("compute", *write("npy", tmp_path, values.astype(dtype)), folder=tmp_path)
    assert run.returncode == 0
    assert "[logits-look-quantised]" in run.stderr


def test_whole_numbers_of_another_kind_are_not_quantised_logits(tmp_path):
    run = xent("compute", *write("npy", tmp_path, LOGITS.round().astype(np.int64)), folder=tmp_path)
    assert "quantised" not in run.stderr


LOG = np.log(PROBS)


@pytest.mark.parametrize(
    ("student", "teacher", "words", "named"),
    [
        (PROBS, LOGITS, ["--labels-from", "logits"], "s.npy"),
        (LOGITS, PROBS, ["--labels-from", "logits"], "t.npy"),
        (LOGITS, LOGITS, ["--labels-from", "log-probs"], "t.npy"),
        (LOGITS, LOGITS, ["--from", "log-probs", "--labels-from", "logits"], "s.npy"),
        (LOGITS - 20, LOGITS, ["--from", "log-probs", "--labels-from", "logits"], "s.npy"),
        (LOGITS, LOGITS - 20, ["--labels-from", "log-probs"], "t.npy"),
        (LOGITS, LOG + 0.05, ["--labels-from", "log-probs"], "t.npy"),
        (LOGITS, PROBS * 0.9, ["--labels-from", "probs"], "t.npy"),
        (LOGITS, PROBS * 2, ["--labels-from", "probs"], "t.npy"),
        (PROBS * 0.9, LOGITS, ["--from", "probs", "--labels-from", "logits"], "s.npy"),
        (LOGITS, -PROBS, ["--labels-from", "probs"], "t.npy"),
    ],
)
def test_a_teacher_is_checked_as_labels_are_and_the_message_names_its_file(student, teacher, words, named, tmp_path):
    np.save(tmp_path / "s.npy", student)
    np.save(tmp_path / "t.npy", teacher)
    run = xent("compute", "s.npy", "t.npy", *words, "--reduction", "mean", folder=tmp_path)
    assert run.returncode == 3
    assert run.stdout == ""
    assert named in run.stderr
    assert ("s.npy" if named == "t.npy" else "t.npy") not in run.stderr.splitlines()[1]


def test_a_teacher_that_does_not_sum_to_1_is_taken_when_told_so_and_counted_by_itself(tmp_path):
    np.save(tmp_path / "s.npy", PROBS)
    np.save(tmp_path / "t.npy", PROBS * np.where(np.arange(40) < 3, 0.9, 1.0)[:, None])
    words = ["--from", "probs", "--labels-from", "probs", "--unnormalized", "--reduction", "mean"]
    run = xent("compute", "s.npy", "t.npy", *words, folder=tmp_path)
    assert run.returncode == 0
    assert "3 of 40 rows of the teacher's probabilities (t.npy) do not sum to 1" in run.stderr


@pytest.mark.parametrize("dtype", [np.float64, np.float32, np.float16])
@pytest.mark.parametrize("k", [3, 1000])
def test_log_probabilities_of_every_float_type_are_taken(dtype, k, tmp_path):
    z = RNG.normal(size=(30, k)) * 4
    np.save(tmp_path / "v.npy", np.log(softmax(z)).astype(dtype))
    np.save(tmp_path / "y.npy", RNG.integers(0, k, 30))
    run = xent("compute", "v.npy", "y.npy", "--from", "log-probs", "--strict", folder=tmp_path)
    assert run.returncode == 0, run.stderr


VOTES = RNG.integers(0, 9, size=(40, 3)) + np.eye(3, dtype=int)[LABELS]


@pytest.mark.parametrize(
    "dense", [VOTES, (VOTES > 4).astype(np.uint8), VOTES.astype(float), VOTES.astype(np.float16), 100 * PROBS]
)
@pytest.mark.parametrize("form", ["npy", "csv"])
def test_dense_labels_that_are_not_a_distribution_are_refused_unless_divided_or_insisted_on(dense, form, tmp_path):
    np.save(tmp_path / "z.npy", LOGITS)
    dense = dense + (dense.sum(axis=1, keepdims=True) == 0)
    files = ["z.npy", write(form, tmp_path, dense)[0]]
    run = xent("compute", *files, folder=tmp_path)
    assert run.returncode == 3
    assert "--normalize" in run.stderr
    dense = dense.astype(np.float64)
    q = dense / dense.sum(axis=1, keepdims=True)
    right = float(-(q * np.log(PROBS)).sum(axis=1).mean())
    run = xent("compute", *files, "--normalize", "--strict", "--reduction", "mean", folder=tmp_path)
    assert float(run.stdout) == pytest.approx(right, rel=1e-12)
    run = xent("compute", *files, "--labels", "dense", "--reduction", "mean", folder=tmp_path)
    assert float(run.stdout) == pytest.approx(float(-(dense * np.log(PROBS)).sum(axis=1).mean()), rel=1e-12)
    assert "warning" in run.stderr


@pytest.mark.parametrize("dense", [np.eye(3, dtype=np.int64)[LABELS], PROBS.round(2), PROBS.astype(np.float16)])
def test_one_hot_and_rounded_labels_are_fine(dense, tmp_path):
    np.save(tmp_path / "z.npy", LOGITS)
    np.save(tmp_path / "q.npy", dense)
    run = xent("compute", "z.npy", "q.npy", "--strict", folder=tmp_path)
    assert run.returncode == 0, run.stderr


@pytest.mark.parametrize(
    "words", [["--normalize"], ["--unnormalized"], ["--from", "probs", "--normalize", "--unnormalized"]]
)
def test_an_option_about_sums_that_means_nothing_here_is_a_usage_error(words, tmp_path):
    assert xent("compute", *write("npy", tmp_path, LOGITS), *words, folder=tmp_path).returncode == 2


@pytest.mark.parametrize("mask", [-1e9, -1e4, float(np.finfo(np.float32).min)])
def test_a_loss_that_comes_from_a_mask_value_is_warned_of(mask, tmp_path):
    z = LOGITS.copy()
    z[12, LABELS[12]] = mask
    run = xent("compute", *write("npy", tmp_path, z), folder=tmp_path)
    assert run.returncode == 0
    assert "(sample 12): it comes from a mask value" in run.stderr
    z[12] = LOGITS[12]
    z[12, (LABELS[12] + 1) % 3] = mask
    run = xent("compute", *write("npy", tmp_path, z), folder=tmp_path)
    assert "mask value" not in run.stderr


@pytest.mark.parametrize("suffix", [".csv", ".jsonl", ".parquet", ".arrow"])
def test_wide_rows_that_were_judged_are_not_read_twice_and_a_second_pass_has_them_all(suffix, tmp_path):
    rows, k = 20, 5000
    values = np.random.default_rng(3).normal(size=(rows, k)).round(3)
    table = pa.table({f"logit_{j}": values[:, j] for j in range(k)} | {"label": np.arange(rows)})
    path = tmp_path / f"t{suffix}"
    if suffix == ".csv":
        pa_csv.write_csv(table, path)
    elif suffix == ".parquet":
        pq.write_table(table, path)
    elif suffix == ".arrow":
        with pa.ipc.new_file(path, table.schema) as writer:
            writer.write_table(table)
    else:
        path.write_text("".join(json.dumps(row) + "\n" for row in table.to_pylist()))
    pair = open_pair(str(path), None, None, ReadOptions())
    seen = preview(SharedOptions(InputFlags(str(path))), pair, LossOptions()).pair
    for _ in range(2):
        blocks = [task.load() for task in seen.tasks()]
        assert np.array_equal(np.concatenate([block.logits for block in blocks]), values)
        assert np.concatenate([block.labels for block in blocks]).tolist() == list(range(rows))


def test_columns_named_like_probabilities_that_hold_others_are_not_said_to_hold_them(tmp_path):
    lines = [",".join(map(str, [*row, label])) for row, label in zip(LOGITS.tolist(), LABELS.tolist(), strict=True)]
    (tmp_path / "t.csv").write_text("\n".join(["conf_0,conf_1,conf_2,label", *lines]) + "\n")
    run = xent("compute", "t.csv", folder=tmp_path)
    assert run.returncode == 3
    assert "--from probs" not in run.stderr
    assert "--from logits" in run.stderr
