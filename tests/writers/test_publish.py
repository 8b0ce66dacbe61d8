import json
import os
import signal
import stat
import tempfile
import threading
from pathlib import Path

import pytest

from xent_cli import temporary_files
from xent_cli.errors import OutputError
from xent_cli.writers import folder as folders
from xent_cli.writers.folder import publish_parts
from xent_cli.writers.publish import Publication, publish


@pytest.fixture
def target(tmp_path):
    path = tmp_path / "out.tsv"
    path.write_bytes(b"old")
    return path


def test_a_file_appears_when_the_block_ends(tmp_path):
    with publish(str(tmp_path / "new.tsv")) as stream:
        stream.write(b"new")
        (temporary,) = tmp_path.iterdir()
        assert temporary.name.startswith(".new.tsv.")
        assert temporary.name.endswith(".tmp")
    assert [path.name for path in tmp_path.iterdir()] == ["new.tsv"]
    assert (tmp_path / "new.tsv").read_bytes() == b"new"


@pytest.mark.parametrize("error", [ValueError, KeyboardInterrupt, SystemExit, FileNotFoundError])
def test_an_error_in_the_block_leaves_the_old_file_and_is_raised(target, error):
    def fail():
        with publish(str(target)) as stream:
            stream.write(b"new")
            raise error("input.npy")

    with pytest.raises(error):
        fail()
    assert target.read_bytes() == b"old"
    assert list(target.parent.iterdir()) == [target]


def test_the_mode_is_that_of_the_umask_or_of_the_old_file(target):
    old = os.umask(0o027)
    try:
        with publish(str(target.with_name("new"))):
            pass
    finally:
        os.umask(old)
    assert stat.S_IMODE(target.with_name("new").stat().st_mode) == 0o640
    target.chmod(0o600)
    with publish(str(target)) as stream:
        stream.write(b"new")
    assert stat.S_IMODE(target.stat().st_mode) == 0o600


def test_a_link_stays_and_its_target_is_replaced(target):
    link = target.with_name("link.tsv")
    link.symlink_to(target.name)
    with publish(str(link)) as stream:
        stream.write(b"new")
    assert link.is_symlink()
    assert target.read_bytes() == b"new"


def test_a_full_disk_is_an_error_of_the_output():
    with pytest.raises(OutputError, match="/dev/full"), publish("/dev/full") as stream:
        stream.write(b"x")


def test_a_full_disk_under_a_large_write_is_too():
    with pytest.raises(OutputError, match="/dev/full"), publish("/dev/full") as stream:
        stream.write(bytes(1 << 20))


def test_a_directory_is_refused(tmp_path):
    with pytest.raises(OutputError, match="directory"), publish(str(tmp_path)):
        pytest.fail("must not start")


def test_a_directory_that_does_not_exist_is_named(tmp_path):
    path = tmp_path / "no" / "out.tsv"
    with pytest.raises(OutputError) as raised, publish(str(path)):
        pytest.fail("must not start")
    assert str(path) in str(raised.value)


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write anywhere")
def test_a_directory_without_permission_is_refused(tmp_path):
    tmp_path.chmod(0o500)
    with pytest.raises(OutputError), publish(str(tmp_path / "out.tsv")):
        pytest.fail("must not start")


def test_a_named_pipe_is_written_to(tmp_path):
    fifo = tmp_path / "fifo"
    os.mkfifo(fifo)
    got = []
    reader = threading.Thread(target=lambda: got.append(fifo.read_bytes()))
    reader.start()
    with publish(str(fifo)) as stream:
        stream.write(b"rows")
    reader.join()
    assert got == [b"rows"]
    assert stat.S_ISFIFO(fifo.stat().st_mode)


def test_an_open_file_of_the_process_is_not_replaced(target):
    with target.open("ab") as held:
        with publish(f"/dev/fd/{held.fileno()}") as stream:
            stream.write(b"new")
        held.write(b"later")
    assert target.read_bytes() == b"oldnewlater"


def test_a_long_name_is_not_an_obstacle(tmp_path):
    path = tmp_path / ("漢" * 80)
    with publish(str(path)) as stream:
        stream.write(b"x")
    assert Path(path).read_bytes() == b"x"


def test_a_file_to_append_to_keeps_what_it_has(target):
    with publish(str(target), append=True) as stream:
        stream.write(b"new")
    assert target.read_bytes() == b"oldnew"
    assert list(target.parent.iterdir()) == [target]


class Trouble:
    """An output that calls a given function when it is renamed or finished."""

    def __init__(self, swap=lambda: None, finish=lambda: None):
        self._swap, self.finish = swap, finish

    def swap(self, *, undoable):
        self._swap()

    def undo(self):
        """Nothing."""

    settle = drop = undo


def fail():
    raise OutputError("cannot write file", "third")


@pytest.fixture
def three(tmp_path):
    """Return two files that exist, and one that does not."""
    paths = [tmp_path / name for name in ("a", "b", "new")]
    for path in paths[:2]:
        path.write_bytes(b"old " + path.name.encode())
    return paths


def write_all(paths, *others):
    with Publication() as outputs:
        for path in paths:
            outputs.file(str(path)).write(b"fresh")
        for other in others:
            outputs.add(other)


@pytest.mark.parametrize("when", ["swap", "finish"])
def test_if_one_output_cannot_be_renamed_none_is(when, three):
    with pytest.raises(OutputError, match="third"):
        write_all(three, Trouble(**{when: fail}))
    assert {path.name: path.read_bytes() for path in three[0].parent.iterdir()} == {"a": b"old a", "b": b"old b"}


@pytest.mark.parametrize("blocked", [0, 1, 2])
def test_a_renaming_that_fails_undoes_those_before_it(blocked, three):
    def block():
        three[blocked].unlink(missing_ok=True)
        three[blocked].mkdir()
        (three[blocked] / "something").touch()

    with pytest.raises(OutputError, match=str(three[blocked])):
        write_all(three, Trouble(finish=block))
    kept = {path.name: path.read_bytes() for path in three[0].parent.iterdir() if path.is_file()}
    assert kept == {name: b"old " + name.encode() for name in ("a", "b") if name != three[blocked].name}


@pytest.mark.parametrize("linked", [True, False])
def test_old_files_come_back_on_file_systems_without_hard_links_too(linked, three, monkeypatch):
    def refuse(*_):
        raise OSError(1, "Operation not permitted")

    if not linked:
        monkeypatch.setattr(os, "link", refuse)
    with pytest.raises(OutputError):
        write_all(three, Trouble(swap=fail))
    assert three[0].read_bytes() == b"old a"
    write_all(three)
    assert {path.name: path.read_bytes() for path in three[0].parent.iterdir()} == dict.fromkeys(
        ("a", "b", "new"), b"fresh"
    )


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_a_signal_between_two_renamings_waits_until_all_are_done(number, three):
    class Stopped(BaseException):
        pass

    class Later(Trouble):
        """Another output, renamed after the signal."""

        def swap(self, *, undoable):
            three[1].write_bytes(b"fresh")

    second = Later()

    def stop(*_):
        raise Stopped

    before = signal.signal(number, stop)
    try:
        with pytest.raises(Stopped):
            write_all(three[:1], Trouble(swap=lambda: signal.raise_signal(number)), second)
        assert signal.getsignal(number) is stop
    finally:
        signal.signal(number, before)
    assert {path.name: path.read_bytes() for path in three[0].parent.iterdir()} == {"a": b"fresh", "b": b"fresh"}


def test_an_ignored_signal_stays_ignored_while_files_are_renamed(three):
    before = signal.signal(signal.SIGHUP, signal.SIG_IGN)
    try:
        write_all(three, Trouble(swap=lambda: signal.raise_signal(signal.SIGHUP)))
    finally:
        signal.signal(signal.SIGHUP, before)
    assert three[2].read_bytes() == b"fresh"


def test_every_byte_is_on_the_disk_before_a_name_is_and_the_names_after(target, monkeypatch):
    steps = []
    sync, rename = os.fsync, Path.replace
    monkeypatch.setattr(
        os, "fsync", lambda n: (steps.append("folder" if stat.S_ISDIR(os.fstat(n).st_mode) else "file"), sync(n))
    )
    monkeypatch.setattr(Path, "replace", lambda a, b: (steps.append("rename"), rename(a, b)))
    with publish(str(target)) as stream:
        stream.write(b"new")
    assert steps == ["file", "rename", "folder"]


def test_unfinished_files_are_removed_at_any_moment(tmp_path):
    outputs = Publication()
    outputs.file(str(tmp_path / "a")).write(b"x")
    parts = folders.open_folder(outputs, f"{tmp_path}/parts/", None)
    Path(parts.parts.folder, "part").touch()
    assert len(list(tmp_path.iterdir())) == 2
    temporary_files.remove_all()
    assert list(tmp_path.iterdir()) == []
    outputs.__exit__(ValueError, ValueError(), None)


@pytest.mark.skipif(not Path("/dev/shm").is_dir(), reason="a RAM disk of Linux")
def test_a_ram_disk_is_a_disk():
    with tempfile.TemporaryDirectory(dir="/dev/shm") as folder:
        for text in (b"longer", b"short"):
            with publish(f"{folder}/out") as stream:
                stream.write(text)
        assert Path(folder, "out").read_bytes() == b"short"
        assert names(folder) == ["out"]


@pytest.mark.parametrize("special", [0o4000, 0o2000, 0o1000, 0o7000])
def test_the_mode_is_kept_but_not_what_lets_others_act_as_somebody(special, target):
    target.chmod(0o750 | special)
    with publish(str(target)) as stream:
        stream.write(b"new")
    assert stat.S_IMODE(target.stat().st_mode) == 0o750


@pytest.mark.parametrize("mode", [0o444, 0o400, 0o555, 0])
def test_a_file_that_was_made_read_only_is_not_replaced_before_any_work(mode, target):
    target.chmod(mode)
    with pytest.raises(OutputError, match="output not writable"), publish(str(target)):
        pytest.fail("must not start")
    target.chmod(0o600)
    assert target.read_bytes() == b"old"
    assert list(target.parent.iterdir()) == [target]


def test_an_open_file_is_added_to_through_a_link_to_its_descriptor(target, tmp_path):
    with target.open("ab") as held:
        (tmp_path / "link").symlink_to(f"/proc/self/fd/{held.fileno()}")
        with publish(str(tmp_path / "link")) as stream:
            stream.write(b"new")
    assert target.read_bytes() == b"oldnew"


def test_a_pipe_without_a_reader_is_reported_and_given_up(tmp_path):
    os.mkfifo(tmp_path / "fifo")
    told = []
    outputs = Publication(patience=1.2, waiting=told.append)
    with pytest.raises(OutputError, match=r"nobody reads from the pipe[\s\S]*no reader for 1.2 seconds"), outputs:
        outputs.file(str(tmp_path / "fifo"))
    assert told == [str(tmp_path / "fifo")]


def test_a_pipe_waits_for_its_reader(tmp_path):
    fifo, got, told = tmp_path / "fifo", [], []
    os.mkfifo(fifo)

    def read(path):
        told.append(path)
        reader.start()

    reader = threading.Thread(target=lambda: got.append(fifo.read_bytes()))
    with Publication(waiting=read) as outputs:
        outputs.file(str(fifo)).write(b"rows")
    reader.join()
    assert (got, told) == ([b"rows"], [str(fifo)])


def names(folder):
    return sorted(path.name for path in Path(folder).iterdir())


def write_parts(path):
    with publish_parts(str(path), None) as folder:
        part = Path(folder.parts.folder, folder.parts.name(0))
        part.write_bytes(b"numbers")
        folder.note(Rows())
    return part.name


class Rows:
    """The attributes of a block that a manifest needs."""

    start, size = 0, 7


@pytest.mark.parametrize("exchanged", [True, False])
def test_a_folder_of_an_earlier_run_is_replaced(exchanged, tmp_path, monkeypatch):
    if not exchanged:
        monkeypatch.setattr(folders, "_exchanged", lambda *_: False)
    first = write_parts(tmp_path / "out")
    (tmp_path / "out").chmod(0o750)
    second = write_parts(tmp_path / "out")
    assert first != second
    assert {path.name for path in (tmp_path / "out").iterdir()} == {second, "_manifest.json", "_SUCCESS"}
    assert stat.S_IMODE((tmp_path / "out").stat().st_mode) == 0o750
    assert names(tmp_path) == ["out"]
    manifest = json.loads((tmp_path / "out" / "_manifest.json").read_text())
    assert manifest == {"written_by": "xent", "rows": 7, "parts": [{"file": second, "start": 0, "rows": 7}]}


def test_a_folder_of_the_first_version_and_an_empty_one_are_replaced(tmp_path):
    old = tmp_path / "old"
    name = write_parts(old)
    (old / "_manifest.json").write_text(json.dumps({"rows": 7, "parts": [{"file": name, "start": 0, "rows": 7}]}))
    (tmp_path / "empty").mkdir()
    for path in (old, tmp_path / "empty"):
        assert write_parts(path) in names(path)


FOREIGN = {
    "of Spark": {"_SUCCESS": "", "part-00000-c0ffee.snappy.parquet": "x"},
    "a marker alone and a file": {"_SUCCESS": "", "precious.csv": "x"},
    "another manifest": {"_manifest.json": '{"rows": 1, "parts": [{"file": "precious.csv"}]}', "precious.csv": "x"},
    "a manifest of somebody": {"_manifest.json": '{"written_by": "me", "rows": 1, "parts": []}', "a": "x"},
    "a manifest that is no object": {"_manifest.json": "[]", "a": "x"},
    "a damaged manifest": {"_manifest.json": "{", "a": "x"},
    "a manifest of nothing": {"_manifest.json": ""},
    "files": {"a": "x"},
    "a marker": {"_SUCCESS": ""},
    "a hidden file": {".git": "x"},
}


@pytest.mark.parametrize("files", FOREIGN.values(), ids=FOREIGN)
def test_a_folder_that_xent_did_not_write_is_left_alone(files, tmp_path):
    out = tmp_path / "out"
    out.mkdir()
    for name, text in files.items():
        (out / name).write_text(text)
    with pytest.raises(OutputError, match="will not replace folder"), publish_parts(str(out), None):
        pytest.fail("must not start")
    assert {path.name: path.read_text() for path in out.iterdir()} == files
    assert names(tmp_path) == ["out"]


@pytest.mark.parametrize("whole_before", [False, True])
def test_parts_that_a_killed_run_has_left_are_named_as_such(whole_before, tmp_path):
    out = tmp_path / "out"
    out.mkdir()
    if whole_before:
        out.rmdir()
        write_parts(out)
    for start in (0, 1000):
        (out / f"part-{start:012d}-0123abcd.parquet").write_bytes(b"")
    before = names(out)
    with pytest.raises(
        OutputError, match=r"2 parts .* of a run that was killed, or has not ended(.|\n)*delete what it left"
    ):
        write_parts(out)
    assert names(out) == before


@pytest.mark.parametrize("kind", ["file", "folder", "link"])
def test_files_added_to_an_output_folder_are_kept(kind, tmp_path):
    out = tmp_path / "out"
    write_parts(out)
    {"file": Path.touch, "folder": Path.mkdir, "link": lambda p: p.symlink_to("/")}[kind](out / "notes")
    before = names(out)
    with pytest.raises(OutputError, match='"notes", which xent did not write'):
        write_parts(out)
    assert names(out) == before


def test_files_added_during_the_run_are_kept_too(tmp_path):
    out = tmp_path / "out"
    write_parts(out)
    with pytest.raises(OutputError, match='"notes"'), publish_parts(str(out), None):
        (out / "notes").write_text("mine")
    assert (out / "notes").read_text() == "mine"
    assert len(names(out)) == 4
    assert names(tmp_path) == ["out"]


def test_a_folder_comes_back_where_a_later_output_fails(tmp_path):
    name = write_parts(tmp_path / "out")

    def publish_all():
        with Publication() as outputs:
            for path in ("out/", "new/"):
                folders.open_folder(outputs, f"{tmp_path}/{path}", None)
            outputs.add(Trouble(swap=fail))

    with pytest.raises(OutputError, match="third"):
        publish_all()
    assert names(tmp_path) == ["out"]
    assert name in names(tmp_path / "out")


def test_a_part_that_a_dead_worker_began_is_not_published(tmp_path):
    with publish_parts(f"{tmp_path}/out", None) as folder:
        Path(folder.parts.folder, ".part-000000000000.tmp").touch()
    assert set(names(tmp_path / "out")) == {"_manifest.json", "_SUCCESS"}


def test_a_folder_that_was_made_read_only_is_not_replaced(tmp_path):
    write_parts(tmp_path / "out")
    (tmp_path / "out").chmod(0o555)
    with pytest.raises(OutputError, match="mode 0555"):
        write_parts(tmp_path / "out")


def test_a_file_is_not_replaced_by_a_folder(target):
    with pytest.raises(OutputError, match="a file"), publish_parts(f"{target}/", None):
        pytest.fail("must not start")
    assert target.read_bytes() == b"old"
