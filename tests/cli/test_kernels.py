"""Which kernel computes: chosen once, by option or environment, and named wherever figures are saved."""

import json
import os
from dataclasses import replace

import numpy as np
import pytest

import xent_cli
from tests import forked
from xent_cli.core.kernel.variants import kernel_for, variants, why_not_compiled
from xent_cli.core.options import LossOptions
from xent_cli.core.totals.loss_totals import LossTotals

FASTEST = kernel_for("float64")
compiled = pytest.mark.skipif(not variants(), reason="the compiled kernel was not built")
ABSENT = "c-neon" if "avx2" in variants() else "c-avx512"


@pytest.fixture
def folder(tmp_path):
    rng = np.random.default_rng(0)
    np.save(tmp_path / "l.npy", rng.normal(size=(40, 10)).astype(np.float32) * 3)
    np.save(tmp_path / "p.npy", np.full((40, 10), 0.1))
    np.save(tmp_path / "y.npy", rng.integers(0, 10, 40))
    return tmp_path


def xent(folder, *words, kernel=None):
    env = {name: value for name, value in os.environ.items() if not name.startswith("XENT_")}
    return forked.xent(*words, cwd=folder, env=env if kernel is None else {**env, "XENT_KERNEL": kernel})


def kernel_of(folder, *words, kernel=None):
    run = xent(folder, "compute", *words, "-f", "json", kernel=kernel)
    settings = json.loads(run.stdout)["signature"].split("|")
    return next((part.partition(":")[2] for part in settings if part.startswith("kernel:")), "numpy")


def test_the_fastest_kernel_of_this_machine_computes_unless_another_is_asked_for(folder):
    assert kernel_of(folder, "l.npy", "y.npy") == FASTEST
    assert kernel_of(folder, "l.npy", "y.npy", kernel="numpy") == "numpy"
    assert kernel_of(folder, "l.npy", "y.npy", "--kernel", "numpy") == "numpy"
    assert kernel_of(folder, "l.npy", "y.npy", kernel="") == FASTEST


@compiled
def test_the_option_wins_over_the_environment_and_every_instruction_set_is_the_same_kernel(folder):
    for name in ("c", *(f"c-{variant}" for variant in variants())):
        assert kernel_of(folder, "l.npy", "y.npy", kernel=name) == "c"
    assert kernel_of(folder, "l.npy", "y.npy", "--kernel", "c", kernel="numpy") == "c"


def test_float32_arithmetic_is_that_of_numpy_and_the_compiled_kernel_cannot_be_asked_for_it(folder):
    for kernel in (None, "numpy", "c"):
        assert kernel_of(folder, "l.npy", "y.npy", "--precision", "float32", kernel=kernel) == "numpy"
    run = xent(folder, "compute", "l.npy", "y.npy", "--precision", "float32", "--kernel", "c")
    assert (run.returncode, run.stdout) == (2, "")


def test_a_kernel_that_this_machine_lacks_is_refused_with_the_way_out(folder):
    for words in (("compute", "l.npy", "y.npy"), ("--version",)):
        run = xent(folder, *words, kernel=ABSENT)
        assert (run.returncode, run.stdout) == (3, "")
        assert f"the {ABSENT} kernel is not available on this machine" in run.stderr
        assert "hint: XENT_KERNEL=numpy" in run.stderr
    run = xent(folder, "compute", "l.npy", "y.npy", kernel="fortran")
    assert run.returncode == 2
    assert "'fortran' is not one of" in run.stderr


def test_the_version_names_the_kernel_and_why_it_is_not_the_compiled_one(folder):
    why_not = why_not_compiled()
    kernel = f"numpy (no compiled kernel: {why_not})" if why_not else f"c ({variants()[0]})"
    assert xent(folder, "--version").stdout == f"xent, version {xent_cli.__version__}\nkernel: {kernel}\n"
    assert xent(folder, "--version", kernel="numpy").stdout.endswith("\nkernel: numpy\n")


def test_the_functions_of_python_compute_as_the_command_does(folder):
    run = xent(folder, "compute", "l.npy", "y.npy", "--reduction", "mean")
    found = xent_cli.evaluate(np.load(folder / "l.npy"), np.load(folder / "y.npy"))
    assert float(run.stdout) == found.mean_loss


def test_totals_of_two_kernels_refuse_to_merge():
    totals = [LossTotals(replace(LossOptions(), kernel=name).signature("")) for name in ("numpy", "c", "c-avx2")]
    assert totals[1].merge(totals[2]) == totals[1]
    with pytest.raises(ValueError, match="totals of different settings"):
        totals[0].merge(totals[1])


@compiled
@pytest.mark.parametrize("baseline", ["b.json", "b.parquet"])
def test_a_limit_of_0_is_not_held_against_the_digits_of_another_kernel(baseline, folder):
    save = ("--report", baseline) if baseline.endswith("json") else ("-o", baseline)
    assert xent(folder, "compute", "l.npy", "y.npy", *save, kernel="numpy").returncode == 0
    words = ("check", "l.npy", "y.npy", "--baseline", baseline, "--max-increase")
    exact = xent(folder, *words, "mean_loss=0", kernel="c")
    assert exact.returncode == 3
    assert "found figures of the numpy kernel, expected figures of the c kernel" in exact.stderr
    assert "XENT_KERNEL=numpy" in exact.stderr
    assert xent(folder, *words, "mean_loss=0", kernel="numpy").returncode == 0
    near = xent(folder, *words, "mean_loss=1e-9", kernel="c")
    assert near.returncode == 0
    assert "[other-kernel]" in near.stderr


@compiled
def test_a_count_is_held_against_that_of_another_kernel(folder):
    xent(folder, "compute", "l.npy", "y.npy", "--report", "b.json", kernel="numpy")
    words = ("check", "l.npy", "y.npy", "--baseline", "b.json", "--max-decrease", "accuracy=0")
    assert xent(folder, *words, kernel="c").returncode == 0


@compiled
def test_results_of_two_kernels_are_compared_with_a_note(folder):
    for kernel in ("numpy", "c"):
        xent(folder, "compute", "l.npy", "y.npy", "-o", f"{kernel}.parquet", kernel=kernel)
    run = xent(folder, "compare", "numpy.parquet", "c.parquet")
    assert run.returncode == 0
    assert run.stderr.startswith("note: the c kernel computed c.parquet, and the numpy kernel numpy.parquet")
