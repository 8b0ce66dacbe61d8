"""Tests that every reader must pass, whatever its format: a class to subclass."""

import os
import pickle
import threading
import tracemalloc
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest

from xent_cli.errors import InputError
from xent_cli.readers.interface import Classes
from xent_cli.readers.open import open_source
from xent_cli.readers.options import ReadOptions, RunNeeds

RNG = np.random.default_rng(29)
N, K = 97, 5
BYTES = ("task_bytes", "chunk_bytes", "group_bytes", "batch_bytes", "list_group_bytes", "step_bytes")
_CUT = 9  # bytes


class SourceTests:
    """Tests of one kind of source: subclass it as ``class TestNpy(SourceTests)`` and say how the kind is written.

    ``write(folder, values)`` is all that a subclass must define: it writes values [n, k] of logits, or [n] of labels
    where ``role`` is "labels", into a folder, and returns the path that a user would type. Tables that hold logits may
    hold a label column beside them. The attributes say what the kind can do; the tests hold the source to exactly that:

    ``format``
        Name of the format in documents.
    ``role``
        "logits" or "labels".
    ``dtype``
        Dtype in which values are written and read back.
    ``options``
        `ReadOptions` that the kind needs, if any.
    ``knows_num_rows``
        Whether the number of samples is known before they are read.
    ``random_access``
        Whether any range of rows can be read.
    ``rereadable``
        Whether the input can be read more than once.
    ``whole``
        Whether a missing end is always noticed. In text it is not, because any line may be the last.
    ``large``
        Bytes of values in the input that memory is measured with; several times ``memory``.
    ``memory``
        Most bytes of that input in memory at once, under limits of 64 KiB.
    """

    format = ""
    role = "logits"
    dtype = np.float64
    options = ReadOptions()
    knows_num_rows = True
    random_access = False
    rereadable = True
    whole = True
    large = 32 << 20
    memory = 6 << 20

    def write(self, folder, values):
        """Write the values and return what the user would type."""
        raise NotImplementedError

    def open(self, path, **needs):
        """Open what was written, with the needs of a run."""
        options = self.options._replace(run=RunNeeds(**needs))
        return open_source(path, self.role, options, Classes(-1) if self.role == "logits" else Classes(num_classes=K))

    def values(self, n=N):
        """Return values to write: awkward ones among logits, every class among labels."""
        if self.role == "labels":
            return RNG.integers(0, K, n).astype(self.dtype)
        values = RNG.normal(0, 30, (n, K))
        values[1, :4] = [0.0, -0.0, 1e-30, -1e30]
        return values.astype(self.dtype)

    @pytest.fixture
    def values_and_path(self, tmp_path):
        values = self.values()
        return values, self.write(tmp_path, values)

    def read(self, part):
        return np.array(getattr(part.read(), self.role))

    def read_all(self, source, first=0):
        """Read all values, and check that parts follow one another without a gap."""
        found, stop = [], first
        for start, size, part in source.parts(first):
            values = self.read(part)
            assert (start, size) == (stop, len(values))
            stop += size
            found.append(values)
        return np.concatenate(found)

    def same(self, found, values):
        """Compare bit by bit, so that -0.0 is not 0.0. Labels may be read as [n, 1]."""
        assert found.dtype.newbyteorder("=") == np.dtype(self.dtype).newbyteorder("=")
        assert found.size == values.size
        assert found.reshape(values.shape).astype(self.dtype).tobytes() == values.tobytes()

    def test_values_come_back_bit_by_bit(self, values_and_path):
        values, path = values_and_path
        self.same(self.read_all(self.open(path)), values)

    @pytest.mark.parametrize("size", [1, 100, 1000, 1 << 20])
    def test_any_limit_of_memory_gives_the_same_bits(self, size, values_and_path):
        values, path = values_and_path
        self.same(self.read_all(self.open(path, **dict.fromkeys(BYTES, size))), values)

    def test_samples_are_numbered_from_wherever_they_begin(self, values_and_path):
        values, path = values_and_path
        self.same(self.read_all(self.open(path, **dict.fromkeys(BYTES, 500)), first=1000), values)

    def test_recipes_of_whole_groups_can_be_sent_to_another_process(self, values_and_path):
        values, path = values_and_path
        source = self.open(path, whole_groups=True, task_bytes=400, chunk_bytes=400)
        parts = [pickle.loads(pickle.dumps(part)) for _, _, part in source.parts()]
        self.same(np.concatenate([self.read(part) for part in parts]), values)

    def test_threads_may_read_parts_in_any_order(self, values_and_path):
        values, path = values_and_path
        parts = [part for _, _, part in self.open(path, task_bytes=400, chunk_bytes=400, group_bytes=400).parts()]
        with ThreadPoolExecutor(4) as pool:
            found = list(pool.map(self.read, parts[::-1]))
        self.same(np.concatenate(found[::-1]), values)

    def test_any_range_of_rows_is_that_of_the_whole_unless_only_order_is_possible(self, values_and_path):
        values, path = values_and_path
        source = self.open(path)
        assert (source.rows(0, 1) is not None) == self.random_access
        for start, stop in [(0, 1), (0, N), (3, 50), (N - 1, N), (31, 33)] if self.random_access else ():
            self.same(self.read(source.rows(start, stop)), values[start:stop])

    def test_the_facts_are_those_of_the_values(self, values_and_path):
        values, path = values_and_path
        info = self.open(path).info
        n = N if self.knows_num_rows else None
        assert (info.path.startswith(path), info.format) == (True, self.format)
        assert info.dtype == np.dtype(self.dtype)
        assert info.row_shape == values.shape[1:]
        assert info.num_rows == n
        assert info.sample_shape in ((n,), (n, 1)) if n else info.sample_shape is None
        assert info.shape in ((n, *values.shape[1:]), (n, 1))
        assert self.role in info.fields
        assert info.rereadable == self.rereadable

    def test_what_is_rereadable_reads_the_same_again(self, values_and_path):
        values, path = values_and_path
        source = self.open(path)
        for _ in range(1 + self.rereadable):
            self.same(self.read_all(source), values)

    def test_a_sample_is_found_in_its_file(self, values_and_path):
        _, path = values_and_path
        source = self.open(path)
        for _, _, part in source.parts():
            part.read()
        where = source.where(7, self.role)
        assert "sample 7" in where
        assert where.startswith(path)

    def test_an_end_that_is_missing_is_refused_with_the_name_of_the_file(self, tmp_path):
        if self.whole:
            path = self.write_cut(tmp_path, self.values())
            with pytest.raises(InputError) as caught:
                self.read_all(self.open(path))
            assert path in str(caught.value)

    def write_cut(self, folder, values):
        """Write the values, and cut off the last bytes of the last file."""
        path = self.write(folder, values)
        file = max((file for file in folder.rglob("*") if file.is_file()), key=str)
        file.write_bytes(file.read_bytes()[:-_CUT])
        return path

    def test_memory_does_not_grow_with_the_input(self, tmp_path):
        row_bytes = np.dtype(self.dtype).itemsize * (K if self.role == "logits" else 1)
        values = self.values(self.large // row_bytes)
        # The measurement includes other memory of the process, such as that of servers of earlier tests and of tables
        # that Python enlarges once. The memory of the source itself is needed each time.
        for attempt in "123":
            (tmp_path / attempt).mkdir()
            source = self.open(self.write(tmp_path / attempt, values), **dict.fromkeys(BYTES, 1 << 16))
            if (peak := peak_bytes(source)) < self.memory:
                return
        pytest.fail(f"{peak} bytes were held, where {self.memory} are allowed")


def peak_bytes(source):
    """Return the peak memory of Python, or of Arrow, which counts its own, while a source is read."""
    held, before = 0, pa.total_allocated_bytes()
    tracemalloc.start()
    try:
        for _, _, part in source.parts():
            rows = part.read()
            held = max(held, pa.total_allocated_bytes() - before)
            del rows, part
        return max(held, tracemalloc.get_traced_memory()[1])
    finally:
        tracemalloc.stop()


class FifoTests(SourceTests):
    """The same tests through a pipe: a mixin before a kind, as in ``class TestNpyPipe(FifoTests, TestNpy)``."""

    rereadable = False
    random_access = False

    def write(self, folder, values):
        """Write a file, feed it to a FIFO, and return the path of that."""
        return self._fed(folder, values, None)

    def write_cut(self, folder, values):
        """Do the same without the last bytes."""
        return self._fed(folder, values, -_CUT)

    def _fed(self, folder, values, stop):
        (folder / "inner").mkdir()
        content = Path(super().write(folder / "inner", values)).read_bytes()[:stop]
        fifo = folder / "fifo"
        os.mkfifo(fifo)

        def feed():
            # an input that is refused is not read to the end
            with fifo.open("wb", buffering=0) as sink, suppress(BrokenPipeError):
                sink.write(content)

        threading.Thread(target=feed, daemon=True).start()
        return str(fifo)
