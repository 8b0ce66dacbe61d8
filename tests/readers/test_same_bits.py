"""The same numbers in every format and layout, written by the usual libraries and read by the real command."""

import json
from pathlib import Path

import duckdb
import numpy as np
import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from safetensors.numpy import save_file

from tests import forked
from tests.torch_writer import archive, pickled, tensor
from tests.torch_writer import save as save_torch

RANDOM = np.random.default_rng(37)
LOGITS = RANDOM.normal(0, 6, (1000, 37))
LABELS = RANDOM.integers(0, 37, 1000)
WIDE = pa.table({**{f"c{i}": LOGITS[:, i] for i in range(37)}, "label": LABELS})
LIST = pa.table({"logits": list(LOGITS), "label": LABELS})
ARRAY = pl.DataFrame({"logits": LOGITS, "label": LABELS})


def ipc(kind, table, path):
    with pa.OSFile(path, "wb") as file, kind(file, table.schema) as writer:
        writer.write_table(table, max_chunksize=300)


def duck(path, query, how):
    with duckdb.connect() as connection:
        connection.register("wide", WIDE)
        connection.register("list", LIST)
        connection.execute(f"COPY (SELECT * FROM {query}) TO '{path}' ({how})")


def list_records():
    made = np.zeros(1000, [("logits", ">f8", (37,)), ("label", "<i2")])
    made["logits"], made["label"] = LOGITS, LABELS
    return made


def numbered():
    return {f"logits.{i}": LOGITS[part] for i, part in enumerate(BATCHES)} | {"labels": LABELS}


def json_lines(path):
    lines = [json.dumps({"logits": x.tolist(), "label": int(y)}) for x, y in zip(LOGITS, LABELS, strict=True)]
    Path(path).write_text("\n".join(lines))


BATCHES = [slice(0, 300), slice(300, 301), slice(301, 1000)]


def torch_views(path):
    """Save views: logits with classes far apart among other numbers, and every other element of an array as labels."""
    stored = np.full((1000, 2, 50), np.nan)
    stored[:, 1, 7:44] = LOGITS
    stored = np.ascontiguousarray(stored.T)
    views = {
        "logits": tensor("0", "float64", stored.size, (1000, 37), (1, 2000), 7 * 2000 + 1000),
        "labels": tensor("1", "int64", 2000, (1000,), (2,)),
    }
    archive(path, pickled(views), {"0": stored.tobytes(), "1": np.repeat(LABELS, 2).tobytes()})


# JSON of pandas is not included, because it rounds to 15 digits.
WRITERS = {
    "numpy npz": lambda p: np.savez(f"{p}.npz", logits=LOGITS, labels=LABELS),
    "numpy deflated npz": lambda p: np.savez_compressed(f"{p}.npz", logits=LOGITS, labels=LABELS),
    "numpy records": lambda p: np.save(f"{p}.npy", WIDE.to_pandas().to_records(index=False)),
    "numpy records of lists": lambda p: np.save(f"{p}.npy", list_records()),
    "numpy numbered npz": lambda p: np.savez(f"{p}.npz", **numbered()),
    "numbered safetensors": lambda p: save_file(numbered(), f"{p}.safetensors"),
    "safetensors": lambda p: save_file({"logits": LOGITS, "labels": LABELS}, f"{p}.safetensors"),
    "torch tensors": lambda p: save_torch(f"{p}.pt", {"logits": LOGITS, "labels": LABELS}),
    "torch batches": lambda p: save_torch(f"{p}.pt", [{"logits": LOGITS[i], "labels": LABELS[i]} for i in BATCHES]),
    "torch views": lambda p: torch_views(f"{p}.pt"),
    "pandas csv": lambda p: WIDE.to_pandas().to_csv(f"{p}.csv", index=False),
    "pandas tsv.gz": lambda p: WIDE.to_pandas().to_csv(f"{p}.tsv.gz", index=False, sep="\t"),
    "pandas parquet": lambda p: WIDE.to_pandas().to_parquet(f"{p}.parquet"),
    "pandas feather": lambda p: WIDE.to_pandas().to_feather(f"{p}.feather"),
    "pandas zstd feather": lambda p: WIDE.to_pandas().to_feather(f"{p}.feather", compression="zstd"),
    "json lines": lambda p: json_lines(f"{p}.jsonl"),
    "pyarrow wide parquet": lambda p: pq.write_table(WIDE, f"{p}.parquet", row_group_size=300),
    "pyarrow list parquet": lambda p: pq.write_table(LIST, f"{p}.parquet", row_group_size=300),
    "pyarrow wide file": lambda p: ipc(pa.ipc.new_file, WIDE, f"{p}.arrow"),
    "pyarrow list file": lambda p: ipc(pa.ipc.new_file, LIST, f"{p}.arrow"),
    "pyarrow wide stream": lambda p: ipc(pa.ipc.new_stream, WIDE, f"{p}.arrows"),
    "pyarrow list stream": lambda p: ipc(pa.ipc.new_stream, LIST, f"{p}.arrows"),
    "polars csv": lambda p: pl.from_arrow(WIDE).write_csv(f"{p}.csv"),
    "polars wide parquet": lambda p: pl.from_arrow(WIDE).write_parquet(f"{p}.parquet"),
    "polars array parquet": lambda p: ARRAY.write_parquet(f"{p}.parquet"),
    "polars array ipc": lambda p: ARRAY.write_ipc(f"{p}.arrow", compression="lz4"),
    "polars list stream": lambda p: pl.from_arrow(LIST).write_ipc_stream(f"{p}.arrows"),
    "polars json lines": lambda p: pl.from_arrow(LIST).write_ndjson(f"{p}.jsonl"),
    "duckdb wide parquet": lambda p: duck(f"{p}.parquet", "wide", "FORMAT parquet"),
    "duckdb list parquet": lambda p: duck(f"{p}.parquet", "list", "FORMAT parquet"),
    "duckdb csv": lambda p: duck(f"{p}.csv", "wide", "FORMAT csv, HEADER"),
    "duckdb json lines": lambda p: duck(f"{p}.jsonl", "list", "FORMAT json"),
}


def rows_and_mean(*files):
    runs = [forked.xent("compute", *files, "--reduction", reduction) for reduction in ("none", "mean")]
    assert [run.returncode for run in runs] == [0, 0], runs
    return [run.stdout for run in runs]


@pytest.fixture(scope="module")
def expected(tmp_path_factory):
    folder = tmp_path_factory.mktemp("npy")
    np.save(folder / "x.npy", LOGITS)
    np.save(folder / "y.npy", LABELS)
    return rows_and_mean(folder / "x.npy", folder / "y.npy")


@pytest.mark.parametrize("name", WRITERS)
def test_the_same_numbers_give_the_same_bits(name, expected, tmp_path):
    WRITERS[name](tmp_path / "t")
    (path,) = tmp_path.iterdir()
    assert rows_and_mean(path) == expected
