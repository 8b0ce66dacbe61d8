"""Calls that wait for a network for a limited time."""

from __future__ import annotations

import atexit
import os
import sys
import threading
from typing import TYPE_CHECKING, Any

from xent_cli.readers.storage.refusals import overdue

if TYPE_CHECKING:
    from collections.abc import Callable
    from queue import SimpleQueue

# The `_Waiting` of each thread.
_here = threading.local()


def within(seconds: float, url: str, function: Callable[[], Any]) -> Any:
    """Call a function that waits for a network, with a timeout in seconds.

    Libraries wait and retry for up to a quarter of an hour, and do not react to Ctrl-C meanwhile. So another thread
    waits, one for each calling thread; after the timeout it is abandoned.

    Raises
    ------
    InputError
        If nothing has arrived by then.
    """
    waiting: _Waiting | None = getattr(_here, "waiting", None)
    if waiting is None or waiting.process != os.getpid():
        waiting = _here.waiting = _Waiting()
    try:
        value, error = waiting.answer(function, seconds)
    except TimeoutError:
        del _here.waiting
        _leave_s3()
        raise overdue(url, seconds) from None
    except BaseException:  # Ctrl-C: a late result must not be taken for that of the next call
        del _here.waiting
        raise
    if error is not None:
        raise error
    return value


class _Waiting:
    """A thread that waits for a network on behalf of the thread that owns this object, and ends with it."""

    def __init__(self) -> None:
        from queue import SimpleQueue
        from threading import Thread

        self.process = os.getpid()
        self._asked: SimpleQueue[Callable[[], Any] | None] = SimpleQueue()
        self._answers: SimpleQueue[tuple[Any, BaseException | None]] = SimpleQueue()
        queues = self._asked, self._answers
        Thread(target=_wait, args=queues, daemon=True, name="xent-network").start()

    def __del__(self) -> None:
        self._asked.put(None)

    def answer(self, function: Callable[[], Any], seconds: float) -> tuple[Any, BaseException | None]:
        """Return what a function returns, or raise what it raises; TimeoutError after some seconds."""
        from queue import Empty

        self._asked.put(function)
        try:
            return self._answers.get(timeout=seconds)
        except Empty:
            raise TimeoutError from None


def _wait(asked: SimpleQueue[Callable[[], Any] | None], answers: SimpleQueue[tuple[Any, BaseException | None]]) -> None:
    while (function := asked.get()) is not None:
        try:
            answers.put((function(), None))
        except BaseException as error:
            answers.put((None, error))
        del function  # free what it refers to


def _leave_s3() -> None:
    """Keep Arrow from shutting its S3 library down at exit: it aborts the process if a thread still waits in it."""
    finalize = getattr(sys.modules.get("pyarrow.fs"), "ensure_s3_finalized", None)
    if finalize is not None:
        atexit.unregister(finalize)
