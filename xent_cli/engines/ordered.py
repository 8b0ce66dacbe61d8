"""Submits a window of tasks at a time and returns results in order, as every engine does with its own futures."""

from __future__ import annotations

import time
from collections import deque
from typing import TYPE_CHECKING, TypeVar

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    Task = TypeVar("Task")
    Future = TypeVar("Future")
    Result = TypeVar("Result")

# Tasks that take less than this are sent in batches: a cluster has an overhead of 1 to 4 ms per submission.
_SHORT_SECONDS = 0.1


def in_order(
    tasks: Iterable[Task],
    window: int,
    submit: Callable[[list[Task]], Future],
    result: Callable[[Future], tuple[float, list[Result]]],
    cancel: Callable[[list[Future]], object],
    together: int = 1,
) -> Iterator[Result]:
    """Yield the result of each task, in order.

    Parameters
    ----------
    window
        How many tasks are submitted before the result of the first is waited for.
    submit
        Starts `run_together` of some tasks and returns a future.
    result
        Waits for a future and returns its result; an exception ends the iteration.
    cancel
        Called once, at the end or when the iterator is closed, with the futures that were not waited for: none, if
        all went well.
    together
        How many tasks make a batch once they turn out to be short. Tasks of the first window are submitted one by one,
        so that a few tasks are spread evenly; none is known to be short yet.

    Raises
    ------
    Exception
        From `tasks` itself, after the results of the tasks before it.

    Examples
    --------
    >>> def submit(tasks):
    ...     return run_together(float, tasks)
    >>> list(in_order([1, 2, 3], 2, submit, tuple, print))
    []
    [1.0, 2.0, 3.0]
    """
    remaining = iter(tasks)
    begun: deque[tuple[Future, int]] = deque()
    ahead, size = 0, 1
    more = True
    failure: Exception | None = None
    try:
        while True:
            while more and ahead + size <= window:
                some: list[Task] = []
                try:
                    while len(some) < size:
                        some.append(next(remaining))
                except StopIteration:
                    more = False
                except Exception as error:
                    more, failure = False, error
                if some:
                    begun.append((submit(some), len(some)))
                    ahead += len(some)
            if not begun:
                break
            future, count = begun.popleft()
            seconds, results = result(future)
            ahead -= count
            size = together if seconds < count * _SHORT_SECONDS else 1
            yield from results
        if failure is not None:
            raise failure
    finally:
        cancel([future for future, _ in begun])


def run_together(function: Callable[[Task], Result], tasks: list[Task]) -> tuple[float, list[Result]]:
    """Run tasks one after another on a worker; return the seconds they took, and their results."""
    began = time.perf_counter()
    results = [function(task) for task in tasks]
    return time.perf_counter() - began, results
