"""Ids, weights and groups: columns in the table of logits, or in the table of labels."""

import json

import numpy as np
import pyarrow as pa
import pytest

from tests.readers import tables
from xent_cli.core.block import Rows
from xent_cli.errors import InputError, UsageError
from xent_cli.readers.options import ReadOptions, RunNeeds
from xent_cli.readers.pair.pair import open_pair

SUFFIXES = ["csv", "parquet", "arrow", "jsonl"]
LOGITS = np.arange(12.0).reshape(4, 3)
LABELS = {"label": [2, 0, 1, 1]}
LARGE = {"logit_cat": LOGITS[:, 0], "logit_dog": LOGITS[:, 1], "logit_emu": LOGITS[:, 2]}
BESIDE = {
    "id": ["p", "q", "r", "s"],
    "w": [1.0, 2.0, 3.0, 4.0],
    "split": ["a", None, "b", "a"],
    "part": [1, 2, 1, None],
}


def write(path, columns):
    """Write a table in row groups or batches of three rows."""
    return tables.write(path, columns, rows_at_once=3)


def read(pair):
    """Read all rows of a pair."""
    blocks = [task.load() for task in pair.tasks()]
    fields = ("logits", "labels", "weights", "unscored", "ids", "groups", "mask")
    return Rows.concatenate([Rows(*(getattr(block, name) for name in fields)) for block in blocks])


OPTIONS = ReadOptions(by=("split", "part"), weight_column="w", run=RunNeeds(with_ids=True))


@pytest.mark.parametrize("where", ["logits", "labels"])
@pytest.mark.parametrize("suffix", SUFFIXES)
def test_ids_weights_and_groups_are_found_in_either_table(tmp_path, suffix, where):
    path = tmp_path / f"t.{suffix}"
    if where == "logits":
        pair = open_pair(write(path, LABELS | BESIDE | LARGE), None, None, OPTIONS)
    else:
        np.save(tmp_path / "l.npy", LOGITS)
        pair = open_pair(str(tmp_path / "l.npy"), write(path, LABELS | BESIDE), None, OPTIONS)
    rows = read(pair)
    assert (pair.id_name, pair.by, pair.weighted, pair.num_classes) == ("id", ("split", "part"), True, 3)
    assert rows.logits.tolist() == LOGITS.tolist()
    assert rows.labels.tolist() == LABELS["label"]
    assert rows.weights.tolist() == BESIDE["w"]
    assert rows.ids.tolist() == BESIDE["id"]
    assert rows.groups.tolist() == [["a", "1"], [None, "2"], ["b", "1"], ["a", None]]


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_the_table_of_logits_comes_first_and_the_others_columns_stand_behind(tmp_path, suffix):
    logits = write(tmp_path / f"l.{suffix}", LARGE | {"split": ["1", "2", "3", "4"], "id": BESIDE["id"]})
    labels = write(tmp_path / f"y.{suffix}", LABELS | BESIDE)
    pair = open_pair(
        logits, labels, None, ReadOptions(by=("part", "split"), weight_column="w", run=RunNeeds(with_ids=True))
    )
    rows = read(pair)
    assert pair.by == ("split", "part")
    assert rows.groups.tolist() == [["1", "1"], ["2", "2"], ["3", "1"], ["4", None]]
    assert rows.ids.tolist() == BESIDE["id"]
    assert rows.weights.tolist() == BESIDE["w"]


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_a_column_may_have_two_roles(tmp_path, suffix):
    path = write(tmp_path / f"t.{suffix}", LABELS | {"id": BESIDE["id"], "w": BESIDE["w"]} | LARGE)
    rows = read(
        open_pair(
            path, None, None, ReadOptions(by=("label", "id", "w"), weight_column="w", run=RunNeeds(with_ids=True))
        )
    )
    assert rows.groups[:, 0].tolist() == ["2", "0", "1", "1"]
    assert rows.groups[:, 1].tolist() == rows.ids.tolist() == BESIDE["id"]
    assert [float(text) for text in rows.groups[:, 2]] == rows.weights.tolist() == BESIDE["w"]
    assert rows.labels.tolist() == LABELS["label"]


def test_a_column_of_numbers_that_names_slices_is_not_a_logit(tmp_path):
    path = write(tmp_path / "t.parquet", LABELS | LARGE | {"year": [1999, 2000, 1999, 2000]})
    assert open_pair(path, None, None, ReadOptions(by=("year",))).num_classes == 3
    assert open_pair(path, None, None, ReadOptions()).num_classes == 3


@pytest.mark.parametrize(
    ("values", "texts"),
    [
        (pa.array(["a", "b", "a", None]).dictionary_encode(), ["a", "b", "a", None]),
        (pa.array(["x", None, "x", "y"], pa.large_string()), ["x", None, "x", "y"]),
        (pa.array(["x", None, "x", "y"], pa.string_view()), ["x", None, "x", "y"]),
        (pa.array([True, False, None, True]), ["true", "false", None, "true"]),
        (pa.array([0, 1, 0, None], pa.date32()), ["1970-01-01", "1970-01-02", "1970-01-01", None]),
        (pa.array([1.5, 2.0, float("nan"), None]), ["1.5", "2", "nan", None]),
    ],
    ids=["dictionary", "large", "view", "bool", "date", "float"],
)
@pytest.mark.parametrize("suffix", ["parquet", "arrow"])
def test_groups_of_any_type_are_reported_as_text(tmp_path, suffix, values, texts):
    path = write(tmp_path / f"t.{suffix}", LABELS | LARGE | {"g": values})
    found = read(open_pair(path, None, None, ReadOptions(by=("g",)))).groups[:, 0].tolist()
    assert found == texts


def test_equal_values_share_one_text(tmp_path):
    path = write(tmp_path / "t.csv", LABELS | LARGE | {"g": ["one", "two", "one", "one"]})
    first, _, third, fourth = read(open_pair(path, None, None, ReadOptions(by=("g",)))).groups[:, 0]
    assert first is third is fourth


def test_groups_in_json_lines_may_be_of_any_kind(tmp_path):
    values = ["a", 1, 1.5, True, None, {"x": 1}, [1, 2]]
    rows = [{"logits": [1, 2], "label": 0, "g": value, "h": 2.5} for value in values]
    path = tmp_path / "t.jsonl"
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    groups = read(open_pair(str(path), None, None, ReadOptions(by=("g", "h")))).groups
    assert groups[:, 0].tolist() == ["a", "1", "1.5", "true", None, '{"x": 1}', "[1, 2]"]
    assert groups[:, 1].tolist() == ["2.5"] * 7


def test_a_list_names_no_slice(tmp_path):
    path = write(tmp_path / "t.parquet", LABELS | LARGE | {"g": [[1], [2], [3], [4]]})
    with pytest.raises(InputError, match='column "g"'):
        read(open_pair(path, None, None, ReadOptions(by=("g",), logits_column=("logit_[cde]*",))))


@pytest.mark.parametrize(
    ("options", "asked", "meant"),
    [
        (ReadOptions(by=("spilt",)), '"spilt" (--by)', "split"),
        (ReadOptions(id_column="idd"), '"idd" (--id-column)', "id"),
        (ReadOptions(weight_column="ww"), '"ww" (--sample-weight-column)', "w"),
        (ReadOptions(label_column="lable"), '"lable" (--label-column)', "label"),
        (ReadOptions(logits_column=("logit_doge",)), '"logit_doge" (--logits-column)', "logit_dog"),
    ],
)
@pytest.mark.parametrize("suffix", SUFFIXES)
def test_a_column_that_is_missing_is_reported_with_the_nearest_one(tmp_path, suffix, options, asked, meant):
    path = write(tmp_path / f"t.{suffix}", LABELS | LARGE | BESIDE)
    with pytest.raises(InputError, match="no such column") as caught:
        open_pair(path, None, None, options)
    assert (caught.value.expected, caught.value.hint) == (asked, f'did you mean "{meant}"?')


def test_a_column_that_neither_table_has_is_looked_for_in_both(tmp_path):
    logits = write(tmp_path / "l.csv", LARGE)
    labels = write(tmp_path / "y.parquet", LABELS | BESIDE)
    with pytest.raises(InputError, match="no such column") as caught:
        open_pair(logits, labels, None, ReadOptions(by=("splitt",)))
    assert caught.value.where == f"{logits}, {labels}"
    assert caught.value.hint == 'did you mean "split"?'


@pytest.mark.parametrize(
    "options", [ReadOptions(by=("split",)), ReadOptions(id_column="id"), ReadOptions(weight_column="w")]
)
def test_arrays_have_no_columns(tmp_path, options):
    np.save(tmp_path / "l.npy", LOGITS)
    np.save(tmp_path / "y.npy", LABELS["label"])
    with pytest.raises(UsageError, match="arrays have no columns"):
        open_pair(str(tmp_path / "l.npy"), str(tmp_path / "y.npy"), None, options)


def test_shards_must_have_the_same_columns_beside_the_logits(tmp_path):
    (tmp_path / "shards").mkdir()
    write(tmp_path / "shards" / "1.csv", LABELS | LARGE | {"split": BESIDE["split"]})
    write(tmp_path / "shards" / "2.csv", LABELS | LARGE)
    with pytest.raises(InputError, match="shard with other columns") as caught:
        open_pair(str(tmp_path / "shards"), None, None, ReadOptions(by=("split",)))
    assert caught.value.found == "label"
    assert "label, split" in caught.value.expected
