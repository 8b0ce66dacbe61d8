"""Start-up is a feature: what a run may import."""

import subprocess
import sys

import numpy as np
import pytest

REPORT = """
import sys
from xent_cli.cli import main
try:
    main()
finally:
    sys.stdout.flush()
    print(*sorted(name for name in sys.modules), file=sys.stderr)
"""


COMMANDS = ("compute", "check", "compare", "verify", "inspect")


def imported(*args):
    run = subprocess.run([sys.executable, "-c", REPORT, *args], capture_output=True, text=True, check=True)
    return set(run.stderr.split())


@pytest.fixture
def files(tmp_path):
    rng = np.random.default_rng(0)
    np.save(tmp_path / "l.npy", rng.normal(size=(300, 10)))
    np.save(tmp_path / "y.npy", rng.integers(0, 10, 300))
    return [str(tmp_path / "l.npy"), str(tmp_path / "y.npy")]


@pytest.mark.parametrize(
    "args",
    [["--help"], ["--version"], *([name, "--help"] for name in ("compute", "check", "compare", "verify", "inspect"))],
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


def test_a_small_npy_run_starts_no_thread_pool(files):
    assert "concurrent.futures.thread" not in imported("compute", *files)


def test_rows_into_a_file_need_pyarrow_only_where_the_format_is_its_own(files, tmp_path):
    for suffix in ("tsv", "csv", "jsonl", "npy"):
        assert "pyarrow" not in imported("compute", *files, "-o", str(tmp_path / f"out.{suffix}"))
    assert "pandas" not in imported("compute", *files, "-o", str(tmp_path / "out.parquet"))


def test_comparing_arrays_imports_neither_pandas_nor_pyarrow_nor_rich(tmp_path):
    np.save(tmp_path / "losses.npy", np.arange(300.0))
    losses = str(tmp_path / "losses.npy")
    assert not imported("compare", losses, losses, "-q") & {"pandas", "pyarrow", "rich", "scipy"}


@pytest.mark.parametrize("suffix", ["csv", "parquet", "list.parquet", "jsonl", "arrow"])
def test_tables_of_numbers_are_read_without_pandas(suffix, tmp_path):
    import pandas as pd
    import pyarrow as pa

    rng = np.random.default_rng(0)
    wide = pd.DataFrame(rng.normal(size=(50, 3)), columns=["a", "b", "c"]).assign(label=rng.integers(0, 3, 50))
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
