"""Turn the options of a command into the values that lower layers take, and refuse contradictory options."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import TYPE_CHECKING, Literal

from xent_cli.core.diagnostics import Diagnostic
from xent_cli.core.kernel.variants import is_compiled, kernel_for
from xent_cli.core.options import LossOptions
from xent_cli.errors import UsageError
from xent_cli.readers.options import Known, ReadOptions, RunNeeds, slab_bytes

if TYPE_CHECKING:
    from xent_cli.cli.group_choice import GroupChoices
    from xent_cli.cli.options import LayoutFlags, LossFlags, SharedOptions
    from xent_cli.readers.pair.paired_inputs import Pair

# Options that affect only some inputs; see `no_effect`.
_CONDITIONAL = frozenset(
    {
        *("axis", "header", "logits_column", "label_column", "shape", "logits_dtype", "labels_dtype"),
        *("class_names", "ignore_missing_labels"),
    }
)
# More than the positions of any array, but small enough that the sum of two such numbers fits NumPy's integers.
_BEYOND_AXES = 2**62


def layout_options(layout: LayoutFlags, loss: LossFlags, *, explicit_source: bool = False) -> ReadOptions:
    """Return how the inputs are laid out, which every command that reads logits needs.

    Parameters
    ----------
    explicit_source
        Whether the user said what the logits hold.
    """
    listed = None
    notes: tuple[Diagnostic, ...] = ()
    if layout.class_names is not None:
        from xent_cli.readers.pair.class_names_file import read_class_names

        listed = read_class_names(layout.class_names, loss.first_class or 0)
        notes = (Diagnostic("class-names-numbered", listed.said, note=True),) if listed.said else ()
    binary: Literal["logits", "probs"] = "probs" if loss.source == "probs" else "logits"
    return ReadOptions(
        axis=layout.axis,
        labels=layout.label_form,
        logits_column=layout.logits_column,
        label_column=layout.label_column,
        id_column=layout.id_column,
        header=layout.header,
        input_format=layout.input_format,
        shape=layout.shape,
        logits_dtype=layout.logits_dtype,
        labels_dtype=layout.labels_dtype,
        binary=binary if layout.binary else None,
        class_names=None if listed is None else listed.names,
        class_names_file=layout.class_names,
        source=loss.source if explicit_source else None,
        first_class=loss.first_class,
        ignored=loss.ignore_index,
        known=Known(said=notes),
    )


def read_options(
    options: SharedOptions,
    *,
    groups: GroupChoices | None = None,
    candidates: tuple[str, ...] = (),
    two_passes: bool = False,
    with_ids: bool = False,
) -> ReadOptions:
    """Return how the inputs are laid out, and what a run needs from them.

    Parameters
    ----------
    groups
        What defines groups of samples, or None.
    candidates
        Further files that are read with the inputs, and may be joined to them.
    two_passes
        Whether the inputs are read twice: gradients of a mean need what it divides by before the first is written.
    with_ids
        Whether the id column is read.

    Raises
    ------
    UsageError
        If remote workers would have to read standard input.
    """
    inputs, loss, run = options.inputs, options.loss, options.run
    local = run.engine == "local"
    if run.scheduler and local:
        raise UsageError("--scheduler without --engine dask or --engine ray", hint="say which of them it is")
    beside: tuple[str | None, ...] = (loss.sample_weight, loss.mask, loss.true_labels)
    cluster = None
    if groups is not None:
        beside = (*beside, groups.units, *(file.path for file in groups.files))
        cluster = groups.cluster.name if groups.cluster is not None and groups.cluster.kind == "column" else None
    dense = options.layout.label_form == "dense" or loss.labels_from != "labels"
    if not local and "-" in (inputs.logits, inputs.labels, *beside, *candidates):
        raise UsageError(
            "- is standard input, which workers on other machines cannot read", hint="name a file that they can read"
        )
    if abs(loss.shift) >= _BEYOND_AXES:
        raise UsageError(f"--shift {loss.shift} is longer than any axis")
    return layout_options(options.layout, loss, explicit_source="source" in options.origin.explicit)._replace(
        labels_source=loss.labels_from,
        weight_column=loss.sample_weight_column,
        mask=loss.mask,
        true_labels=loss.true_labels,
        ignore_missing=loss.ignore_missing_labels,
        by=() if groups is None else groups.columns,
        group_files=() if groups is None else groups.files,
        units=None if groups is None else groups.units,
        cluster=cluster,
        shift=loss.shift,
        join=inputs.join,
        command=options.origin.command,
        run=RunNeeds(
            with_ids=with_ids,
            two_passes=two_passes or inputs.join is not None,  # a join reads the ids first
            whole_groups=not local,
            values_beside=bool(candidates),
            slab_bytes=slab_bytes(run.threads if local else 1, dense=dense, gradients=two_passes),
        ),
    )


def loss_options(options: SharedOptions, pair: Pair, *, names_classes: bool = False) -> LossOptions:
    """Return every option that changes a number, now that the inputs are known.

    Parameters
    ----------
    names_classes
        Whether an output shows the names of classes.

    Raises
    ------
    UsageError
        If options contradict each other or these inputs.
    InputError
        If there is not one class weight per class.
    XentError
        If this machine does not have the kernel that was asked for.
    """
    layout, loss = options.layout, options.loss
    _refuse_meaningless(options, pair)
    if options.origin.on_command_line & _CONDITIONAL:
        from xent_cli.cli.runs.inputs.no_effect import refuse_without_effect

        refuse_without_effect(options, pair, names_classes=names_classes)
    plan = pair.logits.info.plan
    if plan is not None and plan.kind == "probs" and "source" not in options.origin.explicit:
        from xent_cli.cli.runs.inputs.declared_kind import line_with, may_be_probabilities
        from xent_cli.readers.columns.lines import named_probabilities

        command = line_with(options.origin, "--from", "probs") if may_be_probabilities(pair) else ""
        raise named_probabilities(pair.logits.info.path, plan, command)
    class_weight = None
    if loss.class_weight is not None:
        from xent_cli.readers.pair.class_weights import read_class_weight

        class_weight = read_class_weight(
            loss.class_weight, pair.num_classes, pair.class_names, first=loss.first_class or 0
        )
    temperature, temperature_file = loss.temperature, ""
    if isinstance(temperature, str):
        from xent_cli.readers.saved.temperature_file import read_temperature

        temperature, temperature_file = read_temperature(temperature)
    found = LossOptions(
        axis=layout.axis,
        source=loss.source,
        labels=pair.label_form,
        labels_source=loss.labels_from,
        ignore_index=loss.ignore_index,
        ignore_missing=loss.ignore_missing_labels,
        label_smoothing=loss.label_smoothing,
        class_weight=class_weight,
        temperature=temperature,
        temperature_file=temperature_file,
        teacher_temperature=loss.teacher_temperature,
        precision=loss.precision,
        shift=loss.shift,
        sample_weighted=pair.weighted,
        normalize=loss.normalize,
        binary=layout.binary,
        first_class=0 if pair.named_labels else loss.first_class or 0,
        masked=pair.masked,
        true_labels=pair.truth is not None or (loss.labels_from != "labels" and "true_labels" in pair.fields),
        bounded=loss.bounded,
    )
    on_command_line = "kernel" in options.origin.on_command_line
    if on_command_line and loss.kernel != "numpy" and not is_compiled(loss.precision):
        raise UsageError(f"--kernel {loss.kernel} computes in float64, and --precision says float32")
    return replace(found, kernel=kernel_for(loss.precision, loss.kernel))


def refuse_without_logits(loss: LossFlags, about_logits: tuple[str, ...]) -> None:
    """Refuse options about logits if the first input holds something else."""
    if loss.source != "logits" and about_logits:
        raise UsageError(f"{about_logits[0]} is about logits, and --from says {loss.source}")


def _refuse_meaningless(options: SharedOptions, pair: Pair) -> None:
    layout, loss = options.layout, options.loss
    dense, has_teacher = pair.label_form == "dense", loss.labels_from != "labels"
    if has_teacher and not dense:
        raise UsageError("--labels-from says the second input holds a teacher's outputs, shaped like the logits")
    for option, value in (("--label-smoothing", loss.label_smoothing), ("--class-weight", loss.class_weight)):
        if has_teacher and value:
            raise UsageError(f"{option} is for labels, and --labels-from says there is a teacher")
    if loss.true_labels is not None and not has_teacher:
        raise UsageError("--true-labels goes with a teacher", hint="--labels-from says that LABELS are its outputs")
    indices = not dense or pair.truth is not None
    if not indices and (loss.ignore_index or loss.ignore_missing_labels):
        what = "--ignore-index is a class index" if loss.ignore_index else "--ignore-missing-labels is for indices"
        raise UsageError(f"{what}, and these labels are dense", hint="--mask says which samples count")
    if layout.binary and loss.source == "log-probs":
        raise UsageError("--binary takes logits or probabilities", hint="log p of one class is not a score")
    if loss.first_class is not None and (not indices or (pair.named_labels and layout.class_names is None)):
        kind = "names of classes" if indices else "dense"
        raise UsageError(f"--first-class says what integer labels call the first class, and these are {kind}")
    _refuse_sums(loss, dense=dense, has_teacher=has_teacher)
    for option, value in (
        ("--temperature", loss.temperature),
        ("--teacher-temperature", loss.teacher_temperature),
    ):
        if not isinstance(value, str) and not math.isfinite(value):
            raise UsageError(f"{option} must be a finite number")
    if loss.labels_from != "logits" and loss.teacher_temperature != 1.0:
        found = f"--teacher-temperature divides the logits of a teacher, and --labels-from says {loss.labels_from}"
        raise UsageError(found, hint="--labels-from logits says that LABELS are its logits")
    if "logit_bounds" in pair.logits.info.fields and loss.temperature != 1.0:
        from xent_cli.core.checks.every_class import needs_every_class

        raise needs_every_class("--temperature")
    if loss.source != "logits" and loss.temperature != 1.0:
        hint = "log-probs are logits too: leave --from out" if loss.source == "log-probs" else ""
        raise UsageError(f"--temperature divides logits, and --from says {loss.source}", hint=hint)
    if loss.bounded != "null" and not pair.partial:
        raise UsageError("--bounded is about log-probabilities that are known in part, and these are known in whole")
    if loss.precision == "float32" and (has_teacher or loss.source != "logits"):
        raise UsageError("--precision float32 is for logits and labels")


def _refuse_sums(loss: LossFlags, *, dense: bool, has_teacher: bool) -> None:
    """Refuse options about the sums of distributions if no input holds distributions."""
    distributions = [loss.source, loss.labels_from if has_teacher else "logits"]
    if loss.normalize and loss.unnormalized:
        raise UsageError("--normalize divides by the sums that --unnormalized leaves alone", hint="leave one out")
    if loss.normalize and "probs" not in distributions and (not dense or has_teacher):
        hint = "log-probs are logits too: leave --from out" if "log-probs" in distributions else ""
        raise UsageError("--normalize is for probabilities (--from probs) and for dense labels", hint=hint)
    if loss.unnormalized and set(distributions) == {"logits"}:
        hint = "--labels dense takes dense labels as they are" if dense else ""
        raise UsageError("--unnormalized is for probabilities and log-probs, which --from says", hint=hint)
