import io
import os
import subprocess
import sys

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from tests.writers.rows import HOSTILE, NAMES, block, cut, written
from xent_cli.core.nan_kinds import kinds_of_nan
from xent_cli.core.row_columns import RowFormat
from xent_cli.writers import open_writer

SIZES = [3, 40_000, 65_536, 5000, 40_000]


def table_of(name, data):
    if name == "parquet":
        return pq.read_table(io.BytesIO(data))
    return pa.ipc.open_stream(data).read_all()


class Pipe(io.BytesIO):
    def seekable(self):
        return False

    def seek(self, *where):
        raise io.UnsupportedOperation

    tell = seek


@pytest.mark.parametrize("name", ["parquet", "arrow"])
def test_tables_read_back_to_the_bit(name):
    rows = block(500, ignored=True, special=True)
    table = table_of(name, written(name, RowFormat(id_name="id", class_names=NAMES), rows))
    assert table.schema.names == ["sample", "id", "label", "loss"]
    assert table["sample"].to_pylist() == list(range(500))
    assert table["id"].to_pylist() == [HOSTILE[i % len(HOSTILE)] for i in range(500)]
    assert table["label"].to_pylist() == [NAMES[label] for label in rows.labels]
    loss = table["loss"].combine_chunks()
    assert np.array_equal(loss.is_null().to_numpy(False), rows.ignored)
    kept = loss.drop_null().to_numpy()
    assert kept.tobytes() == rows.loss[~rows.ignored].tobytes()


@pytest.mark.parametrize("name", ["parquet", "arrow"])
def test_tables_without_rows_have_their_columns(name):
    table = table_of(name, written(name, RowFormat(labelled=True)))
    assert table.schema == pa.schema([("sample", pa.int64()), ("label", pa.int64()), ("loss", pa.float64())])
    assert table.num_rows == 0


@pytest.mark.parametrize("name", ["parquet", "arrow"])
def test_many_small_blocks_make_no_small_groups(name):
    rows = block(150_000, ids=False)
    data = written(name, RowFormat(), *cut(rows, [40] * 3750))
    assert table_of(name, data)["loss"].combine_chunks().to_numpy().tobytes() == rows.loss.tobytes()
    if name == "parquet":
        assert pq.ParquetFile(io.BytesIO(data)).num_row_groups <= 3


def test_groups_have_one_size_however_the_rows_are_cut(monkeypatch):
    monkeypatch.setattr("xent_cli.writers.arrow._GROUP_ROWS", 1000)
    rows = block(2500, ids=False)
    cuts = [2500], [900, 700, 900], [40] * 60 + [100]
    data = {written("parquet", RowFormat(), *cut(rows, sizes)) for sizes in cuts}
    assert len(data) == 1
    metadata = pq.ParquetFile(io.BytesIO(data.pop())).metadata
    assert [metadata.row_group(group).num_rows for group in range(metadata.num_row_groups)] == [1000, 1000, 500]


@pytest.mark.parametrize("kind", [io.BytesIO, Pipe])
@pytest.mark.parametrize("shape", [None, (24,), (2, 3, 4)])
def test_arrays_have_their_shape_and_nan_where_ignored(kind, shape):
    rows = block(24, ids=False, ignored=True)
    stream = kind()
    writer = open_writer("npy", stream, RowFormat(shape=shape))
    for part in cut(rows, [5, 0, 19]):
        writer.write(part)
    writer.finish()
    loaded = np.load(io.BytesIO(stream.getvalue()))
    assert loaded.shape == (shape or (24,))
    assert loaded.dtype == np.float64
    flat = loaded.reshape(-1)
    np.testing.assert_array_equal(flat, rows.loss)
    ignored, unclear = kinds_of_nan(flat)
    assert ignored.tolist() == rows.ignored.tolist()
    assert not unclear.any()


@pytest.mark.parametrize("kind", [io.BytesIO, Pipe])
def test_an_array_without_rows_is_empty(kind):
    stream = kind()
    open_writer("npy", stream, RowFormat(shape=None)).finish()
    assert np.load(io.BytesIO(stream.getvalue())).shape == (0,)


def test_an_array_behind_other_bytes_leaves_them_alone():
    stream = io.BytesIO()
    stream.write(b"before")
    writer = open_writer("npy", stream, RowFormat())
    writer.write(block(5, ids=False))
    writer.finish()
    assert stream.tell() == len(stream.getvalue())
    assert stream.getvalue().startswith(b"before")
    assert np.load(io.BytesIO(stream.getvalue()[6:])).shape == (5,)


def test_an_array_appended_by_the_shell_has_one_header(tmp_path):
    code = (
        "import sys; from tests.writers.rows import block\n"
        "from xent_cli.writers import open_writer; from xent_cli.core.row_columns import RowFormat\n"
        "w = open_writer('npy', sys.stdout.buffer, RowFormat()); w.write(block(5, ids=False)); w.finish()"
    )
    target = tmp_path / "appended"
    target.write_bytes(b"before")
    handle = os.open(target, os.O_WRONLY | os.O_APPEND)
    subprocess.run([sys.executable, "-c", code], stdout=handle, check=True)
    os.close(handle)
    assert np.load(io.BytesIO(target.read_bytes()[6:])).shape == (5,)


def test_an_abandoned_table_prints_nothing(tmp_path):
    code = (
        "from tests.writers.rows import block; from xent_cli.writers import open_writer\n"
        "from xent_cli.core.row_columns import RowFormat; from xent_cli.writers.publish import publish\n"
        "import sys\n"
        "def run():\n"
        "    with publish(sys.argv[1]) as stream:\n"
        "        writer = open_writer('parquet', stream, RowFormat())\n"
        "        writer.write(block(5))\n"
        "        raise KeyError('stop')\n"
        "try: run()\n"
        "except KeyError: print('stopped')\n"
    )
    found = subprocess.run(
        [sys.executable, "-c", code, tmp_path / "x.parquet"], capture_output=True, text=True, check=True
    )
    assert (found.stdout, found.stderr) == ("stopped\n", "")
    assert list(tmp_path.iterdir()) == []
