"""The options about outputs and about the run itself, which commands share."""

from __future__ import annotations

import math
import os
from functools import partial

import click

from xent_cli.cli.commands.help import CLUSTER, GENERAL, OUTPUT, complete_columns, option, stacked

# As in core.row_columns, which imports more than an option needs.
_COLUMNS = ("predicted", "confidence", "p_label", "margin", "rank", "entropy")
_MOST_BINS = 10_000
# A wait of more seconds than this overflows the system's clock.
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

cluster_option = _output(
    "--cluster",
    metavar="COLUMN|axis:N|every:N|none",
    shell_complete=complete_columns,
    help="How samples are grouped into clusters: intervals assume that clusters are independent, not samples; "
    "default: the first axis of an array with several axes of samples, else none.",
)

top_by_option = _output(
    "--top-by",
    type=click.Choice(["loss", "kl"]),
    default="loss",
    show_default=True,
    help="Whether --top lists the highest losses, or the highest divergences from a teacher.",
)


def _listed(context: click.Context, parameter: click.Parameter, text: str | None) -> tuple[str, ...]:
    names = tuple(dict.fromkeys((text or "").split(","))) if text else ()
    odd = next((name for name in names if name not in _COLUMNS), None)
    if odd is not None:
        raise click.BadParameter(f"{odd!r} is not one of {', '.join(_COLUMNS)}.", context, parameter)
    return names


def _complete_listed(context: click.Context, parameter: click.Parameter, incomplete: str) -> list[str]:
    before, comma, begun = incomplete.rpartition(",")
    return [f"{before}{comma}{name}" for name in _COLUMNS if name.startswith(begun) and name not in before.split(",")]


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
    help="Bins of the calibration error: N of equal width, or with mass:N, N of equally many samples; default: 15.",
)

# Figures of `compute` and `check` besides those of every run.
figure_options = stacked(
    _output(
        "--by",
        multiple=True,
        metavar="NAME|axis:N|label|NAME=FILE",
        shell_complete=complete_columns,
        help="What to group samples by: a column of a table, an axis of the array of logits, the label, or a file "
        "with one value per sample; the figures are reported for each group too; repeatable. column:NAME is always a "
        "column.",
    ),
    cluster_option,
    _output(
        "--macro",
        metavar="NAME|axis:N|label|NAME=FILE",
        shell_complete=complete_columns,
        help="Report macro_loss and macro_perplexity, the averages over groups of their mean losses and "
        "perplexities; groups are given as for --by.",
    ),
    _output(
        "--units",
        metavar="NAME|FILE|NUMBER",
        shell_complete=complete_columns,
        help="Number of bytes or words of each sample (or, for [batch, time], of each document) in a column or a "
        "file, or their total; reports bits_per_unit and unit_perplexity.",
    ),
    _output(
        "--columns",
        metavar="NAMES",
        callback=_listed,
        shell_complete=_complete_listed,
        help=f"Columns to add to the per-sample rows, separated by commas: {', '.join(_COLUMNS)}.",
    ),
    _output(
        "--calibration",
        is_flag=True,
        help="Report the expected calibration error (ece) and the Brier score; implied by a limit on either in check.",
    ),
    bins_option,
    _output(
        "--divergence",
        type=click.Choice(["kl", "all"]),
        default="kl",
        show_default=True,
        help="Divergences from a teacher to report: only KL, or also the reverse KL, Jensen-Shannon, the teacher's "
        "entropy and the overlap of the five most likely classes.",
    ),
)

lines_format_option = _output(
    "-f",
    "--format",
    "output_format",
    type=click.Choice(["table", "lines", "json"]),
    help="Format of standard output; default: table on a terminal, else lines.",
)

plot_option = _output(
    "--plot",
    type=click.Path(readable=False),
    callback=_picture,
    metavar="FILE",
    help="File for a histogram of the losses: .svg or .png.",
)


def _patient(context: click.Context, option: click.Parameter, seconds: float) -> float:
    """Set how long the network may be silent; the module that holds the setting is loaded only if it is given."""
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
    help="Whether to color tables.",
)

quiet_options = stacked(
    _cluster(
        "--threads",
        type=click.IntRange(1),
        default=_threads,
        show_default="all cores",
        metavar="N",
        help="Number of threads, or of worker processes on a cluster started on this machine.",
    ),
    _general("-q", "--quiet", is_flag=True, help="Print only the output and errors (check prints warnings too)."),
    color_option,
    timeout_option,
)

run_options = stacked(
    _cluster(
        "--engine",
        type=click.Choice(["local", "dask", "ray"]),
        default="local",
        show_default=True,
        help="Where the work is done: in threads of this process, or on a Dask or Ray cluster, which is started "
        "on this machine unless --scheduler names one.",
    ),
    _cluster(
        "--scheduler",
        metavar="ADDRESS",
        help="Address of a running Dask scheduler (or its scheduler file), or of a running Ray cluster.",
    ),
    quiet_options,
    strict_option,
    _general(
        "--progress/--no-progress",
        default=True,
        help="Whether to show a progress bar, on a terminal and after one second.",
    ),
)
