"""Rows of text: they read back the same, whatever the method and the block size."""

import csv
import io
import json
import math
import subprocess
import sys

import numpy as np
import pandas as pd
import pytest

from tests.writers.rows import HOSTILE, NAMES, block, cut, written
from xent_cli.core.number_text import spell
from xent_cli.core.row_columns import RowFormat

SEPARATORS = {"tsv": "\t", "csv": ","}
COLUMNS = {
    "numbers": RowFormat(),
    "ids": RowFormat(id_name="im\tage,"),
    "names": RowFormat(id_name="id", class_names=NAMES),
    "dense": RowFormat(labelled=False),
    "predictions": RowFormat(predictions=("rank", "predicted", "margin")),
    "predicted names": RowFormat(class_names=NAMES, predicted_names=NAMES, predictions=("predicted",)),
}


@pytest.mark.parametrize("columns", COLUMNS.values(), ids=COLUMNS)
@pytest.mark.parametrize("name", ["tsv", "csv", "jsonl"])
@pytest.mark.parametrize("ignored", [False, True])
def test_bytes_depend_neither_on_the_path_nor_on_the_blocks(monkeypatch, name, columns, ignored):
    rows = block(7000, ignored=ignored, special=True, predicted=bool(columns.predictions))
    monkeypatch.delitem(sys.modules, "pyarrow", raising=False)
    few = written(name, columns, rows)
    monkeypatch.undo()
    assert written(name, columns, rows) == few
    assert written(name, columns, *cut(rows, [1, 0, 2999, 4000])) == few


@pytest.mark.parametrize("name", SEPARATORS)
def test_hostile_ids_and_class_names_read_back_with_the_csv_module(name):
    columns = RowFormat(id_name="id", class_names=NAMES)
    rows = block(len(HOSTILE), ignored=True, special=True)
    text = written(name, columns, rows).decode()
    head, *lines = csv.reader(io.StringIO(text, newline=""), delimiter=SEPARATORS[name])
    assert head == ["sample", "id", "label", "loss"]
    assert [line[1] for line in lines] == HOSTILE
    assert [line[2] for line in lines] == [NAMES[label] for label in rows.labels]
    for line, loss, ignored in zip(lines, rows.loss, rows.ignored, strict=True):
        assert line[3] == "" if ignored else np.array_equal(float(line[3]), loss, equal_nan=True)


@pytest.mark.parametrize("size", [50, 150_000])
@pytest.mark.parametrize("name", SEPARATORS)
def test_pandas_reads_losses_back_to_the_bit(name, size):
    rows = block(size, ids=False, special=True)
    data = io.BytesIO(written(name, RowFormat(), rows))
    frame = pd.read_csv(data, sep=SEPARATORS[name], dtype={"loss": str}, keep_default_na=False)
    assert frame["loss"].map(float).to_numpy().tobytes() == rows.loss.tobytes()
    assert frame["sample"].tolist() == list(range(size))
    assert frame["label"].tolist() == rows.labels.tolist()


@pytest.mark.parametrize("size", [len(HOSTILE), 3000])
def test_json_lines_are_strict_and_say_beside_null_which_number_json_does_not_have(size):
    rows = block(size, ignored=True, special=True)

    def refuse(constant):
        raise AssertionError(constant)

    text = written("jsonl", RowFormat(id_name='i"d', class_names=NAMES), rows).decode()
    objects = [json.loads(line, parse_constant=refuse) for line in text.split("\n")[:-1]]
    assert [entry['i"d'] for entry in objects] == rows.ids.tolist()
    assert [entry["label"] for entry in objects] == [NAMES[label] for label in rows.labels]
    for entry, loss in zip(objects, rows.loss.tolist(), strict=True):
        assert entry["loss"] == (loss if math.isfinite(loss) else None)
    words = ["nan", "inf"] + [None] * (size - 2)
    expected = [None if none else word for word, none in zip(words, rows.ignored.tolist(), strict=True)]
    assert [entry.get("nonfinite") for entry in objects] == expected
    assert [list(entry)[-1] == "nonfinite" for entry in objects] == [word is not None for word in expected]


@pytest.mark.parametrize("size", [3, 3000])
@pytest.mark.parametrize(("name", "missing"), [("tsv", ""), ("csv", ""), ("jsonl", "null")])
def test_a_missing_id_is_left_out(name, missing, size):
    rows = block(size)
    rows.ids[1] = None
    text = written(name, RowFormat(id_name="id", labelled=False), rows).decode()
    line = next(line for line in text.splitlines() if line.startswith(("1\t", "1,", '{"sample": 1,')))
    assert "None" not in line
    assert f"{missing}" in line
    if missing:
        assert '"id": null' in line


@pytest.mark.parametrize("size", [3, 3000])
@pytest.mark.parametrize("name", ["tsv", "csv", "jsonl"])
def test_an_index_outside_the_class_names_is_left_out(name, size):
    rows = block(size, ids=False)
    rows.labels[0] = -100
    text = written(name, RowFormat(class_names=NAMES), rows).decode()
    assert "-100" not in text


@pytest.mark.parametrize("name", ["tsv", "csv"])
def test_without_rows_there_is_a_header(name):
    assert written(name, RowFormat()).decode().split(SEPARATORS[name]) == ["sample", "label", "loss\n"]
    assert written("jsonl", RowFormat()) == b""


@pytest.mark.parametrize("name", ["tsv", "csv", "jsonl"])
def test_a_divergence_has_a_column_after_the_loss(name):

    rows = block(3, ids=False)
    text = written(name, RowFormat(labelled=False, with_kl=True), rows._replace(kl=rows.loss + 1)).decode()
    assert "kl_divergence" in text
    assert spell(float(rows.loss[2] + 1)) in text.splitlines()[-1]


def test_few_rows_load_neither_arrow_nor_pandas_nor_rich():
    code = (
        "import sys; from tests.writers.rows import block, written\n"
        "from xent_cli.core.row_columns import RowFormat\n"
        "for name in ('tsv', 'csv', 'jsonl', 'npy'): written(name, RowFormat(id_name='id'), block(500))\n"
        "print(sorted({'pyarrow', 'pandas', 'rich'} & set(sys.modules)))"
    )
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert found.stdout == "[]\n"
