"""Columns of every type that Arrow has for numbers and rows of numbers: read the same from Parquet and Arrow."""

from decimal import Decimal

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from xent_cli.readers.options import ReadOptions
from xent_cli.readers.pair.pair import open_pair

LOGITS = np.array([[0.5, 1.25, -2.0], [3.0, 4.5, 5.0], [6.0, -7.25, 8.0], [0.5, 1.25, -2.0]])
LABELS = [0, 1, 2, 0]
DECIMALS = [[Decimal(str(value)) for value in row] for row in LOGITS.tolist()]
# Rows in a different order than their values, and two rows that share their values.
VIEW = [3, 0, 6, 3], [3, 3, 3, 3], np.concatenate([LOGITS[1], LOGITS[0], LOGITS[2]])


def wide(numbers):
    return {f"logit_{i}": pa.array([row[i] for row in DECIMALS], numbers) for i in range(3)}


COLUMNS = {
    "wide decimals": wide(pa.decimal128(10, 3)),
    "wide decimals of 256 bits": wide(pa.decimal256(40, 3)),
    "decimals beside floats": wide(pa.decimal128(10, 3)) | {"logit_1": LOGITS[:, 1]},
    "lists of decimals": {"logits": pa.array(DECIMALS, pa.list_(pa.decimal128(10, 3)))},
    "fixed lists of decimals": {"logits": pa.array(DECIMALS, pa.list_(pa.decimal128(10, 3), 3))},
    "large lists": {"logits": pa.array(LOGITS.tolist(), pa.large_list(pa.float32()))},
    "tensors": {"logits": pa.FixedShapeTensorArray.from_numpy_ndarray(LOGITS)},
    "list views": {
        "logits": pa.ListViewArray.from_arrays(
            pa.array(VIEW[0], pa.int32()), pa.array(VIEW[1], pa.int32()), pa.array(VIEW[2])
        )
    },
    "large list views": {
        "logits": pa.LargeListViewArray.from_arrays(
            pa.array(VIEW[0], pa.int64()), pa.array(VIEW[1], pa.int64()), pa.array(VIEW[2])
        )
    },
}


@pytest.mark.parametrize("suffix", ["parquet", "arrow", "arrows"])
@pytest.mark.parametrize("kind", COLUMNS)
def test_every_type_of_column_gives_its_numbers(kind, suffix, tmp_path):
    table = pa.table({**COLUMNS[kind], "label": LABELS})
    path = tmp_path / f"t.{suffix}"
    if suffix == "parquet":
        try:
            pq.write_table(table, path)
        except pa.ArrowNotImplementedError:
            pytest.skip("this version of Arrow writes no such column into Parquet")
    else:
        new = pa.ipc.new_file if suffix == "arrow" else pa.ipc.new_stream
        with new(str(path), table.schema) as writer:
            writer.write_table(table, 3)
    blocks = [task.load() for task in open_pair(str(path), None, None, ReadOptions()).tasks()]
    np.testing.assert_array_equal(np.concatenate([block.logits for block in blocks]), LOGITS)
    assert np.concatenate([block.labels for block in blocks]).tolist() == LABELS
