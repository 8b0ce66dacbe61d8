"""The options about inputs and loss, which commands share."""

from __future__ import annotations

import re
from functools import partial
from typing import TYPE_CHECKING, Any

import click

from xent_cli.cli.commands.help import INPUT, LOSS, Temperature, complete_columns, complete_files, option, stacked

if TYPE_CHECKING:
    from collections.abc import Callable

_FORMS = ("logits", "log-probs", "probs")
# Names and codes of types as NumPy has them; a code may start with the byte order.
_DTYPE = re.compile(r"bfloat16|bool|float(16|32|64)|u?int(8|16|32|64)|[<>]?(f[248]|[iu][1248])")
_FORMATS = ("npy", "npz", "csv", "parquet", "arrow", "safetensors", "torch", "json", "jsonl")

_input = partial(option, section=INPUT)
_loss = partial(option, section=LOSS)


def _shape(context: click.Context, parameter: click.Parameter, text: str | None) -> tuple[int, ...]:
    if text is None:
        return ()
    sides = tuple(int(side) for side in re.findall(r"-1|[0-9]+", text))
    if not re.fullmatch(r"(-1|[0-9]+)(,(-1|[0-9]+))*", text) or sides.count(-1) > 1 or 0 in sides:
        raise click.BadParameter(f"{text!r} is not a shape such as 1000,10 or -1,10.", context, parameter)
    return sides


def _dtype(context: click.Context, parameter: click.Parameter, text: str | None) -> str | None:
    if text is not None and not _DTYPE.fullmatch(text):
        raise click.BadParameter(f"{text!r} is not a type such as float32, bfloat16, int64 or >f8.", context, parameter)
    return text


layout_options = stacked(
    _input("--axis", type=int, default=-1, show_default=True, help="Axis of the classes in an array of logits."),
    _input(
        "--input-format",
        type=click.Choice(_FORMATS),
        metavar="FORMAT",
        help=f"Format of the inputs: {', '.join(_FORMATS)}; default: detected from the content.",
    ),
    _input(
        "--logits-column",
        multiple=True,
        metavar="NAME",
        shell_complete=complete_columns,
        help="Columns of the logits: one that holds lists, several such as a,b,c, or a pattern such as 'logit_*'; "
        "repeatable.",
    ),
    _input(
        "--label-column",
        metavar="NAME",
        shell_complete=complete_columns,
        help="Column of labels; default: the only one with a name such as label, target or y_true.",
    ),
    _input(
        "--id-column",
        metavar="NAME",
        shell_complete=complete_columns,
        help="Column of sample ids, which are copied to the per-sample rows; default: id.",
    ),
    _input(
        "--header/--no-header",
        default=None,
        help="Whether text tables begin with a line of column names; default: decided by the first line.",
    ),
    _input(
        "--class-names",
        type=click.Path(readable=False),
        metavar="FILE",
        help="File with the names of the classes: one per line, numbered lines, or JSON such as id2label.",
    ),
    _input(
        "--binary",
        is_flag=True,
        help="Take one score z per sample as the logits [0, z], or with --from probs one p as [1 - p, p].",
    ),
    _input(
        "--shape",
        metavar="N,K",
        callback=_shape,
        help="Shape of raw logits (numbers without a header), such as -1,10; -1 follows from the size of the file.",
    ),
    _input(
        "--logits-dtype",
        metavar="TYPE",
        callback=_dtype,
        help="Type of raw logits: float32, >f8, ...; bfloat16 also applies to arrays of |V2, int16 or uint16.",
    ),
    _input(
        "--labels-dtype",
        metavar="TYPE",
        callback=_dtype,
        help="Type of raw labels: int64, ...; bfloat16 also applies to arrays of |V2, int16 or uint16.",
    ),
    _input(
        "--labels",
        "label_form",
        type=click.Choice(["auto", "sparse", "dense"]),
        default="auto",
        show_default=True,
        help="Form of the labels: class indices (sparse) or rows of probabilities (dense).",
    ),
)

_join_option = _input(
    "--join",
    metavar="COLUMN",
    shell_complete=complete_columns,
    help="Column of ids to match the rows of two tables by, whatever their order.",
)


def _inputs(*, required: bool) -> Callable[[Any], Any]:
    return stacked(
        click.argument("logits", type=click.Path(readable=False), required=required),
        click.argument("labels", type=click.Path(readable=False), required=False),
        layout_options,
        _join_option,
    )


input_options = _inputs(required=True)
# For a command that can do without inputs.
optional_input_options = _inputs(required=False)

loss_options = stacked(
    _loss(
        "--from",
        "source",
        type=click.Choice(_FORMS),
        default="logits",
        show_default=True,
        help="What the LOGITS file holds.",
    ),
    _loss(
        "--labels-from",
        type=click.Choice(["labels", *_FORMS]),
        default="labels",
        show_default=True,
        help="What the LABELS file holds; outputs of a teacher model give the cross-entropy H(q, p) and "
        "the KL divergence.",
    ),
    _loss(
        "--first-class",
        type=int,
        metavar="INT",
        help="Number of the first class in integer labels; default: 0.",
    ),
    _loss(
        "--normalize",
        is_flag=True,
        help="Divide each row of probabilities or of dense labels by its sum.",
    ),
    _loss("--unnormalized", is_flag=True, help="Use probabilities that do not sum to 1 as they are."),
    _loss(
        "--ignore-index",
        type=int,
        multiple=True,
        metavar="INT",
        help="Label of samples to leave out of every figure, such as -100; repeatable.",
    ),
    _loss(
        "--ignore-missing-labels",
        is_flag=True,
        help="Leave out samples whose label is empty, null or NaN.",
    ),
    _loss(
        "--mask",
        metavar="NAME|FILE",
        shell_complete=complete_columns,
        help="Column or file that says which samples count (true or 1); write ./FILE or column:NAME if a name could be "
        "either.",
    ),
    _loss(
        "--label-smoothing",
        type=click.FloatRange(0, 1, max_open=True),
        metavar="E",
        default=0.0,
        show_default=True,
        help="Label smoothing as in PyTorch: 1 - E goes to the label, and E/C to each of the C classes.",
    ),
    _loss(
        "--class-weight",
        type=click.Path(readable=False),
        metavar="FILE",
        help="File with one weight per class; the mean becomes sum(weight * loss) / sum(weight).",
    ),
    _loss(
        "--sample-weight",
        type=click.Path(readable=False),
        metavar="FILE",
        help="File with one weight per sample or per sequence; the mean becomes sum(weight * loss) / sum(weight).",
    ),
    _loss(
        "--sample-weight-column",
        metavar="NAME",
        shell_complete=complete_columns,
        help="Column of sample weights in a table, or their array in the archive that holds the logits.",
    ),
    _loss(
        "--temperature",
        type=Temperature(0, min_open=True),
        metavar="T|FILE",
        default=1.0,
        show_default=True,
        shell_complete=complete_files,
        help="Number to divide the logits by (not a teacher's) before the softmax, or a file from xent calibrate.",
    ),
    _loss(
        "--teacher-temperature",
        type=click.FloatRange(0, min_open=True),
        metavar="T",
        default=1.0,
        show_default=True,
        help="Number to divide a teacher's logits by (--labels-from logits).",
    ),
    _loss(
        "--shift",
        type=int,
        default=0,
        show_default=True,
        metavar="N",
        help="How far ahead the label of a position is in a sequence: the logits at t score the label at t + N.",
    ),
    _loss(
        "--precision",
        type=click.Choice(["float64", "float32"]),
        default="float64",
        show_default=True,
        help="Precision of the exponentials; differences, sums and losses are always float64.",
    ),
    _loss(
        "--kernel",
        type=click.Choice(["numpy", "c", "c-avx512", "c-avx2", "c-neon", "c-baseline"]),
        envvar="XENT_KERNEL",
        metavar="NAME",
        help="Code that computes the losses: c is compiled and gives the same bits on every machine, c-avx2 and the "
        "like are c for one instruction set, numpy needs no compiler; default: c where it is fast (see xent "
        "--version).",
    ),
)

# Options of the loss for `compute` and `check`, which also report figures other than the loss.
all_loss_options = stacked(
    loss_options,
    _loss(
        "--true-labels",
        type=click.Path(readable=False),
        metavar="FILE",
        help="File with the true class of each sample, if LABELS are a teacher's outputs; reports how the probability "
        "of the true class and the perplexity change.",
    ),
    _loss(
        "--bounded",
        type=click.Choice(["null", "ignore"]),
        default="null",
        show_default=True,
        help="What to do with samples whose loss is only known within bounds because some log-probabilities are "
        "missing: report a mean of null, or leave these samples out.",
    ),
    _loss(
        "--top-k",
        type=click.IntRange(1),
        multiple=True,
        metavar="K",
        help="Report how often the label is among the K highest logits; repeatable.",
    ),
)
