"""Engines of this process: one thread, or several."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass
from itertools import chain, islice
from typing import TYPE_CHECKING, TypeVar

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
        if len(first) < 2:  # nothing to share out, and importing the pool takes longer than most small files
            return map(function, first)
        # `chain` keeps what it is given to its end: an iterator lets go of a task, a list would keep its memory.
        return self._pooled(function, chain(iter(first), remaining))

    def _pooled(self, function: Callable[[Item], Result], tasks: Iterator[Item]) -> Iterator[Result]:
        from concurrent.futures import Future, ThreadPoolExecutor

        pool = ThreadPoolExecutor(self.threads - 1, thread_name_prefix="xent")
        waiting: deque[tuple[Future[tuple[float, list[Result]]], list[Item]]] = deque()

        def submit(some: list[Item]) -> Future[tuple[float, list[Result]]]:
            future: Future[tuple[float, list[Result]]] = Future()
            waiting.append((future, some))
            pool.submit(run_oldest)
            return future

        def run_oldest() -> bool:
            try:
                future, some = waiting.popleft()
            except IndexError:
                return False  # another thread was first
            try:
                future.set_result(run_together(function, some))
            except BaseException as error:
                future.set_exception(error)
                if not isinstance(error, Exception):
                    raise  # Ctrl-C does not wait for its turn
            return True

        def result(future: Future[tuple[float, list[Result]]]) -> tuple[float, list[Result]]:
            while not future.done() and run_oldest():
                pass
            return future.result()

        def stop(_: list[Future[tuple[float, list[Result]]]]) -> None:
            waiting.clear()
            pool.shutdown(wait=True, cancel_futures=True)

        return in_order(tasks, self.window, submit, result, stop)


def open_local(threads: int) -> Engine:
    """Engine with so many threads, in a process that from now on keeps freed memory for them.

    Examples
    --------
    >>> list(open_local(2).map(abs, [-1, 2, -3]))
    [1, 2, 3]
    """
    keep_own_memory()
    return SerialEngine() if threads == 1 else ThreadEngine(threads)
