"""Outputs that appear whole or not at all, and together."""

from __future__ import annotations

import os
import signal
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO, Protocol, Self

from xent_cli.errors import OutputError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from types import FrameType, TracebackType

# How long a pipe may be without a reader, in seconds.
PATIENCE_SECONDS = 60.0
_HELD = [getattr(signal, name) for name in ("SIGINT", "SIGTERM", "SIGHUP") if hasattr(signal, name)]


class Output(Protocol):
    """One output that is being written next to its target."""

    def finish(self) -> None:
        """Sync all bytes to the disk, which reveals a lack of space."""

    def swap(self, *, undoable: bool) -> None:
        """Move it to its target; if `undoable`, keep the old file for `undo`."""

    def undo(self) -> None:
        """Put the old file back."""

    def settle(self) -> None:
        """Discard the old file."""

    def drop(self) -> None:
        """Remove the new file, in whatever state; never fails."""


class Publication:
    """The outputs of a run: each is written beside its target, and all are renamed together if no error occurs.

    After any error, Ctrl-C included, the old files are still there and nothing is left behind. Signals wait while files
    are renamed, and a rename that fails undoes those before it. Pipes, devices and files that are appended to are
    written directly.

    Parameters
    ----------
    patience
        Seconds that a pipe may be without a reader.
    waiting
        Called with the path of a pipe that has been without a reader for a second.
    """

    def __init__(self, patience: float = PATIENCE_SECONDS, waiting: Callable[[str], object] | None = None) -> None:
        self.patience = patience
        self._waiting = waiting
        self._outputs: list[Output] = []

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None, /
    ) -> None:
        if error is not None:
            self._drop()
            return
        try:
            for output in self._outputs:
                output.finish()
            with _signals_held():
                self._swap()
        except BaseException:
            self._drop()
            raise

    def file(self, path: str, *, append: bool = False, alone: bool = True) -> BinaryIO:
        """Open a stream for the file that will be at `path`.

        Raises
        ------
        OutputError
            If it cannot be written there; raised before any work.
        """
        from xent_cli.writers.direct import Direct, is_open_or_no_file
        from xent_cli.writers.file_output import NewFile, refuse_read_only
        from xent_cli.writers.place import on_disk

        path = on_disk(path)
        target = Path(os.path.realpath(path))
        if target.is_dir():
            raise OutputError("cannot write file", path, found="a directory", expected="a file name")
        output: NewFile | Direct
        if append or is_open_or_no_file(path):
            output = Direct(path, self.patience, self._waiting)
        else:
            refuse_read_only(path, target)
            output = NewFile(path, target, alone=alone)
        self._outputs.append(output)
        output.open()
        return output.stream

    def add(self, output: Output) -> None:
        """Add an output that is not a file, such as a folder."""
        self._outputs.append(output)

    def _swap(self) -> None:
        done: list[Output] = []
        try:
            for output in self._outputs:
                output.swap(undoable=output is not self._outputs[-1])
                done.append(output)
        except BaseException:
            for output in reversed(done):
                with suppress(OSError, OutputError):
                    output.undo()
            raise
        for output in done:
            output.settle()

    def _drop(self) -> None:
        for output in self._outputs:
            output.drop()


@contextmanager
def publish(path: str, *, append: bool = False, alone: bool = True) -> Iterator[BinaryIO]:
    """Open a stream for a file that replaces `path` if the block ends without an error; see `Publication`.

    Unless `alone`, the caller syncs the folder that the file is in.
    """
    with Publication() as outputs:
        yield outputs.file(path, append=append, alone=alone)


@contextmanager
def _signals_held() -> Iterator[None]:
    """Hold signals until the block has ended; only the main thread receives any."""
    came: list[int] = []

    def note(number: int, frame: FrameType | None) -> None:
        came.append(number)

    before = {}
    try:
        with suppress(ValueError):  # on any other thread
            for number in _HELD:
                if signal.getsignal(number) not in (signal.SIG_IGN, None):
                    before[number] = signal.signal(number, note)
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
        if came:
            signal.raise_signal(came[0])
