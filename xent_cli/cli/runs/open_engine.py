"""Opens the engine that runs the tasks of a command: threads of this process, or a cluster."""

from __future__ import annotations

import os
from contextlib import contextmanager, nullcontext
from typing import TYPE_CHECKING

from xent_cli import start

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from contextlib import AbstractContextManager

    from xent_cli.cli.options import RunFlags
    from xent_cli.engines.interface import Engine

# Variables that say where a cluster is if --scheduler does not; the libraries read them too.
_ADDRESS_VARIABLES = {"dask": "DASK_SCHEDULER_ADDRESS", "ray": "RAY_ADDRESS"}


def open_engine(run: RunFlags) -> AbstractContextManager[Engine]:
    """Open the engine that runs the tasks.

    Raises
    ------
    UsageError
        If a cluster cannot be reached or used.
    """
    if run.engine == "local":
        from xent_cli.engines.local import open_local

        start.keep_memory()
        return nullcontext(open_local(run.threads))
    return _open_cluster(run.engine, cluster_address(run, os.environ), run.threads)


def cluster_address(run: RunFlags, environment: Mapping[str, str]) -> str | None:
    """Return the address of the cluster from the option, or else from the environment; None to start one here."""
    return run.scheduler or environment.get(_ADDRESS_VARIABLES[run.engine]) or None


@contextmanager
def _open_cluster(name: str, scheduler: str | None, workers: int) -> Iterator[Engine]:
    """Open an engine on a cluster, which a signal must unwind so that its processes end too."""
    start.set_up_workers()
    if name == "dask":
        from xent_cli.engines.dask import open_dask as opened
    else:
        from xent_cli.engines.ray import open_ray as opened  # type: ignore[assignment]
    with start.unwinding(), opened(scheduler, workers) as runner:
        start.handle_signals()  # Ray installs signal handlers of its own
        yield runner
