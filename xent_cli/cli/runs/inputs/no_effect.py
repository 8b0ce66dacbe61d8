"""Options that have no effect on the inputs of a run: typing one is a mistake."""

from __future__ import annotations

from typing import TYPE_CHECKING

from xent_cli.errors import UsageError
from xent_cli.readers.interface import ARCHIVES, ARRAYS

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from xent_cli.cli.options import SharedOptions
    from xent_cli.readers.interface import Source
    from xent_cli.readers.pair.paired_inputs import Pair

    Why = Callable[[SharedOptions, Pair], str]


def refuse_without_effect(options: SharedOptions, pair: Pair, *, names_classes: bool) -> None:
    """Refuse an option on the command line that has no effect on these inputs.

    Options from a configuration file or the environment are meant for many inputs, and are not refused.

    Parameters
    ----------
    names_classes
        Whether an output shows the names of classes.

    Raises
    ------
    UsageError
        With the reason why the option has no effect.
    """
    typed = options.origin.on_command_line
    reasons = {name: why(options, pair) for name, why in _RULES.items() if name in typed}
    if "class_names" in typed and not names_classes:
        reasons["class_names"] = _class_names(options, pair)
    for name, reason in reasons.items():
        if reason:
            option = "--no-header" if name == "header" and not options.layout.header else "--" + name.replace("_", "-")
            raise UsageError(f"{option} has no effect: {reason}", hint="leave it out")


def _axis(options: SharedOptions, pair: Pair) -> str:
    if options.layout.axis == -1 or pair.logits.info.plan is None:
        return ""
    return f"{_name(pair.logits)} is a table, and its classes are columns"


def _logits_column(options: SharedOptions, pair: Pair) -> str:
    return _single(pair.logits)


def _label_column(options: SharedOptions, pair: Pair) -> str:
    return "" if pair.logits.info.plan is not None or pair.labels is None else _single(pair.labels)


def _header(options: SharedOptions, pair: Pair) -> str:
    sources = (pair.logits, pair.labels, pair.weights, pair.mask, pair.units, *pair.groups)
    text = any(source is not None and source.info.format == "csv" for source in sources)
    return "" if text else "none of the inputs is delimited text"


def _shape(options: SharedOptions, pair: Pair) -> str:
    found = pair.logits.info.format
    return "" if found == "raw" else f"{_name(pair.logits)} is {found}, which says its shape itself"


def _logits_dtype(options: SharedOptions, pair: Pair) -> str:
    return _bits(pair.logits)


def _labels_dtype(options: SharedOptions, pair: Pair) -> str:
    return _bits(pair.labels) if pair.labels is not None else "the labels stand beside the logits"


def _class_names(options: SharedOptions, pair: Pair) -> str:
    used = pair.named_labels or options.loss.class_weight is not None
    tables = pair.logits.info.plan is not None or (pair.labels is not None and pair.labels.info.plan is not None)
    numbers = all(name.strip().lstrip("+-").isdecimal() for name in pair.class_names or ())
    return "" if used or tables or numbers else "neither labels nor columns nor reports name a class here"


def _ignore_missing(options: SharedOptions, pair: Pair) -> str:
    if pair.labels is None or pair.labels.info.plan is not None or pair.labels.info.dtype.kind not in "biu":
        return ""
    return f"the labels of {_name(pair.labels)} are {pair.labels.info.dtype.name}, none of which can be missing"


# Each function returns why the option has no effect, or "".
_RULES: Mapping[str, Why] = {
    "axis": _axis,
    "logits_column": _logits_column,
    "label_column": _label_column,
    "header": _header,
    "shape": _shape,
    "logits_dtype": _logits_dtype,
    "labels_dtype": _labels_dtype,
    "ignore_missing_labels": _ignore_missing,
}


def _name(source: Source) -> str:
    return source.info.path


def _single(source: Source) -> str:
    return f"{_name(source)} holds one array, without a name" if source.info.format in ARRAYS - ARCHIVES else ""


def _bits(source: Source) -> str:
    shard = next(iter(getattr(source, "shards", (source,))))
    layout = getattr(shard, "layout", None)
    if layout is not None and (layout.dtype.kind == "V" or source.info.format == "raw"):
        return ""
    if any(kind == "|V2" for _, kind in getattr(shard, "fields", ())):
        return ""
    if source.info.format not in ARRAYS:
        return f"{_name(source)} is a table"
    found = source.info.dtype.name
    return f"{_name(source)} holds {found}, not the bits of bfloat16 (|V2, int16 or uint16)"
