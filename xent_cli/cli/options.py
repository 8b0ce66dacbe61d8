"""The options that commands share, and the values that they become."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any

import click

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from xent_cli.core.options import LossOptions
    from xent_cli.engines.interface import Engine
    from xent_cli.readers.interface import ReadOptions
    from xent_cli.readers.paired import Pair

    Command = Callable[..., Any]

_FORMS = ("logits", "log-probs", "probs")


def _threads() -> int:
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def _stack(*options: Callable[[Command], Command]) -> Callable[[Command], Command]:
    def apply(command: Command) -> Command:
        for option in reversed(options):
            command = option(command)
        return command

    return apply


input_options = _stack(
    click.argument("logits", type=click.Path()),
    click.argument("labels", type=click.Path(), required=False),
    click.option("--axis", type=int, default=-1, show_default=True, help="Class axis of an array."),
    click.option(
        "--input-format", type=click.Choice(["npy", "csv", "parquet"]), help="In place of what the content says."
    ),
    click.option("--logits-column", metavar="NAME", help="List column, or a glob over number columns (logit_*)."),
    click.option("--label-column", metavar="NAME", help="Default: label, labels, target or y."),
    click.option("--id-column", metavar="NAME", help="Carried into the per-sample output; default: id."),
    click.option(
        "--header/--no-header",
        default=None,
        help="Of text tables; default: by the first line.",
    ),
    click.option(
        "--labels",
        "label_form",
        type=click.Choice(["auto", "sparse", "dense"]),
        default="auto",
        show_default=True,
        help="Class indices, or a row of probabilities each.",
    ),
)

loss_options = _stack(
    click.option("--ignore-index", type=int, metavar="INT", help="Samples with this label have no loss."),
    click.option(
        "--precision",
        type=click.Choice(["float64", "float32"]),
        default="float64",
        show_default=True,
        help="Of the arithmetic on logits.",
    ),
)

run_options = _stack(
    click.option(
        "--threads", type=click.IntRange(1), default=_threads, show_default="the cores there are", metavar="N"
    ),
    click.option("-q", "--quiet", is_flag=True, help="Say nothing but errors."),
    click.option(
        "--color", type=click.Choice(["auto", "always", "never"]), default="auto", show_default=True, help="In tables."
    ),
    click.option("--progress/--no-progress", default=True, help="Bar on a terminal, after one second."),
)


def read_options(given: Mapping[str, Any], *, with_ids: bool) -> ReadOptions:
    """How the inputs are laid out, from the command line."""
    from xent_cli.readers.interface import ReadOptions

    return ReadOptions(
        axis=given["axis"],
        labels=given["label_form"],
        logits_column=given["logits_column"],
        label_column=given["label_column"],
        id_column=given["id_column"],
        header=given["header"],
        input_format=given["input_format"],
        with_ids=with_ids,
    )


def settings(given: Mapping[str, Any], pair: Pair) -> LossOptions:
    """Every option that changes a number, now that the inputs are known."""
    from xent_cli.core.options import LossOptions
    from xent_cli.errors import UsageError

    if pair.label_form == "dense" and given["ignore_index"] is not None:
        raise UsageError("--ignore-index is for class indices, and these labels are dense", hint="--labels sparse?")
    return LossOptions(
        axis=given["axis"],
        labels=pair.label_form,
        ignore_index=given["ignore_index"],
        precision=given["precision"],
        sample_weighted=pair.weighted,
    )


def engine(given: Mapping[str, Any]) -> Engine:
    """Where the tasks run."""
    from xent_cli.engines.local import open_local

    return open_local(given["threads"])
