"""The engine contract: `map` yields results in task order and holds at most `window` tasks in flight."""

from __future__ import annotations

import os
from contextlib import contextmanager
from typing import TYPE_CHECKING, Protocol, TypeVar

from xent_cli.errors import InputError, XentError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping

Item = TypeVar("Item")
Result = TypeVar("Result")

# How often a cluster runs a task again that failed, or whose worker died.
RETRIES = 2
# In flight for each core of a cluster: results are taken in order, and a slow one must not leave the others idle.
TASKS_A_CORE = 8
# Sent as one where they are short: every core still has two such to go on with.
TASKS_TOGETHER = TASKS_A_CORE // 2


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

        An exception of a task is raised in its turn, or in that of a task that was sent together with it; one raised by
        `tasks` itself, after the results before it. Closing the iterator drops what has not begun and waits for what
        has.
        """


def version_here(_: object = None) -> str:
    """Version of xent where this runs."""
    from importlib.metadata import version

    return version("xent-cli")


def refuse_other_versions(versions: Callable[[], Mapping[str, str]]) -> None:
    """Refuse workers whose xent is not this one: what they compute may be something else.

    Parameters
    ----------
    versions
        Asks the workers, and answers by their names.

    Raises
    ------
    InputError
        At the first of them, or where they cannot answer, for want of xent.
    """
    here = version_here()
    try:
        answers = versions()
    except Exception as error:
        found = str(error).strip().split("\n")[-1]
        raise InputError("xent does not run on the workers", found=found, expected=f"xent-cli {here} there") from None
    for worker, found in sorted(answers.items()):
        if found != here:
            raise InputError("another version of xent", f"worker {worker}", found=found, expected=f"{here}, as here")


@contextmanager
def silent() -> Iterator[None]:
    """Keep libraries, and processes that start within the block, from standard error: they tell tracebacks there."""
    kept, null = os.dup(2), os.open(os.devnull, os.O_WRONLY)
    os.dup2(null, 2)
    os.close(null)
    try:
        yield
    except (KeyboardInterrupt, SystemExit):
        raise  # and all that ends now stays silent
    except BaseException:
        os.dup2(kept, 2)
        raise
    else:
        os.dup2(kept, 2)
    finally:
        os.close(kept)


def missing(engine: str) -> InputError:
    """What to say where the packages of an engine are not installed."""
    return InputError("missing package", f"--engine {engine}", hint=f"pip install 'xent-cli[{engine}]'")


def workers_die(times: int) -> XentError:
    """What to say when a task has taken so many workers with it."""
    found = f"{times} workers that died at the same task"
    return XentError("workers die", found=found, hint="more memory for each, or smaller row groups")


def gone(what: str) -> XentError:
    """What to say when a cluster is lost in mid-job."""
    return XentError(f"{what} went away", hint="run again; nothing was written")
