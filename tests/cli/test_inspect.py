import json
import shlex

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from scipy.special import log_softmax

from tests.click_runner import runner
from xent_cli.cli import cli
from xent_cli.readers.arrays.array_source import ArrayRows
from xent_cli.readers.options import RunNeeds

# Members of .npz archives are closed only when they are garbage-collected.

RNG = np.random.default_rng(0)
LOGITS = RNG.normal(size=(60, 7))
LABELS = RNG.integers(0, 7, 60)


def run(*args):
    result = runner().invoke(cli, [str(arg) for arg in args], catch_exceptions=False)
    assert result.exit_code == 0
    return result.stdout


def inspected(*args):
    return json.loads(run("inspect", *args, "-f", "json", "-q"))


def save(path, values):
    np.save(path, values)
    return path


layouts = st.fixed_dictionaries(
    {
        "samples": st.lists(st.integers(2, 5), min_size=1, max_size=3),
        "k": st.integers(6, 9),
        "axis": st.integers(0, 3),
        "order": st.sampled_from("CF"),
        "dtype": st.sampled_from(["<f8", ">f4", "<f2", "bfloat16"]),
        "labels": st.sampled_from(["sparse", "column", "float", "dense", "ignored", "csv"]),
        "probs": st.booleans(),
        "kind": st.sampled_from(["npy", "npz", "swapped", "shards"]),
    }
)


def written(folder, layout):
    """Write files in a layout; return them and their mean loss according to SciPy."""
    rng = np.random.default_rng(layout["k"])
    samples, k = layout["samples"], layout["k"]
    z = np.round(rng.normal(size=(*samples, k)) * 8) / 8  # exact in every dtype
    y = rng.integers(0, k, samples)
    log_p = log_softmax(z, axis=-1)
    loss = -np.take_along_axis(log_p, y[..., np.newaxis], -1)[..., 0]
    stored = np.exp(log_p) if layout["probs"] and layout["dtype"] == "<f8" else z
    if layout["dtype"] == "bfloat16":
        stored = (stored.astype(np.float32).view(np.uint32) >> 16).astype(np.uint16).view("V2")
    else:
        stored = stored.astype(layout["dtype"])
    axis = layout["axis"] % (len(samples) + 1)
    stored = np.asarray(np.moveaxis(stored, -1, axis), order=layout["order"])
    labels = y
    form = layout["labels"]
    if form == "float":
        labels = y.astype(float)
    if form == "column":
        labels = np.expand_dims(y, axis)
    if form == "dense":
        labels = np.moveaxis(np.eye(k)[y], -1, axis)
    if form == "ignored":
        labels = y.copy()
        labels.reshape(-1)[0] = -100
        loss = loss.reshape(-1)[1:]
    if layout["kind"] == "npz":
        np.savez(folder / "d.npz", preds=stored, truth=labels)
        return [folder / "d.npz"], loss.mean()
    if form == "csv" and len(samples) == 1:
        (folder / "y.csv").write_text("target\n" + "".join(f"{label}\n" for label in y))
        files = [save(folder / "l.npy", stored), folder / "y.csv"]
    elif layout["kind"] == "shards" and axis == len(samples) and form != "ignored":
        (folder / "l").mkdir(exist_ok=True)
        save(folder / "l" / "part-10.npy", stored[1:])
        save(folder / "l" / "part-2.npy", stored[:1])
        files = [folder / "l", save(folder / "y.npy", labels)]
    else:
        files = [save(folder / "l.npy", stored), save(folder / "y.npy", labels)]
    swap = layout["kind"] == "swapped" and form not in ("dense", "csv")
    return files[::-1] if swap else files, loss.mean()


@settings(max_examples=80, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(layouts)
def test_the_line_that_it_suggests_gives_the_mean_loss(tmp_path_factory, layout):
    files, mean = written(tmp_path_factory.mktemp("x"), layout)
    document = inspected(*files)
    words = shlex.split(document["command"])
    assert words[:2] == ["xent", "compute"]
    assert float(run(*words[1:], "--reduction", "mean", "-q")) == pytest.approx(mean, rel=1e-12)


@pytest.mark.parametrize("flag", ["--scan", "--no-scan"])
@pytest.mark.parametrize("kind", ["parquet", "csv", "names", "weights", "class column"])
def test_the_line_for_a_table_runs(tmp_path, kind, flag):
    columns = {f"c{i}": LOGITS[:, i] for i in range(7)} | {"label": LABELS}
    if kind == "names":
        columns["label"] = [f"c{y}" for y in LABELS]
    if kind == "weights":
        columns["weight"] = np.ones(60)
    if kind == "class column":
        columns["Class"] = columns.pop("label")
    path = tmp_path / ("a file.csv" if kind == "csv" else "a file.parquet")
    if kind == "csv":
        np.savetxt(path, np.column_stack([LOGITS, LABELS]), delimiter=",", header=",".join(columns), comments="")
    else:
        pq.write_table(pa.table(columns), path, row_group_size=25)
    document = inspected(path, flag)
    loss = -np.take_along_axis(log_softmax(LOGITS, axis=1), LABELS[:, np.newaxis], 1)
    found = run(*shlex.split(document["command"])[1:], "--reduction", "mean", "-q")
    assert float(found) == pytest.approx(loss.mean(), rel=1e-12)
    assert document["pair"]["num_classes"] == 7
    assert [column["role"] for column in document["files"][0]["columns"]][:7] == ["logits"] * 7


def test_columns_and_arrays_are_listed_with_their_parts(tmp_path):
    pq.write_table(
        pa.table({"id": ["a"], "note": ["x"], "label": [1], "logit_0": [0.5], "logit_1": [1.5]}), tmp_path / "t.parquet"
    )
    found = inspected(tmp_path / "t.parquet")["files"][0]
    assert [(c["name"], c["dtype"], c["role"]) for c in found["columns"]] == [
        ("id", "string", "id"),
        ("note", "string", None),
        ("label", "int64", "label"),
        ("logit_0", "double", "logits"),
        ("logit_1", "double", "logits"),
    ]
    np.savez_compressed(tmp_path / "d.npz", logits=LOGITS, labels=LABELS, extra=np.zeros((2, 3), np.float32))
    found = inspected(tmp_path / "d.npz", "--no-scan")["files"][0]
    assert found["arrays"] == [
        {"name": "logits", "dtype": "float64", "role": "logits", "shape": [60, 7]},
        {"name": "labels", "dtype": "int64", "role": "label", "shape": [60]},
        {"name": "extra", "dtype": "float32", "role": None, "shape": [2, 3]},
    ]
    assert found["compression"] == "deflate"


@pytest.mark.parametrize(("save_as", "compression"), [(np.savez, None), (np.savez_compressed, "deflate")])
def test_an_archive_whose_samples_lie_scattered_says_how_it_is_packed(save_as, compression, tmp_path):
    save_as(tmp_path / "d.npz", logits=np.asfortranarray(np.zeros((3, 2, 2))), labels=np.zeros((2, 2), int))
    assert inspected(tmp_path / "d.npz", "--axis", "0")["files"][0]["compression"] == compression


def test_shards_are_listed_in_the_order_used(tmp_path):
    for number in (10, 2, 1):
        save(tmp_path / f"p-{number}.npy", LOGITS)
    found = inspected(tmp_path)["files"][0]
    assert found["shards"] == [str(tmp_path / f"p-{number}.npy") for number in (1, 2, 10)]
    assert found["shape"] == [180, 7]
    assert found["size_bytes"] == 3 * (128 + LOGITS.nbytes)


def test_files_that_do_not_fit_are_reported_and_described(tmp_path):
    document = inspected(save(tmp_path / "l.npy", LOGITS), save(tmp_path / "y.npy", np.zeros((3, 4))))
    assert document["pair"] is None
    assert document["command"] is None
    assert [warning["code"] for warning in document["warnings"]] == ["inputs-do-not-fit"]
    assert [file["values"]["logits"]["rows"] for file in document["files"]] == [60, 3]


def test_any_number_of_threads_says_the_same(tmp_path):
    times = 3 * RunNeeds().task_bytes // LOGITS.nbytes  # enough for several tasks
    files = save(tmp_path / "l.npy", np.tile(LOGITS, (times, 1))), save(tmp_path / "y.npy", np.tile(LABELS, times))
    assert run("inspect", *files, "--threads", 1) == run("inspect", *files, "--threads", 3)


def test_without_a_scan_no_values_are_read(tmp_path, monkeypatch):
    files = save(tmp_path / "l.npy", LOGITS), save(tmp_path / "y.npy", LABELS)
    monkeypatch.delattr(ArrayRows, "read")
    document = inspected(*files, "--no-scan")
    assert [file["values"] for file in document["files"]] == [None, None]
    assert document["pair"]["n_samples"] == 60
