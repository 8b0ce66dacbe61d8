"""Cases of whole processes: files in, a figure or files out."""

from __future__ import annotations

import functools
import shutil
import sys
from typing import TYPE_CHECKING

from benchmarks import data
from benchmarks.case import Case, Goal, Missing, Sample, at_most, faster, peak_below
from benchmarks.process import command, script, xent, xent_after_cat

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from pathlib import Path

_GIB = 1 << 30
_PIPED = "xent after cat"


def cases(work: Path, *, quick: bool) -> Mapping[str, Callable[[], Case]]:
    """Every case that is a process; with `quick` on a twentieth of the rows."""
    part = 20 if quick else 1
    return {
        "npy": functools.partial(_npy, work, 100_000 // part),
        "npy-2gb": functools.partial(_npy_2gb, work, 500_000 // part),
        "gradient": functools.partial(_gradient, work, 100_000 // part),
        "overflow": functools.partial(_overflow, work, 100_000 // part),
        "start": functools.partial(_start, work),
        "csv-10": functools.partial(_csv, work, 1_000_000 // part, 10, 1.1),
        "csv-1000": functools.partial(_csv, work, 20_000 // part, 1000, 0.6),
        "parquet-wide": functools.partial(_parquet, work, 100_000 // part, wide=True),
        "parquet-list": functools.partial(_parquet, work, 100_000 // part, wide=False),
        "rows-text": functools.partial(_rows_text, work, 10_000_000 // part),
        "rows-parquet": functools.partial(_rows_parquet, work, 10_000_000 // part),
        "large": functools.partial(_large, work, 100_000 // part, 50 if not quick else 5),
    }


def _npy(work: Path, n: int) -> Case:
    pair, tiny = data.arrays(work, n, 1000), data.arrays(work, 8, 4)
    mean = ("compute", *pair, "--reduction", "mean")
    piped = ("compute", "-", pair[1], "--reduction", "mean")
    from_file = xent(*mean, work=work)
    through_a_pipe = command("sh", "-c", 'cat "$0" | cat > /dev/null', pair[0], work=work)
    start = xent("compute", *tiny, "--reduction", "mean", work=work)
    apart = "the pipe alone, and xent on the file without its start"
    return Case(
        "npy",
        f"whole process, mean of {n:,} x 1,000 float32 .npy",
        {
            "xent": from_file,
            _PIPED: xent_after_cat(pair[0], *piped, work=work),
            apart: lambda: Sample(through_a_pipe().seconds + from_file().seconds - start().seconds),
            "PyTorch script": script("torch_mean", *pair, work=work, needs=("torch",)),
            "NumPy script": script("numpy_mean", *pair, work=work),
            "cat FILE > /dev/null": command("cat", pair[0], work=work),
        },
        (
            at_most("time beside a PyTorch script", "xent", "PyTorch script", 0.12),
            at_most("time beside a NumPy script", "xent", "NumPy script", 0.35),
            at_most("time after cat beside its parts", _PIPED, apart, 1.1),
            peak_below("peak memory", "xent", 80),
        ),
    )


def _npy_2gb(work: Path, n: int) -> Case:
    pair = data.arrays(work, n, 1000)
    return Case(
        "npy-2gb",
        f"whole process, mean of {n:,} x 1,000 float32 .npy",
        {
            "xent": xent("compute", *pair, "--reduction", "mean", work=work),
            "PyTorch script": script("torch_mean", *pair, work=work, needs=("torch",)),
        },
        (
            at_most("time beside a PyTorch script", "xent", "PyTorch script", 0.08),
            peak_below("peak memory", "xent", 80),
        ),
    )


def _gradient(work: Path, n: int) -> Case:
    pair = data.arrays(work, n, 1000)
    ours, theirs = str(work / "gradient-xent.npy"), str(work / "gradient-torch.npy")
    torch = "PyTorch backward and np.save"
    return Case(
        "gradient",
        f"loss and gradient of {n:,} x 1,000 float32 into a .npy",
        {
            "xent": xent("compute", *pair, "--reduction", "mean", "--gradients", ours, work=work),
            torch: script("torch_gradient", *pair, theirs, work=work, needs=("torch",)),
        },
        (
            faster("beside PyTorch backward and np.save", "xent", torch, 4.0),
            Goal("peak memory beside it", "xent", torch, "memory", 0.1),
        ),
    )


def _overflow(work: Path, n: int) -> Case:
    pair = data.arrays(work, n, 1000)
    plain = ("compute", *pair, "-f", "json")
    return Case(
        "overflow",
        f"overflow report of {n:,} x 1,000 float32 .npy",
        {"xent --overflow-report": xent(*plain, "--overflow-report", work=work), "xent": xent(*plain, work=work)},
        (at_most("time beside compute without", "xent --overflow-report", "xent", 5.0),),
    )


def _start(work: Path) -> Case:
    pair = data.arrays(work, 8, 4)
    return Case(
        "start",
        "start-up: a tiny .npy, --help, --version",
        {
            "xent, 8 x 4 .npy": xent("compute", *pair, "--reduction", "mean", work=work),
            "import numpy, click": command(sys.executable, "-c", "import numpy, click", work=work),
            "xent --help": xent("--help", work=work),
            "xent --version": xent("--version", work=work),
            "import click": command(sys.executable, "-c", "import click", work=work),
        },
        (
            at_most("tiny .npy beside importing NumPy and click", "xent, 8 x 4 .npy", "import numpy, click", 1.25),
            at_most("--help beside importing click", "xent --help", "import click", 1.3),
            at_most("--version beside importing click", "xent --version", "import click", 1.3),
        ),
    )


def _csv(work: Path, n: int, k: int, limit: float) -> Case:
    path = data.csv(work, n, k)
    return Case(
        f"csv-{k}",
        f"CSV of {n:,} x {k:,}",
        {
            "xent": xent("compute", path, "--reduction", "mean", work=work),
            _PIPED: xent_after_cat(path, "compute", "-", "--reduction", "mean", work=work),
            "pyarrow read_csv alone": script("arrow_read", path, work=work),
            "cat FILE > /dev/null": command("cat", path, work=work),
        },
        (
            at_most("time beside reading alone", "xent", "pyarrow read_csv alone", limit),
            at_most("time from a pipe beside the file", _PIPED, "xent", 1.3),
            peak_below("peak", "xent", 160),
        ),
    )


def _parquet(work: Path, n: int, *, wide: bool) -> Case:
    path = data.parquet(work, n, 1000, wide=wide)
    kind = "wide" if wide else "list"
    alone = "pyarrow read_table alone"
    return Case(
        f"parquet-{kind}",
        f"Parquet, {kind}, {n:,} x 1,000",
        {"xent": xent("compute", path, "--reduction", "mean", work=work), alone: script("arrow_read", path, work=work)},
        (
            at_most("time beside reading alone", "xent", alone, 0.8 if wide else 0.5),
            peak_below("peak memory", "xent", 500 if wide else 250),
        ),
    )


def _rows_text(work: Path, n: int) -> Case:
    pair = data.arrays(work, n, 2)
    out = {suffix: str(work / f"rows.{suffix}") for suffix in ("tsv", "csv", "jsonl")}
    pandas = "pandas to_csv"
    ours = {f"xent -o rows.{suffix}": xent("compute", *pair, "-o", path, work=work) for suffix, path in out.items()}
    return Case(
        "rows-text",
        f"{n:,} per-sample rows as text",
        {**ours, pandas: script("pandas_rows", pair[1], str(work / "pandas.csv"), work=work, needs=("pandas",))},
        tuple(faster(f"{name[8:]} beside pandas to_csv of the same columns", name, pandas, 3.0) for name in ours),
    )


def _rows_parquet(work: Path, n: int) -> Case:
    pair = data.arrays(work, n, 2)
    some = data.arrays(work, max(1, n // 5), 2)
    ours, part, pandas = "xent -o rows.parquet", "xent, a fifth of the rows", "pandas to_parquet"
    target = str(work / "rows.parquet")
    return Case(
        "rows-parquet",
        f"{n:,} per-sample rows as Parquet",
        {
            ours: xent("compute", *pair, "-o", target, work=work),
            part: xent("compute", *some, "-o", target, work=work),
            pandas: script("pandas_rows", pair[1], str(work / "pandas.parquet"), work=work, needs=("pandas",)),
        },
        (
            faster("rows.parquet beside pandas to_parquet of the same columns", ours, pandas, 3.0),
            Goal("peak memory beside that of a fifth of the rows", ours, part, "memory", 1.25),
        ),
    )


def _large(work: Path, n: int, times: int) -> Case:
    small, large = data.sparse_arrays(work, n, 1000), data.sparse_arrays(work, n * times, 1000)
    if shutil.disk_usage(work).free < _GIB:
        raise Missing("the disk is full")
    ours, theirs = f"xent, {n * times:,} rows", f"xent, {n:,} rows"
    return Case(
        "large",
        f"{n * times * 4000 / 1e6:,.0f} MB .npy (a sparse file) beside one of {n * 4000 / 1e6:,.0f} MB",
        {
            ours: xent("compute", *large, "--reduction", "mean", work=work),
            theirs: xent("compute", *small, "--reduction", "mean", work=work),
        },
        (
            Goal("time a byte beside the small one", ours, theirs, "time", 1.1, work_ours=times),
            Goal("peak memory beside the small one", ours, theirs, "memory", 1.1),
        ),
    )
