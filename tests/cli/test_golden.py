"""Golden command cases: bash runs each line of a folder's `cmd`, whose output is compared with the files next to it.

`XENT_UPDATE_GOLDEN=1 pytest tests/cli/test_golden.py` rewrites the files; review them with `git diff`.
"""

import os
import re
import shutil
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

import xent_cli
from tests import forked
from xent_cli.core.kernel.variants import why_not_compiled

HERE = Path(__file__).parent / "golden"
CASES = sorted(folder.name for folder in HERE.iterdir() if folder.is_dir())
UPDATE = "XENT_UPDATE_GOLDEN" in os.environ
# The files contain the results of the compiled kernel, bit for bit; the last digits of NumPy depend on the processor.
BY_NUMPY = bool(why_not_compiled())
DIGITS = re.compile(r"\d+\.\d{12,}(e-?\d+)?")
# A line of plain words is run without bash, which takes as long as the command.
PLAIN = re.compile(r"xent [\w./=:,+%@ -]*\n")


class Trap:
    """Leaves a file behind if it is ever unpickled."""

    def __reduce__(self):
        return (open, ("unpickled", "w"))


@pytest.fixture(scope="module")
def inputs(tmp_path_factory):
    """Write small files like those of users: right ones and wrong ones."""
    folder = tmp_path_factory.mktemp("inputs")
    logits = np.array([[1.0, 2.0, 3.0], [4.0, 5.0, 6.0]])
    np.save(folder / "l.npy", logits)
    np.save(folder / "y.npy", np.array([2, 0]))
    np.save(folder / "onehot.npy", np.array([[0, 0, 1], [1, 0, 0]]))
    np.save(folder / "other_length.npy", np.array([2, 0, 1]))
    np.save(folder / "fraction.npy", np.array([0.5, 1.0]))
    np.save(folder / "nan_label.npy", np.array([np.nan, 1.0]))
    np.save(folder / "all_ignored.npy", np.array([-100, -100]))
    np.save(folder / "no_rows.npy", np.empty((0, 3)))
    np.save(folder / "softmaxed.npy", np.array([[0.2, 0.3, 0.5], [0.1, 0.1, 0.8]]))
    np.save(
        folder / "odd.npy", np.array([[1.0, np.nan, 0.0], [np.inf, 0.0, 0.0], [0.0, -np.inf, 0.0], [0.0, 0.0, 0.0]])
    )
    np.save(folder / "odd_y.npy", np.array([0, 0, 1, 2]))
    np.save(folder / "pickle.npy", np.array([Trap(), Trap()], dtype=object), allow_pickle=True)
    np.save(folder / "many.npy", np.random.default_rng(0).normal(size=(40, 3)).round(3))
    np.save(folder / "one_based.npy", np.arange(40) % 3 + 1)
    five = np.array([[9.0, 0, 0], [8, 0, 0], [0, 7, 0], [0, 0, 6], [0, 5, 0]])
    np.save(folder / "z.npy", five)
    np.save(folder / "t.npy", np.array([0, 0, 1, 2, 0]))
    np.save(folder / "best.npy", five.argmax(1))
    np.save(folder / "worst.npy", np.array([1, 2, 0, 0, 2]))
    five[2, 0] = -np.inf
    np.save(folder / "inf.npy", five)
    np.save(folder / "on.npy", np.array([0, 0, 0, 2, 0]))
    share = np.arange(1, 9)[:, None] / 16
    np.save(folder / "probs.npy", np.hstack([share, 1 - share]))
    np.save(folder / "percent.npy", np.hstack([100 * share, 100 - 100 * share]))
    np.save(folder / "off.npy", np.hstack([share, 1 - share]) * np.where(np.arange(8) == 5, 1.25, 1)[:, None])
    np.save(folder / "votes.npy", np.hstack([np.arange(8)[:, None], 9 - np.arange(8)[:, None]]))
    np.save(folder / "eight.npy", np.array([0, 1, 1, 0, 1, 1, 0, 1]))
    np.save(folder / "scores.npy", np.arange(8) - 3.5)
    np.save(folder / "weights.npy", np.array([1.0, 3.0]))
    np.save(folder / "class_weights.npy", np.array([1.0, 2.0, 0.5]))
    (folder / "cut.npy").write_bytes((folder / "many.npy").read_bytes()[:-9])
    (folder / "y.csv").write_text("label\n2\n0\n")
    (folder / "table.csv").write_text("id,label,cat,dog\na,dog,1,2\nb,cat,3,-1e-3\n")
    (folder / "hostile.csv").write_text('id,label,cat,dog\n"\x1b[31mred\x1b[0m",dog,1,2\n"a,b",cat,3,4\n')
    (folder / "groups.csv").write_text(
        "id,label,split,lang,cat,dog\na,dog,test,de,1,2\nb,cat,train,en,3,-1e-3\nc,cat,test,,1,5\nd,dog,train,de,0.5,1\n"
    )
    (folder / "groups_y.csv").write_text("key,label,split,w\na,2,test,1\nb,0,train,3\n")
    (folder / "ids.csv").write_text("id,label,c0,c1\n" + "".join(f"{i},0,1,2\n" for i in range(10_001)))
    np.save(folder / "names.npy", np.array(["emu", "cat"]))
    np.save(folder / "wrong_names.npy", np.array(["emu", "ctt"]))
    scored = '{"token": "a", "logprob": -0.5, "bytes": [97]}, {"token": "bc", "logprob": -1.25, "bytes": [98, 99]}'
    body = f'{{"id": "x", "choices": [{{"index": 0, "logprobs": {{"content": [{scored}]}}}}]}}'
    (folder / "answers.jsonl").write_text(
        f'{{"custom_id": "q1", "response": {{"status_code": 200, "body": {body}}}}}\n'
        '{"custom_id": "q2", "response": {"status_code": 500, "body": {}}}\n'
        f'{{"custom_id": "q3", "response": {{"status_code": 200, "body": {body}}}}}\n'
    )
    (folder / "bad_answers.jsonl").write_text(f"{body}\n{body.replace('-1.25', '1.25')}\n")
    (folder / "names.txt").write_text("cat\ndog\nemu\n")
    (folder / "two_names.txt").write_text("cat\ndog\n")
    (folder / "unknown_name.csv").write_text("label,cat,dog\ndog,1,2\ndgo,3,4\ncat,5,6\n")
    (folder / "bad_cell.csv").write_text("label,cat,dog\n1,1,2\n0,3,4\n1,x1,4\n")
    (folder / "text_among.csv").write_text("c0,b,c1,label\n1,x,2,0\n3,y,1,1\n")
    (folder / "decimal_comma.csv").write_text("label;logit_0;logit_1\n1;1,5;2\n")
    (folder / "empty_cell.csv").write_text("label,cat,dog\n1,1,2\n0,,4\n")
    (folder / "ragged.csv").write_text("label,c0,c1\n1,1,2\n0,3\n")
    (folder / "text.npy").write_text("logit_0,logit_1\n1,2\n")
    (folder / "document.json").write_text('{\n "logits": [[1, 2, 3], [4, 5, 6]],\n "labels": [[2], [0]]\n}\n')
    (folder / "aligned.txt").write_text("# logit_0 logit_1 label\n  1.5  -2    0\n  0.25  3.5  1\n")
    (folder / "cut_array.csv").write_text("label,logits\n1,[0.5 1.5 ... 2.5 3.5]\n")
    (folder / "by_name.jsonl").write_text(
        '{"scores": [{"label": "cat", "score": 0.75}, {"label": "dog", "score": 0.25}], "label": 0}\n'
        '{"scores": [{"label": "dog", "score": 0.5}, {"label": "cat", "score": 0.5}], "label": 1}\n'
    )
    (folder / "not_utf8.csv").write_bytes(b"label,c0,c1\n1,1,\xff\xfe\n")
    pq.write_table(pa.table({"logits": logits.tolist(), "label": [2, 0]}), folder / "list.parquet")
    pq.write_table(pa.table({"a": [1.0, 4.0], "b": [2.0, 5.0], "c": [3.0, 6.0], "y": [2, 0]}), folder / "wide.parquet")
    (folder / "empty").mkdir()
    (folder / "broken.parquet").write_bytes(b"PAR1" + b"\0" * 40)
    return folder


def stream(folder, name, found):
    """Compare with the file of that name, which does not exist if nothing is printed."""
    path = folder / name
    if UPDATE:
        path.write_text(found) if found else path.unlink(missing_ok=True)
    wanted = path.read_text() if path.exists() else ""
    if BY_NUMPY:
        found, wanted = rounded(found), rounded(wanted.replace("|kernel:c", ""))
    assert found == wanted, name


def rounded(text):
    return DIGITS.sub(lambda number: f"{float(number[0]):.12g}", text)


@pytest.mark.parametrize("case", CASES)
def test_a_command_prints_and_exits_as_it_did(case, inputs, tmp_path):
    folder = HERE / case
    line, env = (folder / "cmd").read_text(), {**os.environ, "COLUMNS": "100"}
    for path in inputs.iterdir():
        if path.name in line or path.name == "l.npy":  # the file that is meant by a mistyped name
            (shutil.copytree if path.is_dir() else shutil.copy)(path, tmp_path / path.name)
    run = (
        forked.xent(*line.split()[1:], cwd=tmp_path, env=env)
        if PLAIN.fullmatch(line)
        else forked.shell(line, tmp_path, env)
    )
    assert "Traceback" not in run.stderr
    stream(folder, "stdout", run.stdout.replace(xent_cli.__version__, "VERSION"))
    stream(folder, "stderr", run.stderr)
    stream(folder, "exit", f"{run.returncode}\n")
    assert not (tmp_path / "unpickled").exists()
    assert not list(tmp_path.glob(".*.tmp"))
