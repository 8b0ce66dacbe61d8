"""The highest of each row as sources: arrays, tables and Megatron's caches, with every class listed."""

import json

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from tests.megatron_writer import cache
from tests.readers.source_tests import RNG, K, SourceTests
from xent_cli.readers.interface import Classes
from xent_cli.readers.language_models.top_k import open_top_k
from xent_cli.readers.open import open_source
from xent_cli.readers.options import ReadOptions, RunNeeds
from xent_cli.readers.storage.locate import locate


class HighestTests(SourceTests):
    """Rows list all classes, so that values can be compared; they are read as float64, whatever the stored dtype."""

    role = "labels"
    options = ReadOptions(labels_source="log-probs")
    large = 4 << 20

    def values(self, n=97):
        values = RNG.normal(0, 3, (n, K))
        return values - np.log(np.exp(values).sum(axis=1, keepdims=True))

    def entries(self, values):
        order = np.argsort(-values, axis=1)
        return order, np.take_along_axis(values, order, axis=1)

    def open(self, path, **needs):
        options = self.options._replace(run=RunNeeds(**needs))
        return open_source(path, "labels", options, Classes(num_classes=K))


class ArrayTests(HighestTests):
    format = "npz"

    def open(self, path, **needs):
        options = self.options._replace(run=RunNeeds(**needs))
        return open_top_k(locate(path), None, options)._replace(num_classes=K)


class TestStored(ArrayTests):
    random_access = True

    def write(self, folder, values):
        index, values = self.entries(values)
        np.savez(folder / "t.npz", indices=index, values=values)
        return str(folder / "t.npz")


class TestCompressed(ArrayTests):
    def write(self, folder, values):
        index, values = self.entries(values)
        np.savez_compressed(folder / "t.npz", indices=index, values=values)
        return str(folder / "t.npz")


class TestParquetLists(HighestTests):
    format = "parquet"

    def write(self, folder, values):
        index, values = self.entries(values)
        table = pa.table({"top_ids": list(index), "top_logprobs": list(values)})
        pq.write_table(table, folder / "t.parquet", row_group_size=1000)
        return str(folder / "t.parquet")


class TestRanks(HighestTests):
    format = "parquet"

    def write(self, folder, values):
        index, values = self.entries(values)
        columns = {f"top{r}_{what}": x[:, r] for r in range(K) for what, x in (("id", index), ("logprob", values))}
        pq.write_table(pa.table(columns), folder / "t.parquet", row_group_size=1000)
        return str(folder / "t.parquet")


class TestJsonLines(HighestTests):
    format = "jsonl"
    knows_num_rows = False
    whole = False
    large = 1 << 20

    def write(self, folder, values):
        index, values = self.entries(values)
        rows = ({"top_ids": i, "top_logprobs": v} for i, v in zip(index.tolist(), values.tolist(), strict=True))
        (folder / "t.jsonl").write_text("".join(f"{json.dumps(row)}\n" for row in rows))
        return str(folder / "t.jsonl")


class TestMegatron(HighestTests):
    format = "megatron"
    random_access = True
    # An iteration is decompressed whole.
    large = 1 << 20

    def values(self, n=97):
        return super().values(n).astype(np.float32).astype(np.float64)

    def write(self, folder, values):
        index, values = self.entries(values)
        cuts = zip(np.array_split(index, 8), np.array_split(values, 8), strict=True)
        cache(folder / "t.tar", {i: [(one[:, None], other[:, None])] for i, (one, other) in enumerate(cuts)}, "float32")
        return str(folder / "t.tar")

    def write_cut(self, folder, values):
        """Cut more than in other formats, because of the padding at the end of a tar archive."""
        path = self.write(folder, values)
        content = (folder / "t.tar").read_bytes().rstrip(b"\0")
        (folder / "t.tar").write_bytes(content[:-9])
        return path
