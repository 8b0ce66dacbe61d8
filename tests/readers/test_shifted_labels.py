"""A shift moves labels, weights, masks, ids and groups together, from arrays and tables."""

import json

import numpy as np
import pyarrow as pa
import pyarrow.csv as pa_csv
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from xent_cli.core.block import Rows
from xent_cli.errors import InputError
from xent_cli.readers.options import ReadOptions, RunNeeds
from xent_cli.readers.pair.pair import open_pair
from xent_cli.readers.pair.shifted_labels import Documents

SUFFIXES = ["csv", "csv.gz", "parquet", "arrow", "jsonl"]
RNG = np.random.default_rng(3)
N, K = 11, 3
LOGITS = RNG.normal(size=(N, K))
COLUMNS = {
    "label": RNG.integers(0, K, N),
    "w": np.arange(1.0, N + 1),
    "m": np.arange(N) % 4 != 3,
    "id": [f"s{i}" for i in range(N)],
    "doc": list("aaaabbbbbcc"),
}
LARGE = {f"logit_{j}": LOGITS[:, j] for j in range(K)}


def write(path, columns):
    table = pa.table({name: pa.array(np.asarray(values).tolist()) for name, values in columns.items()})
    if path.suffix == ".parquet":
        pq.write_table(table, path, row_group_size=4)
    elif path.suffix == ".arrow":
        with pa.OSFile(str(path), "wb") as file, pa.ipc.new_file(file, table.schema) as writer:
            writer.write_table(table, 4)
    elif path.suffix == ".jsonl":
        path.write_text("".join(json.dumps(row) + "\n" for row in table.to_pylist()))
    else:
        with pa.output_stream(str(path)) as stream:  # compresses according to the suffix
            pa_csv.write_csv(table, stream)
    return str(path)


def save(path, array):
    np.save(path, array)
    return str(path)


def read(pair):
    names = ("logits", "labels", "weights", "unscored", "ids", "groups", "mask")
    held = []
    for task in pair.tasks():
        block = task.load()
        held.append(Rows(*(None if (v := getattr(block, name)) is None else v.copy() for name in names)))
    return Rows.concatenate(held)


SMALL = RunNeeds(with_ids=True, task_bytes=64, chunk_bytes=64)


def moved(values, shift, fill, outside):
    """Shift with a loop, one sample after the other."""
    values = np.asarray(values)
    return [fill if outside[t] else values[t + shift].item() for t in range(len(values))]


@pytest.mark.parametrize("shift", [1, 2, -1, -3, 10])
@pytest.mark.parametrize("suffix", SUFFIXES)
@pytest.mark.parametrize("where", ["one table", "labels in a table", "tables"])
def test_all_columns_of_a_table_move_with_its_labels(where, suffix, shift, tmp_path):
    if where == "one table":
        paths = write(tmp_path / f"t.{suffix}", COLUMNS | LARGE), None
    elif where == "tables":
        paths = write(tmp_path / f"l.{suffix}", LARGE), write(tmp_path / f"y.{suffix}", COLUMNS)
    else:
        paths = save(tmp_path / "l.npy", LOGITS), write(tmp_path / f"y.{suffix}", COLUMNS)
    options = ReadOptions(shift=shift, weight_column="w", mask="m", label_column="label", run=SMALL)
    rows = read(open_pair(*paths, None, options))
    outside = [not 0 <= t + shift < N for t in range(N)]
    np.testing.assert_array_equal(rows.logits, LOGITS)
    assert rows.unscored.tolist() == outside
    assert rows.labels.tolist() == moved(COLUMNS["label"], shift, 0, outside)
    assert rows.weights.tolist() == moved(COLUMNS["w"] * COLUMNS["m"], shift, 0, outside)
    assert rows.mask.astype(bool).tolist() == moved(COLUMNS["m"], shift, False, outside)
    assert rows.ids.tolist() == moved(COLUMNS["id"], shift, None, outside)


@pytest.mark.parametrize("shift", [1, 2, -1, -3])
@pytest.mark.parametrize("suffix", SUFFIXES)
def test_a_column_named_with_by_separates_documents(suffix, shift, tmp_path):
    path = write(tmp_path / f"t.{suffix}", COLUMNS | LARGE)
    options = ReadOptions(shift=shift, by=("doc",), label_column="label", run=SMALL)
    pair = open_pair(path, None, None, options)
    rows = read(pair)
    doc = COLUMNS["doc"]
    outside = [not 0 <= t + shift < N or doc[t + shift] != doc[t] for t in range(N)]
    assert rows.unscored.tolist() == outside
    assert rows.labels.tolist() == moved(COLUMNS["label"], shift, 0, outside)
    assert rows.groups[:, 0].tolist() == doc
    assert any("doc" in note.message and note.note for note in pair.diagnostics)


def test_the_rows_of_a_table_are_one_document_and_a_note_says_so(tmp_path):
    pair = open_pair(write(tmp_path / "t.csv", COLUMNS | LARGE), None, None, ReadOptions(shift=1, label_column="label"))
    assert [(note.code, note.note) for note in pair.diagnostics if note.code == "documents"] == [("documents", True)]


@pytest.mark.parametrize("shift", [1, 2, -1, 11, -11])
@pytest.mark.parametrize("suffix", SUFFIXES)
@pytest.mark.parametrize("form", ["npy", "npz deflated"])
def test_an_array_of_labels_ends_with_the_table_of_logits(form, suffix, shift, tmp_path):
    y = save(tmp_path / "y.npy", COLUMNS["label"])
    if form != "npy":
        y = str(tmp_path / "y.npz")
        np.savez_compressed(y, labels=COLUMNS["label"])
    rows = read(open_pair(write(tmp_path / f"z.{suffix}", LARGE), y, None, ReadOptions(shift=shift)))
    outside = [not 0 <= t + shift < N for t in range(N)]
    assert rows.unscored.tolist() == outside
    assert rows.labels.reshape(-1).tolist() == moved(COLUMNS["label"], shift, 0, outside)


@pytest.mark.parametrize("shift", [1, -2])
@pytest.mark.parametrize("form", ["npy", "npz", "npz deflated", "csv"])
def test_weights_and_masks_in_files_of_their_own_move_too(form, shift, tmp_path):
    batch, time = 3, 5
    logits, labels = RNG.normal(size=(batch, time, K)), RNG.integers(0, K, (batch, time))
    weights, mask = RNG.random((batch, time)), RNG.integers(0, 2, (batch, time))
    paths = []
    for name, values in (("labels", labels), ("weights", weights), ("mask", mask)):
        if form == "csv":
            paths.append(write(tmp_path / f"{name}.csv", {name: values.reshape(-1)}))
        elif form == "npy":
            paths.append(save(tmp_path / f"{name}.npy", values))
        else:
            (np.savez_compressed if "deflated" in form else np.savez)(tmp_path / f"{name}.npz", **{name: values})
            paths.append(str(tmp_path / f"{name}.npz"))
    z = save(tmp_path / "z.npy", logits)
    rows = read(open_pair(z, paths[0], paths[1], ReadOptions(shift=shift, mask=paths[2], run=RunNeeds(task_bytes=100))))
    outside = np.array([[not 0 <= t + shift < time for t in range(time)] for _ in range(batch)])
    assert rows.unscored.tolist() == outside.ravel().tolist()
    for found, values in ((rows.labels, labels), (rows.weights, weights), (rows.mask, mask)):
        expected = np.where(outside, 0, np.roll(values, -shift, axis=1))
        assert found.reshape(-1).tolist() == expected.ravel().tolist()


@pytest.mark.parametrize("ranks", [2, 3])
def test_shards_of_sequences_are_documents_of_their_own(ranks, tmp_path):
    lengths, expected = [4, 1, 6], []
    for i, length in enumerate(lengths):
        shape = (length,) if ranks == 2 else (2, length)
        labels = RNG.integers(0, K, shape)
        np.save(tmp_path / f"z-{i}.npy", RNG.normal(size=(*shape, K)))
        np.save(tmp_path / f"y-{i}.npy", labels)
        padded = np.concatenate([labels[..., 1:], np.full((*shape[:-1], 1), -1)], axis=-1)
        expected += padded.ravel().tolist()
    pair = open_pair(str(tmp_path / "z-*.npy"), str(tmp_path / "y-*.npy"), None, ReadOptions(shift=1))
    rows = read(pair)
    assert np.where(rows.unscored, -1, rows.labels).tolist() == expected
    (note,) = (diagnostic for diagnostic in pair.diagnostics if diagnostic.code == "documents")
    assert f"{3 if ranks == 2 else 6} documents" in note.message


def test_labels_cut_in_the_midst_of_a_document_are_refused(tmp_path):
    for i, (a, b) in enumerate([(4, 3), (4, 5)]):
        np.save(tmp_path / f"z-{i}.npy", np.zeros((a, K)))
        np.save(tmp_path / f"y-{i}.npy", np.zeros(b, int))
    with pytest.raises(InputError, match="not the documents"):
        open_pair(str(tmp_path / "z-*.npy"), str(tmp_path / "y-*.npy"), None, ReadOptions(shift=1))


def test_shards_of_a_table_are_refused_because_they_may_be_documents(tmp_path):
    for i in range(2):
        write(tmp_path / f"t-{i}.csv", COLUMNS | LARGE)
    with pytest.raises(InputError, match="one document, or one each") as caught:
        open_pair(str(tmp_path / "t-*.csv"), None, None, ReadOptions(shift=1, label_column="label"))
    assert "--cluster" in caught.value.hint
    options = ReadOptions(shift=1, label_column="label", by=("doc",))
    assert read(open_pair(str(tmp_path / "t-*.csv"), None, None, options)).unscored.sum() == 6


@pytest.mark.parametrize("shift", [5, -5, 10**18, -(10**18)])
def test_a_shift_beyond_every_document_leaves_nothing(shift, tmp_path):
    z, y = save(tmp_path / "z.npy", np.zeros((2, 5, K))), save(tmp_path / "y.npy", np.zeros((2, 5), int))
    with pytest.raises(InputError, match="nothing left to average"):
        open_pair(z, y, None, ReadOptions(shift=shift))


@pytest.mark.parametrize("shift", [11, -11, 10**18, -(10**18)])
def test_a_shift_beyond_a_table_scores_nothing(shift, tmp_path):
    path = write(tmp_path / "t.csv", COLUMNS | LARGE)
    assert read(open_pair(path, None, None, ReadOptions(shift=shift, label_column="label"))).unscored.all()


@settings(max_examples=50)
@given(
    st.lists(st.tuples(st.integers(1, 4), st.integers(1, 4)), min_size=1, max_size=4),
    st.integers(-5, 5),
    st.integers(0, 15),
    st.integers(0, 15),
)
def test_documents_end_where_a_loop_over_them_ends(runs, shift, a, b):
    starts, steps, expected = [], [], []
    for count, length in runs:
        starts.append(len(expected))
        steps.append(length)
        expected += [not 0 <= t + shift < length for _ in range(count) for t in range(length)]
    start, stop = min(a, b, len(expected)), min(max(a, b), len(expected))
    documents = Documents(tuple(starts), tuple(steps))
    assert documents.outside(start, stop, shift).tolist() == expected[start:stop]
    if start < stop:
        assert documents.cut(start, stop).outside(start, stop, shift).tolist() == expected[start:stop]
