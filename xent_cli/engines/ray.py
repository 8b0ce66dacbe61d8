"""Tasks on a Ray cluster: one that runs already, or one of processes on this machine."""

from __future__ import annotations

import os
import socket
from collections import deque
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeVar

from xent_cli.engines.interface import refuse_other_versions, version_here
from xent_cli.errors import InputError, XentError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    Item = TypeVar("Item")
    Result = TypeVar("Result")

# How often Ray runs a task again that failed, or whose worker died.
_RETRIES = 2
# Tasks for each thread: results are taken in order, and a slow one must not leave the others without work.
_IN_FLIGHT = 8
# A cluster that says nothing for so long is asked whether it is still there.
_PATIENCE_SECONDS = 5.0


@dataclass(frozen=True, slots=True)
class RayEngine:
    """Runs tasks on workers; they are sent as recipes, and read what they need where they run."""

    ray: Any
    window: int

    def map(self, function: Callable[[Item], Result], tasks: Iterable[Item], /) -> Iterator[Result]:
        """See `Engine`."""
        ray = self.ray
        call = ray.remote(max_retries=_RETRIES, retry_exceptions=True)(_call)
        sent = ray.put(function)
        remaining = iter(tasks)
        waiting: deque[Any] = deque()
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
                    waiting.append(call.remote(sent, task))
                if not waiting:
                    break
                yield self._result(waiting.popleft())
            if failure is not None:
                raise failure
        finally:
            for reference in waiting:
                with suppress(Exception):
                    ray.cancel(reference, force=True)

    def _result(self, reference: Any) -> Any:
        errors = self.ray.exceptions
        try:
            while True:
                with suppress(errors.GetTimeoutError):
                    return self.ray.get(reference, timeout=_PATIENCE_SECONDS)
                self.ray.nodes()  # raises where the cluster is gone
        except errors.RayTaskError as error:
            raise error.cause from None
        except errors.WorkerCrashedError:
            found = f"{_RETRIES + 1} workers that died at the same task"
            raise XentError("workers die", found=found, hint="more memory for each, or smaller row groups") from None
        except (errors.RayError, ConnectionError, RuntimeError) as error:
            found = str(error).strip().split("\n")[0]
            raise XentError("the Ray cluster went away", found=found, hint="run again; nothing was written") from None


@contextmanager
def open_ray(scheduler: str | None, workers: int) -> Iterator[RayEngine]:
    """Engine on the cluster at an address, else on so many new processes.

    Raises
    ------
    InputError
        Where Ray is not installed, nobody answers, or the workers have another version of xent.
    """
    # Ray's own words on standard error are for those who build Ray.
    os.environ.setdefault("RAY_DEDUP_LOGS", "0")
    os.environ.setdefault("RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO", "0")
    try:
        import ray
    except ImportError:
        raise InputError("missing package", "--engine ray", hint="pip install 'xent-cli[ray]'") from None
    import logging

    scheduler = scheduler or os.environ.get("RAY_ADDRESS")
    options: dict[str, Any] = {"log_to_driver": False, "logging_level": logging.CRITICAL}
    if scheduler is None:
        options |= {"address": "local", "num_cpus": workers, "include_dashboard": False}
    else:
        options["address"] = scheduler
    try:
        _knock(scheduler)
        ray.init(**options)
    except (ConnectionError, RuntimeError, ValueError, OSError) as error:
        found = str(error).strip().split("\n")[0]
        raise InputError("no Ray cluster", scheduler or "on this machine", found=found) from None
    try:
        refuse_other_versions(lambda: {"a worker": ray.get(ray.remote(_call).remote(version_here, None))})
        yield RayEngine(ray, _IN_FLIGHT * max(1, int(ray.cluster_resources().get("CPU", 1))))
    finally:
        ray.shutdown()


def _knock(address: str | None) -> None:
    """Raise OSError where nobody listens; Ray itself would try for minutes."""
    host, colon, port = (address or "").removeprefix("ray://").rpartition(":")
    if colon and port.isdecimal():
        socket.create_connection((host, int(port)), _PATIENCE_SECONDS).close()


def _call(function: Callable[[Item], Result], task: Item) -> Result:
    return function(task)
