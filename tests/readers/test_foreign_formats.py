"""Formats that are recognised but not read: the error, and that the line it prints converts the file."""

import io
import os
import pickle
import re
import shlex
import shutil
import sqlite3
import struct
import subprocess
import sys
import tarfile
import zipfile
from contextlib import suppress
from pathlib import Path

import joblib
import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pyarrow.orc
import pytest
import scipy.io
from PIL import Image

import xent_cli
from tests.click_runner import runner
from xent_cli.cli import cli
from xent_cli.errors import InputError
from xent_cli.readers.open import format_of

RANDOM = np.random.default_rng(3)
LOGITS = RANDOM.normal(size=(40, 3))
LABELS = RANDOM.integers(0, 3, 40)
TABLE = pd.DataFrame({**{f"logit_{i}": LOGITS[:, i] for i in range(3)}, "label": LABELS})
MEAN = xent_cli.evaluate(LOGITS, LABELS).mean_loss


def stata(release):
    return bytes([release, 2, 1, 0]) + bytes(120)


def zipped(*names):
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w") as archive:
        for name in names:
            archive.writestr(name, b"x")
    return stream.getvalue()


def tfrecord(content):
    # Checksums of TFRecord, computed once by TensorFlow for records of these lengths.
    checksums = {24: 0x224B7FA3, 40: 0x4A1670FF}
    return struct.pack("<QI", len(content), checksums[len(content)]) + content + bytes(4)


def tarred():
    stream = io.BytesIO()
    with tarfile.open(fileobj=stream, mode="w") as archive:
        archive.addfile(tarfile.TarInfo("logits.npy"))
    return stream.getvalue()


# By name of the file: how it begins, and the name of the format.
SIGNATURES = {
    "v73.mat": (b"MATLAB 7.3 MAT-file, Platform: GLNXA64" + bytes(474) + b"\x89HDF\r\n\x1a\n", "a MATLAB 7.3 file"),
    "old.h5": (b"\x89HDF\r\n\x1a\n" + bytes(100), "an HDF5 file"),
    "block.h5": (bytes(512) + b"\x89HDF\r\n\x1a\n" + bytes(100), "an HDF5 file"),
    "keras.h5": (b"\x89HDF\r\n\x1a\n" + bytes(100) + b"keras_version\0", "a Keras model in HDF5"),
    "frame.h5": (b"\x89HDF\r\n\x1a\n" + bytes(100) + b"pandas_type\0", "an HDF5 file written by pandas"),
    "legacy.pth": (b"\x80\x02\x8a\x0al\xfc\x9cF\xf9 j\xa8P\x19.\x80\x02M\xe9\x03.", "PyTorch"),
    "tar-era.pt": (b"sys_info".ljust(257, b"\0") + b"ustar  " + bytes(300), "before version 0.2"),
    "old.pkl": (b"(lp0\nF0.5\na.", "a pickle"),
    "frame.RData": (b"RDX3\nX\n\0\0\0\3", "a file of R data"),
    "frame.rds": (b"X\n\0\0\0\3\0\4\3\1", "an RDS file of R"),
    "x.sas7bdat": (
        bytes(12) + bytes.fromhex("c2ea8160b31411cfbd92080009c7318c181f1011") + bytes(200),
        "a SAS7BDAT file",
    ),
    "x.xpt": (b"HEADER RECORD*******LIBRARY HEADER RECORD!!!!!!!000000", "a SAS transport file"),
    "x.sav": (b"$FL2@(#) SPSS DATA FILE" + bytes(100), "an SPSS file"),
    "x.zsav": (b"$FL3@(#) SPSS DATA FILE" + bytes(100), "an SPSS file"),
    "x.dta": (b"<stata_dta><header><release>118</release>", "a Stata file"),
    "old.dta": (stata(114), "a Stata file"),
    "x.xls": (b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1" + bytes(100), "an Excel workbook"),
    "x.xlsx": (zipped("[Content_Types].xml", "xl/workbook.xml"), "an Excel workbook"),
    "x.ods": (zipped("mimetype", "content.xml", "META-INF/manifest.xml"), "an OpenDocument spreadsheet"),
    "x.keras": (zipped("metadata.json", "config.json", "model.weights.h5"), "a Keras model"),
    "several.zip": (zipped("notes.txt", "photo.png"), "notes.txt"),
    "empty.zip": (zipped(), "an empty archive"),
    "x.duckdb": (bytes(8) + b"DUCK" + bytes(100), "a DuckDB database"),
    "x.mdb": (bytes(16) + b"\xde\xc0\xef\xbe" + bytes(100), "an LMDB database"),
    "v1.feather": (b"FEA1" + bytes(100), "a Feather file of version 1"),
    "x.avro": (b"Obj\1\4\x16avro.schema", "an Avro file"),
    "secret.parquet": (b"PARE" + bytes(100), "an encrypted Parquet file"),
    "x.tfrecord": (tfrecord(b"\x0a\x16" + bytes(22)), "a TFRecord file"),
    "events.out.tfevents.1": (
        tfrecord(b"\x09" + bytes(8) + b"\x1a\x0dbrain.Event:2" + bytes(16)),
        "TensorBoard events",
    ),
    "x.msgpack": (b"\x82\xa6logits\xc7\x10\x01", "a msgpack file"),
    "model.onnx": (b"\x08\x07\x12\x07pytorch\x1a\x051.9.0", "an ONNX model"),
    "model.gguf": (b"GGUF\3\0\0\0", "a GGUF model"),
    "model.tflite": (b"\x1c\0\0\0TFL3\x14\0", "a TensorFlow Lite model"),
    "x.params": (b"\x12\1\0\0\0\0\0\0" + bytes(20), "a file of MXNet arrays"),
    "labels.idx": (b"\0\0\x08\x01\0\0\0\4\1\2\0\1", "an IDX file"),
    "x.ark": (b"utt-1 \0BFM \4\2\0\0\0", "a Kaldi archive"),
    "x.7z": (b"7z\xbc\xaf\x27\x1c\0\4", "a 7z archive"),
    "x.rar": (b"Rar!\x1a\x07\1\0", "a RAR archive"),
    "x.tar": (tarred(), "a tar archive"),
    "x.lz4": (b"\x04\x22\x4d\x18\x64\x40", "an LZ4 file"),
    "x.sz": (b"\xff\x06\0\0sNaPpY", "a Snappy file"),
    "x.lz": (b"LZIP\1\x0c", "an lzip file"),
    "x.Z": (b"\x1f\x9d\x90\0", "a file of compress"),
    "x.png": (b"\x89PNG\r\n\x1a\n" + bytes(20), "an image"),
    "x.jpg": (b"\xff\xd8\xff\xe0\0\x10JFIF", "an image"),
    "x.pdf": (b"%PDF-1.7\n%\xe2\xe3\xcf\xd3\n", "a PDF document"),
    "text.pdf": (b"%PDF-1.4\n1 0 obj\n<<>>\nendobj\n", "a PDF document"),
    "x.so": (b"\x7fELF\2\1\1", "a program"),
    "weka.model": (b"\xac\xed\0\5sr\0", "a Java object"),
    "bare.csv": ("a,b,label\n1,2,0\n".encode("utf-16-le"), "UTF-16 without a byte order mark"),
    "odd name $(x) 'a'.h5": (b"\x89HDF\r\n\x1a\n" + bytes(100), "an HDF5 file"),
}


def refused(folder, name, monkeypatch):
    """Return the message for a file and its hint, after checking that compute and inspect say the same."""
    np.save(folder / "y.npy", LABELS)
    monkeypatch.chdir(folder)
    runs = [
        runner().invoke(cli, args, standalone_mode=False) for args in (["compute", name, "y.npy"], ["inspect", name])
    ]
    messages = {str(run.exception) for run in runs}
    assert all(isinstance(run.exception, InputError) for run in runs), messages
    (message,) = messages
    assert "not UTF-8" not in message
    return message, message.partition("\nhint: ")[2]


def line_of(hint):
    """Return the command at the end of a hint, after checking that it is valid."""
    programs = (
        "python|Rscript|sqlite3|duckdb|copy-matrix|7z|unrar|tar|lz4|lzip|gzip|iconv|pdftotext|xent|unzip|ls|pandoc"
    )
    found = re.search(rf"(?:^|: |, as in )((?:{programs}) .*)$", hint)
    assert found, hint
    subprocess.run(["bash", "-n", "-c", found[1]], check=True)
    words = shlex.split(found[1])
    if words[:2] == ["python", "-c"]:
        compile(words[2], "line", "exec")
    return found[1]


@pytest.mark.parametrize("name", SIGNATURES)
def test_a_format_is_named_with_a_valid_line_whatever_its_suffix(name, tmp_path, monkeypatch):
    content, called = SIGNATURES[name]
    for path in (tmp_path / name, tmp_path / "renamed.npy"):
        path.write_bytes(content)
        message, hint = refused(tmp_path, path.name, monkeypatch)
        assert called in message
        assert path.name in message
        if name != "empty.zip":
            line_of(hint)


def netcdf(path):
    with scipy.io.netcdf_file(path, "w") as file:
        file.createDimension("n", 40)
        file.createDimension("k", 3)
        file.createVariable("logits", "d", ("n", "k"))[:] = LOGITS


def database(path):
    connection = sqlite3.connect(path)
    TABLE.to_sql("rows", connection, index=False)
    connection.close()


def archive(path):
    np.save(path.with_name("held.npy"), LOGITS)
    with tarfile.open(path, "w:gz") as tar:
        tar.add(path.with_name("held.npy"), "held.npy")
    path.with_name("held.npy").unlink()


def orc(path):
    pa.orc.write_table(pa.Table.from_pandas(TABLE), str(path))


# Files written by the installed packages, with the name of the file that the printed line makes from each.
WRITTEN = {
    "x.mat": (lambda p: scipy.io.savemat(p, {"logits": LOGITS}), "logits.npy"),
    "x.pkl": (lambda p: p.write_bytes(pickle.dumps(LOGITS)), "logits.npy"),
    "x.joblib": (lambda p: joblib.dump(LOGITS, p, compress=3), "logits.npy"),
    "plain.joblib": (lambda p: joblib.dump(LOGITS, p), "logits.npy"),
    "object.npy": (lambda p: np.save(p, np.array([*LOGITS, None], object)[:-1], allow_pickle=True), "logits.npy"),
    "x.orc": (orc, "x.parquet"),
    "x.avro": (lambda p: pl.from_pandas(TABLE).write_avro(p), "x.parquet"),
    "x.dta": (lambda p: TABLE.to_stata(p, write_index=False), "x.parquet"),
    "old.dta": (lambda p: TABLE.to_stata(p, write_index=False, version=114), "old.parquet"),
    "x.tar.gz": (archive, "held.npy"),
    "labels.idx1": (lambda p: p.write_bytes(b"\0\0\x08\x01\0\0\0\x28" + LABELS.astype("u1").tobytes()), "labels.npy"),
    "logits.idx2": (
        lambda p: p.write_bytes(struct.pack(">HBBII", 0, 14, 2, 40, 3) + LOGITS.astype(">f8").tobytes()),
        "logits.npy",
    ),
    "bare.csv": (lambda p: p.write_bytes(TABLE.to_csv(index=False).encode("utf-16-be")), "bare_converted.csv"),
}
if shutil.which("sqlite3"):
    WRITTEN["x.db"] = (database, "x.csv")


@pytest.mark.parametrize("name", WRITTEN)
def test_the_printed_line_makes_a_file_that_is_read(name, tmp_path, monkeypatch):
    write, made = WRITTEN[name]
    path = tmp_path / name
    write(path)
    _, hint = refused(tmp_path, name, monkeypatch)
    line = line_of(hint)
    (tmp_path / "there").mkdir()
    (tmp_path / "there" / name).write_bytes(path.read_bytes())
    env = {**os.environ, "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}"}
    subprocess.run(["bash", "-c", line], cwd=tmp_path / "there", env=env, check=True, capture_output=True)
    found = tmp_path / "there" / made
    np.save(tmp_path / "there" / "l.npy", LOGITS)
    inputs = [found] if found.suffix in (".parquet", ".csv") else [found, tmp_path / "y.npy"]
    inputs = [tmp_path / "there" / "l.npy", found] if "labels" in made else inputs
    run = runner().invoke(cli, ["compute", *map(str, inputs), "--reduction", "mean", "-q"], standalone_mode=False)
    assert run.exception is None
    assert float(run.stdout) == pytest.approx(MEAN, rel=1e-12)


def test_a_mask_saved_as_an_image_becomes_labels(tmp_path, monkeypatch):
    Image.fromarray(LABELS.astype("u1").reshape(8, 5)).save(tmp_path / "mask.png")
    message, hint = refused(tmp_path, "mask.png", monkeypatch)
    assert "an image" in message
    env = {**os.environ, "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}"}
    subprocess.run(["bash", "-c", line_of(hint)], cwd=tmp_path, env=env, check=True)
    assert np.load(tmp_path / "logits.npy").tolist() == LABELS.reshape(8, 5).tolist()


FOLDERS = {
    "zarr": (["zarr.json"], "a Zarr folder"),
    "delta": (["_delta_log/00000.json", "part-0.parquet"], "a Delta table"),
    "x.lance": (["_versions/1.manifest", "data/a.lance"], "a Lance dataset"),
    "hudi": ([".hoodie/hoodie.properties", "a.parquet"], "a Hudi table"),
    "iceberg": (["metadata/v1.metadata.json", "data/a.parquet"], "an Iceberg table"),
    "lmdb": (["data.mdb", "lock.mdb"], "an LMDB database"),
    "saved": (["saved_model.pb", "variables/variables.index"], "a TensorFlow SavedModel"),
    "orbax": (["_CHECKPOINT_METADATA", "d/a"], "an Orbax checkpoint"),
    "distributed": ([".metadata", "__0_0.distcp"], "a distributed PyTorch checkpoint"),
    "tf": (["checkpoint", "m.index", "m.data-00000-of-00001"], "a TensorFlow checkpoint"),
    "run-1": (["run-1.wandb", "files/config.yaml"], "a W&B run"),
    "mlflow": (["meta.yaml", "metrics/loss", "artifacts/l.npy"], "an MLflow run"),
}


@pytest.mark.parametrize("name", FOLDERS)
def test_a_folder_of_another_program_is_named_with_a_valid_line(name, tmp_path, monkeypatch):
    files, called = FOLDERS[name]
    for file in files:
        (tmp_path / name / file).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name / file).write_bytes(b"x")
    message, hint = refused(tmp_path, name, monkeypatch)
    assert called in message
    line_of(hint)


@pytest.mark.parametrize("name", SIGNATURES)
def test_a_damaged_head_of_a_format_is_recognised_or_refused(name):
    content = bytearray(SIGNATURES[name][0])
    random = np.random.default_rng(len(content))
    for _ in range(200):
        found = content[: random.integers(1, len(content) + 1)]
        for place in random.integers(0, len(found), random.integers(0, 4)):
            found[place] = random.integers(0, 256)
        with suppress(InputError):
            assert format_of("x.bin", bytes(found)) in (
                "csv",
                "jsonl",
                "npz",
                "torch",
                "arrow",
                "parquet",
                "npy",
                "json",
            )


@pytest.mark.parametrize("seed", range(20))
def test_text_is_never_taken_for_a_binary_format(seed):
    random = np.random.default_rng(seed)
    names = ["".join(map(chr, random.integers(33, 127, 4))).replace(",", "_").replace('"', "_") for _ in range(3)]
    names = [f"{name}{i}" for i, name in enumerate(names)]
    text = TABLE.set_axis([*names, "label"], axis=1).to_csv(index=False)
    assert format_of("t.csv", text.encode()) == "csv"
