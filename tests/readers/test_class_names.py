"""Labels that are names of classes, in every format."""

import json
import shlex

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from xent_cli.errors import InputError, RowError
from xent_cli.readers.options import ReadOptions
from xent_cli.readers.pair.class_names_file import read_class_names
from xent_cli.readers.pair.pair import open_pair

NAMES = ("cat", "dog", "größer")
LABELS = ["dog", "größer", "cat", "dog"]
INDEX = [1, 2, 0, 1]
OPTIONS = ReadOptions(class_names=NAMES)


def write(path, labels):
    """Write labels of text, in the format of the suffix."""
    if path.suffix == ".npy":
        np.save(path, labels)
    elif path.suffix == ".npz":
        np.savez(path, labels=labels)
    elif path.suffix == ".parquet":
        pq.write_table(pa.table({"label": pa.array(list(labels)).dictionary_encode()}), path)
    elif path.suffix == ".arrow":
        table = pa.table({"label": list(labels)})
        with pa.OSFile(str(path), "wb") as file, pa.ipc.new_file(file, table.schema) as writer:
            writer.write_table(table)
    elif path.suffix == ".csv":
        path.write_text("label\n" + "".join(f"{label}\n" for label in labels), encoding="utf-8")
    else:
        path.write_text("".join(json.dumps({"label": label}) + "\n" for label in labels))
    return str(path)


def labels_of(pair):
    """Return all labels of a pair."""
    return np.concatenate([task.load().labels for task in pair.tasks()]).tolist()


@pytest.fixture
def logits(tmp_path):
    np.save(tmp_path / "l.npy", np.zeros((4, 3)))
    return str(tmp_path / "l.npy")


@pytest.mark.parametrize("suffix", ["npy", "npz", "csv", "parquet", "arrow", "jsonl"])
def test_names_stand_for_classes_in_every_format(tmp_path, logits, suffix):
    pair = open_pair(logits, write(tmp_path / f"y.{suffix}", LABELS), None, OPTIONS)
    assert labels_of(pair) == INDEX
    assert (pair.named_labels, pair.class_names, pair.label_form) == (True, NAMES, "sparse")


@pytest.mark.parametrize("dtype", ["U", "U40", ">U7", "S"])
def test_names_may_be_any_text_of_numpys(tmp_path, logits, dtype):
    labels = np.char.encode(LABELS, "utf-8") if dtype == "S" else np.array(LABELS, dtype)
    assert labels_of(open_pair(logits, write(tmp_path / "y.npy", labels), None, OPTIONS)) == INDEX


def test_names_may_have_any_shape_that_labels_have(tmp_path):
    np.save(tmp_path / "l.npy", np.zeros((2, 3, 2)))
    labels = write(tmp_path / "y.npy", np.array(LABELS).reshape(2, 2))
    pair = open_pair(str(tmp_path / "l.npy"), labels, None, ReadOptions(axis=1, class_names=NAMES))
    assert labels_of(pair) == INDEX


def test_names_of_shards_may_be_of_different_length(tmp_path, logits):
    (tmp_path / "y").mkdir()
    write(tmp_path / "y" / "1.npy", ["dog"])
    write(tmp_path / "y" / "2.npy", ["größer", "cat", "dog"])
    assert labels_of(open_pair(logits, str(tmp_path / "y"), None, OPTIONS)) == INDEX


def test_names_may_be_shifted(tmp_path, logits):
    path = write(tmp_path / "y.npy", LABELS)
    (task,) = open_pair(logits, path, None, ReadOptions(class_names=NAMES, shift=1)).tasks()
    assert task.load().labels.tolist() == [*INDEX[1:], 0]
    assert task.load().unscored.tolist() == [False, False, False, True]


@pytest.mark.parametrize("suffix", ["npy", "csv", "parquet", "arrow", "jsonl"])
@pytest.mark.parametrize("prefix", ["logit_", "logits.", ""])
def test_a_label_with_the_prefix_of_a_column_names_its_class(tmp_path, logits, suffix, prefix):
    labels = [f"{prefix}{label}" if i % 2 else label for i, label in enumerate(LABELS)]
    assert labels_of(open_pair(logits, write(tmp_path / f"y.{suffix}", labels), None, OPTIONS)) == INDEX


def test_a_label_as_written_is_preferred_to_one_with_a_prefix(tmp_path, logits):
    names = ("dog", "logit_dog", "cat")
    for suffix in ("npy", "csv"):
        path = write(tmp_path / f"y.{suffix}", ["logit_dog", "dog", "cat", "logit_cat"])
        assert labels_of(open_pair(logits, path, None, ReadOptions(class_names=names))) == [1, 0, 2, 2]


@pytest.mark.parametrize("suffix", ["npy", "csv", "parquet", "arrow", "jsonl"])
def test_an_unknown_name_is_reported_with_its_place_and_the_nearest(tmp_path, logits, suffix):
    pair = open_pair(logits, write(tmp_path / f"y.{suffix}", ["dog", "cat", "dgo", "ctt"]), None, OPTIONS)
    with pytest.raises(RowError, match="label names no class") as caught:
        labels_of(pair)
    assert (caught.value.row, caught.value.found, caught.value.hint) == (2, '"dgo"', 'did you mean "dog"?')
    assert "sample 2" in pair.complete(caught.value).where


@pytest.mark.parametrize("suffix", ["csv", "parquet", "jsonl"])
def test_the_line_that_leaves_out_an_unknown_name_is_right(tmp_path, monkeypatch, logits, suffix):
    path = write(tmp_path / f"y.{suffix}", ["dog", "unknown", "cat", "unknown"])
    pair = open_pair(logits, path, None, OPTIONS)
    with pytest.raises(RowError, match="label names no class") as caught:
        labels_of(pair)
    hint = pair.complete(caught.value).hint
    script = shlex.split(hint.split("python -c ")[1].removesuffix(", then add --mask mask.csv"))[0]
    monkeypatch.chdir(tmp_path)
    exec(script, {})
    assert (tmp_path / "mask.csv").read_text().split() == ["label", "True", "False", "True", "False"]


def test_the_first_unknown_name_is_reported_whatever_comes_first_in_the_alphabet(tmp_path, logits):
    pair = open_pair(logits, write(tmp_path / "y.npy", ["cat", "z", "a", "z"]), None, OPTIONS)
    with pytest.raises(RowError) as caught:
        labels_of(pair)
    assert (caught.value.row, caught.value.found) == (1, '"z"')


def test_labels_that_are_names_need_a_list_of_names(tmp_path, logits):
    with pytest.raises(InputError, match="values are not numbers") as caught:
        open_pair(logits, write(tmp_path / "y.npy", LABELS), None, ReadOptions())
    assert "--class-names" in caught.value.hint


def test_python_objects_stay_refused(tmp_path, logits):
    np.save(tmp_path / "y.npy", np.array(LABELS, object), allow_pickle=True)
    with pytest.raises(InputError, match="Python objects"):
        open_pair(logits, str(tmp_path / "y.npy"), None, OPTIONS)


@pytest.mark.parametrize("bad", [np.array([0x7FFFFFFF] * 4, "<u4").view("<U1"), np.array([b"\xff\xfe"] * 4)])
def test_damaged_text_is_not_a_name(tmp_path, logits, bad):
    pair = open_pair(logits, write(tmp_path / "y.npy", bad), None, OPTIONS)
    with pytest.raises(RowError):
        labels_of(pair)


@pytest.mark.parametrize("length", [0, 2000])
def test_text_of_no_length_or_a_huge_one_is_refused(tmp_path, logits, length):
    with (tmp_path / "y.npy").open("wb") as file:
        header = {"descr": f"<U{length}", "fortran_order": False, "shape": (4,)}
        np.lib.format.write_array_header_1_0(file, header)
        file.write(bytes(16 * length))
    with pytest.raises(InputError, match="values are not numbers"):
        open_pair(logits, str(tmp_path / "y.npy"), None, OPTIONS)


@pytest.mark.parametrize("count", [2, 4])
def test_there_are_as_many_names_as_classes(tmp_path, logits, count):
    with pytest.raises(InputError, match="wrong number of class names") as caught:
        open_pair(
            logits, write(tmp_path / "y.csv", LABELS), None, ReadOptions(class_names=("a", "b", "c", "d")[:count])
        )
    assert (caught.value.found, caught.value.expected) == (f"{count} names", "3, one a class")


@pytest.mark.parametrize("text", ["cat\ndog\nemu\n", "cat\ndog\nemu", "cat\r\ndog\r\nemu\r\n", "\ufeffcat\ndog\nemu"])
def test_a_list_of_names_has_one_per_line(tmp_path, text):
    (tmp_path / "names.txt").write_bytes(text.encode())
    assert read_class_names(str(tmp_path / "names.txt")).names == ("cat", "dog", "emu")


@pytest.mark.parametrize(
    ("content", "what", "where"),
    [
        (b"cat\ndog\ncat\n", "class name given twice", "names.txt line 3"),
        (b"cat\n\ndog\n", "no class name", "names.txt line 2"),
        (b"", "no class name", "names.txt line 1"),
        (b"\xff\xfe", "no class name", "names.txt line 1"),
        (b"caf\xe9\n", "not a text file", "names.txt"),
    ],
)
def test_a_list_of_names_is_checked(tmp_path, content, what, where):
    (tmp_path / "names.txt").write_bytes(content)
    with pytest.raises(InputError, match=what) as caught:
        read_class_names(str(tmp_path / "names.txt"))
    assert caught.value.where.endswith(where)


def test_a_list_of_names_that_is_not_there_is_reported(tmp_path):
    with pytest.raises(InputError, match="no such file"):
        read_class_names(str(tmp_path / "names.txt"))


@pytest.mark.parametrize(("width", "read"), [(1, True), (600, True), (1024, True), (1025, False)])
def test_names_of_up_to_1024_characters_are_read_from_arrays(width, read, tmp_path):
    names = ["a" * width, "b" * width]
    np.save(tmp_path / "l.npy", np.eye(2))
    np.save(tmp_path / "y.npy", np.array(names[::-1]))
    options = ReadOptions(class_names=tuple(names))
    if read:
        (task,) = open_pair(str(tmp_path / "l.npy"), str(tmp_path / "y.npy"), None, options).tasks()
        assert task.load().labels.tolist() == [1, 0]
    else:
        with pytest.raises(InputError, match="values are not numbers"):
            open_pair(str(tmp_path / "l.npy"), str(tmp_path / "y.npy"), None, options)
