"""From figures of logits and labels to the options that compute needs for them, and to what looks wrong."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from xent_cli.core.findings import Finding, find
from xent_cli.core.options import LossOptions
from xent_cli.core.totals import LossTotals

if TYPE_CHECKING:
    from collections.abc import Iterator

    from xent_cli.core.inspection import Inspection, ValueTotals


class Advice(NamedTuple):
    """What to make of a pair.

    Fields
    ------
    source
        What the logits hold, as `--from` has it.
    labels_source
        What dense labels hold, as `--labels-from` has it.
    ignore_index
        The one label that is no class, or None.
    findings
        What looks wrong.
    runs
        Whether compute would give an answer with these options.
    """

    source: str = "logits"
    labels_source: str = "labels"
    ignore_index: int | None = None
    findings: tuple[Finding, ...] = ()
    runs: bool = True


def advise(found: Inspection, num_classes: int, *, dense: bool) -> Advice:
    """Judge logits and labels that belong together.

    Parameters
    ----------
    num_classes
        Of a row of logits.
    dense
        Whether labels are rows of probabilities, counted in `found.soft`.

    Examples
    --------
    >>> import numpy as np
    >>> from xent_cli.core.inspection import Inspection, LabelTotals, ValueTotals
    >>> found = Inspection(ValueTotals(rows=3), LabelTotals.of(np.array([1, -100, 0])))
    >>> advise(found, 2, dense=False).ignore_index
    -100
    """
    findings = list(_about_logits(found))
    probs = any(finding.code == "logits-look-softmaxed" for finding in findings) and not found.logits.negative
    source = "probs" if probs else "logits"
    if found.logits.rows != found.label_rows:
        text = f"{found.logits.rows} rows of logits, {found.label_rows} labels: compute needs as many of both"
        return Advice(source, findings=(*findings, Finding("inputs-of-different-length", text)), runs=False)
    if dense:
        soft = found.soft
        broken = soft.nan + soft.positive_inf > 0
        taught = soft.negative > 0 and not broken
        if taught:
            text = f"{soft.negative} entries of dense labels are negative: they are read as a teacher's logits"
            findings.append(Finding("negative-soft-labels", text))
        elif broken:
            text = f"dense labels hold {soft.nan} NaN and {soft.positive_inf} infinities"
            findings.append(Finding("non-finite-labels", text))
        elif soft.unnormalised:
            findings += find(
                LossTotals("", n_samples=soft.rows, unnormalised_labels=soft.unnormalised), LossOptions(), 1
            )
        return Advice(source, "logits" if taught else "labels", None, tuple(findings), not broken)
    ignore_index, about_labels, runs = _sparse(found, num_classes)
    return Advice(source, "labels", ignore_index, (*findings, *about_labels), runs)


def _about_logits(found: Inspection) -> Iterator[Finding]:
    logits = found.logits
    yield from find(LossTotals("", n_samples=logits.rows, softmaxed=logits.softmaxed), LossOptions(), 1)
    yield from not_finite(logits)


def not_finite(values: ValueTotals) -> Iterator[Finding]:
    """Values that make a loss NaN; -inf alone is a masked class."""
    if values.nan or values.positive_inf:
        yield Finding("non-finite-logits", f"logits hold {values.nan} NaN and {values.positive_inf} +inf")


def _sparse(found: Inspection, num_classes: int) -> tuple[int | None, list[Finding], bool]:
    """The ignore index, what looks wrong with class indices, and whether compute takes them."""
    labels = found.labels
    findings = []
    if labels.fractional:
        findings.append(Finding("labels-not-whole", f"{labels.fractional} labels are NaN or no whole numbers"))
    if labels.one_based(num_classes):
        text = f"labels run from 1 to {num_classes}, classes from 0 to {num_classes - 1}: subtract 1 from the labels"
        findings.append(Finding("labels-look-1-based", text))
        return None, findings, False
    outside = labels.outside(num_classes)
    if len(outside) == 1 and not labels.beyond:
        ((index, count),) = outside.items()
        text = f"labels that are {index}, which is not a class: {count}; they are ignored"
        findings.append(Finding("labels-to-ignore", text, note=True))
        rest = labels.rows - labels.fractional - count
        if not rest:
            findings.append(Finding("no-labels-left", "no label is a class"))
        return index, findings, bool(rest) and not labels.fractional
    if outside or labels.beyond:
        count = sum(outside.values()) + labels.beyond
        shown = ", ".join(str(label) for label in sorted(outside)[:3]) or str(labels.maximum)
        text = f"{count} labels are not in 0..{num_classes - 1} (among them {shown})"
        return None, [*findings, Finding("labels-out-of-range", text)], False
    seen = LossTotals("", n_samples=labels.rows, label_range=(labels.minimum or 0, labels.maximum or 0))
    return None, findings + list(find(seen, LossOptions(), num_classes)), not labels.fractional
