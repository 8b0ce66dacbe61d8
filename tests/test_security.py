"""The promises of SECURITY.md: no network unless the user asks for it, and a test for every promise."""

import ast
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from tests import forked

ROOT = Path(__file__).parent.parent
# A process that exits on any attempt to reach a network.
WITHOUT = """
import socket, sys
def none(*args, **options):
    raise SystemExit(99)
socket.socket.connect = socket.socket.connect_ex = socket.socket.sendto = socket.getaddrinfo = none
socket.create_connection = none
from xent_cli.cli import main
main()
"""
RUNS = [
    "compute l.npy y.npy --report r.html --report r.json --report r.md --report r.xml -o o.parquet --plot p.svg",
    "compute l.npy y.npy -o o.csv --gradients g.npy --overflow-report",
    "check l.npy y.npy --baseline o.csv --max-increase mean_loss=1 --max mean_loss=9 -f github",
    "compare o.csv o.csv --test bootstrap",
    "verify l.npy y.npy --loss loss.npy",
    "inspect l.npy y.npy",
    "--help",
    "--version",
]


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("local")
    rng = np.random.default_rng(3)
    np.save(folder / "l.npy", rng.normal(size=(20, 3)))
    np.save(folder / "y.npy", rng.integers(0, 3, 20))
    for output in ("o.csv", "loss.npy"):
        assert forked.xent("compute", "l.npy", "y.npy", "-q", "-o", output, cwd=folder).returncode == 0
    return folder


@pytest.mark.parametrize("line", RUNS)
def test_a_run_on_local_files_opens_no_socket(line, folder):
    run = subprocess.run([sys.executable, "-c", WITHOUT, *line.split()], cwd=folder, capture_output=True, text=True)
    assert run.returncode == 0, run.stderr


def test_a_run_that_asks_for_a_network_would_be_seen(folder):
    args = ["compute", "http://127.0.0.1:9/l.npy", "y.npy", "--timeout", "2"]
    run = subprocess.run([sys.executable, "-c", WITHOUT, *args], cwd=folder, capture_output=True, text=True)
    assert run.returncode != 0


def test_every_promise_names_tests_that_exist():
    rows = [line for line in (ROOT / "SECURITY.md").read_text().splitlines() if line.startswith("| **")]
    assert len(rows) >= 9
    for row in rows:
        named = re.findall(r"`(tests/[\w/]+\.py)::(\w+)`", row)
        assert named, row
        for path, name in named:
            tree = ast.parse((ROOT / path).read_text())
            assert name in {node.name for node in ast.walk(tree) if isinstance(node, ast.FunctionDef)}, name


def test_actions_are_pinned_to_commits():
    files = [ROOT / "action.yml", *(ROOT / ".github" / "workflows").glob("*.yml")]
    used = re.findall(r"uses: (.*)", "\n".join(path.read_text() for path in files))
    assert len(used) > 9
    for action in used:
        assert re.fullmatch(r"[\w.-]+/[\w.-]+@[0-9a-f]{40}  # v\d+\.\d+\.\d+", action), action
