"""Damaged files: whatever they contain, the command ends with a result or an error message of ours."""

import os
from pathlib import Path

import pytest

from tests import forked

# The long run: XENT_FUZZ=1000 pytest tests/readers/test_fuzz.py tries 10,000 files and more.
COUNT = int(os.environ.get("XENT_FUZZ", "60"))
FORMATS = ["npy", "npz", "stored.npz", "safetensors", "pt", "views.pt", "parquet", "wide.parquet"]
FORMATS += ["records.npy", "records.npz", "pieces.npz", "pieces.safetensors"]
FORMATS += ["csv", "csv.gz", "arrow", "arrows", "jsonl"]
FORMATS += ["json", "records.json", "nested.jsonl", "completions.jsonl", "txt", "cells.csv", "csv.zip", "csv.xz"]
FORMATS += ["llama.jsonl", "older.jsonl", "samples.jsonl", "kld"]
FORMATS += ["top.npz", "top.tar", "top.parquet", "top.jsonl", "ranks.csv", "maps.jsonl"]
# Seeds that once ended in a crash or a traceback.
LIES_KEPT = [("parquet", 37), ("parquet", 20507)]
KEPT = [("pt", 2978), ("npz", 41), ("npz", 79), ("wide.parquet", 26)]


# As in conftest.py, `tests` is found last, so that an installed package is tested.
START = (
    "import runpy, sys; sys.path.append(sys.argv[1]); del sys.argv[:2]; runpy.run_path(sys.argv[0], None, '__main__')"
)


def fuzz(format_name, first, count, script="fuzz.py"):
    words = [Path(__file__).parents[2], Path(__file__).with_name(script), format_name, first, count]
    run = forked.python(START, *words)
    assert run.returncode == 0, f"seed {run.stderr.split()[-1:]} ended the process with {run.returncode}"
    assert run.stdout == "", f"seeds and exit codes: {run.stdout}"


@pytest.mark.parametrize("format_name", FORMATS)
def test_a_mutated_file_ends_in_an_answer_or_an_error(format_name):
    fuzz(format_name, 0, COUNT)


@pytest.mark.parametrize(("format_name", "seed"), KEPT)
def test_a_file_that_once_broke_it_does_no_more(format_name, seed):
    fuzz(format_name, seed, 1)


@pytest.mark.parametrize("format_name", ["parquet", "arrow", "arrows"])
def test_a_file_that_lies_about_itself_ends_in_an_answer_or_an_error_and_loses_no_rows(format_name):
    fuzz(format_name, 0, COUNT, "fuzz_columns.py")


@pytest.mark.parametrize(("format_name", "seed"), LIES_KEPT)
def test_a_file_that_once_broke_it_by_a_lie_does_no_more(format_name, seed):
    fuzz(format_name, seed, 1, "fuzz_columns.py")
