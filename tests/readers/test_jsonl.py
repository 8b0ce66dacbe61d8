import bz2
import gzip
import json

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.readers.tables import read
from xent_cli.errors import InputError, RowError
from xent_cli.readers.options import ReadOptions, RunNeeds
from xent_cli.readers.pair.pair import open_pair


@given(
    rows=st.lists(
        st.tuples(st.integers(0, 1), st.floats(), st.floats(), st.text(max_size=20)), min_size=1, max_size=12
    ),
    end=st.sampled_from(["\n", "\r\n", "\n\n", "\n \n"]),
    last=st.booleans(),
    bom=st.booleans(),
    piece=st.sampled_from([16, 33, 100, 1 << 20]),
)
def test_every_number_reads_back_however_the_file_is_laid_out_and_cut(rows, end, last, bom, piece, tmp_path_factory):
    lines = [json.dumps({"text": text, "label": y, "logits": [a, b]}) for y, a, b, text in rows]
    path = tmp_path_factory.getbasetemp() / "t.jsonl"
    path.write_bytes((b"\xef\xbb\xbf" if bom else b"") + (end.join(lines) + end * last).encode())
    logits, labels = read(path, options=ReadOptions(run=RunNeeds(chunk_bytes=piece)))
    np.testing.assert_array_equal(logits, [[a, b] for _, a, b, _ in rows])
    assert labels.tolist() == [y for y, *_ in rows]


@pytest.mark.parametrize("pack", [gzip.compress, bz2.compress])
def test_compressed_lines_are_read(pack, tmp_path):
    (tmp_path / "t").write_bytes(pack(b'{"logits": [1, 2.5], "y": 1}\n'))
    assert read(tmp_path / "t")[0].tolist() == [[1.0, 2.5]]


def test_keys_may_be_named_and_labels_may_be_names_of_classes(tmp_path):
    (tmp_path / "t.jsonl").write_text('{"a": [1, 2], "b": [3, 4], "gold": "dog"}\n')
    options = ReadOptions(logits_column=("b",), label_column="gold", class_names=("cat", "dog"))
    logits, labels = read(tmp_path / "t.jsonl", options=options)
    assert (logits.tolist(), labels.tolist()) == ([[3.0, 4.0]], [1])


GOOD = '{"logits": [1, 2], "label": 1}'


@pytest.mark.parametrize(
    ("bad", "what", "found"),
    [
        ('{"logits": [1, "x"], "label": 1}', "not a number", '"x"'),
        ('{"logits": [1, null], "label": 1}', "not a number", "null"),
        ('{"logits": [1], "label": 1}', "list of the wrong length", "1 values"),
        ('{"logits": 5, "label": 1}', "not a list", "5"),
        ('{"logits": [1, 2]}', "missing value", "no such key"),
        ('{"logits": [1, 2], "label": null}', "missing value", "null"),
        ('{"logits": [1, 2], "label": tru', "not a JSON object", '"label": tru'),
        ("[" * 100_000, "not a JSON object", "[[["),
    ],
)
def test_an_error_finds_the_line_and_counts_the_others(bad, what, found, tmp_path):
    path = tmp_path / "t.jsonl"
    path.write_text(f"{GOOD}\n\n{GOOD}\n{bad}\n{GOOD}\n{bad}\n")
    with pytest.raises(InputError) as caught:
        read(path)
    assert caught.value.what == what
    assert caught.value.where.startswith(f"{path} line 4 (sample 2)")
    assert found in caught.value.found
    assert caught.value.more == "1 more row like this nearby"


def test_a_list_of_lists_is_refused_with_what_to_do(tmp_path):
    (tmp_path / "t.jsonl").write_text('{"logits": [[1, 2], [3, 4]], "label": 1}\n')
    with pytest.raises(InputError, match="lists in a list"):
        read(tmp_path / "t.jsonl")


def test_an_unknown_name_is_located_by_its_line(tmp_path):
    path = tmp_path / "t.jsonl"
    path.write_text('{"logits": [1, 2], "label": "cat"}\n\n{"logits": [1, 2], "label": "dig"}\n')
    pair = open_pair(str(path), None, None, ReadOptions(class_names=("cat", "dog")))
    with pytest.raises(RowError) as caught:
        [task.load() for task in pair.tasks()]
    assert pair.complete(caught.value).where == f'{path} line 3 (sample 1), key "label"'


@pytest.mark.parametrize("line", ["null", " null", "3", "[1]"])
def test_a_piece_that_begins_with_no_object_is_refused_by_its_line(line, tmp_path):
    good = '{"logits": [1, 2], "label": 0}\n'
    (tmp_path / "t.jsonl").write_text(f"{good * 5}{line}\n{good}")
    with pytest.raises(InputError, match="not a JSON object") as caught:
        read(tmp_path / "t.jsonl", options=ReadOptions(run=RunNeeds(chunk_bytes=31)))
    assert "line 6 (sample 5)" in caught.value.where


@pytest.mark.parametrize("listed", [True, False])
def test_one_hot_labels_may_be_true_and_false(listed, tmp_path):
    rows = [[False, True], [True, False], [False, True]]
    texts = [{"label": row} if listed else {"label_a": row[0], "label_b": row[1]} for row in rows]
    path = tmp_path / "t.jsonl"
    path.write_text("".join(json.dumps({"logit_a": 1.5, "logit_b": 2, **text}) + "\n" for text in texts))
    options = ReadOptions(logits_column=("logit_*",), label_column="label" if listed else "label_*")
    pair = open_pair(str(path), None if listed else str(path), None, options)
    labels = np.concatenate([task.load().labels for task in pair.tasks()])
    assert (labels == 1).tolist() == ([True, False, True] if listed else rows)


def test_a_word_among_one_hot_labels_is_refused_by_its_line(tmp_path):
    path = tmp_path / "t.jsonl"
    path.write_text(
        '{"logit_a": 1, "logit_b": 2, "label_a": true, "label_b": false}\n'
        '{"logit_a": 1, "logit_b": 2, "label_a": "no", "label_b": true}\n'
    )
    pair = open_pair(str(path), str(path), None, ReadOptions(logits_column=("logit_*",), label_column="label_*"))
    with pytest.raises(InputError) as caught:
        [task.load() for task in pair.tasks()]
    assert (caught.value.where, caught.value.found) == (f'{path} line 2 (sample 1), key "label_a"', '"no"')
