import io
import json
import zipfile
from pathlib import Path

import numpy as np
import pytest
from safetensors.numpy import save_file

from tests.torch_writer import save as save_torch
from xent_cli.errors import InputError
from xent_cli.readers.interface import Classes
from xent_cli.readers.open import open_source
from xent_cli.readers.options import ReadOptions, RunNeeds
from xent_cli.readers.pair.pair import open_pair

RNG = np.random.default_rng(5)
LOGITS = RNG.normal(size=(50, 6))
LABELS = RNG.integers(0, 6, 50)


def read(source):
    return np.concatenate([np.array(part.read().logits) for _, _, part in source.parts()])


@pytest.mark.parametrize("save", [np.savez, np.savez_compressed])
@pytest.mark.parametrize(("order", "axis"), [("C", -1), ("F", -1), ("C", 0), ("F", 0)])
def test_an_array_of_an_archive_is_read_in_either_order(save, order, axis, tmp_path):
    path = str(tmp_path / "d.npz")
    save(path, logits=np.asarray(np.moveaxis(LOGITS, -1, axis), order=order), other=np.zeros(3))
    source = open_source(path, "logits", ReadOptions(run=RunNeeds(task_bytes=7 * 48)), Classes(axis))
    np.testing.assert_array_equal(read(source), LOGITS)
    np.testing.assert_array_equal(read(source), LOGITS)  # a second time: a streamed member is streamed again
    assert source.info.format == "npz"
    assert source.where(3, "logits") == f"{path}:logits sample 3"


def test_two_arrays_of_one_name_are_refused(tmp_path):
    np.savez(tmp_path / "d.npz", logits=LOGITS, target=LABELS)
    array = io.BytesIO()
    np.save(array, -LOGITS)
    with zipfile.ZipFile(tmp_path / "d.npz", "a") as archive, pytest.warns(UserWarning, match="Duplicate name"):
        archive.writestr("logits.npy", array.getvalue())
    with pytest.raises(InputError, match="two arrays of one name"):
        open_pair(str(tmp_path / "d.npz"), None, None, ReadOptions())


def test_one_archive_may_hold_logits_and_labels(tmp_path):
    np.savez_compressed(tmp_path / "d.npz", logits=LOGITS, target=LABELS)
    (task,) = open_pair(str(tmp_path / "d.npz"), None, None, ReadOptions()).tasks()
    block = task.load()
    np.testing.assert_array_equal(block.logits, LOGITS)
    np.testing.assert_array_equal(block.labels, LABELS)


@pytest.mark.parametrize("suffix", ["npz", "safetensors", "pt"])
@pytest.mark.parametrize("name", ["labels", "y_true"])
def test_labels_of_a_file_count_and_those_of_the_archive_are_said_to_be_left_out(suffix, name, tmp_path):
    arrays = {"logits": LOGITS, name: (LABELS + 1) % 6}
    path = saved(tmp_path, suffix, arrays)
    labels = str(tmp_path / "y.npy")
    np.save(labels, LABELS)
    pair = open_pair(path, labels, None, ReadOptions())
    (task,) = pair.tasks()
    np.testing.assert_array_equal(task.load().labels, LABELS)
    (note,) = [each for each in pair.diagnostics if each.code == "labels-from-file"]
    assert note.message == f'labels: {labels}; array "{name}" of {path} is not used'
    for alone in (
        open_pair(str(path), None, None, ReadOptions()),
        open_pair(str(path), str(path), None, ReadOptions()),
    ):
        assert "labels-from-file" not in [each.code for each in alone.diagnostics]


def saved(folder, suffix, arrays):
    """Save arrays in an archive of either kind."""
    path = folder / f"d.{suffix}"
    if suffix == "npz":
        np.savez(path, **arrays)
    elif suffix == "pt":
        save_torch(path, {name: np.ascontiguousarray(values) for name, values in arrays.items()})
    else:
        save_file({name: np.ascontiguousarray(values) for name, values in arrays.items()}, path)
    return str(path)


@pytest.mark.parametrize("suffix", ["npz", "safetensors", "pt"])
@pytest.mark.parametrize("name", ["y_true", "label_ids", "ground_truth", "gt", "Targets", "trueLabel", "y"])
def test_arrays_of_labels_have_the_names_of_columns_of_labels(name, suffix, tmp_path):
    path = saved(tmp_path, suffix, {"logits": LOGITS, name: LABELS, "embeddings": LOGITS, "sample_id": LABELS})
    (task,) = open_pair(path, None, None, ReadOptions()).tasks()
    np.testing.assert_array_equal(task.load().labels, LABELS)


@pytest.mark.parametrize("suffix", ["npz", "safetensors", "pt"])
def test_two_arrays_that_may_be_the_labels_are_refused_as_ambiguous(suffix, tmp_path):
    path = saved(tmp_path, suffix, {"logits": LOGITS, "y": LABELS, "y_true": LABELS[::-1]})
    with pytest.raises(InputError, match=r'several arrays of labels\n.*"y", "y_true"(?s:.*)--label-column y_true'):
        open_pair(path, None, None, ReadOptions())


def test_the_only_array_of_an_archive_is_not_its_own_labels(tmp_path):
    np.savez(tmp_path / "d.npz", logits=LOGITS)
    with pytest.raises(InputError, match="no labels"):
        open_pair(str(tmp_path / "d.npz"), None, None, ReadOptions())


def test_arrays_of_other_names_are_asked_for(tmp_path):
    np.savez(tmp_path / "d.npz", student=LOGITS, truth=LABELS)
    path = str(tmp_path / "d.npz")
    with pytest.raises(InputError, match=r'no array of logits\n.*"student", "truth"'):
        open_source(path, "logits", ReadOptions(), Classes(-1))
    with pytest.raises(InputError, match='did you mean "student"'):
        open_source(path, "logits", ReadOptions(logits_column=("studnt",)), Classes(-1))
    pair = open_pair(path, None, None, ReadOptions(logits_column=("student",), label_column="truth"))
    assert pair.label_form == "sparse"


def test_an_array_longer_than_its_member_is_refused_before_it_is_read(tmp_path):
    with zipfile.ZipFile(tmp_path / "d.npz", "w", zipfile.ZIP_DEFLATED) as archive:
        text = b"{'descr': '<f8', 'fortran_order': False, 'shape': (1000000000000000000, 3)}"
        archive.writestr("logits.npy", b"\x93NUMPY\x01\x00" + len(text).to_bytes(2, "little") + text)
    with pytest.raises(InputError, match="truncated array"):
        open_source(str(tmp_path / "d.npz"), "logits", ReadOptions(), Classes(-1))


@pytest.mark.parametrize("compression", [zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED])
def test_a_member_longer_than_its_array_is_refused(compression, tmp_path):
    stream = io.BytesIO()
    np.save(stream, LOGITS)
    with zipfile.ZipFile(tmp_path / "d.npz", "w", compression) as archive:
        archive.writestr("logits.npy", stream.getvalue() + b"more")
    with pytest.raises(InputError, match="more than one array"):
        open_source(str(tmp_path / "d.npz"), "logits", ReadOptions(), Classes(-1))


def test_two_tensors_of_one_name_are_refused(tmp_path):
    save_file({"logits": LOGITS, "logitz": -LOGITS}, tmp_path / "d.safetensors")
    written = (tmp_path / "d.safetensors").read_bytes()
    (tmp_path / "d.safetensors").write_bytes(written.replace(b'"logitz"', b'"logits"'))
    with pytest.raises(InputError, match="a name twice"):
        open_source(str(tmp_path / "d.safetensors"), "logits", ReadOptions(), Classes(-1))


def test_bytes_after_the_last_tensor_are_refused(tmp_path):
    path = tmp_path / "t.safetensors"
    path.write_bytes(tensors({"logits": {"dtype": "F32", "shape": [2, 3], "data_offsets": [0, 24]}}))
    open_source(str(path), "logits", ReadOptions(), Classes(-1))
    path.write_bytes(path.read_bytes() + b"more")
    with pytest.raises(InputError, match="tells of"):
        open_source(str(path), "logits", ReadOptions(), Classes(-1))


@pytest.mark.parametrize("dtype", ["float16", "float32", "float64", "int64", "int32", "uint8", "bool"])
def test_tensors_of_every_dtype_are_read_as_they_were_saved(dtype, tmp_path):
    values = (LOGITS * 10).astype(dtype)
    save_file({"logits": values, "labels": LABELS}, tmp_path / "d.safetensors")
    pair = open_pair(str(tmp_path / "d.safetensors"), None, None, ReadOptions())
    (task,) = pair.tasks()
    np.testing.assert_array_equal(task.load().logits, values)
    assert pair.logits.info.dtype == np.dtype(dtype)


def test_bfloat16_tensors_need_no_option(tmp_path):
    ml_dtypes = pytest.importorskip("ml_dtypes")
    values = LOGITS.astype(ml_dtypes.bfloat16)
    save_file({"logits": values}, tmp_path / "d.safetensors")
    source = open_source(str(tmp_path / "d.safetensors"), "logits", ReadOptions(), Classes(-1))
    np.testing.assert_array_equal(read(source), values.astype(np.float32))


def tensors(header, data=b"\0" * 24):
    text = header if isinstance(header, bytes) else json.dumps(header).encode()
    return len(text).to_bytes(8, "little") + text + data


@pytest.mark.parametrize(
    "content",
    [
        tensors({"a": {"dtype": "F64", "shape": [1, 3], "data_offsets": [0, 25]}}),
        tensors({"a": {"dtype": "F64", "shape": [-1, -3], "data_offsets": [0, 24]}}),
        tensors({"a": {"dtype": "F64", "shape": [1, 3], "data_offsets": [8, 32]}}),
        tensors({"a": {"dtype": "F64", "shape": [1, True], "data_offsets": [0, 8]}}),
        tensors({"a": {"dtype": "F8_E4M3", "shape": [3], "data_offsets": [0, 3]}}),
        tensors({"a": {"dtype": "F64", "shape": 3}}),
        tensors({"a": 3}),
        tensors({}),
        tensors(b"{[" + b"[" * 100_000),
        tensors(b"{]"),
        (10**9).to_bytes(8, "little") + b"{",
    ],
)
def test_a_hostile_header_is_refused(content, tmp_path):
    (tmp_path / "d.safetensors").write_bytes(content)
    with pytest.raises(InputError):
        open_source(str(tmp_path / "d.safetensors"), "logits", ReadOptions(), Classes(-1))


@pytest.mark.parametrize("suffix", ["npz", "safetensors", "pt"])
def test_archives_of_logits_and_labels_may_be_shards(suffix, tmp_path):
    for start in range(0, 50, 20):
        some = slice(start, start + 20)
        path = saved(tmp_path, suffix, {"logits": LOGITS[some], "labels": LABELS[some]})
        Path(path).rename(tmp_path / f"part-{start}.{suffix}")
    pair = open_pair(str(tmp_path), None, None, ReadOptions())
    blocks = [(task.load().logits.copy(), task.load().labels.copy()) for task in pair.tasks()]
    np.testing.assert_array_equal(np.concatenate([logits for logits, _ in blocks]), LOGITS)
    np.testing.assert_array_equal(np.concatenate([labels for _, labels in blocks]), LABELS)
    with pytest.raises(InputError, match="no labels"):
        open_pair(str(tmp_path), None, None, ReadOptions(label_column="logits"))


@pytest.mark.parametrize("suffix", ["npz", "safetensors", "pt"])
def test_shards_of_scores_of_a_binary_classifier_are_not_their_own_labels(suffix, tmp_path):
    for part in range(2):
        path = saved(tmp_path, suffix, {"scores": np.array([0.0, 1.0, 1.0])})
        Path(path).rename(tmp_path / f"part-{part}.{suffix}")
    with pytest.raises(InputError, match="no labels"):
        open_pair(str(tmp_path), None, None, ReadOptions(binary="logits"))
