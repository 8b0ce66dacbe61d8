"""The error for a bad row gives its place, and the number of others in the whole input."""

import json
import pickle
import subprocess
import sys

import numpy as np
import pyarrow as pa
import pyarrow.csv as pa_csv
import pyarrow.parquet as pq
import pytest

from xent_cli.errors import InputError, RowError, UnreadableRowError
from xent_cli.readers.options import ReadOptions, RunNeeds
from xent_cli.readers.pair import bad_rows as faults
from xent_cli.readers.pair.pair import open_pair

ROWS = 4000
BAD = {10: "c2", 11: "c0", 1999: "c1", 2000: "label", 3999: "c2"}
NAMES = ["c0", "c1", "c2", "label"]


def cells(row):
    return [None if BAD.get(row) == name else row % 3 if name == "label" else row + 0.5 for name in NAMES]


def write_csv(path):
    lines = (",".join("" if cell is None else str(cell) for cell in cells(row)) for row in range(ROWS))
    path.write_text(",".join(NAMES) + "\n" + "\n".join(lines) + "\n")


def write_jsonl(path):
    path.write_text("\n".join(json.dumps(dict(zip(NAMES, cells(row), strict=True))) for row in range(ROWS)))


def table():
    rows = [cells(row) for row in range(ROWS)]
    return pa.table({name: pa.array([row[i] for row in rows]) for i, name in enumerate(NAMES)})


def write_parquet(path):
    pq.write_table(table().drop_columns("label").append_column("label", pa.array([0] * ROWS)), path, row_group_size=700)


def write_arrow(path):
    with pa.OSFile(str(path), "wb") as sink, pa.ipc.new_file(sink, table().schema) as writer:
        writer.write_table(table(), 700)


def write_lists(path):
    lists = [None if row in BAD else [0.5, None if row == 700 else 1.5] for row in range(ROWS)]
    pq.write_table(pa.table({"logits": lists, "label": [1] * ROWS}), path, row_group_size=1500)


def told(path):
    pair = open_pair(str(path), None, None, ReadOptions(run=RunNeeds(chunk_bytes=4096)))
    with pytest.raises(RowError) as caught:
        [task.load() for task in pair.tasks()]
    return pair.complete(caught.value)


@pytest.mark.parametrize(
    ("write", "place", "others"),
    [
        (write_csv, 'line 12 (sample 10), column "c2"', 4),
        (write_jsonl, 'line 11 (sample 10), key "c2"', 4),
        (write_parquet, 'row 10 (sample 10), column "c2"', 3),  # its labels are whole numbers
        (write_arrow, 'row 10 (sample 10), column "c2"', 4),
        (write_lists, 'row 10 (sample 10), column "logits"', 5),
    ],
)
def test_the_first_bad_row_is_found_and_the_others_are_counted_to_the_end(write, place, others, tmp_path):
    path = tmp_path / "t.bin"
    write(path)
    error = told(path)
    assert error.where == f"{path} {place}"
    assert error.more == f"{others} more rows like this"


def test_looking_for_others_ends_in_time_and_says_so(tmp_path, monkeypatch):
    monkeypatch.setattr(faults, "_PATIENCE_SECONDS", -1.0)
    write_csv(tmp_path / "t.csv")
    assert told(tmp_path / "t.csv").more == "at least 1 more row like this"


def test_only_rows_already_read_from_a_pipe_are_counted(tmp_path, monkeypatch):
    write_csv(tmp_path / "t.csv")
    with subprocess.Popen(["cat", tmp_path / "t.csv"], stdout=subprocess.PIPE) as cat:
        monkeypatch.setattr(sys, "stdin", cat.stdout)
        error = told("-")
    assert error.where == 'standard input line 12 (sample 10), column "c2"'
    assert error.more == "1 more row like this nearby"


@pytest.mark.parametrize("alone", [True, False])
def test_labels_of_no_class_are_counted_to_the_end(alone, tmp_path):
    labels = np.zeros(ROWS, np.int64)
    labels[[5, 900, 3000]] = 7
    columns = {"c0": np.zeros(ROWS), "c1": np.ones(ROWS), "label": labels}
    pq.write_table(pa.table(columns), tmp_path / "both.parquet", row_group_size=500)
    pq.write_table(pa.table({"label": labels}), tmp_path / "y.parquet", row_group_size=500)
    np.save(tmp_path / "l.npy", np.zeros((ROWS, 2)))
    paths = (tmp_path / "l.npy", tmp_path / "y.parquet") if alone else (tmp_path / "both.parquet", None)
    pair = open_pair(str(paths[0]), paths[1] and str(paths[1]), None, ReadOptions())
    error = pair.complete(RowError("label out of range", 5, "labels", "7", "0..1"))
    assert error.more == "2 more rows like this (first: 900, 3000)"


@pytest.mark.parametrize("text", ["bird", "1_0", "--1"])
def test_labels_that_are_not_numbers_are_counted(text, tmp_path):
    np.save(tmp_path / "l.npy", np.zeros((3, 2)))
    pa_csv.write_csv(pa.table({"label": ["1", text, text]}), tmp_path / "y.csv")
    pair = open_pair(str(tmp_path / "l.npy"), str(tmp_path / "y.csv"), None, ReadOptions())
    with pytest.raises(InputError) as caught:
        next(iter(pair.tasks())).load()
    error = pair.complete(caught.value)
    assert (error.what, error.found, error.more) == ("label is not a number", f'"{text}"', "1 more row like this")


def test_names_of_no_class_are_counted(tmp_path):
    (tmp_path / "t.csv").write_text("cat,dog,label\n1,2,cat\n1,2,dgo\n3,4,bird\n5,6,dog\n")
    error = told(tmp_path / "t.csv")
    assert (error.found, error.more) == ('"dgo"', "1 more row like this")


def test_the_error_survives_the_way_back_from_a_worker():
    error = UnreadableRowError("empty cell", 3, "logits", "nothing", place="t.csv line 4", column="a").with_others(2)
    again = pickle.loads(pickle.dumps(error.for_role("labels")))
    assert (str(again), again.role, again.others) == (str(error), "labels", 2)
    assert str(error) == "empty cell\n  t.csv line 4: found nothing\n  2 more rows like this nearby"
