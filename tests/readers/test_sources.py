"""Every kind of source passes `SourceTests`."""

import gzip
import json

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from safetensors.numpy import save_file

from tests.readers.source_tests import FifoTests, K, N, SourceTests
from xent_cli.readers.binary_scores import BinaryScores
from xent_cli.readers.options import Known, ReadOptions

NAMES = [f"logit_{i}" for i in range(K)]


def table(values):
    """Return a table of logits, one column per class, and labels."""
    return pa.table({**dict(zip(NAMES, values.T, strict=True)), "label": np.arange(len(values)) % K})


class TestNpy(SourceTests):
    format = "npy"
    dtype = np.float32
    random_access = True

    def write(self, folder, values):
        np.save(folder / "a.npy", values)
        return str(folder / "a.npy")


class TestNpyInFortranOrder(TestNpy):
    dtype = ">f8"

    def write(self, folder, values):
        return super().write(folder, np.asfortranarray(values))


class TestNpyPipe(FifoTests, TestNpy):
    pass


class TestNpyCompressed(TestNpy):
    random_access = False

    def write(self, folder, values):
        np.save(folder / "a.npy", values)
        (folder / "z.npy.gz").write_bytes(gzip.compress((folder / "a.npy").read_bytes(), 1))
        return str(folder / "z.npy.gz")


class TestNpyShards(TestNpy):
    def write(self, folder, values):
        (folder / "shards").mkdir()
        for number, part in enumerate(np.array_split(values, [1, len(values) // 3])):
            np.save(folder / "shards" / f"part-{number}.npy", part)
        return str(folder / "shards")


class TestNpz(TestNpy):
    format = "npz"

    def write(self, folder, values):
        np.savez(folder / "a.npz", logits=values, other=np.zeros(3))
        return str(folder / "a.npz")


class TestNpzDeflated(TestNpz):
    random_access = False

    def write(self, folder, values):
        np.savez_compressed(folder / "a.npz", logits=values)
        return str(folder / "a.npz")


class TestSafetensors(TestNpy):
    format = "safetensors"

    def write(self, folder, values):
        save_file({"logits": values, "other": np.zeros(3)}, folder / "a.safetensors")
        return str(folder / "a.safetensors")


class TestSafetensorsPipe(FifoTests, TestSafetensors):
    rereadable = True  # the header must be read first: a pipe is copied to disk
    random_access = True


class TestLabels(TestNpy):
    role = "labels"
    dtype = np.int32

    def write(self, folder, values):
        np.save(folder / "y.npy", values)
        return str(folder / "y.npy")


class TestNamedLabels(TestLabels):
    dtype = np.int64
    options = ReadOptions(class_names=("cat", "dog", "emu", "fox", "gnu"))

    def write(self, folder, values):
        return super().write(folder, np.array(self.options.class_names)[values])


class TestNumberedLabels(TestLabels):
    dtype = np.int64
    options = ReadOptions(known=Known(label_numbers=(3, 5, 7, 11, 13)))

    def write(self, folder, values):
        return super().write(folder, np.array([3, 5, 7, 11, 13], np.int16)[values])


class TestCsv(SourceTests):
    format = "csv"
    knows_num_rows = False
    whole = False
    large = 8 << 20  # some 20 MB of text

    def write(self, folder, values, name="t.csv"):
        lines = [",".join([*NAMES, "label"]), *(f"{','.join(map(repr, row))},1" for row in values.tolist())]
        (folder / name).write_text("\n".join(lines) + "\n")
        return str(folder / name)


class TestCsvPipe(FifoTests, TestCsv):
    pass


class TestCsvLabels(TestCsv):
    role = "labels"
    dtype = np.int64

    def write(self, folder, values):
        (folder / "y.csv").write_text("label\n" + "".join(f"{label}\n" for label in values))
        return str(folder / "y.csv")


class TestCsvShards(TestCsv):
    def write(self, folder, values):
        (folder / "shards").mkdir()
        for number, part in enumerate(np.array_split(values, [1, len(values) // 3])):
            super().write(folder / "shards", part, f"part-{number}.csv")
        return str(folder / "shards")


class TestJsonl(TestCsv):
    format = "jsonl"

    def write(self, folder, values):
        lines = (json.dumps({"logits": row, "label": 1}) + "\n" for row in values.tolist())
        (folder / "t.jsonl").write_text("".join(lines))
        return str(folder / "t.jsonl")


class TestJsonlPipe(FifoTests, TestJsonl):
    pass


class TestParquet(SourceTests):
    format = "parquet"
    dtype = np.float32

    def write(self, folder, values):
        pq.write_table(table(values), folder / "t.parquet", row_group_size=1 + len(values) // 100)
        return str(folder / "t.parquet")


class TestParquetOfLists(TestParquet):
    def write(self, folder, values):
        lists = pa.FixedSizeListArray.from_arrays(pa.array(values.ravel()), K)
        pq.write_table(pa.table({"logits": lists, "label": np.zeros(len(values), int)}), folder / "t.parquet", 50_000)
        return str(folder / "t.parquet")


class TestParquetOfOneGroup(TestParquet):
    # Of 44 MB in total: a column of values, and the labels. Before version 25, Arrow keeps every column it has read.
    memory = (22 if int(pa.__version__.split(".")[0]) >= 25 else 44) << 20

    def write(self, folder, values):
        pq.write_table(table(values), folder / "t.parquet")
        return str(folder / "t.parquet")


class TestParquetPipe(FifoTests, TestParquet):
    rereadable = True  # the footer comes last: a pipe is copied to disk


class TestArrowFile(SourceTests):
    format = "arrow"
    dtype = np.float32
    make = staticmethod(pa.ipc.new_file)

    def write(self, folder, values):
        rows = table(values)
        with pa.OSFile(str(folder / "t.arrow"), "wb") as sink, self.make(sink, rows.schema) as writer:
            writer.write_table(rows, max_chunksize=1 + len(values) // 100)
        return str(folder / "t.arrow")


class TestArrowStream(TestArrowFile):
    make = staticmethod(pa.ipc.new_stream)
    knows_num_rows = False


class TestArrowStreamPipe(FifoTests, TestArrowStream):
    pass


class TestBinaryScores(TestNpy):
    """Scores z, read as the logits [0, z]."""

    def write(self, folder, values):
        return super().write(folder, values[:, 1:])

    def values(self, n=N):
        found = super().values(n)
        return np.stack([np.zeros(len(found), self.dtype), found[:, 1]], axis=1)

    def open(self, path, **needs):
        return BinaryScores(super().open(path, **needs), probabilities=False)
