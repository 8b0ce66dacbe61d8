"""Several arrays of one file that are pieces of one input, recognised by the numbers in their names."""

import pickle
import zipfile

import ml_dtypes
import numpy as np
import pytest
from safetensors.numpy import save_file

import xent_cli
from tests.click_runner import runner
from tests.readers.source_tests import SourceTests
from xent_cli.cli import cli
from xent_cli.errors import InputError
from xent_cli.readers.open import open_source
from xent_cli.readers.options import ReadOptions

RANDOM = np.random.default_rng(31)
N, K = 130, 4
LOGITS = RANDOM.normal(0, 2, (N, K))
LABELS = RANDOM.integers(0, K, N)
MEAN = xent_cli.evaluate(LOGITS, LABELS).mean_loss
CUTS = [10, 20, 35, 40, 60, 61, 70, 80, 90, 100, 120]


def pieces(values, name, start=0):
    return {name.format(start + place): part for place, part in enumerate(np.split(values, CUTS))}


def npz(path, arrays):
    np.savez(path, **arrays)
    return f"{path}.npz"


def deflated(path, arrays):
    np.savez_compressed(path, **arrays)
    return f"{path}.npz"


def safetensors(path, arrays):
    save_file({name: np.ascontiguousarray(array) for name, array in arrays.items()}, f"{path}.safetensors")
    return f"{path}.safetensors"


WRITERS = [npz, deflated, safetensors]


def run(*args):
    found = runner().invoke(cli, list(map(str, args)), standalone_mode=False)
    if found.exception is not None:
        raise found.exception
    return found


def mean(*args):
    return float(run("compute", *args, "--reduction", "mean").stdout)


@pytest.mark.parametrize("write", WRITERS)
@pytest.mark.parametrize("name", ["logits.{}", "logits_{}", "batch_{:04}", "tensor.{}", "utt-{}", "step{}", "{}"])
def test_numbered_arrays_follow_one_another_in_the_order_of_their_numbers(name, write, tmp_path):
    np.save(tmp_path / "y.npy", LABELS)
    found = run("compute", write(tmp_path / "d", pieces(LOGITS, name)), tmp_path / "y.npy", "--reduction", "mean")
    assert float(found.stdout) == MEAN
    assert "12 arrays [arrays-joined]" in found.stderr


@pytest.mark.parametrize("write", WRITERS)
def test_logits_and_labels_of_one_file_are_both_joined(write, tmp_path):
    path = write(tmp_path / "d", pieces(LOGITS, "logits.{}", 1) | pieces(LABELS, "labels.{}", 1))
    assert mean(path) == MEAN


def test_labels_may_be_whole_beside_pieces_of_logits(tmp_path):
    assert mean(npz(tmp_path / "d", pieces(LOGITS, "logits_{}") | {"labels": LABELS})) == MEAN


@pytest.mark.parametrize("write", WRITERS)
@pytest.mark.parametrize(
    "names", [("batch_{}/logits", "batch_{}/labels"), ("{}.logits", "{}.y"), ("b{}-logit", "b{}-gt")]
)
def test_the_role_may_come_after_the_number(names, write, tmp_path):
    path = write(tmp_path / "d", pieces(LOGITS, names[0]) | pieces(LABELS, names[1]))
    assert mean(path) == MEAN


def test_pieces_without_a_role_are_the_logits_beside_labels_and_the_labels_of_their_own_file(tmp_path):
    assert mean(npz(tmp_path / "d", pieces(LOGITS, "utt-{:03}") | {"labels": LABELS})) == MEAN
    files = npz(tmp_path / "l", pieces(LOGITS, "utt-{:03}")), npz(tmp_path / "y", pieces(LABELS, "utt-{:03}"))
    assert mean(*files) == MEAN


def test_labels_of_other_pieces_than_the_logits_are_refused(tmp_path):
    files = npz(tmp_path / "l", pieces(LOGITS, "batch_{}")), npz(tmp_path / "y", pieces(LABELS, "batch_{}", 1))
    with pytest.raises(InputError, match="labels of different pieces"):
        mean(*files)
    with pytest.raises(InputError, match="different numbers"):
        mean(npz(tmp_path / "d", pieces(LOGITS, "logits_{}") | pieces(LABELS, "labels_{}", 1)))


def test_two_sets_of_logits_after_numbers_are_refused_as_ambiguous(tmp_path):
    with pytest.raises(InputError, match="several arrays of logits"):
        mean(npz(tmp_path / "d", pieces(LOGITS, "train_{}.logits") | pieces(LOGITS, "test_{}.logits")))


def test_arrays_that_savez_names_by_place_are_joined_where_the_labels_bear_it_out(tmp_path):
    np.savez(tmp_path / "d.npz", *np.split(LOGITS, CUTS))
    np.save(tmp_path / "y.npy", LABELS)
    assert mean(tmp_path / "d.npz", tmp_path / "y.npy") == MEAN
    np.savez(tmp_path / "two.npz", LOGITS, LOGITS)
    with pytest.raises(InputError, match="inputs of different length"):
        mean(tmp_path / "two.npz", tmp_path / "y.npy")


def test_logits_and_labels_that_savez_names_by_place_are_not_joined(tmp_path):
    for second in (LABELS, LOGITS):
        np.savez(tmp_path / "d.npz", LOGITS, second)
        with pytest.raises(InputError):
            mean(tmp_path / "d.npz")


def test_a_pattern_names_the_pieces(tmp_path):
    np.save(tmp_path / "y.npy", LABELS)
    arrays = pieces(LOGITS, "student/{}") | pieces(-LOGITS, "teacher/{}")
    path = npz(tmp_path / "d", {name.replace("/", "."): array for name, array in arrays.items()})
    assert mean(path, tmp_path / "y.npy", "--logits-column", "student.*") == MEAN


def test_bfloat16_pieces_are_read(tmp_path):
    np.save(tmp_path / "y.npy", LABELS)
    small = LOGITS.astype(ml_dtypes.bfloat16)
    path = safetensors(tmp_path / "d", pieces(small, "logits.{}"))
    assert mean(path, tmp_path / "y.npy") == xent_cli.evaluate(small.astype("f4"), LABELS).mean_loss


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda arrays: arrays.pop("logits.3"), "no array of logits"),
        (lambda arrays: arrays.update({"logits.03": arrays["logits.3"]}), "no array of logits"),
        (lambda arrays: arrays.update({"logits.3": arrays["logits.3"][:, :2]}), "shard of another shape"),
        (lambda arrays: arrays.update({"logits.3": arrays["logits.3"].astype("f4")}), "shard of another dtype"),
    ],
)
def test_pieces_that_are_missing_or_not_alike_are_refused(change, said, tmp_path):
    np.save(tmp_path / "y.npy", LABELS)
    arrays = pieces(LOGITS, "logits.{}")
    change(arrays)
    with pytest.raises(InputError, match=said):
        mean(npz(tmp_path / "d", arrays), tmp_path / "y.npy")


def test_two_sets_of_numbered_arrays_are_refused_as_ambiguous(tmp_path):
    np.save(tmp_path / "y.npy", LABELS)
    path = npz(tmp_path / "d", pieces(LOGITS, "a.{}") | pieces(LOGITS, "b.{}"))
    with pytest.raises(InputError, match="no array of logits"):
        mean(path, tmp_path / "y.npy")


def test_inspect_ends_in_the_line_that_joins_them(tmp_path):
    path = safetensors(tmp_path / "d", pieces(LOGITS, "logits.{}") | pieces(LABELS, "labels.{}"))
    line = run("inspect", path, "-q").stdout.splitlines()[-1].split("\t")[1].split()
    assert mean(*line[2:]) == MEAN


class TestNumberedSafetensors(SourceTests):
    format = "safetensors"
    dtype = np.float32
    random_access = True

    def write(self, folder, values):
        parts = np.array_split(values, 11)
        return safetensors(folder / "d", {f"logits.{place}": part for place, part in enumerate(parts)})


class TestNumberedNpz(TestNumberedSafetensors):
    format = "npz"

    def write(self, folder, values):
        return npz(folder / "d", {f"batch_{place}": part for place, part in enumerate(np.array_split(values, 11))})


def test_the_directory_of_an_archive_is_not_read_again_for_each_deflated_array(tmp_path, monkeypatch):
    path, opened, begin = deflated(tmp_path / "d", pieces(LOGITS, "logits_{}")), [], zipfile.ZipFile.__init__
    np.save(tmp_path / "y.npy", LABELS)

    def counted(archive, *args, **options):
        opened.append(archive)
        begin(archive, *args, **options)

    monkeypatch.setattr(zipfile.ZipFile, "__init__", counted)
    assert mean(path, tmp_path / "y.npy") == MEAN
    assert len(opened) < len(CUTS)


def test_the_recipe_of_a_deflated_array_is_small_and_opens_in_another_process(tmp_path):
    np.savez_compressed(tmp_path / "d.npz", logits=LOGITS)
    source = open_source(str(tmp_path / "d.npz"), "logits", ReadOptions()).source
    assert source.member.name == "logits.npy"
    recipe = pickle.dumps(source)
    assert len(recipe) < 1000
    with pickle.loads(recipe).stream() as stream:
        assert stream.read().endswith(LOGITS.tobytes())


def test_a_deflated_array_that_does_not_fit_its_checksum_is_refused(tmp_path):
    path = tmp_path / "d.npz"
    np.savez_compressed(path, logits=LOGITS)
    np.save(tmp_path / "y.npy", LABELS)
    with zipfile.ZipFile(path) as archive:
        checksum = archive.getinfo("logits.npy").CRC.to_bytes(4, "little")
    data = path.read_bytes()
    assert checksum in data
    path.write_bytes(data.replace(checksum, bytes(4)))
    with pytest.raises(InputError, match="Bad CRC-32"):
        mean(path, tmp_path / "y.npy")


def test_one_array_a_sample_by_names_of_no_order_is_refused_with_the_pattern_that_joins_them(tmp_path):
    np.save(tmp_path / "y.npy", LABELS)
    path = npz(tmp_path / "d", {f"speaker{i // 50}-utt{i:04}": row for i, row in enumerate(LOGITS)})
    with pytest.raises(InputError, match="no array of logits") as caught:
        mean(path, tmp_path / "y.npy")
    assert "with a pattern: --logits-column '*'" in caught.value.hint
    assert mean(path, tmp_path / "y.npy", "--logits-column", "*") == MEAN
