"""Samples whose classes are not adjacent in the file, in slabs larger than a task."""

import io
import itertools

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from xent_cli.readers.arrays.array_source import Layout
from xent_cli.readers.arrays.strided_array import StridedArray, samples_at_once
from xent_cli.readers.arrays.strided_rows import StridedRows, memory_of
from xent_cli.readers.interface import Classes
from xent_cli.readers.open import open_source
from xent_cli.readers.options import ReadOptions, RunNeeds, slab_bytes


class Counted:
    """A file in memory that counts reads and bytes."""

    name = "counted"

    def __init__(self, data):
        self.data = data
        self.calls = self.bytes = 0

    def open(self):
        counted = self

        class Stream(io.BytesIO):
            def readinto(self, target):
                counted.calls += 1
                counted.bytes += len(target)
                return super().readinto(target)

        return Stream(self.data)


def rows_of(file, shape, start, stop, needs):
    """Return the recipe for samples of a float32 array [a, k, b] in C order."""
    a, k, b = shape
    memory = memory_of(needs)
    return StridedRows("logits", "test", file, "<f4", 0, (a, b), (k * b, 1), k, b, start, stop, False, *memory)


@given(
    shape=st.tuples(st.integers(1, 3), st.integers(129, 300), st.integers(1, 9)),
    order=st.sampled_from("CF"),
    dtype=st.sampled_from(["<f2", "<f4", ">f4", "<f8", "i1"]),
    task=st.sampled_from([1, 1000, 5000, 20000]),
    slab=st.sampled_from([1, 3000, 10000]),
    step=st.sampled_from([64, 1000, 100_000]),
)
def test_many_classes_in_the_middle_are_those_of_the_moved_array(
    shape, order, dtype, task, slab, step, tmp_path_factory
):
    array = np.asarray(np.arange(np.prod(shape)).reshape(shape) % 251, dtype, order=order)
    path = str(tmp_path_factory.getbasetemp() / "strided.npy")
    np.save(path, array)
    needs = RunNeeds(task_bytes=task, slab_bytes=slab, step_bytes=step)
    parts = list(open_source(path, "logits", ReadOptions(run=needs), Classes(1)).parts())
    assert [start for start, _, _ in parts] == [0, *itertools.accumulate(size for _, size, _ in parts)][:-1]
    found = np.concatenate([part.read().logits.copy() for _, _, part in parts])
    np.testing.assert_array_equal(found, np.moveaxis(array, 1, -1).reshape(-1, shape[1]))


@given(
    slab=st.integers(1, 10**6),
    classes=st.integers(1, 300_000),
    itemsize=st.sampled_from([1, 2, 4, 8]),
    threads=st.integers(1, 64),
    dense=st.booleans(),
    gradients=st.booleans(),
    shared=st.booleans(),
)
def test_a_task_fits_its_memory_and_shares_of_a_slab_are_even(
    slab, classes, itemsize, threads, dense, gradients, shared
):
    needs = RunNeeds(slab_bytes=slab_bytes(threads, dense=dense, gradients=gradients))
    step = samples_at_once(slab, classes, itemsize, needs, shared=shared)
    assert step == 1 or step * classes * itemsize <= max(needs.task_bytes, needs.slab_bytes)
    assert step % slab == 0 or -(-slab // step) * step - slab < -(-slab // step)


def test_many_classes_are_read_at_once_not_one_by_one():
    shape = (2, 5000, 40)
    values = np.arange(np.prod(shape), dtype=np.float32).reshape(shape)
    file = Counted(values.tobytes())
    rows = rows_of(file, shape, 40, 60, RunNeeds()).read().logits
    np.testing.assert_array_equal(rows, values[1, :, :20].T)
    assert rows.flags.c_contiguous  # the classes of a sample are adjacent
    assert file.calls <= 4
    assert file.bytes <= values[1].nbytes


def test_no_gap_is_read_that_takes_longer_than_a_call():
    shape = (1, 200, 100_000)
    values = np.arange(np.prod(shape), dtype=np.float32).reshape(shape)
    file = Counted(values.tobytes())
    rows = rows_of(file, shape, 500, 1500, RunNeeds()).read().logits
    np.testing.assert_array_equal(rows, values[0, :, 500:1500].T)
    assert file.bytes == rows.nbytes


@given(
    shape=st.tuples(st.integers(1, 3), st.integers(129, 300), st.integers(16, 90)),
    order=st.sampled_from("CF"),
    axis=st.sampled_from([0, 1, 2]),
    dtype=st.sampled_from(["<f2", "<f4", ">f4", "<f8", "i1"]),
    threads=st.integers(1, 4),
    step=st.sampled_from([64, 1000, 100_000]),
    more=st.integers(0, 40),
)
def test_classes_that_stream_are_those_of_the_moved_array(
    shape, order, axis, dtype, threads, step, more, tmp_path_factory
):
    shape = shape if axis == 1 else (*shape[1:], shape[0]) if axis == 0 else (shape[0], shape[2], shape[1])
    array = np.asarray(np.arange(np.prod(shape)).reshape(shape) % 251, dtype, order=order)
    path = str(tmp_path_factory.getbasetemp() / "streamed.npy")
    np.save(path, array)
    source = open_source(path, "logits", ReadOptions(run=RunNeeds(task_bytes=1000, step_bytes=step)), Classes(axis))
    source = source.streamed(threads) if hasattr(source, "streamed") else source
    found, moved = [], np.moveaxis(array, axis, -1)
    for start, size, part in source.parts():
        assert start == sum(map(len, found))
        logits = part.read().logits
        if not isinstance(logits, np.ndarray):
            pieces = [(first, piece[:, :size].copy()) for first, piece in logits._source.pieces(128, size + more)]
            assert all(first % 128 == 0 for first, _ in pieces)
            np.testing.assert_array_equal(np.concatenate([piece for _, piece in pieces]).T, logits[:])
        found.append(np.array(logits[:]))
        assert len(logits) == size
    np.testing.assert_array_equal(np.concatenate(found), moved.reshape(-1, moved.shape[-1]))


def test_a_slab_that_is_too_large_to_be_held_streams_in_large_reads():
    shape = (1, 1280, 4000)
    values = np.arange(np.prod(shape), dtype=np.float32).reshape(shape)
    file = Counted(values.tobytes())
    layout = Layout(shape, False, np.dtype("<f4"), 0)
    (part,) = StridedArray(file, "npy", "logits", layout, 1, RunNeeds(streams=1)).parts()
    logits = part[2].read().logits
    assert file.bytes == 0
    pieces = [piece.copy() for _, piece in logits._source.pieces(128, 4000)]
    np.testing.assert_array_equal(np.concatenate(pieces), values[0])
    assert file.bytes == values.nbytes
    assert file.calls <= 10


def test_few_classes_stay_as_they_lie_in_the_file():
    shape = (3, 20, 50)
    values = np.arange(np.prod(shape), dtype=np.float32).reshape(shape)
    rows = rows_of(Counted(values.tobytes()), shape, 10, 120, RunNeeds()).read().logits
    np.testing.assert_array_equal(rows, np.moveaxis(values, 1, -1).reshape(-1, 20)[10:120])
    assert rows.strides[0] == 4
