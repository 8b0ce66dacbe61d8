"""llama.cpp's files of log-probabilities: alone, in pairs, and with logits; complete, cut short and damaged."""

import json
import math
import struct

import numpy as np
import pytest
from scipy.special import log_softmax

from tests.forked import xent
from tests.kld_writer import write_kld

N_CTX, CHUNKS = 16, 5
SCORED = N_CTX - 1 - N_CTX // 2
RNG = np.random.default_rng(3)


def written(folder, name, vocab=101, spread=6.0, apart=0.0, floor=16.0, tokens=None):
    """Write a file; return its logits and the scored tokens."""
    rng = np.random.default_rng(0)
    logits = rng.normal(0, spread, (CHUNKS, SCORED, vocab))
    own = rng.integers(0, vocab, (CHUNKS, N_CTX))
    logits = (logits + apart * np.random.default_rng(1).normal(size=logits.shape)).astype(np.float32)
    write_kld(folder / name, logits, own if tokens is None else tokens, N_CTX, floor=floor)
    return logits.astype(float).reshape(-1, vocab), own[:, N_CTX // 2 + 1 :].reshape(-1)


def summary(folder, *args, command="compute"):
    run = xent(command, *args, "-f", "json", cwd=folder)
    assert run.returncode == 0, run.stderr
    return json.loads(run.stdout)["summary"]


def rows(folder, *args):
    run = xent("compute", *args, "-o", "rows.jsonl", "-q", cwd=folder)
    assert run.returncode == 0, run.stderr
    return [json.loads(line) for line in (folder / "rows.jsonl").read_text().splitlines()]


@pytest.mark.parametrize("vocab", [100, 101])
def test_a_file_alone_scores_its_own_tokens(tmp_path, vocab):
    logits, tokens = written(tmp_path, "a.kld", vocab, spread=1.0)
    found = rows(tmp_path, "a.kld")
    expected = -log_softmax(logits, axis=1)[np.arange(len(tokens)), tokens]
    assert [row["label"] for row in found] == tokens.tolist()
    np.testing.assert_allclose([row["loss"] for row in found], expected, atol=1e-4)
    whole = summary(tmp_path, "a.kld")
    assert (whole["n_clusters"], whole["n_bounded"]) == (CHUNKS, 0)
    assert whole["mean_loss"] == pytest.approx(expected.mean(), abs=1e-4)


@pytest.mark.parametrize("floor", [16.0, 24.0])
def test_a_token_below_the_floor_has_no_loss_but_a_least_one(tmp_path, floor):
    logits, tokens = written(tmp_path, "a.kld", spread=9.0, floor=floor)
    expected = -log_softmax(logits, axis=1)[np.arange(len(tokens)), tokens]
    floored = logits.max(axis=1) - logits[np.arange(len(tokens)), tokens] >= floor
    assert floored.any()
    assert not floored.all()
    found = rows(tmp_path, "a.kld")
    assert [row["loss"] is None for row in found] == floored.tolist()
    whole = summary(tmp_path, "a.kld")
    assert (whole["n_bounded"], whole["mean_loss"], whole["perplexity"]) == (floored.sum(), None, None)
    assert floor < whole["mean_loss_at_least"] * 99 < expected.mean() * 99
    kept = summary(tmp_path, "a.kld", "--bounded", "ignore")
    assert (kept["n_ignored"], kept["n_bounded"]) == (floored.sum(), 0)
    assert kept["mean_loss"] == pytest.approx(expected[~floored].mean(), abs=1e-4)


@pytest.mark.parametrize("spread", [1.0, 6.0])
@pytest.mark.parametrize("candidate", ["b.kld", "b.npy", "flat.npy", "b.safetensors"])
def test_the_true_divergence_of_every_row_lies_between_its_ends(tmp_path, candidate, spread):
    p, tokens = written(tmp_path, "a.kld", spread=spread)
    q, _ = written(tmp_path, "b.kld", spread=spread, apart=0.3)
    np.save(tmp_path / "b.npy", q.reshape(CHUNKS, SCORED, -1).astype(np.float32))
    np.save(tmp_path / "flat.npy", q.astype(np.float32))
    save_tensor(tmp_path / "b.safetensors", q.astype(np.float32))
    log_p, log_q = log_softmax(p, axis=1), log_softmax(q, axis=1)
    kl = (np.exp(log_p) * (log_p - log_q)).sum(axis=1)
    found = rows(tmp_path, candidate, "a.kld")
    low, high = (np.array([row[name] if row[name] is not None else np.inf for row in found]) for name in ENDS)
    assert (low <= kl).all()
    assert (kl <= high).all()
    assert (kl - low < 5e-4).all()
    floored = spread > 1
    assert np.isinf(high).all() == (floored and candidate == "b.kld")
    whole = summary(tmp_path, candidate, "a.kld")
    assert whole["kl_low"] <= kl.mean()
    assert (whole["kl_divergence"] is None) == floored
    if not floored:
        assert whole["kl_divergence"] == pytest.approx(kl.mean(), abs=1e-5)
        assert whole["p99_kl"] == pytest.approx(np.quantile(kl, 0.99), abs=1e-4)
    at = np.arange(len(tokens)), tokens
    delta = np.exp(log_q[at]) - np.exp(log_p[at])
    assert whole["mean_delta_p"] == pytest.approx(delta.mean(), abs=2e-4)
    assert whole["same_top"] == pytest.approx((p.argmax(axis=1) == q.argmax(axis=1)).mean())
    # llama.cpp's own figure, computed by the same loop in the same precision.
    face = whole["kl_face_value"]
    assert face == pytest.approx(np.mean([llama(tmp_path, i, q[i]) for i in range(len(q))]), abs=2e-4)


ENDS = ("kl_low", "kl_high")


def llama(folder, number, logits):
    """Return llama.cpp's sum for one record: in float32, with the floor as if it were a value, nothing below -16."""
    content = (folder / "a.kld").read_bytes()
    vocab = logits.size
    start = 20 + 4 * N_CTX * CHUNKS + number * 2 * (2 * ((vocab + 1) // 2) + 4)
    scale, minimum = np.frombuffer(content, "<f4", 2, start)
    q = np.frombuffer(content, "<u2", vocab, start + 8)
    log_p = scale * q.astype(np.float32) + minimum
    log_q = log_softmax(logits.astype(np.float32))
    some = log_p > -16
    return float((np.exp(log_p[some]) * (log_p[some] - log_q[some])).sum())


def save_tensor(path, values):
    header = json.dumps(
        {"logits": {"dtype": "F32", "shape": values.shape, "data_offsets": [0, values.nbytes]}}
    ).encode()
    path.write_bytes(struct.pack("<Q", len(header)) + header + values.tobytes())


def test_the_same_file_twice_does_not_diverge(tmp_path):
    written(tmp_path, "a.kld", spread=1.0)
    whole = summary(tmp_path, "a.kld", "a.kld")
    assert (whole["kl_divergence"], whole["kl_low"], whole["max_kl"], whole["same_top"]) == (0, 0, 0, 1)
    assert (whole["log_ppl_ratio"], whole["rms_delta_p"]) == (0, 0)


def test_gates_hold_on_ends_and_a_figure_that_is_not_known_fails_by_name(tmp_path):
    written(tmp_path, "a.kld")
    written(tmp_path, "b.kld", apart=0.05)
    limits = ("--max", "kl_face_value=0.02", "--max", "p99_kl_face_value=0.2", "--min", "same_top=0.9")
    assert xent("check", "b.kld", "a.kld", *limits, cwd=tmp_path).returncode == 0
    run = xent("check", "b.kld", "a.kld", "--max", "kl_divergence=0.02", cwd=tmp_path)
    assert run.returncode == 1
    assert "kl_divergence is not known" in run.stderr
    assert "kl_low" in run.stderr


def test_files_of_different_texts_are_refused_with_the_first_difference(tmp_path):
    written(tmp_path, "a.kld")
    other = np.random.default_rng(0)
    other.normal(0, 6.0, (CHUNKS, SCORED, 101))
    tokens = other.integers(0, 101, (CHUNKS, N_CTX))
    tokens[2, 3] ^= 1
    written(tmp_path, "b.kld", tokens=tokens)
    run = xent("compute", "b.kld", "a.kld", cwd=tmp_path)
    assert run.returncode == 3
    assert "at 3 of chunk 2" in run.stderr
    written(tmp_path, "c.kld", vocab=99)
    run = xent("compute", "c.kld", "a.kld", cwd=tmp_path)
    assert (run.returncode, "99" in run.stderr) == (3, True)


@pytest.mark.parametrize("cut", [1, 3000])
def test_a_file_that_is_cut_says_how_many_chunks_are_left(tmp_path, cut):
    logits, tokens = written(tmp_path, "a.kld", spread=1.0)
    path = tmp_path / "a.kld"
    path.write_bytes(path.read_bytes()[:-cut])
    run = xent("compute", "a.kld", "-f", "json", cwd=tmp_path)
    found = json.loads(run.stdout)
    left = CHUNKS - math.ceil(cut / (2 * SCORED * 106))
    assert found["warnings"][0]["code"] == "chunks-missing"
    assert f"{left} of {CHUNKS} chunks" in found["warnings"][0]["message"]
    expected = -log_softmax(logits, axis=1)[np.arange(len(tokens)), tokens][: left * SCORED]
    assert found["summary"]["mean_loss"] == pytest.approx(expected.mean(), abs=1e-4)
    assert xent("compute", "a.kld", "--strict", cwd=tmp_path).returncode == 3


@pytest.mark.parametrize(
    ("args", "code", "said"),
    [
        (("a.kld", "--from", "probs"), 2, "holds log-probabilities"),
        (("b.npy", "a.kld", "--labels-from", "logits"), 2, "holds log-probabilities"),
        (("a.kld", "--axis", "0"), 2, "classes are the last axis"),
        (("b.npy", "a.kld", "--divergence", "all"), 2, "needs every class"),
        (("b.npy", "a.kld", "--gradients", "g.npy"), 2, "needs every class"),
        (("a.kld", "--columns", "entropy"), 2, "needs every class"),
        (("b.npy", "y.npy", "--bounded", "ignore"), 2, "known in whole"),
        (("short.npy", "a.kld"), 3, "short.npy"),
    ],
)
def test_options_that_do_not_fit_such_files_are_refused(tmp_path, args, code, said):
    logits, tokens = written(tmp_path, "a.kld")
    np.save(tmp_path / "b.npy", logits)
    np.save(tmp_path / "y.npy", tokens)
    np.save(tmp_path / "short.npy", logits[:-1])
    run = xent("compute", *args, cwd=tmp_path)
    assert (run.returncode, said in run.stderr) == (code, True), run.stderr


@pytest.mark.parametrize("option", [("--label-smoothing", "0.1"), ("--class-weight", "w.npy"), ("--calibration",)])
def test_an_option_that_needs_every_class_is_refused_and_not_ignored(tmp_path, option):
    written(tmp_path, "a.kld")
    np.save(tmp_path / "w.npy", np.ones(101))
    np.save(tmp_path / "loss.npy", np.zeros((CHUNKS, SCORED)))
    run = xent("compute", "a.kld", *option, cwd=tmp_path)
    assert (run.returncode, "every class of a row" in run.stderr) == (2, True), run.stderr
    if option[0] != "--calibration":
        run = xent("verify", "a.kld", "--loss", "loss.npy", *option, cwd=tmp_path)
        assert (run.returncode, "every class of a row" in run.stderr) == (2, True), run.stderr


@pytest.mark.parametrize("seed", range(60))
def test_a_mutated_file_is_refused_in_a_sentence_or_read(tmp_path, seed):
    rng = np.random.default_rng(seed)
    written(tmp_path, "a.kld", vocab=21)
    written(tmp_path, "b.kld", vocab=21)
    content = bytearray((tmp_path / "a.kld").read_bytes())
    places = rng.integers(8, 20 if seed % 3 else len(content), 3)
    for place in places:
        content[place] = rng.choice([0, 1, 127, 128, 255, int(rng.integers(256))])
    (tmp_path / "a.kld").write_bytes(content[: len(content) - int(rng.integers(0, 200)) * (seed % 2)])
    for args in (("a.kld",), ("b.kld", "a.kld"), ("a.kld", "b.kld")):
        run = xent("compute", *args, cwd=tmp_path)
        assert run.returncode in (0, 3), run.stderr
        assert "Traceback" not in run.stderr


@pytest.mark.parametrize(
    ("scale", "lowest"),
    [
        (np.uint32(0x7FA00001), np.float32(-9)),  # a signalling NaN
        (np.float32(1e10), np.float32(-1e20)),
        (np.float32(0), np.float32(-1e30)),
        (np.float32(np.inf), np.float32(-9)),
        (np.float32(-1), np.float32(-9)),
        (np.float32(1), np.float32(-9)),
    ],
)
@pytest.mark.parametrize("command", ["compute", "inspect"])
def test_a_record_that_no_program_writes_is_refused_in_a_sentence_alone(tmp_path, scale, lowest, command):
    written(tmp_path, "a.kld")
    content = bytearray((tmp_path / "a.kld").read_bytes())
    at = 20 + 4 * CHUNKS * N_CTX
    content[at : at + 8] = scale.tobytes() + lowest.tobytes()
    (tmp_path / "a.kld").write_bytes(content)
    run = xent(command, "a.kld", cwd=tmp_path)
    assert (run.returncode, "damaged record" in run.stderr) == (3, True), run.stderr
    assert "Warning" not in run.stderr


def test_a_pipe_and_compressed_files_are_read_too(tmp_path):
    written(tmp_path, "a.kld", spread=1.0)
    content = (tmp_path / "a.kld").read_bytes()
    run = xent("compute", "-", "--reduction", "mean", cwd=tmp_path, input=content, text=False)
    assert run.returncode == 0, run.stderr
    assert float(run.stdout) == pytest.approx(summary(tmp_path, "a.kld")["mean_loss"], rel=1e-15)


@pytest.mark.parametrize("seed", range(3))
def test_the_truth_lies_between_the_ends_at_32000_classes(tmp_path, seed):
    rng = np.random.default_rng(seed)
    vocab, n_ctx = 32000, 8
    logits = rng.normal(0, 3, (2, 3, vocab)) + 12 * (rng.random((2, 3, vocab)) < 1e-4)
    other = logits + 0.2 * rng.normal(size=logits.shape)
    tokens = rng.integers(0, vocab, (2, n_ctx))
    write_kld(tmp_path / "a.kld", logits, tokens, n_ctx)
    np.save(tmp_path / "b.npy", other.astype(np.float32))
    log_p = log_softmax(logits.astype(np.float32).astype(float), axis=2)
    log_q = log_softmax(other.astype(np.float32).astype(float), axis=2)
    kl = (np.exp(log_p) * (log_p - log_q)).sum(axis=2).reshape(-1)
    found = rows(tmp_path, "b.npy", "a.kld")
    assert all(row["kl_low"] <= truth <= row["kl_high"] for row, truth in zip(found, kl, strict=True))
    assert all(row["kl_high"] - row["kl_low"] < 0.01 for row in found)


def test_inspect_says_what_such_a_file_holds(tmp_path):
    written(tmp_path, "a.kld")
    run = xent("inspect", "a.kld", cwd=tmp_path)
    assert (run.returncode, "kld" in run.stdout) == (0, True), run.stderr


@pytest.mark.parametrize("candidate", ["a.kld", "b.kld", "b.npy", "p.npy"])
@pytest.mark.parametrize("turned", [False, True])
def test_inspect_of_a_pair_has_nothing_to_warn_of_and_ends_with_the_command_that_runs(tmp_path, candidate, turned):
    written(tmp_path, "a.kld")
    logits, _ = written(tmp_path, "b.kld", apart=0.1)
    np.save(tmp_path / "b.npy", logits)
    np.save(tmp_path / "p.npy", np.exp(log_softmax(logits, axis=1)))
    operands = ["a.kld", candidate] if turned else [candidate, "a.kld"]
    run = xent("inspect", *operands, "-f", "json", cwd=tmp_path)
    document = json.loads(run.stdout)
    assert (run.returncode, run.stderr, document["warnings"]) == (0, "", [])
    words = document["command"].split()
    assert words[:2] == ["xent", "compute"]
    assert sorted(words[2:4]) == sorted(operands)
    run = xent(*words[1:], cwd=tmp_path)
    assert run.returncode == 0, run.stderr


def test_gates_on_the_upper_ends_hold_for_the_divergence_itself(tmp_path):
    p, _ = written(tmp_path, "a.kld")
    q, _ = written(tmp_path, "b.kld", apart=0.3)
    np.save(tmp_path / "b.npy", q.astype(np.float32))
    log_p, log_q = log_softmax(p, axis=1), log_softmax(q, axis=1)
    kl = (np.exp(log_p) * (log_p - log_q)).sum(axis=1)
    found = summary(tmp_path, "b.npy", "a.kld")
    for name, truth in (("", kl.mean()), ("p99_", np.quantile(kl, 0.99)), ("max_", kl.max())):
        assert found[f"{name}kl_low"] <= truth <= found[f"{name}kl_high"]
        limits = [f"{name}kl_high={found[f'{name}kl_high'] * factor}" for factor in (1.01, 0.99)]
        codes = [xent("check", "b.npy", "a.kld", "--max", limit, cwd=tmp_path).returncode for limit in limits]
        assert codes == [0, 1]
    # For a candidate with a floor, only a lower bound of its divergence is known.
    both = summary(tmp_path, "b.kld", "a.kld")
    assert (both["kl_high"], both["p99_kl_high"], both["max_kl_high"]) == (None, None, None)
    assert both["max_kl_low"] <= kl.max()
    for limit, code in (("kl_low", 1), ("kl_high", 1)):
        run = xent("check", "b.kld", "a.kld", "--max", f"{limit}={0.5 * both['kl_low']}", cwd=tmp_path)
        assert run.returncode == code
        assert ("known is kl_low" in run.stderr) == (limit == "kl_high")


def test_the_page_draws_the_bounds_of_the_divergences(tmp_path):
    written(tmp_path, "a.kld")
    written(tmp_path, "b.kld", apart=0.3)
    assert xent("compute", "b.kld", "a.kld", "--report", "r.html", "-q", cwd=tmp_path).returncode == 0
    page = (tmp_path / "r.html").read_text()
    assert "KL divergence, at face value" in page
    assert "Worst samples" not in page
    found = summary(tmp_path, "b.kld", "a.kld")
    assert f"median {found['p50_kl_face_value']:.3g} nats" in page


def test_samples_are_listed_by_the_lower_bound_of_their_divergence(tmp_path):
    written(tmp_path, "a.kld")
    written(tmp_path, "b.kld", apart=0.3)
    run = xent("compute", "b.kld", "a.kld", "--top-by", "kl", "--top", "4", "-f", "json", cwd=tmp_path)
    worst = [(one["sample"], one["kl_low"]) for one in json.loads(run.stdout)["worst"]]
    ends = [row["kl_low"] for row in rows(tmp_path, "b.kld", "a.kld")]
    order = sorted(range(len(ends)), key=lambda row: -ends[row])[:4]
    assert worst == [(row, ends[row]) for row in order]
