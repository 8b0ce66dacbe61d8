"""Engines of this process: one thread, or several."""

from __future__ import annotations

from contextlib import suppress
from dataclasses import dataclass
from itertools import chain, islice
from typing import TYPE_CHECKING, Generic, TypeVar

from xent_cli.engines.interface import keep_own_memory
from xent_cli.engines.ordered import in_order, run_together

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    from xent_cli.engines.interface import Engine

Item = TypeVar("Item")
Result = TypeVar("Result")


@dataclass(frozen=True, slots=True)
class SerialEngine:
    """Runs each task when its result is asked for."""

    window: int = 1

    def map(self, function: Callable[[Item], Result], tasks: Iterable[Item], /) -> Iterator[Result]:
        """See `Engine`."""
        return map(function, tasks)


@dataclass(frozen=True, slots=True)
class ThreadEngine:
    """Runs tasks in threads; NumPy and Arrow let go of the interpreter lock in what takes the time.

    The thread that asks is one of them: it makes the tasks, and while it has made enough it runs one. A thread of its
    own for making them would be one more than there are cores where they cost something, as from a pipe.
    """

    threads: int

    @property
    def window(self) -> int:
        """One task at work and one waiting for each thread."""
        return 2 * self.threads

    def map(self, function: Callable[[Item], Result], tasks: Iterable[Item], /) -> Iterator[Result]:
        """See `Engine`."""
        remaining = iter(tasks)
        first = list(islice(remaining, 2))
        if len(first) < 2:  # nothing to share out
            return map(function, first)
        # `chain` keeps what it is given to its end: an iterator lets go of a task, a list would keep its memory.
        return self._shared(function, chain(iter(first), remaining))

    def _shared(self, function: Callable[[Item], Result], tasks: Iterator[Item]) -> Iterator[Result]:
        # Not concurrent.futures, which imports logging: together as long as 40 MB of logits take.
        from queue import Empty, SimpleQueue
        from threading import Thread

        waiting: SimpleQueue[tuple[_Begun[Result], list[Item]] | None] = SimpleQueue()
        others: list[Thread] = []

        def submit(some: list[Item]) -> _Begun[Result]:
            begun = _Begun[Result]()
            waiting.put((begun, some))
            if len(others) < self.threads - 1:
                others.append(Thread(target=work, name=f"xent-{len(others) + 1}", daemon=True))
                others[-1].start()
            return begun

        def work() -> None:
            while run(waiting.get()):
                pass

        # What waits is passed on and never held by a name: it is megabytes.
        def run(entry: tuple[_Begun[Result], list[Item]] | None) -> bool:
            if entry is not None:
                begun, some = entry
                begun.run(function, some)
            return entry is not None

        def result(begun: _Begun[Result]) -> tuple[float, list[Result]]:
            with suppress(Empty):
                while not begun.done.is_set():
                    run(waiting.get_nowait())
            return begun.result()

        def stop(_: list[_Begun[Result]]) -> None:
            with suppress(Empty):
                while True:
                    waiting.get_nowait()
            for _other in others:
                waiting.put(None)
            for other in others:
                other.join()

        return in_order(tasks, self.window, submit, result, stop)


class _Begun(Generic[Result]):
    """Some tasks that a thread runs, or will run."""

    def __init__(self) -> None:
        from threading import Event

        self.done = Event()
        self._results: tuple[float, list[Result]] | None = None
        self._error: BaseException | None = None

    def run(self, function: Callable[[Item], Result], some: list[Item]) -> None:
        """Run them."""
        try:
            self._results = run_together(function, some)
        except BaseException as error:
            self._error = error
            if not isinstance(error, Exception):
                raise  # Ctrl-C does not wait for its turn
        finally:
            self.done.set()

    def result(self) -> tuple[float, list[Result]]:
        """Wait for what came of them."""
        self.done.wait()
        if self._results is None:
            assert self._error is not None
            raise self._error
        return self._results


def open_local(threads: int) -> Engine:
    """Engine with so many threads, in a process that from now on keeps freed memory for them.

    Examples
    --------
    >>> list(open_local(2).map(abs, [-1, 2, -3]))
    [1, 2, 3]
    """
    keep_own_memory()
    return SerialEngine() if threads == 1 else ThreadEngine(threads)
