"""Files of torch.save as sources: contiguous, strided and in pieces, labels, pipes and shards."""

import numpy as np

from tests.readers.source_tests import FifoTests, SourceTests
from tests.torch_writer import archive, pickled, save, tensor
from xent_cli.readers.options import ReadOptions


class TestTensor(SourceTests):
    format = "torch"
    random_access = True

    def write(self, folder, values):
        save(folder / "t.pt", values)
        return str(folder / "t.pt")


class TestTensorPipe(FifoTests, TestTensor):
    rereadable = True  # a pipe is copied to a file
    random_access = True


class TestNamedTensor(SourceTests):
    format = "torch"
    random_access = True
    dtype = np.float32

    def write(self, folder, values):
        save(folder / "t.pt", {"epoch": 3, "test": {"logits": values, "labels": np.zeros(len(values), "i8")}})
        return str(folder / "t.pt")


class TestLabels(SourceTests):
    format = "torch"
    role = "labels"
    random_access = True
    dtype = np.int64

    def write(self, folder, values):
        save(folder / "t.pt", {"logits": np.zeros((len(values), 2)), "labels": values})
        return str(folder / "t.pt")


class TestBatches(SourceTests):
    """A list of dicts, one for each batch."""

    format = "torch"
    random_access = True

    def write(self, folder, values):
        save(folder / "t.pt", [{"logits": batch, "loss": 0.5} for batch in np.array_split(values, 7)])
        return str(folder / "t.pt")


class TestWindow(SourceTests):
    """Some columns of every second row, between other numbers."""

    format = "torch"
    random_access = True

    def write(self, folder, values):
        n, k = values.shape
        stored = np.full((n, 2, k + 3), np.nan)
        stored[:, 1, 2:-1] = values
        view = tensor("0", "float64", stored.size, (n, k), (2 * (k + 3), 1), k + 3 + 2)
        archive(folder / "t.pt", pickled({"logits": view}), {"0": stored.tobytes()})
        return str(folder / "t.pt")


class TestPermuted(SourceTests):
    """Classes before the samples, and not adjacent."""

    format = "torch"
    random_access = True

    def write(self, folder, values):
        n, k = values.shape
        stored = np.full((k, n, 2), np.nan)
        stored[:, :, 0] = values.T
        archive(
            folder / "t.pt", pickled(tensor("0", "float64", stored.size, (n, k), (2, 2 * n))), {"0": stored.tobytes()}
        )
        return str(folder / "t.pt")


class TestFolder(SourceTests):
    format = "torch"
    random_access = True
    options = ReadOptions(logits_column=("logits",))

    def write(self, folder, values):
        for number, shard in enumerate(np.array_split(values, 12)):
            save(folder / f"batch-{number}.pt", {"logits": shard, "labels": np.zeros(len(shard), "i8")})
        return str(folder)
