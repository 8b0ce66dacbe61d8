"""Names and texts that try to control a terminal or a workflow: what a real process prints of them."""

import json
import os
import re
import subprocess
import sys

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests import forked
from xent_cli.cli.display.shell import quoted
from xent_cli.errors import printable

XENT = [sys.executable, "-m", "xent_cli"]
# Control characters, and what a workflow's runner interprets as a command, also after blanks.
RAW = re.compile(rb"[\x00-\x08\x0b-\x1f\x7f]|^\s*::|##\[|\xe2\x80\xae", re.MULTILINE)
EVIL = "x\x1b]52;c;QQ==\x07\n::error::pwned\u202e##[error]y\x7f"
# Names that a file may have: any character but the slash and NUL, and bytes that are not text.
NAMES = [
    b"plain.npy", b"two words.npy", b"it's.npy", b"-dash.npy", b"--axis", b"$HOME`id`.npy", b"line\nend.npy",
    b"\x1b[31m.npy", b"caf\xe9.npy", b"\xff\xfe", b"::error::x", b"##[error]x.npy", b"\\x41.npy", b"=ls", b"~", b"#x",
    "日本\u202e.npy".encode(), b"a\tb", b"%s%n", b"!!", b'"q"', b"a;b&c|d>e", b"{a,b}", b"*", b"[0]",
]  # fmt: skip


def xent(folder, *args):
    return forked.xent(*args, cwd=folder, text=False)


@pytest.fixture
def folder(tmp_path):
    np.save(tmp_path / "l.npy", np.array([[1.0, 2.0, 3.0], [4.0, 5.0, 6.0]]))
    np.save(tmp_path / "y.npy", np.array([2, 0]))
    return tmp_path


@pytest.mark.parametrize("name", NAMES, ids=repr)
def test_the_line_of_inspect_pastes_back_for_every_name(folder, name):
    (folder / "l.npy").rename(folder / os.fsdecode(name))
    run = xent(folder, "inspect", "--", name, "y.npy")
    assert not RAW.search(run.stdout + run.stderr)
    line = run.stdout.decode().split("\ncommand\t")[1].splitlines()[0].removeprefix("xent ")
    pasted = forked.shell(f"xent {line}", folder, text=False)
    assert (pasted.returncode, len(pasted.stdout.splitlines())) == (0, 3)
    document = json.loads(xent(folder, "inspect", "-f", "json", "--", name, "y.npy").stdout)
    assert os.fsencode(document["files"][0]["path"]) == name


@given(st.text(st.characters(exclude_characters="\0", exclude_categories=("Cs",)), max_size=20))
def test_every_text_pastes_back_and_is_printable(text):
    word = quoted(text)
    assert word.isprintable()
    assert "##[" not in word
    run = subprocess.run(["bash", "-c", f"printf '%s' {word}"], capture_output=True, env={"LC_ALL": "C"})
    assert run.stdout.decode() == text


@given(st.text(st.sampled_from("a:# [\n\r\x1b\x9b\u2028\u202e\udcff\t"), max_size=12))
def test_printable_text_is_one_line_and_no_command(text):
    told = printable(text)
    assert told.isprintable()
    assert not told.strip().startswith("::")
    assert "##[" not in told
    assert printable(told) == told


@pytest.mark.parametrize(
    "args",
    [
        ["compute", "l.npy", "y.npy", EVIL], [EVIL], ["compute", f"--{EVIL}"], ["compute", "l.npy", "--axis", EVIL],
        ["compute", EVIL], ["compute", "l.npy", EVIL], ["compute", "l.npy", "y.npy", "-f", EVIL],
        ["compute", "l.npy", "y.npy", "-o", EVIL], ["compute", "l.npy", "y.npy", "--report", EVIL],
        ["compute", "l.npy", "y.npy", "--class-weight", EVIL], ["compute", "l.npy", "y.npy", "--by", EVIL],
        ["compute", "l.npy", "y.npy", "--plot", EVIL], ["compute", "l.npy", "y.npy", "--config", EVIL],
        ["compute", "l.npy", "y.npy", "-o", f"{EVIL}/x.tsv"], ["compute", "l.npy", "y.npy", "--sample-weight", EVIL],
        ["check", "l.npy", "y.npy", "--max", EVIL], ["check", "l.npy", "y.npy", "--max", "n_nan=9", "--baseline", EVIL],
        ["compare", EVIL, "y.npy"], ["verify", "l.npy", "y.npy", "--loss", EVIL], ["inspect", EVIL],
        ["compute", "::error::x"], ["compute", "  ::error::x"], ["compute", "http://::error::/##[error]"],
        ["compute", "l.npy", "y.npy", "--axis", "::error::"],
    ],
    ids=lambda args: " ".join(args[:-1]) or "command",
)  # fmt: skip
def test_what_was_typed_is_escaped_in_every_message(folder, args):
    run = xent(folder, *args)
    assert run.returncode in (2, 3)
    assert not RAW.search(run.stdout + run.stderr)


TABLE = pa.table(
    {
        "logit_a": [1.0, 2.0],
        "logit_b": [0.0, 1.0],
        f"logit_{EVIL}": [EVIL, EVIL],
        f"by{EVIL}": [EVIL, "::error::x"],
        "label": [0, 1],
        "id": ["::error::x", EVIL],
    }
)


@pytest.mark.parametrize(
    "args",
    [
        ["compute", "t.parquet", "--reduction", "mean"], ["compute", "t.parquet", "-f", "table", "--by", f"by{EVIL}"],
        ["compute", "t.parquet", "-o", "o.parquet", "--by", f"by{EVIL}", "--top", "2"], ["inspect", "t.parquet"],
        ["check", "t.parquet", "--max", "mean_loss=0"], ["check", "t.parquet", "--max", "mean_loss=0", "-f", "table"],
        ["check", "t.parquet", "--by", f"by{EVIL}", "--max", f"slice:by{EVIL}={EVIL}:mean_loss=0"],
        ["compute", "t.parquet", "--label-column", "id"], ["compute", "t.parquet", "--logits-column", "id"],
        ["compute", "t.parquet", "--sample-weight-column", f"by{EVIL}"], ["inspect", "t.parquet", "-f", "table"],
    ],
    ids=lambda args: " ".join(args)[:40],
)  # fmt: skip
def test_what_stands_in_a_table_is_escaped_in_every_message(folder, args):
    pq.write_table(TABLE, folder / "t.parquet")
    run = xent(folder, *args)
    assert run.returncode in (0, 1, 2, 3)
    assert not RAW.search(run.stdout + run.stderr)


def test_an_annotation_holds_nothing_that_ends_it(folder):
    pq.write_table(TABLE, folder / "t.parquet")
    slices = ["--by", f"by{EVIL}", "--max", f"slice:by{EVIL}={EVIL}:mean_loss=0"]
    run = xent(folder, "check", "t.parquet", "-f", "github", *slices)
    commands = [line for line in run.stdout.splitlines() if line.lstrip().startswith(b"::")]
    assert run.returncode == 1
    assert len(commands) == 2
    assert all(re.match(rb"::(error|warning|notice) title=[^:,]*::", line) for line in commands)
    assert not re.search(rb"[\x00-\x08\x0b-\x1f\x7f]|##\[", run.stdout)


@pytest.mark.parametrize("form", ["tsv", "csv", "jsonl", "table"])
def test_rows_on_a_terminal_are_escaped_and_in_a_file_are_as_they_are(form, folder):
    import pty

    pq.write_table(TABLE.select(["logit_a", "logit_b", "label", "id"]), folder / "t.parquet")
    main, other = pty.openpty()
    command = [*XENT, "compute", "t.parquet", "-f", form, "--color", "never", "-q"]
    with subprocess.Popen(command, cwd=folder, stdout=other, env={**os.environ, "TERM": "dumb"}) as process:
        os.close(other)
        shown = b""
        try:
            while more := os.read(main, 65536):
                shown += more
        except OSError:  # Linux raises this if the other end is closed
            pass
    os.close(main)
    assert process.returncode == 0
    assert b"]52;c;QQ==" in shown
    assert not re.search(rb"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f]", shown)
    if form == "tsv":
        run = xent(folder, "compute", "t.parquet", "-f", form, "-q")
        assert EVIL.encode() in run.stdout
