"""Completion in a real bash with a terminal, set up as docs/reference/settings.md says."""

import os
import pty
import re
import select
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from tests import forked
from tests.waiting import PATIENCE_SECONDS

BIN = Path(sys.executable).parent


@pytest.fixture(scope="module")
def bash(tmp_path_factory):
    """Start an interactive bash with completion; return a function that completes a line in it."""
    folder = tmp_path_factory.mktemp("home")
    (folder / "some_logits.npy").touch()
    (folder / "table.csv").write_text("key,cat score,dog,truth\n1,0.5,0.25,dog\n")
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
        # The comment keeps bash from running the line, and marks the end of the answer.
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
        ("xent compute --columns rank,conf", "xent compute --columns rank,confidence "),
        ("xent compute table.csv --label-column t", "xent compute table.csv --label-column truth "),
        ("xent compute table.csv --id-column c", "xent compute table.csv --id-column cat\\ score "),
        ("xent compute table.csv --logits-column dog,c", "xent compute table.csv --logits-column dog,cat\\ score "),
        ("xent compare old=table.csv table.csv --by k", "xent compare old=table.csv table.csv --by key "),
        ("xent compute some_logits.npy table.csv --mask t", "xent compute some_logits.npy table.csv --mask truth "),
        ("xent compute table.csv --mask some_", "xent compute table.csv --mask some_logits.npy "),
    ],
)
def test_bash_completes_commands_options_values_and_file_names(bash, line, whole):
    assert bash(line).endswith(whole)


def answers(shell, line, folder):
    """Return the completions of the last word of a line, in the form that a shell reads."""
    words = line.split(" ")
    count = words[-1] if shell == "fish" else len(words) - 1
    asked = {"COMP_WORDS": line, "COMP_CWORD": str(count), "_XENT_COMPLETE": f"{shell}_complete"}
    run = forked.xent(cwd=folder, env={**os.environ, **asked})
    assert (run.returncode, run.stderr) == (0, "")
    return run.stdout.splitlines()


@pytest.fixture(scope="module")
def tables(tmp_path_factory):
    """Write files with names of columns in them, and some without or unreadable."""
    folder = tmp_path_factory.mktemp("tables")
    frame = pd.DataFrame({"key": [1], "cat": [0.5], "dog": [0.25], "truth": ["dog"]})
    frame.to_csv(folder / "t.csv", index=False)
    frame.to_csv(folder / "t.tsv.gz", index=False, sep="\t")
    frame.to_parquet(folder / "t.parquet")
    frame.to_feather(folder / "t.arrow")
    frame.to_json(folder / "t.jsonl", orient="records", lines=True)
    frame.to_json(folder / "t.json", orient="records")
    (folder / "dataset" / "split=test").mkdir(parents=True)
    frame.to_parquet(folder / "dataset" / "split=test" / "part.parquet")
    np.savez(folder / "t.npz", key=[1], cat=[0.5], dog=[0.25], truth=[1])
    np.save(folder / "array.npy", [0.5])
    (folder / "cut.parquet").write_bytes((folder / "t.parquet").read_bytes()[:-9])
    (folder / "picture.png").write_bytes(b"\x89PNG\r\n\x1a\n" + bytes(60))
    (folder / "empty.csv").touch()
    os.mkfifo(folder / "pipe")
    return folder


@pytest.mark.parametrize("file", ["t.csv", "t.tsv.gz", "t.parquet", "t.arrow", "t.jsonl", "t.json", "t.npz", "t.p*"])
def test_columns_are_those_of_the_file_on_the_line(file, tables):
    assert answers("bash", f"xent compute {file} --label-column ", tables) == [
        "plain,key", "plain,cat", "plain,dog", "plain,truth",
    ]  # fmt: skip


def test_folders_that_give_the_value_of_a_column_name_one(tables):
    assert "plain,split" in answers("bash", "xent compute dataset --by ", tables)


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_every_shell_is_offered_columns(shell, tables):
    found = answers(shell, "xent check t.csv --max mean_loss=1 --by t", tables)
    assert found == (["plain", "truth", "_"] if shell == "zsh" else ["plain,truth"])


@pytest.mark.parametrize(
    "file",
    ["array.npy", "cut.parquet", "picture.png", "empty.csv", "pipe", "none.csv", "s3://none/t.csv", "-", "x" * 5000],
)
def test_a_file_without_names_offers_none_and_prints_nothing_else(file, tables):
    assert answers("bash", f"xent compute {file} --label-column ", tables) in ([], [""])


def test_columns_of_candidate_losses_are_completed_from_their_file(tables):
    assert answers("bash", "xent verify array.npy --loss t.csv --loss-column tr", tables) == ["plain,truth"]


@pytest.mark.parametrize(("shell", "word"), [("bash", "complete -o"), ("zsh", "#compdef xent"), ("fish", "complete ")])
def test_a_script_for_each_shell_is_printed(shell, word):
    env = {**os.environ, "_XENT_COMPLETE": f"{shell}_source"}
    run = subprocess.run([BIN / "xent"], env=env, capture_output=True, text=True, check=True)
    assert word in run.stdout
    assert "_XENT_COMPLETE" in run.stdout
