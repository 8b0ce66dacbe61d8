"""Advice about errors and warnings of core, in terms of options; `core.python_api.hints` has the same for Python."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from typing import Any

    from xent_cli.core.diagnostics import Diagnostic

_HINTS = {
    "kernel-not-available": "XENT_KERNEL=numpy computes without it; c takes the fastest that a machine has",
    "labels-are-argmax": "if they are, name the column of true labels with --label-column",
    "labels-look-1-based": "if they are, use --first-class 1",
    "log-probability-above-0 of labels": "logits need --labels-from logits",
    "log-probability-above-0 of logits": "log-probs are logits too: leave --from out",
    "logits-look-softmaxed": "if they are, use --from probs",
    "negative-probability of labels": "logits need --labels-from logits",
    "negative-probability of logits": "logits need --from logits",
    "partial-row of labels": "of each row, list the k highest; a token that was sampled besides goes first or last, "
    "or is left out",
    "probability-too-high": "--normalize divides every row by its sum",
    "invalid-mask": "a mask says which samples count; weights go with --sample-weight",
    "invalid-soft-label": "dense labels are probabilities; a teacher's logits need --labels-from logits; shards need "
    "one pattern in quotes: 'part-*.npy'",
    "label-out-of-range of padding": "if {label} marks samples without a label, use --ignore-index {label}",
    "label-out-of-range": "are these the labels of these logits?",
    "label-out-of-range of size": "a label is the number of a class; is this the column of labels?",
    "label-out-of-range of sign": "labels of -1 and 1 are those of 0 and 1: (label + 1) / 2",
    "label-out-of-range of score": "if each row is the one score of a binary classifier, use --binary",
    "labels-off-by-one": "if the labels number the classes from {first_class}, use --first-class {first_class}",
    "soft-labels-to-normalize": "--normalize divides every row by its sum",
    "too-many-clusters": "sort the rows by it",
    "too-many-slices": "is this an id column? --by takes one that names groups",
    "warnings-refused": "--strict makes every warning an error",
}


def hint_for(code: str, data: Mapping[str, Any]) -> str:
    """Return what to do about an error or a warning, or "" if there is nothing to say.

    Examples
    --------
    >>> hint_for("label-out-of-range", {"label": 255, "kind": "padding"})
    'if 255 marks samples without a label, use --ignore-index 255'
    >>> hint_for("labels-off-by-one", {"first_class": 1, "ignore_index": 0})
    'if the labels number the classes from 1, use --first-class 1 --ignore-index 0'
    """
    text = _HINTS.get(f"{code} of {data.get('kind') or data.get('role')}") or _HINTS.get(code, "")
    if data.get("ignore_index") is not None:
        text += " --ignore-index {ignore_index}"
    return text.format(**data)


def with_hints(diagnostics: Iterable[Diagnostic]) -> tuple[Diagnostic, ...]:
    """Add advice to the messages of warnings and notes."""
    return tuple(diagnostic.with_hint(hint_for(diagnostic.code, diagnostic.data)) for diagnostic in diagnostics)
