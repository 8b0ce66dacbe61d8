"""`xent verify` with results of PyTorch's kernels, of kernels with a known mistake, and with a million rows."""

import json
import subprocess
import sys
from pathlib import Path

import jsonschema
import ml_dtypes
import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from tests import forked
from tests.torch_writer import save as save_torch
from xent_cli.reports.strict_json import json_schema

XENT = [sys.executable, "-m", "xent_cli"]
KERNELS = Path(__file__).parents[1] / "oracles" / "kernels.npz"
TYPES = ("float32", "bfloat16", "float16")


def xent(*args, cwd):
    return forked.xent(*args, cwd=cwd)


def verify(cwd, *args):
    """Run `xent verify`; return the exit code and the document, after checking it against its schema."""
    run = xent("verify", "z.npy", "y.npy", *args, "-f", "json", cwd=cwd)
    assert run.returncode in (0, 1), run.stderr
    doc = json.loads(run.stdout, parse_constant=pytest.fail)
    jsonschema.Draft202012Validator(json_schema("agreement/verify")).validate(doc)
    assert doc["verdict"] == ("fail" if run.returncode else "pass")
    return run.returncode, doc


@pytest.fixture(scope="module")
def kernels():
    with np.load(KERNELS) as data:
        return dict(data)


@pytest.fixture
def kernel(kernels, tmp_path):
    """Save the inputs and results of a kernel in a float type; return the options that name them."""

    def save(kind, loss=None, gradient=None, **options):
        def put(name, values):
            bits = np.atleast_1d(values).view("V2") if kind == "bfloat16" else values
            np.save(tmp_path / name, bits)

        put("z.npy", kernels[f"{kind}.logits"])
        np.save(tmp_path / "y.npy", kernels["ignoring" if options else "labels"])
        args = ["--logits-dtype", kind] if kind == "bfloat16" else []
        for name, values in (("loss", loss), ("gradient", gradient)):
            if values is not None:
                put(f"{name}.npy", values)
                args += [f"--{name}", f"{name}.npy", *([f"--{name}-dtype", kind] if kind == "bfloat16" else [])]
        if options:
            weight = kernels["weight"]
            if kind == "bfloat16":
                weight = weight.astype(ml_dtypes.bfloat16).astype(np.float32)
            np.save(tmp_path / "w.npy", weight.astype(np.float16) if kind == "float16" else weight)
            args += ["--ignore-index", "-100", "--label-smoothing", "0.1", "--class-weight", "w.npy"]
        return args

    return save


@pytest.mark.parametrize("kind", TYPES)
@pytest.mark.parametrize("case", ["plain", "options"])
@pytest.mark.parametrize("reduction", ["none", "mean", "sum"])
def test_the_losses_of_pytorch_pass_in_every_type(kind, case, reduction, kernels, kernel, tmp_path):
    found = kernels[f"{kind}.{case}.loss_{reduction}"]
    args = kernel(kind, found, **({"options": True} if case == "options" else {}))
    code, doc = verify(tmp_path, *args, "--reduction", reduction)
    assert code == 0
    assert (doc["loss"]["dtype"], doc["loss"]["n_values"]) == (kind, 1 if reduction != "none" else doc["n_samples"])
    assert doc["n_ignored"] == (7 if case == "options" else 0)
    assert doc["loss"]["max_ulp_error"]["value"] <= 4


@pytest.mark.parametrize("case", ["plain", "options"])
@pytest.mark.parametrize("reduction", ["none", "mean", "sum"])
def test_the_float32_gradients_of_pytorch_pass(case, reduction, kernels, kernel, tmp_path):
    found = kernels[f"float32.{case}.gradient_{reduction}"]
    args = kernel("float32", None, found, **({"options": True} if case == "options" else {}))
    code, doc = verify(tmp_path, *args, "--reduction", reduction)
    assert code == 0
    assert doc["gradient"]["reduction"] == ("mean" if reduction == "mean" else "sum")


@pytest.mark.parametrize("kind", TYPES)
def test_a_kernel_that_is_right_in_its_type_passes_with_losses_and_gradients(kind, kernels, kernel, tmp_path):
    fused = kernels[f"{kind}.fused.loss_none"], kernels[f"{kind}.fused.gradient_mean"]
    code, doc = verify(tmp_path, *kernel(kind, *fused))
    assert code == 0
    assert doc["gradient"]["n_values"] == 48 * 12


def test_gradients_that_pytorch_takes_from_rounded_log_probabilities_are_named_as_such(kernels, kernel, tmp_path):
    """Its float16 kernel keeps log p in float16, and exp turns the absolute error of that into a relative one."""
    args = kernel("float16", None, kernels["float16.plain.gradient_mean"])
    code, doc = verify(tmp_path, *args)
    assert code == 1
    assert 0 < doc["gradient"]["n_mismatched_rows"] < 20
    assert verify(tmp_path, *args, "--rtol", "0.01")[0] == 0


@pytest.mark.parametrize("kind", TYPES)
def test_a_kernel_that_does_not_subtract_the_maximum_fails_where_exp_overflows(kind, kernels, kernel, tmp_path):
    found = kernels[f"{kind}.textbook"]
    code, doc = verify(tmp_path, *kernel(kind, found), "--top", "20")
    assert code == 1
    lost = [row["sample"] for row in doc["loss"]["worst"] if row["found"] is None]
    # The largest float16 is exp(11.09), and ordinary logits reach 11 too.
    assert lost == [0, 16, 32] or (kind == "float16" and {0, 16, 32} < set(lost))
    assert doc["loss"]["n_nonfinite"] == len(lost)


def test_a_label_off_by_one_in_one_row_fails_with_both_values(kernels, kernel, tmp_path):
    z, y = kernels["float32.logits"].astype(float), kernels["labels"]
    found = kernels["float32.plain.loss_none"].copy()
    wrong = found[30] + z[30, y[30]] - z[30, y[30] - 1]
    right, found[30] = float(found[30]), wrong
    code, doc = verify(tmp_path, *kernel("float32", found), "--top", "1")
    assert (code, doc["loss"]["n_mismatched"], doc["loss"]["share_mismatched"]) == (1, 1, 1 / 48)
    (row,) = doc["loss"]["worst"]
    assert (row["sample"], row["class"], row["found"]) == (30, None, float(found[30]))
    assert row["expected"] == pytest.approx(right, rel=1e-6)
    assert doc["loss"]["max_abs_error"]["sample"] == 30


def test_a_gradient_that_lacks_one_over_n_is_that_of_the_sum(kernels, kernel, tmp_path):
    args = kernel("float32", None, kernels["float32.plain.gradient_sum"])
    assert verify(tmp_path, *args)[0] == 1
    assert verify(tmp_path, *args, "--reduction", "sum")[0] == 0


def test_ignored_rows_must_be_0_and_pytorchs_are(kernels, kernel, tmp_path):
    loss, gradient = kernels["float32.options.loss_none"].copy(), kernels["float32.options.gradient_none"].copy()
    args = [*kernel("float32", loss, gradient, ignoring=True), "--reduction", "none"]
    assert verify(tmp_path, *args)[0] == 0
    loss[5], gradient[12, 3] = 0.5, 1e-30
    kernel("float32", loss, gradient, ignoring=True)
    code, doc = verify(tmp_path, *args)
    assert code == 1
    for name, sample in (("loss", 5), ("gradient", 12)):
        assert (doc[name]["n_mismatched"], doc[name]["n_ignored_mismatched"]) == (0, 1)
        assert (doc[name]["worst"][0]["sample"], doc[name]["worst"][0]["expected"]) == (sample, 0)
    loss[5], gradient[12, 3] = np.nan, 0
    kernel("float32", loss, gradient, ignoring=True)
    assert verify(tmp_path, *args)[0] == 0


@pytest.fixture
def samples(tmp_path):
    """Save 30 samples of 4 classes as [2, 4, 15], with the classes in the middle; and true losses and gradients."""
    rng = np.random.default_rng(0)
    z, y = rng.normal(size=(2, 4, 15)), rng.integers(0, 4, (2, 15))
    np.save(tmp_path / "z.npy", z)
    np.save(tmp_path / "y.npy", y)
    p = np.exp(z) / np.exp(z).sum(1, keepdims=True)
    loss = -np.log(np.take_along_axis(p, y[:, None], 1))[:, 0]
    return loss, (p - (np.arange(4)[:, None] == y[:, None])) / 30


def test_arrays_of_any_rank_and_class_axis_are_compared_in_their_shape_or_flat(samples, tmp_path):
    loss, gradient = samples
    np.save(tmp_path / "g.npy", gradient)
    np.save(tmp_path / "flat_g.npy", np.moveaxis(gradient, 1, 2).reshape(30, 4))
    for i, form in enumerate((loss, loss.ravel(), loss[..., None], loss.reshape(30, 1))):
        np.save(tmp_path / f"l{i}.npy", form)
        assert verify(tmp_path, "--axis", "1", "--loss", f"l{i}.npy", "--gradient", "g.npy")[0] == 0
    assert verify(tmp_path, "--axis", "1", "--gradient", "flat_g.npy")[0] == 0
    gradient[1, 2, 3] += 1
    np.save(tmp_path / "g.npy", gradient)
    code, doc = verify(tmp_path, "--axis", "1", "--gradient", "g.npy")
    assert code == 1
    assert doc["gradient"]["max_abs_error"] == {"value": pytest.approx(1.0), "sample": 18, "class": 2}


@pytest.fixture
def table(tmp_path):
    """Save the same as one sequence of samples, in tables."""
    rng = np.random.default_rng(1)
    z, y = rng.normal(size=(30, 4)), rng.integers(0, 4, 30)
    np.save(tmp_path / "z.npy", z)
    np.save(tmp_path / "y.npy", y)
    p = np.exp(z) / np.exp(z).sum(1, keepdims=True)
    loss, gradient = -np.log(p[np.arange(30), y]), (p - np.eye(4)[y]) / 30
    pq.write_table(pa.table({"label": y, "loss": loss, "gradient": list(gradient)}), tmp_path / "both.parquet")
    pq.write_table(pa.table({"nll": loss.astype(np.float32)}), tmp_path / "one.parquet")
    pd.DataFrame({"label": y, "loss": loss, "other": 0.5}).to_csv(tmp_path / "l.csv")
    np.savetxt(tmp_path / "l.txt", loss)
    (tmp_path / "mean.txt").write_text(f"{float(loss.mean())!r}\n")
    np.save(tmp_path / "mean.npy", np.float32(loss.mean()))
    return tmp_path


@pytest.mark.parametrize(
    ("args", "dtype"),
    [
        (["--loss", "both.parquet", "--gradient", "both.parquet"], "float64"),
        (["--loss", "one.parquet"], "float32"),
        (["--loss", "one.parquet", "--loss-column", "nll"], "float32"),
        (["--loss", "l.csv"], "float64"),
        (["--loss", "l.txt"], "float64"),
        (["--loss", "l.txt", "--loss-dtype", "float16"], "float16"),
        (["--loss", "mean.txt", "--reduction", "mean"], "float64"),
        (["--loss", "mean.npy", "--reduction", "mean"], "float32"),
    ],
)
def test_losses_and_gradients_are_found_in_tables_and_text(args, dtype, table):
    code, doc = verify(table, *args)
    assert (code, doc["loss"]["dtype"]) == (0, dtype)


@pytest.mark.parametrize(
    ("args", "said"),
    [
        (["--loss", "mean.npy"], ["(30, 4)", "losses ()", "(30,)", "--reduction mean"]),
        (["--loss", "z.npy"], ["logits (30, 4), losses (30, 4)"]),
        (["--gradient", "y.npy"], ["logits (30, 4), gradient (30,)"]),
        (["--loss", "short.txt"], ["30 rows of logits, 29 losses"]),
        (["--loss", "long.txt"], ["30 rows of logits, 31 losses"]),
        (["--loss", "l.txt", "--reduction", "sum"], ["not one number"]),
        (["--loss", "l.csv", "--loss-column", "los"], ["--loss-column", 'did you mean "loss"?']),
        (["--loss", "word.csv"], ["word.csv", "sample 1", "many"]),
    ],
)
def test_inputs_that_do_not_fit_exit_3_without_a_verdict(args, said, table):
    lines = (table / "l.txt").read_text().splitlines()
    (table / "short.txt").write_text("\n".join(lines[1:]) + "\n")
    (table / "long.txt").write_text("\n".join([*lines, "0.5"]) + "\n")
    (table / "word.csv").write_text("loss\n0.5\nmany\n" + "0.5\n" * 28)
    run = xent("verify", "z.npy", "y.npy", *args, cwd=table)
    assert (run.returncode, run.stdout) == (3, "")
    assert all(text in run.stderr for text in said), run.stderr


@pytest.mark.parametrize("suffix", ["csv", "parquet", "npy"])
def test_the_rows_that_compute_writes_are_right_ignored_ones_and_named_labels_included(suffix, tmp_path):
    names = ["cat", "dog", "eel", "fox"]
    frame = pd.DataFrame(np.random.default_rng(3).normal(size=(30, 4)), columns=names)
    frame.assign(label=[names[i % 4] for i in range(30)]).to_csv(tmp_path / "t.csv", index=False)
    rows = tmp_path / f"rows.{suffix}"
    assert xent("compute", "t.csv", "--ignore-index", "2", "-o", rows, cwd=tmp_path).returncode == 0
    run = xent("verify", "t.csv", "--ignore-index", "2", "--loss", rows, "--max-ulp", "0", cwd=tmp_path)
    assert (run.returncode, run.stderr) == (0, "")
    assert "loss.n_ignored\t7\n" in run.stdout


@pytest.mark.parametrize("name", ["nan.parquet", "nan.csv", "lists.parquet"])
def test_a_nan_that_pandas_wrote_as_missing_is_a_nan_and_fails_by_its_sample(name, table):
    both = pq.read_table(table / "both.parquet").to_pandas()
    loss, gradient = both["loss"].copy(), np.stack(both["gradient"])
    loss[7] = gradient[7, 2] = np.nan
    loss.to_frame().to_parquet(table / "nan.parquet")
    loss.to_frame().to_csv(table / "nan.csv")
    lists = pa.array([[None if np.isnan(value) else value for value in row] for row in gradient])
    pq.write_table(pa.table({"gradient": lists}), table / "lists.parquet")
    what = "gradient" if name == "lists.parquet" else "loss"
    code, doc = verify(table, f"--{what}", name)
    assert (code, doc[what]["n_mismatched"], doc[what]["n_nonfinite"]) == (1, 1, 1)
    assert (doc[what]["worst"][0]["sample"], doc[what]["worst"][0]["found"]) == (7, None)


@pytest.mark.parametrize("form", ["lines", "json", "table"])
def test_a_failing_verdict_is_1_even_where_nobody_reads_it(form, table):
    np.save(table / "wrong.npy", np.zeros(30))
    command = f"verify z.npy y.npy --loss wrong.npy -f {form}"
    line = f"xent {command} | true; echo ${{PIPESTATUS[0]}}; xent {command} --exit-zero >/dev/null"
    run = forked.shell(line, table)
    assert (run.stdout, run.stderr, run.returncode) == ("1\n", "", 0)


def test_any_number_of_threads_prints_the_same(tmp_path):
    rng = np.random.default_rng(2)
    n = 40_000
    np.save(tmp_path / "z.npy", rng.normal(size=(n, 100)).astype(np.float32))
    np.save(tmp_path / "y.npy", rng.integers(0, 100, n))
    np.save(tmp_path / "l.npy", rng.normal(size=n).astype(np.float16))
    np.save(tmp_path / "g.npy", rng.normal(size=(n, 100)).astype(np.float16))
    args = ["verify", "z.npy", "y.npy", "--loss", "l.npy", "--gradient", "g.npy", "--top", "20"]
    assert len({xent(*args, "--threads", threads, cwd=tmp_path).stdout for threads in (1, 2, 3)}) == 1


@pytest.fixture(scope="module")
def million(tmp_path_factory):
    """Save a million samples whose logits are all 0, so that every loss is log 4."""
    folder = tmp_path_factory.mktemp("million")
    n = 1_000_000
    np.save(folder / "z.npy", np.zeros((n, 4), np.float16))
    np.save(folder / "y.npy", np.zeros(n, np.int8))
    np.save(folder / "l.npy", np.full(n, np.log(4), np.float16))
    np.save(folder / "g.npy", np.tile(np.array([-0.75, 0.25, 0.25, 0.25], np.float32) / n, (n, 1)))
    return folder


def test_a_kernel_that_is_wrong_in_one_row_of_a_million_is_caught(million):
    assert verify(million, "--loss", "l.npy", "--gradient", "g.npy")[0] == 0
    loss, gradient = np.load(million / "l.npy"), np.load(million / "g.npy")
    loss[765_432] *= 1.01
    gradient[234_567, 3] *= 1.01
    np.save(million / "bad_l.npy", loss)
    np.save(million / "bad_g.npy", gradient)
    code, doc = verify(million, "--loss", "bad_l.npy", "--gradient", "bad_g.npy")
    assert code == 1
    assert (doc["loss"]["n_mismatched"], doc["loss"]["worst"][0]["sample"]) == (1, 765_432)
    assert (doc["gradient"]["n_mismatched"], doc["gradient"]["worst"][0]["sample"]) == (1, 234_567)


def test_a_gradient_of_zeros_does_not_pass_because_its_entries_are_small(million):
    np.save(million / "zeros.npy", np.zeros((1_000_000, 4), np.float32))
    code, doc = verify(million, "--gradient", "zeros.npy")
    assert (code, doc["gradient"]["n_mismatched_rows"]) == (1, 1_000_000)


def test_memory_does_not_grow_with_the_files(tmp_path):
    script = (
        "import os, subprocess, sys\n"
        "child = subprocess.Popen(sys.argv[1:], stdout=subprocess.DEVNULL)\n"
        "_, status, usage = os.wait4(child.pid, 0)\n"
        "child.returncode = os.waitstatus_to_exitcode(status)\n"
        "print(child.returncode, usage.ru_maxrss)\n"
    )
    peaks = []
    for rows in (20_000, 60_000):
        for name in ("z.npy", "g.npy"):  # files of holes, which read as zeros
            array = np.lib.format.open_memmap(tmp_path / name, "w+", np.float32, (rows, 1000))
            del array
        np.save(tmp_path / "y.npy", np.zeros(rows, np.int64))
        args = [*XENT, "verify", "z.npy", "y.npy", "--gradient", "g.npy", "--threads", "2"]
        run = subprocess.run([sys.executable, "-S", "-c", script, *args], cwd=tmp_path, capture_output=True, text=True)
        code, kilobytes = run.stdout.split()
        assert code == "1"
        peaks.append(int(kilobytes) / 1024)
    assert max(peaks) < 200
    # Threads that happen to overlap have a block of 13 MB more in memory; the files are 320 MB larger.
    assert peaks[1] < peaks[0] + 30


def test_arrays_need_neither_pandas_nor_pyarrow_nor_rich(table):
    np.save(table / "l.npy", np.zeros(30))
    code = "import sys\nfrom xent_cli.cli import main\ntry:\n main()\nfinally:\n print(*sys.modules, file=sys.stderr)"
    args = ["verify", "z.npy", "y.npy", "--loss", "l.npy", "-f", "lines"]
    run = subprocess.run([sys.executable, "-c", code, *args], cwd=table, capture_output=True, text=True)
    assert run.returncode == 1
    assert not set(run.stderr.split()) & {"pandas", "pyarrow", "rich", "asyncio", "multiprocessing"}


@pytest.mark.parametrize("name", ["all.npz", "packed.npz", "all.safetensors", "all.pt"])
def test_one_file_may_hold_logits_labels_losses_and_gradients(name, tmp_path):
    from safetensors.numpy import save_file

    rng = np.random.default_rng(23)
    logits, labels = rng.normal(size=(300, 9)), rng.integers(0, 9, 300)
    np.save(tmp_path / "l.npy", logits)
    np.save(tmp_path / "y.npy", labels)
    xent("compute", "l.npy", "y.npy", "-q", "-o", "loss.npy", "--gradients", "g.npy", cwd=tmp_path)
    arrays = {"logits": logits, "labels": labels, "loss": np.load(tmp_path / "loss.npy")}
    for wrong in (0.0, 1e-3):
        arrays["gradient"] = np.load(tmp_path / "g.npy")
        arrays["gradient"][123, 4] += wrong
        save = {
            "all.npz": lambda path: np.savez(path, **arrays),
            "packed.npz": lambda path: np.savez_compressed(path, **arrays),
            "all.safetensors": lambda path: save_file(arrays, path),
            "all.pt": lambda path: save_torch(path, arrays),
        }
        save[name](tmp_path / name)
        run = xent("verify", name, "--loss", name, "--gradient", name, cwd=tmp_path)
        assert run.returncode == (1 if wrong else 0), run.stderr
