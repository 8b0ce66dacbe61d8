"""The options of each command as typed values, made once click is done; nothing below uses click or the environment.

A group of options here is a group of `--help`. They are named tuples because they are defined at every start: a frozen
dataclass of this many fields takes ten times as long to define.
"""

from collections.abc import Callable, Mapping, Sequence
from itertools import islice
from typing import Any, Literal, NamedTuple, TypeVar

import click
from click.core import ParameterSource

from xent_cli.cli.config import CONFIGURATION, WORDS, notes_of
from xent_cli.core.diagnostics import Diagnostic
from xent_cli.core.options import PredictionColumn

# Options about inputs, which `readers.columns.lines` writes into a line itself.
_OF_INPUTS = frozenset(
    {
        *("axis", "input_format", "class_names", "id_column", "label_column", "logits_column", "sample_weight_column"),
        *("mask", "join", "label_form", "labels_from", "source", "first_class", "ignore_index", "shift"),
        *("binary", "header"),
    }
)

Group = TypeVar("Group")

Form = Literal["logits", "log-probs", "probs"]
FloatName = Literal["float16", "bfloat16", "float32", "float64"]
Reduction = Literal["none", "mean", "sum"]
Color = Literal["auto", "always", "never"]


class Origin(NamedTuple):
    """Where options come from.

    Fields
    ------
    explicit
        Options that were set on the command line, in the environment or in a configuration file.
    on_command_line
        Those set on the command line.
    words
        The command line without the program's name.
    command
        The name of the command, and those words that are neither an input nor say how one is read.
    config_file
        Path of the configuration file, or None.
    config_notes
        What a configuration that the user did not name changed; printed before the command starts.
    """

    explicit: frozenset[str] = frozenset()
    on_command_line: frozenset[str] = frozenset()
    words: tuple[str, ...] = ()
    command: tuple[str, ...] = ("compute",)
    config_file: str | None = None
    config_notes: tuple[Diagnostic, ...] = ()


class LayoutFlags(NamedTuple):
    """How the inputs are laid out; None means that the file says so."""

    axis: int = -1
    input_format: str | None = None
    logits_column: tuple[str, ...] = ()
    label_column: str | None = None
    id_column: str | None = None
    header: bool | None = None
    class_names: str | None = None
    binary: bool = False
    shape: tuple[int, ...] = ()
    logits_dtype: str | None = None
    labels_dtype: str | None = None
    label_form: Literal["auto", "sparse", "dense"] = "auto"


class InputFlags(NamedTuple):
    """The inputs: paths, patterns, URLs or "-"; `join` is the column by which tables are joined."""

    logits: str
    labels: str | None = None
    join: str | None = None


class LossFlags(NamedTuple):
    """Which loss to compute, and of which samples."""

    source: Form = "logits"
    labels_from: Literal["labels", "logits", "log-probs", "probs"] = "labels"
    first_class: int | None = None
    normalize: bool = False
    unnormalized: bool = False
    ignore_index: tuple[int, ...] = ()
    ignore_missing_labels: bool = False
    mask: str | None = None
    label_smoothing: float = 0.0
    class_weight: str | None = None
    sample_weight: str | None = None
    sample_weight_column: str | None = None
    temperature: float | str = 1.0
    teacher_temperature: float = 1.0
    true_labels: str | None = None
    bounded: Literal["null", "ignore"] = "null"
    shift: int = 0
    top_k: tuple[int, ...] = ()
    precision: Literal["float64", "float32"] = "float64"
    kernel: str | None = None


class OutputFlags(NamedTuple):
    """What to show and write; a command that lacks one of these options leaves it at its default."""

    output_format: str | None = None
    reduction: Reduction | None = None
    output: str | None = None
    gradients: str | None = None
    gradient_dtype: FloatName | None = None
    overflow_report: bool = False
    top: int | None = None
    reports: tuple[str, ...] = ()
    by: tuple[str, ...] = ()
    columns: tuple[PredictionColumn, ...] = ()
    cluster: str | None = None
    calibration: bool = False
    bins: tuple[int, bool] | None = None
    macro: str | None = None
    units: str | None = None
    plot: str | None = None
    divergence: Literal["kl", "all"] = "kl"
    top_by: Literal["loss", "kl"] = "loss"
    exit_zero: bool = False


class RunFlags(NamedTuple):
    """Where and how loudly a command runs."""

    threads: int = 1
    quiet: bool = False
    color: Color = "auto"
    strict: bool = False
    engine: Literal["local", "dask", "ray"] = "local"
    scheduler: str | None = None
    progress: bool = True


class SharedOptions(NamedTuple):
    """What compute, check and verify share: two inputs, and the loss of one against the other."""

    inputs: InputFlags
    layout: LayoutFlags = LayoutFlags()
    loss: LossFlags = LossFlags()
    run: RunFlags = RunFlags()
    origin: Origin = Origin()


class ComputeOptions(NamedTuple):
    """Options of `xent compute`, and of `xent check`, which also has limits."""

    shared: SharedOptions
    output: OutputFlags


def grouped(group: Callable[..., Group], flags: Mapping[str, Any]) -> Group:
    """Pick the parsed options that are fields of a group; fields without an option keep their default."""
    return group(**{name: flags[name] for name in group.__annotations__ if name in flags})


def origin() -> Origin:
    """Return where the options of the running command come from."""
    context = click.get_current_context()
    words = context.meta.get(WORDS, ())
    sources = {str(option.name): context.get_parameter_source(str(option.name)) for option in context.command.params}
    return Origin(
        explicit=frozenset(name for name, source in sources.items() if source not in (None, ParameterSource.DEFAULT)),
        on_command_line=frozenset(name for name, source in sources.items() if source is ParameterSource.COMMANDLINE),
        words=words,
        command=(str(context.info_name), *words_beside(context.command, words[1:])),
        config_file=context.meta.get(CONFIGURATION),
        config_notes=notes_of(context),
    )


def words_beside(command: click.Command, words: Sequence[str]) -> list[str]:
    """Return the options typed that do not say how an input is read, in the order typed.

    Messages that show a command line add the inputs, and the options about them, themselves.

    Examples
    --------
    >>> from xent_cli.cli.commands.check import check
    >>> words_beside(check, ["l.npy", "--axis", "0", "--max", "mean_loss=1", "-qf", "json", "y.npy"])
    ['--max', 'mean_loss=1', '-qf', 'json']
    """
    options = {name: option for option in command.params for name in (*option.opts, *option.secondary_opts)}
    kept: list[str] = []
    rest = iter(words)
    for word in rest:
        if word == "--":
            break
        if word != "-" and word.startswith("-"):
            typed = [word, *islice(rest, _takes_the_next(word, options))]
            option = options.get(word.partition("=")[0])
            kept += typed if option is None or option.name not in _OF_INPUTS else []
    return kept


def _takes_the_next(word: str, options: Mapping[str, click.Parameter]) -> bool:
    """Whether the value of an option is the next word; the value of a short option may also follow without a blank."""
    if word.startswith("--"):
        return "=" not in word and _has_value(options.get(word))
    letters = [_has_value(options.get(f"-{letter}")) for letter in word[1:]]
    return any(letters) and letters.index(True) == len(letters) - 1


def _has_value(option: click.Parameter | None) -> bool:
    return isinstance(option, click.Option) and not option.is_flag


def shared_options(flags: Mapping[str, Any]) -> SharedOptions:
    """Return the options that compute, check and verify have in common."""
    return SharedOptions(
        grouped(InputFlags, flags),
        grouped(LayoutFlags, flags),
        grouped(LossFlags, flags),
        grouped(RunFlags, flags),
        origin(),
    )
