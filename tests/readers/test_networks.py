"""Servers on loopback that are silent, refuse, lie or fail: each gives an error message in time, without secrets."""

import io
import os
import pickle
import re
import socket
import subprocess
import sys
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from tests import forked
from tests.ports import free_port
from tests.torch_writer import save as save_torch
from xent_cli.errors import InputError, without_secrets
from xent_cli.readers.storage.refusals import refusal
from xent_cli.readers.storage.remote import within
from xent_cli.readers.storage.stored import Stored

RNG = np.random.default_rng(5)
LOGITS = RNG.normal(size=(50, 4))
LABELS = RNG.integers(0, 4, 50)
SECRETS = "user:SECRETPW@{}?sig=SECRETSIG&Expires=9#SECRETFRAGMENT"


def bytes_of(save):
    stream = io.BytesIO()
    save(stream)
    return stream.getvalue()


TABLE = pa.table({"logits": LOGITS.tolist(), "label": LABELS})
FILES = {
    "l.npy": bytes_of(lambda stream: np.save(stream, LOGITS)),
    "y.npy": bytes_of(lambda stream: np.save(stream, LABELS)),
    "t.parquet": bytes_of(lambda stream: pq.write_table(TABLE, stream)),
    "t.pt": bytes_of(lambda stream: save_torch(stream, {"logits": LOGITS, "labels": LABELS})),
    "t.csv": ("c0,c1,c2,c3,label\n" + "".join(f"{a},{b},{c},{d},0\n" for a, b, c, d in LOGITS.tolist())).encode(),
}


@pytest.fixture(scope="module")
def address():
    released = threading.Event()

    class Server(BaseHTTPRequestHandler):
        def do_HEAD(self):
            self.answer()

        def do_GET(self):
            self.answer()

        def answer(self):
            folder, _, name = self.path.split("?")[0].strip("/").partition("/")
            if folder == "silent":
                released.wait()
            status = int(folder) if folder.isdecimal() else 200
            body = FILES.get(name, b"")
            self.send_response(status if name in FILES or status != 200 else 404)
            self.send_header("Content-Length", str(len(body) + (folder == "short") * 1000))
            self.end_headers()
            if self.command == "GET":
                self.wfile.write(body[: len(body) // 2] if folder == "stalls" else body)
                self.wfile.flush()
                if folder == "stalls":
                    released.wait()

        def log_message(self, *args):
            pass

    class Quiet(ThreadingHTTPServer):
        daemon_threads = True
        block_on_close = False

        def handle_error(self, request, client_address):
            pass

    server = Quiet(("127.0.0.1", 0), Server)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"127.0.0.1:{server.server_port}"
    released.set()
    server.shutdown()
    server.server_close()


@pytest.fixture
def folder(tmp_path):
    np.save(tmp_path / "l.npy", LOGITS)
    np.save(tmp_path / "y.npy", LABELS)
    return tmp_path


def xent(folder, *args, **variables):
    env = {k: v for k, v in os.environ.items() if not k.startswith(("AWS_", "GOOGLE_"))} | variables
    env |= {"TMPDIR": str(folder), "AWS_EC2_METADATA_DISABLED": "true"}
    return forked.xent(*args, cwd=folder, env=env)


@pytest.mark.parametrize("name", ["l.npy", "t.parquet", "t.csv", "t.pt"])
def test_a_presigned_url_is_read_and_its_question_mark_is_not_a_glob(name, address, folder):
    (folder / name).write_bytes(FILES[name])
    labels = ["y.npy"] if name == "l.npy" else []
    local = xent(folder, "compute", name, *labels)
    signed = f"http://{address}/ok/{name}?X-Amz-Signature=SECRET*[0]"
    run = xent(folder, "compute", signed, *labels)
    assert (run.returncode, run.stdout) == (0, local.stdout), run.stderr


SAID = {
    "http://{}/401/l.npy": ("not allowed to read the object", "HTTP status 401"),
    "http://{}/403/l.npy": ("not allowed to read the object", "HTTP status 403"),
    "http://{}/404/l.npy": ("no such object", "HTTP status 404"),
    "http://{}/429/l.npy": ("the server wants fewer requests", "HTTP status 429"),
    "http://{}/500/l.npy": ("the server failed", "HTTP status 500"),
    "http://{}/503/l.npy": ("the server failed", "HTTP status 503"),
    "http://{}/ok/none.npy": ("no such object", "HTTP status 404"),
    "http://{}/short/l.npy": ("the answer was cut short", ""),
    "http://{}/short/t.parquet": ("the answer was cut short", ""),
    "http://{}/short/t.csv": ("the answer was cut short", ""),
    "http://127.0.0.1:{closed}/l.npy": ("connection refused", ""),
    "http://no-such-host.invalid/l.npy": ("unknown host", ""),
    "http://{}/silent/l.npy": ("no answer", "nothing for 2 s"),
    "http://{}/stalls/l.npy": ("no answer", "nothing for 2 s"),
    "http://{}/stalls/t.csv": ("no answer", "nothing for 2 s"),
    "nonsense://bucket/l.npy": ("cannot open URL", "Protocol not known"),
}


@pytest.mark.parametrize("url", SAID)
def test_each_failure_has_a_sentence_of_its_own_in_time_and_shows_no_secret(url, address, folder):
    what, found = SAID[url]
    plain = url.format(address, closed=free_port())
    secret = plain.replace("://", "://user:SECRETPW@") + "?sig=SECRETSIG#SECRETFRAGMENT"
    run = xent(folder, "compute", secret, "y.npy", "--timeout", "2", "-f", "json")
    assert run.returncode == 3, run.stderr
    assert run.stderr.startswith(f"error: {what}\n  {plain}")
    assert found in run.stderr
    assert "SECRET" not in run.stdout + run.stderr
    assert "Traceback" not in run.stderr


def silent_port():
    listener = socket.socket()
    listener.bind(("127.0.0.1", 0))
    listener.listen(50)
    return listener


@pytest.mark.parametrize("scheme", ["s3", "gs"])
@pytest.mark.parametrize("answers", ["nobody", "silence"])
def test_buckets_without_a_network_end_in_time(scheme, answers, folder):
    with silent_port() as listener:
        port = listener.getsockname()[1] if answers == "silence" else free_port()
        query = f"?scheme=http&endpoint_override=127.0.0.1:{port}" + "&region=us-east-1" * (scheme == "s3")
        keys = {"AWS_ACCESS_KEY_ID": "a", "AWS_SECRET_ACCESS_KEY": "SECRETKEY"}
        user = "anonymous@" if scheme == "gs" else ""
        url = f"{scheme}://{user}bucket/l.npy{query}"
        run = xent(folder, "compute", url, "y.npy", "--timeout", "2", **keys)
    assert run.returncode == 3, run.stderr
    assert f"{scheme}://bucket/l.npy" in run.stderr
    assert "endpoint_override" not in run.stderr


PLACES = [
    ["compute", "{}", "y.npy"], ["compute", "l.npy", "{}"], ["inspect", "{}"], ["inspect", "l.npy", "{}"],
    ["compute", "l.npy", "y.npy", "--class-weight", "{}"], ["compute", "l.npy", "y.npy", "--sample-weight", "{}"],
    ["compute", "l.npy", "y.npy", "--class-names", "{}"], ["compare", "{}", "{}"], ["compare", "a={}", "b={}"],
    ["check", "l.npy", "y.npy", "--baseline", "{}", "--max-increase", "mean_loss=1"],
    ["verify", "l.npy", "y.npy", "--loss", "{}"], ["compute", "l.npy", "y.npy", "{}"], ["compute", "--{}"],
    ["compute", "l.npy", "y.npy", "--axis", "{}"], ["compute", "l.npy", "y.npy", "--top", "{}"],
]  # fmt: skip


@pytest.mark.parametrize("place", PLACES, ids=" ".join)
@pytest.mark.parametrize("object_", ["403/l.npy", "ok/l.npy", "ok/t.csv"])
def test_no_output_shows_the_secrets_in_a_url(place, object_, address, folder):
    url = f"http://user:SECRETPW@{address}/{object_}?sig=SECRETSIG"
    reports = ["--report", "r.json", "--report", "r.md", "--report", "r.xml", "-o", "rows.parquet"]
    run = xent(folder, *(part.format(url) for part in place), *(reports if place[0] in ("compute", "check") else []))
    assert run.returncode in (0, 1, 2, 3), run.stderr
    assert "SECRET" not in run.stdout + run.stderr
    for path in folder.iterdir():
        assert b"SECRET" not in path.read_bytes(), path


def test_the_traceback_of_a_bug_shows_no_secret(folder):
    script = (
        "import sys, xent_cli.readers.storage.locate as l\n"
        "def broken(url): raise RuntimeError(url)\n"
        "l._remote = broken\n"
        "from xent_cli.cli import main\nmain()\n"
    )
    args = ["compute", "http://user:SECRETPW@127.0.0.1:9/l.npy?sig=SECRETSIG", "y.npy"]
    env = {**os.environ, "TMPDIR": str(folder)}
    run = subprocess.run([sys.executable, "-c", script, *args], cwd=folder, env=env, capture_output=True, text=True)
    assert run.returncode == 4
    (log,) = folder.glob("xent-*.log")
    assert "RuntimeError" in log.read_text()
    assert "SECRET" not in run.stderr + log.read_text()


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("https://a:b@example.org/x?y=1#z", "https://example.org/x"),
        ("no https://a@h/x, or s3://k:s/e/c@bucket/x?r=1: gone", "no https://h/x, or s3://bucket/x gone"),
        ("simplecache::http://u:p@h/x?s", "simplecache::http://h/x"),
        ("http://127.0.0.1:80/x@y", "http://127.0.0.1:80/x@y"),
        ("http://u:p?w@h/x", "http://h/x"),
        ("C://x", "C://x"),
        ("what is this?", "what is this?"),
    ],
)
def test_a_url_is_shown_without_user_password_query_and_fragment(text, shown):
    assert without_secrets(text) == shown


@pytest.mark.parametrize("module", ["aiohttp", "fsspec"])
def test_a_missing_package_is_named_with_the_line_that_installs_it(module, folder):
    script = f"import sys; sys.modules[{module!r}] = None\nfrom xent_cli.cli import main\nmain()\n"
    args = ["compute", "http://127.0.0.1:9/l.npy", "y.npy"]
    run = subprocess.run([sys.executable, "-c", script, *args], cwd=folder, capture_output=True, text=True)
    assert run.returncode == 3
    assert f"found no {module}" in run.stderr
    assert re.search(r"hint: pip install .*\[remote\]", run.stderr)


def test_a_package_of_another_scheme_is_named(folder):
    script = "import sys; sys.modules['adlfs'] = None\nfrom xent_cli.cli import main\nmain()\n"
    args = ["compute", "az://container/l.npy", "y.npy"]
    run = subprocess.run([sys.executable, "-c", script, *args], cwd=folder, capture_output=True, text=True)
    assert run.returncode == 3
    assert "found no adlfs" in run.stderr
    assert "hint: pip install 'adlfs'" in run.stderr


@pytest.mark.parametrize("seconds", ["0", "-1", "nan", "inf", "soon"])
def test_a_timeout_is_a_positive_number_of_seconds(seconds, folder):
    run = xent(folder, "compute", "l.npy", "y.npy", "--timeout", seconds)
    assert run.returncode == 2


def test_the_timeout_goes_along_with_the_recipe():
    assert pickle.loads(pickle.dumps(Stored("x", "s3://b/x", timeout=2.5))).timeout == 2.5


def test_a_call_that_takes_too_long_is_abandoned():
    answered = threading.Event()
    with pytest.raises(InputError, match=r"no answer\n  http://h/x: found nothing for 0\.05 s"):
        within(0.05, "http://u:p@h/x?s", answered.wait)
    answered.set()


@pytest.mark.parametrize(
    ("said", "what"),
    [
        ("AWS Error ACCESS_DENIED during HeadObject operation: No response body.", "not allowed to read the object"),
        ("AWS Error NETWORK_CONNECTION: curlCode: 7, Could not connect to server", "connection refused"),
        ("AWS Error NETWORK_CONNECTION: curlCode: 6, Could not resolve hostname", "unknown host"),
        ("AWS Error NETWORK_CONNECTION: curlCode: 28, Timeout was reached", "no answer"),
        ("AWS Error UNKNOWN (HTTP status 500) during GetObject operation", "the server failed"),
        ("AWS Error UNKNOWN (HTTP status 301) during HeadBucket operation", "cannot read URL"),
        ("something else", "cannot read URL"),
    ],
)
def test_messages_of_the_libraries_become_one_sentence(said, what):
    error = refusal("s3://k:SECRET@b/x?y", OSError(said), 5.0)
    assert error.what == what
    assert not re.search("SECRET|y$", str(error))
