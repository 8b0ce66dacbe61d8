import numpy as np
import pytest

from xent_cli.errors import InputError
from xent_cli.readers.storage.locate import locate, natural


def names(path, folder):
    return [file.name.removeprefix(f"{folder}/") for file in locate(path).files]


@pytest.fixture
def shards(tmp_path):
    for name in ("part-10.npy", "part-2.npy", "part-1.npy", ".hidden.npy", "_SUCCESS"):
        (tmp_path / name).write_bytes(b"x")
    (tmp_path / "sub").mkdir()
    (tmp_path / "sub" / "part-3.npy").write_bytes(b"x")
    return tmp_path


def test_a_folder_is_its_files_in_natural_order_without_markers(shards):
    assert names(str(shards), shards) == ["part-1.npy", "part-2.npy", "part-10.npy"]
    assert locate(str(shards)).sharded


def test_a_file_that_describes_the_shards_is_not_a_shard(shards):
    (shards / "state.json").write_text("{}")
    assert names(str(shards), shards) == ["part-1.npy", "part-2.npy", "part-10.npy"]


def test_a_glob_stays_in_its_folder_unless_it_has_two_stars(shards):
    assert names(f"{shards}/part-*.npy", shards) == ["part-1.npy", "part-2.npy", "part-10.npy"]
    assert names(f"{shards}/**/part-[23].npy", shards) == ["part-2.npy", "sub/part-3.npy"]


def test_a_file_whose_name_has_a_star_is_that_file(tmp_path):
    (tmp_path / "a*.npy").write_bytes(b"x")
    (tmp_path / "ab.npy").write_bytes(b"x")
    assert names(f"{tmp_path}/a*.npy", tmp_path) == ["a*.npy"]


def test_a_glob_that_finds_nothing_and_an_empty_folder_are_reported(tmp_path):
    for path in (f"{tmp_path}/*.npy", str(tmp_path)):
        with pytest.raises(InputError, match="no files"):
            locate(path)


def test_the_nearest_name_is_offered(tmp_path):
    (tmp_path / "logits.npy").write_bytes(b"x")
    with pytest.raises(InputError, match=r"did you mean .*logits\.npy"):
        locate(f"{tmp_path}/logit.npy")


def test_a_file_url_is_the_file(tmp_path):
    np.save(tmp_path / "a b.npy", np.zeros(1))
    (file,) = locate(f"file://{tmp_path}/a%20b.npy").files
    assert file.peek(6) == b"\x93NUMPY"


@pytest.mark.parametrize("name", ["a\0b", "x" * 5000])
def test_an_impossible_name_is_reported(name):
    with pytest.raises(InputError):
        locate(name)


def test_numbers_sort_by_value_wherever_they_stand():
    found = sorted(["b/2/x-11", "b/2/x-9", "b/10/x-1", "a/100"], key=natural)
    assert found == ["a/100", "b/2/x-9", "b/2/x-11", "b/10/x-1"]


@pytest.mark.parametrize(
    ("typed", "meant"), [("logit.npy", "logits.npy"), ("val.npy", "val.csv"), ("test.npy", ""), ("a.npy", "")]
)
def test_a_name_that_is_nearly_that_of_a_file_is_mentioned(typed, meant, tmp_path):
    for name in ("logits.npy", "val.csv", "values.npy"):
        (tmp_path / name).write_bytes(b"x")
    with pytest.raises(InputError) as caught:
        locate(str(tmp_path / typed))
    assert caught.value.hint == (f"did you mean {tmp_path / meant}?" if meant else "")
