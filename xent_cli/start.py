"""What belongs to the whole process, all in one place: signals, standard streams, settings of libraries, memory.

Imported before anything else. Nothing below cli changes more than its own values.

The handler of a signal removes unfinished outputs, prints a line and ends the process itself: an exception might be
raised in a callback, which prints and drops it, or in an import, which turns it into another. Only on a cluster, whose
processes must be told, does a signal unwind the run.
"""

from __future__ import annotations

import atexit
import errno
import gc
import os
import signal
import sys
import time
from contextlib import contextmanager, suppress
from io import BufferedWriter, FileIO, TextIOWrapper
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator
    from types import FrameType
    from typing import NoReturn, TextIO

    from _typeshed import ReadableBuffer

# Imported modules live until exit and arrays form no reference cycles, so the default of a collection every 700
# allocations only costs time: 5 % of a short run.
_ALLOCATIONS_BETWEEN_COLLECTIONS = 250_000
# glibc returns only larger pieces of memory to the system: its names for a process that starts, and its numbers for
# one that runs. Memory that is returned and asked for again comes as new pages of zeros, a fifth of the time of a run.
_GLIBC = (("MALLOC_TRIM_THRESHOLD_", -1, 1 << 28), ("MALLOC_MMAP_THRESHOLD_", -3, 1 << 25))

_WORDS = {"SIGINT": "interrupted", "SIGTERM": "terminated", "SIGHUP": "hung up"}
_SIGNALS = {getattr(signal, name): word for name, word in _WORDS.items() if hasattr(signal, name)}
# A second Ctrl-C within this time is ignored while the run unwinds; a later one ends the process at once.
_PATIENCE_SECONDS = 3.0


class _State:
    """Which signals are handled, and which one has arrived."""

    handled: tuple[signal.Signals, ...] = ()
    unwinding = False
    arrived: int | None = None
    since = 0.0
    stderr = 2


def handle_signals() -> None:
    """Handle the signals that end a run, except those that are already ignored, as under nohup."""
    if not _State.handled:
        usual = (signal.SIG_DFL, signal.default_int_handler)
        _State.handled = tuple(number for number in _SIGNALS if signal.getsignal(number) in usual)
    for number in _State.handled:
        signal.signal(number, _stop)


@contextmanager
def unwinding() -> Iterator[None]:
    """Let a signal within the block unwind the run by an exception; a second one waits until that is done."""
    _State.unwinding, _State.stderr = True, os.dup(2)
    try:
        yield
    finally:
        _State.unwinding = False


def signal_exit_code() -> int | None:
    """Return the exit code for the signal that has arrived, or None."""
    return None if _State.arrived is None else 128 + _State.arrived


def ignore_signals() -> None:
    """Ignore signals from now on: the exit code is decided, and a late signal must not change it."""
    for number in _State.handled:
        signal.signal(number, signal.SIG_IGN)


def exit_now(code: int) -> NoReturn:
    """Run the registered exit handlers and end the process.

    The interpreter is not finalised: a thread of Arrow, or one that waits for a network, would abort the process if it
    asked for the interpreter meanwhile, and freeing every object takes time.
    """
    atexit._run_exitfuncs()
    os._exit(code)


def print_signal(number: int) -> None:
    """Print a line about the signal; on a terminal it replaces the progress bar and shows the cursor again."""
    with suppress(OSError):
        clear = "\r\x1b[2K\x1b[?25h" if "rich" in sys.modules and os.isatty(_State.stderr) else ""
        os.write(_State.stderr, f"{clear}{_SIGNALS[signal.Signals(number)]}\n".encode())


def open_streams() -> None:
    """Open closed streams on the null device, and let write errors name the stream.

    Otherwise the first file opened would get the descriptor of a closed stream and receive its output.
    """
    for number in range(3):
        try:
            os.fstat(number)
        except OSError:
            os.open(os.devnull, os.O_RDWR)
    sys.stdout = _named(sys.stdout, 1, "standard output")
    sys.stderr = _named(sys.stderr, 2, "standard error")


class _Standard(FileIO):
    """A standard stream whose write errors name it; the caller deals with a reader that went away."""

    def __init__(self, number: int, called: str) -> None:
        super().__init__(number, "w", closefd=False)
        self._called = called

    def write(self, data: ReadableBuffer, /) -> int:
        try:
            return super().write(data) or 0
        except BrokenPipeError:
            raise
        except OSError as error:
            from xent_cli.errors import OutputError

            hint = "make room there, or write to another place" if error.errno == errno.ENOSPC else ""
            raise OutputError(f"cannot write {self._called}", found=error.strerror or str(error), hint=hint) from None


def _named(stream: TextIO | None, number: int, called: str) -> TextIO:
    """Replace a stream of Python with one whose errors name it."""
    if stream is None:
        return TextIOWrapper(BufferedWriter(_Standard(number, called)), "utf-8", line_buffering=number == 2)
    if type(stream) is not TextIOWrapper or stream.fileno() != number:
        return stream
    raw = _Standard(number, called)
    unbuffered = isinstance(stream.buffer, FileIO)  # as with python -u
    options = {"newline": "\n"} if os.linesep == "\n" else {}
    return TextIOWrapper(
        raw if unbuffered else BufferedWriter(raw),
        stream.encoding,
        stream.errors,
        line_buffering=stream.line_buffering,
        write_through=stream.write_through,
        **options,
    )


def _stop(number: int, frame: FrameType | None) -> None:
    if not _State.unwinding:
        _leave(number)
    if _State.arrived is not None:
        if time.monotonic() - _State.since > _PATIENCE_SECONDS:
            _leave(number)
        return
    _State.arrived, _State.since = number, time.monotonic()
    # Libraries would print tracebacks about interrupted work.
    os.dup2(os.open(os.devnull, os.O_WRONLY), 2)
    if number == signal.SIGINT:
        raise KeyboardInterrupt
    raise SystemExit(128 + number)


def _leave(number: int) -> None:
    ignore_signals()
    # Looked up, not imported: the signal may have arrived during its import.
    with suppress(Exception):
        sys.modules["xent_cli.temporary_files"].remove_all()
    print_signal(_State.arrived or number)
    os._exit(128 + (_State.arrived or number))


def set_up_process() -> None:
    """Settings of every run; libraries read the environment when they are imported."""
    gc.set_threshold(_ALLOCATIONS_BETWEEN_COLLECTIONS)
    # OpenBLAS would start a thread per core, and each would look for work for a tenth of a second; there is none.
    os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
    # Pictures are written to files: the back end of a window or a notebook may not be installed here.
    os.environ["MPLBACKEND"] = "agg"
    # The AWS SDK would hash every range it reads, a fifth of a second per GB, and has checksums of whole objects only.
    os.environ.setdefault("AWS_RESPONSE_CHECKSUM_VALIDATION", "when_required")


def keep_memory() -> None:
    """Let this process keep the memory of a task for the next one; without glibc nothing is done."""
    import ctypes  # which NumPy has imported

    with suppress(OSError, TypeError, AttributeError):
        mallopt = ctypes.CDLL(None).mallopt
        for _, number, size in _GLIBC:
            mallopt(number, size)


def set_up_workers() -> None:
    """Settings of worker processes that this process starts, which inherit its environment."""
    for name, _, size in _GLIBC:
        os.environ.setdefault(name, str(size))
    # Arrow's allocator.
    os.environ.setdefault("MIMALLOC_PURGE_DELAY", "-1")
    # Ray warns about a change in how it hides GPUs from tasks, none of which uses one.
    os.environ.setdefault("RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO", "0")
