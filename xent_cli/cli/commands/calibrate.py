"""`xent calibrate`: the temperature at which a model's confidence matches its accuracy."""

from __future__ import annotations

from functools import partial
from typing import Any

import click

from xent_cli.cli.commands.help import OUTPUT, Command, option, without
from xent_cli.cli.commands.options import input_options, loss_options
from xent_cli.cli.commands.run_options import bins_option, cluster_option, lines_format_option, run_options

_EXAMPLES = (
    "xent calibrate logits.npy labels.npy",
    "xent calibrate validation.npz -o temperature.json",
    "xent compute test.npz --temperature temperature.json --calibration",
    "xent calibrate logits.npy labels.npy --folds 5",
    "xent calibrate logits.npy labels.npy -f json | jq .temperature",
    "xent check logits.npy labels.npy --max calibration_gain=0.01",
)
# Options that would change what is minimised, or are about inputs without a temperature.
_NOT_HERE = (
    *("source", "labels_from", "normalize", "unnormalized", "label_smoothing", "class_weight"),
    *("temperature", "teacher_temperature", "precision"),
)

_output = partial(option, section=OUTPUT)


@without(*_NOT_HERE)
@click.command(
    cls=Command,
    short_help="Fit the temperature that calibrates a model.",
    most_used=("document", "folds", "output_format", "ignore_index", "cluster"),
    examples=_EXAMPLES,
)
@input_options
@loss_options
@_output(
    "-o",
    "--output",
    "document",
    type=click.Path(readable=False),
    metavar="FILE.json",
    help="File for the temperature; other commands read it with --temperature FILE.",
)
@_output(
    "--folds",
    type=click.IntRange(2),
    metavar="K",
    help="Also fit K times, each time without one fold, and report loss and calibration of the samples left out.",
)
@lines_format_option
@cluster_option
@bins_option
@run_options
def calibrate(**flags: Any) -> None:
    """Fit the temperature T that minimises the mean loss of logits / T, and report its effect on loss and calibration.

    The loss is convex in 1/T, and four or five passes over the files find T to the last digits. There is no such T, and
    the exit code is 3, if every label has the highest logit of its row, if the logits are no better than chance, or if
    the logit of a label is -inf. Fit on a validation set, then evaluate on a test set with --temperature FILE.
    """
    from xent_cli.cli.display.calibration import show_fit
    from xent_cli.cli.options import OutputFlags, grouped, shared_options
    from xent_cli.cli.output_plan import Streams, plan_output
    from xent_cli.cli.runs import calibrate as run

    options = run.CalibrateOptions(shared_options(flags), grouped(run.FitFlags, flags))
    form = OutputFlags(output_format=flags["output_format"])
    output = plan_output("calibrate", form, options.shared.run, Streams.of_process())
    show_fit(run.calibrate(options, quiet=output.quiet), output, options.shared.origin)
