"""No output replaces an input or another output: exit code 2, and all files are unchanged."""

import os
import subprocess
import sys

import numpy as np
import pytest

from tests import forked


def xent(folder, *args, **options):
    return forked.xent(*args, cwd=folder, **options)


def shell(folder, line):
    return forked.shell(f"xent {line}", folder)


@pytest.fixture
def folder(tmp_path):
    """Write inputs of every kind, and links to them."""
    rng = np.random.default_rng(0)
    logits = rng.normal(size=(8, 3))
    labels = rng.integers(0, 3, 8)
    np.save(tmp_path / "z.npy", logits)
    np.save(tmp_path / "y.npy", labels)
    np.save(tmp_path / "cw.npy", np.ones(3))
    np.save(tmp_path / "sw.npy", np.ones(8))
    (tmp_path / "names.csv").write_text("a\nb\nc\n")
    (tmp_path / "base.json").write_text(xent(tmp_path, "compute", "z.npy", "y.npy", "-f", "json").stdout)
    (tmp_path / "conf.json").write_text("[compute]\ntemperature = 1.0\n")
    (tmp_path / "shards").mkdir()
    (tmp_path / "sub").mkdir()
    for i in range(2):
        np.save(tmp_path / "shards" / f"z-{i}.npy", logits[4 * i : 4 * i + 4])
    (tmp_path / "soft.npy").symlink_to("z.npy")
    (tmp_path / "hard.npy").hardlink_to(tmp_path / "z.npy")
    (tmp_path / "to_shards").symlink_to("shards")
    return tmp_path


def contents(folder):
    return {str(path.relative_to(folder)): path.read_bytes() for path in sorted(folder.rglob("*")) if path.is_file()}


PAIR = ("compute", "z.npy", "y.npy")
CHECK = ("check", "z.npy", "y.npy", "--baseline", "base.json", "--max-increase", "mean_loss=1")


@pytest.mark.parametrize(
    "args",
    [
        (*PAIR, "-o", "z.npy"),
        (*PAIR, "-o", "./sub/../z.npy"),
        (*PAIR, "-o", "y.npy"),
        (*PAIR, "-o", "soft.npy"),
        (*PAIR, "-o", "hard.npy"),
        ("compute", "soft.npy", "y.npy", "-o", "hard.npy"),
        ("compute", "file://{folder}/z.npy", "y.npy", "-o", "z.npy"),
        (*PAIR, "-o", "file://{folder}/z.npy"),
        (*PAIR, "--gradients", "z.npy"),
        (*PAIR, "--report", "json:y.npy"),
        (*PAIR, "--class-weight", "cw.npy", "-o", "cw.npy"),
        (*PAIR, "--sample-weight", "sw.npy", "-o", "sw.npy"),
        (*PAIR, "--class-names", "names.csv", "-o", "names.csv"),
        (*PAIR, "--config", "conf.json", "--report", "conf.json"),
        (*CHECK, "--report", "base.json"),
        (*CHECK, "--report", "md:base.json"),
        (*CHECK, "-o", "z.npy"),
        ("compute", "shards", "y.npy", "-o", "shards/z-1.npy"),
        ("compute", "shards/", "y.npy", "-o", "to_shards/z-1.npy"),
        ("compute", "shards/*.npy", "y.npy", "-o", "shards/z-0.npy"),
        ("compute", "shards/z-?.npy", "y.npy", "--gradients", "shards/z-0.npy"),
        ("compute", "shards", "y.npy", "-o", "shards/losses.npy"),
        ("compute", "to_shards", "y.npy", "-o", "shards/losses.npy"),
        ("compute", "shards/*.npy", "y.npy", "-o", "shards/losses.npy"),
        ("compute", "**/z-*.npy", "y.npy", "-o", "sub/z-new.npy"),
        ("compute", "shards", "y.npy", "-o", "shards/"),
        ("compute", "shards", "y.npy", "--gradients", "to_shards/"),
        ("compute", "shards/*.npy", "y.npy", "-o", "./shards/"),
        ("compute", "shards/z-0.npy", "y.npy", "-o", "shards/"),
        (*PAIR, "-o", "../{name}/"),
        (*PAIR, "-o", "x.npy", "--gradients", "x.npy"),
        (*PAIR, "-o", "x.npy", "--gradients", "./x.npy"),
        (*PAIR, "-o", "x.npy", "--gradients", "sub/../x.npy"),
        (*PAIR, "-o", "to_shards/x.npy", "--gradients", "shards/x.npy"),
        (*PAIR, "--report", "json:x", "--report", "md:x"),
        (*PAIR, "-o", "out/", "--report", "out/x.json"),
        (*PAIR, "-o", "out/", "--gradients", "out"),
        (*PAIR, "-o", "out/", "--gradients", "out/gradients/"),
        (*PAIR, "--plot", "x.svg", "--report", "md:x.svg"),
        (*PAIR, "-o", "s3://bucket/out/", "--gradients", "s3://bucket/out/"),
        ("compute", "s3://bucket/out/*.parquet", "-o", "s3://bucket/out/"),
    ],
)  # fmt: skip
def test_an_output_that_is_an_input_or_another_output_is_refused_before_any_work(folder, args):
    before = contents(folder)
    run = xent(folder, *(arg.format(folder=folder, name=folder.name) for arg in args))
    assert run.returncode == 2, run.stderr
    assert "hint:" in run.stderr
    assert contents(folder) == before


@pytest.mark.parametrize(
    ("args", "written"),
    [
        ((*PAIR, "-o", "x.npy", "--gradients", "g.npy", "--report", "x.json", "--report", "x.md"), "g.npy"),
        (("compute", "shards", "y.npy", "-o", "shards/_losses.npy"), "shards/_losses.npy"),
        (("compute", "shards", "y.npy", "--report", "shards/report.json"), "shards/report.json"),
        (("compute", "shards", "y.npy", "-o", "shards/out/"), "shards/out/_SUCCESS"),
        (("compute", "shards/z-*.npy", "y.npy", "-o", "shards/losses.npy"), "shards/losses.npy"),
        ((*PAIR, "-o", "out/", "--gradients", "out_gradients/"), "out/_SUCCESS"),
        ((*PAIR, "-o", "names.csv"), "names.csv"),
        ((*PAIR, "-o", "z.npy.csv", "--report", "json:z"), "z"),
    ],
)
def test_outputs_with_different_paths_are_written(folder, args, written):
    run = xent(folder, *args, "-q")
    assert run.returncode == 0, run.stderr
    assert (folder / written).stat().st_size or written.endswith("_SUCCESS")
    # A second run replaces the files of the first.
    assert xent(folder, *args, "-q").returncode == 0


def test_a_configuration_that_was_found_is_an_input(folder):
    (folder / "xent.toml").write_text("[compute]\ntemperature = 2.0\n")
    run = xent(folder, *PAIR, "--report", "json:xent.toml")
    assert (run.returncode, (folder / "xent.toml").read_text()) == (2, "[compute]\ntemperature = 2.0\n")
    assert "the configuration" in run.stderr


def test_devices_and_pipes_may_be_input_and_output(folder):
    assert xent(folder, *PAIR, "--report", "json:/dev/null", "--report", "md:/dev/null", "-q").returncode == 0
    run = xent(folder, *PAIR, "--report", "json:/dev/stdout", "-q")
    assert (run.returncode, run.stdout.count('"mean_loss"')) == (0, 1)
    # Not forked: a fork has no descriptors besides its standard streams.
    line = "compute <(cat z.npy) y.npy -q --report json:>(cat > one) --report md:>(cat > two); wait"
    run = subprocess.run(
        ["bash", "-c", f"{sys.executable} -m xent_cli {line}"], cwd=folder, capture_output=True, text=True, check=False
    )
    assert (run.returncode, run.stderr) == (0, "")


@pytest.mark.parametrize(
    "line",
    [
        "compute - y.npy -o z.npy -q < z.npy",
        "compute z.npy - --report json:y.npy -q < y.npy",
        "compute z.npy y.npy >> z.npy",
        "compute shards y.npy -f npy >> shards/z-1.npy",
        "compute 'shards/*' y.npy -f npy >> shards/new.npy",
        "compute z.npy y.npy -o x.tsv >> x.tsv",
    ],
)
def test_what_the_shell_opened_is_an_input_or_an_output_too(folder, line):
    (folder / "x.tsv").touch()
    before = contents(folder)
    run = shell(folder, line)
    assert run.returncode == 2, run.stderr
    (folder / "shards" / "new.npy").unlink(missing_ok=True)
    assert contents(folder) == before


def test_standard_output_may_be_a_file_of_its_own(folder):
    for line in ("compute z.npy y.npy -o x.tsv > out", "compute - y.npy < z.npy > out", "compute z.npy y.npy > out"):
        run = shell(folder, f"{line} -q")
        assert (run.returncode, run.stderr) == (0, "")


def test_a_step_summary_is_added_to_twice(folder):
    (folder / "steps").write_text("before\n")
    env = {**os.environ, "GITHUB_STEP_SUMMARY": str(folder / "steps")}
    assert xent(folder, *PAIR, "--report", "md:steps", "--report", "md:./steps", "-q", env=env).returncode == 0
    assert (folder / "steps").read_text().startswith("before\n")


@pytest.mark.parametrize(
    "option", ["-o s3://bucket/x.tsv", "--gradients gs://b/g.npy", "--plot https://u:pw@b.test/p.svg"]
)
def test_a_url_is_not_a_folder_of_that_name(option, folder):
    before = contents(folder)
    name, url = option.split(" ")
    (folder / "s3:").mkdir()
    (folder / "s3:" / "bucket").mkdir()
    run = xent(folder, *PAIR, name, url)
    assert run.returncode == 3
    assert run.stderr.startswith("error: cannot write one file to a URL\n")
    assert "pw" not in run.stderr
    assert contents(folder) == before


def test_a_report_at_a_url_is_refused_before_any_work(folder):
    run = xent(folder, *PAIR, "-o", "rows.tsv", "--report", "md:https://user:secret@host.test/r?sig=secret")
    assert run.returncode == 3
    assert "secret" not in run.stderr
    assert not (folder / "rows.tsv").exists()


def test_a_file_url_is_a_path_on_the_disk(folder):
    (folder / "my rows").mkdir()
    at = f"file://{folder}/my%20rows"
    assert xent(folder, *PAIR, "-o", f"{at}/rows.csv", "--gradients", f"{at}/g/", "-q").returncode == 0
    assert xent(folder, *PAIR, "-o", "rows.csv", "-q").returncode == 0
    assert (folder / "my rows" / "rows.csv").read_bytes() == (folder / "rows.csv").read_bytes()
    assert (folder / "my rows" / "g" / "_SUCCESS").exists()
    assert not (folder / "file:").exists()


def test_a_folder_at_a_url_that_nobody_keeps_is_reported(folder):
    run = xent(folder, *PAIR, "-o", "https://user:secret@host.test/rows/")
    assert run.returncode == 3
    assert run.stderr.startswith("error: cannot write folder\n  https://host.test/rows: found ")
    assert "secret" not in run.stderr
