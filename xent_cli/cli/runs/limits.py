"""Limits as written on the command line, METRIC=LIMIT, and the figures of a document under the same names."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

from xent_cli.core import metrics
from xent_cli.core.metrics import more_is_better, refuse_unknown
from xent_cli.core.thresholds import RELATIVE, Threshold
from xent_cli.errors import InputError, UsageError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from xent_cli.cli.options import InputFlags
    from xent_cli.core.thresholds import Kind


def parse_limit(kind: Kind, text: str) -> Threshold:
    """Read ``METRIC=LIMIT``; the limit of an increase or a decrease may end in ``%``.

    Raises
    ------
    UsageError
        If the metric is unknown, the limit is not a finite number, or the change is for the better.

    Examples
    --------
    >>> parse_limit("max-increase", "p99_loss=0.5%")
    Threshold(metric='p99_loss', kind='max-increase', limit=0.5, percent=True, baseline=None, interval=None)
    """
    option = f"--{kind} {text}"
    metric, equals, limit = text.rpartition("=")
    metric, limit = metric.strip(), limit.strip()
    if not equals or not metric:
        example = "accuracy=0.01" if kind == "max-decrease" else "mean_loss=0.35"
        raise UsageError(f"{option}: expected METRIC=LIMIT", hint=f"for example --{kind} {example}")
    refuse_unknown(metric, option)
    relative = kind in RELATIVE
    percent = limit.endswith("%")
    number = _number(limit.removesuffix("%"))
    if percent and not relative and math.isfinite(number):
        hint = f"write {number / 100:.12g}; percentages of a baseline go with --max-increase and --max-decrease"
        raise UsageError(f"{option}: invalid limit", found=limit, expected="a finite number", hint=hint)
    if not math.isfinite(number) or (relative and number < 0):
        expected = "a number from 0 on, or a percentage" if relative else "a finite number"
        hint = f"for example --{kind} {metric}={'1%' if relative else '0.35'}"
        raise UsageError(f"{option}: invalid limit", found=limit or "nothing", expected=expected, hint=hint)
    if relative and more_is_better(metric) is (kind == "max-increase"):
        other = "max-decrease" if kind == "max-increase" else "max-increase"
        better = "higher" if kind == "max-increase" else "lower"
        raise UsageError(
            f"{option}: a {better} {metric} is a better one",
            hint=f"--{other} {metric}={limit} fails where it gets worse",
        )
    return Threshold(metric, kind, number, percent)


def option_of(metric: str) -> str:
    """Return the option that requests a figure, or "" if none is needed.

    Examples
    --------
    >>> option_of("slice:lang=de:bits_per_unit"), option_of("macro_loss"), option_of("mean_loss")
    ('--units', '--macro', '')
    """
    name = metrics.field_of(metric)
    return "--units" if name in metrics.PER_UNIT else "--macro" if name in metrics.BY_GROUP else ""


def hint_to_save(path: str, inputs: InputFlags) -> str:
    """Say how to make a baseline that does not exist.

    Examples
    --------
    >>> from xent_cli.cli.options import InputFlags
    >>> hint_to_save("base.parquet", InputFlags("l.npy", "y.npy"))
    'if this model is to be the baseline: xent compute l.npy y.npy -o base.parquet'
    """
    from xent_cli.cli.display.shell import quoted

    option = "--report" if path.endswith(".json") else "-o"
    words = ["xent", "compute", inputs.logits, *([inputs.labels] if inputs.labels else []), option, path]
    return f"if this model is to be the baseline: {' '.join(map(quoted, words))}"


def figures_of_document(path: str, document: Mapping[str, Any]) -> Mapping[str, Any]:
    """Return the figures of a summary document under the names that limits use.

    Raises
    ------
    InputError
        If it is not such a document.
    """
    try:
        overflow: dict[str, int] = {}
        for entry in document.get("overflow", ()):
            counts = (entry["n_imprecise"], entry["n_underflow"], entry["n_overflow"])
            overflow |= metrics.overflow_figures(entry["dtype"], *counts)
        slices = [(entry["by"], entry["value"], entry["summary"]) for entry in document.get("slices", ())]
        return metrics.figures(document["summary"], overflow, slices)
    except (AttributeError, KeyError, TypeError, ValueError):
        raise InputError("not a summary document", path, expected="what xent compute -f json prints") from None


def _number(text: str) -> float:
    try:
        return float(text)
    except ValueError:
        return math.nan
