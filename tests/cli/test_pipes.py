"""Standard input, FIFOs and process substitutions, as shells provide them."""

import bz2
import gzip
import os
import pty
import subprocess
import sys
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from tests import forked
from tests.torch_writer import save as save_torch
from tests.waiting import PATIENCE_SECONDS

RNG = np.random.default_rng(11)
LOGITS = RNG.normal(size=(300, 5))
LABELS = RNG.integers(0, 5, 300)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("pipes")
    np.save(folder / "l.npy", LOGITS)
    np.save(folder / "f.npy", np.asfortranarray(LOGITS))
    np.save(folder / "y.npy", LABELS)
    np.savez_compressed(folder / "d.npz", logits=LOGITS, labels=LABELS)
    save_torch(folder / "d.pt", {"logits": LOGITS, "labels": LABELS})
    save_torch(folder / "batches.pt", [LOGITS[:100], LOGITS[100:]])
    pq.write_table(pa.table({"logits": LOGITS.tolist(), "label": LABELS}), folder / "d.parquet")
    rows = [",".join(map(repr, row)) + f",{label}" for row, label in zip(LOGITS.tolist(), LABELS, strict=True)]
    text = "\n".join(["c0,c1,c2,c3,c4,label", *rows]) + "\n"
    (folder / "d.csv").write_text(text)
    (folder / "d.csv.gz").write_bytes(gzip.compress(text.encode()))
    (folder / "d.csv.bz2").write_bytes(bz2.compress(text.encode()))
    with pa.output_stream(folder / "d.csv.zst", compression="zstd") as stream:
        stream.write(text.encode())
    half = len(text) // 2  # two members, as `cat a.gz b.gz` makes them
    (folder / "two.csv.gz").write_bytes(gzip.compress(text[:half].encode()) + gzip.compress(text[half:].encode()))
    return folder


def shell(command, folder, **options):
    env = {**os.environ, "TMPDIR": str(folder)}
    return (started if "<(" in command or "&-" in command else forked.shell)(command, folder, env, **options)


def started(command, folder, env, **options):
    """Start the command itself: a fork has no descriptors besides its three standard streams."""
    env = {**env, "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"}
    return subprocess.run(["bash", "-c", command], cwd=folder, env=env, capture_output=True, text=True, **options)


COMMANDS = [
    "xent compute - y.npy < l.npy",
    "cat l.npy | xent compute - y.npy",
    "cat f.npy | xent compute - y.npy",
    "cat y.npy | xent compute l.npy -",
    "cat d.npz | xent compute -",
    "cat d.pt | xent compute -",
    "xent compute - < d.pt",
    "gzip -c batches.pt | xent compute - y.npy",
    "cat d.parquet | xent compute -",
    "cat d.csv | xent compute -",
    "(sleep 0.3; cat d.csv) | xent compute -",
    "(head -c 1000 d.csv; sleep 0.3; tail -c +1001 d.csv) | xent compute -",
    "xent compute - < d.csv",
    "xent compute d.csv.gz",
    "xent compute d.csv.bz2",
    "xent compute d.csv.zst",
    "xent compute two.csv.gz",
    "cat d.csv.zst | xent compute -",
    "zcat d.csv.gz | xent compute -",
    "gzip -c l.npy | xent compute - y.npy",
    "gzip -kf f.npy && xent compute f.npy.gz y.npy",
    "xent compute <(cat l.npy) <(cat y.npy)",
    "(mkfifo -m 600 fifo; cat l.npy > fifo & xent compute fifo y.npy)",
]


@pytest.mark.parametrize("command", COMMANDS)
def test_rows_that_come_through_a_pipe_are_those_of_the_file(command, folder):
    expected = shell("xent compute l.npy y.npy", folder)
    run = shell(command, folder)
    assert run.stderr == expected.stderr
    assert run.stdout == expected.stdout
    assert run.returncode == 0
    assert not list(folder.glob("xent-*"))  # the temporary copy is gone


def test_gradients_of_what_comes_through_a_pipe_are_those_of_the_file(folder):
    for command, name in (("cat d.csv | xent compute -", "p.npy"), ("xent compute l.npy y.npy", "q.npy")):
        assert shell(f"{command} --ignore-index 2 --gradients {name}", folder).returncode == 0
    np.testing.assert_array_equal(np.load(folder / "p.npy"), np.load(folder / "q.npy"))


def test_a_bad_cell_of_a_pipe_is_found_where_it_stands(folder):
    text = 'c0,c1,label\n1,2,0\n\n"3",4,1\n5,6,0\n7,8,2\n'
    run = forked.xent("compute", "-", cwd=folder, input=text)
    assert run.returncode == 3
    assert 'standard input line 6 (sample 3), column "label": found 2, expected 0..1' in run.stderr
    run = forked.xent("compute", "-", cwd=folder, input=text.replace("6", "x"))
    assert 'standard input line 5 (sample 2), column "c1": found "x", expected a number' in run.stderr


def test_an_array_that_ends_early_in_a_pipe_is_reported(folder):
    run = shell("head -c 5000 l.npy | xent compute - y.npy", folder)
    assert run.returncode == 3
    assert "array ended early" in run.stderr


@pytest.mark.parametrize(
    ("command", "code", "said"),
    [
        ("xent compute - - < l.npy", 2, "only one input can be standard input"),
        ("xent compute - y.npy < /dev/null", 3, "empty"),
        ("xent compute - y.npy <&-", 3, "standard input"),
        ("mkfifo -m 600 nobody; xent compute nobody y.npy", 3, "nothing comes from the pipe"),
        ("xent compute /dev/zero y.npy", 3, "numbers without shape"),
    ],
)
def test_a_pipe_that_gives_nothing_is_reported_and_not_waited_for(command, code, said, folder):
    run = shell(command, folder)
    assert run.returncode == code
    assert said in run.stderr


def test_a_terminal_on_standard_input_gets_a_hint_and_not_a_hang(folder):
    leader, follower = pty.openpty()
    run = subprocess.run(
        [sys.executable, "-m", "xent_cli", "compute", "-"],
        stdin=follower,
        capture_output=True,
        text=True,
        timeout=PATIENCE_SECONDS,
    )
    os.close(leader)
    os.close(follower)
    assert run.returncode == 2
    assert "terminal" in run.stderr


def test_memory_stays_flat_however_much_comes_through_a_pipe(folder):
    script = (
        "import resource, subprocess, sys\n"
        "code = subprocess.run([sys.executable, '-m', 'xent_cli', 'compute', '-', '--reduction', 'mean']).returncode\n"
        "print(code, resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss, file=sys.stderr)\n"
    )
    peaks = []
    for times in (2000, 12000):  # 8 and 48 MB
        lines = f"(cat d.csv; for i in $(seq {times // 8}); do cat eight.csv; done)"
        shell("tail -n +2 d.csv > one.csv; for i in 1 2 3 4 5 6 7 8; do cat one.csv; done > eight.csv", folder)
        run = started(f'{lines} | {sys.executable} -c "{script}"', folder, os.environ)
        code, peak = run.stderr.split()[-2:]
        assert code == "0"
        peaks.append(int(peak) / (1024 if sys.platform == "linux" else 1 << 20))
    assert peaks[1] < peaks[0] + 20
