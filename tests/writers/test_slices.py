"""Columns of slices in the rows, and slices in the summary."""

import csv
import io
import json
import sys

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from rich.console import Console

from tests.writers.rows import HOSTILE, block, written
from xent_cli.core.row_columns import RowFormat
from xent_cli.core.totals.total_losses import total_losses
from xent_cli.reports.summary.table import print_slices
from xent_cli.reports.summary.text import plain_slices

COLUMNS = RowFormat(id_name="id", by=(("split", 1), ("la,ng", 0)))


def rows(n):
    """Return a block with two columns of groups, including hostile and missing values."""
    lang = [None if i % 5 == 0 else HOSTILE[i % len(HOSTILE)] for i in range(n)]
    groups = np.array([lang, [f"part {i % 2}" for i in range(n)]], object).T
    return block(n, ignored=True)._replace(groups=groups)


def expected(n):
    """Return the texts of both columns as they are written."""
    return list(map(tuple, rows(n).groups[:, ::-1].tolist()))


@pytest.mark.parametrize("name", ["parquet", "arrow"])
def test_columns_of_slices_are_last_in_tables(name):
    found = written(name, COLUMNS, rows(24), rows(24)._replace(start=24))
    table = pq.read_table(io.BytesIO(found)) if name == "parquet" else pa.ipc.open_stream(found).read_all()
    assert table.column_names == ["sample", "id", "label", "loss", "split", "la,ng"]
    assert list(zip(table["split"].to_pylist(), table["la,ng"].to_pylist(), strict=True)) == expected(24) * 2


@pytest.mark.parametrize(("name", "delimiter"), [("tsv", "\t"), ("csv", ",")])
def test_columns_of_slices_are_last_in_lines(name, delimiter):
    text = written(name, COLUMNS, rows(24)).decode()
    head, *lines = csv.reader(io.StringIO(text, newline=""), delimiter=delimiter)
    assert head == ["sample", "id", "label", "loss", "split", "la,ng"]
    assert [tuple(line[4:]) for line in lines] == [(split, lang or "") for split, lang in expected(24)]


def test_columns_of_slices_are_last_in_objects():
    lines = [json.loads(line) for line in written("jsonl", COLUMNS, rows(24)).decode().splitlines()]
    assert [(line["split"], line["la,ng"]) for line in lines] == expected(24)


@pytest.mark.parametrize("name", ["tsv", "csv", "jsonl"])
def test_groups_are_written_the_same_on_either_path(monkeypatch, name):
    monkeypatch.delitem(sys.modules, "pyarrow", raising=False)
    few = written(name, COLUMNS, rows(7000))
    monkeypatch.undo()
    assert written(name, COLUMNS, rows(7000)) == few


def entry(value, *losses):
    """Return a slice as in the document."""
    return {"by": "split", "value": value, "summary": total_losses("", np.array(losses)).summarize()}


def test_slices_are_lines_of_a_metric_and_a_number():
    assert plain_slices((entry("a\tb", 1.0, 2.0), entry(None))) == (
        "slice:split=a\\tb:n_samples\t2\nslice:split=a\\tb:mean_loss\t1.5\n"
        "slice:split=:n_samples\t0\nslice:split=:mean_loss\tnan\n"
    )


def test_a_table_of_slices_is_bounded_and_says_what_is_left_out():
    console = Console(file=io.StringIO(), width=100)
    print_slices(console, tuple(entry(f"v{i:03}", float(i)) for i in range(300)))
    text = console.file.getvalue()
    assert "v019" in text
    assert "v020" not in text
    assert "280 of 300 values of split not shown; -f json has them all" in text


def test_hostile_values_do_not_reach_the_terminal_as_they_are():
    console = Console(file=io.StringIO(), width=100)
    print_slices(console, tuple(entry(value, 1.0) for value in HOSTILE))
    text = console.file.getvalue()
    assert "\x1b" not in text
    assert "[bold]x[/]" in text
