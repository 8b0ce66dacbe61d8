"""Buckets, through a server on loopback that speaks S3; the credentials and its address come from the environment."""

import os
import pickle
import re
import subprocess
import sys
import threading
import urllib.error
import urllib.request
from functools import partial
from http.server import BaseHTTPRequestHandler, SimpleHTTPRequestHandler, ThreadingHTTPServer
from typing import ClassVar

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from tests import forked
from tests.ports import free_port
from tests.torch_writer import save as save_torch
from tests.waiting import until
from xent_cli.errors import InputError, OutputError
from xent_cli.readers.interface import Classes
from xent_cli.readers.open import open_source
from xent_cli.readers.options import ReadOptions
from xent_cli.readers.storage.identity import refuse_changed, watching
from xent_cli.writers.folder import open_folder
from xent_cli.writers.publish import Publication

pytest.importorskip("moto", reason="the S3 server of the tests is moto's")
pytestmark = pytest.mark.slow

RNG = np.random.default_rng(13)
LOGITS = RNG.normal(size=(300, 5))
LABELS = RNG.integers(0, 5, 300)


def answers(url):
    try:
        urllib.request.urlopen(url, timeout=5).close()
    except OSError:
        return False
    return True


@pytest.fixture(scope="module")
def server():
    """Start an S3 server, and return its address."""
    port = free_port()
    argv = [sys.executable, "-m", "moto.server", "-H", "127.0.0.1", "-p", str(port)]
    process = subprocess.Popen(argv, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        until(lambda: process.poll() is not None or answers(f"http://127.0.0.1:{port}/"), "an answer of the S3 server")
        assert process.poll() is None, "the S3 server ended"
        yield f"http://127.0.0.1:{port}"
    finally:
        process.terminate()
        process.wait()


@pytest.fixture(scope="module")
def bucket(server, tmp_path_factory):
    """Write the same samples in several layouts, into a bucket and into a folder."""
    from pyarrow import fs

    folder = tmp_path_factory.mktemp("bucket")
    np.save(folder / "l.npy", LOGITS)
    np.save(folder / "f.npy", np.asfortranarray(LOGITS.reshape(30, 10, 5)))
    np.save(folder / "y.npy", LABELS)
    np.save(folder / "y2.npy", LABELS.reshape(30, 10))
    np.savez(folder / "d.npz", logits=LOGITS, labels=LABELS)
    save_torch(folder / "d.pt", {"logits": LOGITS, "labels": LABELS})
    (folder / "batches").mkdir()
    for i in range(3):
        save_torch(folder / "batches" / f"batch-{i}.pt", LOGITS[i * 100 : i * 100 + 100])
    pq.write_table(pa.table({"logits": LOGITS.tolist(), "label": LABELS}), folder / "d.parquet", row_group_size=70)
    rows = [",".join(map(repr, row)) + f",{label}" for row, label in zip(LOGITS.tolist(), LABELS, strict=True)]
    (folder / "d.csv").write_text("\n".join(["c0,c1,c2,c3,c4,label", *rows]) + "\n")
    blob = pa.array([RNG.bytes(20_000) for _ in range(300)])
    wide = pa.table({"logits": LOGITS.tolist(), "label": LABELS, "blob": blob})
    pq.write_table(wide, folder / "blob.parquet", row_group_size=100)
    (folder / "shards").mkdir()
    for i in range(12):
        np.save(folder / "shards" / f"part-{i}.npy", LOGITS[i * 25 : i * 25 + 25])
    address = server.removeprefix("http://")
    store = fs.S3FileSystem(
        endpoint_override=address,
        scheme="http",
        access_key="a",
        secret_key="b",
        region="us-east-1",
        allow_bucket_creation=True,
    )
    store.create_dir("bucket")
    fs.copy_files(str(folder), "bucket/run", destination_filesystem=store)
    return folder


def xent(arguments, endpoint, cwd, command="compute", **options):
    clean = {k: v for k, v in os.environ.items() if not k.startswith("AWS_")}
    env = {**clean, "AWS_ENDPOINT_URL": endpoint, "AWS_ACCESS_KEY_ID": "a", "AWS_SECRET_ACCESS_KEY": "b"}
    env |= {"AWS_DEFAULT_REGION": "us-east-1", "AWS_EC2_METADATA_DISABLED": "true"}
    return forked.xent(command, *arguments.split(), cwd=cwd, env=env, **options)


RUNS = [
    "@l.npy @y.npy",
    "@l.npy y.npy",
    "@f.npy @y2.npy",
    "@d.npz",
    "@d.pt",
    "@batches y.npy",
    "@batches/*.pt y.npy",
    "@d.parquet",
    "@d.csv",
    "@shards @y.npy",
    "@shards/ y.npy",
    "@shards/part-*.npy y.npy",
    "@**/part-*.npy y.npy",
    "@l.npy y.npy --gradients g.npy",
]


@pytest.mark.parametrize("arguments", RUNS)
def test_rows_from_a_bucket_are_those_of_the_files(arguments, server, bucket):
    run = xent(arguments.replace("@", "s3://bucket/run/"), server, bucket)
    local = xent(arguments.replace("@", "./"), server, bucket)
    assert (run.stdout, run.returncode) == (local.stdout, 0), run.stderr
    assert run.stderr.count("arrays-joined") == local.stderr.count("arrays-joined")


def test_saved_rows_in_a_bucket_are_compared_as_those_on_disk_are(server, bucket):
    for arguments in ("l.npy y.npy -o rows/", "l.npy y.npy -o s3://bucket/saved/rows/", "shards y.npy -o other.csv"):
        run = xent(arguments, server, bucket)
        assert run.returncode == 0, run.stderr
    local = xent("rows/ other.csv -f tsv", server, bucket, command="compare")
    remote = xent("s3://bucket/saved/rows/ other.csv -f tsv", server, bucket, command="compare")
    assert (remote.stdout, remote.returncode) == (local.stdout, 0), remote.stderr
    unfinished = xent("s3://bucket/run/shards/ other.csv", server, bucket, command="compare")
    assert unfinished.returncode == 3
    assert "a folder without _SUCCESS" in unfinished.stderr


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ("s3://bucket/run/none.npy y.npy", r"no such object\n  s3://bucket/run/none\.npy"),
        ("s3://bucket/run/*.none y.npy", "no files"),
        ("s3://nobucket/l.npy y.npy", r"s3://nobucket/l\.npy"),
        ("s3://bucket/run/l.npy s3://bucket/run/none.npy", r"s3://bucket/run/none\.npy"),
        ("nonsense://bucket/l.npy y.npy", "nonsense://bucket"),
    ],
)
def test_what_is_not_in_the_bucket_is_named(arguments, said, server, bucket):
    run = xent(arguments, server, bucket)
    assert run.returncode == 3
    assert re.search(said, run.stderr), run.stderr


def test_a_server_that_is_not_there_is_reported(bucket):
    run = xent("s3://bucket/run/l.npy y.npy", f"http://127.0.0.1:{free_port()}", bucket)
    assert run.returncode == 3
    assert "s3://bucket/run/l.npy" in run.stderr


@pytest.fixture
def proxy(server):
    """Start a proxy that counts bytes, and fails as often as it is told to."""

    class Between(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"
        failures = 0
        failing = 503
        served: ClassVar[list] = []

        def do_GET(self):
            self.answer()

        def do_HEAD(self):
            self.answer()

        def answer(self):
            if Between.failures > 0 and self.command == "GET" and "Range" in self.headers:
                Between.failures -= 1
                self.send_response(Between.failing)
                self.send_header("Content-Length", "0")
                self.end_headers()
                return
            request = urllib.request.Request(server + self.path, headers=dict(self.headers), method=self.command)
            try:
                with urllib.request.urlopen(request) as response:
                    status, headers, body = response.status, response.headers, response.read()
            except urllib.error.HTTPError as error:
                status, headers, body = error.code, error.headers, error.read()
            Between.served.append((self.command, self.path, len(body)))
            self.send_response(status)
            for name, value in headers.items():
                if name.lower() not in {"transfer-encoding", "connection", "date", "server", "content-length"}:
                    self.send_header(name, value)
            length = headers["Content-Length"] if self.command == "HEAD" else str(len(body))
            self.send_header("Content-Length", length or "0")
            self.end_headers()
            if self.command != "HEAD":
                self.wfile.write(body)

        def log_message(self, *args):
            pass

    Between.served = []
    between = ThreadingHTTPServer(("127.0.0.1", 0), Between)
    threading.Thread(target=between.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{between.server_port}", Between
    between.shutdown()
    between.server_close()


def test_a_passing_failure_is_retried_and_a_lasting_one_names_the_object(proxy, bucket):
    address, between = proxy
    between.failures = 2
    run = xent("s3://bucket/run/l.npy y.npy --reduction mean", address, bucket)
    assert run.returncode == 0, run.stderr
    assert between.failures == 0
    between.failures = 1000
    run = xent("s3://bucket/run/l.npy y.npy --reduction mean", address, bucket)
    assert run.returncode == 3
    assert "s3://bucket/run/l.npy" in run.stderr


def test_only_the_columns_that_are_used_are_fetched(proxy, bucket):
    address, between = proxy
    run = xent("s3://bucket/run/blob.parquet --reduction mean", address, bucket)
    assert run.returncode == 0, run.stderr
    fetched = sum(length for command, _, length in between.served if command == "GET")
    assert 0 < fetched < (bucket / "blob.parquet").stat().st_size / 10


@pytest.mark.parametrize(
    ("arguments", "most"),
    [
        ("s3://bucket/run/shards y.npy", 2 + 2 * 12),  # small objects are read whole at once
        ("s3://bucket/run/l.npy y.npy", 4),  # identity, first bytes, the rest, and identity at the end
        ("s3://bucket/counted/one.parquet", 5),  # identity, footer, first rows, all rows, and identity at the end
        ("s3://bucket/counted/four.parquet", 5 + 3),
        ("s3://bucket/counted/shards", 2 + 3 * 5),  # plus the folder
    ],
)
def test_few_requests_are_made(arguments, most, proxy, server, bucket):
    from pyarrow import fs

    address, between = proxy
    table = pa.table({**{f"logit_{i}": np.tile(LOGITS[:, i], 50) for i in range(5)}, "label": np.tile(LABELS, 50)})
    endpoint = {"endpoint_override": server.removeprefix("http://"), "scheme": "http", "region": "us-east-1"}
    store = fs.S3FileSystem(access_key="a", secret_key="b", **endpoint)
    for name, groups in (("one", 1), ("four", 4), *((f"shards/part-{i}", 1) for i in range(3))):
        pq.write_table(table, f"bucket/counted/{name}.parquet", table.num_rows // groups, filesystem=store)
    run = xent(f"{arguments} --reduction mean", address, bucket)
    assert run.returncode == 0, run.stderr
    assert len(between.served) <= most


def test_shards_are_described_with_two_requests_each(proxy, bucket, monkeypatch):
    address, between = proxy
    for key, value in {"ENDPOINT_URL": address, "ACCESS_KEY_ID": "a", "SECRET_ACCESS_KEY": "b"}.items():
        monkeypatch.setenv(f"AWS_{key}", value)
    monkeypatch.setenv("AWS_DEFAULT_REGION", "us-east-1")
    source = open_source("s3://bucket/run/shards", "logits", ReadOptions(), Classes(-1))
    assert source.info.num_rows == 300
    assert [shard.info.num_rows for shard in source.shards] == [25] * 12
    assert len(between.served) <= 2 + 2 * 12


def test_other_schemes_go_through_fsspec(bucket):
    import fsspec

    memory = fsspec.filesystem("memory")
    for i in range(3):
        memory.pipe(f"/run/part-{i}.npy", (bucket / "shards" / f"part-{i}.npy").read_bytes())
    for path in ("memory://run/part-*.npy", "memory://run"):
        source = open_source(path, "logits", ReadOptions(), Classes(-1))
        found = np.concatenate([np.array(part.read().logits) for _, _, part in source.parts()])
        np.testing.assert_array_equal(found, LOGITS[:75])
    with pytest.raises(InputError, match=r"no such object\n  memory://run/none\.npy"):
        open_source("memory://run/none.npy", "logits", ReadOptions(), Classes(-1))


@pytest.mark.parametrize("name", ["l.npy", "d.parquet", "d.csv"])
def test_an_object_that_is_rewritten_while_it_is_read_is_refused(name, server, bucket, monkeypatch):
    from pyarrow import fs

    for key, value in {"ENDPOINT_URL": server, "ACCESS_KEY_ID": "a", "SECRET_ACCESS_KEY": "b"}.items():
        monkeypatch.setenv(f"AWS_{key}", value)
    monkeypatch.setenv("AWS_DEFAULT_REGION", "us-east-1")
    store, path = fs.FileSystem.from_uri(f"s3://bucket/changing/{name}")
    data = bytearray((bucket / name).read_bytes())
    if name == "d.csv":  # more than is kept
        data += data[data.index(b"\n") + 1 :] * 40

    def put():
        with store.open_output_stream(path) as stream:
            stream.write(bytes(data))

    put()
    with watching():
        source = open_source(f"s3://bucket/changing/{name}", "logits", ReadOptions(), Classes(-1))
        parts = [part for _, _, part in source.parts()]
        put()  # the same bytes are the same object
        refuse_changed()
        data[-9] ^= 1
        put()
        if name != "d.csv":  # its text is sent along
            elsewhere = pickle.loads(pickle.dumps(parts[0]))
            with pytest.raises(InputError, match="the file changed while it was read"):
                elsewhere.read()
        with pytest.raises(InputError, match=rf"the file changed while it was read\n  s3://bucket/changing/{name}"):
            refuse_changed()


def test_a_page_that_changes_while_it_is_read_is_refused(tmp_path):
    """A server of plain files, read through fsspec, which reports the time of the last change."""
    pytest.importorskip("aiohttp")
    np.save(tmp_path / "l.npy", np.tile(LOGITS, (3, 1)))  # more than is kept

    class Quiet(SimpleHTTPRequestHandler):
        def log_message(self, *_):
            """Say nothing."""

        def end_headers(self):
            self.send_header("ETag", f'"{(tmp_path / "l.npy").stat().st_mtime_ns}"')
            super().end_headers()

        def send_response(self, *details):
            requests.append(self.command)
            super().send_response(*details)

    requests = []
    server = ThreadingHTTPServer(("127.0.0.1", 0), partial(Quiet, directory=tmp_path))
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        with watching():
            open_source(f"http://127.0.0.1:{server.server_port}/l.npy", "logits", ReadOptions(), Classes(-1))
            assert requests == ["HEAD", "GET"]
            refuse_changed()
            os.utime(tmp_path / "l.npy", ns=(0, 0))
            with pytest.raises(InputError, match="the file changed while it was read"):
                refuse_changed()
    finally:
        server.shutdown()
        server.server_close()


def test_a_folder_in_a_bucket_is_replaced_only_where_it_is_ours(server, bucket, monkeypatch):
    from pyarrow import fs

    for key, value in {"ENDPOINT_URL": server, "ACCESS_KEY_ID": "a", "SECRET_ACCESS_KEY": "b"}.items():
        monkeypatch.setenv(f"AWS_{key}", value)
    monkeypatch.setenv("AWS_DEFAULT_REGION", "us-east-1")
    store, base = fs.FileSystem.from_uri("s3://bucket/ours")

    def names():
        return {entry.base_name for entry in store.get_file_info(fs.FileSelector(base))}

    for _ in range(2):
        run = xent("l.npy y.npy -o s3://bucket/ours/", server, bucket)
        assert run.returncode == 0, run.stderr
        assert names() >= {"_SUCCESS", "_manifest.json"}
        assert len(names()) == 3
    before = names()

    def fail():
        with Publication() as outputs:
            folder = open_folder(outputs, "s3://bucket/ours/", None)
            with store.open_output_stream(f"{base}/{folder.parts.name(0)}") as stream:
                stream.write(b"numbers")
            outputs.add(Failing())

    with pytest.raises(OutputError, match="elsewhere"):
        fail()
    assert names() == before
    with store.open_output_stream(f"{base}/precious.csv") as stream:
        stream.write(b"x")
    run = xent("l.npy y.npy -o s3://bucket/ours/", server, bucket)
    assert (run.returncode, "precious.csv" in run.stderr) == (3, True)
    assert names() == {*before, "precious.csv"}


class Failing:
    """An output that fails when it is renamed, after the others."""

    def finish(self):
        """Nothing."""

    settle = drop = undo = finish

    def swap(self, *, undoable):
        raise OutputError("cannot write file", "elsewhere")
