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
    clean = {k: v for k, v in os.environ.items() if not k.startswith("XENT_") and k not in ("COLUMNS", "FORCE_COLOR")}
    env = {**clean, "PATH": f"{bin_folder}{os.pathsep}{os.environ['PATH']}", "LC_ALL": "C.UTF-8"}
    run = subprocess.run(
        ["bash", "-c", command], cwd=folder, env=env, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    )
    found = "".join(f"{line.rstrip()}\n" for line in run.stdout.splitlines())
    if UPDATE:
        text = README.read_text()
        README.write_text(text.replace(f"$ {command}\n{output}```", f"$ {command}\n{found}```"))
    assert "Traceback" not in found
    assert found == output or UPDATE


def test_every_console_block_is_an_example_that_is_run():
    assert len(EXAMPLES) == README.read_text().count("```console") > 0


def accuracy_table():
    data = json.loads((ROOT / "tests" / "oracles" / "frameworks.json").read_text())
    rows = ["| dtype | margin | true loss | " + " | ".join(SHOWN) + " | xent |", "|---" * (4 + len(SHOWN)) + "|"]
    for row in data["confident"]:
        if row["classes"] == 2 and row["margin"] in (10, 17, 20, 37, 80):
            logits = np.zeros(2, row["dtype"])
            logits[0] = row["margin"]
            ours = float(xent_cli.sparse_softmax_cross_entropy(logits, 0))
            assert abs(ours - row["truth"]) <= 4 * np.spacing(row["truth"])
            losses = [row["truth"], *(float(row["results"][name]) for name in SHOWN.values()), ours]
            cells = [f"{loss + 0.0:.10g}" for loss in losses]  # + 0.0: -0 is shown as 0
            rows.append(f"| {row['dtype']} | {row['margin']} | {' | '.join(cells)} |")
    return "\n".join(rows)


def test_the_accuracy_table_is_what_was_measured():
    text = README.read_text()
    table = f"<!-- accuracy -->\n{accuracy_table()}\n"
    if UPDATE:
        README.write_text(re.sub(r"<!-- accuracy -->\n(\|.*\n)*", lambda _: table, text))
    assert table in README.read_text()


def test_the_versions_of_the_frameworks_are_those_that_were_measured():
    versions = json.loads((ROOT / "tests" / "oracles" / "frameworks.json").read_text())["versions"]
    for name, package in {"PyTorch": "torch", "TensorFlow": "tensorflow", "optax": "optax"}.items():
        assert re.search(rf"\b{name} {re.escape(versions[package])}(?![\w+])", README.read_text()), name


def test_the_python_example_runs():
    failed, tried = doctest.testfile(str(README), module_relative=False)
    assert tried > 0
    assert failed == 0


@pytest.mark.parametrize("page", ["README.md", "ARCHITECTURE.md", "CONTRIBUTING.md", "sample_data/README.md"])
def test_every_file_it_names_exists(page):
    text = (ROOT / page).read_text()
    for target in re.findall(r"\]\((?!https?:)([^)#]+)\)", text):
        assert (ROOT / page).parent.joinpath(target).exists(), target
    for target in re.findall(r"(?<![\w/])(?:sample_data|tests|\.ci)/[\w./]*\w", text):
        assert (ROOT / target).exists(), target


def test_every_folder_and_module_of_the_architecture_exists():
    text = (ROOT / "ARCHITECTURE.md").read_text()
    folders = re.findall(r"^\| `([\w/]+)/` \|(.*)", text, re.MULTILINE)
    rooms = {"/".join(path.relative_to(ROOT).parts[1:-1][:2]) for path in (ROOT / "xent_cli").rglob("*.py")} - {""}
    assert {folder for folder, _ in folders} | {"core", "readers", "cli"} >= {r for r in rooms if "reports/" not in r}
    for folder, job in folders:
        for name in ["__init__.py", *re.findall(r"`(\w+\.py)`", job)]:
            assert (ROOT / "xent_cli" / folder / name).exists(), f"{folder}/{name}"


def test_it_sets_up_with_two_commands_and_they_are_what_ci_runs():
    commands = re.findall(r"```bash\n(.*)\n```", README.read_text())
    assert len(commands) == README.read_text().count("```bash") == 2
    assert all(command.startswith("python3 -m venv .venv && ") for command in commands)
    script = (ROOT / ".ci" / "run").read_text()
    (extraction,) = re.findall(r"^while .*README\.md.*$", script, re.MULTILINE)
    shown = f'commands=()\n{extraction}\nprintf "%s\\n" "${{commands[@]}}"'
    run = subprocess.run(["bash", "-c", shown], cwd=ROOT, capture_output=True, text=True, check=True)
    assert run.stdout.splitlines() == commands
    for number in range(2):
        assert f'\nbash -euo pipefail -c "${{commands[{number}]}}"' in script


def test_every_option_it_shows_exists():
    helps = ""
    for command in ([], ["compute"], ["check"], ["compare"], ["verify"], ["inspect"]):
        run = [sys.executable, "-m", "xent_cli", *command, "--help"]
        helps += subprocess.run(run, capture_output=True, text=True, check=True).stdout
    # The commands that set up and test are pip's and pytest's.
    text = re.sub(r"```bash\n.*\n```", "", README.read_text())
    for option in re.findall(r"(?<![\w-])--[a-z][\w-]+", text):
        assert re.search(rf"(?<![\w-]){option}(?![\w-])", helps), option


def test_the_commands_of_the_sample_data_give_the_figures_beside_them(folder):
    table = r"^\| `xent (.*?)` \| (\d+) \| ([\d.]+) \| ([\d.]+) \|$"
    rows = re.findall(table, (ROOT / "sample_data" / "README.md").read_text(), re.MULTILINE)
    assert rows
    for arguments, n_samples, mean_loss, accuracy in rows:
        command = [sys.executable, "-m", "xent_cli", *arguments.split(), "-f", "json"]
        run = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=True)
        summary = json.loads(run.stdout)["summary"]
        found = (str(summary["n_samples"]), f"{summary['mean_loss']:.6f}", f"{summary['accuracy']:.4f}")
        assert found == (n_samples, mean_loss, accuracy), arguments


def test_every_command_is_documented():
    run = subprocess.run([sys.executable, "-m", "xent_cli", "--help"], capture_output=True, text=True, check=True)
    commands = re.findall(r"^  (\w+)  ", run.stdout.split("Commands:")[1], re.MULTILINE)
    assert commands
    for command in commands:
        assert f"`xent {command}" in README.read_text()
