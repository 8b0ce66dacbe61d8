"""Warnings that follow from the totals of a run: a loss can be computed, but the inputs look wrong."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from xent_cli.core.diagnostics import Diagnostic

if TYPE_CHECKING:
    from collections.abc import Iterator

    from xent_cli.core.options import LossOptions
    from xent_cli.core.totals.loss_totals import LossTotals

# A share of rows this high is not a coincidence.
_NEARLY_ALL = 0.99
# Rounding to bfloat16 moves a divergence by less than this, in nats.
_BELOW_ZERO = -0.01
# That class 0 does not occur is suspicious only if there are this many samples for each class.
_SAMPLES_PER_CLASS = 10
# Fewer samples than this that are all predicted right are not suspicious.
_LABELS_JUDGED = 20
# In nats; a logit of -1e4 or less stands for minus infinity, even in half precision.
_NO_MODEL_LOSES = 5_000.0


def find_warnings(
    totals: LossTotals,
    options: LossOptions,
    num_classes: int,
    *,
    insisted: bool = False,
    paths: tuple[str, str] = ("", ""),
) -> tuple[Diagnostic, ...]:
    """Judge what was counted along with the losses.

    Parameters
    ----------
    insisted
        Whether the user has declared that the logits are logits.
    paths
        Paths of both inputs, to name the one that a warning is about.

    Examples
    --------
    >>> from xent_cli.core.options import LossOptions
    >>> from xent_cli.core.totals.loss_totals import LossTotals
    >>> [f.code for f in find_warnings(LossTotals("", n_samples=9, softmaxed=9), LossOptions(), 3)]
    ['logits-look-softmaxed']
    """
    diagnostics = []
    seen = totals.n_samples + totals.n_ignored
    if options.source == "logits" and seen and totals.softmaxed >= _NEARLY_ALL * seen and not insisted:
        text = (
            f"{totals.softmaxed} of {seen} rows of logits are non-negative and sum to 1: they look like probabilities"
        )
        diagnostics.append(Diagnostic("logits-look-softmaxed", text))
    diagnostics += _sums(totals, options, paths)
    diagnostics += _about_labels(totals, options, num_classes)
    if totals.n_nan > totals.n_bounded:
        worst = totals.worst[0].sample
        diagnostics.append(
            Diagnostic(
                "nan-loss", f"NaN losses: {totals.n_nan - totals.n_bounded} (first: sample {worst}); the mean is NaN"
            )
        )
    if totals.n_inf:
        diagnostics.append(Diagnostic("infinite-loss", f"infinite losses: {totals.n_inf}"))
    diagnostics += _masked(totals, options)
    diagnostics += _below_zero(totals)
    return tuple(diagnostics)


def _sums(totals: LossTotals, options: LossOptions, paths: tuple[str, str]) -> Iterator[Diagnostic]:
    """Warn of rows of either input that do not sum to 1."""
    student = "log-probabilities" if options.source == "log-probs" else "probabilities"
    teacher = {"labels": "soft labels", "log-probs": "the teacher's log-probabilities"}
    labels = teacher.get(options.labels_source, "the teacher's probabilities")
    for count, what, path in (
        (totals.unnormalised, student, paths[0]),
        (totals.unnormalised_labels, labels, paths[1]),
    ):
        if count:
            code = what.removeprefix("the ").replace("'s", "").replace(" ", "-")
            held = f" ({path})" if path else ""
            text = f"{count} of {totals.n_samples} rows of {what}{held} do not sum to 1; they are used as given"
            yield Diagnostic(f"{code}-do-not-sum-to-1", text)


def _about_labels(totals: LossTotals, options: LossOptions, num_classes: int) -> Iterator[Diagnostic]:
    """Warn if the labels seem to count the classes from a different number than was declared."""
    low, _ = totals.label_range or (0, 0)
    offsets = totals.offsets
    if offsets.first_class and num_classes > 2:
        hits = offsets.above if offsets.first_class < 0 else offsets.below
        first = options.first_class + offsets.first_class
        # A label below the first class is not a class: it marks samples without a label.
        padding = options.first_class if offsets.first_class > 0 and low == 0 else None
        side = "after" if offsets.first_class < 0 else "before"
        yield Diagnostic(
            "labels-off-by-one",
            f"in {hits} of the first {offsets.samples} samples the class {side} the label has the highest logit, and "
            f"in {offsets.same} the label itself",
            data={"first_class": first, "ignore_index": padding},
        )
    elif low == 1 and not options.first_class and totals.n_samples >= _SAMPLES_PER_CLASS * num_classes:
        text = f"no sample has label 0 and the lowest label is 1 ({num_classes} classes): the labels look 1-based"
        yield Diagnostic("labels-look-1-based", text, data={"first_class": 1})


def predicted_labels(totals: LossTotals) -> tuple[Diagnostic, ...]:
    """Warn if all labels of a table are the class of the highest logit: such a column holds predictions.

    Examples
    --------
    >>> from xent_cli.core.totals.loss_totals import LossTotals
    >>> [f.code for f in predicted_labels(LossTotals("", n_samples=20, hits=((1, 20),)))]
    ['labels-are-argmax']
    """
    if totals.n_samples < _LABELS_JUDGED or dict(totals.hits).get(1) != totals.n_samples:
        return ()
    text = f"all {totals.n_samples} labels are the class of the highest logit: they look like the model's predictions"
    return (Diagnostic("labels-are-argmax", text),)


def _below_zero(totals: LossTotals) -> Iterator[Diagnostic]:
    """Warn of a divergence below 0, impossible for distributions: rows that do not sum to 1 are compared as given."""
    lowest = math.inf if totals.divergence is None else totals.divergence.lowest
    if lowest < _BELOW_ZERO:
        text = f"the lowest KL divergence is {lowest:.6g}: rows that do not sum to 1 are compared as they are given"
        yield Diagnostic("divergence-below-0", text)


def _masked(totals: LossTotals, options: LossOptions) -> Iterator[Diagnostic]:
    """Warn of a loss so large that it comes from a finite number in place of minus infinity, and not from a model."""
    worst = totals.worst[0] if totals.worst else None
    if worst is not None and options.source == "logits" and _NO_MODEL_LOSES < worst.loss < math.inf:
        yield Diagnostic(
            "loss-of-a-mask-value",
            f"the highest loss is {worst.loss:.6g} (sample {worst.sample}): it comes from a mask value such as -1e9 "
            "among its logits, not from a model; with -inf in its place it would be infinite",
        )
