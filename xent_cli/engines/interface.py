"""The engine contract: `map` yields results in task order and holds at most `window` tasks in flight."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol, TypeVar

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

Item = TypeVar("Item")
Result = TypeVar("Result")


class Engine(Protocol):
    """Something that runs tasks.

    Fields
    ------
    window
        How many tasks are taken from the iterable before the result of the first is taken from `map`.
    """

    @property
    def window(self) -> int: ...

    def map(self, function: Callable[[Item], Result], tasks: Iterable[Item], /) -> Iterator[Result]:
        """Yield ``function(task)`` for each task, in order.

        An exception of a task is raised in its turn; one raised by `tasks` itself, after the results before it. Closing
        the iterator drops what has not begun and waits for what has.
        """
