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

# How often a cluster retries a task that failed or whose worker died.
RETRIES = 2
# Tasks in flight per core of a cluster: results are taken in order, and a slow task must not leave other cores idle.
TASKS_A_CORE = 8
# Short tasks are sent in batches of this many, so that every core still has two batches in flight.
TASKS_TOGETHER = TASKS_A_CORE // 2


class Engine(Protocol):
    """Runs tasks, here or elsewhere.

    Fields
    ------
    window
        How many tasks are taken from the iterable before the result of the first is taken from `map`.
    """

    @property
    def window(self) -> int: ...

    def map(self, function: Callable[[Item], Result], tasks: Iterable[Item], /) -> Iterator[Result]:
        """Yield ``function(task)`` for each task, in order.

        An exception of a task is raised in place of its result, or of the result of a task in the same batch; an
        exception of `tasks` itself is raised after all results before it. Closing the iterator drops the tasks that
        have not begun and waits for those that have.
        """


def version_here(_: object = None) -> str:
    """Return the version of xent in the process that runs this."""
    from importlib.metadata import version

    return version("xent-cli")


def refuse_other_versions(versions: Callable[[], Mapping[str, str]]) -> None:
    """Refuse workers that run a different version of xent, which may compute something different.

    Parameters
    ----------
    versions
        Returns the version by name of the worker.

    Raises
    ------
    InputError
        At the first such worker, or if the workers cannot answer because xent is not installed there.
    """
    here = version_here()
    try:
        answers = versions()
    except Exception as error:
        found = str(error).strip().split("\n")[-1]
        raise InputError("xent does not run on the workers", found=found, expected=f"xent-cli {here} there") from None
    for worker, found in sorted(answers.items()):
        if found != here:
            raise InputError("different version of xent", f"worker {worker}", found=found, expected=f"{here}, as here")


@contextmanager
def silent() -> Iterator[None]:
    """Keep libraries, and processes started within the block, from printing tracebacks on standard error."""
    kept, null = os.dup(2), os.open(os.devnull, os.O_WRONLY)
    os.dup2(null, 2)
    os.close(null)
    try:
        yield
    except (KeyboardInterrupt, SystemExit):
        raise  # standard error stays silent while the run ends
    except BaseException:
        os.dup2(kept, 2)
        raise
    else:
        os.dup2(kept, 2)
    finally:
        os.close(kept)


def missing(engine: str) -> InputError:
    """Return the error for an engine whose packages are not installed."""
    from xent_cli.extras import install_line

    return InputError("missing package", f"--engine {engine}", hint=install_line(engine))


def workers_die(times: int) -> XentError:
    """Return the error for a task during which this many workers died."""
    found = f"{times} workers that died of the same task"
    return XentError("workers die", found=found, hint="more memory for each, or smaller row groups")


def gone(what: str) -> XentError:
    """Return the error for a cluster that disappears during a run."""
    return XentError(f"{what} went away", hint="run again; nothing was written")
