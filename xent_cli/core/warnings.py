"""What the totals of a run show to be doubtful about its inputs, although a loss can be computed from them."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from xent_cli.core.diagnostics import Diagnostic

if TYPE_CHECKING:
    from collections.abc import Iterator

    from xent_cli.core.options import LossOptions
    from xent_cli.core.totals.loss_totals import LossTotals

# A share of rows this high is no accident.
_NEARLY_ALL = 0.99
# So often must each class have been due before it is odd that class 0 never came.
_SAMPLES_PER_CLASS = 10
# So many labels are hardly ever right by themselves.
_LABELS_JUDGED = 20
# In nats; a logit of -1e4 or less stands for minus infinity, in half precision too.
_NO_MODEL_LOSES = 5_000.0


def find_warnings(
    totals: LossTotals,
    options: LossOptions,
    num_classes: int,
    *,
    insisted: bool = False,
    paths: tuple[str, str] = ("", ""),
) -> tuple[Diagnostic, ...]:
    """Judge what the totals noticed in passing.

    Parameters
    ----------
    insisted
        Whether somebody said that logits are logits.
    paths
        Of both inputs, for what is said of one of them.

    Examples
    --------
    >>> from xent_cli.core.options import LossOptions
    >>> from xent_cli.core.totals.loss_totals import LossTotals
    >>> [f.code for f in find_warnings(LossTotals("", n_samples=9, softmaxed=9), LossOptions(), 3)]
    ['logits-look-softmaxed']
    """
    findings = []
    seen = totals.n_samples + totals.n_ignored
    if options.source == "logits" and seen and totals.softmaxed >= _NEARLY_ALL * seen and not insisted:
        findings.append(
            Diagnostic(
                "logits-look-softmaxed",
                f"{totals.softmaxed} of {seen} rows of logits are non-negative and sum to 1: they look like "
                "probabilities; if they are, use --from probs",
            )
        )
    findings += _sums(totals, options, paths)
    findings += _about_labels(totals, options, num_classes)
    if totals.n_nan:
        worst = totals.worst[0].sample
        findings.append(Diagnostic("nan-loss", f"NaN losses: {totals.n_nan} (first: sample {worst}); the mean is NaN"))
    if totals.n_inf:
        findings.append(Diagnostic("infinite-loss", f"infinite losses: {totals.n_inf}"))
    findings += _masked(totals, options)
    return tuple(findings)


def _sums(totals: LossTotals, options: LossOptions, paths: tuple[str, str]) -> Iterator[Diagnostic]:
    """Rows of either input that do not sum to 1."""
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
    """Labels that seem to call the classes otherwise than they are said to."""
    low, _ = totals.label_range or (0, 0)
    offsets = totals.offsets
    if offsets.first_class and num_classes > 2:
        hits = offsets.above if offsets.first_class < 0 else offsets.below
        first = options.first_class + offsets.first_class
        line = f"--first-class {first}"
        # A label below the first class is none: it marks what has no label.
        if offsets.first_class > 0 and low == 0:
            line = f"{line} --ignore-index {options.first_class}"
        side = "after" if offsets.first_class < 0 else "before"
        yield Diagnostic(
            "labels-off-by-one",
            f"in {hits} of the first {offsets.samples} samples the highest logit is that of the class {side} the "
            f"label, in {offsets.same} that of the label: if the labels call the first class {first}: {line}",
        )
    elif low == 1 and not options.first_class and totals.n_samples >= _SAMPLES_PER_CLASS * num_classes:
        text = f"no sample has label 0 and the lowest is 1 ({num_classes} classes): are the labels 1-based?"
        yield Diagnostic("labels-look-1-based", f"{text} --first-class 1 says so")


def predicted_labels(totals: LossTotals) -> tuple[Diagnostic, ...]:
    """Labels of a table that are all the class of the highest logit: predictions stand beside what they are made from.

    Examples
    --------
    >>> from xent_cli.core.totals.loss_totals import LossTotals
    >>> [f.code for f in predicted_labels(LossTotals("", n_samples=20, hits=((1, 20),)))]
    ['labels-are-argmax']
    """
    if totals.n_samples < _LABELS_JUDGED or dict(totals.hits).get(1) != totals.n_samples:
        return ()
    text = f"all {totals.n_samples} labels are the class of the highest logit: are they the model's predictions?"
    return (Diagnostic("labels-are-argmax", f"{text} --label-column names another column"),)


def _masked(totals: LossTotals, options: LossOptions) -> Iterator[Diagnostic]:
    """A loss that no model has: it comes from a finite number that stands for minus infinity."""
    worst = totals.worst[0] if totals.worst else None
    if worst is not None and options.source == "logits" and _NO_MODEL_LOSES < worst.loss < math.inf:
        yield Diagnostic(
            "loss-of-a-mask-value",
            f"the highest loss is {worst.loss:.6g} (sample {worst.sample}): it comes from a mask value such as -1e9 "
            "among its logits, not from a model; with -inf in its place it would be infinite",
        )
