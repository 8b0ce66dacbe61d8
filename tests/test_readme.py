"""The README: its two set-up commands, its length, and its table of lost digits, which is as measured."""

import json
import os
import re
import shutil
import subprocess
from pathlib import Path

import numpy as np
import pytest

import xent_cli
from tests import forked

ROOT = Path(__file__).parents[1]
README = ROOT / "README.md"
UPDATE = "XENT_UPDATE_PAGES" in os.environ
MARGINS = (10, 17, 37)
SHOWN = {
    "PyTorch": "torch.nn.functional.cross_entropy",
    "TensorFlow": "tf.nn.sparse_softmax_cross_entropy_with_logits",
    "optax": "optax.softmax_cross_entropy_with_integer_labels",
}


@pytest.fixture
def folder(tmp_path):
    shutil.copytree(ROOT / "sample_data", tmp_path / "sample_data")
    return tmp_path


def accuracy_table():
    data = json.loads((ROOT / "tests" / "oracles" / "frameworks.json").read_text())
    rows = ["| dtype | margin | true loss | " + " | ".join(SHOWN) + " | xent |", "|---" * (4 + len(SHOWN)) + "|"]
    for row in data["confident"]:
        if row["classes"] == 2 and row["margin"] in MARGINS:
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


def test_every_folder_and_module_of_the_architecture_exists():
    text = (ROOT / "ARCHITECTURE.md").read_text()
    folders = re.findall(r"^\| `([\w/]+)/` \|(.*)", text, re.MULTILINE)
    rooms = {"/".join(path.relative_to(ROOT).parts[1:-1][:2]) for path in (ROOT / "xent_cli").rglob("*.py")} - {""}
    assert {folder for folder, _ in folders} | {"core", "readers", "cli"} >= {r for r in rooms if "reports/" not in r}
    for folder, job in folders:
        first = "kernel.h" if folder.endswith("/c") else "__init__.py"
        for name in [first, *re.findall(r"`(\w+\.(?:py|c|h))`", job)]:
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


def test_the_commands_of_the_sample_data_give_the_figures_beside_them(folder):
    table = r"^\| `xent (.*?)` \| (\d+) \| ([\d.]+) \| ([\d.]+) \|$"
    rows = re.findall(table, (ROOT / "sample_data" / "README.md").read_text(), re.MULTILINE)
    assert rows
    for arguments, n_samples, mean_loss, accuracy in rows:
        run = forked.xent(*arguments.split(), "-f", "json", cwd=folder)
        assert run.returncode == 0, run.stderr
        summary = json.loads(run.stdout)["summary"]
        found = (str(summary["n_samples"]), f"{summary['mean_loss']:.6f}", f"{summary['accuracy']:.4f}")
        assert found == (n_samples, mean_loss, accuracy), arguments


def test_every_command_is_documented():
    commands = re.findall(r"^  (\w+)  ", forked.xent("--help").stdout.split("Commands:")[1], re.MULTILINE)
    assert commands
    for command in commands:
        assert f"xent {command}" in README.read_text()


def test_the_readme_is_short():
    assert len(README.read_text("utf-8").splitlines()) <= 160


def test_the_readme_shows_the_same_lines_for_saving_as_the_docs():
    rows = re.findall(r"^\| .* \| `xent [^`]+` \|$", README.read_text("utf-8"), re.MULTILINE)
    assert rows
    docs = (ROOT / "docs" / "saving.md").read_text("utf-8").splitlines()
    assert set(rows) <= set(docs)
