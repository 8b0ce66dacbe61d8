"""A progress bar on a terminal, once a run takes longer than a second."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    from xent_cli.core.evaluate import BlockLoss


def track(num_rows: int | None, patience_seconds: float = 1.0) -> Callable[[Iterable[BlockLoss]], Iterator[BlockLoss]]:
    """Return a function that passes blocks on and shows progress, once a run has taken some time.

    Parameters
    ----------
    num_rows
        Number of rows of the whole input, or None if it is unknown.
    """
    return lambda blocks: _tracked(blocks, num_rows, patience_seconds)


def _tracked(blocks: Iterable[BlockLoss], num_rows: int | None, patience_seconds: float) -> Iterator[BlockLoss]:
    begun = time.monotonic()
    done = tasks = 0
    remaining = iter(blocks)
    for block in remaining:
        done += block.size
        tasks += 1
        yield block
        if time.monotonic() - begun > patience_seconds:
            break
    else:
        return
    from rich.console import Console
    from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn

    columns = TextColumn("{task.completed:,} samples, {task.description}"), BarColumn(), TimeRemainingColumn()
    with Progress(*columns, console=Console(stderr=True), transient=True) as bar:
        task = bar.add_task("", total=num_rows, completed=done)
        for block in remaining:
            yield block
            done += block.size
            tasks += 1
            rate = done / (time.monotonic() - begun)
            bar.update(task, completed=done, description=f"{tasks:,} tasks, {rate:,.0f} samples/s")
