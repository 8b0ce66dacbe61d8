"""Files made to break a reader, in a real process: exit code 3, an error message of ours, little memory, no hang."""

import gzip
import os
import subprocess
import sys
import zipfile

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from tests.torch_writer import archive, calls, pickled, tensor
from tests.waiting import PATIENCE_SECONDS

# Prints the peak memory of the run, which is that of its child process.
WATCH = (
    "import resource, subprocess, sys\n"
    "run = subprocess.run([sys.executable, '-m', 'xent_cli', 'compute', *sys.argv[1:]], stdin=subprocess.DEVNULL)\n"
    "peak = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss // (1024 if sys.platform == 'linux' else 1 << 20)\n"
    "print(run.returncode, peak, file=sys.stderr)\n"
)
MILLION = 1_000_000


def header(shape, descr="'<f8'", order=False):
    text = f"{{'descr': {descr}, 'fortran_order': {order}, 'shape': {shape}}}".encode()
    return b"\x93NUMPY\x01\x00" + len(text).to_bytes(2, "little") + text


def deflated(path, pieces, name="logits.npy"):
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive, archive.open(name, "w", force_zip64=True) as file:
        for piece in pieces:
            file.write(piece)


def zipped(path, pieces):
    with gzip.open(path, "wb", compresslevel=1) as file:
        for piece in pieces:
            file.write(piece)


def table():
    columns = {"a": np.linspace(0, 1, 1000), "b": np.linspace(1, 0, 1000), "label": np.zeros(1000, int)}
    stream = pa.BufferOutputStream()
    pq.write_table(pa.table(columns), stream)
    return stream.getvalue().to_pybytes()


def arrow():
    stream = pa.BufferOutputStream()
    columns = {"logits": np.ones((100, 3)).tolist(), "label": np.zeros(100, int)}
    with pa.ipc.new_file(stream, pa.table(columns).schema) as writer:
        writer.write_table(pa.table(columns))
    return stream.getvalue().to_pybytes()


def sparse(path):
    path.write_bytes(header((10**10, 1)))
    os.truncate(path, 80 * 10**9 + 200)


ZEROS = b"\0" * MILLION
FILES = {
    "claims-much.npy": lambda p: p.write_bytes(header((10**18, 3)) + b"\0" * 99),
    "no-rows-wide.npy": lambda p: p.write_bytes(header((0, 10**18))),
    "negative.npy": lambda p: p.write_bytes(header((-1, 3)) + b"\0" * 99),
    "overflowing.npy": lambda p: p.write_bytes(header((2**62, 2**62)) + b"\0" * 99),
    "sparse.npy": sparse,
    "short.npy": lambda p: p.write_bytes(b"\x93NUMPY"),
    "pickle.npy": lambda p: p.write_bytes(header((3,), "'|O'") + b"\x80\x04junk"),
    "fields.npy": lambda p: p.write_bytes(header((3,), "[('a', '<f8'), ('b', '<i4')]") + b"\0" * 99),
    "records-claim-much.npy": lambda p: p.write_bytes(header((10**18,), "[('logits', '<f8', (3,)), ('label', '<i4')]")),
    "records-wide.npy": lambda p: p.write_bytes(header((3,), "[('logits', '<f8', (99999999,)), ('label', '<i4')]")),
    "records-beyond.npy": lambda p: p.write_bytes(header((3,), "[('logits', '<f8', (2**62, 9)), ('label', '<i4')]")),
    "records-of-nothing.npy": lambda p: p.write_bytes(header((10**9,), "[('a', 'V0'), ('b', '<U0')]")),
    "records-deep.npy": lambda p: p.write_bytes(header((3,), "[('a', " * 900 + "'<f8'" + ")]" * 900)),
    "records-twice.npy": lambda p: p.write_bytes(header((3,), "[('a', '<f8'), ('a', '<i4')]") + b"\0" * 36),
    "records-no-text.npy": lambda p: p.write_bytes(
        header((9,), "[('ant', '<f8'), ('bee', '<f8'), ('label', 'S2')]") + b"\xff" * 162
    ),
    "records-bad-text.npy": lambda p: p.write_bytes(header((3,), "[('a', '<f8'), ('label', '<U1')]") + b"\xff" * 36),
    "pieces.npz": lambda p: deflated(p, [header((2**40, 3)), ZEROS], "logits_0.npy"),
    "noise.bin": lambda p: p.write_bytes(np.random.default_rng(0).bytes(MILLION)),
    "noise.csv": lambda p: p.write_bytes(np.random.default_rng(1).bytes(MILLION)),
    "msgpack.bin": lambda p: p.write_bytes(b"\x81\xdb\xff\xff\xff\xff"),
    "tfrecord.bin": lambda p: p.write_bytes(b"\0" * 12),
    "zeros.npz": lambda p: deflated(p, [ZEROS] * 500),
    "bomb.npz": lambda p: deflated(p, [header((62_500_000, 1), order=True), *[ZEROS] * 500]),
    "lying.npz": lambda p: deflated(p, [header((10**12, 3)), ZEROS]),
    "directory-lost.npz": lambda p: p.write_bytes(b"PK\x03\x04" + b"\xaa" * 200),
    "checkpoint.npz": lambda p: deflated(p, [b"junk"], "archive/data.pkl"),
    "long-line.csv.gz": lambda p: zipped(p, [b"c0,c1,label\n", *[b"1" * MILLION] * 300]),
    "blank-lines.csv.gz": lambda p: zipped(p, [b"c0,c1,label\n", *[b"\n" * MILLION] * 300]),
    "open-quote.csv.gz": lambda p: zipped(p, [b'a,b,label\n"', *[b"1,2,0\n" * 100_000] * 300]),
    "cut.csv.gz": lambda p: p.write_bytes(gzip.compress(b"c0,c1,label\n" + os.urandom(9999).hex().encode())[:5000]),
    "cut.csv.zst": lambda p: p.write_bytes(b"\x28\xb5\x2f\xfd" + b"\xff" * 50),
    "many-names.csv": lambda p: p.write_bytes(b",".join(b"c%d" % i for i in range(MILLION)) + b"\n"),
    "open-quote.csv": lambda p: p.write_bytes(b'a,b,label\n"' + b"1,2,0\n" * 700_000),
    "long-cell.csv": lambda p: p.write_bytes(b"c0,c1,label\n1,2," + b"x" * 500_000 + b"\n"),
    "nul.csv": lambda p: p.write_bytes(b"c0,c1,label\n1,\0,0\n"),
    "late-nul.csv": lambda p: p.write_bytes(b"c0,c1,label\n" + b"1,2,0\n" * 300_000 + b"\0" * 100),
    "carriage-returns.csv": lambda p: p.write_bytes(b"c0,c1,label\r1,2,0\r3,4,1\r"),
    "bytes.csv": lambda p: p.write_bytes(bytes(range(1, 256)) * 100),
    "utf16.csv": lambda p: p.write_bytes("c0,c1,label\n1,2,0\n".encode("utf-16")[:-1]),
    "comment.csv": lambda p: p.write_bytes(b"# a,b,label\n1,2,0\n"),
    "array.json": lambda p: p.write_bytes(b"[" * MILLION),
    "cut.parquet": lambda p: p.write_bytes(table()[:3000]),
    "no-footer.parquet": lambda p: p.write_bytes(b"PAR1" + ZEROS + b"PAR1"),
    "long-footer.parquet": lambda p: p.write_bytes(b"PAR1" + ZEROS + b"\xff\xff\xff\x7fPAR1"),
    "deep.jsonl": lambda p: p.write_bytes(b'{"logits": ' + b"[" * MILLION + b"]" * MILLION + b', "label": 0}\n'),
    "deep-later.jsonl": lambda p: p.write_bytes(
        b'{"logits": [1, 2], "label": 0}\n{"logits": ' + b"[" * MILLION + b', "label": 0}\n'
    ),
    "long-line.jsonl.gz": lambda p: zipped(p, [b'{"logits": [1', *[b",1" * (MILLION // 2)] * 300]),
    "cut.jsonl": lambda p: p.write_bytes(b'{"logits": [1, 2], "label": 0}\n{"logits": [1, '),
    "cut.arrow": lambda p: p.write_bytes(arrow()[:1000]),
    "huge-metadata.arrow": lambda p: p.write_bytes(b"\xff\xff\xff\xff\xff\xff\xff\x7f" + b"\0" * 99),
    "nothing.arrow": lambda p: p.write_bytes(b"ARROW1\0\0" + ZEROS + b"\xff\xff\xff\x7fARROW1"),
    "deep.safetensors": lambda p: p.write_bytes((200_001).to_bytes(8, "little") + b"{" + b"[" * 200_000),
    "claims-much.safetensors": lambda p: p.write_bytes((2**31).to_bytes(8, "little") + b'{"a": 1}'),
    "evil.pt": lambda p: archive(p, calls(os.system, "touch xent-evil")),
    "many.pt": lambda p: archive(p, b"\x80\x02](" + b"]" * 15 * MILLION + b"e."),
    "memo.pt": lambda p: archive(p, b"\x80\x02]" + b"".join(b"r" + i.to_bytes(4, "little") for i in range(MILLION))),
    "huge-memo.pt": lambda p: archive(p, b"\x80\x02]r\xff\xff\xff\xff."),
    "long-pickle.pt": lambda p: archive(p, b"\x80\x02X" + (100 * MILLION).to_bytes(4, "little") + ZEROS * 100 + b"."),
    "deflated.pt": lambda p: archive(p, b"\x80\x02X" + ZEROS * 300, compression=zipfile.ZIP_DEFLATED),
    "deep.pt": lambda p: archive(p, b"\x80\x02)" + b"\x85" * MILLION + b"."),
    "doubling.pt": lambda p: archive(p, b"\x80\x02)" + b"2\x86" * 30 + b"."),
    "repeated.pt": lambda p: archive(p, pickled(tensor("0", "float32", 3, (10**15, 3), (0, 1))), {"0": bytes(12)}),
    "claims-much.pt": lambda p: archive(p, pickled(tensor("0", "float32", 10**15, (10**15, 1))), {"0": bytes(12)}),
    "hdf5.npy": lambda p: p.write_bytes(b"\x89HDF\r\n\x1a\n"),
    "empty.csv": lambda p: p.write_bytes(b""),
    "directory": lambda p: p.mkdir(),
    "fifo": lambda p: os.mkfifo(p),
    "loop": lambda p: p.symlink_to(p),
}


@pytest.mark.parametrize("name", FILES)
def test_a_hostile_file_ends_in_a_sentence_and_little_memory(name, tmp_path):
    FILES[name](tmp_path / name)
    np.save(tmp_path / "y.npy", np.zeros(10, int))
    labels = [] if ".csv" in name or "parquet" in name else ["y.npy"]
    run = subprocess.run(
        [sys.executable, "-ISc", WATCH, name, *labels, "-f", "json"],
        cwd=tmp_path, env={**os.environ, "TMPDIR": str(tmp_path)}, capture_output=True, text=True,
        timeout=PATIENCE_SECONDS,
    )  # fmt: skip
    *told, last = run.stderr.splitlines()
    code, peak = map(int, last.split())
    assert code == 3, run.stderr
    assert run.stdout == ""
    assert told[0].startswith("error: ")
    assert len(told[0]) < 80
    assert name in told[1]
    assert "Traceback" not in run.stderr
    assert peak < 200
    assert not list(tmp_path.glob("xent-*"))


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read everything")
def test_a_file_that_may_not_be_read_is_reported(tmp_path):
    np.save(tmp_path / "l.npy", np.zeros((2, 2)))
    (tmp_path / "l.npy").chmod(0)
    run = subprocess.run([sys.executable, "-m", "xent_cli", "compute", "l.npy"], cwd=tmp_path, capture_output=True)
    assert run.returncode == 3
