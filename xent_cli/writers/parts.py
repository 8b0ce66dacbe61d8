"""Folders of numbered parts, written by the processes that compute them: rows as Parquet, gradients as .npy."""

from __future__ import annotations

from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, BinaryIO

import numpy as np

from xent_cli.errors import OutputError
from xent_cli.writers.npy import GradientWriter
from xent_cli.writers.place import file_system, is_elsewhere
from xent_cli.writers.publish import PATIENCE_SECONDS, publish

if TYPE_CHECKING:
    from collections.abc import Iterator

    from xent_cli.core.evaluate import BlockLoss
    from xent_cli.core.row_columns import RowFormat


@dataclass(frozen=True, slots=True)
class Parts:
    """A recipe for writing the part of a block, in any process.

    Fields
    ------
    folder
        Where parts are written: a folder beside the target, or the URL itself.
    run
        A random word in the names of this run's parts.
    columns
        Columns of the rows; None if the parts are gradients.
    dtype
        Dtype of the gradients, as `numpy.dtype.str` spells it.
    patience
        Seconds that a bucket may be silent.
    """

    folder: str
    run: str
    columns: RowFormat | None = None
    dtype: str = "<f4"
    patience: float = PATIENCE_SECONDS

    def name(self, start: int) -> str:
        """Return the name of the part that begins with sample `start`."""
        return f"part-{start:012d}-{self.run}.{'npy' if self.columns is None else 'parquet'}"

    def write(self, rows: BlockLoss) -> None:
        """Write the part of one block; a retry replaces it."""
        with _create(f"{self.folder}/{self.name(rows.start)}", self.patience) as stream:
            if self.columns is None:
                assert rows.gradient is not None
                GradientWriter(stream, rows.gradient.shape, 1, np.dtype(self.dtype)).write(rows)
                return
            from xent_cli.writers.arrow import ParquetWriter

            writer = ParquetWriter(stream, self.columns)
            writer.write(rows)
            writer.finish()


@contextmanager
def _create(path: str, patience: float) -> Iterator[BinaryIO]:
    if not is_elsewhere(path):
        # The folder itself is synced once all parts are in it.
        with publish(path, alone=False) as stream:
            yield stream
        return
    with errors_name_folder(path):
        filesystem, base = file_system(path, patience)
        with filesystem.open_output_stream(base) as remote:
            yield remote


@contextmanager
def errors_name_folder(path: str) -> Iterator[None]:
    """Turn errors of the system or of Arrow about a folder into an OutputError."""
    try:
        yield
    except (OSError, ValueError, NotImplementedError) as error:  # the last two for a scheme that Arrow does not know
        found = getattr(error, "strerror", None) or str(error).split("\n")[0]
        raise OutputError("cannot write folder", path, found=found) from None


def without_arrays(rows: BlockLoss) -> BlockLoss:
    """Return the block with only its totals, after its part was written."""
    names = ("loss", "ignored", "labels", "ids", "kl", "gradient", "groups", "weight", "left_out")
    arrays: dict[str, Any] = dict.fromkeys((*names, "class_weight", "predictions", "clusters", "ends", "units"))
    return rows._replace(**arrays)
