"""Text output of other programs that is not a table: the error names it, and the line that it prints converts it."""

import re
from pathlib import Path

import numpy as np
import pytest

import xent_cli
from tests import forked
from tests.click_runner import runner
from xent_cli.cli import cli
from xent_cli.errors import InputError

N = 40
RANDOM = np.random.default_rng(5)
LOGITS = RANDOM.normal(size=(N, 3)).round(5)
LABELS = np.arange(N) % 3
PROBS = np.exp(LOGITS) / np.exp(LOGITS).sum(axis=1, keepdims=True)
NAMES = ["cat", "dog", "emu"]
MEAN = xent_cli.evaluate(LOGITS, LABELS).mean_loss


def lines(rows):
    return "".join(f"{row}\n" for row in rows)


def arff():
    head = ["% of Weka", "@relation scores", "", *(f"@attribute logit_{name} numeric" for name in NAMES)]
    head += ["@attribute label {cat,dog,emu}", "@data"]
    return lines([*head, *(f"{','.join(map(str, row))},{NAMES[y]}" for row, y in zip(LOGITS, LABELS, strict=True))])


def weka_csv():
    rows = []
    for number, (row, y) in enumerate(zip(PROBS, LABELS, strict=True), 1):
        top = row.argmax()
        cells = [f"{'*' if i == top else ''}{p}" for i, p in enumerate(row)]
        wrong = "+" if top != y else ""
        rows.append(f"{number},{y + 1}:{NAMES[y]},{top + 1}:{NAMES[top]},{wrong},{','.join(cells)}")
    return lines(["inst#,actual,predicted,error,distribution", *rows])


def fasttext():
    order = np.argsort(-PROBS, axis=1)
    return lines(
        " ".join(f"__label__{NAMES[i]} {row[i]}" for i in each) for row, each in zip(PROBS, order, strict=True)
    )


def vowpal():
    return lines(" ".join(f"{i}:{p}" for i, p in enumerate(row, 1)) for row in PROBS)


def kaldi_matrices():
    parts = np.split(LOGITS, [3, 20])
    return "".join(
        f"utt-{i}  [\n" + "\n".join("  " + " ".join(map(str, row)) for row in part) + " ]\n"
        for i, part in enumerate(parts)
    )


def kaldi_vectors():
    return lines(f"utt-{i}  [ {' '.join(map(str, row))} ]" for i, row in enumerate(LOGITS))


def libsvm():
    return lines(
        f"{y} " + " ".join(f"{i}:{x}" for i, x in enumerate(row, 1)) for row, y in zip(LOGITS, LABELS, strict=True)
    )


NUMBERS, WORDS = "y.npy", "y.txt"
CASES = {
    "an ARFF file of Weka": (arff, [], []),
    "predictions as Weka writes them to CSV": (weka_csv, [], ["--label-column", "0", "--from", "probs"]),
    "predictions of fastText": (fasttext, [WORDS], ["--from", "probs"]),
    "scores as Vowpal Wabbit writes them": (vowpal, [NUMBERS], ["--from", "probs"]),
    "examples of LIBSVM": (libsvm, [], []),
}
KALDI = "a Kaldi archive of text"


def refusal(path):
    found = runner().invoke(cli, ["inspect", str(path)], standalone_mode=False).exception
    assert isinstance(found, InputError)
    return found


def converted(folder, hint):
    """Run the line at the end of a hint, as a user would paste it, and return the file that it makes."""
    before = set(folder.iterdir())
    line = re.search(r"(python -c|sed|awk) .*", hint)[0]
    done = forked.shell(line, folder)
    assert done.returncode == 0, done.stderr
    (made,) = set(folder.iterdir()) - before
    return made


@pytest.mark.parametrize(
    ("found", "write", "labels", "options"),
    [
        *((found, *case) for found, case in CASES.items()),
        (KALDI, kaldi_matrices, [NUMBERS], []),
        (KALDI, kaldi_vectors, [NUMBERS], []),
    ],
)
def test_the_line_that_is_printed_makes_a_table_of_the_right_numbers(
    found, write, labels, options, tmp_path, monkeypatch
):
    monkeypatch.chdir(tmp_path)
    np.save(NUMBERS, LABELS)
    Path(WORDS).write_text(lines(["label", *(NAMES[y] for y in LABELS)]))
    Path("out.txt").write_text(write())
    error = refusal("out.txt")
    assert error.found == found
    made = converted(tmp_path, error.hint)
    result = runner().invoke(
        cli, ["compute", made.name, *labels, *options, "--reduction", "mean"], standalone_mode=False
    )
    assert result.exception is None, result.exception
    assert float(result.stdout) == pytest.approx(MEAN, rel=1e-12)


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("=== Predictions on test data ===\n\n    inst#     actual  predicted error prediction\n", "Weka prints"),
        ("__label__cat a cat sat\n__label__dog a dog\n", "examples for fastText"),
        ("1 |f price:.23 sqft:.25\n0 |f price:.18\n", "examples of Vowpal Wabbit"),
        ("|f price:.23 sqft:.25\n|f price:.18\n", "examples of Vowpal Wabbit"),
        ("1:0.25 2:0.75 a\n1:0.5 2:0.5 b\n", "scores as Vowpal Wabbit"),
    ],
)
def test_inputs_of_models_are_recognised_too(text, found, tmp_path):
    (tmp_path / "t.txt").write_text(text)
    assert found in refusal(tmp_path / "t.txt").found


@pytest.mark.parametrize(
    "text",
    [
        "id |logit_a |logit_b |y\n1 |0.5 |2 |1\n2 |3 |1.5 |0\n",
        "time,logit_a,logit_b,label\n12:30,0.5,2,1\n12:31,2,1.5,0\n",
        'name,logits,label\na:b,"[0.5, 2]",1\n@c,"[2, 1.5]",0\n',
        "@id,logit_a,logit_b,label\nx,0.5,2,1\ny,2,1.5,0\n",
    ],
)
def test_tables_with_marks_of_other_programs_are_tables(text, tmp_path):
    (tmp_path / "t.csv").write_text(text)
    result = runner().invoke(cli, ["compute", str(tmp_path / "t.csv")], standalone_mode=False)
    assert result.exception is None, result.exception
