import os
import stat
import threading
from pathlib import Path

import pytest

from xent_cli.errors import OutputError
from xent_cli.writers.publish import publish


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
def test_what_goes_wrong_in_the_block_leaves_the_old_file_and_passes(target, error):
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


def test_a_long_name_is_no_obstacle(tmp_path):
    path = tmp_path / ("漢" * 80)
    with publish(str(path)) as stream:
        stream.write(b"x")
    assert Path(path).read_bytes() == b"x"


def test_a_file_to_append_to_keeps_what_it_has(target):
    with publish(str(target), append=True) as stream:
        stream.write(b"new")
    assert target.read_bytes() == b"oldnew"
    assert list(target.parent.iterdir()) == [target]
