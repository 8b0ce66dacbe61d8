"""The command as a process of its own, forked from one that has the libraries already: most of a start.

What is said, the exit code and the streams are those of a process. Where the start itself is the matter, or a signal,
tests start one from nothing.
"""

import atexit
import contextlib
import json
import os
import socket
import subprocess
import sys
import threading
from functools import cache
from pathlib import Path

# Nothing of ours is imported here: each child does that, as a process does that starts.
_SERVER = """
import io, json, os, socket, sys
import click, numpy, pyarrow, pyarrow.csv, pyarrow.fs, pyarrow.json, pyarrow.parquet
STREAMS = (0, "rb", "surrogateescape"), (1, "wb", "strict"), (2, "wb", "backslashreplace")
work = socket.socket(fileno=int(sys.argv[1]))
while True:
    message, descriptors, _, _ = socket.recv_fds(work, 1 << 20, 3)
    if not message:
        break
    while not message.endswith(b"\\n"):
        message += work.recv(1 << 20)
    child = os.fork()
    if child == 0:
        work.close()
        for number, descriptor in enumerate(descriptors):
            os.dup2(descriptor, number)
            os.close(descriptor)
        asked = json.loads(message)
        os.chdir(asked["cwd"])
        os.environ.clear()
        os.environ.update(asked["env"])
        sys.argv = ["xent", *(os.fsdecode(bytes.fromhex(word)) for word in asked["words"])]
        sys.stdin, sys.stdout, sys.stderr = (
            io.TextIOWrapper(open(number, mode, closefd=False), "utf-8", errors, line_buffering=number == 2)
            for number, mode, errors in STREAMS
        )
        from xent_cli.cli import main
        main()
    for descriptor in descriptors:
        os.close(descriptor)
    work.send(str(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])).encode())
"""


@cache
def _server():
    """Where to ask for a process; the one that forks them ends with this one."""
    ours, theirs = socket.socketpair()
    os.set_inheritable(theirs.fileno(), True)
    command = [sys.executable, "-c", _SERVER, str(theirs.fileno())]
    server = subprocess.Popen(
        command, pass_fds=[theirs.fileno()], stdin=subprocess.DEVNULL, env={**os.environ, "OPENBLAS_NUM_THREADS": "1"}
    )
    theirs.close()

    def end():
        ours.close()
        server.wait()

    atexit.register(end)
    return ours


def xent(*words, cwd=".", env=None, input=None, text=True):  # noqa: A002 (as subprocess.run calls it)
    """Run `xent` with some words, as `subprocess.run` would; standard input is empty unless something is given."""
    words = [os.fsencode(word if isinstance(word, bytes) else str(word)).hex() for word in words]
    env = dict(os.environ if env is None else env)
    asked = json.dumps({"words": words, "cwd": str(Path(cwd).absolute()), "env": env}).encode() + b"\n"
    (stdin, feed), (out, stdout), (err, stderr) = os.pipe(), os.pipe(), os.pipe()
    server = _server()
    sent = socket.send_fds(server, [asked], [stdin, stdout, stderr])
    server.sendall(asked[sent:])
    for descriptor in (stdin, stdout, stderr):
        os.close(descriptor)
    found = {}

    def write():
        with contextlib.suppress(BrokenPipeError), open(feed, "wb") as stream:  # noqa: PTH123
            stream.write(input.encode() if isinstance(input, str) else input or b"")

    def read(name, descriptor):
        with open(descriptor, "rb") as stream:  # noqa: PTH123
            found[name] = stream.read()

    threads = [threading.Thread(target=write), threading.Thread(target=read, args=("err", err))]
    for thread in threads:
        thread.start()
    read("out", out)
    for thread in threads:
        thread.join()
    code = int(server.recv(64))
    if text:
        found = {name: data.decode().replace("\r\n", "\n") for name, data in found.items()}
    return subprocess.CompletedProcess(words, code, found["out"], found["err"])
