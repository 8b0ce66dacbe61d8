"""What a run on many workers would take: a model with measured rates, replayed with stragglers and failures.

    python -m benchmarks.scale

prints, for 1 to 1,000 workers, the time, the dollars, and what limits: the driver, the store or the workers. The rates
are those of docs/scale.md, which says which of them were measured and which are assumed.
"""

from __future__ import annotations

import heapq
import random
from dataclasses import dataclass

GB = 1e9
# Below this share, the limit is results waiting for one another.
_BUSY = 0.6


@dataclass(frozen=True, slots=True)
class Rates:
    """Assumptions of the model.

    Fields
    ------
    worker
        Bytes of logits that one worker of one core decodes and evaluates a second.
    request
        Seconds until the store begins to answer.
    connection
        Bytes a second that the store sends to one worker.
    store
        Bytes a second that the store sends to all of them.
    driver
        Seconds of the driver for each task: sending the recipe, taking the totals, merging.
    task
        Bytes of logits in a task: a row group.
    straggling, slowdown
        Share of tasks that are slow, and how much slower they are.
    failure
        Chance that a worker dies during a task, which then begins anew on another one.
    replacement
        Seconds until a worker that died is replaced.
    window
        Tasks in flight for each worker; results are taken in order, so that a slow task holds up what comes after it.
    core_hour
        Dollars for a core and an hour.
    """

    worker: float = 0.15 * GB
    request: float = 0.03
    connection: float = 0.1 * GB
    store: float = 25 * GB
    driver: float = 1.6e-3
    task: float = 64e6
    straggling: float = 0.01
    slowdown: float = 5.0
    failure: float = 1e-5
    replacement: float = 60.0
    window: int = 8
    core_hour: float = 0.05


@dataclass(frozen=True, slots=True)
class Outcome:
    """Result of a run.

    Fields
    ------
    seconds
        From the first task sent to the last result merged.
    driver, store, workers
        How busy each was on average, from 0 to 1; a worker is busy while it reads, too.
    starved
        Whether the store sends a worker less than its connection could take.
    """

    seconds: float
    driver: float
    store: float
    workers: float
    starved: bool

    @property
    def limit(self) -> str:
        """The bottleneck; "order" if nothing is busy and results wait for one another."""
        if self.driver > _BUSY:
            return "driver"
        if self.workers < _BUSY:
            return "order"
        return "store" if self.starved else "workers"


def simulate(workers: int, total: float, rates: Rates, seed: int = 0) -> Outcome:
    """Replay a run: tasks are sent in order, a window of them at most, and the driver merges results in order.

    Examples
    --------
    >>> still = Rates(straggling=0, failure=0, driver=0, request=0, connection=1e12, store=1e15, worker=1e9, task=1e9)
    >>> round(simulate(1, 10e9, still).seconds, 3)
    10.01
    >>> round(simulate(2, 10e9, still).seconds, 3)
    5.005
    """
    chance = random.Random(seed)
    count = max(1, round(total / rates.task))
    window = rates.window * workers
    idle = [0.0] * workers
    heapq.heapify(idle)
    finished = [0.0] * count
    busy = 0.0
    driver = 0.0  # when the driver is free again
    merged = 0
    # All workers share what the store can send.
    fair = min(rates.connection, rates.store / workers)
    for number in range(count):
        if number >= window:  # the result at the head of the queue is merged before another task is sent
            driver = max(driver, finished[merged]) + rates.driver
            merged += 1
        begin = max(heapq.heappop(idle), driver)
        took = rates.request + rates.task / fair + rates.task / rates.worker
        if chance.random() < rates.straggling:
            took *= rates.slowdown
        busy += took
        end = begin + took
        free = end
        if chance.random() < rates.failure:  # half of it is lost, and another worker starts over
            busy += took / 2
            end += took / 2
            free = end + rates.replacement
        finished[number] = end
        heapq.heappush(idle, free)
    while merged < count:
        driver = max(driver, finished[merged]) + rates.driver
        merged += 1
    return Outcome(
        seconds=driver,
        driver=count * rates.driver / driver,
        store=total / rates.store / driver,
        workers=busy / workers / driver,
        starved=fair < rates.connection,
    )


def table(total: float, rates: Rates) -> str:
    """The model for 1 to 1,000 workers, as Markdown."""
    lines = ["| workers | minutes | speed-up | dollars | busy: driver | store | workers | limit |", "|---" * 8 + "|"]
    alone = simulate(1, total, rates).seconds
    for workers in (1, 2, 5, 10, 20, 50, 100, 200, 500, 1000):
        found = simulate(workers, total, rates)
        dollars = found.seconds / 3600 * workers * rates.core_hour
        shares = f"{found.driver:.0%} | {found.store:.0%} | {found.workers:.0%}"
        lines.append(
            f"| {workers} | {found.seconds / 60:.1f} | {alone / found.seconds:.1f} | {dollars:.2f} "
            f"| {shares} | {found.limit} |"
        )
    return "\n".join(lines)


if __name__ == "__main__":
    print("2.5 TB in tasks of 64 MB, Dask\n")
    print(table(2.5e12, Rates()))
    print("\n2.5 TB in tasks of 512 MB, Dask\n")
    print(table(2.5e12, Rates(task=512e6)))
    print("\n2.5 TB in tasks of 64 MB, two in flight for each worker\n")
    print(table(2.5e12, Rates(window=2)))
