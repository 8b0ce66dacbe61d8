"""JSON as pandas, polars, DuckDB, servers and pipelines write it: documents, nested rows, scores by name."""

import gzip
import json
import os
import threading

import duckdb
import numpy as np
import pandas as pd
import polars as pl
import pytest

from tests.readers import tables
from xent_cli.errors import InputError
from xent_cli.readers.options import ReadOptions, RunNeeds
from xent_cli.readers.pair.pair import open_pair

N = 40
NAMES = ["cat", "dog", "emu"]
LOGITS = np.random.default_rng(11).normal(size=(N, 3)).round(6)
LABELS = np.arange(N) % 3
PROBS = np.exp(LOGITS) / np.exp(LOGITS).sum(axis=1, keepdims=True)
FRAME = pd.DataFrame(LOGITS, columns=[f"logit_{name}" for name in NAMES]).assign(label=[NAMES[y] for y in LABELS])
LISTS = {"logits": LOGITS.tolist(), "labels": LABELS.tolist()}
SHUFFLED = [np.random.default_rng(i).permutation(3) for i in range(N)]


def read(path, labels=None, **options):
    return tables.read(path, labels, ReadOptions(**{"run": RunNeeds(chunk_bytes=500), **options}))


def holds(path, text, values=LOGITS, **options):
    if text is not None:
        path.write_text(text)
    logits, labels = read(path, **options)
    np.testing.assert_array_equal(logits, values)
    np.testing.assert_array_equal(labels, LABELS)


def records(frame):
    return frame.to_dict("records")


DOCUMENTS = {
    "columns": LISTS,
    "columns and what is about all of them": {"model": "m", "version": 3, **LISTS},
    "rows of lists": [{"logits": row, "label": y} for row, y in zip(LOGITS.tolist(), LABELS.tolist(), strict=True)],
    "records": records(FRAME),
    "records under one key": {"predictions": records(FRAME)},
    "records under two keys": {"result": {"predictions": records(FRAME)}},
    "one list a class": {name: FRAME[name].tolist() for name in FRAME},
    "a table of Weights & Biases": {"columns": list(FRAME), "data": FRAME.to_numpy().tolist()},
    "names of the classes beside": {"class_names": NAMES, **LISTS, "labels": [NAMES[y] for y in LABELS]},
    "names and number of the classes": {"class_names": NAMES, **LISTS},
    "objects of logits": {
        "logits": [dict(zip(NAMES, row, strict=True)) for row in LOGITS.tolist()],
        "labels": LISTS["labels"],
    },
    "labels in lists": {**LISTS, "labels": [[y] for y in LISTS["labels"]]},
    "labels in objects": {**LISTS, "labels": [{"label": y} for y in LISTS["labels"]]},
    "one-hot labels": {**LISTS, "labels": np.eye(3)[LABELS].tolist()},
    "one-hot labels of whole numbers": {**LISTS, "labels": np.eye(3, dtype=int)[LABELS].tolist()},
    "answers of KServe": {
        "model_name": "m",
        "outputs": [
            {"name": "logits", "datatype": "FP32", "shape": [N, 3], "data": LOGITS.ravel().tolist()},
            {"name": "label", "datatype": "INT64", "shape": [N], "data": LISTS["labels"]},
        ],
    },
}


@pytest.mark.parametrize("indent", [None, 1, 4])
@pytest.mark.parametrize("name", DOCUMENTS)
def test_a_document_is_read_in_the_forms_in_which_it_is_written(name, indent, tmp_path):
    holds(tmp_path / "t.json", json.dumps(DOCUMENTS[name], indent=indent))


@pytest.mark.parametrize("indent", [None, 2])
@pytest.mark.parametrize("key", ["predictions", "outputs"])
def test_predictions_of_servers_go_with_labels_of_their_own(key, indent, tmp_path):
    np.save(tmp_path / "y.npy", LABELS)
    (tmp_path / "t.json").write_text(json.dumps({key: LOGITS.tolist()}, indent=indent))
    holds(tmp_path / "t.json", None, labels=tmp_path / "y.npy")
    (tmp_path / "t.json").write_text(json.dumps(LOGITS.tolist(), indent=indent))
    holds(tmp_path / "t.json", None, labels=tmp_path / "y.npy")


@pytest.mark.parametrize("names", [False, True])
def test_labels_may_be_a_document(names, tmp_path):
    FRAME.drop(columns="label").to_csv(tmp_path / "l.csv", index=False)
    labels = [NAMES[y] for y in LABELS] if names else LABELS.tolist()
    (tmp_path / "y.json").write_text(json.dumps(labels))
    holds(tmp_path / "l.csv", None, labels=tmp_path / "y.json")


@pytest.mark.parametrize("orient", ["records", "split", "index", "columns", "table"])
@pytest.mark.parametrize("indent", [0, 2])
@pytest.mark.parametrize("index", [range(N), [f"s{i}" for i in range(N)], range(5, 5 + N)])
def test_every_orient_of_pandas_that_names_the_columns_reads_back(orient, indent, index, tmp_path):
    FRAME.set_axis(index).to_json(tmp_path / "t.json", orient=orient, indent=indent, double_precision=15)
    holds(tmp_path / "t.json", None)


@pytest.mark.parametrize("orient", ["split", "index", "columns"])
@pytest.mark.parametrize("index", [range(N), [f"s{i}" for i in range(N)], range(500, 500 + N)])
def test_labels_whose_index_stands_in_a_different_order_are_refused(orient, index, tmp_path):
    frame = FRAME.assign(label=LABELS).set_axis(index)
    # If the index does not count from 0, only a column of labels distinguishes rows from columns.
    logits = frame.drop(columns="label") if index == range(N) else frame
    logits.to_json(tmp_path / "z.json", orient=orient, double_precision=15)
    frame[["label"]].iloc[::-1].to_json(tmp_path / "y.json", orient=orient)
    with pytest.raises(InputError, match="in a different order"):
        read(tmp_path / "z.json", tmp_path / "y.json")


@pytest.mark.parametrize("orient", ["split", "columns"])
def test_labels_with_an_index_of_a_different_set_of_rows_are_taken_by_position(orient, tmp_path):
    FRAME.drop(columns="label").to_json(tmp_path / "z.json", orient="split", double_precision=15)
    index = np.random.default_rng(3).permutation(500)[:N]
    pd.DataFrame({"label": LABELS}, index=index).to_json(tmp_path / "y.json", orient=orient)
    holds(tmp_path / "z.json", None, labels=tmp_path / "y.json")


@pytest.mark.parametrize("logits", ["csv", "json", "parquet"])
@pytest.mark.parametrize("labels", ["csv", "json", "parquet"])
def test_an_index_without_a_name_is_compared_across_formats(logits, labels, tmp_path):
    write = {
        "csv": pd.DataFrame.to_csv,
        "json": lambda frame, path: frame.to_json(path, orient="split", double_precision=15),
        "parquet": pd.DataFrame.to_parquet,
    }
    frame = FRAME.assign(label=LABELS).set_axis([f"s{i}" for i in range(N)])
    write[logits](frame.drop(columns="label"), tmp_path / f"z.{logits}")
    write[labels](frame[["label"]].iloc[::-1], tmp_path / f"y.{labels}")
    with pytest.raises(InputError, match="in a different order"):
        read(tmp_path / f"z.{logits}", tmp_path / f"y.{labels}")


def test_a_name_that_an_index_has_in_a_different_format_is_no_column_to_join_by(tmp_path):
    FRAME.drop(columns="label").to_csv(tmp_path / "z.csv")
    FRAME[["label"]].to_csv(tmp_path / "y.csv")
    with pytest.raises(InputError, match="no such column"):
        read(tmp_path / "z.csv", tmp_path / "y.csv", join="Unnamed: 0")


@pytest.mark.parametrize("digits", [309, 400, 4000])
def test_a_document_with_a_whole_number_beyond_float64_is_refused(digits, tmp_path):
    path = tmp_path / "t.json"
    path.write_text(json.dumps(LISTS).replace(str(LOGITS[4, 1]), "-" + "9" * digits))
    with pytest.raises(InputError, match="a number beyond float64"):
        read(path)


def test_a_label_of_many_digits_is_no_overflow(tmp_path):
    rows = [{"logit_a": 1.5, "logit_b": 2.5, "label": label} for label in (0, 1, 10**400)]
    (tmp_path / "t.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    assert read(tmp_path / "t.jsonl")[1].tolist() == [0, 1, np.inf]


@pytest.mark.parametrize("orient", ["index", "columns"])
def test_numbers_as_names_of_rows_and_columns_are_ambiguous(orient, tmp_path):
    pd.DataFrame(LOGITS).to_json(tmp_path / "t.json", orient=orient)
    np.save(tmp_path / "y.npy", LABELS)
    with pytest.raises(InputError, match="rows or columns"):
        read(tmp_path / "t.json", tmp_path / "y.npy")


def test_what_polars_and_duckdb_write_reads_back(tmp_path):
    frame = pl.from_pandas(FRAME)
    frame.write_json(tmp_path / "polars.json")
    frame.write_ndjson(tmp_path / "polars.jsonl")
    connection = duckdb.connect()
    connection.register("frame", frame.to_arrow())
    connection.execute(f"COPY frame TO '{tmp_path}/lines.json' (FORMAT json)")
    connection.execute(f"COPY frame TO '{tmp_path}/array.json' (FORMAT json, ARRAY true)")
    connection.execute(f"COPY frame TO '{tmp_path}/duckdb.csv' (FORMAT csv, DELIMITER '|')")
    for path in sorted(tmp_path.iterdir()):
        holds(path, None)


def lines(rows):
    return "".join(f"{json.dumps(row)}\n" for row in rows)


def named(row, order):
    return [(NAMES[i], row[i]) for i in order]


ROWS = list(zip(PROBS.tolist(), [NAMES[y] for y in LABELS], SHUFFLED, strict=True))
BY_NAME = {
    "a map": [{"probs": dict(named(p, o)), "label": y} for p, y, o in ROWS],
    "dotted keys": [{**{f"probs.{name}": x for name, x in named(p, o)}, "label": y} for p, y, o in ROWS],
    "a pipeline": [{"scores": [{"label": n, "score": x} for n, x in named(p, o)], "label": y} for p, y, o in ROWS],
    "BigQuery": [
        {
            "predicted_label": "cat",
            "predicted_label_probs": [{"label": n, "prob": x} for n, x in named(p, o)],
            "label": y,
        }
        for p, y, o in ROWS
    ],
    "zero-shot": [
        {"sequence": "a", "labels": [n for n, _ in named(p, o)], "scores": [x for _, x in named(p, o)], "truth": y}
        for p, y, o in ROWS
    ],
    "AutoML": [
        {
            "instance": {"text": "a", "label": y},
            "prediction": {"displayNames": [n for n, _ in named(p, o)], "confidences": [x for _, x in named(p, o)]},
        }
        for p, y, o in ROWS
    ],
    "BlazingText": [
        {"label": [n for n, _ in named(p, o)], "prob": [x for _, x in named(p, o)], "truth": y} for p, y, o in ROWS
    ],
    "SageMaker beside its input": [
        {
            "features": [1.5],
            "label": y,
            "SageMakerOutput": {"predictions": [{"probs": dict(named(p, o)), "kind": "a"}]},
        }
        for p, y, o in ROWS
    ],
    "lists of one": [{"probs": [dict(named(p, o))], "label": y} for p, y, o in ROWS],
}


@pytest.mark.parametrize("form", ["lines", "document", "pretty"])
@pytest.mark.parametrize("name", BY_NAME)
def test_scores_by_name_go_to_their_classes_whatever_their_order(name, form, tmp_path):
    rows = BY_NAME[name]
    text = lines(rows) if form == "lines" else json.dumps(rows, indent=2 if form == "pretty" else None)
    (tmp_path / "t.json").write_text(text)
    logits, labels = read(tmp_path / "t.json", source="probs", class_names=tuple(NAMES))
    np.testing.assert_array_equal(logits, PROBS)
    np.testing.assert_array_equal(labels, LABELS)


@pytest.mark.parametrize("name", ["a map", "a pipeline", "zero-shot"])
def test_scores_by_name_in_changing_order_are_refused_for_labels_that_are_numbers(name, tmp_path):
    np.save(tmp_path / "y.npy", LABELS)
    (tmp_path / "t.jsonl").write_text(lines(BY_NAME[name]))
    with pytest.raises(InputError, match="classes are named row by row"):
        read(tmp_path / "t.jsonl", tmp_path / "y.npy", source="probs")


def test_a_pipeline_without_anything_beside_is_refused_for_numbers_as_its_scores_descend(tmp_path):
    np.save(tmp_path / "y.npy", LABELS)
    rows = [[{"label": NAMES[i], "score": p[i]} for i in np.argsort(p)[::-1]] for p in PROBS]
    for text in (lines(rows), json.dumps(rows), lines([[row] for row in rows])):
        (tmp_path / "t.json").write_text(text)
        with pytest.raises(InputError, match="classes are named row by row"):
            read(tmp_path / "t.json", tmp_path / "y.npy", source="probs")
        logits, _ = read(tmp_path / "t.json", tmp_path / "y.npy", source="probs", class_names=tuple(NAMES))
        np.testing.assert_array_equal(logits, PROBS)


def test_lines_of_bare_lists_are_rows(tmp_path):
    np.save(tmp_path / "y.npy", LABELS)
    holds(tmp_path / "t.jsonl", lines(LOGITS.tolist()), labels=tmp_path / "y.npy")


@pytest.mark.parametrize(
    ("rows", "what"),
    [
        ([[0.5, 1.0], [0.5, 1.0, 2.0]], "list of the wrong length"),
        ([[0.5, 1.0], [0.5, None]], "not a number"),
        ([[0.5, 1.0], "x"], "not a list"),
    ],
)
@pytest.mark.parametrize("indent", [None, 1])
def test_a_bad_row_of_a_document_is_named_by_its_place(rows, what, indent, tmp_path):
    document = {"logits": [[0.25, 1.0]] * 30 + rows, "labels": [0] * 32}
    (tmp_path / "t.json").write_text(json.dumps(document, indent=indent))
    with pytest.raises(InputError, match=what) as caught:
        read(tmp_path / "t.json")
    assert "t.json row 31 (sample 31)" in caught.value.where


@pytest.mark.parametrize(
    ("text", "what"),
    [
        ('{\n "logits": [[0.5, 1], [2, 3]],\n "labels": [0, 1, 1]\n}', "columns of different length"),
        ('{\n "logits": [[0.5, 1], [2, 3]],\n "labels": [0, 1\n}', "not JSON"),
        ('{\n "logits": [[0.5, 1], [2, 3]],\n "logits": [[0.5, 1], [2, 3]]\n}', "not JSON"),
        ("[\n" + "[" * 100_000, "not JSON"),
        ('{\n "logits": [[0.5, 1e999]],\n "labels": [0]\n}', "not JSON"),
        ('{\n "logits": [[0.5, ' + "9" * 5000 + ']],\n "labels": [0]\n}', "not JSON"),
        ("[]", "empty file"),
        ("[\n]", "empty file"),
        ('{\n "columns": ["a", "b"],\n "data": [[1, 2], [3]]\n}', "wrong number of cells"),
        ('{\n "columns": ["a", "a"],\n "data": [[1, 2], [3, 4]]\n}', "two columns of one name"),
    ],
)
def test_a_document_that_holds_no_table_is_refused_with_a_reason(text, what, tmp_path):
    (tmp_path / "t.json").write_text(text)
    with pytest.raises(InputError) as caught:
        read(tmp_path / "t.json")
    assert caught.value.what == what
    assert "t.json" in caught.value.where


@pytest.mark.parametrize(
    "label", [[0.25, 0.75, 0.0], [1.0, 1.0, 0.0], [0.0, 0.0, 0.0], [1.0, 0.0], [], [0.0, None, 1.0], ["a", "b", "c"]]
)
def test_a_label_in_a_list_that_says_no_single_class_is_refused(label, tmp_path):
    rows = [{"logits": row, "label": np.eye(3)[y].tolist()} for row, y in zip(LOGITS.tolist(), LABELS, strict=True)]
    rows[17]["label"] = label
    (tmp_path / "t.jsonl").write_text(lines(rows))
    with pytest.raises(InputError) as caught:
        read(tmp_path / "t.jsonl")
    assert "sample 17" in caught.value.where


def stored(folder, how, text):
    """Return the path of a document as a file, a compressed file or a named pipe."""
    path = folder / ("t.json.gz" if how == "compressed" else "t.json")
    if how == "pipe":
        os.mkfifo(path)
        threading.Thread(target=path.write_text, args=(text,), daemon=True).start()
    else:
        path.write_bytes(gzip.compress(text.encode()) if how == "compressed" else text.encode())
    return path


@pytest.mark.parametrize("indent", [None, 1])
@pytest.mark.parametrize("how", ["file", "compressed", "pipe"])
def test_a_document_is_read_wherever_it_comes_from(how, indent, tmp_path):
    holds(stored(tmp_path, how, json.dumps(LISTS, indent=indent)), None)


@pytest.mark.parametrize("how", ["file", "compressed", "pipe"])
def test_a_document_beyond_the_limit_is_refused_with_the_line_that_makes_lines_of_it(how, tmp_path):
    path = stored(tmp_path, how, json.dumps(DOCUMENTS["records"]))
    with pytest.raises(InputError, match="JSON document too large") as caught:
        read(path, run=RunNeeds(document_bytes=1000))
    assert f"jq -c '.[]' '{path}' > rows.jsonl" in caught.value.hint


def test_numbers_of_a_document_are_the_same_bits(tmp_path):
    text = '{"logits": [[0.1000000000000000055511151231257827, 1e-320], [-0.0, 1E5]], "labels": [0, 1]}'
    (tmp_path / "t.json").write_text(text)
    logits, _ = read(tmp_path / "t.json")
    assert logits.tobytes() == np.array([[0.1, 1e-320], [-0.0, 1e5]]).tobytes()


@pytest.mark.parametrize("name", ["subject", "doc.subject", "year", "doc.of.year"])
def test_a_nested_value_is_a_column_by_its_short_and_its_full_name(tmp_path, name):
    docs = [{"subject": "law", "of": {"year": "1999", "n": 1}}, {"subject": "art", "of": {"year": "2001", "n": 2}}]
    rows = [{"logits": [0.5, 0.25], "label": place, "doc": doc} for place, doc in enumerate(docs)]
    (tmp_path / "t.jsonl").write_text("".join(f"{json.dumps(row)}\n" for row in rows))
    pair = open_pair(str(tmp_path / "t.jsonl"), None, None, ReadOptions(by=(name,)))
    (task,) = pair.tasks()
    expected = ["1999", "2001"] if name.endswith("year") else ["law", "art"]
    assert task.load().groups[:, 0].tolist() == expected
