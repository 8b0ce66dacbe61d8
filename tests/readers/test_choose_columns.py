"""Which columns of a table are the classes: the rules, over every format that has columns."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any
from unicodedata import normalize

import numpy as np
import pyarrow as pa
import pyarrow.csv as pa_csv
import pyarrow.parquet as pq
import pytest

from tests import forked
from tests.readers.tables import write
from xent_cli.core.evaluate import evaluate_block
from xent_cli.core.options import LossOptions, Outputs
from xent_cli.errors import InputError, RowError
from xent_cli.readers.options import ReadOptions
from xent_cli.readers.pair.pair import open_pair

if TYPE_CHECKING:
    from pathlib import Path

    from xent_cli.readers.pair.paired_inputs import Pair

N = 40
RNG = np.random.default_rng(11)
LABELS = np.array([0, 2, 1, *RNG.integers(0, 3, N - 3)])
# Scores of a reasonable model, which are better than a guess.
LOGITS = (RNG.normal(size=(N, 3)) + 3 * np.eye(3)[LABELS]).round(3)
PROBS = np.exp(LOGITS) / np.exp(LOGITS).sum(axis=1, keepdims=True)
NAMES = ("cat", "dog", "fox")
WORDS = [NAMES[y] for y in LABELS]
FORMATS = ("csv", "parquet", "arrow", "jsonl")


def wide(names: Any, values: Any = LOGITS) -> dict[str, Any]:
    return {name: values[:, place] for place, name in enumerate(names)}


def opened(path: Path, columns: dict[str, Any], **options: Any) -> Pair:
    return open_pair(write(path, columns), None, None, ReadOptions(**options))


def loss(pair: Pair, probabilities: bool = False) -> float:
    """Compute the mean loss with NumPy alone."""
    found = []
    for task in pair.tasks():
        block = task.load()
        rows = np.asarray(block.logits, np.float64)
        rows = np.log(rows) if probabilities else rows
        labels = np.asarray(block.labels).reshape(-1).astype(int)
        found += list(np.log(np.exp(rows).sum(axis=1)) - rows[np.arange(len(rows)), labels])
    return float(np.mean(found))


RIGHT = float(np.mean(np.log(np.exp(LOGITS).sum(axis=1)) - LOGITS[np.arange(N), LABELS]))
P = ["prob_0", "prob_1", "prob_2"]
Z = ["logit_0", "logit_1", "logit_2"]
INTEGERS = {"label": LABELS}
TEXT = {"label": WORDS}
ACCENTED = ("caf\u00e9", "na\u00efve", "\u00f6l")
TURNED = LOGITS[:, [2, 0, 1]]

# Other columns next to the classes of a table, and the columns that are chosen nevertheless.
NOT_SAID = "do not say which are the classes"
TABLES = {
    "numbered": wide(Z) | INTEGERS,
    "numbered in another order": wide(["logit_2", "logit_0", "logit_1"], TURNED) | INTEGERS,
    "an index, ids, a fold, a score": {
        "index": np.arange(N)[::-1],
        "image_id": np.arange(N),
        "fold": np.arange(N) % 5,
        **wide(Z),
        "confidence": RNG.random(N),
        **INTEGERS,
    },
    "logits before probabilities": wide(P, PROBS) | wide([f"z_{name}" for name in Z]) | INTEGERS,
    "other numbers are what the model was given": wide(["f0", "f1", "f2"], PROBS - 0.5)
    | wide(["c0", "c1", "c2"])
    | INTEGERS,
    "names after a stem": wide([f"logit_{name}" for name in NAMES]) | INTEGERS,
    "names before a stem": wide([f"{name}_score" for name in NAMES]) | TEXT,
    "names amid": wide([f"species_{name}_PREDICTION" for name in NAMES]) | {"species_PREDICTION": ["dog"] * N} | TEXT,
    "names in brackets": wide([f"score(kind={name})" for name in NAMES]) | TEXT,
    "names without a boundary": wide([f"P_species{name}" for name in NAMES]) | TEXT,
    "names alone, labels of text": wide(NAMES) | {"sentence": ["so it is"] * N} | TEXT,
    "names alone, labels of integers": wide(NAMES) | INTEGERS,
    "names of another case": wide(["Cat", "DOG", "fox"]) | TEXT,
    "a label column with another name": wide(Z) | {"assignedLabel": LABELS},
    "a list": {"logits": LOGITS.tolist(), "embedding": RNG.normal(size=(N, 2)).tolist(), **INTEGERS},
    "ones that count from -1": wide(["-1", "0", "1"]) | {"label": LABELS - 1},
    "ones that count from 1": wide(["class_1", "class_2", "class_3"]) | {"label": LABELS + 1},
    "ones that skip numbers": wide(["logit_3", "logit_5", "logit_8"]) | {"label": np.array([3, 5, 8])[LABELS]},
    "a sign before a number": wide(["logit_-1", "logit_0", "logit_1"]) | {"label": LABELS - 1},
    "a sign within brackets": wide(["score(y=1)", "score(y=-1)", "score(y=0)"], LOGITS[:, [2, 0, 1]])
    | {"label": LABELS - 1},
    "texts of numbers from 1": wide(["logit_1", "logit_2", "logit_3"]) | {"label": [str(y + 1) for y in LABELS]},
    "texts of some numbers": wide(["logit_0", "logit_5", "logit_8"]) | {"label": [str((0, 5, 8)[y]) for y in LABELS]},
    "an index without a name amid": wide(NAMES) | {"": np.arange(N)[::-1]} | TEXT,
    "accents apart in the labels": wide([f"logit_{name}" for name in ACCENTED])
    | {"label": [normalize("NFD", ACCENTED[y]) for y in LABELS]},
    "accents apart in the columns": wide([normalize("NFD", name) for name in ACCENTED])
    | {"label": [ACCENTED[y] for y in LABELS]},
    "bool beside": wide(Z) | {"correct": [True] * N} | INTEGERS,
}


def in_every_format(tables: dict[str, Any]) -> Any:
    """Yield each table with each suffix, except lists with delimited text."""
    held = ((name, columns[0] if isinstance(columns, tuple) else columns) for name, columns in tables.items())
    cases = [(n, s) for n, columns in held for s in FORMATS if s != "csv" or not any(map(of_lists, columns.values()))]
    return pytest.mark.parametrize(("name", "suffix"), cases)


def of_lists(column: Any) -> bool:
    return isinstance(column[0], list)


@in_every_format(TABLES)
def test_the_classes_of_a_table_are_found_in_every_format(name: str, suffix: str, tmp_path: Path) -> None:
    pair = opened(tmp_path / f"t.{suffix}", TABLES[name])
    assert pair.num_classes == 3
    assert loss(pair) == pytest.approx(RIGHT, rel=1e-9)


YES_NO = wide(["Yes", "No"], LOGITS[:, :2]) | {"label": (LOGITS[:, 0] < LOGITS[:, 1]).astype(int)}

# Tables that can be read in two ways, or in none, and a word of the error.
REFUSED: dict[str, tuple[dict[str, Any], str]] = {
    "two models": (
        wide([f"{model}_{name}" for model in "ab" for name in Z], np.tile(LOGITS, 2)) | INTEGERS,
        "2 sets of class columns",
    ),
    "two labels": (
        wide(Z) | {"label": LABELS, "target": LABELS[::-1]},
        "several columns of labels",
    ),
    "features alone": (wide(["f0", "f1", "f2"]) | {"target": LABELS}, "no columns of logits"),
    "features with names": (
        wide(["length", "width", "height"]) | {"depth": RNG.random(N), **INTEGERS},
        NOT_SAID,
    ),
    "another column beside names": (
        wide(NAMES) | INTEGERS | {"seconds": RNG.random(N)},
        NOT_SAID,
    ),
    "a class that may be a loss": (
        wide(["win", "draw"], LOGITS[:, :2]) | {"loss": RNG.random(N) + 0.1, "label": LABELS % 2},
        NOT_SAID,
    ),
    "worse than a guess": (wide(["length", "width", "height"], -9 * LOGITS) | INTEGERS, "worse than a uniform guess"),
    "one score": ({"score": RNG.random(N), "label": LABELS % 2}, "one column is not a softmax"),
    "a top-k output": (wide(["score_0", "score_1", "score_2"], -np.sort(-LOGITS, axis=1)) | INTEGERS, "highest scores"),
    "classes named row by row": (
        {"scores": PROBS.tolist(), "labels": [list(NAMES)[:: 1 - 2 * (i % 2)] for i in range(N)], "y": LABELS},
        "row by row",
    ),
    "integers of a list": ({"input_ids": [[1, 2, 3]] * N, **INTEGERS}, "no columns of logits"),
    "a list beside columns": (
        {"logits": LOGITS.tolist(), **wide(Z), **INTEGERS},
        "which lists",
    ),
    "labels that are names or places": (
        wide(["c_1", "c_2", "c_3"]) | {"label": LABELS % 2 + 1},
        "their places",
    ),
    "what models chose": (
        wide(["pred_0", "pred_1", "pred_2"], np.tile(LABELS[:, None], 3)) | INTEGERS,
        "are these scores",
    ),
    "yes before no": (YES_NO, "is label 0"),
    "a class before its negation": (
        dict(zip(("spam", "not_spam", "label"), YES_NO.values(), strict=True)),
        "is label 0",
    ),
    "an order in which a guess is better": (
        wide(["spam", "ham"], LOGITS[:, :2]) | {"label": (LOGITS[:, 0] > LOGITS[:, 1]).astype(int)},
        "which class is label 0",
    ),
    "another order of three": (wide(["fox", "cat", "dog"], TURNED) | INTEGERS, "which class is label 0"),
    "one name in two forms of Unicode": (
        wide(["caf\u00e9", "cafe\u0301", "fox"]) | {"label": [("caf\u00e9", "cafe\u0301", "fox")[y] for y in LABELS]},
        "two columns of one name",
    ),
}


@in_every_format(REFUSED)
def test_a_table_that_leaves_a_question_is_refused_in_every_format(name: str, suffix: str, tmp_path: Path) -> None:
    columns, said = REFUSED[name]
    with pytest.raises(InputError) as caught:
        opened(tmp_path / f"t.{suffix}", columns)
    assert said in caught.value.what
    assert caught.value.hint


@pytest.mark.parametrize("names", [["True", "False"], ["False", "True"], ["Yes", "No"], ["no", "yes"]])
@pytest.mark.parametrize("suffix", FORMATS)
def test_true_and_false_mean_the_columns_of_that_name(names: list[str], suffix: str, tmp_path: Path) -> None:
    labels = LABELS == 0
    pair = opened(tmp_path / f"t.{suffix}", wide(names, LOGITS[:, :2]) | {"label": labels})
    affirmative = [name.lower() in ("true", "yes") for name in names].index(True)
    rows = LOGITS[:, :2]
    wanted = np.log(np.exp(rows).sum(axis=1)) - rows[np.arange(N), np.where(labels, affirmative, 1 - affirmative)]
    assert loss(pair) == pytest.approx(wanted.mean(), rel=1e-9)


def test_probabilities_are_preferred_where_the_user_says_so(tmp_path: Path) -> None:
    columns = wide(Z) | wide(P, PROBS) | INTEGERS
    pair = opened(tmp_path / "t.parquet", columns, source="probs")
    assert pair.logits.info.plan is not None
    assert pair.logits.info.plan.values == ("prob_0", "prob_1", "prob_2")
    assert loss(pair, probabilities=True) == pytest.approx(RIGHT, rel=1e-9)


@pytest.mark.parametrize(
    "asked",
    [("logit_a,logit_b,logit_c",), ("logit_?",), ("logit_a", "logit_b,logit_c"), ("logit_a", "logit_[bc]")],
)
@pytest.mark.parametrize("suffix", FORMATS)
def test_columns_are_named_with_commas_globs_and_repeats(asked: tuple[str, ...], suffix: str, tmp_path: Path) -> None:
    columns = {"logit_z": RNG.random(N).astype(str), **wide(["logit_a", "logit_b", "logit_c"]), **INTEGERS}
    if asked == ("logit_?",):
        del columns["logit_z"]
    assert loss(opened(tmp_path / f"t.{suffix}", columns, logits_column=asked)) == pytest.approx(RIGHT, rel=1e-9)


@pytest.mark.parametrize("suffix", FORMATS)
def test_a_column_that_is_named_must_hold_numbers(suffix: str, tmp_path: Path) -> None:
    columns = wide(["a", "b"]) | {"words": WORDS} | INTEGERS
    with pytest.raises(InputError, match="column holds no logits") as caught:
        opened(tmp_path / f"t.{suffix}", columns, logits_column=("a,words",))
    assert '"words"' in caught.value.where


def test_every_column_that_is_left_out_is_reported_with_its_reason(tmp_path: Path) -> None:
    pair = opened(tmp_path / "t.csv", TABLES["an index, ids, a fold, a score"])
    assert pair.logits.info.plan is not None
    reasons = dict(pair.logits.info.plan.left_out)
    assert list(reasons) == ["index", "image_id", "fold", "confidence"]
    assert all(reasons.values())
    (note,) = [found for found in pair.diagnostics if found.code == "columns-left-out"]
    assert note.note
    assert note.message == "classes: logit_0..logit_2 (3); left out: index, image_id, fold, confidence"


def test_labels_that_write_accents_differently_are_matched_and_said(tmp_path: Path) -> None:
    pair = opened(tmp_path / "t.csv", TABLES["accents apart in the columns"])
    (note,) = [found for found in pair.diagnostics if found.code == "names-composed"]
    assert note.note
    assert "NFC" in note.message
    same = wide(ACCENTED) | {"label": [ACCENTED[y] for y in LABELS]}
    assert all(found.code != "names-composed" for found in opened(tmp_path / "u.csv", same).diagnostics)


@pytest.mark.parametrize("deviations_first", [False, True])
def test_of_means_and_deviations_only_the_means_are_probabilities(deviations_first: bool, tmp_path: Path) -> None:
    means, deviations = (wide([f"p_{n}_{what}" for n in NAMES], x) for what, x in (("mean", PROBS), ("std", PROBS / 9)))
    columns = (deviations | means if deviations_first else means | deviations) | TEXT
    pair = opened(tmp_path / "t.csv", columns, source="probs")
    assert loss(pair, probabilities=True) == pytest.approx(RIGHT, rel=1e-9)


@pytest.mark.parametrize("text", [0, 1, 2])
def test_a_numbered_column_of_text_is_refused_wherever_it_stands(text: int, tmp_path: Path) -> None:
    rows = [[1.5, 2.25, 0.5], [0.5, 1.0, 2.0], [3.0, 1.5, 0.25]] * 10
    lines = [",".join("x" if i == text else str(value) for i, value in enumerate(row)) for row in rows]
    table = "label,score0,score1,score2\n" + "".join(f"{i % 2},{line}\n" for i, line in enumerate(lines))
    (tmp_path / "t.csv").write_text(table)
    with pytest.raises(InputError, match=f'not a column of numbers\n.*column "score{text}": found x'):
        open_pair(str(tmp_path / "t.csv"), None, None, ReadOptions())


def test_elimination_is_a_warning_if_only_the_range_of_labels_supports_it(tmp_path: Path) -> None:
    codes = [found.code for found in opened(tmp_path / "t.csv", wide(NAMES) | INTEGERS).diagnostics if not found.note]
    assert codes == ["classes-by-elimination"]
    assert not [found for found in opened(tmp_path / "u.csv", wide(NAMES) | TEXT).diagnostics if not found.note]


@pytest.mark.parametrize("save", [np.save, np.savetxt], ids=["npy", "text"])
def test_labels_in_a_file_of_their_own_bear_out_columns(save: Any, tmp_path: Path) -> None:
    save(tmp_path / "y.npy", LABELS)
    path = write(tmp_path / "t.csv", wide(NAMES) | {"fold": np.arange(N) % 2})
    assert loss(open_pair(path, str(tmp_path / "y.npy"), None, ReadOptions())) == pytest.approx(RIGHT, rel=1e-9)


@pytest.mark.parametrize("suffix", ["parquet", "arrow"])
def test_labels_that_the_schema_names_are_matched_by_name(suffix: str, tmp_path: Path) -> None:
    names = ["dog", "fox", "cat"]
    features = {"label": {"names": names, "_type": "ClassLabel"}}
    labels = [names.index(word) for word in WORDS]
    table = pa.table(wide(NAMES) | {"label": labels})
    table = table.replace_schema_metadata({"huggingface": json.dumps({"info": {"features": features}})})
    path = tmp_path / f"t.{suffix}"
    if suffix == "parquet":
        pq.write_table(table, path)
    else:
        with pa.OSFile(str(path), "wb") as file, pa.ipc.new_file(file, table.schema) as writer:
            writer.write_table(table)
    assert loss(open_pair(str(path), None, None, ReadOptions())) == pytest.approx(RIGHT, rel=1e-9)


def test_the_index_that_pandas_writes_is_not_a_class(tmp_path: Path) -> None:
    import pandas as pd

    frame = pd.DataFrame(wide(NAMES) | INTEGERS).sample(frac=1, random_state=0)
    frame.to_parquet(tmp_path / "t.parquet")
    frame.to_csv(tmp_path / "t.csv")
    for name in ("t.parquet", "t.csv"):
        assert loss(open_pair(str(tmp_path / name), None, None, ReadOptions())) == pytest.approx(RIGHT, rel=1e-9)


def test_shards_are_read_as_the_first_of_them(tmp_path: Path) -> None:
    (tmp_path / "s").mkdir()
    table = pa.table(wide(NAMES) | INTEGERS).sort_by("label")
    # Neither of the shards has all labels.
    for place, (start, size) in enumerate([(0, 39), (39, 1)]):
        pa_csv.write_csv(table.slice(start, size), tmp_path / "s" / f"part-{place}.csv")
    assert loss(open_pair(str(tmp_path / "s"), None, None, ReadOptions())) == pytest.approx(RIGHT, rel=1e-9)


@pytest.mark.parametrize("suffix", FORMATS)
def test_a_label_that_is_not_a_class_is_reported_with_the_columns_that_were_left_out(
    suffix: str, tmp_path: Path
) -> None:
    columns = wide(["logit_0", "logit_1", "logit_2"]) | {"dog": LOGITS[:, 0], "label": [3, *LABELS[1:]]}
    pair = opened(tmp_path / f"t.{suffix}", columns)
    (task,) = pair.tasks()
    with pytest.raises(RowError) as caught:
        evaluate_block(task, LossOptions(), Outputs())
    assert 'not among the classes: "dog"' in str(pair.complete(caught.value))


@pytest.mark.parametrize("classes", [(0, 1, 2), NAMES])
def test_a_long_table_is_refused_with_the_line_that_pivots_it(classes: Any, tmp_path: Path) -> None:
    columns = {
        "sample_id": np.repeat(np.arange(N), 3),
        "class": [*classes] * N,
        "prob": PROBS.ravel(),
        "label": [classes[y] for y in np.repeat(LABELS, 3)],
    }
    with pytest.raises(InputError, match="a long table") as caught:
        opened(tmp_path / "t.csv", columns)
    done = forked.shell(f"{caught.value.hint} --reduction mean", tmp_path)
    assert float(done.stdout) == pytest.approx(-np.log(PROBS[np.arange(N), LABELS]).mean(), rel=1e-9)


@pytest.mark.parametrize("suffix", FORMATS)
@pytest.mark.parametrize("stem", ["score", "logit_", "p"])
def test_numbered_columns_of_which_one_holds_text_are_refused(tmp_path, suffix, stem):
    columns = {"label": [label % 2 for label in LABELS], f"{stem}0": LOGITS[:, 0], f"{stem}1": LOGITS[:, 1]}
    columns[f"{stem}2"] = [f"x{value}" for value in LOGITS[:, 2]]
    with pytest.raises(InputError, match="not a column of numbers") as caught:
        opened(tmp_path / f"t.{suffix}", columns)
    assert f'column "{stem}2"' in caught.value.where
    assert f"--logits-column {stem}0,{stem}1" in caught.value.hint
