"""Evaluate opened inputs and total the results: the part that compute, check and verify share."""

from __future__ import annotations

import sys
from functools import partial
from typing import TYPE_CHECKING

from xent_cli.core.evaluate import evaluate_block, weigh_block
from xent_cli.core.run_totals import RunTotals
from xent_cli.core.totals.exact_sum import ExactSum
from xent_cli.core.totals.loss_totals import LossTotals
from xent_cli.errors import RowError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    from xent_cli.cli.options import RunFlags
    from xent_cli.cli.runs.outputs.targets import Targets
    from xent_cli.core.block import Task
    from xent_cli.core.evaluate import BlockLoss
    from xent_cli.core.options import LossOptions, Outputs
    from xent_cli.engines.interface import Engine
    from xent_cli.readers.pair.paired_inputs import Pair
    from xent_cli.writers.parts import Parts

    Track = Callable[[Iterable[BlockLoss]], Iterator[BlockLoss]]


def evaluate_pair(
    pair: Pair,
    options: LossOptions,
    wanted: Outputs,
    engine: Engine,
    targets: Targets,
    *,
    track: Track = iter,
) -> RunTotals:
    """Evaluate all samples, pass rows and gradients to their writers, and return the totals.

    Parameters
    ----------
    targets
        Where rows and gradients go.
    track
        Passes blocks on and shows the progress.

    Raises
    ------
    InputError
        At an invalid row, numbered as the user counts, or if no sample is left to average.
    """
    try:
        if (gradients := targets.gradients) is not None:
            divisor = 1.0 if gradients.of_sum else float(divisor_of(pair, options, engine))
            wanted = wanted._replace(gradient_dtype=gradients.kernel_dtype, gradient_denominator=divisor)
        totals = RunTotals(LossTotals(options.signature("")))
        for block in track(_blocks(pair, options, wanted, engine, targets)):
            totals = totals.merge(block.totals)
            for folder in targets.folders:
                folder.note(block)
            for writer in targets.writers:
                writer.write(block)
        totals.losses.refuse_nothing(pair.logits.info.description.path)
        for writer in targets.writers:
            writer.finish()
        return totals
    except RowError as error:
        raise pair.complete(error, options) from None


def _blocks(pair: Pair, options: LossOptions, wanted: Outputs, engine: Engine, targets: Targets) -> Iterable[BlockLoss]:
    """Return the evaluated blocks in order; the workers write parts of folders."""
    if not targets.folders:
        return engine.map(partial(evaluate_block, options=options, outputs=wanted), pair.tasks())
    parts, kept = tuple(folder.parts for folder in targets.folders), bool(targets.writers)
    function = partial(_evaluate_into_parts, options=options, outputs=wanted, recipes=parts, kept=kept)
    return engine.map(function, pair.tasks())


def _evaluate_into_parts(
    task: Task, options: LossOptions, outputs: Outputs, recipes: tuple[Parts, ...], kept: bool
) -> BlockLoss:
    """Evaluate a block and write its parts in this process; return the rows only if `kept`."""
    from xent_cli.writers.parts import without_arrays

    block = evaluate_block(task, options, outputs)
    for recipe in recipes:
        recipe.write(block)
    return block if kept else without_arrays(block)


def divisor_of(pair: Pair, options: LossOptions, engine: Engine) -> ExactSum:
    """Return what the mean divides by: the number of samples if each has weight 1, else found in a pass over labels."""
    every_one_counts = not options.ignore_index and not options.ignore_missing and options.class_weight is None
    every_one_counts = every_one_counts and not options.shift and not options.sample_weighted and not options.masked
    if every_one_counts and pair.logits.info.num_rows is not None:
        return ExactSum.of_count(pair.logits.info.num_rows)
    return sum(engine.map(partial(weigh_block, options=options), pair.tasks()), ExactSum())


def progress(run: RunFlags, num_rows: int | None) -> Track:
    """Return a function that shows progress while it passes blocks on; `num_rows` is None if the total is unknown."""
    if not run.progress or run.quiet or not sys.stderr.isatty():
        return iter
    from xent_cli.cli.display.progress import track

    return track(num_rows)
