"""Mistakes of newcomers: each is reported in the same form, leaves no file, and the line suggested for it works.

`XENT_UPDATE_GOLDEN=1 pytest tests/cli/test_mistakes.py` rewrites the messages; review them with `git diff`.
"""

import gzip
import os
import pickle
import re
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from tests import forked

TOLD = Path(__file__).parent / "stored" / "mistakes.txt"
UPDATE = "XENT_UPDATE_GOLDEN" in os.environ
USAGE, NO_ANSWER = 2, 3

# The mistake, its exit code, and the line in the hint that does what the user meant, if there is one.
MISTAKES = [
    ("xent comput l.npy y.npy", USAGE, "xent compute l.npy y.npy"),
    ("xent l.npy y.npy", USAGE, "xent compute l.npy y.npy"),
    ("xent compute y.npy l.npy", NO_ANSWER, "xent compute l.npy y.npy"),
    ("xent check y.npy l.npy --max mean_loss=2 -q", NO_ANSWER, "xent check l.npy y.npy --max mean_loss=2 -q"),
    ("xent compute l.npy", NO_ANSWER, ""),
    ("xent calibrate l.npy --folds 3", NO_ANSWER, ""),
    ("xent compute l.npy one_based.npy", NO_ANSWER, "--first-class 1"),
    ("xent compute l.npy padded.npy", NO_ANSWER, "--ignore-index -100"),
    ("xent compute l.npy too_high.npy", NO_ANSWER, "are these the labels of these logits"),
    ("xent compute l.npy halves.npy", NO_ANSWER, ""),
    ("xent compute l.npy true_false.npy", NO_ANSWER, ""),
    ("xent compute l.npy names.npy", NO_ANSWER, ""),
    ("xent compute transposed.npy y.npy", NO_ANSWER, "xent compute transposed.npy y.npy --axis 0"),
    ("xent compute sequences.npy tokens.npy", NO_ANSWER, "xent compute sequences.npy tokens.npy --axis 1"),
    ("xent compute l.npy y.npy --axis 5", USAGE, ""),
    ("xent compute probs.npy y.npy", NO_ANSWER, "xent compute probs.npy y.npy --from probs"),
    ("xent compute one_class.npy y.npy", NO_ANSWER, ""),
    ("xent compute predicted.csv", NO_ANSWER, ""),
    ("xent compute header.csv y.npy --no-header", NO_ANSWER, ""),
    ("xent compute l.npy one_more.npy", NO_ANSWER, ""),
    ("xent compute l.npy ten.npy", NO_ANSWER, ""),
    ("xent compute l.npy y.npy --sample-weight ten.npy", NO_ANSWER, ""),
    ("xent compute l.npy y.npy --class-weight ten.npy", NO_ANSWER, ""),
    ("xent compute l.npy y.npy --label-smothing 0.1", USAGE, "--label-smoothing"),
    ("xent compute l.npy y.npy --min accuracy=0.9", USAGE, "an option of xent check"),
    ("xent compute l.npy y.npy -q --gradients g.csv", USAGE, "--gradients gradients.npy"),
    ("xent help", USAGE, "; xent --help"),
    ("xent compute l.npy y.npy --top five", USAGE, ""),
    ("xent compute l.npy y.npy --reduction avg", USAGE, ""),
    ("xent compute l.npy y.npy more.npy", USAGE, ""),
    ("xent compute shards/*.npy y.npy", USAGE, "xent compute 'shards/*.npy' y.npy"),
    ("xent compute shards/*.npy", NO_ANSWER, ""),
    ("xent check l.npy y.npy", USAGE, ""),
    ("xent check l.npy y.npy --max mean_los=0.3", USAGE, "mean_loss"),
    ("xent check l.npy y.npy --max mean_loss", USAGE, "--max mean_loss=0.35"),
    ("xent check l.npy y.npy --max mean_loss=low", USAGE, "--max mean_loss=0.35"),
    ("xent check l.npy y.npy --max-increase accuracy=1%", USAGE, "--max-decrease accuracy=1%"),
    (
        "xent check l.npy y.npy --baseline base.json --max-increase mean_loss=1%",
        NO_ANSWER,
        "xent compute l.npy y.npy --report base.json",
    ),
    ("xent check l.npy y.npy --baseline smoothed.json --max-increase mean_loss=1%", NO_ANSWER, ""),
    ("xent compare a.parquet", USAGE, ""),
    ("xent compare a.parquet other_labels.parquet", NO_ANSWER, ""),
    ("xent compare l.npy l.npy", NO_ANSWER, ""),
    ("xent verify l.npy y.npy", USAGE, ""),
    ("xent compute table.csv --label-column lable", NO_ANSWER, '"label"'),
    ("xent compute table.csv --by language", NO_ANSWER, "xent inspect table.csv"),
    ("xent compute l.npy y.npy --by language", USAGE, ""),
    ("xent compute logitz.npy y.npy", NO_ANSWER, "logits.npy"),
    ("xent compute 'sharts/*.npy' y.npy", NO_ANSWER, ""),
    ("xent compute both y.npy", NO_ANSWER, ""),
    ("xent compute nothing y.npy", NO_ANSWER, ""),
    ("xent compute l.pkl y.npy", NO_ANSWER, ""),
    ("xent compute picture.png y.npy", NO_ANSWER, ""),
    ("xent compute empty.csv", NO_ANSWER, ""),
    ("xent compute cut.csv.gz", NO_ANSWER, ""),
    ("xent compute three.npz y.npy", NO_ANSWER, "xent inspect three.npz"),
    ("xent compute nested.parquet", NO_ANSWER, ""),
    ("xent compute l.npy y.npy -o l.npy", USAGE, ""),
    ("xent compute l.npy y.npy -o gone/rows.csv", NO_ANSWER, ""),
    ("xent compute l.npy y.npy -o rows.xlsx", USAGE, "-o rows.csv"),
    ("xent compute l.npy y.npy -q -f csv > /dev/full", NO_ANSWER, ""),
    ("xent compute l.npy y.npy -q -o both", USAGE, "-o both/"),
    ("xent compute - - < l.npy", USAGE, ""),
    ("xent compute - y.npy < /dev/null", NO_ANSWER, ""),
    ("xent compute l.npy nan.npy", NO_ANSWER, "--ignore-missing-labels"),
    ("xent compute names.npy y.npy", NO_ANSWER, ""),
    ("xent compute none.npy none_y.npy", NO_ANSWER, ""),
    ("xent compute l.npy y.npy --input-format csv", NO_ANSWER, "--input-format"),
    ("xent compute l.npy y.npy -q -o rows.csv --mask masks_all.npy", NO_ANSWER, ""),
    ("xent compute l.npy y.npy --sample-weight l.npy", NO_ANSWER, ""),
    ("xent compute dict.pkl", NO_ANSWER, "numpy.savez('dict.npz', **pickle.load("),
    ("xent compute frame.pkl", NO_ANSWER, "pandas.read_pickle('frame.pkl').to_parquet('frame.parquet')"),
    ("xent compute text_cell.csv", NO_ANSWER, "--logits-column"),
    ("xent compute no_cell.csv", NO_ANSWER, "--mask"),
    ("xent compute cow.csv", NO_ANSWER, "--mask mask.csv"),
    ("xent compute cow_alone.csv", NO_ANSWER, "--logits-column 'logit_*'"),
    ("xent compute mixed.csv", NO_ANSWER, "--logits-column 'logit_*'"),
    ("xent compute cut.json", NO_ANSWER, ""),
    ("xent compute cut.jsonl", NO_ANSWER, ""),
    ("xent compute ragged.jsonl", NO_ANSWER, ""),
    ("xent compute predictions.csv", NO_ANSWER, "xent compute predictions.csv --label-column species"),
    ("xent verify l.npy y.npy --loss ten.npy", NO_ANSWER, ""),
    ('xent compute "$UNSET" y.npy', USAGE, "is a variable of the shell not set"),
    ('xent compute l.npy "$UNSET"', USAGE, "is a variable of the shell not set"),
    (
        'xent check l.npy y.npy --baseline "$UNSET" --max-increase mean_loss=1',
        USAGE,
        "is a variable of the shell not set",
    ),
    ('xent compute l.npy y.npy -o "$UNSET"', USAGE, "-o rows.csv"),
    ("xent compute l.npy y.npy --plot losses.pdf", USAGE, "--plot losses.svg"),
    ("xent compute l.npy y.npy --scheduler tcp://h:1", USAGE, ""),
    ("xent compute l.npy y.npy --join id", USAGE, "leave --join out"),
    ("xent compute l.npy y.npy --input-format npz", NO_ANSWER, ""),
    ("xent verify --cases gone", NO_ANSWER, "--write-cases"),
    ("xent compute l.npy y.npy --config gone.toml", USAGE, ""),
    ("xent compute l.npy y.npy --config l.npy", USAGE, "[check]"),
]


@pytest.fixture(scope="module")
def files(tmp_path_factory):
    """Write small files that fit together, and files that do not fit in various ways."""
    folder = tmp_path_factory.mktemp("mistakes")
    draw = np.random.default_rng(3)
    labels = np.arange(12) % 3
    logits = (draw.normal(size=(12, 3)) + 3 * np.eye(3)[labels]).round(2)
    probs = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
    tokens = draw.integers(0, 5, (6, 4))
    arrays = {
        "l": logits, "logits": logits, "y": labels, "one_based": labels + 1, "halves": labels + 0.5,
        "padded": np.where(labels == 2, -100, labels), "too_high": np.where(np.arange(12) == 5, 7, labels),
        "true_false": labels == 1, "names": np.array(["cat", "dog", "emu"])[labels],
        "transposed": logits.T, "sequences": draw.normal(size=(6, 5, 4)).round(2), "tokens": tokens,
        "probs": probs, "one_class": logits[:, :1], "one_more": np.append(labels, 0), "ten": np.ones(10, np.int64),
        "shards/a": logits[:6], "shards/b": logits[6:], "both/logits": logits, "both/labels": labels, "more": labels,
        "nan": np.where(labels == 2, np.nan, labels), "none": logits[:0], "none_y": labels[:0],
        "masks_all": np.zeros(12, bool),
    }  # fmt: skip
    for name in ("shards", "both", "nothing"):
        (folder / name).mkdir()
    for name, array in arrays.items():
        np.save(folder / f"{name}.npy", array)
    np.savez(folder / "three.npz", a=logits, b=logits, c=logits)
    (folder / "l.pkl").write_bytes(logits.dumps())
    (folder / "picture.png").write_bytes(b"\x89PNG\r\n\x1a\n" + bytes(60))
    (folder / "empty.csv").touch()
    rows = [",".join(map(str, row)) for row in logits.tolist()]
    (folder / "header.csv").write_text("\n".join(["0,1,2", *rows, ""]))
    named = [f"{row},{['cat', 'dog', 'emu'][label]}" for row, label in zip(rows, labels, strict=True)]
    sure = [f"{label},{label},0.{50 + place}" for place, label in enumerate(labels.tolist())]
    (folder / "predicted.csv").write_text("\n".join(["label,pred,confidence", *sure, ""]))
    table = "\n".join(["cat,dog,emu,label", *named, ""])
    (folder / "table.csv").write_text(table)
    scored = table.replace("cat,dog,emu,label", "logit_cat,logit_dog,logit_emu,label")
    (folder / "predictions.csv").write_text(scored.replace(",label", ",species"))
    (folder / "cow.csv").write_text(scored.replace(",cat\n", ",cow\n", 1))
    (folder / "cow_alone.csv").write_text("logit_cat,logit_dog,label\n1.5,0.5,cat\n0.1,2.2,cow\n")
    (folder / "mixed.csv").write_text("logit_cat,logit_dog,label\n1.5,0.5,cat\n0.1,2.2,1\n")
    cells = table.split(",")
    (folder / "text_cell.csv").write_text(",".join([*cells[:7], "x", *cells[8:]]))
    (folder / "no_cell.csv").write_text(",".join([*cells[:7], "", *cells[8:]]))
    (folder / "cut.json").write_text('{"logits": [[0.5, 1.5], [2')
    (folder / "cut.jsonl").write_text('{"logits": [0.5, 1.5], "label": 1}\n{"logits": [0.5, 1.5], "la')
    (folder / "ragged.jsonl").write_text('{"logits": [0.5, 1.5], "label": 1}\n{"logits": [0.5], "label": 0}\n')
    (folder / "dict.pkl").write_bytes(pickle.dumps({"logits": logits, "labels": labels}))
    pd.DataFrame(logits).to_pickle(folder / "frame.pkl")
    packed = gzip.compress(table.encode(), mtime=0)
    (folder / "cut.csv.gz").write_bytes(packed[: len(packed) // 2])
    outputs = [{"logits": row, "model": 1} for row in logits.tolist()]
    pq.write_table(pa.table({"output": outputs, "label": labels}), folder / "nested.parquet")
    for line in (
        "xent compute l.npy y.npy -o a.parquet",
        "xent compute l.npy more.npy --first-class 0 -o other_labels.parquet",
        "xent compute l.npy y.npy --label-smoothing 0.1 --report smoothed.json",
    ):
        if "other_labels" in line:
            np.save(folder / "more.npy", labels[::-1].copy())
        assert forked.shell(f"{line} -q > /dev/null", folder).returncode == 0
    return folder


@pytest.fixture(scope="module")
def told():
    """Return the stored message of each mistake by its line; when updating, write the new ones at the end."""
    text = TOLD.read_text() if TOLD.exists() else ""
    stored = dict(part.split("\n", 1) for part in re.split(r"^\$ ", text, flags=re.MULTILINE)[1:])
    found = {}
    yield stored, found
    if UPDATE and len(found) == len(MISTAKES):
        TOLD.write_text("".join(f"$ {line}\n{found[line]}" for line, *_ in MISTAKES))


def entries(folder):
    """Return every file below a folder, and the time of its last change."""
    return {str(path): path.stat().st_mtime_ns for path in folder.rglob("*")}


@pytest.mark.parametrize(("line", "code", "meant"), MISTAKES, ids=[line for line, *_ in MISTAKES])
def test_the_error_of_a_mistake_says_what_to_do(line, code, meant, files, told):
    before = entries(files)
    run = forked.shell(line, files, {**os.environ, "COLUMNS": "100"})
    stored, found = told
    found[line] = run.stderr
    assert (run.returncode, run.stdout) == (code, "")
    assert entries(files) == before
    first, *rest = run.stderr.splitlines()
    assert first.startswith("error: ")
    assert rest[-1].startswith("hint: ")
    assert all(part.startswith("  ") for part in rest[:-1])
    assert meant in rest[-1]
    if not UPDATE:
        assert run.stderr == stored[line]
    if meant.startswith("xent "):
        done = forked.shell(f"{meant} -q" if "inspect" not in meant else meant, files)
        assert (done.returncode, done.stderr.count("error")) == (0, 0)
