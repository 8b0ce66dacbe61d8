"""Signals at any moment, and streams that are closed, full or gone: the exit codes of real processes."""

import os
import resource
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

from tests.waiting import PATIENCE_SECONDS, names, until

XENT = [sys.executable, "-m", "xent_cli"]
CODES = {signal.SIGINT: 130, signal.SIGTERM: 143, signal.SIGHUP: 129}
WORDS = {signal.SIGINT: "interrupted\n", signal.SIGTERM: "terminated\n", signal.SIGHUP: "hung up\n"}
OUTPUTS = ("rows.csv", "g.npy", "summary.json", "parts")


def xent(*args, **options):
    options = {"capture_output": True, "text": True, **options}
    return subprocess.run([*XENT, *map(str, args)], check=False, **options)


def hear_signals():
    """Restore SIGINT, which a background job of a non-interactive shell ignores."""
    for number in CODES:
        signal.signal(number, signal.SIG_DFL)


@pytest.fixture(scope="module")
def inputs(tmp_path_factory):
    """Write inputs that are large enough for a run of half a second or more."""
    folder = tmp_path_factory.mktemp("inputs")
    rng = np.random.default_rng(0)
    np.save(folder / "l.npy", rng.standard_normal((400_000, 10), dtype=np.float32))
    np.save(folder / "y.npy", rng.integers(0, 10, 400_000))
    return str(folder / "l.npy"), str(folder / "y.npy")


@pytest.fixture(scope="module")
def small(tmp_path_factory):
    folder = tmp_path_factory.mktemp("small")
    np.save(folder / "l.npy", np.random.default_rng(1).normal(size=(50, 4)))
    np.save(folder / "y.npy", np.arange(50) % 4)
    return str(folder / "l.npy"), str(folder / "y.npy")


def contents(folder):
    """Return every file below a folder with its content; names of parts without what differs in each run."""
    found = {}
    for path in sorted(Path(folder).rglob("*")):
        if path.is_file():
            name = str(path.relative_to(folder))
            if path.parent.name == "parts" and path.name.startswith("part-"):
                name = f"parts/{path.name.split('-')[1]}"
            found[name] = b"" if path.name == "_manifest.json" else path.read_bytes()
    return found


def command(inputs):
    """Return the command of a run with an output of each kind."""
    rows, gradients, report, parts = OUTPUTS
    return [*XENT, "compute", *inputs, "-o", f"{parts}/", "--gradients", gradients, "--report", report, "-q"], rows


def test_at_any_moment_a_signal_leaves_all_old_files_or_all_new_ones_and_nothing_else(inputs, tmp_path):
    """The moments are drawn from a fixed seed; what is asserted holds for each of them."""
    argv, _ = command(inputs)
    fresh, work = tmp_path / "fresh", tmp_path / "work"
    for folder, temperature in ((fresh, "1"), (work, "2")):
        folder.mkdir()
        subprocess.run([*argv, "--temperature", temperature], cwd=folder, check=True)
    began = time.monotonic()
    subprocess.run(argv, cwd=fresh, check=True)
    length = time.monotonic() - began
    old, new = contents(work), contents(fresh)
    assert old.keys() == new.keys()
    assert old != new
    draw = np.random.default_rng(7)
    finished = 0
    for number in [*CODES] * 18:
        with subprocess.Popen(argv, cwd=work, stdout=-1, stderr=-1, preexec_fn=hear_signals) as process:
            time.sleep(draw.uniform(0.0, 1.1 * length))
            process.send_signal(number)
            if draw.random() < 0.3:
                process.send_signal(number)
            _, error = process.communicate(timeout=PATIENCE_SECONDS)
        found = contents(work)
        assert found in (old, new), sorted(found)
        # Before Python has begun to run our code, the system ends the process.
        assert process.returncode in (0, CODES[number], -number, 1)
        if process.returncode == CODES[number]:
            assert error.decode() in (WORDS[number], "")
        if found == new:
            finished += 1
            subprocess.run([*argv, "--temperature", "2"], cwd=work, check=True)
    assert finished < 54


@pytest.mark.parametrize("number", CODES)
def test_a_signal_that_was_ignored_at_the_start_stays_ignored(number, inputs, tmp_path):
    argv = [*XENT, "compute", *inputs, "-o", "rows.csv", "-q"]
    ignoring = {"preexec_fn": lambda: signal.signal(number, signal.SIG_IGN)}
    with subprocess.Popen(argv, cwd=tmp_path, stdout=-1, stderr=-1, **ignoring) as process:
        until(lambda: names(tmp_path), "a file")
        process.send_signal(number)
        out, error = process.communicate(timeout=PATIENCE_SECONDS)
    assert (process.returncode, error) == (0, b"")
    assert [path.name for path in tmp_path.iterdir()] == ["rows.csv"]
    assert b"mean_loss" in out


@pytest.mark.parametrize("number", CODES)
def test_a_copy_of_what_came_through_a_pipe_is_removed_too(number, small, tmp_path):
    env = {**os.environ, "TMPDIR": str(tmp_path)}
    argv = [*XENT, "compute", "-", small[1]]
    with subprocess.Popen(argv, stdin=-1, stdout=-1, stderr=-1, env=env, preexec_fn=hear_signals) as process:
        process.stdin.write(b"PK\3\4" + bytes(1 << 20))
        process.stdin.flush()
        # Python first tries the folder with a file that has a different name.
        until(lambda: [*tmp_path.glob("xent-*")], "a copy", lambda: names(tmp_path))
        process.send_signal(number)
        assert process.wait(PATIENCE_SECONDS) == CODES[number]
        assert process.stderr.read().decode() == WORDS[number]
    assert list(tmp_path.iterdir()) == []


def test_whatever_is_killed_every_file_is_whole_old_or_new(inputs, tmp_path):
    """Unfinished files remain under a hidden name, because nothing is left to remove them."""
    argv, _ = command(inputs)
    fresh, work = tmp_path / "fresh", tmp_path / "work"
    for folder, temperature in ((fresh, "1"), (work, "2")):
        folder.mkdir()
        subprocess.run([*argv, "--temperature", temperature], cwd=folder, check=True)
    old, new = contents(work), contents(fresh)
    draw = np.random.default_rng(3)
    for _ in range(16):
        with subprocess.Popen(argv, cwd=work, stdout=-1, stderr=-1) as process:
            time.sleep(draw.uniform(0.1, 1.0))
            process.kill()
            process.communicate()
        found = {name: data for name, data in contents(work).items() if not name.startswith(".")}
        assert found.keys() == old.keys()
        assert all(data in (old[name], new[name]) for name, data in found.items())


@pytest.mark.parametrize(("engine", "when"), [("dask", "start"), ("dask", "rows"), ("ray", "rows")])
def test_ctrl_c_in_a_terminal_ends_a_run_on_a_cluster_with_one_line(engine, when, inputs, tmp_path):
    """The terminal sends the signal to all processes of the group."""
    pytest.importorskip({"dask": "distributed"}.get(engine, engine))
    argv = [*XENT, "compute", *inputs, "-o", "rows.csv", "--engine", engine, "--threads", "2"]
    options = {"stdout": -1, "stderr": -1, "start_new_session": True, "preexec_fn": hear_signals}
    with subprocess.Popen(argv, cwd=tmp_path, **options) as process:
        sizes = lambda: [path.stat().st_size for path in tmp_path.iterdir()]  # noqa: E731
        until(lambda: sizes() if when == "start" else any(sizes()), "an output", sizes)
        for _ in range(2):
            os.killpg(process.pid, signal.SIGINT)
        out, error = process.communicate(timeout=PATIENCE_SECONDS)
    assert (process.returncode, out, error) == (130, b"", b"interrupted\n")
    assert list(tmp_path.iterdir()) == []


REDIRECTIONS = ["<&-", ">&-", "2>&-", "<&- >&-", "<&- 2>&-", ">&- 2>&-", "<&- >&- 2>&-"]


@pytest.mark.parametrize("closed", REDIRECTIONS)
def test_a_closed_stream_is_never_replaced_by_an_opened_file(closed, small, tmp_path):
    line = " ".join([*XENT, "compute", *small, "-o", "rows.tsv", "--gradients", "g.npy", "--report", "s.json", closed])
    run = subprocess.run(["bash", "-c", line], cwd=tmp_path, capture_output=True, text=True, check=False)
    assert run.returncode == 0
    assert sorted(path.name for path in tmp_path.iterdir()) == ["g.npy", "rows.tsv", "s.json"]
    assert np.load(tmp_path / "g.npy").shape == (50, 4)
    assert len((tmp_path / "rows.tsv").read_text().splitlines()) == 51
    assert ("mean_loss" in run.stdout) == (">&-" not in closed.replace("2>&-", ""))


@pytest.mark.parametrize("closed", REDIRECTIONS)
@pytest.mark.parametrize(("limit", "code"), [("9", 0), ("0.001", 1)])
def test_a_verdict_needs_no_stream(limit, code, closed, small):
    line = " ".join([*XENT, "check", *small, "--max", f"mean_loss={limit}", closed])
    run = subprocess.run(["bash", "-c", line], capture_output=True, text=True, check=False)
    assert (run.returncode, "Traceback" in run.stderr) == (code, False)


@pytest.mark.parametrize("which", ["stdout", "stderr", "both"])
@pytest.mark.parametrize(("limit", "codes"), [("9", (0, 141)), ("0.001", (1,))])
def test_a_failed_check_exits_1_even_if_the_reader_is_gone(limit, codes, which, small):
    reading, writing = os.pipe()
    os.close(reading)
    streams = {name: writing for name in ("stdout", "stderr") if which in (name, "both")}
    run = subprocess.run(
        [*XENT, "check", *small, "--max", f"mean_loss={limit}"], check=False, **{"stdout": -1, "stderr": -1, **streams}
    )
    os.close(writing)
    assert run.returncode in codes


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="a device of Linux that is always full")
@pytest.mark.parametrize("args", [[], ["--reduction", "mean"], ["-f", "json"], ["-f", "npy"], ["-f", "table"]])
def test_a_full_disk_under_standard_output_is_named(args, small):
    with Path("/dev/full").open("wb") as full:
        run = xent("compute", *small, *args, capture_output=False, stdout=full, stderr=subprocess.PIPE)
    assert run.returncode == 3
    assert "error: cannot write standard output\n  found No space left on device\n" in run.stderr


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="a device of Linux that is always full")
def test_a_full_disk_under_standard_error_is_not_a_verdict(small):
    with Path("/dev/full").open("wb") as full:
        run = xent("compute", *small, capture_output=False, stdout=subprocess.PIPE, stderr=full)
    assert run.returncode == 3


def test_other_system_errors_are_not_blamed_on_standard_output(small):
    script = (
        "import errno\nimport xent_cli.cli.runs.compute as e\n"
        "def broken(*args, **options): raise OSError(errno.EMFILE, 'Too many open files', 'l.npy')\n"
        "e.compute = broken\nfrom xent_cli.cli import main\nmain()\n"
    )
    run = subprocess.run([sys.executable, "-c", script, "compute", *small], capture_output=True, text=True, check=False)
    assert (run.returncode, run.stderr) == (3, "error: the system refused\n  l.npy: found Too many open files\n")


@pytest.mark.parametrize(
    "error", ["ZeroDivisionError('oops')", "RecursionError('deep')", "SystemExit(1)", "GeneratorExit()"]
)
@pytest.mark.parametrize("broken", ["", "tempfile.NamedTemporaryFile = refuse\n", "click.echo = refuse\n"])
def test_a_bug_exits_with_4_whatever_fails_after_it(error, broken, small):
    script = (
        "import click, tempfile\nimport xent_cli.cli.runs.compute as e\n"
        "def refuse(*args, **options): raise FileNotFoundError(2, 'No usable temporary directory found')\n"
        f"def bug(*args, **options): raise {error}\n"
        f"e.compute = bug\n{broken}"
        "from xent_cli.cli import main\nmain()\n"
    )
    run = subprocess.run([sys.executable, "-c", script, "compute", *small], capture_output=True, text=True, check=False)
    assert run.returncode == 4
    if "click" not in broken:
        assert run.stderr.startswith("error: a bug in xent")
    if "tempfile" in broken:
        assert "Traceback" in run.stderr
    elif not broken:
        Path(run.stderr.split()[-1]).unlink()


def test_a_run_reports_that_no_folder_accepts_temporary_files(small):
    script = "import tempfile\ntempfile._candidate_tempdir_list = lambda: []\nfrom xent_cli.cli import main\nmain()\n"
    argv = [sys.executable, "-c", script, "compute", "-", small[1]]
    run = subprocess.run(argv, input=b"PK\3\4" + bytes(100), capture_output=True, check=False)
    assert run.returncode == 3
    assert run.stderr.startswith(b"error: no place for a temporary file\n")
    assert b"TMPDIR" in run.stderr


@pytest.mark.parametrize("asked", ["bogus", "bash_bogus", "bogus_source", "1", "\x1b[31m_source"])
def test_completion_for_an_unknown_shell_is_a_usage_error(asked, small):
    run = xent("compute", *small, env={**os.environ, "_XENT_COMPLETE": asked})
    assert run.returncode == 2
    assert run.stderr.startswith("error: _XENT_COMPLETE=")
    assert "\x1b" not in run.stderr


@pytest.mark.parametrize(
    ("axis", "output"), [("0", "--gradients"), ("-1", "--gradients"), ("-1", "-o"), ("-1", "--report")]
)
def test_a_disk_without_room_is_named_and_leaves_the_old_file(axis, output, tmp_path):
    """A limit of this process stands in for the disk."""
    np.save(tmp_path / "l.npy", np.random.default_rng(1).normal(size=(300, 300)))
    np.save(tmp_path / "y.npy", np.arange(300))
    target = {"--gradients": "g.npy", "-o": "rows.npy", "--report": "s.json"}[output]
    (tmp_path / target).write_text("old")
    limit = {"preexec_fn": lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (1000, 1000))}
    run = xent("compute", "l.npy", "y.npy", "--axis", axis, output, target, "-q", cwd=tmp_path, **limit)
    error = f"error: cannot write file\n  {target}: found File too large\n"
    assert (run.returncode, run.stderr) == (3, f"{error}hint: make room there, or write to another place\n")
    assert (tmp_path / target).read_text() == "old"
    assert len(list(tmp_path.iterdir())) == 3


def test_a_pipe_to_write_to_waits_as_long_as_the_option_says_and_says_so(small, tmp_path):
    os.mkfifo(tmp_path / "fifo.csv")
    run = xent("compute", *small, "-o", "fifo.csv", "--timeout", "1.5", cwd=tmp_path)
    assert run.returncode == 3
    assert "note: fifo.csv is a pipe that nobody reads from yet: waiting [output-waits]\n" in run.stderr
    assert "no reader for 1.5 seconds" in run.stderr
