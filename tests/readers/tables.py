"""Tables to read, in every format, and everything that a reader makes of them."""

import json

import numpy as np
import pyarrow as pa
import pyarrow.csv as pa_csv
import pyarrow.parquet as pq

from xent_cli.readers.options import ReadOptions
from xent_cli.readers.pair.pair import open_pair


def write(path, columns, rows_at_once=None):
    """Write a table in the format of the suffix, in row groups or batches of so many rows; return its path as text."""
    table = pa.table(columns)
    if path.suffix == ".parquet":
        pq.write_table(table, path, row_group_size=rows_at_once)
    elif path.suffix == ".arrow":
        with pa.OSFile(str(path), "wb") as file, pa.ipc.new_file(file, table.schema) as writer:
            writer.write_table(table, rows_at_once)
    elif path.suffix == ".csv":
        pa_csv.write_csv(table, path)
    else:
        path.write_text("".join(json.dumps(row) + "\n" for row in table.to_pylist()))
    return str(path)


def read(path, labels=None, options=None):
    """Read all logits and labels; they are copied, because a block is only valid until the next one is loaded."""
    pair = open_pair(str(path), None if labels is None else str(labels), None, options or ReadOptions())
    blocks = [(np.array(block.logits), np.array(block.labels)) for block in (task.load() for task in pair.tasks())]
    logits, found = zip(*blocks, strict=True)
    return np.concatenate(logits), np.concatenate(found)
