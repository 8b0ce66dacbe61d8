"""Arrays, maps and named scores in cells of delimited text, read without an option if a name says scores."""

import json

import numpy as np
import pandas as pd
import pytest

from xent_cli.errors import InputError
from xent_cli.readers.options import ReadOptions, RunNeeds
from xent_cli.readers.pair.pair import open_pair

N, K = 30, 12
LOGITS = np.random.default_rng(2).normal(size=(N, K)).round(4)
LABELS = np.arange(N) % K
NAMES = [f"{letter}x" for letter in "abcdefghijkl"]


def read(path, **options):
    options = ReadOptions(**{"run": RunNeeds(chunk_bytes=600), **options})
    blocks = [
        (np.array(b.logits), np.array(b.labels))
        for b in (t.load() for t in open_pair(path, None, None, options).tasks())
    ]
    logits, labels = zip(*blocks, strict=True)
    return np.concatenate(logits), np.concatenate(labels)


def table(folder, cells, name="logits", labels=LABELS, **options):
    pd.DataFrame({"id": range(N), name: cells, "label": labels}).to_csv(folder / "t.csv", index=False, **options)
    return str(folder / "t.csv")


FORMS = {
    "numpy, over several lines": lambda row: np.array2string(row, max_line_width=40),
    "numpy, as repr": lambda row: f"array({row.tolist()}, dtype=float32)",
    "a list": lambda row: str(row.tolist()),
    "a list of one row": lambda row: str([row.tolist()]),
    "a tensor": lambda row: f"tensor({row.tolist()})",
    "a tensor on a GPU": lambda row: f"tensor({row.tolist()}, device='cuda:0')",
    "numbers of numpy 2": lambda row: f"[{', '.join(f'np.float64({x})' for x in row.tolist())}]",
    "a tuple": lambda row: str(tuple(row.tolist())),
    "commas": lambda row: ",".join(map(str, row.tolist())),
    "commas and blanks": lambda row: ", ".join(map(str, row.tolist())),
    "blanks": lambda row: " ".join(map(str, row.tolist())),
    "lines": lambda row: "\n".join(map(str, row.tolist())),
}


@pytest.mark.parametrize("separator", [",", ";", "\t"])
@pytest.mark.parametrize("form", FORMS)
def test_an_array_in_a_cell_is_a_row_of_logits(form, separator, tmp_path):
    logits, labels = read(table(tmp_path, [FORMS[form](row) for row in LOGITS], sep=separator))
    np.testing.assert_array_equal(logits, LOGITS)
    np.testing.assert_array_equal(labels, LABELS)


@pytest.mark.parametrize("write", [json.dumps, str])
@pytest.mark.parametrize("form", ["map", "pipeline"])
def test_scores_by_name_in_a_cell_go_to_their_classes(form, write, tmp_path):
    rows = [
        [(NAMES[i], row[i]) for i in np.random.default_rng(place).permutation(K)]
        for place, row in enumerate(LOGITS.tolist())
    ]
    cells = [write(dict(row) if form == "map" else [{"label": n, "score": x} for n, x in row]) for row in rows]
    names = [NAMES[y] for y in LABELS]
    logits, labels = read(table(tmp_path, cells, "scores", names), class_names=tuple(NAMES))
    np.testing.assert_array_equal(logits, LOGITS)
    np.testing.assert_array_equal(labels, LABELS)
    with pytest.raises(InputError, match="classes are named row by row"):
        read(table(tmp_path, cells, "scores"))


@pytest.mark.parametrize(
    "write", [lambda y: f"[{y}]", lambda y: str(np.eye(K, dtype=int)[y]), lambda y: str(np.eye(K)[y].tolist())]
)
def test_a_label_may_stand_in_a_list(write, tmp_path):
    logits, labels = read(table(tmp_path, [str(row.tolist()) for row in LOGITS], labels=[write(y) for y in LABELS]))
    np.testing.assert_array_equal(logits, LOGITS)
    np.testing.assert_array_equal(labels, LABELS)


@pytest.mark.parametrize("row", [0, 17])
def test_an_array_that_numpy_cut_short_is_refused_with_the_setting_that_writes_it_whole(row, tmp_path):
    cells = [str(each.tolist()) for each in LOGITS]
    cells[row] = np.array2string(LOGITS[row], threshold=6)
    with pytest.raises(InputError) as caught:
        read(table(tmp_path, cells))
    assert "set_printoptions(threshold=" in caught.value.hint


def test_arrays_of_another_name_are_ambiguous_and_pairs_of_numbers_are_text(tmp_path):
    cells = [str(row.tolist()) for row in LOGITS]
    with pytest.raises(InputError, match="which lists are the logits"):
        read(table(tmp_path, cells, "activations"))
    frame = pd.DataFrame(LOGITS, columns=[f"logit_{i}" for i in range(K)]).assign(label=LABELS)
    for place in ("52.5 13.4", "52.5,13.4"):
        frame.assign(place=place).to_csv(tmp_path / "t.csv", index=False)
        np.testing.assert_array_equal(read(str(tmp_path / "t.csv"))[0], LOGITS)


def test_lists_of_names_beside_lists_of_scores_are_refused_where_they_are_text(tmp_path):
    frame = pd.DataFrame({"labels": [str(NAMES)] * N, "scores": [str(row.tolist()) for row in LOGITS], "y": LABELS})
    frame.to_csv(tmp_path / "t.csv", index=False)
    with pytest.raises(InputError, match="given row by row"):
        read(str(tmp_path / "t.csv"))


@pytest.mark.parametrize("rows", [["s0,0.5,2,1", "s1,3,1.5,0"], ["1,0.5,2,1", "2,3,1.5,0"]])
def test_a_name_that_is_missing_may_be_that_of_the_last_column(rows, tmp_path):
    (tmp_path / "t.csv").write_text("\n".join(["name,cat,dog", *rows, ""]))
    with pytest.raises(InputError, match="wrong number of cells"):
        read(str(tmp_path / "t.csv"), label_column="dog", logits_column=("name", "cat"))


def test_lines_of_arrays_as_numpy_prints_them_are_a_question_of_which_column(tmp_path):
    np.save(tmp_path / "y.npy", LABELS)
    (tmp_path / "t.txt").write_text("".join(f"{np.array2string(row, max_line_width=999)}\n" for row in LOGITS))
    pair = open_pair(str(tmp_path / "t.txt"), str(tmp_path / "y.npy"), None, ReadOptions(logits_column=("0",)))
    np.testing.assert_array_equal(np.concatenate([np.array(task.load().logits) for task in pair.tasks()]), LOGITS)
    with pytest.raises(InputError, match="which lists are the logits"):
        open_pair(str(tmp_path / "t.txt"), str(tmp_path / "y.npy"), None, ReadOptions())
