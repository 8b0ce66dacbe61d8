"""The start is fast: what a run may import."""

import importlib
import subprocess
import sys
from dataclasses import is_dataclass
from importlib.metadata import version
from pathlib import Path

import click
import numpy as np
import pytest

import xent_cli

REPORT = """
import os, sys
from xent_cli import start
start.set_up_process()
from xent_cli.cli import main
try:
    main()
finally:
    sys.stdout.flush()
    print(*{what}, file=sys.stderr)
"""


without_pandas = pytest.mark.skipif(
    int(version("pyarrow").split(".")[0]) < 26, reason="older versions of Arrow import pandas to convert a column"
)
COMMANDS = ("compute", "check", "compare", "verify", "calibrate", "inspect")


def at_the_end(what, *args):
    code = REPORT.format(what=what)
    run = subprocess.run([sys.executable, "-c", code, *args], capture_output=True, text=True, check=True)
    return set(run.stderr.splitlines()[-1].split())


def imported(*args):
    return at_the_end("sys.modules", *args)


def alone(code, *args):
    """Return the last line that `code` prints in an interpreter that can import three packages only.

    Without `-S`, any installed package with a .pth file, such as an editable one, may import anything at the start.
    """
    places = {str(Path(module.__file__).parents[1]) for module in (xent_cli, np, click)}
    command = [sys.executable, "-I", "-S", "-c", f"import sys\nsys.path += {sorted(places)}\n{code}", *args]
    run = subprocess.run(command, capture_output=True, text=True, check=True)
    return set(run.stderr.splitlines()[-1].split())


@pytest.fixture
def files(tmp_path):
    rng = np.random.default_rng(0)
    np.save(tmp_path / "l.npy", rng.normal(size=(300, 10)))
    np.save(tmp_path / "y.npy", rng.integers(0, 10, 300))
    return [str(tmp_path / "l.npy"), str(tmp_path / "y.npy")]


@pytest.mark.parametrize(
    "args",
    [["--help"], ["--version"], *([name, "--help"] for name in COMMANDS)],
)
def test_help_imports_nothing_heavy(args):
    assert not imported(*args) & {"numpy", "pandas", "pyarrow", "rich", "asyncio", "multiprocessing", "json"}


@pytest.mark.parametrize(
    "args", [[], ["-f", "csv"], ["-f", "jsonl"], ["-f", "json"], ["--reduction", "mean"], ["--top", "3"], ["-q"]]
)
def test_a_small_npy_run_to_a_pipe_imports_neither_pandas_nor_pyarrow_nor_rich(args, files):
    assert not imported("compute", *files, *args) & {"pandas", "pyarrow", "rich", "asyncio", "multiprocessing"}


@pytest.mark.parametrize("args", [[], ["-f", "json"], ["-f", "github"]])
def test_a_check_imports_no_more(args, files):
    heavy = {"pandas", "pyarrow", "rich", "asyncio", "multiprocessing", "xml"}
    assert not imported("check", *files, "--max", "mean_loss=9", *args) & heavy


# Modules that only other inputs and options need: json, shutil and tempfile import twenty modules, the rest
# dataclasses.
ELSEWHERE = {
    *("concurrent.futures.thread", "difflib", "glob", "json", "lzma", "random", "shutil", "tempfile", "tomllib"),
    *(f"xent_cli.cli.commands.{name}" for name in ("calibrate", "check", "compare", "inspect", "verify")),
    *(f"xent_cli.cli.runs.{name}" for name in ("check", "inputs.declared_kind", "outputs.gradient_output")),
    *(f"xent_cli.core.totals.{name}" for name in ("group_sums", "group_totals", "slices", "moments")),
    *("xent_cli.core.confidence.calibration", "xent_cli.reports.details"),
    *("xent_cli.cli.runs.figures.clusters", "xent_cli.core.totals.cluster_rule", "xent_cli.core.totals.cluster_totals"),
    *("xent_cli.core.kernel.textbook_formula", "xent_cli.core.thresholds", "xent_cli.readers.columns.choose_columns"),
    *(f"xent_cli.readers.{name}" for name in ("class_names", "columns.column_plan", "shards")),
    *(f"xent_cli.readers.storage.{name}" for name in ("folders", "pipe", "remote")),
    *(f"xent_cli.readers.pair.{name}" for name in ("bad_rows", "shifted_labels", "class_weights")),
    *("xent_cli.readers.arrays.streamed_array", "xent_cli.reports.summary.table"),
    *(f"xent_cli.writers.{name}" for name in ("arrow", "npy", "parts")),
}


# Not -f: click imports difflib at every short option.
@pytest.mark.parametrize("args", [[], ["--format", "csv"], ["--reduction", "mean"], ["--ignore-index", "3"]])
def test_a_small_npy_run_imports_little_beside_numpy_and_click(args, files, tmp_path, monkeypatch):
    """A run may take 1.3 times the import of these two: some 25 ms more. A module takes 0.2 ms, a dataclass 0.4 ms."""
    monkeypatch.chdir(tmp_path)  # a folder without a configuration file, which would need a parser
    found = alone(REPORT.format(what="sys.modules"), "compute", *files, *args)
    found -= alone("import click, numpy, pathlib, sys\nprint(*sys.modules, file=sys.stderr)")  # in 3.13 it needs glob
    assert not found & ELSEWHERE
    ours = {name for name in found if name.startswith("xent_cli")}
    assert len(ours) <= 90  # the summary with its interval; without a summary, two fewer
    assert len(found - ours) <= 11, found - ours  # a few more or fewer, depending on the Python version
    modules = [importlib.import_module(name) for name in ours]
    made = {entry for module in modules for entry in vars(module).values() if is_dataclass(entry)}
    assert len({kind for kind in made if kind.__module__ in found}) <= 13


@pytest.mark.skipif(not Path("/proc/self/task").is_dir(), reason="where threads are listed on Linux")
def test_a_small_npy_run_starts_no_thread(files, monkeypatch):
    monkeypatch.delenv("OPENBLAS_NUM_THREADS", raising=False)
    assert len(at_the_end("os.listdir('/proc/self/task')", "compute", *files)) == 1


def test_a_large_npy_run_imports_little_for_its_threads(tmp_path):
    np.save(tmp_path / "l.npy", np.zeros((4000, 1000), np.float32))
    np.save(tmp_path / "y.npy", np.zeros(4000, np.int64))
    found = imported(
        "compute", str(tmp_path / "l.npy"), str(tmp_path / "y.npy"), "--reduction", "mean", "--threads", "2"
    )
    assert "threading" in found
    assert not found & {"logging", "concurrent.futures", "multiprocessing", "pandas", "pyarrow", "rich"}


def test_rows_into_a_file_need_pyarrow_only_where_the_format_is_its_own(files, tmp_path):
    for suffix in ("tsv", "csv", "jsonl", "npy"):
        assert "pyarrow" not in imported("compute", *files, "-o", str(tmp_path / f"out.{suffix}"))
    assert "pandas" not in imported("compute", *files, "-o", str(tmp_path / "out.parquet"))


def test_comparing_arrays_imports_neither_pandas_nor_pyarrow_nor_rich(tmp_path):
    np.save(tmp_path / "losses.npy", np.arange(300.0))
    losses = str(tmp_path / "losses.npy")
    assert not imported("compare", losses, losses, "-q") & {"pandas", "pyarrow", "rich", "scipy"}


@without_pandas
@pytest.mark.parametrize("suffix", ["csv", "parquet", "list.parquet", "jsonl", "arrow"])
def test_tables_of_numbers_are_read_without_pandas(suffix, tmp_path):
    import pandas as pd
    import pyarrow as pa

    rng = np.random.default_rng(0)
    wide = pd.DataFrame(rng.normal(size=(50, 3)), columns=["logit_a", "logit_b", "logit_c"]).assign(
        label=rng.integers(0, 3, 50)
    )
    lists = pd.DataFrame({"logits": list(rng.normal(size=(50, 3))), "label": wide["label"]})
    path = tmp_path / f"t.{suffix}"
    if suffix == "csv":
        wide.to_csv(path, index=False)
    elif suffix == "parquet":
        wide.to_parquet(path, index=False)
    elif suffix == "list.parquet":
        lists.to_parquet(path, index=False)
    elif suffix == "jsonl":
        lists.to_json(path, orient="records", lines=True)
    else:
        table = pa.Table.from_pandas(lists, preserve_index=False)
        with pa.ipc.new_file(path, table.schema) as writer:
            writer.write_table(table)
    assert not imported("compute", str(path), "--reduction", "mean") & {"pandas", "rich"}


@without_pandas
def test_labels_that_are_names_are_read_without_pandas(tmp_path):
    path = tmp_path / "t.csv"
    path.write_text("logit_cat,logit_dog,label\n" + "0.5,1.5,dog\n1.5,0.5,cat\n" * 20)
    assert not imported("compute", str(path), "--reduction", "mean") & {"pandas", "rich"}


@without_pandas
@pytest.mark.parametrize("suffix", ["csv", "jsonl"])
def test_many_rows_are_written_as_text_without_pandas(suffix, tmp_path):
    np.save(tmp_path / "l.npy", np.zeros((100_000, 2), np.float16))
    np.save(tmp_path / "y.npy", np.zeros(100_000, np.int8))
    files = [str(tmp_path / name) for name in ("l.npy", "y.npy", f"rows.{suffix}")]
    assert imported("compute", *files[:2], "-o", files[2]) & {"pandas", "pyarrow"} == {"pyarrow"}
