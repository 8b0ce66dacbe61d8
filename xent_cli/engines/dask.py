"""Tasks on the workers of a Dask cluster: one that runs already, or one of processes on this machine."""

from __future__ import annotations

import os
import time
from collections import deque
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeVar

from xent_cli.engines.interface import refuse_other_versions, version_here
from xent_cli.errors import InputError, XentError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    Item = TypeVar("Item")
    Result = TypeVar("Result")

# How often Dask runs a task again that failed; a worker that dies is its own matter, and is replaced.
_RETRIES = 2
# Tasks for each thread: results are taken in order, and a slow one must not leave the others without work.
_IN_FLIGHT = 8
# A scheduler that does not answer for so long is gone.
_PATIENCE_SECONDS = 20.0


@dataclass(frozen=True, slots=True)
class DaskEngine:
    """Runs tasks on workers; they are sent as recipes, and read what they need where they run."""

    client: Any
    window: int

    def map(self, function: Callable[[Item], Result], tasks: Iterable[Item], /) -> Iterator[Result]:
        """See `Engine`."""
        remaining = iter(tasks)
        waiting: deque[Any] = deque()
        group, number = f"xent-{os.urandom(8).hex()}", 0
        failure: BaseException | None = None
        try:
            while True:
                while failure is None and len(waiting) < self.window:
                    try:
                        task = next(remaining)
                    except StopIteration:
                        break
                    except Exception as error:  # told in its turn, after the results of the tasks before it
                        failure = error
                        break
                    # Keys of one group: Dask remembers every group of a run.
                    key = (group, number)
                    waiting.append(self.client.submit(function, task, key=key, pure=False, retries=_RETRIES))
                    number += 1
                if not waiting:
                    break
                yield self._result(waiting.popleft())
            if failure is not None:
                raise failure
        finally:
            if waiting:
                with suppress(Exception):
                    self.client.cancel(list(waiting), force=True)

    def _result(self, future: Any) -> Any:
        from distributed import CancelledError, KilledWorker

        lost: float | None = None
        while True:
            try:
                return future.result(timeout=1)
            except TimeoutError:
                if self.client.status == "running":
                    lost = None
                elif lost is None:
                    lost = time.monotonic()
                elif time.monotonic() - lost > _PATIENCE_SECONDS:
                    raise _gone() from None
            except CancelledError:
                raise _gone() from None
            except KilledWorker as error:
                found = f"{error.allowed_failures + 1} workers that died at the same task"
                raise XentError(
                    "workers die", found=found, hint="more memory for each, or smaller row groups"
                ) from None


@contextmanager
def open_dask(scheduler: str | None, workers: int) -> Iterator[DaskEngine]:
    """Engine on the cluster at an address or in a scheduler file, else on so many new processes.

    Raises
    ------
    InputError
        Where Dask is not installed, nobody answers, or the workers have another version of xent.
    """
    try:
        import dask
        from distributed import Client, LocalCluster
    except ImportError:
        raise InputError("missing package", "--engine dask", hint="pip install 'xent-cli[dask]'") from None
    import logging

    # What goes wrong is told in a sentence of ours, or is Dask's to mend.
    logging.getLogger("distributed").setLevel(logging.CRITICAL + 1)
    scheduler = scheduler or os.environ.get("DASK_SCHEDULER_ADDRESS")
    with ExitStack() as stack:
        stack.enter_context(dask.config.set({"distributed.comm.timeouts.connect": _PATIENCE_SECONDS}))
        if scheduler is None:
            options = {"threads_per_worker": 1, "dashboard_address": ":0", "silence_logs": logging.CRITICAL + 1}
            cluster = LocalCluster(n_workers=workers, processes=True, **options)
            stack.callback(_quietly, cluster.close)
            where = {"address": cluster}
        else:
            where = {"scheduler_file": scheduler} if os.path.isfile(scheduler) else {"address": scheduler}  # noqa: PTH113
        try:
            client = Client(**where, set_as_default=False, timeout=_PATIENCE_SECONDS / 2)
        except (OSError, ValueError, TimeoutError) as error:
            raise InputError("no Dask scheduler", str(scheduler), found=str(error).split("\n")[0]) from None
        stack.callback(_quietly, client.close)
        refuse_other_versions(lambda: client.run(version_here))
        threads = sum(client.nthreads().values())
        yield DaskEngine(client, _IN_FLIGHT * max(1, threads))


def _quietly(close: Callable[[], object]) -> None:
    with suppress(Exception):
        close()


def _gone() -> XentError:
    return XentError("the Dask scheduler went away", hint="run again; nothing was written")
