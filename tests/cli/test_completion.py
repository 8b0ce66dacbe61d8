"""Completion in a real bash with a terminal, as docs/reference/settings.md says to switch it on."""

import os
import pty
import re
import select
import subprocess
import sys
import time
from pathlib import Path

import pytest

from tests.waiting import PATIENCE_SECONDS

BIN = Path(sys.executable).parent


@pytest.fixture(scope="module")
def bash(tmp_path_factory):
    """Start an interactive bash with completion; what it is asked is answered by what it makes of the line."""
    folder = tmp_path_factory.mktemp("home")
    (folder / "some_logits.npy").touch()
    (folder / "rc").write_text(f'PATH={BIN}:$PATH\nPS1="ready> "\neval "$(_XENT_COMPLETE=bash_source xent)"\n')
    main, other = pty.openpty()
    env = {"PATH": os.environ["PATH"], "TERM": "dumb", "HOME": str(folder), "LC_ALL": "C.UTF-8"}
    process = subprocess.Popen(
        ["bash", "--noprofile", "--rcfile", "rc", "-i"],
        cwd=folder, stdin=other, stdout=other, stderr=other, env=env, start_new_session=True,
    )  # fmt: skip
    os.close(other)
    seen = b""

    def until(text):
        nonlocal seen
        end = time.monotonic() + PATIENCE_SECONDS
        while text not in seen and time.monotonic() < end:
            if select.select([main], [], [], 0.2)[0]:
                seen += os.read(main, 4096)
        assert text in seen, seen
        before, _, seen = seen.partition(text)
        return before.decode()

    def completed(line):
        # A comment keeps bash from running the line; the mark says where the answer ends.
        os.write(main, f"{line}\t#done\n".encode())
        shown = until(b"#done")
        until(b"ready> ")
        return re.sub(r"[\a\x1b]\S*", "", shown)

    until(b"ready> ")
    yield completed
    os.write(main, b"exit\n")
    process.wait(timeout=PATIENCE_SECONDS)
    os.close(main)


@pytest.mark.parametrize(
    ("line", "whole"),
    [
        ("xent compu", "xent compute "),
        ("xent compute --label-sm", "xent compute --label-smoothing "),
        ("xent check --max-d", "xent check --max-decrease "),
        ("xent check l.npy y.npy --require-s", "xent check l.npy y.npy --require-significant "),
        ("xent compute some_", "xent compute some_logits.npy "),
        ("xent compute -o some_", "xent compute -o some_logits.npy "),
        ("xent check --baseline some_", "xent check --baseline some_logits.npy "),
        ("xent check --report some_", "xent check --report some_logits.npy "),
        ("xent compute --config some_", "xent compute --config some_logits.npy "),
        ("xent compute --reduction me", "xent compute --reduction mean "),
        ("xent check --max mean_delta", "xent check --max mean_delta_p= "),
    ],
)
def test_bash_completes_commands_options_values_and_file_names(bash, line, whole):
    assert bash(line).endswith(whole)


@pytest.mark.parametrize(("shell", "word"), [("bash", "complete -o"), ("zsh", "#compdef xent"), ("fish", "complete ")])
def test_a_script_for_each_shell_is_printed(shell, word):
    env = {**os.environ, "_XENT_COMPLETE": f"{shell}_source"}
    run = subprocess.run([BIN / "xent"], env=env, capture_output=True, text=True, check=True)
    assert word in run.stdout
    assert "_XENT_COMPLETE" in run.stdout
