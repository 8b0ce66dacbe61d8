"""Options that compute needs for a pair of inputs, and warnings about it, from figures of logits and labels."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from xent_cli.core.checks.distributions import Distributions
from xent_cli.core.diagnostics import Diagnostic
from xent_cli.core.labels.label_offsets import Offsets, is_padding
from xent_cli.core.options import LossOptions
from xent_cli.core.totals.loss_totals import LossTotals
from xent_cli.core.warnings import find_warnings

if TYPE_CHECKING:
    from collections.abc import Iterator

    from xent_cli.core.inspect.value_totals import Inspection, ValueTotals


class Advice(NamedTuple):
    """How to evaluate a pair of inputs.

    Fields
    ------
    source
        What the logits hold: a `Source`.
    labels_source
        What dense labels hold: "labels" or a `Source`.
    ignore_index
        The only label that is not a class, or None.
    diagnostics
        Warnings and notes.
    runs
        Whether compute succeeds with these options.
    first_class
        Number of the first class in the labels if it is not 0, or None.
    normalize
        Whether to divide dense labels by their sums.
    binary
        Whether there is one score per sample.
    """

    source: str = "logits"
    labels_source: str = "labels"
    ignore_index: int | None = None
    diagnostics: tuple[Diagnostic, ...] = ()
    runs: bool = True
    first_class: int | None = None
    normalize: bool = False
    binary: bool = False


class Look(NamedTuple):
    """What the first rows show.

    Fields
    ------
    logits, labels
        How many of their rows are distributions.
    whole
        Whether dense labels are whole numbers.
    offsets
        How often the highest logit is that of the label, or next to it.
    binary
        Whether logits are one score per sample.
    """

    logits: Distributions = Distributions()
    labels: Distributions = Distributions()
    whole: bool = False
    offsets: Offsets = Offsets()
    binary: bool = False


def advise(found: Inspection, num_classes: int, *, dense: bool, look: Look | None = None) -> Advice:
    """Advise on logits and labels that belong together.

    Parameters
    ----------
    num_classes
        Number of logits in a row.
    dense
        Whether labels are rows of probabilities, counted in `found.soft`.
    look
        What the first rows show, judged as compute judges them.

    Examples
    --------
    >>> import numpy as np
    >>> from xent_cli.core.inspect.value_totals import Inspection, LabelTotals, ValueTotals
    >>> found = Inspection(ValueTotals(rows=3), LabelTotals.of(np.array([1, -100, 0])))
    >>> advise(found, 2, dense=False).ignore_index
    -100
    """
    look = Look(_of_all(found.logits), _of_all(found.soft)) if look is None else look
    diagnostics = [*_about_logits(found.logits, num_classes, look)]
    probs = any(diagnostic.code == "logits-look-softmaxed" for diagnostic in diagnostics)
    advice = Advice("probs" if probs else "logits", binary=look.binary)
    if found.logits.rows != found.label_rows:
        text = f"{found.logits.rows} rows of logits, {found.label_rows} labels: compute needs the same number of both"
        return advice._replace(diagnostics=(*diagnostics, Diagnostic("inputs-of-different-length", text)), runs=False)
    about = _dense(found, look) if dense else _sparse(found, num_classes, look.offsets)
    return about._replace(source=advice.source, binary=advice.binary, diagnostics=(*diagnostics, *about.diagnostics))


def _of_all(values: ValueTotals) -> Distributions:
    return Distributions(values.rows, values.softmaxed)


def _about_logits(logits: ValueTotals, num_classes: int, look: Look) -> Iterator[Diagnostic]:
    text = ""
    if look.binary:
        yield Diagnostic(
            "one-score-a-sample", "each sample has one score: that of the second of two classes", note=True
        )
        if logits.minimum >= 0 and logits.maximum <= 1:
            text = "all scores are from 0 to 1"
    elif look.logits.scale is not None and num_classes > 1 and not logits.negative:
        hits, sums = (look.logits.fractions, 1) if look.logits.scale == 1.0 else (look.logits.percents, 100)
        text = f"{hits} of {look.logits.counted} rows of logits are non-negative and sum to {sums}"
    if text:
        yield Diagnostic("logits-look-softmaxed", f"{text}: they look like probabilities")
    yield from not_finite(logits)


def not_finite(values: ValueTotals) -> Iterator[Diagnostic]:
    """Warn of logits that make a loss NaN; -inf alone is a masked class."""
    if values.nan or values.positive_inf:
        yield Diagnostic("non-finite-logits", f"logits hold {values.nan} NaN and {values.positive_inf} +inf")


def _dense(found: Inspection, look: Look) -> Advice:
    """Advise on dense labels."""
    soft = found.soft
    if soft.nan + soft.positive_inf:
        text = f"dense labels hold {soft.nan} NaN and {soft.positive_inf} infinities"
        return Advice(diagnostics=(Diagnostic("non-finite-labels", text),), runs=False)
    if soft.negative:
        text = f"{soft.negative} entries of dense labels are negative: they are read as a teacher's logits"
        return Advice(labels_source="logits", diagnostics=(Diagnostic("negative-soft-labels", text),))
    counts = look.whole and look.labels.fractions < look.labels.counted
    if counts and soft.maximum <= 1:
        text = "dense labels are 0 or 1, with several 1s in a row: a softmax has one class per sample"
        return Advice(diagnostics=(Diagnostic("several-labels-a-sample", text),), runs=False)
    if counts or look.labels.scale == 100.0:
        kind = "whole numbers that do not sum to 1" if counts else "percentages"
        text = f"dense labels are {kind}"
        return Advice(diagnostics=(Diagnostic("soft-labels-to-normalize", text, note=True),), normalize=True)
    off = soft.unnormalised if look.labels.scale is None else 0
    seen = LossTotals("", n_samples=soft.rows, unnormalised_labels=off)
    return Advice(diagnostics=find_warnings(seen, LossOptions(), 1))


def _sparse(found: Inspection, num_classes: int, offsets: Offsets) -> Advice:
    """Advise on class indices."""
    labels = found.labels
    diagnostics = []
    if labels.fractional:
        diagnostics.append(Diagnostic("labels-not-whole", f"{labels.fractional} labels are NaN or not whole numbers"))
    first = offsets.first_class if num_classes > 2 else 0
    if labels.one_based(num_classes):
        first = 1
        text = f"labels run from 1 to {num_classes}, and {num_classes} classes are numbered from 0: they look 1-based"
        diagnostics.append(Diagnostic("labels-look-1-based", text, data={"first_class": 1}))
    elif first:
        side = "before" if first > 0 else "after"
        text = f"the class {side} the label has the highest logit far more often than the label itself"
        diagnostics.append(Diagnostic("labels-off-by-one", text, data={"first_class": first, "ignore_index": None}))
    named = first or None
    outside = {label: n for label, n in labels.counts.items() if not first <= label < first + num_classes}
    if len(outside) == 1 and not labels.beyond:
        ((index, count),) = outside.items()
        others = np.array([label for label in labels.counts if label != index], np.int64)
        if is_padding(index, first, num_classes, others):
            text = f"labels of {index}, which is not a class, are ignored: {count}"
            diagnostics.append(Diagnostic("labels-to-ignore", text, note=True))
            rest = labels.rows - labels.fractional - count
            if not rest:
                diagnostics.append(Diagnostic("no-labels-left", "no label is a class"))
            runs = bool(rest) and not labels.fractional
            return Advice(ignore_index=index, diagnostics=tuple(diagnostics), runs=runs, first_class=named)
    if outside or labels.beyond:
        count = sum(outside.values()) + labels.beyond
        shown = ", ".join(str(label) for label in sorted(outside)[:3]) or str(labels.maximum)
        text = f"{count} labels are not in {first}..{first + num_classes - 1} (among them {shown})"
        if set(labels.counts) == {-1, 1}:
            text += "; labels of -1 and 1 are those of 0 and 1: (label + 1) / 2"
        return Advice(diagnostics=(*diagnostics, Diagnostic("labels-out-of-range", text)), runs=False)
    if not first:
        seen = LossTotals("", n_samples=labels.rows, label_range=(labels.minimum or 0, labels.maximum or 0))
        diagnostics += find_warnings(seen, LossOptions(), num_classes)
    return Advice(diagnostics=tuple(diagnostics), runs=not labels.fractional, first_class=named)
