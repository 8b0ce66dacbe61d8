"""Files that do not hold numbers: the error says what they are and what to do, for every argument with a file."""

import os

import numpy as np
import pytest

from tests import forked

LFS = b"version https://git-lfs.github.com/spec/v1\noid sha256:" + b"4d7a" * 16 + b"\nsize 12345\n"
FILES = {
    "lfs.npy": (LFS, "a Git LFS pointer", "git lfs pull"),
    "lfs.csv": (LFS, "a Git LFS pointer", "git lfs pull"),
    "annex.npy": (b"/annex/objects/SHA256E-s123--abc.npy\n", "a git-annex pointer", "git annex get"),
    "l.npy.dvc": (
        b"outs:\n- md5: a304afb96060aad90176268345e10355\n  size: 1\n  path: l.npy\n",
        "a DVC file",
        "dvc pull",
    ),
    "old.npy.dvc": (b"md5: 1a\nouts:\n- md5: a304\n  path: l.npy\n", "a DVC file", "dvc pull"),
    "raw.npy": (np.ones((6, 3), "f4").tobytes(), "numbers without shape and type", "for numbers, say what they are"),
    "raw.dat": (np.arange(18.0).tobytes(), "numbers without shape and type", "for numbers, say what they are"),
    "raw.mmap": (bytes(100), "numbers without shape and type", "for numbers, say what they are"),
    "page.npy": (b"<!DOCTYPE html><html>login</html>", "an HTML page", "login"),
    "page.csv": (b"<?xml version='1.0'?><Error><Code>AccessDenied</Code></Error>", "an XML document", "download"),
    "rows.db": (b"SQLite format 3\0" + bytes(100), "an SQLite database", "sqlite3"),
}
PLACES = [
    ["compute", "{}", "y.npy"], ["compute", "l.npy", "{}"], ["inspect", "{}"],
    ["compute", "l.npy", "y.npy", "--class-weight", "{}"], ["compute", "l.npy", "y.npy", "--sample-weight", "{}"],
    ["compute", "l.npy", "y.npy", "--mask", "{}"], ["verify", "l.npy", "y.npy", "--loss", "{}"],
]  # fmt: skip


def xent(folder, *args):
    return forked.xent(*args, cwd=folder, env={**os.environ, "TMPDIR": str(folder)})


@pytest.fixture
def folder(tmp_path):
    np.save(tmp_path / "l.npy", np.ones((3, 3)))
    np.save(tmp_path / "y.npy", np.zeros(3, int))
    return tmp_path


@pytest.mark.parametrize("place", PLACES, ids=" ".join)
@pytest.mark.parametrize("name", FILES)
def test_a_file_without_numbers_is_named_with_what_to_do(name, place, folder):
    content, found, hint = FILES[name]
    (folder / name).write_bytes(content)
    run = xent(folder, *(part.format(name) for part in place))
    assert run.returncode == 3, run.stderr
    assert found in run.stderr
    assert hint in run.stderr.partition("\nhint: ")[2]
    assert name in run.stderr


@pytest.mark.parametrize("name", ["lfs.csv", "l.npy.dvc"])
@pytest.mark.parametrize("place", [["--class-names", "{}"], ["--baseline", "{}", "--max-increase", "mean_loss=1"]])
def test_a_pointer_is_neither_a_list_of_names_nor_a_baseline(name, place, folder):
    content, found, _ = FILES[name]
    (folder / name).write_bytes(content)
    command = "check" if "--baseline" in place else "compute"
    run = xent(folder, command, "l.npy", "y.npy", *(part.format(name) for part in place))
    assert run.returncode == 3
    assert found in run.stderr


@pytest.mark.parametrize("marker", ["zarr.json", ".zarray", ".zgroup"])
def test_a_folder_of_zarr_is_named(marker, folder):
    (folder / "l.zarr").mkdir()
    (folder / "l.zarr" / marker).write_text("{}")
    (folder / "l.zarr" / "0.0").write_bytes(bytes(100))
    run = xent(folder, "compute", "l.zarr", "y.npy")
    assert run.returncode == 3
    assert "l.zarr: found a Zarr folder" in run.stderr
    assert "zarr.open('l.zarr'" in run.stderr


def test_a_link_whose_target_is_missing_is_named(folder):
    (folder / "x.npy").symlink_to(".git/annex/objects/x")
    run = xent(folder, "compute", "x.npy", "y.npy")
    assert run.returncode == 3
    assert "found a link to .git/annex/objects/x, which is not there" in run.stderr


@pytest.mark.parametrize("place", [*PLACES[:2], *PLACES[3:], ["compute", "l.npy", "y.npy", "--class-names", "{}"]])
@pytest.mark.parametrize("make", ["folder", "missing", "looped"])
def test_an_unreadable_file_exits_3_for_every_argument(make, place, folder):
    if make == "folder":
        (folder / "x").mkdir()
    elif make == "looped":
        (folder / "x").symlink_to("x")
    run = xent(folder, *(part.format("x") for part in place))
    assert run.returncode == 3, run.stderr
    assert "\n  x" in run.stderr
