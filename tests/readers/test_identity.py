"""Files that change while they are read: refused, whatever changes, in every format and role."""

import gzip
import os
import pickle
import subprocess
import sys
import threading
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.csv as pa_csv
import pyarrow.parquet as pq
import pytest
from safetensors.numpy import save_file

from tests.torch_writer import save as save_torch
from xent_cli.errors import InputError
from xent_cli.readers.interface import Classes
from xent_cli.readers.open import open_source
from xent_cli.readers.options import ReadOptions
from xent_cli.readers.storage import identity
from xent_cli.readers.storage.identity import refuse_changed, watching
from xent_cli.readers.storage.locate import locate

XENT = [sys.executable, "-m", "xent_cli"]
ROWS = 40_000
RNG = np.random.default_rng(5)
LOGITS = RNG.normal(size=(ROWS, 3)).round(3)
LABELS = RNG.integers(0, 3, ROWS)
TABLE = pa.table({"logits": LOGITS.tolist(), "label": LABELS})


def write_csv(path):
    rows = (f"{a},{b},{c},{label}" for (a, b, c), label in zip(LOGITS.tolist(), LABELS.tolist(), strict=True))
    path.write_text("\n".join(["c0,c1,c2,label", *rows]) + "\n")


def write_arrow(path):
    with pa.ipc.new_file(path, TABLE.schema) as writer:
        writer.write_table(TABLE, max_chunksize=5000)


def write_jsonl(path):
    rows = zip(LOGITS.tolist(), LABELS.tolist(), strict=True)
    path.write_text("".join(f'{{"logits": {row}, "label": {label}}}\n' for row, label in rows))


def write_gzip(path):
    write_csv(path.with_suffix(""))
    path.write_bytes(gzip.compress(path.with_suffix("").read_bytes(), 1))


FORMATS = {
    "t.npz": lambda path: np.savez(path, logits=LOGITS, labels=LABELS),
    "deflated.npz": lambda path: np.savez_compressed(path, logits=LOGITS, labels=LABELS),
    "t.pt": lambda path: save_torch(path, {"logits": LOGITS, "labels": LABELS}),
    "t.csv": write_csv,
    "t.csv.gz": write_gzip,
    "t.jsonl": write_jsonl,
    "t.parquet": lambda path: pq.write_table(TABLE, path, row_group_size=5000),
    "t.arrow": write_arrow,
}


def replace_file(path):
    other = path.with_name("other")
    other.write_bytes(path.read_bytes())
    os.utime(other, ns=(path.stat().st_atime_ns, path.stat().st_mtime_ns))
    other.replace(path)


def overwrite(path):
    with path.open("r+b") as file:
        file.seek(path.stat().st_size // 2)
        byte = file.read(1)
        file.seek(-1, 1)
        file.write(byte)


def truncate(path):
    os.truncate(path, path.stat().st_size - 1)


def grow(path):
    with path.open("ab") as file:
        file.write(b"\n")


def garble(path):
    """Overwrite a file with invalid content; the error must name the change as the reason."""
    with path.open("r+b") as file:
        size = path.stat().st_size
        file.seek(size // 4)
        file.write(b"\xffx" * (size // 3))


CHANGES = {
    "replaced": replace_file,
    "overwritten": overwrite,
    "cut": truncate,
    "grown": grow,
    "removed": Path.unlink,
    "garbled": garble,
}


def changed_in_the_middle(argv, cwd, change):
    """Start a run that waits in the middle because its rows are not read; change something, and let it continue."""
    with subprocess.Popen([*XENT, "compute", *argv], cwd=cwd, stdout=-1, stderr=-1) as process:
        process.stdout.read(1)
        change()
        rest = threading.Thread(target=process.stdout.read)
        rest.start()
        error = process.stderr.read().decode()
        rest.join()
    return process.returncode, error


def write_arrays(folder):
    np.save(folder / "l.npy", LOGITS)
    np.save(folder / "y.npy", LABELS)
    np.save(folder / "w.npy", np.ones(ROWS))


@pytest.mark.parametrize("change", CHANGES.values(), ids=CHANGES)
@pytest.mark.parametrize("name", ["l.npy", "y.npy", "w.npy"])
def test_arrays_that_change_while_they_are_read_are_refused_and_nothing_is_written(name, change, tmp_path):
    write_arrays(tmp_path)
    argv = ["l.npy", "y.npy", "--sample-weight", "w.npy", "--report", "s.json", "--gradients", "g.npy"]
    code, error = changed_in_the_middle(argv, tmp_path, lambda: change(tmp_path / name))
    assert code == 3
    assert error.startswith("error: the file changed while it was read\n")
    assert name in error
    assert not {"s.json", "g.npy"} & set(os.listdir(tmp_path))  # noqa: PTH208
    assert not [path for path in tmp_path.iterdir() if path.name.startswith(".")]


@pytest.mark.parametrize("change", ["replaced", "overwritten", "garbled"])
@pytest.mark.parametrize("name", FORMATS)
def test_files_of_every_format_that_change_while_they_are_read_are_refused(name, change, tmp_path):
    FORMATS[name](tmp_path / name)
    code, error = changed_in_the_middle([name], tmp_path, lambda: CHANGES[change](tmp_path / name))
    assert (code, error.splitlines()[0]) == (3, "error: the file changed while it was read")


def test_a_shard_that_changes_is_refused_though_it_was_read_to_its_end(tmp_path):
    for number in range(4):
        np.save(tmp_path / f"l-{number}.npy", LOGITS[number::4])
    np.save(tmp_path / "y.npy", LABELS)
    change = lambda: overwrite(tmp_path / "l-0.npy")  # noqa: E731
    code, error = changed_in_the_middle(["l-*.npy", "y.npy"], tmp_path, change)
    assert (code, "l-0.npy" in error) == (3, True)


# Other changes are recognised in another process too, as tested below.
@pytest.mark.parametrize("change", ["overwritten", "removed"])
def test_a_file_that_changes_while_workers_of_dask_read_it_is_refused(change, tmp_path):
    pytest.importorskip("distributed")
    write_arrays(tmp_path)
    argv = ["l.npy", "y.npy", "--engine", "dask", "--threads", "2"]
    code, error = changed_in_the_middle(argv, tmp_path, lambda: CHANGES[change](tmp_path / "l.npy"))
    assert (code, error.splitlines()[0]) == (3, "error: the file changed while it was read")


def test_files_that_stay_as_they_are_may_be_linked_moved_about_and_read_by_others(tmp_path):
    write_arrays(tmp_path)

    def touch_nothing():
        os.link(tmp_path / "l.npy", tmp_path / "second name")
        (tmp_path / "y.npy").chmod(0o444)
        (tmp_path / "w.npy").read_bytes()

    code, _ = changed_in_the_middle(["l.npy", "y.npy", "--sample-weight", "w.npy"], tmp_path, touch_nothing)
    assert code == 0


@pytest.fixture
def stored(tmp_path):
    np.save(tmp_path / "l.npy", LOGITS[:100])
    return locate(str(tmp_path / "l.npy")).files[0]


READ = """
import pickle, sys
stored = pickle.load(sys.stdin.buffer)
stored.open().close()
stored.arrow().close()
"""


@pytest.mark.parametrize("change", ["cut", "grown", "overwritten", "replaced"])
def test_another_process_tells_a_file_by_size_and_time_alone(change, stored):
    """It does not compare inodes, because the file may be on a different mount there."""
    CHANGES[change](Path(stored.path))
    recipe = pickle.dumps(stored)
    assert len(recipe) < 500
    run = subprocess.run([sys.executable, "-c", READ], input=recipe, capture_output=True, check=False)
    assert (b"changed while" in run.stderr) == (change != "replaced")
    with pytest.raises(InputError, match="changed while"):
        stored.arrow()
    if change == "replaced":  # this process still has the original file open, and reads that
        with stored.open() as file:
            assert file.seek(0, os.SEEK_END) == stored.identity.size
    else:
        with pytest.raises(InputError, match="changed while"):
            stored.open()


@pytest.mark.parametrize("path", ["l.npy", "d.npz", "d.safetensors", "t.csv", "t.jsonl"])
def test_a_file_is_opened_once_to_recognise_describe_and_read_it(path, tmp_path):
    if path.endswith("npy"):
        np.save(tmp_path / path, LOGITS[:100])
    elif path.endswith("npz"):
        np.savez(tmp_path / path, logits=LOGITS[:100], labels=np.zeros(100, int))
    elif path.endswith("safetensors"):
        save_file({"logits": LOGITS[:100]}, tmp_path / path)
    elif path.endswith("csv"):
        np.savetxt(tmp_path / path, LOGITS[:100], delimiter=",", header="a,b,c", comments="")
    else:
        (tmp_path / path).write_text('{"logits": [1, 2], "label": 0}\n' * 100)
    run = subprocess.run([sys.executable, "-c", COUNT, tmp_path / path], capture_output=True, text=True, check=True)
    assert run.stdout == "1\n"


COUNT = """
import sys
counted = []
sys.addaudithook(lambda event, details: counted.append(details[0]) if event == "open" else None)
from xent_cli.readers.open import open_source
from xent_cli.readers.interface import Classes
from xent_cli.readers.options import ReadOptions
source = open_source(sys.argv[1], "logits", ReadOptions(), Classes(-1))
for _, _, part in source.parts():
    part.read()
print(counted.count(sys.argv[1]))
"""


OPENED = """
import sys
import pyarrow as pa
counted = []
sys.addaudithook(lambda event, details: counted.append(details[0]) if event == "open" else None)
opened = pa.OSFile
pa.OSFile = lambda path, *mode: counted.append(path) or opened(path, *mode)
from xent_cli.cli import main
try:
    main()
finally:
    print(counted.count(sys.argv[2]), file=sys.stderr)
"""


@pytest.mark.parametrize(("name", "most"), [("t.parquet", 3), ("t.arrow", 3), ("t.csv.gz", 1)])
def test_a_run_opens_a_table_once_to_describe_it_and_then_for_its_rows(name, most, tmp_path):
    table = pa.table({**{f"logit_{i}": LOGITS[:100, i] for i in range(LOGITS.shape[1])}, "label": np.zeros(100, int)})
    if name == "t.parquet":
        pq.write_table(table, tmp_path / name)
    elif name == "t.arrow":
        with pa.ipc.new_file(tmp_path / name, table.schema) as writer:
            writer.write_table(table)
    else:
        with gzip.open(tmp_path / name, "wb") as file:
            pa_csv.write_csv(table, file)
    argv = [sys.executable, "-c", OPENED, "compute", tmp_path / name, "--reduction", "mean", "-q"]
    run = subprocess.run(argv, capture_output=True, text=True, check=True)
    assert 1 <= int(run.stderr.splitlines()[-1]) <= most


def test_a_change_is_found_at_the_end_where_nobody_opens_the_file_again(tmp_path):
    np.save(tmp_path / "l.npy", LOGITS[:100])
    with watching():
        source = open_source(str(tmp_path / "l.npy"), "logits", ReadOptions(), Classes(-1))
        refuse_changed()
        assert len(list(source.parts())) == 1
        grow(tmp_path / "l.npy")
        with pytest.raises(InputError, match=r"found 2529 bytes, expected 2528 bytes"):
            refuse_changed()
    refuse_changed()


def test_files_are_only_remembered_while_watching(stored):
    Path(stored.path).unlink()
    refuse_changed()


@pytest.mark.parametrize("make", [os.mkfifo, Path.mkdir])
def test_only_regular_files_have_an_identity(make, tmp_path):
    make(tmp_path / "x")
    assert identity.of_path(str(tmp_path / "x")) is None
    assert identity.of_path("/dev/null") is None


def test_standard_input_that_is_a_file_is_recognised_by_the_file_that_is_open(tmp_path):
    """A new file under the same name does not change the input."""
    write_arrays(tmp_path)
    for change, expected in ((replace_file, 0), (grow, 3)):
        with (tmp_path / "l.npy").open("rb") as file:
            argv = [*XENT, "compute", "-", "y.npy"]
            with subprocess.Popen(argv, cwd=tmp_path, stdin=file, stdout=-1, stderr=-1) as process:
                process.stdout.read(1)
                change(tmp_path / "l.npy")
                process.communicate()
        assert process.returncode == expected


def test_an_object_is_recognised_by_what_its_server_says():
    was = identity.Identity(10, tag="a")
    for same in (was, identity.Identity(10), identity.Identity(None, tag="a"), identity.Identity(None)):
        identity.refuse_another("s3://b/o", was, same)
    for other, found in (
        (identity.Identity(11, tag="a"), "11 bytes"),
        (replace_tag(was), "written to"),
        (None, "no file"),
    ):
        with pytest.raises(InputError, match=found):
            identity.refuse_another("s3://b/o", was, other)


def replace_tag(was):
    return was._replace(tag="b")
