"""Numbers without a header are read as the user says, and never as anything else."""

import gzip

import ml_dtypes
import numpy as np
import pytest

import xent_cli
from tests import forked
from tests.click_runner import xent
from tests.readers.source_tests import FifoTests, SourceTests
from xent_cli.errors import InputError, UsageError
from xent_cli.readers.options import ReadOptions

RANDOM = np.random.default_rng(12)
N, K = 60, 5
LOGITS = RANDOM.normal(0, 3, (N, K))
LABELS = RANDOM.integers(0, K, N)


def mean(*args):
    return float(xent("compute", *args, "--reduction", "mean", "-q"))


@pytest.fixture
def folder(tmp_path, monkeypatch):
    np.save(tmp_path / "y.npy", LABELS)
    monkeypatch.chdir(tmp_path)
    return tmp_path


class TestRaw(SourceTests):
    format = "raw"
    dtype = np.float32
    options = ReadOptions(shape=(-1, K), logits_dtype="float32")
    random_access = True

    def write(self, folder, values):
        values.tofile(folder / "l.bin")
        return str(folder / "l.bin")


class TestRawBigEndian(TestRaw):
    dtype = ">f8"
    options = ReadOptions(shape=(-1, K), logits_dtype=">f8")


class TestRawShards(TestRaw):
    def write(self, folder, values):
        (folder / "parts").mkdir()
        for place, part in enumerate(np.array_split(values, 3)):
            part.tofile(folder / "parts" / f"{place}.bin")
        return str(folder / "parts")


class TestRawCompressed(TestRaw):
    def write(self, folder, values):
        (folder / "l.bin.gz").write_bytes(gzip.compress(values.tobytes(), 1))
        return str(folder / "l.bin.gz")


class TestRawPipe(FifoTests, TestRaw):
    options = ReadOptions(shape=(97, K), logits_dtype="float32")

    def values(self, n=97):
        return super().values(97)


class TestRawLabels(SourceTests):
    format = "raw"
    role = "labels"
    dtype = np.int32
    options = ReadOptions(labels_dtype="int32")
    random_access = True

    def write(self, folder, values):
        values.tofile(folder / "y.bin")
        return str(folder / "y.bin")


TYPES = ["float16", "float32", "float64", "int8", "int32", "<f4", ">f4", ">f8", "f2", "u1", ">i2"]


@pytest.mark.parametrize("kind", TYPES)
def test_the_bits_are_those_of_an_npy_of_the_same_type(kind, folder):
    values = np.abs(LOGITS * 5).astype(kind if kind[0] in "<>" else np.dtype(kind).newbyteorder("<"))
    np.save("l.npy", values)
    values.tofile("l.bin")
    assert mean("l.bin", "y.npy", "--shape", f"-1,{K}", "--logits-dtype", kind) == mean("l.npy", "y.npy")


def test_bfloat16_is_read(folder):
    small = LOGITS.astype(ml_dtypes.bfloat16)
    small.view("u2").tofile("l.bin")
    found = mean("l.bin", "y.npy", "--shape", f"{N},{K}", "--logits-dtype", "bfloat16")
    assert found == xent_cli.evaluate(small.astype("f4"), LABELS).mean_loss


@pytest.mark.parametrize("kind", ["int64", "int32", ">i4", "uint8", "float32"])
def test_labels_without_a_header_take_the_shape_of_the_samples(kind, folder):
    np.save("l.npy", LOGITS.reshape(4, 15, K))
    LABELS.astype(kind).tofile("y.bin")
    assert mean("l.npy", "y.bin", "--labels-dtype", kind) == xent_cli.evaluate(LOGITS, LABELS).mean_loss


def test_labels_of_minus_one_are_not_an_arrow_stream(folder):
    np.save("l.npy", LOGITS)
    labels = LABELS.copy()
    labels[:3] = -1
    labels.astype("i4").tofile("y.bin")
    found = mean("l.npy", "y.bin", "--labels-dtype", "int32", "--ignore-index", "-1")
    assert found == xent_cli.evaluate(LOGITS[3:], LABELS[3:]).mean_loss


def test_dense_labels_take_the_shape_of_the_logits(folder):
    soft = RANDOM.dirichlet(np.ones(K), N)
    np.save("l.npy", LOGITS)
    np.save("soft.npy", soft)
    soft.tofile("soft.bin")
    assert mean("l.npy", "soft.bin", "--labels-dtype", "float64") == mean("l.npy", "soft.npy")


def test_an_axis_in_the_middle_is_read(folder):
    turned = np.ascontiguousarray(np.moveaxis(LOGITS.reshape(4, 15, K), -1, 1))
    turned.tofile("l.bin")
    np.save("y.npy", LABELS.reshape(4, 15))
    found = mean("l.bin", "y.npy", "--shape", f"-1,{K},15", "--logits-dtype", "float64", "--axis", "1")
    assert found == xent_cli.evaluate(LOGITS, LABELS).mean_loss


@pytest.mark.parametrize("shape", [f"-1,{K}", f"{N},{K}"])
def test_raw_numbers_may_be_compressed_piped_or_in_shards(shape, folder):
    LOGITS.tofile("l.bin")
    options = ["--shape", shape, "--logits-dtype", "float64"]
    expected = mean("l.bin", "y.npy", *options)
    (folder / "l.bin.gz").write_bytes(gzip.compress((folder / "l.bin").read_bytes()))
    assert mean("l.bin.gz", "y.npy", *options) == expected
    run = forked.shell(f"cat l.bin | xent compute - y.npy --reduction mean {' '.join(options)}", folder)
    assert float(run.stdout) == expected, run.stderr
    (folder / "parts").mkdir()
    LOGITS[: N // 2].tofile("parts/0.bin")
    LOGITS[N // 2 :].tofile("parts/1.bin")
    shard = shape.replace(str(N), str(N // 2))
    assert mean("parts", "y.npy", "--shape", shard, "--logits-dtype", "float64") == expected


def test_a_size_that_does_not_divide_is_refused_with_the_sum(folder):
    LOGITS.tofile("l.bin")
    with pytest.raises(InputError) as caught:
        mean("l.bin", "y.npy", "--shape", "-1,7", "--logits-dtype", "float64")
    assert "found 2400 bytes, expected a multiple of 56 bytes: 7 x 8 for float64" in str(caught.value)
    with pytest.raises(InputError, match="expected 2360 bytes: 59 x 5 x 8"):
        mean("l.bin", "y.npy", "--shape", f"{N - 1},{K}", "--logits-dtype", "float64")


@pytest.mark.parametrize(
    ("args", "line"),
    [
        (["l.bin", "y.npy"], "xent compute l.bin labels.npy --shape -1,10 --logits-dtype float32"),
        (["l.npy", "l.bin"], "xent compute logits.npy l.bin --labels-dtype int64"),
        (["l.npy", "y.npy", "--sample-weight", "l.bin"], "numpy.fromfile('l.bin', 'float32')"),
    ],
)
def test_numbers_without_a_header_need_options_and_the_error_has_the_line(args, line, folder):
    np.save("l.npy", LOGITS)
    LOGITS.tofile("l.bin")
    with pytest.raises(InputError, match="no header") as caught:
        mean(*args)
    assert line in str(caught.value)
    assert "UTF-8" not in str(caught.value)


@pytest.mark.parametrize("suffix", [".csv", ".tsv", ".txt", ".jsonl", ".bin", ".foo", ""])
def test_bytes_of_no_known_format_are_called_no_text_whatever_their_name(suffix, folder):
    RANDOM.normal(size=4000).astype("f4").tofile(f"x{suffix}")
    with pytest.raises(InputError, match="no header"):
        mean(f"x{suffix}", "y.npy")


@pytest.mark.parametrize("name", ["l.npy", "l.csv", "l.npz"])
def test_a_file_that_says_what_it_holds_is_not_read_as_raw_numbers(name, folder):
    np.save("l.npy", LOGITS)
    np.savez("l.npz", LOGITS)
    np.savetxt("l.csv", LOGITS, delimiter=",", header=",".join(f"logit_{i}" for i in range(K)), comments="")
    with pytest.raises(UsageError, match="--shape has no effect"):
        mean(name, "y.npy", "--shape", "-1,1", "--logits-dtype", "float32")


def test_a_recognised_format_is_named_even_if_options_call_it_raw(folder):
    (folder / "x.h5").write_bytes(b"\x89HDF\r\n\x1a\n" + bytes(52))
    with pytest.raises(InputError, match="an HDF5 file"):
        mean("x.h5", "y.npy", "--shape", "-1,5", "--logits-dtype", "float32")


@pytest.mark.parametrize(
    "options",
    [
        ["--shape", "-1,-1"], ["--shape", "0,5"], ["--shape", "a,5"], ["--shape", "5,"], ["--shape", ""],
        ["--logits-dtype", "float128"], ["--logits-dtype", "O"], ["--labels-dtype", "<U3"],
    ],
)  # fmt: skip
def test_an_invalid_shape_or_type_is_a_usage_error(options, folder):
    LOGITS.tofile("l.bin")
    assert forked.xent("compute", "l.bin", "y.npy", *options, cwd=folder).returncode == 2


def test_a_shape_without_a_type_is_a_usage_error(folder):
    LOGITS.tofile("l.bin")
    with pytest.raises(UsageError, match="--shape without --logits-dtype"):
        mean("l.bin", "y.npy", "--shape", "-1,5")


def test_inspect_ends_in_the_line_that_reads_both(folder):
    LOGITS.tofile("l.bin")
    LABELS.astype("i4").tofile("y.bin")
    options = ["--shape", f"-1,{K}", "--logits-dtype", "float64", "--labels-dtype", "int32"]
    line = xent("inspect", "l.bin", "y.bin", *options, "-q").splitlines()[-1].split("\t")[1].split()
    assert mean(*line[2:]) == xent_cli.evaluate(LOGITS, LABELS).mean_loss
