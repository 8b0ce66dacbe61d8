"""What the README shows is what happens: run `XENT_UPDATE_README=1 pytest tests/test_readme.py` to write it anew."""

import doctest
import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

import xent_cli

ROOT = Path(__file__).parents[1]
README = ROOT / "README.md"
UPDATE = "XENT_UPDATE_README" in os.environ
EXAMPLES = re.findall(r"```console\n\$ (.*)\n((?:.*\n)*?)```", README.read_text())
SHOWN = {
    "PyTorch": "torch.nn.functional.cross_entropy",
    "TensorFlow": "tf.nn.sparse_softmax_cross_entropy_with_logits",
    "optax": "optax.softmax_cross_entropy_with_integer_labels",
}


@pytest.fixture
def folder(tmp_path):
    shutil.copytree(ROOT / "sample_data", tmp_path / "sample_data")
    return tmp_path


@pytest.mark.parametrize(("command", "output"), EXAMPLES, ids=[command[:60] for command, _ in EXAMPLES])
def test_an_example_prints_what_the_readme_shows(command, output, folder):
    bin_folder = Path(sys.executable).parent
    env = {**os.environ, "PATH": f"{bin_folder}{os.pathsep}{os.environ['PATH']}", "LC_ALL": "C.UTF-8"}
    run = subprocess.run(
        ["bash", "-c", command], cwd=folder, env=env, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    )
    found = "".join(f"{line.rstrip()}\n" for line in run.stdout.splitlines())
    if UPDATE:
        text = README.read_text()
        README.write_text(text.replace(f"$ {command}\n{output}```", f"$ {command}\n{found}```"))
    assert "Traceback" not in found
    assert found == output or UPDATE


def accuracy_table():
    data = json.loads((ROOT / "tests" / "oracles" / "frameworks.json").read_text())
    rows = ["| dtype | margin | true loss | " + " | ".join(SHOWN) + " | xent |", "|---" * (4 + len(SHOWN)) + "|"]
    for row in data["confident"]:
        if row["classes"] == 2 and row["margin"] in (10, 17, 20, 37, 80):
            logits = np.zeros(2, row["dtype"])
            logits[0] = row["margin"]
            ours = float(xent_cli.sparse_softmax_cross_entropy(logits, 0))
            cells = [told(row["results"][name], row["truth"]) for name in SHOWN.values()]
            rows.append(
                f"| {row['dtype']} | {row['margin']} | {row['truth']:.6g} | "
                + " | ".join([*cells, told(ours, row["truth"])])
                + " |"
            )
    return "\n".join(rows)


def told(value, truth):
    """A loss of 0 is told as such; else how far off it is."""
    value = float(value)
    return "0" if value == 0 else f"{abs(value / truth - 1):.0e}"


def test_the_accuracy_table_is_what_was_measured():
    text = README.read_text()
    table = f"<!-- accuracy -->\n{accuracy_table()}\n"
    if UPDATE:
        README.write_text(re.sub(r"<!-- accuracy -->\n(\|.*\n)*", lambda _: table, text))
    assert table in README.read_text()


def test_the_python_example_runs():
    failed, tried = doctest.testfile(str(README), module_relative=False)
    assert tried > 0
    assert failed == 0


def test_every_file_it_links_to_exists():
    for target in re.findall(r"\]\((?!https?:)([^)#]+)\)", README.read_text()):
        assert (ROOT / target).exists(), target


def test_it_sets_up_with_two_commands_and_they_are_what_ci_runs():
    commands = re.findall(r"```bash\n(.*)\n```", README.read_text())
    assert len(commands) == 2
    assert all(command.startswith("python3 -m venv .venv && ") for command in commands)


def test_every_command_is_documented():
    run = subprocess.run([sys.executable, "-m", "xent_cli", "--help"], capture_output=True, text=True, check=True)
    commands = re.findall(r"^  (\w+)  ", run.stdout.split("Commands:")[1], re.MULTILINE)
    assert commands
    for command in commands:
        assert f"`xent {command}" in README.read_text()
