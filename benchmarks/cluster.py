"""Engines against one another on the same table, in turn: what two workers of a cluster lose against two threads.

    python -m benchmarks.cluster FOLDER [URL] [--rounds 5] [--engines local,dask,ray]

FOLDER holds Parquet files, and is filled with 1 GB of them where it does not exist; URL is where a server has the same
files, to be read beside them. The clusters are up before anything is measured, and what that took is said. Every engine
must come to the same summary; where one does not, this ends with an error.
"""

from __future__ import annotations

import argparse
import time
from contextlib import ExitStack
from pathlib import Path
from statistics import median
from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from xent_cli.cli.runs.evaluate_pair import evaluate_pair
from xent_cli.cli.runs.outputs.targets import Targets
from xent_cli.core.options import LossOptions, Outputs
from xent_cli.engines.dask import open_dask
from xent_cli.engines.local import open_local
from xent_cli.engines.ray import open_ray
from xent_cli.readers.options import ReadOptions, RunNeeds
from xent_cli.readers.pair.pair import open_pair

if TYPE_CHECKING:
    from collections.abc import Callable
    from contextlib import AbstractContextManager

    from xent_cli.engines.interface import Engine

WORKERS = 2
FILES, ROWS, CLASSES, GROUPS = 16, 16_000, 1000, 4


def fill(folder: Path) -> None:
    """Write 1 GB of float32 logits as lists, with labels."""
    folder.mkdir(parents=True)
    chance = np.random.default_rng(0)
    for number in range(FILES):
        values = pa.array(chance.standard_normal(ROWS * CLASSES, np.float32))
        lists = pa.FixedSizeListArray.from_arrays(values, CLASSES)
        table = pa.table({"logits": lists, "label": chance.integers(0, CLASSES, ROWS)})
        path = folder / f"part-{number}.parquet"
        pq.write_table(table, path, row_group_size=ROWS // GROUPS, compression="none", use_dictionary=False)


def seconds(path: str, engine: Engine, *, local: bool) -> tuple[float, object]:
    """How long a run takes, opening and all, and its summary."""
    began = time.perf_counter()
    pair = open_pair(path, None, None, ReadOptions(run=RunNeeds(whole_groups=not local)))
    totals = evaluate_pair(pair, LossOptions(), Outputs(figures=True, top_k=(1, 5)), engine, Targets())
    return time.perf_counter() - began, totals.losses.summarize()


def main() -> None:
    """Open the clusters, measure in turn, and print a table of medians."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0] if __doc__ else None)
    parser.add_argument("folder")
    parser.add_argument("url", nargs="?")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--engines", default="local,dask,ray")
    given = parser.parse_args()
    if not Path(given.folder).exists():
        fill(Path(given.folder))
    places = {"files": given.folder} | ({"server": given.url} if given.url else {})
    opening: dict[str, Callable[[None, int], AbstractContextManager[Engine]]] = {"dask": open_dask, "ray": open_ray}
    engines: dict[str, Engine] = {}
    summaries = []
    with ExitStack() as stack:
        for name in given.engines.split(","):
            began = time.perf_counter()
            engines[name] = (
                open_local(WORKERS) if name == "local" else stack.enter_context(opening[name](None, WORKERS))
            )
            print(f"{name} up after {time.perf_counter() - began:.1f} s", flush=True)
        found: dict[tuple[str, str], list[float]] = {}
        for _ in range(given.rounds + 1):  # the first goes into caches, and is not counted
            for place, path in places.items():
                for name, engine in engines.items():
                    took, summary = seconds(path, engine, local=name == "local")
                    found.setdefault((place, name), []).append(took)
                    summaries.append(summary)
    if any(summary != summaries[0] for summary in summaries):
        raise SystemExit("the summaries differ")
    print(
        "| where | engine | first, s | median, s | speed, of local on files | of local there |",
        "|---" * 6 + "|",
        sep="\n",
    )
    base = next(iter(found.values()))
    for (place, name), times in found.items():
        ratios = (
            median(one / two for one, two in zip(other[1:], times[1:], strict=True))
            for other in (base, found[place, next(iter(engines))])
        )
        shares = " | ".join(f"{ratio:.2f}" for ratio in ratios)
        print(f"| {place} | {name} | {times[0]:.1f} | {median(times[1:]):.2f} | {shares} |")


if __name__ == "__main__":
    main()
