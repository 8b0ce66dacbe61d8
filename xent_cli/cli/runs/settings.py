"""From the options as given to the values that they become, once it is seen that they go together."""

from __future__ import annotations

import math
import os
import sys
from contextlib import contextmanager, nullcontext
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import click
from click.core import ParameterSource

from xent_cli import reports, start
from xent_cli.core.diagnostics import Diagnostic
from xent_cli.core.options import LossOptions
from xent_cli.errors import UsageError
from xent_cli.readers.interface import ReadOptions

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from contextlib import AbstractContextManager

    from xent_cli.cli.runs.evaluate_pair import Track
    from xent_cli.engines.interface import Engine
    from xent_cli.readers.pair.pair import Pair

# Options that have an effect on some inputs only, where they are not at their default.
CONDITIONAL = (
    *("logits_column", "label_column", "logits_dtype", "labels_dtype"),
    *("class_names", "ignore_missing_labels"),
)
# No array has so many positions, and sums of such numbers still fit NumPy's integers.
_BEYOND_AXES = 2**62


def layout(given: Mapping[str, Any]) -> ReadOptions:
    """How the inputs are laid out: what every command that reads logits asks."""
    listed = None
    if given["class_names"] is not None:
        from xent_cli.readers.pair.class_names_file import read_class_names

        listed = read_class_names(given["class_names"], given.get("first_class") or 0)
    return ReadOptions(
        axis=given["axis"],
        labels=given["label_form"],
        logits_column=tuple(given["logits_column"]),
        label_column=given["label_column"],
        id_column=given["id_column"],
        header=given["header"],
        input_format=given["input_format"],
        logits_dtype=given["logits_dtype"],
        labels_dtype=given["labels_dtype"],
        binary=("probs" if given.get("source") == "probs" else "logits") if given["binary"] else None,
        class_names=None if listed is None else listed.names,
        class_names_file=given["class_names"],
        said=() if listed is None or not listed.said else (Diagnostic("class-names-numbered", listed.said, note=True),),
        source=given["source"] if is_told("source") else None,
        first_class=given.get("first_class"),
        ignored=tuple(given.get("ignore_index") or ()),
    )


def is_told(name: str) -> bool:
    """Whether an option was given, on the command line, in the environment or in a configuration file."""
    context = click.get_current_context(silent=True)
    told = None if context is None else context.get_parameter_source(name)
    return told not in (None, ParameterSource.DEFAULT)


def read_options(given: Mapping[str, Any], *, with_ids: bool) -> ReadOptions:
    """How the inputs are laid out, and what a run takes from them.

    Raises
    ------
    UsageError
        Where workers elsewhere would have to read standard input.
    """
    local = given.get("engine", "local") == "local"
    if given.get("scheduler") and local:
        raise UsageError("--scheduler without --engine dask or --engine ray")
    if not local and "-" in [
        given.get(name) for name in ("logits", "labels", "sample_weight", "mask", "loss", "gradient")
    ]:
        raise UsageError("- is standard input, which workers elsewhere cannot read", hint="name a file that they can")
    if abs(given["shift"]) >= _BEYOND_AXES:
        raise UsageError(f"--shift {given['shift']} is longer than any axis")
    return replace(
        layout(given),
        labels_source=given["labels_from"],
        weight_column=given["sample_weight_column"],
        mask=given["mask"],
        ignore_missing=given["ignore_missing_labels"],
        by=tuple(dict.fromkeys(given.get("by") or ())),
        shift=given["shift"],
        join=given.get("join"),
        values_beside=given.get("loss") is not None or given.get("gradient") is not None,
        with_ids=with_ids,
        # Gradients of the mean need what it divides by before the first of them is written; a join, the ids alone.
        twice=any(given.get(name) is not None for name in ("gradients", "gradient", "join")),
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
    _refuse_meaningless(given, pair)
    if given["axis"] != -1 or given["header"] is not None or any(given.get(name) for name in CONDITIONAL):
        from xent_cli.cli.runs.no_effect import refuse_without_effect

        refuse_without_effect(given, pair)
    plan = pair.logits.plan
    if plan is not None and plan.kind == "probs" and not is_told("source"):
        from xent_cli.readers.columns.lines import named_probabilities

        labels = None if pair.labels is None else pair.labels.description.path
        raise named_probabilities(pair.logits.description.path, plan, labels)
    class_weight = None
    if given["class_weight"] is not None:
        from xent_cli.readers.pair.class_weights import read_class_weight

        class_weight = read_class_weight(
            given["class_weight"], pair.num_classes, pair.class_names, first=given["first_class"] or 0
        )
    return LossOptions(
        axis=given["axis"],
        source=given["source"],
        labels=pair.label_form,
        labels_source=given["labels_from"],
        ignore_index=tuple(given["ignore_index"]),
        ignore_missing=given["ignore_missing_labels"],
        label_smoothing=given["label_smoothing"],
        class_weight=class_weight,
        temperature=given["temperature"],
        precision=given["precision"],
        shift=given["shift"],
        sample_weighted=pair.weighted,
        normalize=given["normalize"],
        binary=given["binary"],
        first_class=0 if pair.named_labels else given["first_class"] or 0,
        masked=pair.masked,
    )


def _refuse_meaningless(given: Mapping[str, Any], pair: Pair) -> None:
    taught = given["labels_from"] != "labels"
    if taught and pair.label_form == "sparse":
        raise UsageError("--labels-from says the second input holds a teacher's outputs, shaped like the logits")
    for name in ("label_smoothing", "class_weight"):
        if taught and given[name]:
            raise UsageError(f"--{name.replace('_', '-')} is for labels, and --labels-from says there is a teacher")
    if pair.label_form == "dense" and (given["ignore_index"] or given["ignore_missing_labels"]):
        what = "--ignore-index is a class index" if given["ignore_index"] else "--ignore-missing-labels is for indices"
        raise UsageError(f"{what}, and these labels are dense", hint="--mask says which samples count")
    if given["binary"] and given["source"] == "log-probs":
        raise UsageError("--binary takes logits or probabilities", hint="log p of one class is no score")
    called = pair.label_form == "dense" or (pair.named_labels and given["class_names"] is None)
    if given["first_class"] is not None and called:
        kind = "dense" if pair.label_form == "dense" else "names of classes"
        raise UsageError(f"--first-class says what integer labels call the first class, and these are {kind}")
    distributions = [given["source"], given["labels_from"] if taught else "logits"]
    if given["normalize"] and given["unnormalized"]:
        raise UsageError("--normalize divides by the sums that --unnormalized leaves alone", hint="leave one out")
    if given["normalize"] and "probs" not in distributions and (pair.label_form != "dense" or taught):
        hint = "log-probs are logits too: leave --from out" if "log-probs" in distributions else ""
        raise UsageError("--normalize is for probabilities (--from probs) and for dense labels", hint=hint)
    if given["unnormalized"] and set(distributions) == {"logits"}:
        hint = "--labels dense takes dense labels as they are" if pair.label_form == "dense" else ""
        raise UsageError("--unnormalized is for probabilities and log-probs, which --from says", hint=hint)
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
    name, path = reports.format_of(text)
    summary = os.environ.get("GITHUB_STEP_SUMMARY", "")
    return name, path, bool(summary) and os.path.realpath(path) == os.path.realpath(summary)


def progress(given: Mapping[str, Any], num_rows: int | None) -> Track:
    """What watches the blocks of a run go by; `num_rows` is None where the total is not known."""
    if not given["progress"] or given["quiet"] or not sys.stderr.isatty():
        return iter
    from xent_cli.cli.display.progress import track

    return track(num_rows)


def engine(given: Mapping[str, Any]) -> AbstractContextManager[Engine]:
    """Where the tasks run.

    Raises
    ------
    UsageError
        Where a cluster could not read what it is sent to.
    """
    name, scheduler = given.get("engine", "local"), given.get("scheduler")
    if name == "local":
        from xent_cli.engines.local import open_local

        return nullcontext(open_local(given["threads"]))
    return _cluster(name, scheduler, given["threads"])


@contextmanager
def _cluster(name: str, scheduler: str | None, workers: int) -> Iterator[Engine]:
    """Open an engine whose processes are told when a signal ends the run."""
    if name == "dask":
        from xent_cli.engines.dask import open_dask as opened
    else:
        from xent_cli.engines.ray import open_ray as opened  # type: ignore[assignment]
    with start.unwinding(), opened(scheduler, workers) as runner:
        start.listen()  # Ray takes signals for itself
        yield runner
