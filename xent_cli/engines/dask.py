"""Tasks on the workers of a Dask cluster that is already running, or of one started on this machine."""

from __future__ import annotations

import os
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from functools import partial
from itertools import count
from typing import TYPE_CHECKING, Any

from xent_cli.engines import interface
from xent_cli.engines.ordered import in_order, run_together
from xent_cli.errors import InputError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    from xent_cli.engines.interface import Item, Result

# A scheduler that does not answer for this long is gone.
_PATIENCE_SECONDS = 20.0
# Dask caches the group of every key in the process of the scheduler, which may be this one; after this many keys the
# cache is cleared.
_KEYS_REMEMBERED = 5000


@dataclass(frozen=True, slots=True)
class DaskEngine:
    """Runs tasks on workers; a task is sent as a recipe, and the worker reads the data."""

    client: Any
    window: int

    def map(self, function: Callable[[Item], Result], tasks: Iterable[Item], /) -> Iterator[Result]:
        """See `Engine`."""
        from dask.utils import key_split
        from distributed import CancelledError, Future, KilledWorker
        from distributed.client import ClosedClientError
        from distributed.comm import CommClosedError

        # One group for all tasks, because Dask keeps a record of every group.
        group, numbers = f"xent-{os.urandom(8).hex()}", count()

        def submit(some: list[Item]) -> Any:
            number = next(numbers)
            if number % _KEYS_REMEMBERED == 0:
                key_split.cache_clear()
            # In a partial, because Dask searches plain arguments for keys of its own.
            call = partial(run_together, function, some)
            return self.client.submit(call, key=(group, number), pure=False, retries=interface.RETRIES)

        def cancel(begun: list[Any]) -> None:
            if begun:
                with suppress(Exception):
                    self.client.cancel(begun, force=True)

        try:
            yield from in_order(tasks, self.window, submit, Future.result, cancel, interface.TASKS_TOGETHER)
        except KilledWorker as error:
            raise interface.workers_die(error.allowed_failures + 1) from None
        except (CancelledError, ClosedClientError, CommClosedError):
            raise interface.gone("the Dask scheduler") from None


@contextmanager
def open_dask(scheduler: str | None, workers: int, patience: float = _PATIENCE_SECONDS) -> Iterator[DaskEngine]:
    """Open an engine on the cluster at an address or in a scheduler file, or else on new worker processes.

    Raises
    ------
    InputError
        If Dask is not installed, no scheduler answers, or the workers run a different version of xent.
    """
    try:
        import dask
        from distributed import Client, LocalCluster
        from distributed.scheduler import DEFAULT_EXTENSIONS
    except ImportError:
        raise interface.missing("dask") from None
    import logging

    # Failures that Dask does not recover from are reported by us.
    logging.getLogger("distributed").setLevel(logging.CRITICAL + 1)
    with ExitStack() as stack:
        stack.enter_context(dask.config.set({"distributed.comm.timeouts.connect": patience}))
        if scheduler is None:
            options = {"threads_per_worker": 1, "dashboard_address": ":0", "silence_logs": logging.CRITICAL + 1}
            # Spans are for dashboards, and would keep some 300 bytes per task in this process.
            kept = {name: kind for name, kind in DEFAULT_EXTENSIONS.items() if name != "spans"}
            options |= {"processes": True, "extensions": {}, "scheduler_kwargs": {"extensions": kept}}
            try:
                with (
                    interface.silent()
                ):  # Ctrl-C in a terminal reaches the workers too, and each would print a traceback
                    cluster = LocalCluster(n_workers=workers, **options)
            except (OSError, RuntimeError, TimeoutError) as error:  # out of file descriptors, memory or processes
                found = str(error).strip().split("\n")[0] or type(error).__name__
                hint = "fewer --threads start fewer processes; or raise the limits (ulimit -n, ulimit -v)"
                raise InputError("cannot start a cluster here", found=found, hint=hint) from None
            stack.callback(_quietly, cluster.close)
            where = {"address": cluster}
        else:
            where = {"scheduler_file": scheduler} if os.path.isfile(scheduler) else {"address": scheduler}  # noqa: PTH113
        try:
            client = Client(**where, set_as_default=False, timeout=patience / 2)
        except (OSError, ValueError, TimeoutError) as error:
            raise InputError("no Dask scheduler", str(scheduler), found=str(error).split("\n")[0]) from None
        stack.callback(_quietly, client.close)
        interface.refuse_other_versions(lambda: client.run(interface.version_here))
        yield DaskEngine(client, interface.TASKS_A_CORE * max(1, sum(client.nthreads().values())))


def _quietly(close: Callable[[], object]) -> None:
    with suppress(Exception), interface.silent():
        close()
