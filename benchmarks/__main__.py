"""`python -m benchmarks`: make the data, run every contender in turn, write the table, the JSON and the chart."""

from __future__ import annotations

import gc
import json
import sys
import tempfile
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from benchmarks import kernels, report, runs
from benchmarks.case import Missing
from benchmarks.chart import chart
from benchmarks.growth import grow
from benchmarks.machine import describe
from benchmarks.race import Outcome, race

if TYPE_CHECKING:
    from collections.abc import Iterator

    from benchmarks.growth import Growth

_RESULTS = Path(__file__).parent / "results"


@click.command()
@click.option("--quick", is_flag=True, help="A twentieth of the data: to see that all runs, not how fast.")
@click.option("--only", "names", multiple=True, metavar="NAME", help="This case alone; repeatable. growth: the chart.")
@click.option("--rounds", type=click.IntRange(1), default=5, show_default=True, help="How often each contender runs.")
@click.option(
    "--output", type=click.Path(path_type=Path), help="Folder for what is written; default: results/, of all."
)
@click.option("--work", type=click.Path(path_type=Path), help="Folder for data of 3 GB; default: a temporary one.")
@click.option(
    "--pages", type=click.Path(path_type=Path), help="Write the sections of README and docs in this folder and stop."
)
def main(
    quick: bool, names: tuple[str, ...], rounds: int, output: Path | None, work: Path | None, pages: Path | None
) -> None:
    """Measure xent against the alternatives; benchmarks/NOTES.md says what the figures mean."""
    if pages is not None:
        report.write_pages(pages, json.loads(((output or _RESULTS) / "results.json").read_text()))
        return
    if output is None and not names and not quick:
        output = _RESULTS
    results: dict[str, Any] = {"machine": describe(), "rounds": rounds, "quick": quick, "cases": {}, "growth": {}}
    with tempfile.TemporaryDirectory(dir=work) as folder:
        for outcome in measure(Path(folder), names, rounds, quick=quick):
            if isinstance(outcome, Outcome):
                results["cases"][outcome.name] = asdict(outcome)
            else:
                results["growth"] = {
                    growth.against: {**asdict(growth), "straight": growth.straight} for growth in outcome
                }
            if output is not None:
                write(output, results, outcome)
    click.echo(report.markdown(results))


def measure(work: Path, names: tuple[str, ...], rounds: int, *, quick: bool) -> Iterator[Outcome | list[Growth]]:
    """Run the cases one after another, then the growth; print each result as it arrives."""
    cases = {**runs.cases(work, quick=quick), **kernels.cases(work, quick=quick)}
    unknown = set(names) - set(cases) - {"growth"}
    if unknown:
        raise click.UsageError(f"no such case: {', '.join(sorted(unknown))}; there are {', '.join(cases)} and growth")
    for name, make in cases.items():
        if names and name not in names:
            continue
        try:
            outcome = race(make(), rounds)
        except Missing as reason:
            click.echo(f"{name}: skipped, {reason}", err=True)
            continue
        for verdict in outcome.verdicts:
            click.echo(f"{name}: {verdict.goal}: {verdict.median:.3g}, goal {verdict.limit:g}", err=True)
        yield outcome
        gc.collect()
    if not names or "growth" in names:
        yield grow(work, rounds, quick=quick)


def write(output: Path, results: dict[str, Any], outcome: Outcome | list[Growth]) -> None:
    """Write the results so far: a failure in the last case must not lose minutes of measuring."""
    output.mkdir(parents=True, exist_ok=True)
    (output / "results.json").write_text(json.dumps(results, indent=1) + "\n")
    (output / "results.md").write_text(report.markdown(results))
    if not isinstance(outcome, Outcome):
        (output / "growth.svg").write_text(chart(outcome))


if __name__ == "__main__":
    sys.exit(main())
