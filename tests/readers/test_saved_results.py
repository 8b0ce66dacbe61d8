import gzip
import json
import math
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from xent_cli.core.evaluate import BlockLoss
from xent_cli.core.row_columns import RowFormat
from xent_cli.core.run_totals import RunTotals
from xent_cli.core.totals.loss_totals import LossTotals
from xent_cli.errors import InputError
from xent_cli.readers.saved.saved_results import read_saved
from xent_cli.writers import SUFFIXES, open_writer

IDS = np.array(["007", "2024-01-01", 'a "b", c', "tab\there", "line\nend", "é漢🙂"], object)
LABELS = np.array([0, 2, 1, 1, -100, 0])
LOSS = np.array([0.25, 1e-300, math.nan, math.inf, math.nan, 2.5])
IGNORED = LABELS == -100
TABLES = [suffix for suffix in SUFFIXES if suffix != ".npy"]


@pytest.fixture
def save(tmp_path):
    def write(suffix, names=None, ids=IDS):
        columns = RowFormat("name" if ids is not None else None, class_names=names, shape=(6,))
        path = tmp_path / f"rows{suffix}"
        with path.open("wb") as stream:
            writer = open_writer(suffix[1:], stream, columns)
            writer.write(BlockLoss(0, 6, RunTotals(LossTotals("")), LOSS, IGNORED, LABELS, ids))
            writer.finish()
        return str(path)

    return write


@pytest.mark.parametrize("suffix", TABLES)
def test_what_compute_wrote_is_read_back(suffix, save):
    saved = read_saved(save(suffix))
    assert (saved.kind, saved.id_name) == ("rows", "name")
    assert saved.sample.tolist() == [0, 1, 2, 3, 4, 5]
    assert saved.labels.tolist() == LABELS.tolist()
    assert saved.ids.tolist() == IDS.tolist()
    np.testing.assert_array_equal(saved.loss, LOSS)
    assert saved.names == ("sample", "name", "label", "loss")


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_ignored_nan_and_infinite_are_told_apart_in_every_format(suffix, save):
    saved = read_saved(save(suffix))
    np.testing.assert_array_equal(saved.loss, LOSS)
    assert saved.ignored.tolist() == IGNORED.tolist()
    assert saved.unclear is None


def test_a_nan_of_an_array_that_xent_did_not_write_is_unclear(tmp_path):
    for dtype in ("<f8", ">f8", "<f4"):
        np.save(tmp_path / "rows.npy", np.array([0.5, math.nan, math.inf, -math.nan], dtype))
        saved = read_saved(str(tmp_path / "rows.npy"))
        assert saved.unclear.tolist() == saved.ignored.tolist() == [False, True, False, True]
        assert saved.loss[[0, 2]].tolist() == [0.5, math.inf]


def test_json_lines_of_other_writers_may_say_infinity_as_python_does(tmp_path):
    losses = [0.5, math.inf, math.nan, None]
    (tmp_path / "rows.jsonl").write_text(
        "".join(json.dumps({"sample": i, "loss": x}) + "\n" for i, x in enumerate(losses))
    )
    saved = read_saved(str(tmp_path / "rows.jsonl"))
    np.testing.assert_array_equal(saved.loss, [0.5, math.inf, math.nan, math.nan])
    assert saved.ignored.tolist() == [False, False, False, True]


def test_a_null_loss_takes_its_value_from_nonfinite_and_no_other_does(tmp_path):
    rows = [(1.5, "inf"), (None, "much"), (None, "-inf"), (None, "nan"), (None, None)]
    (tmp_path / "rows.jsonl").write_text("".join(json.dumps({"loss": x, "nonfinite": word}) + "\n" for x, word in rows))
    saved = read_saved(str(tmp_path / "rows.jsonl"))
    np.testing.assert_array_equal(saved.loss, [1.5, math.nan, -math.inf, math.nan, math.nan])
    assert saved.ignored.tolist() == [False, True, False, False, True]


@pytest.mark.parametrize("suffix", TABLES)
def test_labels_that_are_names_stay_names(suffix, save):
    labels = read_saved(save(suffix, names=("cat", "dog", "1"))).labels
    assert labels.tolist() == ["cat", "1", "dog", "dog", None, "cat"]


@pytest.mark.parametrize("suffix", TABLES)
def test_without_a_column_beside_it_a_sample_has_no_id_unless_one_is_named(suffix, save):
    path = save(suffix, ids=None)
    assert read_saved(path).ids is None
    assert read_saved(path, "sample").ids.tolist() == ["0", "1", "2", "3", "4", "5"]


def test_requested_columns_are_read_as_text_if_they_exist(tmp_path):
    table = pa.table({"sample": [0, 1], "label": [1, 0], "loss": [0.5, 1.5], "split": ["a", "b"], "size": [7, 8]})
    pq.write_table(table, tmp_path / "rows.parquet")
    saved = read_saved(str(tmp_path / "rows.parquet"), columns=["size", "nowhere"])
    assert {name: values.tolist() for name, values in saved.columns.items()} == {"size": ["7", "8"]}
    assert saved.names == ("sample", "label", "loss", "split", "size")
    assert saved.id_name is None


def test_columns_of_any_type_are_read(tmp_path):
    table = pa.table(
        {
            "sample": [0.0, 1.0],
            "key": pa.array([[1, 2], None]),
            "label": pa.array(["dog", "cat"]).dictionary_encode(),
            "loss": pa.array([0.5, None], pa.float32()),
            "day": pa.array([0, 1], pa.date32()),
        }
    )
    pq.write_table(table, tmp_path / "rows.parquet")
    saved = read_saved(str(tmp_path / "rows.parquet"), columns=["day"])
    assert (saved.sample.tolist(), saved.ids.tolist()) == ([0, 1], ["[1, 2]", None])
    assert saved.labels.tolist() == ["dog", "cat"]
    assert (saved.loss[0], saved.ignored.tolist()) == (0.5, [False, True])
    assert saved.columns["day"].tolist() == ["1970-01-01", "1970-01-02"]


def test_losses_that_are_not_numbers_are_refused(tmp_path):
    for values in (["a", "b"], [[1.0], [2.0]]):
        pq.write_table(pa.table({"loss": values}), tmp_path / "rows.parquet")
        with pytest.raises(InputError, match="losses are not numbers"):
            read_saved(str(tmp_path / "rows.parquet"))


def test_a_table_without_rows_has_none(tmp_path):
    (tmp_path / "rows.csv").write_text("sample,label,loss\n")
    assert read_saved(str(tmp_path / "rows.csv")).loss.size == 0


def test_losses_of_any_shape_are_samples_in_c_order(tmp_path):
    array = np.asfortranarray(np.arange(6.0).reshape(2, 3))
    np.save(tmp_path / "rows.npy", array)
    assert read_saved(str(tmp_path / "rows.npy")).loss.tolist() == [0, 1, 2, 3, 4, 5]


def test_an_arrow_file_is_read_as_a_stream_is(tmp_path):
    table = pa.table({"loss": [0.5, None]})
    with pa.OSFile(str(tmp_path / "rows.arrow"), "wb") as file, pa.ipc.new_file(file, table.schema) as writer:
        writer.write_table(table)
    saved = read_saved(str(tmp_path / "rows.arrow"))
    assert (saved.loss[0], saved.ignored.tolist()) == (0.5, [False, True])


def summary(**changes):
    figures = {"n_samples": 2, "n_ignored": 0, "mean_loss": 0.5, "max_loss": None}
    return {"schema_version": 1, "signature": "xent|axis:-1|v:0.1.0", "summary": figures, **changes}


@pytest.mark.parametrize("indent", [None, 2])
def test_a_summary_document_is_known_by_its_content(indent, tmp_path):
    path = tmp_path / "results.txt"
    path.write_text(json.dumps(summary(), indent=indent) + "\n")
    saved = read_saved(str(path))
    assert (saved.kind, saved.signature) == ("summary", "xent|axis:-1|v:0.1.0")
    assert saved.summary["mean_loss"] == 0.5
    assert math.isnan(saved.summary["max_loss"])


WRONG = {
    "empty.csv": (b"", "empty file"),
    "other.csv": (b"a,b\n1,2\n", 'no losses.*found columns a, b, expected a column "loss"'),
    "text.csv": (b"label,loss\n1,0.5\n0,oops\n", "cannot read rows as csv.*oops"),
    "ragged.csv": (b"label,loss\n1\n", "cannot read rows as csv"),
    "words.jsonl": (b'{"loss": "much"}\n', "cannot read rows as jsonl|losses are not numbers"),
    "cut.json": (json.dumps(summary(), indent=2).encode()[:-9], "damaged JSON"),
    "other.json": (b'{\n "mean": 1\n}', "not a summary document"),
    "later.json": (json.dumps(summary(schema_version=2)).encode(), "found schema_version 2, expected 1"),
    "twice.csv": (b"loss,a,a\n1,2,3\n", 'two columns of one name.*"a"'),
    "deep.json": (b'{"a":' * 100_000, "damaged JSON"),
    "damaged.parquet": (b"PAR1" + b"\0" * 40, "cannot read rows as parquet"),
    "damaged.arrow": (b"\xff\xff\xff\xff\x08", "cannot read rows as arrow"),
    "image.png": (b"\x89PNG\r\n\0\0", "unknown format"),
    "cut.npy": (b"\x93NUMPY\x01\x00\xff", "damaged .npy header"),
}


@pytest.mark.parametrize("name", WRONG)
def test_a_file_that_holds_no_results_is_named_with_what_is_wrong(name, tmp_path):
    content, message = WRONG[name]
    (tmp_path / name).write_bytes(content)
    with pytest.raises(InputError) as caught:
        read_saved(str(tmp_path / name))
    assert re.search(message, str(caught.value), re.DOTALL)
    assert name in str(caught.value)


def test_a_missing_file_and_a_folder_without_results_are_refused(tmp_path):
    with pytest.raises(InputError, match="no such file"):
        read_saved(str(tmp_path / "nothing.csv"))
    with pytest.raises(InputError, match="no files"):
        read_saved(str(tmp_path))


def test_an_id_column_that_does_not_exist_is_refused(save, tmp_path):
    with pytest.raises(InputError, match=r'no such column\n.*found columns sample, name, .*expected a column "key"'):
        read_saved(save(".csv"), "key")
    with pytest.raises(InputError, match="no columns to join on"):
        read_saved(save(".npy"), "key")


def test_a_folder_of_parts_is_read_as_one_when_it_is_whole(tmp_path):
    folder = tmp_path / "rows"
    folder.mkdir()
    for start in (0, 2, 4):
        part = pa.table({"sample": [start, start + 1], "label": [1, 0], "loss": [start + 0.5, start + 1.5]})
        pq.write_table(part, folder / f"part-{start:012d}-a.parquet")
    with pytest.raises(InputError, match="without _SUCCESS"):
        read_saved(str(folder))
    (folder / "_SUCCESS").touch()
    (folder / "_manifest.json").write_text("{}")
    found = read_saved(str(folder))
    np.testing.assert_array_equal(found.loss, np.arange(6) + 0.5)
    np.testing.assert_array_equal(found.sample, np.arange(6))


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_rows_are_read_from_a_pipe_as_from_a_file(save, suffix, monkeypatch):
    path = save(suffix, ids=None)
    with subprocess.Popen(["cat", path], stdout=subprocess.PIPE) as cat:
        monkeypatch.setattr(sys, "stdin", cat.stdout)
        piped = read_saved("-")
    np.testing.assert_array_equal(piped.loss, read_saved(path).loss)
    assert piped.format == suffix[1:]


def test_compressed_rows_are_read_as_they_are(save):
    path = save(".csv")
    text = Path(path).read_bytes()
    Path(path + ".gz").write_bytes(gzip.compress(text))
    np.testing.assert_array_equal(read_saved(path + ".gz").ids, read_saved(path).ids)
