"""Reports with pictures, the histogram in the table, and the progress bar, tested through the command."""

import os
import pty
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from tests import forked
from tests.cli.test_process import DIGITS, XENT, on_terminal

MAIN = "from xent_cli.cli import main\nmain()\n"


def xent(*args, script=None, **variables):
    if script is None and "PYTHONIOENCODING" not in variables:  # Python reads it when it starts
        run = forked.xent(*args, env={**os.environ, **variables})
    else:
        start = XENT if script is None else [sys.executable, "-c", script + MAIN]
        env = {**os.environ, **variables}
        run = subprocess.run([*start, *args], capture_output=True, env=env, text=True, encoding="utf-8", check=False)
    return run.returncode, run.stdout, run.stderr


def test_a_run_writes_page_picture_and_document_at_once_and_again_the_same(tmp_path):
    options = ["--report", "r.html", "--report", "r.json", "--plot", "r.svg", "--overflow-report"]
    digits = [str(Path(path).resolve()) for path in DIGITS]
    for folder, threads in (("a", "1"), ("b", "2")):
        (tmp_path / folder).mkdir()
        line = ["compute", *digits, "--reduction", "mean", *options]
        env = {**os.environ, "XENT_COMPUTE_THREADS": threads, "SOURCE_DATE_EPOCH": "1764115200"}
        assert forked.xent(*line, cwd=tmp_path / folder, env=env).returncode == 0
    for name in ("r.html", "r.json", "r.svg"):
        assert (tmp_path / "a" / name).read_bytes() == (tmp_path / "b" / name).read_bytes()
    page = (tmp_path / "a" / "r.html").read_text(encoding="utf-8").replace("<span>", "").replace("</span>", "")
    assert "2025-11-26 00:00 UTC" in page
    assert "--reduction mean --report r.html --report r.json --plot r.svg --overflow-report </code>" in page
    for told in ("0.125248", "expected calibration error 0.02842", "float16, textbook", "Loss by class", "<svg"):
        assert told in page


def test_a_failed_check_is_in_its_page(tmp_path):
    path = tmp_path / "r.html"
    code, _, _ = xent(
        "check", *DIGITS, "--max", "mean_loss=0.1", "--report", str(path), "--plot", str(tmp_path / "r.png")
    )
    assert code == 1
    assert '<h1 class="fail">xent FAIL: 1 of 1 checks</h1>' in path.read_text(encoding="utf-8")
    assert (tmp_path / "r.png").read_bytes().startswith(b"\x89PNG")


@pytest.mark.parametrize("missing", ["jinja2", "matplotlib"])
@pytest.mark.parametrize("option", ["--report", "--plot"])
def test_without_the_extra_the_install_is_named_before_any_work(missing, option, tmp_path):
    target = tmp_path / ("r.html" if option == "--report" else "r.png")
    block = f"import sys\nsys.modules[{missing!r}] = None\n"
    code, out, err = xent("compute", "no-such-file.npy", option, str(target), script=block)
    if (missing, option) == ("jinja2", "--plot"):
        assert "no-such-file.npy" in err  # a picture needs no jinja2
        return
    assert (code, out) == (3, "")
    assert re.search(r"hint: pip install .*\[report\]", err)
    assert not list(tmp_path.iterdir())


def test_a_plot_of_another_suffix_is_a_usage_error():
    code, _, err = xent("compute", *DIGITS, "--plot", "losses.pdf")
    assert code == 2
    assert "must be one of .svg, .png" in err


def test_the_other_reports_import_no_picture(tmp_path):
    script = "import atexit, sys\natexit.register(lambda: print(*sys.modules, file=sys.stderr))\n"
    _, _, err = xent("compute", *DIGITS, "--report", str(tmp_path / "r.md"), script=script)
    assert not {"matplotlib", "jinja2"} & set(err.split())


def test_the_table_has_a_histogram_with_counts_in_blocks_or_in_ascii(tmp_path):
    shown, _ = on_terminal(["compute", *DIGITS], PYTHONIOENCODING="utf-8")
    assert "█" in shown
    _, out, _ = xent("compute", *DIGITS, "-f", "table", PYTHONIOENCODING="ascii")
    assert "#####" in out
    assert out.isascii()
    row = next(line for line in out.splitlines() if "0.01 to 0.1" in line)
    assert "52" in row.split()


def test_a_progress_bar_is_on_a_terminal_and_leaves_it_clean(tmp_path):
    array = np.lib.format.open_memmap(tmp_path / "l.npy", "w+", np.float32, (20_000, 1000))
    del array  # a file of holes, which reads as zeros
    np.save(tmp_path / "y.npy", np.zeros(20_000, np.int64))
    main, other = pty.openpty()
    # Without patience the bar is shown from the second block on, however fast the machine is.
    script = (
        "from functools import partial\nfrom xent_cli.cli.display import progress\n"
        "progress.track = partial(progress.track, patience_seconds=-1.0)\n" + MAIN
    )
    args = ["compute", str(tmp_path / "l.npy"), str(tmp_path / "y.npy"), "--reduction", "mean"]
    env = {**os.environ, "TERM": "xterm-256color", "COLUMNS": "100"}
    for extra, expected in ((["--threads", "1"], True), (["--no-progress"], False), (["-q"], False)):
        run = subprocess.run(
            [sys.executable, "-c", script, *args, *extra], stdout=subprocess.PIPE, stderr=other, env=env, check=True
        )
        shown = _drain(main)
        assert float(run.stdout) == pytest.approx(np.log(1000))
        assert ("samples" in shown) == expected
        assert not expected or "\x1b[2K" in shown  # erased at the end
    os.close(other)
    os.close(main)


def _drain(terminal):
    os.set_blocking(terminal, False)
    shown = b""
    while True:
        try:
            shown += os.read(terminal, 65536)
        except BlockingIOError:
            return shown.decode()
