"""Engines of this process: one thread, or several."""

from __future__ import annotations

from contextlib import suppress
from itertools import chain, islice
from typing import TYPE_CHECKING, Any, NamedTuple, TypeVar

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    from xent_cli.engines.interface import Engine

Item = TypeVar("Item")
Result = TypeVar("Result")


class SerialEngine:
    """Runs each task when its result is asked for."""

    window = 1

    def map(self, function: Callable[[Item], Result], tasks: Iterable[Item], /) -> Iterator[Result]:
        """See `Engine`."""
        return map(function, tasks)


class ThreadEngine(NamedTuple):
    """Runs tasks in threads; NumPy and Arrow release the interpreter lock where most time is spent.

    The calling thread is one of them: it creates the tasks, and runs one whenever enough are waiting. A separate thread
    that creates tasks would be one thread too many when creating them is expensive, as when reading from a pipe.
    """

    threads: int

    @property
    def window(self) -> int:
        """Two tasks per thread: one running, one waiting."""
        return 2 * self.threads

    def map(self, function: Callable[[Item], Result], tasks: Iterable[Item], /) -> Iterator[Result]:
        """See `Engine`."""
        remaining = iter(tasks)
        first = list(islice(remaining, 2))
        if len(first) < 2:  # there is only one task
            return map(function, first)
        # `chain` holds its arguments until it ends: a list would keep the memory of tasks alive, an iterator does not.
        return self._shared(function, chain(iter(first), remaining))

    def _shared(self, function: Callable[[Item], Result], tasks: Iterator[Item]) -> Iterator[Result]:
        # Not concurrent.futures: with logging, its import takes as long as 40 MB of logits.
        from queue import Empty, SimpleQueue
        from threading import Thread

        from xent_cli.engines.ordered import in_order

        waiting: SimpleQueue[_Begun | None] = SimpleQueue()
        others: list[Thread] = []
        most = self.threads - 1

        def submit(some: list[Item]) -> _Begun:
            begun = _Begun(function, some)
            waiting.put(begun)
            nonlocal most
            if len(others) < most:
                other = Thread(target=work, name=f"xent-{len(others) + 1}", daemon=True)
                try:
                    other.start()
                except RuntimeError:  # the system allows no more threads; the existing ones do the work
                    most = len(others)
                else:
                    others.append(other)
            return begun

        def work() -> None:
            while (begun := waiting.get()) is not None:
                begun.run()

        def result(begun: _Begun) -> tuple[float, list[Result]]:
            with suppress(Empty):
                while not begun.done.is_set() and (oldest := waiting.get_nowait()) is not None:
                    oldest.run()
            return begun.result()

        def stop(_: list[_Begun]) -> None:
            with suppress(Empty):
                while True:
                    waiting.get_nowait()
            for _other in others:
                waiting.put(None)
            for other in others:
                other.join()

        return in_order(tasks, self.window, submit, result, stop)


class _Begun:
    """A batch of tasks that a thread will run, and later its results."""

    def __init__(self, function: Callable[[Any], Any], some: list[Any]) -> None:
        from threading import Event

        self.done = Event()
        self._function = function
        self._some = some
        self._outcome: tuple[float, list[Any]] | BaseException

    def run(self) -> None:
        """Run the tasks, once."""
        try:
            from xent_cli.engines.ordered import run_together

            self._outcome = run_together(self._function, self._some)
        except BaseException as error:
            self._outcome = error
            if not isinstance(error, Exception):
                raise  # Ctrl-C is raised at once
        finally:
            del self._some  # frees the memory of its tasks, because this object may live longer
            self.done.set()

    def result(self) -> tuple[float, list[Any]]:
        """Wait for the results."""
        self.done.wait()
        if isinstance(self._outcome, BaseException):
            raise self._outcome
        return self._outcome


def open_local(threads: int) -> Engine:
    """Engine that runs tasks in this many threads.

    Examples
    --------
    >>> list(open_local(2).map(abs, [-1, 2, -3]))
    [1, 2, 3]
    """
    return SerialEngine() if threads == 1 else ThreadEngine(threads)
