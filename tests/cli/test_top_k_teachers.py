"""Teachers of which only the k highest probabilities were kept."""

import json
import struct

import numpy as np
import pytest
from scipy.special import log_softmax

from tests.forked import xent

N, K = 40, 12
RNG = np.random.default_rng(5)
STUDENT = RNG.normal(0, 2, (N, K))
TEACHER = log_softmax(STUDENT + RNG.normal(0, 1, (N, K)), axis=1)
KL = (np.exp(TEACHER) * (TEACHER - log_softmax(STUDENT, axis=1))).sum(axis=1)


def highest(k):
    order = np.argsort(-TEACHER, axis=1)[:, :k]
    return order, np.take_along_axis(TEACHER, order, axis=1)


def save_tensors(path, **arrays):
    header, content = {}, b""
    for name, values in arrays.items():
        kind = {"i": "I64", "f": "F64"}[values.dtype.kind]
        header[name] = {
            "dtype": kind,
            "shape": values.shape,
            "data_offsets": [len(content), len(content) + values.nbytes],
        }
        content += np.ascontiguousarray(values).tobytes()
    text = json.dumps(header).encode()
    path.write_bytes(struct.pack("<Q", len(text)) + text + content)


@pytest.fixture
def folder(tmp_path):
    np.save(tmp_path / "z.npy", STUDENT)
    np.save(tmp_path / "dense.npy", TEACHER)
    return tmp_path


def rows(folder, teacher, labels_from="log-probs"):
    run = xent("compute", "z.npy", teacher, "--labels-from", labels_from, "-o", "rows.jsonl", "-q", cwd=folder)
    assert run.returncode == 0, run.stderr
    return [json.loads(line) for line in (folder / "rows.jsonl").read_text().splitlines()]


@pytest.mark.parametrize("k", [1, 3, 8, 11])
@pytest.mark.parametrize("form", ["npz", "safetensors", "probs"])
def test_the_true_divergence_lies_between_the_ends(folder, form, k):
    index, log_p = highest(k)
    if form == "safetensors":
        save_tensors(folder / "top.safetensors", topk_indices=index, topk_logprobs=log_p)
        found = rows(folder, "top.safetensors")
    else:
        values = np.exp(log_p) if form == "probs" else log_p
        np.savez(folder / "top.npz", indices=index, values=values)
        found = rows(folder, "top.npz", "probs" if form == "probs" else "log-probs")
    assert all(row["kl_low"] - 1e-12 <= kl <= row["kl_high"] + 1e-12 for row, kl in zip(found, KL, strict=True))
    one_is_left = k == K - 1  # then the rest of the probability is that of one class, and the bounds are equal
    assert all((row["kl_high"] - row["kl_low"] < 1e-9) == one_is_left for row in found)


def test_all_classes_give_the_bits_of_the_dense_teacher(folder):
    index, log_p = highest(K)
    np.savez(folder / "top.npz", ids=index, logprobs=log_p)
    dense, sparse = rows(folder, "dense.npy"), rows(folder, "top.npz")
    for one, other in zip(dense, sparse, strict=True):
        assert (one["loss"], one["kl_divergence"]) == (other["loss"], other["kl_divergence"])
        assert other["kl_low"] == other["kl_high"] == one["kl_divergence"]


def test_a_figure_that_is_not_known_is_null_and_its_ends_are_gated(folder):
    index, log_p = highest(4)
    np.savez(folder / "top.npz", indices=index, values=log_p)
    args = ("z.npy", "top.npz", "--labels-from", "log-probs")
    run = xent("compute", *args, "-f", "json", cwd=folder)
    found = json.loads(run.stdout)["summary"]
    assert (found["n_bounded"], found["mean_loss"], found["kl_divergence"]) == (N, None, None)
    assert found["kl_low"] <= KL.mean() <= found["kl_high"]
    assert "kl_face_value" not in found
    entropy = -(np.exp(TEACHER) * log_softmax(STUDENT, axis=1)).sum(axis=1).mean()
    assert found["mean_loss_at_least"] <= entropy <= found["mean_loss_at_most"]
    run = xent("check", *args, "--max", "kl_high=9", "--min", "mean_loss_at_least=0", "-q", cwd=folder)
    assert run.returncode == 0, run.stdout
    run = xent("check", *args, "--max", "mean_loss=9", cwd=folder)
    assert (run.returncode, "mean_loss is not known" in run.stderr) == (1, True)


def test_what_becomes_of_a_label_that_is_not_listed_is_not_known(folder):
    index, log_p = highest(4)
    np.savez(folder / "top.npz", indices=index, values=log_p)
    args = ("z.npy", "top.npz", "--labels-from", "log-probs", "--true-labels", "y.npy")
    figures = ["mean", "rms", "p1", "p5", "p50", "p95", "p99", "min", "max"]
    for rank, known in ((3, True), (4, False)):
        labels = np.argsort(-TEACHER, axis=1)[:, 0]
        labels[7] = np.argsort(-TEACHER[7])[rank]
        np.save(folder / "y.npy", labels)
        run = xent("compute", *args, "-f", "json", cwd=folder)
        found = json.loads(run.stdout)["summary"]
        assert [found[f"{figure}_delta_p"] is not None for figure in figures] == [known] * 9
        assert (found["log_ppl_ratio"] is not None) == known
        if known:
            at = np.arange(N), labels
            delta = np.exp(log_softmax(STUDENT, axis=1)[at]) - np.exp(TEACHER[at])
            assert found["mean_delta_p"] == pytest.approx(delta.mean(), abs=1e-14)
            assert found["min_delta_p"] == pytest.approx(delta.min(), abs=1e-14)
    run = xent("check", *args, "--max", "rms_delta_p=1", cwd=folder)
    assert (run.returncode, "rms_delta_p is not known" in run.stderr) == (1, True), run.stderr


def test_a_table_says_that_a_loss_is_not_known_and_not_that_it_is_ignored(folder):
    index, log_p = highest(4)
    np.savez(folder / "top.npz", indices=index, values=log_p)
    np.save(folder / "mask.npy", np.arange(N) != 1)
    args = ("z.npy", "top.npz", "--labels-from", "log-probs", "--mask", "mask.npy")
    lines = xent("compute", *args, "-f", "table", cwd=folder).stdout.splitlines()
    known, masked = (next(line for line in lines if line.split()[:1] == [row]) for row in "01")
    assert ("not known" in known, "ignored" in known) == (True, False)
    assert ("not known" in masked, "ignored" in masked) == (False, True)


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda i, v: (np.where(i == i[3, 0], 99, i), v), "not a class"),
        (lambda i, v: (np.where(np.arange(4) == 1, i[:, :1], i), v), "a class twice in a row"),
        (lambda i, v: (i, -v), "not a probability"),
        (lambda i, v: (i, v - 5.0), "an inconsistent row"),
        (lambda i, v: (i[:-1], v[:-1]), "arrays that do not fit"),
        (lambda i, v: (i, v[:, :-1]), "arrays that do not fit"),
    ],
)
def test_what_cannot_be_the_highest_of_a_teacher_is_refused(folder, change, said):
    index, log_p = change(*highest(4))
    np.savez(folder / "top.npz", indices=index, values=log_p)
    run = xent("compute", "z.npy", "top.npz", "--labels-from", "log-probs", cwd=folder)
    assert (run.returncode, said in run.stderr) == (3, True), run.stderr


@pytest.mark.parametrize("k", [4, K])
def test_compressed_arrays_give_the_rows_of_stored_ones(folder, k):
    index, log_p = highest(k)
    np.savez(folder / "top.npz", indices=index, values=log_p)
    np.savez_compressed(folder / "small.npz", indices=index, values=log_p)
    assert rows(folder, "top.npz") == rows(folder, "small.npz")


def test_a_candidate_is_not_held_against_losses_that_are_only_bounded(folder):
    index, log_p = highest(4)
    np.savez(folder / "top.npz", indices=index, values=log_p)
    np.save(folder / "loss.npy", np.zeros(N))
    run = xent("verify", "z.npy", "top.npz", "--labels-from", "log-probs", "--loss", "loss.npy", cwd=folder)
    assert (run.returncode, f"{N} of {N} samples" in run.stderr) == (3, True), run.stdout
    index, log_p = highest(K)
    np.savez(folder / "top.npz", indices=index, values=log_p)
    run = xent("verify", "z.npy", "top.npz", "--labels-from", "log-probs", "--loss", "loss.npy", cwd=folder)
    assert run.returncode == 1, run.stdout


def test_the_highest_logits_are_refused_and_ids_beside_all_classes_are_no_highest(folder):
    index, log_p = highest(4)
    np.savez(folder / "top.npz", indices=index, values=log_p + 3.0)
    run = xent("compute", "z.npy", "top.npz", "--labels-from", "logits", cwd=folder)
    assert (run.returncode, "the highest logits of each row" in run.stderr) == (3, True), run.stderr
    np.savez(folder / "dense.npz", ids=np.arange(N), logprobs=TEACHER)
    run = xent("compute", "z.npy", "dense.npz", "--labels-from", "log-probs", "--label-column", "logprobs", cwd=folder)
    assert run.returncode == 0, run.stderr
