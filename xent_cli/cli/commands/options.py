"""The options that commands share."""

from __future__ import annotations

import math
import os
import sys
from typing import TYPE_CHECKING, Any, TypeVar

import click

from xent_cli.cli.config import CONFIGURATION, notes_of

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from click.shell_completion import CompletionItem

    from xent_cli.cli.options import Origin, SharedOptions

    Command = Callable[..., Any]

Group = TypeVar("Group")

_FORMS = ("logits", "log-probs", "probs")
# More than a clock can wait.
_LONGEST_SECONDS = 1e6
_FORMATS = ("npy", "npz", "csv", "parquet", "arrow", "safetensors", "torch", "jsonl")


def _threads() -> int:
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def _picture(context: click.Context, option: click.Parameter, path: str | None) -> str | None:
    if path is not None:
        from xent_cli import reports

        reports.plot_form(path)
    return path


def _stack(*options: Callable[[Command], Command]) -> Callable[[Command], Command]:
    def apply(command: Command) -> Command:
        for option in reversed(options):
            command = option(command)
        return command

    return apply


def files(context: click.Context, parameter: click.Parameter, incomplete: str) -> list[CompletionItem]:
    """Complete file names in a shell, for an option whose value is more than one."""
    from click.shell_completion import CompletionItem

    return [CompletionItem(incomplete, type="file")]


def grouped(group: Callable[..., Group], flags: Mapping[str, Any]) -> Group:
    """Those of the parsed options that are fields of a group; a field without its option stays at its default."""
    return group(**{name: flags[name] for name in group.__annotations__ if name in flags})


def origin() -> Origin:
    """Where the options of the command that is running come from."""
    from click.core import ParameterSource

    from xent_cli.cli.options import Origin

    context = click.get_current_context()
    sources = {str(option.name): context.get_parameter_source(str(option.name)) for option in context.command.params}
    return Origin(
        explicit=frozenset(name for name, source in sources.items() if source not in (None, ParameterSource.DEFAULT)),
        on_command_line=frozenset(name for name, source in sources.items() if source is ParameterSource.COMMANDLINE),
        words=tuple(sys.argv[1:]),
        config_file=context.meta.get(CONFIGURATION),
        notes=notes_of(context),
    )


def shared_options(flags: Mapping[str, Any]) -> SharedOptions:
    """Options that compute, check and verify have in common."""
    from xent_cli.cli.options import InputFlags, LayoutFlags, LossFlags, RunFlags, SharedOptions

    return SharedOptions(
        grouped(InputFlags, flags),
        grouped(LayoutFlags, flags),
        grouped(LossFlags, flags),
        grouped(RunFlags, flags),
        origin(),
    )


layout_options = _stack(
    click.option("--axis", type=int, default=-1, show_default=True, help="Class axis of an array."),
    click.option("--input-format", type=click.Choice(_FORMATS), help="In place of what the content says."),
    click.option(
        "--logits-column",
        multiple=True,
        metavar="NAME",
        help="List column, names of number columns (a,b,c), or a glob over them (logit_*); repeatable.",
    ),
    click.option(
        "--label-column", metavar="NAME", help="Column of labels; default: the one named label, target, y_true, ..."
    ),
    click.option("--id-column", metavar="NAME", help="Carried into the per-sample output; default: id."),
    click.option(
        "--header/--no-header",
        default=None,
        help="Of text tables; default: by the first line.",
    ),
    click.option(
        "--class-names",
        type=click.Path(),
        metavar="FILE",
        help="Names of the classes: one a line, numbered, or JSON (id2label too).",
    ),
    click.option(
        "--binary", is_flag=True, help="One score z a sample: the logits [0, z]; of --from probs, [1 - p, p]."
    ),
    click.option("--logits-dtype", type=click.Choice(["bfloat16"]), help="How to read |V2, int16 and uint16 arrays."),
    click.option("--labels-dtype", type=click.Choice(["bfloat16"]), help="The same for LABELS, dense or a teacher's."),
    click.option(
        "--labels",
        "label_form",
        type=click.Choice(["auto", "sparse", "dense"]),
        default="auto",
        show_default=True,
        help="Class indices, or a row of probabilities each.",
    ),
)

input_options = _stack(
    click.argument("logits", type=click.Path()),
    click.argument("labels", type=click.Path(), required=False),
    layout_options,
    click.option("--join", metavar="COLUMN", help="Put together the rows of tables that have the same value there."),
)

loss_options = _stack(
    click.option(
        "--from", "source", type=click.Choice(_FORMS), default="logits", show_default=True, help="What LOGITS holds."
    ),
    click.option(
        "--labels-from",
        type=click.Choice(["labels", *_FORMS]),
        default="labels",
        show_default=True,
        help="What LABELS holds; a teacher's outputs give H(q, p) and its KL divergence.",
    ),
    click.option(
        "--first-class", type=int, metavar="INT", help="What integer labels call the first class; default: 0."
    ),
    click.option("--normalize", is_flag=True, help="Divide rows of probabilities, or of dense labels, by their sums."),
    click.option("--unnormalized", is_flag=True, help="Take probabilities whose sums are not 1 as they are."),
    click.option(
        "--ignore-index",
        type=int,
        multiple=True,
        metavar="INT",
        help="Samples with this label have no loss; repeatable.",
    ),
    click.option(
        "--ignore-missing-labels", is_flag=True, help="Samples whose label is empty, null or NaN have no loss."
    ),
    click.option(
        "--mask",
        metavar="NAME|FILE",
        shell_complete=files,
        help="Which samples count, true or 1: a column, else a file (./FILE, column:NAME).",
    ),
    click.option(
        "--label-smoothing",
        type=click.FloatRange(0, 1, max_open=True),
        default=0.0,
        show_default=True,
        help="(1 - e) of the label and e/C of every class, as in PyTorch.",
    ),
    click.option(
        "--class-weight",
        type=click.Path(),
        metavar="FILE",
        help="A weight for each class; the mean is sum(w l)/sum(w).",
    ),
    click.option(
        "--sample-weight",
        type=click.Path(),
        metavar="FILE",
        help="A weight for each sample, or each sequence; the mean is sum(w l)/sum(w).",
    ),
    click.option(
        "--sample-weight-column", metavar="NAME", help="The same, as a column of a table or an array beside the logits."
    ),
    click.option(
        "--temperature",
        type=click.FloatRange(0, min_open=True),
        default=1.0,
        show_default=True,
        help="Divides the logits (not a teacher's).",
    ),
    click.option(
        "--shift", type=int, default=0, show_default=True, help="Logits at t score the label at t + N.", metavar="N"
    ),
    click.option(
        "--top-k", type=click.IntRange(1), multiple=True, metavar="K", help="Accuracy among the K highest; repeatable."
    ),
    click.option(
        "--precision",
        type=click.Choice(["float64", "float32"]),
        default="float64",
        show_default=True,
        help="Of the arithmetic on logits.",
    ),
)

by_option = click.option(
    "--by", multiple=True, metavar="COLUMN", help="The figures for each value of a column of a table too; repeatable."
)

plot_option = click.option(
    "--plot", type=click.Path(), callback=_picture, metavar="FILE", help="Draw the histogram of the losses: .svg .png"
)


def _patient(context: click.Context, option: click.Parameter, seconds: float) -> float:
    """Where no object is asked for, nothing that could ask is loaded."""
    if not math.isfinite(seconds):
        raise click.BadParameter(f"{seconds} is not a finite number of seconds.", context, option)
    if context.get_parameter_source(str(option.name)) is not click.core.ParameterSource.DEFAULT:
        from xent_cli.readers.storage import stored as storage

        storage.timeout.set(min(seconds, _LONGEST_SECONDS))
    return seconds


timeout_option = click.option(
    "--timeout",
    type=click.FloatRange(0, min_open=True),
    default=60.0,
    show_default=True,
    metavar="SECONDS",
    callback=_patient,
    help="How long a network may be silent.",
)

quiet_options = _stack(
    timeout_option,
    click.option(
        "--threads", type=click.IntRange(1), default=_threads, show_default="the cores there are", metavar="N"
    ),
    click.option("-q", "--quiet", is_flag=True, help="Say nothing but errors; in check, warnings too."),
    click.option(
        "--color", type=click.Choice(["auto", "always", "never"]), default="auto", show_default=True, help="In tables."
    ),
)

run_options = _stack(
    click.option("--strict", is_flag=True, help="A warning is an error: exit code 3, and no output."),
    quiet_options,
    click.option(
        "--engine",
        type=click.Choice(["local", "dask", "ray"]),
        default="local",
        show_default=True,
        help="Where tasks run; dask and ray without --scheduler start a cluster of processes here.",
    ),
    click.option("--scheduler", metavar="ADDRESS", help="Of a Dask scheduler (or its file) or of a Ray cluster."),
    click.option("--progress/--no-progress", default=True, help="Bar on a terminal, after one second."),
)
