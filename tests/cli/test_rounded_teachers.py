"""The highest of a teacher that were rounded before they were saved, and those with a sampled token beside them."""

import json
import math
import struct

import ml_dtypes
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from scipy.special import log_softmax, rel_entr, softmax

from tests.forked import xent

N, K, TOP = 60, 40, 5


def distributions(seed, spread):
    rng = np.random.default_rng(seed)
    teacher = rng.normal(0, spread, (N, K))
    student = teacher + rng.normal(0, 0.3, (N, K))
    return student, log_softmax(teacher, axis=1), rel_entr(softmax(teacher, axis=1), softmax(student, axis=1)).sum(1)


def brain(x):
    return float(ml_dtypes.bfloat16(x))


ROUNDED = {
    "bfloat16": brain,
    "float16": lambda x: float(np.float16(x)),
    "float32": lambda x: float(np.float32(x)),
    "text of float16": lambda x: float(str(np.float16(x))),
    "text of float32": lambda x: float(str(np.float32(x))),
    "3 decimals": lambda x: round(x, 3),
    "4 decimals": lambda x: round(x, 4),
    "8 decimals": lambda x: round(x, 8),
    "4 digits": lambda x: float(f"{x:.4g}"),
    "6 digits": lambda x: float(f"{x:.5e}"),
}


def lists(path, index, values, name):
    records = [{"top_indices": i.tolist(), name: v.tolist()} for i, v in zip(index, values, strict=True)]
    path.write_text("".join(json.dumps(record) + "\n" for record in records))


def singles(path, index, values, name):
    column = pa.array(values.astype(np.float32).tolist(), pa.list_(pa.float32()))
    pq.write_table(pa.table({"top_indices": index.tolist(), name: column}), path)


def arrays(path, index, values, name):
    np.savez(path, indices=index, values=values)


def brain_tensors(path, index, values, name):
    header, content = {}, b""
    held = {"topk_ids": (index.astype("<i8"), "I64"), name: (values.astype(ml_dtypes.bfloat16), "BF16")}
    for key, (array, kind) in held.items():
        ends = [len(content), len(content) + array.nbytes]
        header[key] = {"dtype": kind, "shape": array.shape, "data_offsets": ends}
        content += array.tobytes()
    text = json.dumps(header).encode()
    path.write_bytes(struct.pack("<Q", len(text)) + text + content)


def rows(folder, teacher, kind, *more):
    run = xent("compute", "z.npy", teacher, "--labels-from", kind, "-f", "jsonl", *more, cwd=folder)
    assert run.returncode == 0, run.stderr
    return [json.loads(line) for line in run.stdout.splitlines()], run.stderr


def ends(row):
    return row["kl_low"], math.inf if row["kl_high"] is None else row["kl_high"]


@pytest.mark.parametrize("kind", ["log-probs", "probs"])
@pytest.mark.parametrize(
    ("rounded", "write", "name"),
    [(rounded, write, name) for rounded in ROUNDED for write, name in ((lists, "t.jsonl"), (arrays, "t.npz"))]
    + [("bfloat16", brain_tensors, "t.safetensors"), ("4 decimals", singles, "t.parquet")],
)
@pytest.mark.parametrize("spread", [0.5, 4.0])
def test_the_truth_lies_between_the_ends_whatever_was_rounded_away(tmp_path, kind, rounded, write, name, spread):
    student, teacher, kl = distributions(len(rounded), spread)
    index = np.argsort(-teacher, axis=1)[:, :TOP]
    values = np.take_along_axis(teacher, index, axis=1)
    values = np.vectorize(ROUNDED[rounded])(np.exp(values) if kind == "probs" else values)
    np.save(tmp_path / "z.npy", student)
    write(tmp_path / name, index, values, "top_logprobs" if kind == "log-probs" else "top_probs")
    found, _ = rows(tmp_path, name, kind)
    for row, true in zip(found, kl, strict=True):
        low, high = ends(row)
        assert low <= true <= high


@pytest.mark.parametrize(
    "values", [[-0.5, -1.5], [-0.7, -1.25], np.log([0.5, 0.25]).tolist(), [-0.7, -0.9999999999999999]]
)
def test_what_nobody_rounded_is_taken_as_it_is(tmp_path, values):
    """One class of three is left, so that what is known is everything."""
    np.save(tmp_path / "z.npy", np.log([[0.2, 0.3, 0.5]] * 9))
    lists(tmp_path / "t.jsonl", np.array([[0, 1]] * 9), np.array([values] * 9), "top_logprobs")
    p = np.exp(values)
    p = np.append(p, 1 - p.sum())
    for row in rows(tmp_path, "t.jsonl", "log-probs")[0]:
        assert ends(row) == pytest.approx([rel_entr(p, [0.2, 0.3, 0.5]).sum()] * 2, abs=1e-12)


@pytest.mark.parametrize("write", [lists, arrays])
def test_a_sampled_token_that_is_always_the_least_is_told_by_the_probability_that_is_left(tmp_path, write):
    rng = np.random.default_rng(3)
    teacher = log_softmax(rng.normal(0, 0.2, (N, 4000)), axis=1)
    student = rng.normal(0, 0.2, teacher.shape)
    order = np.argsort(-teacher, axis=1)
    index = np.concatenate([order[:, :TOP], order[np.arange(N), rng.integers(3000, 4000, N)][:, np.newaxis]], axis=1)
    np.save(tmp_path / "z.npy", student)
    name = "t.jsonl" if write is lists else "t.npz"
    write(tmp_path / name, index, np.take_along_axis(teacher, index, axis=1), "top_logprobs")
    found, said = rows(tmp_path, name, "log-probs")
    assert "the last column" in said
    for row, true in zip(found, rel_entr(np.exp(teacher), softmax(student, axis=1)).sum(1), strict=True):
        low, high = ends(row)
        assert low <= true <= high


def test_rows_that_no_distribution_has_are_refused_with_what_to_list(tmp_path):
    np.save(tmp_path / "z.npy", np.zeros((4, 50)))
    lists(tmp_path / "t.jsonl", np.array([[3, 7]] * 4), np.log([[0.01, 0.008]] * 4), "top_logprobs")
    run = xent("compute", "z.npy", "t.jsonl", "--labels-from", "log-probs", cwd=tmp_path)
    assert (run.returncode, "an inconsistent row" in run.stderr, "list the k highest" in run.stderr) == (3, True, True)


@pytest.mark.parametrize(("kind", "above"), [("log-probs", 1.2e-7), ("probs", 1.0000001192092896)])
def test_a_probability_that_was_rounded_up_past_1_is_1(tmp_path, kind, above):
    np.save(tmp_path / "z.npy", np.log([[0.5, 0.25, 0.25]] * 3))
    lists(tmp_path / "t.jsonl", np.array([[0], [1], [0]]), np.array([[above]] * 3), f"top_{kind.replace('-', '')}")
    found, _ = rows(tmp_path, "t.jsonl", kind)
    for row, true in zip(found, np.log([2, 4, 2]), strict=True):
        low, high = ends(row)
        assert low - 1e-15 <= true <= high
        assert high - low < 1e-4
