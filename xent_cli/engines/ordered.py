"""Tasks handed out a window at a time, and their results in order: what every engine does with its own futures."""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING, TypeVar

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    Task = TypeVar("Task")
    Future = TypeVar("Future")
    Result = TypeVar("Result")


def in_order(
    tasks: Iterable[Task],
    window: int,
    submit: Callable[[Task], Future],
    result: Callable[[Future], Result],
    cancel: Callable[[list[Future]], object],
) -> Iterator[Result]:
    """Yield the result of each task, in order.

    Parameters
    ----------
    window
        How many tasks are submitted before the result of the first is waited for.
    submit
        Begins a task.
    result
        Waits for it. What it raises ends everything.
    cancel
        Called once, at the end or when the iterator is closed, with what was begun and not waited for: nothing, where
        all went well.

    Raises
    ------
    Exception
        Of `tasks` itself, told in its turn: after the results of the tasks before it.

    Examples
    --------
    >>> list(in_order([1, 2, 3], 2, float, str, print))
    []
    ['1.0', '2.0', '3.0']
    """
    remaining = iter(tasks)
    begun: deque[Future] = deque()
    failure: Exception | None = None
    try:
        while True:
            while failure is None and len(begun) < window:
                try:
                    task = next(remaining)
                except StopIteration:
                    break
                except Exception as error:
                    failure = error
                    break
                begun.append(submit(task))
            if not begun:
                break
            yield result(begun.popleft())
        if failure is not None:
            raise failure
    finally:
        cancel(list(begun))
