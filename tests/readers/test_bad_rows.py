"""Rows that cannot be read: the right reason and place, the number of others, in bounded memory for a million."""

import os
import subprocess
import sys

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from tests import forked
from tests.waiting import PATIENCE_SECONDS
from xent_cli.cli import cli
from xent_cli.errors import InputError, UnreadableRowError
from xent_cli.readers.options import ReadOptions, RunNeeds
from xent_cli.readers.pair.pair import open_pair
from xent_cli.readers.tables.first_bad_row import first_with_count

GOOD = b'{"label": 0, "logits": [1, 2], "id": "a"}\n'
REASONS = {
    "beyond float64": (b'{"label": 0, "logits": [1e999, 2]}', "1e999, a number beyond float64"),
    "two values": (b'{"label": 0, "label": 1, "logits": [1, 2]}', 'two values for "label"'),
    "Latin-1": (b'{"label": 0, "logits": [1, 2], "id": "caf\xe9"}', r"bytes that are not UTF-8: b'\xe9"),
    "half of a character": (b'{"label": 0, "logits": [1, 2], "id": "\\ud800"}', 'half of a character in "\\ud800"'),
    "labels of two kinds": (b'{"label": "cat", "logits": [1, 2]}', '"cat", expected a number, as in the lines before'),
    "a word": (b'{"label": 0, "logits": [1, yes]}', "expecting value"),
    "two objects": (b'{"label": 0, "logits": [1, 2]} {"label": 0, "logits": [1, 2]}', "extra data"),
    "a large label": (b'{"label": 1e999, "logits": [1, 2]}', "1e999, a number beyond float64"),
}


def losses(path, options=None):
    return [
        task.load()
        for task in open_pair(str(path), None, None, options or ReadOptions(run=RunNeeds(with_ids=True))).tasks()
    ]


@pytest.mark.parametrize("kind", REASONS)
def test_a_line_of_json_is_refused_for_its_true_reason(kind, tmp_path):
    line, reason = REASONS[kind]
    (tmp_path / "t.jsonl").write_bytes(GOOD * 3 + b"\n" + line + b"\n" + GOOD)
    with pytest.raises(InputError) as caught:
        losses(tmp_path / "t.jsonl")
    told = str(caught.value)
    assert "t.jsonl line 5 (sample 3)" in told or kind == "Latin-1"
    assert reason in told or kind == "Latin-1"
    assert "changed from" not in told
    assert kind != "Latin-1" or "not UTF-8" in told


@pytest.mark.parametrize("encode", [False, True])
@pytest.mark.parametrize("column", ["id", "label"])
def test_text_in_a_table_that_is_not_utf_8_is_named(column, encode, tmp_path):
    buffers = pa.array([b"a", b"\xff\x1b", b"\xfe"]).buffers()
    text = pa.Array.from_buffers(pa.string(), 3, buffers)
    columns = {"label": [0, 1, 0], "logit_0": [1.0, 2.0, 3.0], "logit_1": [1.0, 2.0, 3.0]}
    table = pa.table({**columns, column: text.dictionary_encode() if encode else text})
    pq.write_table(table, tmp_path / "t.parquet")
    with pytest.raises(UnreadableRowError, match="text is not UTF-8") as caught:
        losses(tmp_path / "t.parquet")
    error = caught.value
    assert (error.row, error.found, error.others) == (1, r"b'\xff\x1b'", 1)


@pytest.mark.parametrize("delimiter", [",", ";", "\t"])
@pytest.mark.parametrize("piped", [False, True])
def test_line_ends_within_the_quotes_of_a_header_belong_to_its_names(delimiter, piped, tmp_path):
    text = '"label";"logit\n\n_a";logit_b\n0;1;2\n\n1;2;1\n1;x;1\n'.replace(";", delimiter)
    (tmp_path / "t.csv").write_text(text)
    words = ["compute", "-" if piped else "t.csv", "--reduction", "mean"]
    run = forked.xent(*words, cwd=tmp_path, input=text if piped else None)
    assert run.returncode == 3
    assert 'line 7 (sample 2), column "logit\\n\\n_a": found "x", expected a number' in run.stderr
    (tmp_path / "t.csv").write_text(text.replace("x", "2"))
    blocks = losses(tmp_path / "t.csv")
    assert np.concatenate([block.logits for block in blocks]).tolist() == [[1, 2], [2, 1], [2, 1]]


def test_the_first_bad_row_is_kept_and_the_others_are_counted():
    def rows():
        for row in range(100_000):
            yield UnreadableRowError("empty cell", row, "logits") if row % 2 else None

    first = first_with_count(rows(), patience_seconds=float("inf"))
    assert (first.row, first.others, first.whole) == (1, 49_999, True)
    assert first_with_count([None] * 5000) is None


def test_others_are_counted_for_a_while_and_then_said_to_be_at_least_so_many():
    bad = (UnreadableRowError("empty cell", row, "logits") for row in range(100_000))
    first = first_with_count(bad, patience_seconds=-1.0)
    assert not first.whole
    assert first.more == f"at least {first.others} more rows like this nearby"


ROWS = 400_000
MANY = {
    "few-cells.csv": b"label,logit_0,logit_1\n" + b"0,1,2\n" * 99 + b"x\n" * ROWS,
    "words.csv": b"label,logit_0,logit_1\n" + b"0,1,2\n" * 99 + b"0,1.2345678,xxxxxxx\n" * ROWS,
    "labels.csv": b"label,logit_0,logit_1\n" + b"0,1,2\n" * 99 + b"x,1.23456,1.234567\n" * ROWS,
    "classes.csv": b"label,logit_0,logit_1\n" + b"0,1,2\n" * 99 + b"7,1.23456,1.234567\n" * ROWS,
    "no-json.jsonl": GOOD * 99 + b"x\n" * ROWS,
    "items.jsonl": GOOD * 99 + b'{"label":0,"logits":[1,"x"]}\n' * ROWS,
    "short.jsonl": GOOD * 99 + b'{"label":0,"logits":[1]}\n' * ROWS,
    "labels.jsonl": GOOD * 99 + b'{"label":[],"logits":[1,2]}\n' * ROWS,
}
PEAK = (
    "import resource, subprocess, sys\n"
    "run = subprocess.run([sys.executable, '-m', 'xent_cli', 'compute', *sys.argv[1:]])\n"
    "peak = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss // (1024 if sys.platform == 'linux' else 1 << 20)\n"
    "print(run.returncode, peak, file=sys.stderr)\n"
)


@pytest.mark.parametrize("name", MANY)
def test_hundreds_of_thousands_of_bad_rows_take_little_memory(name, tmp_path):
    (tmp_path / name).write_bytes(MANY[name])
    run = subprocess.run(
        [sys.executable, "-ISc", PEAK, name],
        cwd=tmp_path,
        env={**os.environ},
        capture_output=True,
        text=True,
        timeout=PATIENCE_SECONDS,
    )
    *told, last = run.stderr.splitlines()
    code, peak = map(int, last.split())
    assert code == 3
    assert "more rows like this" in told[2]
    assert peak < 250


@pytest.mark.parametrize("shift", [1, 2, -1])
def test_a_bad_label_that_a_shift_moves_is_located_in_its_file(shift, tmp_path):
    labels = np.zeros((2, 6), np.int64)
    labels[1, 3] = 77
    np.save(tmp_path / "l.npy", np.zeros((2, 6, 3)))
    np.save(tmp_path / "y.npy", labels)
    with pytest.raises(InputError, match=r"sample 9 \(at \[1, 3\]\)"):
        _compute(tmp_path / "l.npy", tmp_path / "y.npy", "--shift", str(shift))


def test_an_unknown_name_in_a_later_shard_is_located_there(tmp_path):
    (tmp_path / "y").mkdir()
    np.save(tmp_path / "y/0.npy", np.array(["ant", "bee"] * 5))
    np.save(tmp_path / "y/1.npy", np.array(["bee", "ant", "zebra", "ant"]))
    np.save(tmp_path / "l.npy", np.zeros((14, 2)))
    (tmp_path / "names.txt").write_text("ant\nbee\n")
    with pytest.raises(InputError) as error:
        _compute(tmp_path / "l.npy", tmp_path / "y", "--class-names", tmp_path / "names.txt")
    assert error.value.where == f"{tmp_path / 'y/1.npy'} sample 12"


@pytest.mark.parametrize(("first", "one_based"), [([1, 2, 1], True), ([0, 1, 2], False)])
def test_labels_look_1_based_only_where_no_shard_of_them_has_a_0(first, one_based, tmp_path):
    (tmp_path / "y").mkdir()
    np.save(tmp_path / "y" / "0.npy", np.tile(first, 200_000))  # so long that it is not read together with the next
    np.save(tmp_path / "y" / "1.npy", np.array([1, 3, 2]))
    np.save(tmp_path / "l.npy", np.zeros((600_003, 3), np.float16))
    with pytest.raises(InputError) as caught:
        _compute(tmp_path / "l.npy", tmp_path / "y")
    assert ("1-based" in caught.value.hint) == one_based


def _compute(*argv):
    with cli.make_context("xent", ["compute", *map(str, argv), "-q"]) as context:
        cli.invoke(context)
