"""From opened inputs to totals: what compute and its siblings share."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import partial
from typing import TYPE_CHECKING

from xent_cli.core.evaluate import evaluate_block, evaluate_blocks, weigh_block
from xent_cli.core.totals.exact_sum import ExactSum
from xent_cli.core.totals.loss_totals import LossTotals
from xent_cli.core.totals.run_totals import RunTotals
from xent_cli.errors import InputError, RowError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    from xent_cli.cli.runs.gradient_output import Gradients
    from xent_cli.core.block import Task
    from xent_cli.core.evaluate import BlockLoss
    from xent_cli.core.options import LossOptions, Wanted
    from xent_cli.engines.interface import Engine
    from xent_cli.readers.pair.pair import Pair
    from xent_cli.writers.folder import PartsFolder
    from xent_cli.writers.interface import RowWriter
    from xent_cli.writers.parts import Parts
    from xent_cli.writers.publish import Publication

    Track = Callable[[Iterable[BlockLoss]], Iterator[BlockLoss]]


@dataclass(frozen=True, slots=True)
class Targets:
    """Where the results of a run go.

    Fields
    ------
    outputs
        Of the run: that of the gradients is added.
    writer
        Of rows, here and in order.
    gradients
        What the gradients are like, and where they go.
    folder
        Of rows that are written where they are computed.
    """

    outputs: Publication
    writer: RowWriter | None = None
    gradients: Gradients | None = None
    folder: PartsFolder | None = None


def run(
    pair: Pair,
    options: LossOptions,
    wanted: Wanted,
    engine: Engine,
    into: Targets,
    *,
    track: Track = iter,
) -> RunTotals:
    """Evaluate all samples, hand rows and gradients to their writers, and return the totals.

    Parameters
    ----------
    into
        Where rows and gradients go.
    track
        Shows how far it is.

    Raises
    ------
    InputError
        At an invalid row, named as the user counts it, or where no sample is left to average.
    """
    outputs, writer, gradients, folder = into.outputs, into.writer, into.gradients, into.folder
    try:
        gradient_writer = None
        folders = [] if folder is None else [folder]
        if gradients is not None:
            if gradients.path.endswith("/"):
                from xent_cli.writers.folder import open_folder

                folders.append(open_folder(outputs, gradients.path, None, gradients.dtype.str))
            else:
                from xent_cli.writers.npy import GradientWriter

                stream = outputs.file(gradients.path)
                shape = pair.logits.description.shape
                gradient_writer = GradientWriter(stream, shape, options.axis % len(shape), gradients.dtype)
            divisor = 1.0 if gradients.of_sum else float(divisor_of(pair, options, engine))
            # The kernel has no bfloat16: its writer rounds to that from float32.
            kernel_dtype = "<f4" if gradients.dtype.kind == "V" else gradients.dtype.str
            wanted = replace(wanted, gradient_dtype=kernel_dtype, gradient_denominator=divisor)
        totals = RunTotals(LossTotals(options.signature("")))
        if folders:
            recipes = tuple(entry.parts for entry in folders)
            kept = writer is not None or gradient_writer is not None
            into_parts = partial(_evaluate_into_parts, options=options, wanted=wanted, recipes=recipes, kept=kept)
            blocks = engine.map(into_parts, pair.tasks())
        else:
            blocks = evaluate_blocks(pair.tasks(), options, wanted, engine.map)
        for block in track(blocks):
            totals = totals.merge(block.totals)
            for entry in folders:
                entry.note(block)
            if writer is not None:
                writer.write(block)
            if gradient_writer is not None:
                gradient_writer.write(block)
        refuse_nothing(totals.losses, pair, options)
        if gradient_writer is not None:
            gradient_writer.finish()
        return totals
    except RowError as error:
        raise pair.complete(error, options) from None


def _evaluate_into_parts(
    task: Task, options: LossOptions, wanted: Wanted, recipes: tuple[Parts, ...], kept: bool
) -> BlockLoss:
    """Evaluate a block and write its parts, in whichever process this is; the rows come back only where `kept`."""
    from xent_cli.writers.parts import light

    block = evaluate_block(task, options, wanted)
    for recipe in recipes:
        recipe.write(block)
    return block if kept else light(block)


def divisor_of(pair: Pair, options: LossOptions, engine: Engine) -> ExactSum:
    """What the mean divides by: known beforehand where every sample counts 1, else from a pass over the labels."""
    every_one_counts = not options.ignore_index and not options.ignore_missing and options.class_weight is None
    every_one_counts = every_one_counts and not options.shift and not options.sample_weighted and not options.masked
    if every_one_counts and pair.logits.num_rows is not None:
        return ExactSum.of_count(pair.logits.num_rows)
    return sum(engine.map(partial(weigh_block, options=options), pair.tasks()), ExactSum())


def refuse_nothing(totals: LossTotals, pair: Pair, options: LossOptions) -> None:
    """Refuse a mean of no samples, or of weights that are all 0."""
    if totals.n_samples == 0:
        raise InputError(
            "nothing left to average",
            pair.logits.description.path,
            found=f"{totals.n_ignored} samples, all ignored or without a label",
            expected="at least one sample with a loss",
        )
    if totals.weight is not None and totals.weight.units == 0:
        raise InputError(
            "nothing left to average",
            pair.logits.description.path,
            found="weights that sum to 0",
            expected="at least one positive weight",
        )
