"""A run as a process: pipes that close, signals, memory, terminals, and the same bits whichever way inputs are read."""

import os
import pty
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from tests.waiting import PATIENCE_SECONDS, endless, names, until

XENT = [sys.executable, "-m", "xent_cli"]
SAMPLE = Path(__file__).parents[2] / "sample_data"
DIGITS = [str(SAMPLE / "digits_logits.npy"), str(SAMPLE / "digits_labels.npy")]


def xent(*args, **options):
    return subprocess.run([*XENT, *map(str, args)], capture_output=True, text=True, check=False, **options)


@pytest.fixture(scope="module")
def big(tmp_path_factory):
    """Write 40 MB of logits: 1,000,000 samples of 10 classes."""
    folder = tmp_path_factory.mktemp("big")
    rng = np.random.default_rng(0)
    np.save(folder / "l.npy", rng.standard_normal((1_000_000, 10), dtype=np.float32))
    np.save(folder / "y.npy", rng.integers(0, 10, 1_000_000))
    return folder / "l.npy", folder / "y.npy"


def test_a_closed_pipe_ends_quietly_with_141(big):
    line = f"{' '.join(XENT)} compute {big[0]} {big[1]} | head -1; echo ${{PIPESTATUS[0]}}"
    run = subprocess.run(["bash", "-c", line], capture_output=True, text=True, check=False)
    assert run.stdout.splitlines() == ["sample\tlabel\tloss", "141"]
    assert run.stderr == ""


def test_a_named_pipe_whose_reader_leaves_ends_quietly_with_141(big, tmp_path):
    os.mkfifo(tmp_path / "fifo.tsv")
    with subprocess.Popen(["head", "-c", "10", tmp_path / "fifo.tsv"], stdout=subprocess.PIPE) as reader:
        run = xent("compute", *big, "-o", tmp_path / "fifo.tsv", "-q")
        assert reader.communicate()[0] == b"sample\tlab"
    assert (run.returncode, run.stderr) == (141, "")


def test_a_closed_pipe_exits_141_from_a_table_too():
    reading, writing = os.pipe()
    os.close(reading)
    run = subprocess.run([*XENT, "compute", *DIGITS, "-f", "table"], stdout=writing, stderr=-1, check=False)
    os.close(writing)
    assert (run.returncode, run.stderr) == (141, b"")


@pytest.mark.parametrize(("args", "code"), [([*DIGITS, "--reduction", "mean"], 0), (["none.npy"], 3)])
def test_a_run_ends_whatever_threads_are_left_and_after_what_was_registered_for_its_end(args, code):
    # Python would wait for such a thread at exit; a thread of Arrow that then asks for the interpreter aborts the
    # process.
    program = f"""
import atexit, sys, threading
from xent_cli import __main__
threading.Thread(target=threading.Event().wait).start()
atexit.register(lambda: print("registered", flush=True))
sys.argv = ["xent", "compute", *{[str(arg) for arg in args]!r}]
__main__.main()
"""
    run = subprocess.run([sys.executable, "-c", program], capture_output=True, timeout=PATIENCE_SECONDS, check=False)
    assert run.returncode == code
    assert run.stdout.splitlines()[-1] == b"registered"


@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143), (signal.SIGHUP, 129)])
def test_an_interrupted_run_leaves_the_old_files_and_nothing_else(number, code, tmp_path, tmp_path_factory):
    inputs = endless(tmp_path_factory.mktemp("endless"), 10**7, 10)
    for name in ("rows.csv", "g.npy"):
        (tmp_path / name).write_text("old")
    args = [*XENT, "compute", *map(str, inputs), "-o", "rows.csv", "--gradients", "g.npy", "--threads", "1"]
    usual = signal.default_int_handler if number == signal.SIGINT else signal.SIG_DFL
    restore = {"preexec_fn": lambda: signal.signal(number, usual)}  # under nohup a hangup is ignored
    with subprocess.Popen(args, cwd=tmp_path, stdout=-1, stderr=-1, **restore) as process:
        until(lambda: len(names(tmp_path)) == 4, "both outputs begun", lambda: names(tmp_path))
        process.send_signal(number)
        out, error = process.communicate(timeout=PATIENCE_SECONDS)
    assert process.returncode == code
    assert out == b""
    assert error.decode() in ("interrupted\n", "terminated\n", "hung up\n")
    assert {path.name: path.read_text() for path in tmp_path.iterdir()} == {"rows.csv": "old", "g.npy": "old"}


def test_the_mean_is_the_same_to_the_last_bit_for_every_number_of_threads(big):
    means = {xent("compute", *big, "--reduction", "mean", "--threads", n).stdout for n in (1, 2, 3)}
    assert len(means) == 1


def peak(path, folder):
    """Return the peak memory of a run, in MB."""
    np.save(folder / "y.npy", np.zeros(np.load(path, mmap_mode="r").shape[0], np.int64))
    args = [*XENT, "compute", str(path), str(folder / "y.npy"), "--reduction", "mean"]
    # A process starts with the peak of the one it was forked from, so a small process starts it.
    script = (
        "import os, subprocess, sys\n"
        "child = subprocess.Popen(sys.argv[1:], stdout=subprocess.DEVNULL)\n"
        "_, status, usage = os.wait4(child.pid, 0)\n"
        "child.returncode = os.waitstatus_to_exitcode(status)\n"
        "print(child.returncode, usage.ru_maxrss)\n"
    )
    run = subprocess.run([sys.executable, "-S", "-c", script, *args], capture_output=True, text=True, check=True)
    code, kilobytes = run.stdout.split()
    assert code == "0"
    return int(kilobytes) / 1024


def test_memory_does_not_grow_with_the_file(tmp_path):
    peaks = []
    for rows in (20_000, 100_000):  # up to 64 MB, tasks may be smaller
        array = np.lib.format.open_memmap(tmp_path / "l.npy", "w+", np.float32, (rows, 1000))
        del array  # a file of holes, which reads as zeros
        peaks.append(peak(tmp_path / "l.npy", tmp_path))
    assert max(peaks) < 100
    assert peaks[1] < 1.1 * peaks[0]


def on_terminal(args, **variables):
    """Run with a terminal as standard output; return what is shown there and the exit code."""
    main, other = pty.openpty()
    env = {key: value for key, value in os.environ.items() if key not in ("NO_COLOR", "FORCE_COLOR")}
    env |= {"TERM": "xterm-256color", "COLUMNS": "100", **variables}
    with subprocess.Popen([*XENT, *args], stdout=other, stderr=subprocess.PIPE, env=env) as process:
        os.close(other)
        shown = b""
        while True:
            try:
                more = os.read(main, 65536)
            except OSError:
                break
            if not more:
                break
            shown += more
        process.communicate()
    os.close(main)
    return shown.decode(), process.returncode


def test_a_terminal_gets_a_table_with_head_tail_worst_samples_and_summary():
    shown, code = on_terminal(["compute", *DIGITS])
    assert code == 0
    assert all(word in shown for word in ("sample", "worst", "mean_loss", "0.125248", "350 of 360 samples not shown"))


@pytest.mark.parametrize(
    ("args", "variables"), [(["--color", "never"], {}), ([], {"NO_COLOR": "1"}), ([], {"TERM": "dumb"})]
)
def test_a_terminal_that_wants_no_colour_gets_no_colour(args, variables):
    shown, _ = on_terminal(["compute", *DIGITS, *args], **variables)
    assert "\x1b[3" not in shown
    assert "mean_loss" in shown


@pytest.mark.parametrize("form", ["npy", "arrow"])
def test_binary_to_a_terminal_is_refused(form):
    shown, code = on_terminal(["compute", *DIGITS, "-f", form])
    assert (shown, code) == ("", 2)


def test_a_bug_exits_4_with_one_line_and_keeps_the_traceback():
    script = (
        "import xent_cli.cli.runs.compute as e\n"
        "def broken(*args): raise ZeroDivisionError('oops')\n"
        "e.compute = broken\n"
        "from xent_cli.cli import main\nmain()\n"
    )
    run = subprocess.run(
        [sys.executable, "-c", script, "compute", *DIGITS], capture_output=True, text=True, check=False
    )
    assert run.returncode == 4
    assert len(run.stderr.splitlines()) == 1
    log = Path(run.stderr.split()[-1])
    assert "ZeroDivisionError: oops" in log.read_text()
    log.unlink()


@pytest.mark.skipif("CS_GNU_LIBC_VERSION" not in getattr(os, "confstr_names", {}), reason="memory is glibc's to keep")
def test_the_memory_of_a_task_is_kept_for_the_next():
    code = (
        "import resource, sys\n"
        "import numpy as np\n"
        "from xent_cli import start\n"
        "if sys.argv[1:]:\n"
        "    start.keep_memory()\n"
        "def faults():\n"
        "    before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt\n"
        "    held = [np.ones(1 << 18) for _ in range(8)]\n"
        "    del held\n"
        "    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before\n"
        "faults()\n"
        "print(faults())\n"
    )
    # Earlier tests have left the variables for workers of a cluster in the environment.
    plain = {name: value for name, value in os.environ.items() if not name.startswith("MALLOC_")}
    given_back, kept = (
        int(subprocess.run([sys.executable, "-c", code, *how], capture_output=True, check=True, env=plain).stdout)
        for how in ([], ["keep"])
    )
    assert kept < given_back / 4
