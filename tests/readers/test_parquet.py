import pickle
import tempfile

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from xent_cli.errors import InputError
from xent_cli.readers.open import open_source
from xent_cli.readers.options import ReadOptions, RunNeeds

RNG = np.random.default_rng(17)
N, K = 500, 9
LOGITS = RNG.normal(size=(N, K)).astype(np.float32)
LABELS = RNG.integers(0, K, N)


def wide(path, *, group, **extra):
    columns = {f"c{i}": LOGITS[:, i] for i in range(K)}
    pq.write_table(pa.table({"name": [f"s{i}" for i in range(N)], **columns, "y": LABELS, **extra}), path, group)
    return str(path)


def read(source):
    parts = [pickle.loads(pickle.dumps(part)) if source.needs.whole_groups else part for _, _, part in source.parts()]
    names = ("logits", "labels", "ids")
    copies = [[np.array(getattr(rows, name)) for name in names] for rows in (part.read() for part in parts)]
    return dict(zip(names, map(np.concatenate, zip(*copies, strict=True)), strict=True))


@pytest.mark.parametrize("whole", [False, True], ids=["cut", "whole"])
@pytest.mark.parametrize("limit", [10, 4000, 1 << 20], ids=["on disk", "some on disk", "in memory"])
@pytest.mark.parametrize("step", [100, 4000, 1 << 20])
def test_wide_row_groups_of_any_size_give_the_same_rows(whole, limit, step, tmp_path):
    needs = RunNeeds(with_ids=True, whole_groups=whole, group_bytes=limit, step_bytes=step, task_bytes=1000)
    options = ReadOptions(id_column="name", run=needs)
    source = open_source(wide(tmp_path / "t.parquet", group=130), "logits", options)
    found = read(source)
    np.testing.assert_array_equal(found["logits"], LOGITS)
    np.testing.assert_array_equal(found["labels"], LABELS)
    assert found["ids"].tolist() == [f"s{i}" for i in range(N)]
    sizes = [size for _, size, _ in source.parts()]
    assert sizes == [130, 130, 130, 110] if whole or limit > 5000 else len(sizes) > 4


def test_columns_of_unlike_types_are_read_as_float64(tmp_path):
    path = wide(tmp_path / "t.parquet", group=130, c9=RNG.normal(size=N), c10=np.arange(N))
    options = ReadOptions(id_column="name", run=RunNeeds(with_ids=True))
    first = read(open_source(path, "logits", options))["logits"]
    options = ReadOptions(id_column="name", run=RunNeeds(with_ids=True, group_bytes=10, step_bytes=3000))
    again = read(open_source(path, "logits", options))["logits"]
    assert first.dtype == again.dtype == np.float64
    np.testing.assert_array_equal(first, again)
    np.testing.assert_array_equal(first[:, -1], np.arange(N))


@pytest.mark.parametrize("limit", [10, 1 << 20])
def test_a_null_is_named_by_its_row(limit, tmp_path):
    column = [None if i == 321 else 1.0 for i in range(N)]
    path = wide(tmp_path / "t.parquet", group=130, c9=pa.array(column, pa.float32()))
    source = open_source(path, "logits", ReadOptions(id_column="name", run=RunNeeds(group_bytes=limit)))
    with pytest.raises(InputError, match="missing value\n  sample 321"):
        [part.read() for _, _, part in source.parts()]
    assert source.where(321, "logits") == f"{path} row 321 (sample 321)"


def test_the_temporary_file_of_a_turned_row_group_is_removed(tmp_path, monkeypatch):
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    path = wide(tmp_path / "t.parquet", group=130)
    source = open_source(path, "logits", ReadOptions(id_column="name", run=RunNeeds(group_bytes=10)))
    seen = 0
    for _, _, part in source.parts():
        part.read()
        seen = max(seen, len(list(tmp_path.glob("xent-*"))))
    del part
    assert seen > 0
    assert not list(tmp_path.glob("xent-*"))


def test_two_columns_of_one_name_are_refused(tmp_path):
    table = pa.table([[1.0], [2.0], [0]], names=["a", "a", "label"])
    pq.write_table(table, tmp_path / "t.parquet")
    with pytest.raises(InputError, match=r'two columns of one name\n.*"a"'):
        open_source(str(tmp_path / "t.parquet"), "logits", ReadOptions())
