"""The command in a process forked from one that has imported everything, which saves most of the start-up time.

Lines of Python that prepare inputs or read outputs of the command run in the same way. Messages, exit code and streams
are the same as in a new process. Tests of the start, of imports, signals, limits and memory, and of closed streams
start a new process.
"""

import atexit
import contextlib
import marshal
import os
import shutil
import socket
import subprocess
import sys
import tempfile
import threading
from functools import cache
from pathlib import Path

from tests.waiting import PATIENCE_SECONDS, until

# pandas is imported here because Arrow imports it when it creates its first array.
_SERVER = """
import contextlib, importlib, io, marshal, os, pkgutil, select, signal, socket, sys
import pandas, pyarrow.csv, pyarrow.dataset, pyarrow.fs, pyarrow.json, pyarrow.parquet, xent_cli
from xent_cli.__main__ import main
for module in pkgutil.walk_packages(xent_cli.__path__, "xent_cli."):
    with contextlib.suppress(ModuleNotFoundError):  # of an extra that is not installed
        importlib.import_module(module.name)
STREAMS = (0, "rb", "surrogateescape"), (1, "wb", "strict"), (2, "wb", "backslashreplace")

def request(caller):
    message, descriptors, _, _ = socket.recv_fds(caller, 1 << 20, 3)
    while more := caller.recv(1 << 20):
        message += more
    return *marshal.loads(message), descriptors

def become(words, folder, env, descriptors):
    for number, descriptor in enumerate(descriptors):
        os.dup2(descriptor, number)
        os.close(descriptor)
    os.chdir(folder)
    os.environ.clear()
    os.environ.update(env)
    sys.argv = [*map(os.fsdecode, words)]
    sys.stdin, sys.stdout, sys.stderr = (
        io.TextIOWrapper(open(number, mode, closefd=False), "utf-8", errors, line_buffering=number == 2)
        for number, mode, errors in STREAMS
    )

def serve(door, ended):
    callers = {}
    while 0 not in (ready := select.select([0, door, ended], [], [])[0]):  # which closes when the tests are over
        if door in ready:
            caller = door.accept()[0]
            *asked, descriptors = request(caller)
            child = os.fork()
            if child == 0:
                for held in (door, caller, *callers.values()):
                    held.close()
                return *asked, descriptors
            callers[child] = caller
            for descriptor in descriptors:
                os.close(descriptor)
        if ended in ready:
            os.read(ended, 64)
            while callers and (found := os.waitpid(-1, os.WNOHANG))[0]:
                with callers.pop(found[0]) as caller, contextlib.suppress(OSError):
                    caller.sendall(str(os.waitstatus_to_exitcode(found[1])).encode())

ended, noticed = os.pipe()
os.set_blocking(noticed, False)
signal.signal(signal.SIGCHLD, lambda *_: None)
signal.set_wakeup_fd(noticed)
with socket.socket(socket.AF_UNIX) as door:
    door.bind("door.new")
    door.listen(64)
    os.rename("door.new", "door")
    asked = serve(door, ended)
signal.set_wakeup_fd(-1)
signal.signal(signal.SIGCHLD, signal.SIG_DFL)
if asked:
    become(*asked)
    if sys.argv[0] == "-c":
        exec(sys.argv.pop(1), {"__name__": "__main__"})
    else:
        main()
"""
# The `xent` and the `python -c` on PATH for shell lines: they hand over their streams, and exit with the code of the
# command.
_CALLER = """#!{python} -IS
import marshal, os, socket, sys
if {name!r} == "xent":
    sys.argv[0] = "xent"
elif sys.argv.pop(0) and sys.argv[:1] != ["-c"]:
    os.execv({python!r}, [{python!r}, *sys.argv])
with socket.socket(socket.AF_UNIX) as server:
    server.connect({door!r})
    words = [os.fsencode(word) for word in sys.argv]
    message = marshal.dumps((words, os.getcwd(), dict(os.environ)))
    server.sendall(message[socket.send_fds(server, [message], [0, 1, 2]):])
    server.shutdown(socket.SHUT_WR)
    code = int(server.recv(64))
if code < 0:
    os.kill(os.getpid(), -code)
os._exit(code)
"""


@cache
def _home():
    """Return the folder of the server's socket and of `bin/xent`; the server ends with this process."""
    folder = Path(tempfile.mkdtemp(prefix="xent-"))
    env = {**os.environ, "OPENBLAS_NUM_THREADS": "1"}
    server = subprocess.Popen([sys.executable, "-c", _SERVER], stdin=subprocess.PIPE, cwd=folder, env=env)

    def end():
        server.stdin.close()
        server.wait()
        shutil.rmtree(folder)

    atexit.register(end)
    (folder / "bin").mkdir()
    for name in ("xent", "python"):
        caller = folder / "bin" / name
        caller.write_text(_CALLER.format(name=name, python=sys.executable, door=str(folder / "door")))
        caller.chmod(0o755)
    until(lambda: (folder / "door").exists() or server.poll() is not None, "the server of forks")
    assert server.poll() is None, "the server of forks ended"
    return folder


def path():
    """Return PATH for shell lines that run `xent`; python is that of the tests."""
    return os.pathsep.join([str(_home() / "bin"), str(Path(sys.executable).parent), os.environ["PATH"]])


def shell(line, cwd, env=None, **options):
    """Run a line of bash in which `xent` is forked, as `subprocess.run` would; its standard input is empty."""
    options = {"stdin": subprocess.DEVNULL, "capture_output": True, "text": True} | options
    env = {**(os.environ if env is None else env), "PATH": path()}
    return subprocess.run(["bash", "-c", line], cwd=cwd, env=env, timeout=PATIENCE_SECONDS, **options)


def xent(*words, cwd=".", env=None, input=None, text=True):  # noqa: A002 (as subprocess.run calls it)
    """Run `xent` with arguments, as `subprocess.run` would; standard input is empty unless given."""
    return _run(["xent", *words], cwd, env, input, text)


def python(code, *words):
    """Run lines of Python with arguments, as `python -c` would."""
    return _run(["-c", code, *words], ".", None, None, True)


def _run(words, cwd, env, sent, text):
    words = [os.fsencode(word if isinstance(word, bytes) else str(word)) for word in words]
    message = marshal.dumps((words, str(Path(cwd).absolute()), dict(os.environ if env is None else env)))
    (stdin, feed), (out, stdout), (err, stderr) = os.pipe(), os.pipe(), os.pipe()
    found = {}

    def write():
        with contextlib.suppress(BrokenPipeError), open(feed, "wb") as stream:  # noqa: PTH123
            stream.write(sent.encode() if isinstance(sent, str) else sent or b"")

    def read(name, descriptor):
        with open(descriptor, "rb") as stream:  # noqa: PTH123
            found[name] = stream.read()

    with socket.socket(socket.AF_UNIX) as server:
        server.settimeout(PATIENCE_SECONDS)
        server.connect(str(_home() / "door"))
        server.sendall(message[socket.send_fds(server, [message], [stdin, stdout, stderr]) :])
        server.shutdown(socket.SHUT_WR)
        for descriptor in (stdin, stdout, stderr):
            os.close(descriptor)
        streams = [(write,), (read, "out", out), (read, "err", err)]
        threads = [threading.Thread(target=run, args=args, daemon=True) for run, *args in streams]
        for thread in threads:
            thread.start()
        code = int(server.recv(64))
        for thread in threads:
            thread.join(PATIENCE_SECONDS)
    if text:
        found = {name: data.decode().replace("\r\n", "\n") for name, data in found.items()}
    return subprocess.CompletedProcess(words, code, found["out"], found["err"])
