"""Tables on a terminal of any width: no number is broken, columns that are left out are named, texts are cut last."""

import io
import re

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from rich.console import Console

from xent_cli.core.number_text import rounded
from xent_cli.core.totals.histogram import histogram
from xent_cli.core.totals.quantiles import QuantileState
from xent_cli.reports.inspection.text import plain_inspection, print_inspection
from xent_cli.reports.summary.table import print_histogram
from xent_cli.reports.tables import print_table

NUMBERS = st.floats(allow_nan=True, allow_infinity=True).map(rounded)
TEXTS = st.text(st.characters(categories=["L"], max_codepoint=0x17F), min_size=1, max_size=30)


def printed(width, heads, rows, **settings):
    console = Console(file=io.StringIO(), width=width, highlight=False)
    print_table(console, heads, rows, **settings)
    assert console.width == width
    return console.file.getvalue()


@given(st.lists(st.tuples(TEXTS, NUMBERS, NUMBERS, NUMBERS), min_size=1, max_size=4), st.integers(20, 120))
def test_every_number_stands_whole_on_the_line_of_its_row(rows, width):
    text = printed(width, ["name", "a", "b", "c"], rows, expendable=("c", "b"))
    lines = [line for line in text.splitlines() if line.strip()]
    shown = lines[2 : 2 + len(rows)]
    n_left_out = sum(head not in lines[0].split() for head in "abc")
    for line, (_, *numbers) in zip(shown, rows, strict=True):
        found = line.split()[-(3 - n_left_out) :]
        assert len(found) == 3 - n_left_out
        for one, number in zip(found, numbers, strict=False):
            assert one == number or float(one) == pytest.approx(float(number), rel=1e-3, nan_ok=True)
    assert (lines[2 + len(rows) :] != []) == (n_left_out > 0)


def test_at_its_own_width_a_table_is_printed_as_it_is():
    text = printed(24, ["name", "value"], [["one", "0.123456"], ["two", "12"]], expendable=("value",))
    assert [line.rstrip() for line in text.splitlines()] == [
        "",
        " name      value",
        " ───────────────",
        " one    0.123456",
        " two          12",
        "",
    ]


@pytest.mark.parametrize(
    ("width", "cells"), [(80, "0.123456 0.654321"), (27, "0.1235 0.6543"), (20, "0.1235"), (12, "0.1235")]
)
def test_digits_are_dropped_before_columns(width, cells):
    text = printed(width, ["name", "one", "other"], [["a", "0.123456", "0.654321"]], expendable=("other",))
    (line,) = [line for line in text.splitlines() if re.match(r" a  ", line)]
    assert line.split()[1:] == cells.split()
    assert ("not shown for lack of room: other" in " ".join(text.split())) == (len(cells) < 10)


def test_a_verdict_keeps_all_digits_and_texts_are_cut():
    row = ["a metric with a very long name", "0.12345678901", "0.12345678902"]
    text = printed(50, ["metric", "limit", "observed"], [row], all_digits=True)
    assert "0.12345678901   0.12345678902" in text
    assert "a metric with a…  " in text
    assert max(map(len, text.splitlines())) <= 50


def test_numbers_stand_at_the_right_and_texts_at_the_left():
    text = printed(60, ["id", "label", "loss"], [["a", "7", "0.5"], ["bbbb", "12", "ignored"]])
    assert "\n a          7       0.5" in text
    assert "\n bbbb      12   ignored" in text


@pytest.mark.parametrize("width", [24, 30, 40, 60, 120])
@pytest.mark.parametrize("encoding", ["utf-8", "ascii"])
def test_bars_of_a_histogram_are_never_cut_so_that_they_keep_their_proportions(width, encoding):
    losses = np.repeat([0.011, 0.11, 1.1], [100, 50, 25])
    file = io.TextIOWrapper(io.BytesIO(), encoding=encoding)
    print_histogram(Console(file=file, width=width), histogram(QuantileState.of(losses), 10))
    file.flush()
    text = file.buffer.getvalue().decode(encoding)
    assert not {"…", "..."} & set(text.split())
    assert max(map(len, text.splitlines())) <= max(width, 36)
    longest, half, quarter = (len(bar) for bar in re.findall(r"[█▏▎▍▌▋▊▉#]+", text))
    assert half == pytest.approx(longest / 2, abs=1)
    assert quarter == pytest.approx(longest / 4, abs=1)


@pytest.mark.parametrize(("width", "whole"), [(60, True), (40, False)])
def test_names_of_figures_are_whole_unless_that_leaves_no_room_for_values(width, whole):
    values = {"rows_that_look_softmaxed": 0}
    file = dict.fromkeys(("role", "format", "shape", "dtype", "layout", "compression", "size_bytes"))
    file |= {"path": "a name/of a file/" * 5, "shards": [], "arrays": [], "columns": [], "values": {"logits": values}}
    console = Console(file=io.StringIO(), width=width)
    print_inspection(console, {"files": [file], "pair": None, "command": "xent compute l.npy", "readings": []})
    lines = console.file.getvalue().splitlines()
    assert any(line.split() == ["logits_rows_that_look_softmaxed", "0"] for line in lines) is whole
    assert max(map(len, lines)) <= width


@pytest.mark.parametrize("count", [8, 9, 10, 30])
def test_a_line_that_counts_more_columns_counts_at_least_two(count):
    column = {"dtype": "double", "role": "logits", "reason": ""}
    file = dict.fromkeys(("role", "format", "shape", "dtype", "layout", "compression", "size_bytes"))
    file |= {"path": "t.csv", "shards": [], "arrays": [], "values": {}}
    file["columns"] = [{**column, "name": f"logit_{place}"} for place in range(count)]
    text = plain_inspection({"files": [file], "pair": None, "command": "xent compute t.csv", "readings": []})
    assert text.count("column\t") == (count if count <= 9 else 9)
    assert ("more, to" in text) == (count > 9)
