"""The lines of docs/saving.md: the files that they wrote are stored, and their loss must be right."""

import json
import re
import shlex
from pathlib import Path

import numpy as np
import pytest

from tests.click_runner import runner
from tests.saved_by.frameworks import FRAMEWORKS, STORED, is_here, write
from xent_cli.cli import cli

PAGE = (Path(__file__).parents[1] / "docs" / "saving.md").read_text("utf-8")
# Name, line and command of each row.
ROWS = re.findall(r"^\| ([^|`]+?) \| `([^`]+)` \| `(xent [^`]+)` \|$", PAGE, re.MULTILINE)


def mean_loss(outputs, labels, form):
    """Compute the mean loss of logits, log-probabilities or probabilities, in extended precision."""
    z = np.asarray(outputs, np.longdouble)
    if form == "probs":
        z = np.log(z)
    if form == "logits":
        z = z - z.max(axis=1, keepdims=True)
        z = z - np.log(np.exp(z).sum(axis=1, keepdims=True))
    return float(-z[np.arange(len(z)), labels].mean())


def hold(folder, command, outputs, labels, monkeypatch):
    """Check that the command of a row gives the loss of the saved outputs."""
    monkeypatch.chdir(folder)
    words = shlex.split(command)[1:]
    run = runner().invoke(cli, [*words, "-f", "json", "-q"], standalone_mode=False)
    assert run.exception is None, run.exception
    summary = json.loads(run.stdout)["summary"]
    form = words[words.index("--from") + 1] if "--from" in words else "logits"
    assert summary["n_samples"] == len(labels)
    assert summary["mean_loss"] == pytest.approx(mean_loss(outputs, labels, form), rel=1e-12)


def test_every_framework_has_its_row():
    assert [name for name, _, _ in ROWS] == list(FRAMEWORKS)
    assert PAGE.count("| `xent ") == len(ROWS) > 0


@pytest.mark.parametrize(("name", "line", "command"), ROWS, ids=[name for name, _, _ in ROWS])
def test_what_a_line_wrote_with_the_package_itself_is_read(name, line, command, monkeypatch):
    folder = STORED / name.replace(", ", "-").replace(" ", "-").lower()
    assert json.loads((folder / "made.json").read_text())["line"] == line
    expected = np.load(folder / "expected.npz")
    hold(folder, command, expected["outputs"], expected["labels"], monkeypatch)


HERE = [row for row in ROWS if is_here(row[0])]


@pytest.mark.parametrize(("name", "line", "command"), HERE, ids=[name for name, _, _ in HERE])
def test_what_a_line_writes_with_the_package_that_is_installed_is_read(name, line, command, tmp_path, monkeypatch):
    outputs, labels = write(name, line, tmp_path / "there")
    hold(tmp_path / "there", command, outputs, labels, monkeypatch)


def test_scikit_learn_is_among_what_is_run_each_time():
    assert sum(name.startswith("scikit-learn") for name, _, _ in HERE) == 2
