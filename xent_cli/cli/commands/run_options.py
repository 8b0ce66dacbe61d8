"""The options about outputs and about the run itself, which commands share."""

from __future__ import annotations

import math
import os
from functools import partial

import click

from xent_cli.cli.commands.help import CLUSTER, GENERAL, OUTPUT, option, stacked

# As in core.row_columns, which imports more than an option needs.
_COLUMNS = ("predicted", "confidence", "p_label", "margin", "rank", "entropy")
_MOST_BINS = 10_000
# More than a clock can wait.
_LONGEST_SECONDS = 1e6

_output = partial(option, section=OUTPUT)
_cluster = partial(option, section=CLUSTER)
_general = partial(option, section=GENERAL)


def _threads() -> int:
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def _picture(context: click.Context, option: click.Parameter, path: str | None) -> str | None:
    if path is not None:
        from xent_cli import reports

        reports.plot_form(path)
    return path


overflow_option = _output(
    "--overflow-report",
    is_flag=True,
    help="Count the rows for which the textbook formula -log(exp(z_y) / sum(exp(z))) fails in each float type.",
)

by_option = _output(
    "--by",
    multiple=True,
    metavar="NAME|axis:N|label|NAME=FILE",
    help="Column of a table, axis of the array of logits, the label, or a file of one value per sample; reports the "
    "figures for each value too; repeatable. column:NAME is always a column.",
)

macro_option = _output(
    "--macro",
    metavar="NAME|axis:N|label|NAME=FILE",
    help="Report macro_loss and macro_perplexity, the averages of the groups' mean losses and perplexities; groups are "
    "given as for --by.",
)

units_option = _output(
    "--units",
    metavar="NAME|FILE|NUMBER",
    help="Column or file with the number of bytes or words of each sample (or of each document of [batch, time]), or "
    "their total; adds bits_per_unit and unit_perplexity.",
)

cluster_option = _output(
    "--cluster",
    metavar="COLUMN|axis:N|every:N|none",
    help="How samples are grouped into clusters, which intervals and tests treat as independent of one another; "
    "default: the first axis of an array with several axes of samples, else none.",
)

divergence_option = _output(
    "--divergence",
    type=click.Choice(["kl", "all"]),
    default="kl",
    show_default=True,
    help="Distance from a teacher to report: the KL divergence alone, or also the reverse KL, Jensen-Shannon, the "
    "teacher's entropy and the overlap of the five likeliest classes.",
)

top_by_option = _output(
    "--top-by",
    type=click.Choice(["loss", "kl"]),
    default="loss",
    show_default=True,
    help="Whether to list the samples with the highest loss or those with the highest divergence from a teacher.",
)


def _listed(context: click.Context, parameter: click.Parameter, text: str | None) -> tuple[str, ...]:
    names = tuple(dict.fromkeys((text or "").split(","))) if text else ()
    odd = next((name for name in names if name not in _COLUMNS), None)
    if odd is not None:
        raise click.BadParameter(f"{odd!r} is not one of {', '.join(_COLUMNS)}.", context, parameter)
    return names


columns_option = _output(
    "--columns",
    metavar="NAMES",
    callback=_listed,
    help=f"Columns to add after the loss in per-sample rows, separated by commas: {', '.join(_COLUMNS)}.",
)


def _bins(context: click.Context, parameter: click.Parameter, text: str | None) -> tuple[int, bool] | None:
    if text is None:
        return None
    count = text.removeprefix("mass:")
    if not count.isascii() or not count.isdigit() or not 1 <= int(count) <= _MOST_BINS:
        raise click.BadParameter(f"{text!r} is not N or mass:N with N from 1 to {_MOST_BINS}.", context, parameter)
    return int(count), count != text


bins_option = _output(
    "--bins",
    metavar="N|mass:N",
    callback=_bins,
    help="Bins of the calibration error: N of equal width, or N that hold equally many samples; default: 15.",
)

calibration_options = stacked(
    _output(
        "--calibration",
        is_flag=True,
        help="Report the expected calibration error (ece) and the Brier score; a limit on one of them implies it.",
    ),
    bins_option,
)

plot_option = _output(
    "--plot",
    type=click.Path(),
    callback=_picture,
    metavar="FILE",
    help="File for a histogram of the losses: .svg or .png.",
)


def _patient(context: click.Context, option: click.Parameter, seconds: float) -> float:
    """Set the time limit of the network; the code that holds it is loaded only if the option is given."""
    if not math.isfinite(seconds):
        raise click.BadParameter(f"{seconds} is not a finite number of seconds.", context, option)
    if context.get_parameter_source(str(option.name)) is not click.core.ParameterSource.DEFAULT:
        from xent_cli.readers.storage.reading import timeout

        timeout.set(min(seconds, _LONGEST_SECONDS))
    return seconds


timeout_option = _general(
    "--timeout",
    type=click.FloatRange(0, min_open=True),
    default=60.0,
    show_default=True,
    metavar="SECONDS",
    callback=_patient,
    help="How long the network may be silent before the run fails.",
)

strict_option = _general(
    "--strict", is_flag=True, help="Treat warnings as errors: exit with code 3, without any output."
)

color_option = _general(
    "--color",
    type=click.Choice(["auto", "always", "never"]),
    default="auto",
    show_default=True,
    help="Whether tables have colors.",
)

quiet_options = stacked(
    _cluster(
        "--threads",
        type=click.IntRange(1),
        default=_threads,
        show_default="all cores",
        metavar="N",
        help="Number of threads, or of processes on a cluster started on this machine.",
    ),
    _general("-q", "--quiet", is_flag=True, help="Print nothing but the output and errors (in check, also warnings)."),
    color_option,
    timeout_option,
)

run_options = stacked(
    _cluster(
        "--engine",
        type=click.Choice(["local", "dask", "ray"]),
        default="local",
        show_default=True,
        help="Where the work is done: in threads here, or on a Dask or Ray cluster, which is started on this machine "
        "unless --scheduler names one.",
    ),
    _cluster(
        "--scheduler",
        metavar="ADDRESS",
        help="Address of a running Dask scheduler (or its scheduler file) or Ray cluster.",
    ),
    quiet_options,
    strict_option,
    _general(
        "--progress/--no-progress",
        default=True,
        help="Whether a terminal shows a progress bar after one second.",
    ),
)
