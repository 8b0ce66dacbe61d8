"""Binary formats that xent recognises but does not read: how each begins, and the line that converts it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from xent_cli.readers.foreign_formats import recognise

if TYPE_CHECKING:
    from collections.abc import Callable

_NO_OUTPUTS = "it holds a model, not its outputs: run the model and save its logits, as in "
TRUSTED = "unpickling can run code, so xent never does it; for a file that you trust: "
_UNPACKED = "unpack it and name the file of numbers in it: "

# Raw numbers may well begin with a signature of fewer bytes than this, or with one that these functions recognise.
_STRONG_BYTES = 4
_WEAK = (
    *(recognise.is_pickle, recognise.is_msgpack, recognise.is_protobuf),
    *(recognise.is_idx, recognise.is_image, recognise.is_bare_utf16),
)


@dataclass(frozen=True, slots=True)
class Signature:
    """A format that is recognised by its first bytes.

    Fields
    ------
    name
        Name with its article: "an HDF5 file".
    magic
        How the file begins: bytes, alternatives, or a function that tests the first bytes.
    line
        The line that converts it: Python if it begins with ``import``, else a shell command. FILE stands for the file,
        STEM for its name without folder and suffixes, UNPACKED for its name without the last suffix, KEY for the
        array in it. Or a function that makes such a line from the first bytes.
    offset
        Offset of `magic`, in bytes.
    words
        What to know before running the line.
    """

    name: str
    magic: bytes | tuple[bytes, ...] | Callable[[bytes], bool]
    line: str | Callable[[bytes], str] = ""
    offset: int = 0
    words: str = ""

    @property
    def strong(self) -> bool:
        """Whether raw numbers are very unlikely to begin like this."""
        if callable(self.magic):
            return self.magic not in _WEAK
        return len(self.magic if isinstance(self.magic, bytes) else self.magic[0]) >= _STRONG_BYTES

    def fits(self, head: bytes) -> bool:
        """Whether a file that begins with these bytes has this format."""
        return self.magic(head) if callable(self.magic) else head.startswith(self.magic, self.offset)


def _saved(value: str, *modules: str) -> str:
    return f"import numpy, {', '.join(modules)}; numpy.save('logits.npy', {value})"


def _table(read: str, module: str = "pandas") -> str:
    return f"import {module}; {read}.to_parquet('STEM.parquet')"


def _text(read: str) -> str:
    return f"import pyreadstat; {read}.to_csv('STEM.csv', index=False)"


def _unpickled(head: bytes) -> str:
    """What reads a pickle: of a pandas object, of a dict of arrays, or of one array."""
    if b"pandas" in head[:400]:
        return _table("pandas.read_pickle(FILE)")
    first = head[11:12] if head[2:3] == b"\x95" else head[2:3]  # protocols 4 and 5 begin with a frame
    if first == b"}":
        return "import numpy, pickle; numpy.savez('STEM.npz', **pickle.load(open(FILE, 'rb')))"
    return _saved("pickle.load(open(FILE, 'rb'))", "pickle")


# The first match wins, so plain HDF5 comes after MATLAB, pandas and Keras files, which are HDF5 too.
SIGNATURES = (
    Signature("a MATLAB 7.3 file", b"MATLAB 7.3", _saved("h5py.File(FILE)['KEY'][()].T", "h5py")),
    Signature("a MATLAB file", b"MATLAB", _saved("scipy.io.loadmat(FILE)['KEY']", "scipy.io")),
    Signature(
        "a Keras model in HDF5",
        recognise.is_keras_model,
        _saved("keras.saving.load_model(FILE).predict(numpy.load('inputs.npy'))", "keras"),
        words=_NO_OUTPUTS,
    ),
    Signature("an HDF5 file written by pandas", recognise.is_pandas_store, _table("pandas.read_hdf(FILE)")),
    Signature("an HDF5 file", recognise.is_hdf5, _saved("h5py.File(FILE)['KEY'][()]", "h5py")),
    Signature("a NetCDF file", (b"CDF\1", b"CDF\2", b"CDF\5"), _saved("xarray.load_dataset(FILE)['KEY']", "xarray")),
    Signature(
        "a PyTorch file from before version 1.6",
        b"\x80\x02\x8a\x0al\xfc\x9cF\xf9 j\xa8P\x19.",
        "import torch; torch.save(torch.load(FILE, weights_only=True), 'STEM.new.pt')",
    ),
    Signature("a pickle of joblib", recognise.is_joblib, _saved("joblib.load(FILE)", "joblib"), words=TRUSTED),
    Signature("a pickle", recognise.is_pickle, _unpickled, words=TRUSTED),
    Signature(
        "a compressed pickle, as joblib writes it",
        (b"x\x01", b"x^", b"x\x9c", b"x\xda"),
        _saved("joblib.load(FILE)", "joblib"),
        words=TRUSTED,
    ),
    Signature(
        "a file of R data",
        (b"RDX2\n", b"RDX3\n", b"RDA2\n", b"RDA3\n", b"RDB2\n", b"RDB3\n"),
        "Rscript -e \"e <- new.env(); load(FILE, e); write.csv(get(ls(e)[1], e), 'STEM.csv', row.names = FALSE)\"",
    ),
    Signature(
        "an RDS file of R",
        (b"X\n\0\0\0", b"B\n\2\0\0\0", b"B\n\3\0\0\0"),
        "Rscript -e \"write.csv(readRDS(FILE), 'STEM.csv', row.names = FALSE)\"",
    ),
    Signature(
        "a SAS7BDAT file",
        bytes(12) + b"\xc2\xea\x81\x60\xb3\x14\x11\xcf\xbd\x92\x08\0\x09\xc7\x31\x8c\x18\x1f\x10\x11",
        _table("pandas.read_sas(FILE, format='sas7bdat')"),
    ),
    Signature("a SAS transport file", b"HEADER RECORD*******", _text("pyreadstat.read_xport(FILE)[0]")),
    Signature("an SPSS file", (b"$FL2", b"$FL3"), _text("pyreadstat.read_sav(FILE)[0]")),
    Signature("a Stata file", b"<stata_dta>", _table("pandas.read_stata(FILE)")),
    Signature("a Stata file", recognise.is_old_stata, _table("pandas.read_stata(FILE)")),
    Signature("an Excel workbook", b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1", _table("pandas.read_excel(FILE)")),
    Signature(
        "an SQLite database",
        b"SQLite format 3\0",
        "sqlite3 -csv -header FILE 'select * from TABLE' > STEM.csv",
    ),
    Signature("a DuckDB database", b"DUCK", "duckdb FILE \"copy (from predictions) to 'STEM.parquet'\"", offset=8),
    Signature(
        "an LMDB database",
        b"\xde\xc0\xef\xbe",
        _saved(
            "numpy.stack([numpy.frombuffer(value, 'float32') for key, value in "
            "lmdb.open(FILE, readonly=True, subdir=False, lock=False).begin().cursor()])",
            "lmdb",
        ),
        offset=16,
    ),
    Signature(
        "a Feather file of version 1",
        b"FEA1",
        "import pyarrow.feather, pyarrow.parquet; "
        "pyarrow.parquet.write_table(pyarrow.feather.read_table(FILE), 'STEM.parquet')",
    ),
    Signature(
        "an ORC file",
        b"ORC",
        "import pyarrow.orc, pyarrow.parquet; "
        "pyarrow.parquet.write_table(pyarrow.orc.read_table(FILE), 'STEM.parquet')",
    ),
    Signature("an Avro file", b"Obj\1", "import polars; polars.read_avro(FILE).write_parquet('STEM.parquet')"),
    Signature(
        "an encrypted Parquet file",
        b"PARE",
        "import pyarrow.parquet; pyarrow.parquet.write_table(table, 'STEM.parquet')",
        words="write it without encryption, where its key is: ",
    ),
    Signature(
        "TensorBoard events",
        recognise.is_tensorboard,
        "import numpy; numpy.save('logits.npy', logits)",
        words="they hold curves, not logits: save the logits where the model runs, as in ",
    ),
    Signature(
        "a TFRecord file",
        recognise.is_tfrecord,
        "import numpy, tensorflow as tf; numpy.save('logits.npy', numpy.stack([tf.train.Example.FromString("
        "record.numpy()).features.feature['logits'].float_list.value for record in tf.data.TFRecordDataset(FILE)]))",
    ),
    Signature(
        "a msgpack file, as flax writes it",
        recognise.is_msgpack,
        _saved("flax.serialization.msgpack_restore(open(FILE, 'rb').read())['logits']", "flax.serialization"),
    ),
    Signature(
        "an ONNX model or another protobuf message",
        recognise.is_protobuf,
        _saved("onnxruntime.InferenceSession(FILE).run(None, {'input': numpy.load('inputs.npy')})[0]", "onnxruntime"),
        words=_NO_OUTPUTS,
    ),
    Signature(
        "a GGUF model",
        (b"GGUF", b"lmgg", b"fmgg", b"tjgg"),
        "import numpy; numpy.save('logits.npy', logits)",
        words=_NO_OUTPUTS,
    ),
    Signature(
        "a TensorFlow Lite model",
        b"TFL3",
        "import numpy; numpy.save('logits.npy', logits)",
        offset=4,
        words=_NO_OUTPUTS,
    ),
    Signature(
        "a file of MXNet arrays",
        b"\x12\1\0\0\0\0\0\0",
        _saved("mxnet.nd.load(FILE)['logits'].asnumpy()", "mxnet"),
    ),
    Signature(
        "an IDX file, as MNIST's",
        recognise.is_idx,
        recognise.idx_line,
    ),
    Signature("a Kaldi archive", recognise.is_kaldi, "copy-matrix ark:FILE ark,t:STEM.txt"),
    Signature("a 7z archive", b"7z\xbc\xaf\x27\x1c", "7z x FILE", words=_UNPACKED),
    Signature("a RAR archive", b"Rar!\x1a\x07", "unrar x FILE", words=_UNPACKED),
    Signature(
        "a PyTorch file from before version 0.2",
        recognise.is_torch_tar,
        "import torch; torch.save(torch.load(FILE, weights_only=False), 'STEM.new.pt')",
        words=TRUSTED,
    ),
    Signature("a tar archive", b"ustar", "tar -xf FILE", offset=257, words=_UNPACKED),
    Signature("an LZ4 file", (b"\x04\x22\x4d\x18", b"\x02\x21\x4c\x18"), "lz4 -d FILE UNPACKED"),
    Signature(
        "a Snappy file",
        b"\xff\x06\0\0sNaPpY",
        "import cramjam; open('UNPACKED', 'wb').write(bytes(cramjam.snappy.decompress(open(FILE, 'rb').read())))",
    ),
    Signature("an lzip file", b"LZIP", "lzip -dc FILE > UNPACKED"),
    Signature("a file of compress", b"\x1f\x9d", "gzip -dc FILE > UNPACKED"),
    Signature("a cabinet archive", b"MSCF", "cabextract FILE", words=_UNPACKED),
    Signature("an image", recognise.is_image, _saved("PIL.Image.open(FILE)", "PIL.Image")),
    Signature("a sound file", recognise.is_sound, _saved("scipy.io.wavfile.read(FILE)[1]", "scipy.io.wavfile")),
    Signature("a PDF document", b"%PDF-", "pdftotext -layout FILE STEM.txt"),
    Signature(
        "a program",
        (b"\x7fELF", b"\xcf\xfa\xed\xfe", b"\xca\xfe\xba\xbe"),
        "xent compute logits.npy labels.npy",
        words="name a file of numbers: ",
    ),
    Signature(
        "a Java object, as Weka saves models",
        b"\xac\xed\0\5",
        "import numpy; numpy.save('logits.npy', logits)",
        words=_NO_OUTPUTS,
    ),
    Signature("an HTML page", recognise.is_html, words="did a download return a login page?"),
    Signature("an XML document", b"<?xml", words="did a download return an error message?"),
    Signature(
        "UTF-16 without a byte order mark", recognise.is_bare_utf16, "iconv -f ENCODING -t UTF-8 FILE > STEM.csv"
    ),
)
