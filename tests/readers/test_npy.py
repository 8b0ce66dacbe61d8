import gzip
import io
import itertools
import pickle

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from xent_cli.errors import InputError, UsageError
from xent_cli.readers.arrays.streamed_array import _Pool
from xent_cli.readers.interface import Classes
from xent_cli.readers.open import open_source
from xent_cli.readers.options import ReadOptions, RunNeeds
from xent_cli.readers.pair.pair import open_pair


def open_npy(path, role, axis, dtype, task_bytes=8 << 20):
    return open_source(path, role, ReadOptions(logits_dtype=dtype, run=RunNeeds(task_bytes=task_bytes)), Classes(axis))


def read(source):
    """Read all samples through pickled recipes, and check that parts follow one another without a gap."""
    parts = list(source.parts())
    assert [start for start, _, _ in parts] == [0, *itertools.accumulate(size for _, size, _ in parts)][:-1]
    return np.concatenate([pickle.loads(pickle.dumps(part)).read().logits.copy() for _, _, part in parts])


@given(
    shape=hnp.array_shapes(min_dims=1, max_dims=4, min_side=1, max_side=5),
    order=st.sampled_from("CF"),
    dtype=st.sampled_from(["<f2", "<f4", ">f4", "<f8", ">f8", "i1", "<u4", ">i8", "?"]),
    axis=st.integers(-4, 3),
    task=st.sampled_from([1, 8, 40, 100, 1 << 20]),
)
def test_samples_are_those_of_the_moved_array(shape, order, dtype, axis, task, tmp_path_factory):
    axis = axis % len(shape)
    values = np.arange(np.prod(shape)).reshape(shape)
    array = np.asarray(values, dtype, order=order)
    path = str(tmp_path_factory.getbasetemp() / "a.npy")
    np.save(path, array)
    source = open_npy(path, "logits", axis, None, task)
    found = read(source)
    np.testing.assert_array_equal(found, np.moveaxis(array, axis, -1).reshape(-1, shape[axis]))
    assert source.info.row_shape == (shape[axis],)
    assert source.info.sample_shape == shape[:axis] + shape[axis + 1 :]
    rows = source.rows(0, source.info.num_rows).read().logits
    np.testing.assert_array_equal(rows, found)


@pytest.mark.parametrize("version", [(1, 0), (2, 0), (3, 0)])
def test_every_header_version_is_read(version, tmp_path):
    array = np.arange(6.0).reshape(2, 3)
    with (tmp_path / "a.npy").open("wb") as file:
        np.lib.format.write_array(file, array, version=version)
    np.testing.assert_array_equal(read(open_npy(str(tmp_path / "a.npy"), "logits", -1, None)), array)


def header(text, version=b"\x01\x00"):
    body = text.encode("latin-1")
    return b"\x93NUMPY" + version + len(body).to_bytes(2, "little") + body


@pytest.mark.parametrize(
    "content",
    [
        header("{'descr': '<f8', 'fortran_order': False, 'shape': (-1, 3)}"),
        header("{'descr': '<f8', 'fortran_order': False, 'shape': (1000000000000000000, 3)}"),
        header("{'descr': '<f8', 'fortran_order': False, 'shape': 3}"),
        header("{'descr': '<f8', 'shape': (3,)}"),
        header("__import__('os').system('true')"),
        header("(" * 3000),
        header("{'descr': 'nonsense', 'fortran_order': False, 'shape': (3,)}"),
        header("{'descr': '|O', 'fortran_order': False, 'shape': (3,)}"),
        header("{'descr': '<c16', 'fortran_order': False, 'shape': (0,)}"),
        header("{'descr': '<f8', 'fortran_order': False, 'shape': (3,)}", b"\x09\x00"),
        b"\x93NUMPY\x01\x00\xff\xff{",
        b"\x93NUMPY",
    ],
)
def test_a_hostile_header_is_refused(content, tmp_path):
    path = tmp_path / "a.npy"
    path.write_bytes(content)
    with pytest.raises(InputError):
        open_npy(str(path), "logits", -1, None)


def test_a_pickle_is_refused_and_never_loaded(tmp_path):
    class Trap:
        def __reduce__(self):
            return (open, (str(tmp_path / "unpickled"), "w"))

    np.save(tmp_path / "a.npy", np.array([Trap()], dtype=object), allow_pickle=True)
    with pytest.raises(InputError, match="Python objects"):
        open_npy(str(tmp_path / "a.npy"), "logits", -1, None)
    assert not (tmp_path / "unpickled").exists()


def test_long_doubles_are_refused_with_what_to_do(tmp_path):
    np.save(tmp_path / "a.npy", np.zeros((2, 2), np.longdouble))
    with pytest.raises(InputError, match="astype"):
        open_npy(str(tmp_path / "a.npy"), "logits", -1, None)


def test_bfloat16_is_read_where_the_user_says_so(tmp_path):
    values = np.array([[1.5, -2.0], [0.0, 3.0]], np.float32)
    (values.view(np.uint32) >> 16).astype(np.uint16).view("V2").reshape(2, 2)
    np.save(tmp_path / "a.npy", (values.view(np.uint32) >> 16).astype(np.uint16).view("V2"))
    with pytest.raises(InputError, match="--logits-dtype bfloat16"):
        open_npy(str(tmp_path / "a.npy"), "logits", -1, None)
    source = open_npy(str(tmp_path / "a.npy"), "logits", -1, "bfloat16")
    np.testing.assert_array_equal(read(source), values)


def test_a_file_that_shrinks_while_it_is_read_is_reported(tmp_path):
    np.save(tmp_path / "a.npy", np.zeros((100, 3)))
    source = open_npy(str(tmp_path / "a.npy"), "logits", -1, None)
    with (tmp_path / "a.npy").open("r+b") as file:
        file.truncate(500)
    with pytest.raises(InputError, match="the file changed while it was read"):
        read(source)


@pytest.mark.parametrize("read_before", [False, True])
def test_a_scattered_array_that_shrinks_is_refused(read_before, tmp_path):
    values = np.arange(6000.0).reshape(20, 30, 10)
    np.save(tmp_path / "a.npy", np.asfortranarray(values))
    part = open_npy(str(tmp_path / "a.npy"), "logits", -1, None).rows(0, 600)
    if read_before:
        np.testing.assert_array_equal(part.read().logits, values.reshape(600, 10))
    with (tmp_path / "a.npy").open("r+b") as file:
        file.truncate(500)
    with pytest.raises(InputError, match="the file changed while it was read"):
        part.read()


def saved(path, values):
    np.save(path, values)


def packed(path, values):
    stream = io.BytesIO()
    np.save(stream, values)
    path.write_bytes(gzip.compress(stream.getvalue()))


@pytest.mark.parametrize("write", [saved, packed])
@pytest.mark.parametrize("role", ["logits", "labels"])
def test_a_second_array_behind_the_first_is_not_passed_over(role, write, tmp_path):
    """`numpy.save` was called twice on one open file, and xent cannot know which array is meant."""
    arrays = {"logits": np.zeros((100, 3)), "labels": np.zeros(100, np.int64)}
    for name, values in arrays.items():
        write(tmp_path / f"{name}.npy", values)
    path = tmp_path / f"{role}.npy"
    open_pair(str(tmp_path / "logits.npy"), str(tmp_path / "labels.npy"), None, ReadOptions())
    path.write_bytes(path.read_bytes() + path.read_bytes())
    with pytest.raises(InputError, match="more than one array"):
        list(open_pair(str(tmp_path / "logits.npy"), str(tmp_path / "labels.npy"), None, ReadOptions()).tasks())


def test_an_axis_that_does_not_exist_is_a_usage_error(tmp_path):
    np.save(tmp_path / "a.npy", np.zeros((2, 3)))
    with pytest.raises(UsageError):
        open_npy(str(tmp_path / "a.npy"), "logits", 2, None)


def streamed(tmp_path):
    values = np.random.default_rng(0).normal(size=(100, 3))
    np.save(tmp_path / "a.npy", values)
    (tmp_path / "a.npy.gz").write_bytes(gzip.compress((tmp_path / "a.npy").read_bytes()))
    return values, open_npy(str(tmp_path / "a.npy.gz"), "logits", -1, None, 7 * 24)


def test_parts_of_a_stream_that_are_kept_stay_as_they_are(tmp_path):
    values, source = streamed(tmp_path)
    kept = [part.read().logits[1:] for _, _, part in source.parts()]
    np.testing.assert_array_equal(np.vstack(kept), np.delete(values, np.arange(0, 100, 7), axis=0))


def test_memory_of_a_stream_is_used_again(tmp_path):
    values, source = streamed(tmp_path)
    places, found = set(), []
    for _, _, part in source.parts():
        rows = part.read().logits
        places.add(rows.__array_interface__["data"][0])
        found.append(rows.copy())
        del rows, part
    np.testing.assert_array_equal(np.vstack(found), values)
    assert len(places) <= 2


def test_memory_of_a_part_is_used_again_only_when_no_array_refers_to_it():
    pool = _Pool((3, 2), np.dtype("<f4"))
    first = pool.take()
    address, view = first.ctypes.data, first[1:].reshape(-1)
    del first
    second = pool.take()
    assert second.ctypes.data != address
    del view
    assert pool.take().ctypes.data == address
