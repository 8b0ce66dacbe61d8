import weakref

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from xent_cli.core.input_description import InputDescription
from xent_cli.core.kernel.cross_entropy import cross_entropy
from xent_cli.core.options import LossOptions
from xent_cli.errors import InputError, RowError
from xent_cli.readers.interface import SourceInfo
from xent_cli.readers.options import ReadOptions, RunNeeds
from xent_cli.readers.pair.pair import open_pair
from xent_cli.readers.pair.paired_inputs import Pair

RNG = np.random.default_rng(0)
LOGITS = RNG.normal(size=(500, 7))
LABELS = RNG.integers(0, 7, 500)


def write(folder, name, logits=LOGITS, labels=LABELS):
    """Write the same samples in one of the usual ways; return the paths."""
    names = [f"c{i}" for i in range(logits.shape[1])]
    wide = {n: logits[:, i] for i, n in enumerate(names)}
    files = ("l.npy", "y.npy", "y.csv", "l.csv", "t.csv", "w.parquet", "f.parquet")
    paths = {file: str(folder / file) for file in files}
    if name == "npy npy":
        np.save(paths["l.npy"], logits)
        np.save(paths["y.npy"], labels)
        return paths["l.npy"], paths["y.npy"]
    if name == "npy csv":
        np.save(paths["l.npy"], logits)
        (folder / "y.csv").write_text("label\n" + "".join(f"{y}\n" for y in labels))
        return paths["l.npy"], paths["y.csv"]
    lines = [",".join(map(repr, row)) for row in logits.tolist()]
    if name == "csv npy":
        (folder / "l.csv").write_text("\n".join([",".join(names), *lines]))
        np.save(paths["y.npy"], labels)
        return paths["l.csv"], paths["y.npy"]
    if name == "csv":
        rows = [f"{line},{y}" for line, y in zip(lines, labels, strict=True)]
        (folder / "t.csv").write_text("\n".join([",".join([*names, "label"]), *rows]))
        return paths["t.csv"], None
    if name == "csv names":
        rows = [f"{line},c{y}" for line, y in zip(lines, labels, strict=True)]
        (folder / "t.csv").write_text("\n".join([",".join([*names, "label"]), *rows]))
        return paths["t.csv"], None
    if name == "parquet wide":
        pq.write_table(pa.table({**wide, "label": labels}), paths["w.parquet"], row_group_size=120)
        return paths["w.parquet"], None
    if name == "parquet names":
        text = pa.array([f"c{y}" for y in labels]).dictionary_encode()
        pq.write_table(pa.table({**wide, "target": text}), paths["w.parquet"])
        return paths["w.parquet"], None
    kind = pa.list_(pa.float64()) if name == "parquet list" else pa.list_(pa.float64(), logits.shape[1])
    table = pa.table({"logits": pa.array(logits.tolist(), kind), "y": labels})
    pq.write_table(table, paths["f.parquet"], row_group_size=150)
    return paths["f.parquet"], None


KINDS = [
    "npy npy",
    "npy csv",
    "csv npy",
    "csv",
    "csv names",
    "parquet wide",
    "parquet names",
    "parquet list",
    "parquet fixed",
]


def losses(pair):
    found = []
    for task in pair.tasks():
        block = task.load()  # valid until the next one
        found.append(cross_entropy(block.logits, block.labels.astype(int).reshape(-1), LossOptions()).loss)
    return np.concatenate(found)


@pytest.mark.parametrize("small", [False, True], ids=["one piece", "many pieces"])
@pytest.mark.parametrize("kind", KINDS)
def test_the_same_samples_give_the_same_bits_however_they_lie_on_disk(kind, small, tmp_path):
    group = 4000 if "list" in kind else 10
    needs = RunNeeds(task_bytes=500, chunk_bytes=1000, group_bytes=group, step_bytes=300) if small else RunNeeds()
    found = losses(open_pair(*write(tmp_path, kind), None, ReadOptions(run=needs)))
    np.testing.assert_array_equal(found, cross_entropy(LOGITS, LABELS, LossOptions()).loss)


@pytest.mark.parametrize("kind", ["npy npy", "npy csv", "csv npy"])
@pytest.mark.parametrize("labels", [LABELS[:-1], np.append(LABELS, 0)], ids=["one less", "one more"])
def test_inputs_of_other_length_are_refused_with_both_lengths(kind, labels, tmp_path):
    with pytest.raises(InputError, match=f"500 rows of logits, {len(labels)} labels"):
        losses(open_pair(*write(tmp_path, kind, labels=labels), None, ReadOptions()))


def test_dense_columns_are_taken_in_the_order_of_the_logits(tmp_path):
    (tmp_path / "l.csv").write_text("cat,dog\n1,2\n")
    (tmp_path / "q.csv").write_text("dog,cat\n0.75,0.25\n")
    pair = open_pair(str(tmp_path / "l.csv"), str(tmp_path / "q.csv"), None, ReadOptions())
    assert pair.label_form == "dense"
    assert next(pair.tasks()).load().labels.tolist() == [[0.25, 0.75]]


def test_one_class_is_a_score_unless_the_options_say_what_the_labels_are(tmp_path):
    np.save(tmp_path / "l.npy", np.zeros((3, 1)))
    np.save(tmp_path / "y.npy", np.zeros((3, 1), int))
    paths = str(tmp_path / "l.npy"), str(tmp_path / "y.npy"), None
    with pytest.raises(InputError, match="--binary"):
        open_pair(*paths, ReadOptions())
    assert open_pair(*paths, ReadOptions(labels="sparse")).label_form == "sparse"
    assert open_pair(*paths, ReadOptions(labels="dense")).label_form == "dense"


@pytest.mark.parametrize("kind", ["npy csv", "csv", "parquet list"])
def test_a_label_out_of_range_is_reported_where_it_stands_with_the_others_like_it(kind, tmp_path):
    labels = LABELS.copy()
    labels[[40, 41, 400]] = 7
    pair = open_pair(*write(tmp_path, kind, labels=labels), None, ReadOptions())
    error = pair.complete(RowError("label out of range", 40, "labels", "7", "0..6", "skip"))
    place = "row 40" if "parquet" in kind else "line 42 (sample 40)"
    assert place in error.where
    assert "41" in error.more
    assert "column" in error.where


@pytest.mark.parametrize("shift", [1, 2, -1, -4])
def test_shifted_labels_are_those_of_a_loop(shift, tmp_path):
    labels = RNG.integers(0, 4, (3, 5))
    np.save(tmp_path / "l.npy", RNG.normal(size=(3, 5, 4)))
    np.save(tmp_path / "y.npy", labels)
    options = ReadOptions(shift=shift, run=RunNeeds(task_bytes=3 * 4 * 8))
    pair = open_pair(str(tmp_path / "l.npy"), str(tmp_path / "y.npy"), None, options)
    blocks = (task.load() for task in pair.tasks())
    found = np.concatenate([np.where(block.unscored, -1, block.labels) for block in blocks])
    expected = [[labels[b, t + shift] if 0 <= t + shift < 5 else -1 for t in range(5)] for b in range(3)]
    assert found.tolist() == np.ravel(expected).tolist()


@pytest.mark.parametrize("suffix", ["npy", "csv"])
def test_sample_weights_follow_the_samples(suffix, tmp_path):
    weights = RNG.random(500)
    path = tmp_path / f"w.{suffix}"
    if suffix == "npy":
        np.save(path, weights)
    else:
        path.write_text("".join(f"{w!r}\n" for w in weights.tolist()))
    pair = open_pair(*write(tmp_path, "npy npy"), str(path), ReadOptions(run=RunNeeds(task_bytes=700)))
    np.testing.assert_array_equal(np.concatenate([task.load().weights.copy() for task in pair.tasks()]), weights)


def test_missing_values_in_a_table_are_reported_with_their_row(tmp_path):
    pq.write_table(pa.table({"a": [1.0, None], "b": [1.0, 2.0], "label": [0, 1]}), tmp_path / "t.parquet")
    pair = open_pair(str(tmp_path / "t.parquet"), None, None, ReadOptions())
    with pytest.raises(RowError, match="missing value") as caught:
        next(pair.tasks()).load()
    assert caught.value.row == 1


def test_lists_of_another_length_are_reported_with_their_row(tmp_path):
    pq.write_table(pa.table({"logits": [[1.0, 2.0], [1.0]], "label": [0, 1]}), tmp_path / "t.parquet")
    pair = open_pair(str(tmp_path / "t.parquet"), None, None, ReadOptions())
    with pytest.raises(RowError, match="list of the wrong length") as caught:
        next(pair.tasks()).load()
    assert caught.value.row == 1


def test_a_part_is_freed_before_the_next_is_made():
    class Part:
        pass

    class Source:
        info = SourceInfo(InputDescription("-", "npy", (3, 2), "float64"), np.dtype(float), (2,), 3, (3,), frozenset())

        def parts(self):
            for i in range(3):
                part = Part()
                made = weakref.ref(part)
                yield i, 1, part
                del part
                assert made() is None, "two parts of a stream are in memory where one would do"

    tasks = Pair(Source(), None, None).tasks()
    assert [next(tasks).start for _ in range(3)] == [0, 1, 2]
    assert next(tasks, None) is None
