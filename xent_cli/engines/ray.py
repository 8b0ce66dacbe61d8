"""Tasks on a Ray cluster that is already running, or on one started on this machine."""

from __future__ import annotations

import os
import socket
from contextlib import ExitStack, contextmanager, redirect_stdout, suppress
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any

from xent_cli.engines import interface
from xent_cli.engines.ordered import in_order, run_together
from xent_cli.errors import InputError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    from xent_cli.engines.interface import Item, Result

# After this long without a result, check that the cluster is still there.
_PATIENCE_SECONDS = 5.0


@dataclass(frozen=True, slots=True)
class RayEngine:
    """Runs tasks on workers; a task is sent as a recipe, and the worker reads the data."""

    ray: Any
    window: int
    address: str

    def map(self, function: Callable[[Item], Result], tasks: Iterable[Item], /) -> Iterator[Result]:
        """See `Engine`."""
        call = self.ray.remote(max_retries=interface.RETRIES, retry_exceptions=True)(run_together)
        submit = partial(call.remote, self.ray.put(function))
        errors = self.ray.exceptions
        try:
            # Running tasks end with the connection that `open_ray` shuts down. `ray.cancel` on a task whose result is
            # just arriving aborts this process: a race in Ray, described in its pull request 54785.
            yield from in_order(tasks, self.window, submit, self._result, list.clear, interface.TASKS_TOGETHER)
        except errors.RayTaskError as error:
            raise error.cause from None
        except errors.WorkerCrashedError:
            self._refuse_gone()  # a cluster that goes away takes its workers with it
            raise interface.workers_die(interface.RETRIES + 1) from None
        except (
            errors.RayError,
            ConnectionError,
        ):  # ConnectionError comes from clients, whose address begins with ray://
            raise interface.gone("the Ray cluster") from None

    def _result(self, reference: Any) -> Any:
        while True:
            with suppress(self.ray.exceptions.GetTimeoutError):
                return self.ray.get(reference, timeout=_PATIENCE_SECONDS)
            self._refuse_gone()

    def _refuse_gone(self) -> None:
        try:
            _knock(self.address)
        except OSError:
            raise interface.gone("the Ray cluster") from None


@contextmanager
def open_ray(scheduler: str | None, workers: int) -> Iterator[RayEngine]:
    """Open an engine on the cluster at an address, or else on new worker processes.

    Raises
    ------
    InputError
        If Ray is not installed, no cluster answers, or the workers run a different version of xent.
    """
    try:
        import ray
    except ImportError:
        raise interface.missing("ray") from None
    import logging

    options: dict[str, Any] = {"log_to_driver": False, "logging_level": logging.CRITICAL}
    if scheduler is None:
        options |= {"address": "local", "num_cpus": workers, "include_dashboard": False}
    else:
        options["address"] = scheduler
    with ExitStack() as stack:
        # Ray reports every retried task on standard output, where the results go.
        stack.enter_context(redirect_stdout(stack.enter_context(open(os.devnull, "w"))))  # noqa: PTH123
        try:
            _knock(options["address"])
            ray.init(**options)
        except (ConnectionError, RuntimeError, ValueError, OSError) as error:
            lines = str(error).strip().split("\n")  # a client receives the whole traceback of the server
            found = " ".join(lines[:: max(1, len(lines) - 1)])
            raise InputError("no Ray cluster", scheduler or "on this machine", found=found) from None
        stack.callback(_shut_down, ray)
        interface.refuse_other_versions(partial(_versions, ray))
        cores = max(1, int(ray.cluster_resources().get("CPU", 1)))
        # A client may be unable to reach the store of the cluster's state.
        through_client = options["address"].startswith("ray://")
        address = options["address"] if through_client else ray.get_runtime_context().gcs_address
        yield RayEngine(ray, interface.TASKS_A_CORE * cores, address)


def _shut_down(ray: Any) -> None:
    with interface.silent():  # it would report every unfinished task in a line
        ray.shutdown()


def _versions(ray: Any) -> dict[str, str]:
    """Return the version of xent on every node that has CPUs, from a task on each that does not wait for a core."""
    from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

    ask = ray.remote(num_cpus=0)(interface.version_here)
    nodes = [node["NodeID"] for node in ray.nodes() if node["Alive"] and node["Resources"].get("CPU")]
    places = [NodeAffinitySchedulingStrategy(node, soft=False) for node in nodes]
    return dict(zip(nodes, ray.get([ask.options(scheduling_strategy=place).remote() for place in places]), strict=True))


def _knock(address: str) -> None:
    """Raise OSError if nothing listens at HOST:PORT or ray://HOST:PORT; Ray itself would try for minutes."""
    host, colon, port = address.removeprefix("ray://").rpartition(":")
    if colon and port.isdecimal():
        socket.create_connection((host, int(port)), _PATIENCE_SECONDS).close()
