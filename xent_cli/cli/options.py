"""The options that commands share, and the values that they become."""

from __future__ import annotations

import math
import os
from typing import TYPE_CHECKING, Any

import click

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from contextlib import AbstractContextManager

    from click.shell_completion import CompletionItem

    from xent_cli.core.options import LossOptions
    from xent_cli.engines.interface import Engine
    from xent_cli.readers.interface import ReadOptions
    from xent_cli.readers.paired import Pair

    Command = Callable[..., Any]

_FORMS = ("logits", "log-probs", "probs")
_FORMATS = ("npy", "npz", "csv", "parquet", "arrow", "safetensors", "jsonl")


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


layout_options = _stack(
    click.option("--axis", type=int, default=-1, show_default=True, help="Class axis of an array."),
    click.option("--input-format", type=click.Choice(_FORMATS), help="In place of what the content says."),
    click.option("--logits-column", metavar="NAME", help="List column, or a glob over number columns (logit_*)."),
    click.option("--label-column", metavar="NAME", help="Default: label, labels, target or y."),
    click.option("--id-column", metavar="NAME", help="Carried into the per-sample output; default: id."),
    click.option(
        "--header/--no-header",
        default=None,
        help="Of text tables; default: by the first line.",
    ),
    click.option("--logits-dtype", type=click.Choice(["bfloat16"]), help="How to read 2-byte void arrays (|V2)."),
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
        "--class-names", type=click.Path(), metavar="FILE", help="Names of the classes, one a line, for labels of text."
    ),
    click.option("--ignore-index", type=int, metavar="INT", help="Samples with this label have no loss."),
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
        help="A weight for each sample; the mean is sum(w l)/sum(w).",
    ),
    click.option("--sample-weight-column", metavar="NAME", help="The same, as a column of a table."),
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

quiet_options = _stack(
    click.option(
        "--threads", type=click.IntRange(1), default=_threads, show_default="the cores there are", metavar="N"
    ),
    click.option("-q", "--quiet", is_flag=True, help="Say nothing but errors."),
    click.option(
        "--color", type=click.Choice(["auto", "always", "never"]), default="auto", show_default=True, help="In tables."
    ),
)

run_options = _stack(
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


def read_options(given: Mapping[str, Any], *, with_ids: bool) -> ReadOptions:
    """How the inputs are laid out, from the command line.

    Raises
    ------
    UsageError
        Where workers elsewhere would have to read standard input.
    """
    from xent_cli.errors import UsageError
    from xent_cli.readers.class_names import read_class_names
    from xent_cli.readers.interface import ReadOptions

    local = given.get("engine", "local") == "local"
    if given.get("scheduler") and local:
        raise UsageError("--scheduler without --engine dask or --engine ray")
    if not local and "-" in [given.get(name) for name in ("logits", "labels", "sample_weight", "loss", "gradient")]:
        raise UsageError("- is standard input, which workers elsewhere cannot read", hint="name a file that they can")

    return ReadOptions(
        axis=given["axis"],
        labels=given["label_form"],
        logits_column=given["logits_column"],
        label_column=given["label_column"],
        id_column=given["id_column"],
        header=given["header"],
        input_format=given["input_format"],
        labels_source=given["labels_from"],
        weight_column=given["sample_weight_column"],
        class_names=None if given["class_names"] is None else read_class_names(given["class_names"]),
        by=tuple(dict.fromkeys(given.get("by") or ())),
        shift=given["shift"],
        logits_dtype=given["logits_dtype"],
        with_ids=with_ids,
        # Gradients of the mean need what it divides by before the first of them is written.
        twice=given.get("gradients") is not None or given.get("gradient") is not None,
        whole_groups=not local,
    )


def settings(given: Mapping[str, Any], pair: Pair) -> LossOptions:
    """Every option that changes a number, now that the inputs are known.

    Raises
    ------
    UsageError
        Where options have no meaning together, or with these inputs.
    InputError
        Where the class weights are not one for each class.
    """
    from xent_cli.core.options import LossOptions
    from xent_cli.readers.weights import read_class_weight

    _refuse_meaningless(given, pair)
    path = given["class_weight"]
    return LossOptions(
        axis=given["axis"],
        source=given["source"],
        labels=pair.label_form,
        labels_source=given["labels_from"],
        ignore_index=given["ignore_index"],
        label_smoothing=given["label_smoothing"],
        class_weight=None if path is None else read_class_weight(path, pair.num_classes),
        temperature=given["temperature"],
        precision=given["precision"],
        shift=given["shift"],
        sample_weighted=pair.weighted,
    )


def _refuse_meaningless(given: Mapping[str, Any], pair: Pair) -> None:
    from xent_cli.errors import UsageError

    taught = given["labels_from"] != "labels"
    if taught and pair.label_form == "sparse":
        raise UsageError("--labels-from says the second input holds a teacher's outputs, shaped like the logits")
    for name in ("label_smoothing", "class_weight"):
        if taught and given[name]:
            raise UsageError(f"--{name.replace('_', '-')} is for labels, and --labels-from says there is a teacher")
    if pair.label_form == "dense" and given["ignore_index"] is not None:
        raise UsageError("--ignore-index is a class index, and these labels are dense")
    if not math.isfinite(given["temperature"]):
        raise UsageError("--temperature must be a finite number")
    source = given["source"]
    if source != "logits":
        for name in ("gradients", "overflow_report"):
            if given.get(name):
                raise UsageError(f"--{name.replace('_', '-')} is about logits, and --from says {source}")
        if given["temperature"] != 1.0:
            hint = "log-probs are logits too: leave --from out" if source == "log-probs" else ""
            raise UsageError(f"--temperature divides logits, and --from says {source}", hint=hint)
    if given["precision"] == "float32" and (taught or source != "logits"):
        raise UsageError("--precision float32 is for logits and labels")
    if taught and given["overflow_report"]:
        raise UsageError("--overflow-report needs labels, not a teacher")


def report_target(text: str) -> tuple[str, str, bool]:
    """Form and path of a report, and whether it is added to what is there, as GitHub's step summary is.

    Raises
    ------
    UsageError
        Where neither the suffix nor a prefix says a form.
    """
    from xent_cli import reports

    name, path = reports.format_of(text)
    summary = os.environ.get("GITHUB_STEP_SUMMARY", "")
    return name, path, bool(summary) and os.path.realpath(path) == os.path.realpath(summary)


def engine(given: Mapping[str, Any]) -> AbstractContextManager[Engine]:
    """Where the tasks run.

    Raises
    ------
    UsageError
        Where a cluster could not read what it is sent to.
    """
    name, scheduler = given.get("engine", "local"), given.get("scheduler")
    if name == "local":
        from contextlib import nullcontext

        from xent_cli.engines.local import open_local

        return nullcontext(open_local(given["threads"]))
    if name == "dask":
        from xent_cli.engines.dask import open_dask

        return open_dask(scheduler, given["threads"])
    from xent_cli.engines.ray import open_ray

    return open_ray(scheduler, given["threads"])
